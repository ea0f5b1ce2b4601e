//! Files that are there whole or not at all, and stay there when the power fails.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crate::CertsError;
use crate::random::random;

/// Larger than any file this crate reads; beyond it the file is something else.
const FILE_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody: certificates, rosters, revocation lists.
    Public,
    /// Its owner only: mode 0600 on Unix, set when the file is made and not afterwards.
    Private,
}

/// Writes a secret to a new file that only its owner may read.
///
/// The file appears under its name complete and synchronised, so a crash leaves the whole key or
/// none. The name is given with a hard link, because a rename would replace a key that is there.
///
/// # Errors
/// [`CertsError::Write`] when the file exists already, whatever it holds, or cannot be written.
pub fn write_private(path: &Path, text: &str) -> Result<(), CertsError> {
    let partial = partial_of(path)?;
    let placed = fill(&partial, text.as_bytes(), Access::Private)
        .and_then(|()| fs::hard_link(&partial, path));
    // Without the other name the file is only a name too many.
    let _ = fs::remove_file(&partial);
    placed.and_then(|()| sync_folder_of(path)).map_err(|source| write_error(path, source))
}

/// Writes a file, in the place of the old one if there is one: readers see the old or the new,
/// never a part, and once this returns the new one survives a crash.
///
/// # Errors
/// [`CertsError::Write`]; the old file is then as it was.
pub fn replace(path: &Path, bytes: &[u8], access: Access) -> Result<(), CertsError> {
    let partial = partial_of(path)?;
    let placed = fill(&partial, bytes, access).and_then(|()| fs::rename(&partial, path));
    if placed.is_err() {
        let _ = fs::remove_file(&partial);
    }
    placed.and_then(|()| sync_folder_of(path)).map_err(|source| write_error(path, source))
}

/// The file's text; `None` when there is no such file.
///
/// # Errors
/// [`CertsError::Read`] when it cannot be read, is no text or is too large.
pub fn read(path: &Path) -> Result<Option<String>, CertsError> {
    let failed = |source| CertsError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    let length = file.take(FILE_MAX_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if u64::try_from(length).unwrap_or(u64::MAX) > FILE_MAX_BYTES {
        return Err(failed(ErrorKind::FileTooLarge.into()));
    }
    Ok(Some(text))
}

fn fill(path: &Path, bytes: &[u8], access: Access) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if access == Access::Private {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A name beside `path` that nobody else uses; left behind only by a crash.
fn partial_of(path: &Path) -> Result<PathBuf, CertsError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.partial", privacy::sign::hex(&random::<8>()?)));
    Ok(PathBuf::from(name))
}

/// A rename is durable once its folder is.
fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

pub(crate) fn write_error(path: &Path, source: std::io::Error) -> CertsError {
    CertsError::Write { path: path.to_owned(), source }
}
