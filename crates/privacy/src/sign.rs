//! Signatures of offers, receipts, rosters and checkpoints: Ed25519 (RFC 8032) with ring.
//!
//! The signing key is not the TLS key: a connection proves who is there now, a signature proves to
//! a third party who said what. A key file holds 32 random bytes in hex; the Ed25519 key and, for
//! sealed messages, the X25519 key ([`mod@crate::seal`]) are both derived from it.
//!
//! Every signed message starts with a context, so that a signature of one kind never passes for
//! one of another.

use std::fmt;

use ring::hkdf;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use zeroize::Zeroizing;

/// What a signature is for; prefixes the signed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// A sid, by coordinator and witness.
    Offer,
    /// An upload, by a node.
    Receipt,
    /// A roster, by the region's authority.
    Roster,
    /// The buckets that discovery may name, by the witness.
    Buckets,
    /// A sealed list of names, by a node.
    Names,
    /// A request to be enrolled, by the applicant and by the key of its one-time token.
    Enrolment,
    /// A checkpoint of an audit log. Its text is a signed note (C2SP signed-note) and has no
    /// prefix, so that other tools verify it; it begins with `spiffe://` and holds no NUL.
    Checkpoint,
}

impl Context {
    const fn prefix(self) -> &'static [u8] {
        match self {
            Self::Offer => b"consilium/offer/v1\0",
            Self::Receipt => b"consilium/receipt/v1\0",
            Self::Roster => b"consilium/roster/v1\0",
            Self::Buckets => b"consilium/buckets/v1\0",
            Self::Names => b"consilium/names/v1\0",
            Self::Enrolment => b"consilium/enrolment/v1\0",
            Self::Checkpoint => b"",
        }
    }

    fn message(self, bytes: &[u8]) -> Vec<u8> {
        // A text that begins like another context's message is no checkpoint; signed as one, it
        // must not pass for an offer or a receipt.
        let imitates = self == Self::Checkpoint && bytes.starts_with(b"consilium/");
        let prefix: &[u8] = if imitates { b"consilium/checkpoint/v1\0" } else { self.prefix() };
        [prefix, bytes].concat()
    }
}

/// The secret of one party, from its key file. Erased when dropped; never printed.
#[derive(Clone)]
pub struct SigningKey {
    seed: Zeroizing<[u8; 32]>,
}

/// A party's public key; hex in rosters and configurations.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VerifyKey([u8; 32]);

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

/// A key or signature that is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 64 hexadecimal digits.
    #[error("a key is 64 hexadecimal digits")]
    NotAKey,
    /// Not 64 bytes.
    #[error("a signature is 64 bytes")]
    NotASignature,
    /// The signature is not by this key over these bytes.
    #[error("the signature does not verify")]
    Forged,
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 32 bytes from 64 hexadecimal digits.
#[must_use]
pub fn unhex32(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0u8; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok().filter(|_| !pair.starts_with('+'))?;
    }
    Some(bytes)
}

/// Ends the process. Every length that is handed to the cryptographic library is a constant that
/// it accepts, so this is never reached; going on would leave cells in the clear, or sign and mask
/// with a key that everybody knows.
pub(crate) fn stop() -> ! {
    std::process::abort()
}

struct Length32;

impl hkdf::KeyType for Length32 {
    fn len(&self) -> usize {
        32
    }
}

/// HKDF-SHA-256 (RFC 5869): 32 bytes from `secret`, for the purpose `info`.
#[must_use]
pub fn derive(secret: &[u8; 32], info: &[&[u8]]) -> [u8; 32] {
    let mut derived = [0u8; 32];
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"consilium/v1");
    let secret = salt.extract(secret);
    if secret.expand(info, Length32).and_then(|stream| stream.fill(&mut derived)).is_err() {
        stop();
    }
    derived
}

