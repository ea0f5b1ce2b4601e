//! A party's own keys: made by itself, in two files that never leave it.

use std::fmt;
use std::path::Path;

use privacy::seal::SealKey;
use privacy::sign::{SigningKey, VerifyKey, hex};
use rcgen::{KeyPair, PublicKeyData, SubjectPublicKeyInfo};
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use crate::CertsError;
use crate::files::{read, write_private};
use crate::random::random;

/// The TLS key, which proves who is at the other end of a connection now, and the signing key,
/// which proves to third parties who said what. `Debug` shows neither.
pub struct PartyKeys {
    tls: KeyPair,
    signing: SigningKey,
}

/// The public halves: what an authority vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeys {
    /// For TLS.
    pub(crate) tls: SubjectPublicKeyInfo,
    /// Verifies the party's signatures.
    pub sign: VerifyKey,
    /// X25519: for messages that only this party may read.
    pub seal: [u8; 32],
}

impl PartyKeys {
    /// Reads the keys; those whose file is absent are made and written, mode 0600.
    ///
    /// # Errors
    /// [`CertsError`], naming the file.
    pub fn open_or_create(tls: &Path, signing: &Path) -> Result<Self, CertsError> {
        if read(tls)?.is_none() {
            write_private(tls, &KeyPair::generate()?.serialize_pem())?;
        }
        if read(signing)?.is_none() {
            write_private(signing, &SigningKey::from_seed(random()?).to_text())?;
        }
        Self::open(tls, signing)
    }

    /// Reads both keys.
    ///
    /// # Errors
    /// [`CertsError`], naming the file; never what a file holds.
    pub fn open(tls: &Path, signing: &Path) -> Result<Self, CertsError> {
        let unusable = |path: &Path, wanted| CertsError::Key { path: path.to_owned(), wanted };
        let absent = |path: &Path| CertsError::Read {
            path: path.to_owned(),
            source: std::io::ErrorKind::NotFound.into(),
        };
        let text = Zeroizing::new(read(tls)?.ok_or_else(|| absent(tls))?);
        let pair = KeyPair::from_pem(&text).map_err(|_| unusable(tls, "private key (PKCS #8)"))?;
        Ok(Self { tls: pair, signing: signing_key(signing)? })
    }

    /// The signing key.
    #[must_use]
    pub const fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// The public halves.
    ///
    /// # Errors
    /// [`CertsError::Encode`] when the TLS key is of a kind that is not supported.
    pub fn public(&self) -> Result<PublicKeys, CertsError> {
        let tls = SubjectPublicKeyInfo::from_der(&self.tls.subject_public_key_info())?;
        let seal = SealKey::from_signing(&self.signing).public();
        Ok(PublicKeys { tls, sign: self.signing.verify_key(), seal })
    }

    pub(crate) const fn tls(&self) -> &KeyPair {
        &self.tls
    }
}

impl fmt::Debug for PartyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartyKeys")
            .field("sign", &self.signing.verify_key())
            .finish_non_exhaustive()
    }
}

impl PublicKeys {
    /// SHA-256 of the TLS key, by which a record knows it.
    pub(crate) fn tls_hash(&self) -> String {
        hex(digest(&SHA256, &self.tls.subject_public_key_info()).as_ref())
    }
}

/// Reads the file of a signing key.
pub(crate) fn signing_key(path: &Path) -> Result<SigningKey, CertsError> {
    let wanted = "signing key (64 hexadecimal digits)";
    let unusable = || CertsError::Key { path: path.to_owned(), wanted };
    let text = read(path)?.ok_or_else(|| CertsError::Read {
        path: path.to_owned(),
        source: std::io::ErrorKind::NotFound.into(),
    })?;
    SigningKey::parse(&Zeroizing::new(text)).map_err(|_| unusable())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_private_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let (tls, signing) = (folder.path().join("a.key"), folder.path().join("signing.key"));
        let missing = PartyKeys::open(&tls, &signing).unwrap_err();
        assert!(matches!(missing, CertsError::Read { .. }), "{missing}");
        let first = PartyKeys::open_or_create(&tls, &signing).unwrap();
        let again = PartyKeys::open_or_create(&tls, &signing).unwrap();
        assert_eq!(again.public().unwrap(), first.public().unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
        #[cfg(unix)]
        for path in [&tls, &signing] {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(&signing, "spoiled").unwrap();
        let spoiled = PartyKeys::open_or_create(&tls, &signing).unwrap_err();
        assert!(spoiled.to_string().contains("signing.key holds no signing key"), "{spoiled}");
        assert_eq!(std::fs::read_to_string(&signing).unwrap(), "spoiled", "kept for its owner");
        assert!(!format!("{first:?}").contains("PRIVATE"));
    }
}
