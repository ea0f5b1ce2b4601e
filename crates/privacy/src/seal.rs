//! Messages that only one party may read, carried by another: HPKE (RFC 9180), base mode,
//! DHKEM(X25519, HKDF-SHA-256), HKDF-SHA-256, AES-256-GCM.
//!
//! A node seals its seed to the witness, the witness seals the round's guard key to each node; the
//! coordinator carries both and reads neither.

use std::fmt;

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{CryptoRng, RngCore};
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal,
};
use zeroize::Zeroizing;

use crate::sign::SigningKey;

/// Bytes by which a sealed message is longer than its text: the encapsulated key and the tag.
pub const OVERHEAD_BYTES: usize = 32 + 16;
const ENCAPSULATED_BYTES: usize = 32;

/// A key that opens sealed messages. Erased when dropped; never printed.
pub struct SealKey {
    secret: Zeroizing<[u8; 32]>,
    public: [u8; 32],
}

/// A message that this key does not open: damaged, for somebody else, or in another context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed message cannot be opened")]
pub struct Unopened;

/// Hands randomness that was drawn outside to the library, once.
struct Given {
    bytes: Zeroizing<[u8; 32]>,
    used: usize,
}

impl RngCore for Given {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0u8; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0u8; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        // The key exchange draws 32 bytes. A longer draw continues with a derived block, so the
        // stream never repeats.
        for byte in out {
            if self.used == self.bytes.len() {
                self.bytes = Zeroizing::new(crate::sign::derive(&self.bytes, &[b"more"]));
                self.used = 0;
            }
            *byte = self.bytes[self.used];
            self.used += 1;
        }
    }
}

impl CryptoRng for Given {}

impl SealKey {
    /// The key pair of 32 random bytes.
    #[must_use]
    pub fn from_random(random: &Zeroizing<[u8; 32]>) -> Self {
        let (secret, public) = X25519HkdfSha256::derive_keypair(random.as_ref());
        let mut key = Self { secret: Zeroizing::new([0; 32]), public: [0; 32] };
        key.secret.copy_from_slice(&secret.to_bytes());
        key.public.copy_from_slice(&public.to_bytes());
        key
    }

    /// The lasting key pair of a party, from its signing key's file.
    #[must_use]
    pub fn from_signing(key: &SigningKey) -> Self {
        Self::from_random(&key.derive("seal"))
    }

    /// The public half, to be published.
    #[must_use]
    pub const fn public(&self) -> [u8; 32] {
        self.public
    }

    /// Opens a message that was sealed for this key in `context` with `bound` data.
    ///
    /// # Errors
    /// [`Unopened`].
    pub fn open(
        &self,
        context: &str,
        bound: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let (encapsulated, text) = sealed.split_at_checked(ENCAPSULATED_BYTES).ok_or(Unopened)?;
        let secret = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(self.secret.as_ref());
        let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated);
        let (secret, encapsulated) =
            (secret.map_err(|_| Unopened)?, encapsulated.map_err(|_| Unopened)?);
        single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &secret,
            &encapsulated,
            context.as_bytes(),
            text,
            bound,
        )
        .map(Zeroizing::new)
        .map_err(|_| Unopened)
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

/// Seals `text` for the holder of `public`, in `context`, bound to `bound`; `random` is used for
/// this message only.
///
/// # Errors
/// [`Unopened`] when `public` is no key.
pub fn seal(
    public: &[u8; 32],
    context: &str,
    bound: &[u8],
    text: &[u8],
    random: Zeroizing<[u8; 32]>,
) -> Result<Vec<u8>, Unopened> {
    let public = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(public).map_err(|_| Unopened)?;
    let mut random = Given { bytes: random, used: 0 };
    let (encapsulated, sealed) = single_shot_seal::<AesGcm256, HkdfSha256, X25519HkdfSha256, _>(
        &OpModeS::Base,
        &public,
        context.as_bytes(),
        text,
        bound,
        &mut random,
    )
    .map_err(|_| Unopened)?;
    Ok([encapsulated.to_bytes().as_slice(), &sealed].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(seed: u8) -> Zeroizing<[u8; 32]> {
        Zeroizing::new([seed; 32])
    }

    #[test]
    fn only_the_addressee_opens_and_only_in_context() {
        let (key, other) = (SealKey::from_random(&random(1)), SealKey::from_random(&random(2)));
        let sealed = seal(&key.public(), "seed", b"sid", b"secret", random(3)).unwrap();
        assert_eq!(sealed.len(), 6 + OVERHEAD_BYTES);
        assert_eq!(*key.open("seed", b"sid", &sealed).unwrap(), b"secret");
        assert!(other.open("seed", b"sid", &sealed).is_err());
        assert!(key.open("name", b"sid", &sealed).is_err());
        assert!(key.open("seed", b"sie", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(key.open("seed", b"sid", &damaged).is_err(), "byte {at}");
        }
        assert!(key.open("seed", b"sid", &sealed[..20]).is_err());
    }

    #[test]
    fn the_key_derivation_is_that_of_rfc_9180() {
        // RFC 9180, A.1.1 (DHKEM(X25519, HKDF-SHA256)): skRm and pkRm from ikmR.
        let ikm = crate::sign::unhex32(
            "6db9df30aa07dd42ee5e8181afdb977e538f5e1fec8a06223f33f7013e525037",
        );
        let key = SealKey::from_random(&Zeroizing::new(ikm.unwrap()));
        assert_eq!(
            crate::sign::hex(&key.public()),
            "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d"
        );
    }
}
