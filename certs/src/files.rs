//! Writing secrets.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use crate::CertsError;

/// Writes a secret to a new file that only its owner may read (mode 0600 on Unix, set when the
/// file is created and not afterwards).
///
/// # Errors
/// [`CertsError::Write`] when the file exists already, whatever it holds, or cannot be written.
pub fn write_private(path: &Path, text: &str) -> Result<(), CertsError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .map_err(|source| CertsError::Write { path: path.to_owned(), source })
}
