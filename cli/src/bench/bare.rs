//! The yardstick of masks: AES-256-GCM as ring has it, sealing and nothing else.
//!
//! One key, set up once; blocks of the size at which it is fastest. No key is derived, nothing is zeroed
//! before and nothing added up after.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::exit::Failure;

/// Bytes sealed at a time: where the cipher is at its fastest.
const BLOCK_BYTES: usize = 64 * 1024;

/// Seals junk.
pub(super) struct Bare {
    cipher: LessSafeKey,
    block: Vec<u8>,
}

fn failed(_: ring::error::Unspecified) -> Failure {
    Failure::Internal("measuring masks: AES-256-GCM does not seal".to_owned())
}

impl Bare {
    pub(super) fn new() -> Result<Self, Failure> {
        let key = UnboundKey::new(&AES_256_GCM, &[7; 32]).map_err(failed)?;
        Ok(Self { cipher: LessSafeKey::new(key), block: vec![0; BLOCK_BYTES] })
    }

    /// Seals all of `bytes` where they are, block by block.
    pub(super) fn seal(&self, bytes: &mut [u8]) -> Result<(), Failure> {
        bytes.chunks_mut(BLOCK_BYTES).try_for_each(|block| seal(&self.cipher, block))
    }

    /// Makes the bytes of one stream of this length, all in the same block of memory.
    pub(super) fn expand(&mut self, bytes: usize) -> Result<(), Failure> {
        let mut left = bytes;
        while left > 0 {
            let length = left.min(BLOCK_BYTES);
            seal(&self.cipher, &mut self.block[..length])?;
            left -= length;
        }
        Ok(())
    }
}

fn seal(cipher: &LessSafeKey, block: &mut [u8]) -> Result<(), Failure> {
    // What is sealed is thrown away, so the nonce may be the same each time.
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    cipher.seal_in_place_separate_tag(nonce, Aad::empty(), block).map(|_| ()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_sealed() {
        let mut bare = Bare::new().unwrap();
        let mut bytes = vec![0; 2 * BLOCK_BYTES + 48];
        bare.seal(&mut bytes).unwrap();
        // Each block is the same stream, because its key and nonce are.
        assert_eq!(bytes[..48], bytes[2 * BLOCK_BYTES..]);
        assert_eq!(bytes[..BLOCK_BYTES], bytes[BLOCK_BYTES..2 * BLOCK_BYTES]);
        assert!(bytes.chunks(16).all(|cell| cell != [0; 16]));
        bare.expand(BLOCK_BYTES + 48).unwrap();
        // The first 48 bytes were sealed twice over: twice the stream is zeros again.
        assert_eq!(bare.block[..48], [0; 48]);
        assert_eq!(bare.block[48..], bytes[48..BLOCK_BYTES]);
    }
}
