//! PEM files: read within a bound, with errors that name the file.

use std::io::Read;
use std::path::Path;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::IdentityError;

/// Room for a revocation list of about 100,000 entries; beyond it the list should be pruned.
const PEM_MAX_BYTES: u64 = 8 * 1024 * 1024;

pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    all(path, "certificate")
}

pub(super) fn revocation_lists(
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, IdentityError> {
    all(path, "revocation list")
}

pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, IdentityError> {
    PrivateKeyDer::from_pem_slice(&read(path)?)
        .map_err(|error| unreadable(path, "private key", &error))
}

/// At least one object of the wanted kind.
fn all<T: PemObject>(path: &Path, wanted: &'static str) -> Result<Vec<T>, IdentityError> {
    let objects: Vec<T> = T::pem_slice_iter(&read(path)?)
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(path, wanted, &error))?;
    if objects.is_empty() {
        return Err(IdentityError::Missing { path: path.to_owned(), wanted });
    }
    Ok(objects)
}

/// The parser's own text is left out where it could repeat a line of a key file.
fn unreadable(path: &Path, wanted: &'static str, error: &pem::Error) -> IdentityError {
    let path = path.to_owned();
    match error {
        pem::Error::NoItemsFound => IdentityError::Missing { path, wanted },
        _ => IdentityError::Unusable { path, reason: format!("the {wanted} is not valid PEM") },
    }
}

fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    let failed = |source| IdentityError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(PEM_MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > PEM_MAX_BYTES {
        let reason = format!("it is larger than {PEM_MAX_BYTES} bytes");
        return Err(IdentityError::Unusable { path: path.to_owned(), reason });
    }
    Ok(bytes)
}