impl SigningKey {
    /// The key with this seed: 32 bytes from a random source.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self { seed: Zeroizing::new(seed) }
    }

    /// Reads a key file's text: 64 hexadecimal digits, white space around them ignored.
    ///
    /// # Errors
    /// [`KeyError::NotAKey`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        unhex32(text.trim()).map(Self::from_seed).ok_or(KeyError::NotAKey)
    }

    /// The text of a key file.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{}\n", hex(self.seed.as_ref())))
    }

    /// A secret of its own for another purpose of the same party.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(derive(&self.seed, &[purpose.as_bytes()]))
    }

    fn pair(&self) -> Ed25519KeyPair {
        let pair = Ed25519KeyPair::from_seed_unchecked(self.derive("sign").as_ref());
        pair.unwrap_or_else(|_| stop())
    }

    /// The public half.
    #[must_use]
    pub fn verify_key(&self) -> VerifyKey {
        let mut key = [0u8; 32];
        key.copy_from_slice(self.pair().public_key().as_ref());
        VerifyKey(key)
    }

    /// Signs `bytes` in `context`.
    #[must_use]
    pub fn sign(&self, context: Context, bytes: &[u8]) -> Signature {
        let mut signature = [0u8; 64];
        signature.copy_from_slice(self.pair().sign(&context.message(bytes)).as_ref());
        Signature(signature)
    }
}

impl VerifyKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Checks that `signature` is this party's over `bytes` in `context`.
    ///
    /// # Errors
    /// [`KeyError::Forged`].
    pub fn verify(
        &self,
        context: Context,
        bytes: &[u8],
        signature: &Signature,
    ) -> Result<(), KeyError> {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(&context.message(bytes), &signature.0)
            .map_err(|_| KeyError::Forged)
    }
}

impl std::str::FromStr for VerifyKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        unhex32(text.trim()).map(Self).ok_or(KeyError::NotAKey)
    }
}

impl fmt::Display for VerifyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for VerifyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyKey({self})")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl Signature {
    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Signature {
    type Error = KeyError;

    fn try_from(bytes: &[u8]) -> Result<Self, KeyError> {
        bytes.try_into().map(Self).map_err(|_| KeyError::NotASignature)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", hex(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hkdf_matches_rfc_5869_through_the_same_calls() {
        // RFC 5869, test case 1, with ring's own parts: pins that extract and expand are HKDF.
        let ikm = [0x0b; 22];
        let salt: Vec<u8> = (0..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let mut okm = [0u8; 32];
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, &salt);
        salt.extract(&ikm).expand(&[&info], Length32).unwrap().fill(&mut okm).unwrap();
        assert_eq!(hex(&okm), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
    }

    #[test]
    fn a_signature_is_of_one_key_one_context_and_one_text() {
        let (key, other) = (SigningKey::from_seed([1; 32]), SigningKey::from_seed([2; 32]));
        let signature = key.sign(Context::Offer, b"sid");
        let verifies =
            |k: &SigningKey, c, bytes: &[u8]| k.verify_key().verify(c, bytes, &signature);
        assert_eq!(verifies(&key, Context::Offer, b"sid"), Ok(()));
        assert_eq!(verifies(&key, Context::Receipt, b"sid"), Err(KeyError::Forged));
        assert_eq!(verifies(&other, Context::Offer, b"sid"), Err(KeyError::Forged));
        assert_eq!(verifies(&key, Context::Offer, b"sie"), Err(KeyError::Forged));
        // Checkpoints have no prefix: a text that brings one along does not become an offer.
        let lured = key.sign(Context::Checkpoint, b"consilium/offer/v1\0sid");
        let offer = key.verify_key().verify(Context::Offer, b"sid", &lured);
        assert_eq!(offer, Err(KeyError::Forged));
    }

    #[test]
    fn a_key_file_round_trips_and_is_never_printed() {
        let key = SigningKey::from_seed([7; 32]);
        let again = SigningKey::parse(&key.to_text()).unwrap();
        assert_eq!(again.verify_key(), key.verify_key());
        assert_eq!(format!("{key:?}"), "SigningKey(..)");
        for bad in ["", "07", &"g".repeat(64), &"+1".repeat(32), &"é".repeat(32)] {
            assert!(SigningKey::parse(bad).is_err(), "{bad}");
        }
        let text = key.verify_key().to_string();
        assert_eq!(text.parse::<VerifyKey>().unwrap(), key.verify_key());
    }
}
