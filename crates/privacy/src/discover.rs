//! Names of codes that nobody has listed, found without saying whose they are.
//!
//! First a masked round counts persons in hashed buckets ([`crate::Domain::Buckets`]); then each
//! hospital names the codes that it holds in the buckets that passed. Names travel in two layers:
//! inside, a deterministic encryption under a key that coordinator and nodes share, so that the
//! witness can unite equal names without reading them; outside, a seal for the witness, so that
//! the coordinator gets the union only and never a single hospital's list.

use std::collections::BTreeSet;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;

use crate::blind::RoundKey;
use crate::canonical::Writer;
use crate::domain::MAX_CODE_BYTES;

/// Bytes of one hidden name, whatever its length.
pub const HIDDEN_BYTES: usize = 12 + 2 + MAX_CODE_BYTES + 16;
/// Lists are padded to a multiple of this many names, so that their length says little.
pub const PADDED_NAMES: usize = 64;
/// Most names of one hospital in one discovery.
pub const MAX_NAMES: usize = 1 << 18;

/// Names that are not names of this round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the names are not those of this round")]
pub struct Unreadable;

/// Hides and reads the names of one round.
#[derive(Debug)]
pub struct NameKey {
    cipher: LessSafeKey,
    nonces: hmac::Key,
}

/// What the witness signs before names may be given: the round and its passing buckets, ascending.
#[must_use]
pub fn buckets_digest(sid: &[u8; 32], buckets: &[u32]) -> [u8; 32] {
    let mut writer = Writer::new("consilium/buckets/v1");
    writer.bytes(sid);
    let bytes: Vec<u8> = buckets.iter().flat_map(|bucket| bucket.to_le_bytes()).collect();
    writer.bytes(&bytes);
    writer.hash()
}

/// What a hospital signs of its sealed list: without it, a coordinator could put lists of its own
/// in the place of all others and read the union as one hospital's.
#[must_use]
pub fn names_digest(sid: &[u8; 32], sealed: &[u8]) -> [u8; 32] {
    let mut writer = Writer::new("consilium/names/v1");
    writer.bytes(sid);
    writer.bytes(sealed);
    writer.hash()
}

impl NameKey {
    /// The key of a round.
    ///
    /// # Errors
    /// [`Unreadable`], never for a key of the right length.
    pub fn new(round: &RoundKey) -> Result<Self, Unreadable> {
        let cipher = UnboundKey::new(&AES_256_GCM, round.derive("names").as_ref());
        let nonces = hmac::Key::new(hmac::HMAC_SHA256, round.derive("name-nonces").as_ref());
        Ok(Self { cipher: LessSafeKey::new(cipher.map_err(|_| Unreadable)?), nonces })
    }

    /// Hides a code: equal codes give equal bytes, and all have one length. The nonce is a
    /// keyed hash of the code, so two codes never share one (as in RFC 5297, SIV).
    ///
    /// # Errors
    /// [`Unreadable`] when the code is longer than codes are.
    pub fn hide(&self, code: &str) -> Result<Vec<u8>, Unreadable> {
        let length = u16::try_from(code.len()).ok().filter(|_| code.len() <= MAX_CODE_BYTES);
        let mut text = length.ok_or(Unreadable)?.to_le_bytes().to_vec();
        text.extend(code.as_bytes());
        text.resize(2 + MAX_CODE_BYTES, 0);
        let tag = hmac::sign(&self.nonces, code.as_bytes());
        let mut nonce = [0u8; 12];
        nonce.copy_from_slice(&tag.as_ref()[..12]);
        let sealing = Nonce::assume_unique_for_key(nonce);
        self.cipher
            .seal_in_place_append_tag(sealing, Aad::empty(), &mut text)
            .map_err(|_| Unreadable)?;
        Ok([nonce.as_slice(), &text].concat())
    }

    /// Reads a hidden code.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read(&self, hidden: &[u8]) -> Result<String, Unreadable> {
        if hidden.len() != HIDDEN_BYTES {
            return Err(Unreadable);
        }
        let (nonce, text) = hidden.split_at(12);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unreadable)?;
        let mut text = text.to_vec();
        let text =
            self.cipher.open_in_place(nonce, Aad::empty(), &mut text).map_err(|_| Unreadable)?;
        let (length, code) = text.split_at_checked(2).ok_or(Unreadable)?;
        let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
        let code = code.get(..length).ok_or(Unreadable)?;
        String::from_utf8(code.to_vec()).map_err(|_| Unreadable)
    }
}

/// One hospital's list as bytes to be sealed: hidden names, ascending, padded with zeros.
///
/// # Errors
/// [`Unreadable`] when there are too many names or one is too long.
pub fn pack<'a>(
    key: &NameKey,
    codes: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<u8>, Unreadable> {
    let hidden =
        codes.into_iter().map(|code| key.hide(code)).collect::<Result<BTreeSet<_>, _>>()?;
    if hidden.len() > MAX_NAMES {
        return Err(Unreadable);
    }
    let names = hidden.len().next_multiple_of(PADDED_NAMES).max(PADDED_NAMES);
    let mut bytes: Vec<u8> = hidden.into_iter().flatten().collect();
    bytes.resize(names * HIDDEN_BYTES, 0);
    Ok(bytes)
}

/// The union of hospitals' lists, still hidden, ascending; the witness's part.
///
/// # Errors
/// [`Unreadable`] when a list has not the form of [`pack`].
pub fn unite<'a>(
    lists: impl IntoIterator<Item = &'a [u8]>,
) -> Result<BTreeSet<Vec<u8>>, Unreadable> {
    let mut union = BTreeSet::new();
    for list in lists {
        if list.len() % HIDDEN_BYTES != 0 || list.len() / HIDDEN_BYTES > MAX_NAMES + PADDED_NAMES {
            return Err(Unreadable);
        }
        let names = list.chunks_exact(HIDDEN_BYTES);
        union.extend(names.filter(|name| name.iter().any(|byte| *byte != 0)).map(<[u8]>::to_vec));
    }
    Ok(union)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn key(byte: u8) -> NameKey {
        NameKey::new(&RoundKey::new(Zeroizing::new([byte; 32]))).unwrap()
    }

    #[test]
    fn equal_names_unite_and_nobody_outside_reads_them() {
        let (mine, other) = (key(1), key(2));
        let first = pack(&mine, ["A01", "B02"]).unwrap();
        let second = pack(&mine, ["B02", "主要诊断"]).unwrap();
        assert_eq!(first.len(), PADDED_NAMES * HIDDEN_BYTES, "one length for short lists");
        let union = unite([first.as_slice(), &second]).unwrap();
        let mut names: Vec<_> = union.iter().map(|name| mine.read(name).unwrap()).collect();
        names.sort();
        assert_eq!(names, ["A01", "B02", "主要诊断"]);
        assert!(union.iter().all(|name| other.read(name).is_err()));
        assert!(!union.iter().any(|name| name.windows(3).any(|part| part == b"A01")));
        assert_ne!(mine.hide("A01").unwrap(), other.hide("A01").unwrap());
    }

    #[test]
    fn malformed_lists_and_names_are_refused() {
        let mine = key(1);
        assert!(unite([[0u8; HIDDEN_BYTES - 1].as_slice()]).is_err());
        assert!(mine.hide(&"x".repeat(MAX_CODE_BYTES + 1)).is_err());
        let mut hidden = mine.hide("A01").unwrap();
        hidden[20] ^= 1;
        assert!(mine.read(&hidden).is_err() && mine.read(&[]).is_err());
    }
}
