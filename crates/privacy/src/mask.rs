//! Masks: a fixed pseudo-random stream that hides cells until the same stream is taken away.
//!
//! `y = x + PRG(key) mod 2^128`, cell by cell. The stream is AES-256-GCM over zeros (its
//! ciphertext, without the tag): each column of a round has a key of its own, derived from the
//! node's seed, so a key is used for one stream only; block `k` of 4 KiB has the nonce `k` in 12
//! bytes, big-endian. Adding a uniform stream makes every upload uniform, whatever the cells are,
//! and addition modulo 2^128 commutes, so masks cancel in any order.
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
/// Blocks of cells over which many streams are summed before the next cells: together with the
/// block of the stream they stay in a core's own cache.
const TILE_BLOCKS: usize = 64;

/// The secret from which all masks of one node in one round come. Erased when dropped.
#[derive(Clone)]
pub struct Seed(Zeroizing<[u8; 32]>);

/// The key of one column's stream. Erased when dropped.
#[derive(Clone)]
pub struct ColumnKey(Zeroizing<[u8; 32]>);

/// Expands keys. Its one buffer serves every block, so no cell costs an allocation; between blocks
/// it holds zeros, over which the next one is sealed. It grows to the longest column, and to one
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

impl std::fmt::Debug for ColumnKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ColumnKey(..)")
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

    /// The key of column `column` of `hospital`'s upload in the round `sid`.
    #[must_use]
    pub fn column(&self, sid: &[u8; 32], hospital: &HospitalId, column: u32) -> ColumnKey {
        let name = hospital.as_str().as_bytes();
        let info: [&[u8]; 4] = [b"mask", sid, name, &column.to_be_bytes()];
        ColumnKey(Zeroizing::new(derive(&self.0, &info)))
    }
}

impl ColumnKey {
    /// A key for streams that are not masks, such as a permutation.
    #[must_use]
    pub(crate) const fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
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
    /// Adds the key's stream to `cells`, modulo 2^128.
    pub fn add(&mut self, key: &ColumnKey, cells: &mut [u128]) {
        self.each_block(key, 0, cells, u128::wrapping_add);
    }

    /// Takes the key's stream away from `cells`, modulo 2^128.
    pub fn subtract(&mut self, key: &ColumnKey, cells: &mut [u128]) {
        self.each_block(key, 0, cells, u128::wrapping_sub);
    }

    /// Adds the streams of all `keys`, as [`Expander::add`] does one after the other.
    pub fn add_all(&mut self, keys: &[ColumnKey], cells: &mut [u128]) {
        self.each_tile(keys, cells, u128::wrapping_add);
    }

    /// Takes the streams of all `keys` away, as [`Expander::subtract`] does one after the other.
    pub fn subtract_all(&mut self, keys: &[ColumnKey], cells: &mut [u128]) {
        self.each_tile(keys, cells, u128::wrapping_sub);
    }

    /// Tile by tile, so that cells are fetched once for all streams and not once for each.
    fn each_tile(
        &mut self,
        keys: &[ColumnKey],
        cells: &mut [u128],
        step: impl Fn(u128, u128) -> u128 + Copy,
    ) {
        let tiles = cells.chunks_mut(TILE_BLOCKS * BLOCK_CELLS);
        for (first, tile) in (0u64..).step_by(TILE_BLOCKS).zip(tiles) {
            keys.iter().for_each(|key| self.each_block(key, first, tile, step));
        }
    }

