//! Masks: a fixed pseudo-random stream that hides cells until the same stream is taken away.
//!
//! `y = x + PRG(key) mod 2^128`, cell by cell. The stream is AES-256-GCM over zeros (its
//! ciphertext, without the tag): each upload has a key of its own, derived from the seed that the
//! node draws for it, so a key is used for one stream only; its cells are those of the upload, column
//! after column, and block `k` of 4 KiB has the nonce `k` in 12 bytes, big-endian. Adding a uniform
//! stream makes every upload uniform, whatever the cells are, and addition modulo 2^128 commutes, so
//! masks cancel in any order.
//!
//! Published vectors of the stream are in `testdata/mask.txt`; changing it is a new version of the
//! protocol. Nothing here branches on, or indexes by, a secret; buffers are erased when dropped.

use model::HospitalId;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::sign::{derive, stop};

/// Bytes of one block of the stream. It stays in a core's first cache until it is added; with larger
/// blocks the cipher is faster and the mask slower.
pub const BLOCK_BYTES: usize = 4 * 1024;
/// Bytes of one cell.
pub const CELL_BYTES: usize = 16;
/// Cells of one block.
const BLOCK_CELLS: usize = BLOCK_BYTES / CELL_BYTES;
/// Cells over which many streams are summed before the next cells: together with the block of the
/// stream they stay in a core's own cache.
pub(crate) const TILE_CELLS: usize = 64 * BLOCK_CELLS;

/// The secret from which all masks of one node in one round come. Erased when dropped.
#[derive(Clone)]
pub struct Seed(Zeroizing<[u8; 32]>);

/// A stream that hides the cells of one upload. Only its upload's [`Seed`] makes it.
pub struct Stream(LessSafeKey);

/// Expands streams. Its one buffer serves every block, so no cell costs an allocation; between blocks
/// it holds zeros, over which the next one is sealed. It grows to the longest upload, and to one
/// block at most, so that a question of one cell does not pay for erasing a whole one.
#[derive(Default)]
pub struct Expander {
    block: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream(..)")
    }
}

impl std::fmt::Debug for Expander {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Expander(..)")
    }
}

impl Seed {
    /// The seed of 32 random bytes.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// Reads a seed that travelled sealed; `None` when it has not 32 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut seed = Zeroizing::new([0u8; 32]);
        if bytes.len() != seed.len() {
            return None;
        }
        seed.copy_from_slice(bytes);
        Some(Self(seed))
    }

    /// Its bytes, to be sealed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The stream of `hospital`'s upload in the round `sid`.
    #[must_use]
    pub fn stream(&self, sid: &[u8; 32], hospital: &HospitalId) -> Stream {
        let info: [&[u8]; 3] = [b"mask", sid, hospital.as_str().as_bytes()];
        Stream::of(&Zeroizing::new(derive(&self.0, &info)))
    }
}

impl Stream {
    /// The stream of a key; also for what is no mask, such as a permutation.
    #[must_use]
    pub(crate) fn of(key: &Zeroizing<[u8; 32]>) -> Self {
        match UnboundKey::new(&AES_256_GCM, key.as_ref()) {
            Ok(key) => Self(LessSafeKey::new(key)),
            Err(_) => stop(),
        }
    }

    /// Its first cells.
    pub(crate) fn take(&self, count: usize) -> Vec<u128> {
        let mut cells = vec![0; count];
        Expander::default().add(self, 0, &mut cells);
        cells
    }
}

/// Cells as they travel, 16 bytes each, little-endian, in place of what `bytes` held.
pub fn write_cells(cells: &[u128], bytes: &mut Vec<u8>) {
    bytes.resize(cells.len() * CELL_BYTES, 0);
    for (place, cell) in bytes.as_chunks_mut().0.iter_mut().zip(cells) {
        *place = cell.to_le_bytes();
    }
}

fn nonce(block: u64) -> Nonce {
    let mut bytes = [0u8; 12];
    bytes[4..].copy_from_slice(&block.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

impl Expander {
    /// Adds the stream, from its cell `first`, to `cells`, modulo 2^128.
    pub fn add(&mut self, stream: &Stream, first: usize, cells: &mut [u128]) {
        self.each_block(stream, first, cells, u128::wrapping_add);
    }

    /// Takes the stream, from its cell `first`, away from `cells`, modulo 2^128.
    pub fn subtract(&mut self, stream: &Stream, first: usize, cells: &mut [u128]) {
        self.each_block(stream, first, cells, u128::wrapping_sub);
    }

    /// Adds all `streams`, as [`Expander::add`] does one after the other.
    pub fn add_all(&mut self, streams: &[Stream], first: usize, cells: &mut [u128]) {
        self.each_tile(streams, first, cells, u128::wrapping_add);
    }

    /// Takes all `streams` away, as [`Expander::subtract`] does one after the other.
    pub fn subtract_all(&mut self, streams: &[Stream], first: usize, cells: &mut [u128]) {
        self.each_tile(streams, first, cells, u128::wrapping_sub);
    }

    /// Tile by tile, so that cells are fetched once for all streams and not once for each.
    fn each_tile(
        &mut self,
        streams: &[Stream],
        first: usize,
        cells: &mut [u128],
        step: impl Fn(u128, u128) -> u128 + Copy,
    ) {
        for (first, tile) in (first..).step_by(TILE_CELLS).zip(cells.chunks_mut(TILE_CELLS)) {
            streams.iter().for_each(|stream| self.each_block(stream, first, tile, step));
        }
    }

    /// `cells` begin with cell `first` of the stream, which may be within a block.
    fn each_block(
        &mut self,
        stream: &Stream,
        first: usize,
        cells: &mut [u128],
        step: impl Fn(u128, u128) -> u128,
    ) {
        let longest = (first % BLOCK_CELLS + cells.len()).min(BLOCK_CELLS) * CELL_BYTES;
        if self.block.len() < longest {
            self.block = Zeroizing::new(vec![0; longest]);
        }
        let (mut at, mut rest) = (first, cells);
        while !rest.is_empty() {
            let before = at % BLOCK_CELLS;
            let (part, more) = rest.split_at_mut(rest.len().min(BLOCK_CELLS - before));
            let block = &mut self.block[..(before + part.len()) * CELL_BYTES];
            let number = nonce((at / BLOCK_CELLS) as u64);
            if stream.0.seal_in_place_separate_tag(number, Aad::empty(), block).is_err() {
                stop();
            }
            let (skipped, masks) = block.as_chunks_mut::<CELL_BYTES>().0.split_at_mut(before);
            skipped.fill([0; CELL_BYTES]);
            for (cell, mask) in part.iter_mut().zip(masks) {
                *cell = step(*cell, u128::from_le_bytes(*mask));
                *mask = [0; CELL_BYTES];
            }
            (at, rest) = (at + part.len(), more);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sign::hex;

    fn seed(byte: u8) -> Seed {
        Seed::new(Zeroizing::new([byte; 32]))
    }

    fn stream(seed: &Seed, sid: u8, hospital: &str, cells: usize) -> Vec<u128> {
        seed.stream(&[sid; 32], &hospital.parse().unwrap()).take(cells)
    }

    #[test]
    fn the_stream_is_the_published_one() {
        // Lines: seed byte, sid byte, hospital, index of a cell, then its 16 bytes in hex. They were
        // made with Python's `cryptography` package, by the script at the head of the file.
        let vectors = include_str!("../testdata/mask.txt");
        let mut checked = 0;
        for line in vectors.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<_> = line.split(' ').collect();
            let [seed_byte, sid, hospital, at, expected] = fields.as_slice() else {
                panic!("{line}")
            };
            let at: usize = at.parse().unwrap();
            let seed = seed(seed_byte.parse().unwrap());
            let cells = stream(&seed, sid.parse().unwrap(), hospital, at + 1);
            assert_eq!(hex(&cells[at].to_le_bytes()), *expected, "{line}");
            checked += 1;
        }
        assert!(checked >= 6);
    }

    #[test]
    fn aes_gcm_is_that_of_the_standard() {
        // McGrew and Viega, test case 14: zeros under the zero key and nonce.
        let cells = Stream::of(&Zeroizing::new([0; 32])).take(1);
        assert_eq!(hex(&cells[0].to_le_bytes()), "cea7403d4d606b6e074ec5d3baf39d18");
    }

    #[test]
    fn every_input_of_the_key_changes_the_stream() {
        let first = stream(&seed(1), 1, "h-1", 4);
        for other in [
            stream(&seed(2), 1, "h-1", 4),
            stream(&seed(1), 2, "h-1", 4),
            stream(&seed(1), 1, "h-2", 4),
        ] {
            assert!(first.iter().zip(&other).all(|(a, b)| a != b));
        }
    }

    #[test]
    fn a_stream_can_be_taken_from_any_cell_on() {
        let whole = stream(&seed(1), 1, "h-1", 3 * BLOCK_CELLS);
        let own = seed(1).stream(&[1; 32], &"h-1".parse().unwrap());
        let mut expander = Expander::default();
        for (first, count) in [(1, 1), (5, 700), (255, 2), (256, 256), (300, 0), (767, 1)] {
            let mut cells = vec![0; count];
            expander.add(&own, first, &mut cells);
            assert_eq!(cells, whole[first..first + count], "{count} from {first}");
            assert!(expander.block.iter().all(|byte| *byte == 0), "nothing of a stream is left");
        }
    }

    #[test]
    fn many_streams_at_once_are_the_streams_one_by_one() {
        // Shorter than a block, exactly a tile, a tile and a bit, several tiles with a short end.
        for count in [5, TILE_CELLS, TILE_CELLS + 3, 2 * TILE_CELLS + BLOCK_CELLS + 1] {
            let of = |n: u8| seed(n).stream(&[3; 32], &"h-1".parse().unwrap());
            let streams: Vec<_> = (0..3).map(of).collect();
            let cells: Vec<u128> = (0..count).map(|cell| cell as u128 * 77).collect();
            for first in [0, 100] {
                let (mut each, mut all) = (cells.clone(), cells.clone());
                let mut expander = Expander::default();
                streams.iter().for_each(|stream| expander.add(stream, first, &mut each));
                expander.add_all(&streams, first, &mut all);
                assert_eq!(all, each, "{count} cells from {first}");
                expander.subtract_all(&streams, first, &mut all);
                assert_eq!(all, cells, "{count} cells from {first}");
                assert!(expander.block.iter().all(|byte| *byte == 0), "nothing is left");
            }
        }
    }

    proptest! {
        #[test]
        fn masks_cancel_in_any_order(cells in prop::collection::vec(any::<u128>(), 1..200)) {
            let of = |n| seed(n).stream(&[9; 32], &format!("h-{n}").parse().unwrap());
            let streams: Vec<_> = (0..3).map(of).collect();
            let mut masked = cells.clone();
            let mut expander = Expander::default();
            streams.iter().for_each(|stream| expander.add(stream, 0, &mut masked));
            prop_assert_ne!(&masked, &cells);
            streams.iter().rev().for_each(|stream| expander.subtract(stream, 0, &mut masked));
            prop_assert_eq!(masked, cells);
        }
    }
}