    /// `cells` begin where block `first` of the stream does.
    fn each_block(
        &mut self,
        key: &ColumnKey,
        first: u64,
        cells: &mut [u128],
        step: impl Fn(u128, u128) -> u128,
    ) {
        let Ok(unbound) = UnboundKey::new(&AES_256_GCM, key.0.as_ref()) else { stop() };
        let cipher = LessSafeKey::new(unbound);
        let longest = cells.len().min(BLOCK_CELLS) * CELL_BYTES;
        if self.block.len() < longest {
            self.block = Zeroizing::new(vec![0; longest]);
        }
        for (number, part) in (first..).zip(cells.chunks_mut(BLOCK_CELLS)) {
            let stream = &mut self.block[..part.len() * CELL_BYTES];
            let sealed = cipher.seal_in_place_separate_tag(nonce(number), Aad::empty(), stream);
            if sealed.is_err() {
                stop();
            }
            let (masks, _) = stream.as_chunks_mut::<CELL_BYTES>();
            for (cell, mask) in part.iter_mut().zip(masks) {
                *cell = step(*cell, u128::from_le_bytes(*mask));
                *mask = [0; CELL_BYTES];
            }
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

    fn stream(seed: &Seed, sid: u8, hospital: &str, column: u32, cells: usize) -> Vec<u128> {
        let key = seed.column(&[sid; 32], &hospital.parse().unwrap(), column);
        let mut cells = vec![0; cells];
        Expander::default().add(&key, &mut cells);
        cells
    }

    #[test]
    fn the_stream_is_the_published_one() {
        // Lines: seed byte, sid byte, hospital, column, first cell, then 16 bytes in hex. They were
        // made with Python's `cryptography` package, by the script at the head of the file.
        let vectors = include_str!("../testdata/mask.txt");
        let mut checked = 0;
        for line in vectors.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<_> = line.split(' ').collect();
            let [seed_byte, sid, hospital, column, at, expected] = fields.as_slice() else {
                panic!("{line}")
            };
            let at: usize = at.parse().unwrap();
            let seed = seed(seed_byte.parse().unwrap());
            let cells =
                stream(&seed, sid.parse().unwrap(), hospital, column.parse().unwrap(), at + 1);
            assert_eq!(hex(&cells[at].to_le_bytes()), *expected, "{line}");
            checked += 1;
        }
        assert!(checked >= 6);
    }

    #[test]
    fn aes_gcm_is_that_of_the_standard() {
        // McGrew and Viega, test case 14: zeros under the zero key and nonce.
        let key = ColumnKey(Zeroizing::new([0; 32]));
        let mut cell = [0u128];
        Expander::default().add(&key, &mut cell);
        assert_eq!(hex(&cell[0].to_le_bytes()), "cea7403d4d606b6e074ec5d3baf39d18");
    }

    #[test]
    fn every_input_of_the_key_changes_the_stream() {
        let first = stream(&seed(1), 1, "h-1", 0, 4);
        for other in [
            stream(&seed(2), 1, "h-1", 0, 4),
            stream(&seed(1), 2, "h-1", 0, 4),
            stream(&seed(1), 1, "h-2", 0, 4),
            stream(&seed(1), 1, "h-1", 1, 4),
        ] {
            assert!(first.iter().zip(&other).all(|(a, b)| a != b));
        }
    }

    #[test]
    fn many_streams_at_once_are_the_streams_one_by_one() {
        // Shorter than a block, exactly a tile, a tile and a bit, several tiles with a short end.
        let tile = TILE_BLOCKS * BLOCK_CELLS;
        for count in [5, tile, tile + 3, 2 * tile + BLOCK_CELLS + 1] {
            let key = |n: u8| seed(n).column(&[3; 32], &"h-1".parse().unwrap(), u32::from(n));
            let keys: Vec<_> = (0..3).map(key).collect();
            let cells: Vec<u128> = (0..count).map(|cell| cell as u128 * 77).collect();
            let (mut each, mut all) = (cells.clone(), cells.clone());
            let mut expander = Expander::default();
            keys.iter().for_each(|key| expander.add(key, &mut each));
            expander.add_all(&keys, &mut all);
            assert_eq!(all, each, "{count} cells");
            expander.subtract_all(&keys, &mut all);
            assert_eq!(all, cells, "{count} cells");
            assert!(expander.block.iter().all(|byte| *byte == 0), "nothing of a stream is left");
        }
    }

    proptest! {
        #[test]
        fn masks_cancel_in_any_order(cells in prop::collection::vec(any::<u128>(), 1..200)) {
            let keys: Vec<_> = (0..3)
                .map(|n| seed(n).column(&[9; 32], &format!("h-{n}").parse().unwrap(), 2))
                .collect();
            let mut masked = cells.clone();
            let mut expander = Expander::default();
            keys.iter().for_each(|key| expander.add(key, &mut masked));
            prop_assert_ne!(&masked, &cells);
            keys.iter().rev().for_each(|key| expander.subtract(key, &mut masked));
            prop_assert_eq!(masked, cells);
        }
    }
}
