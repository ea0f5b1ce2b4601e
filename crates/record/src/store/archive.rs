//! A party's file, open for reading only: for stewards and auditors.
//!
//! It may be read while its party writes, and a copy may be read from a place that cannot be
//! written. It never changes anything in the file.

use std::fmt;
use std::path::{Path, PathBuf};

use model::Peer;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::open::{BUSY, beside, owner};
use super::problem::{Problem, RecordError};
use super::schema;

/// A party's file that can only be read.
pub struct Archive {
    path: PathBuf,
    party: Peer,
    connection: Connection,
}

impl Archive {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// [`RecordError`]: the file is missing, damaged or newer than this program.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let at = |problem| RecordError::new(path, problem);
        let connection = connect(path).map_err(at)?;
        let origin = owner(&connection).map_err(at)?;
        let party = origin
            .parse()
            .map_err(|_| at(Problem::damaged("it does not say whose record it is")))?;
        Ok(Self { path: path.to_owned(), party, connection })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose file it is.
    #[must_use]
    pub const fn party(&self) -> &Peer {
        &self.party
    }

    /// Runs `work` on one state of the file.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Problem>,
    ) -> Result<T, RecordError> {
        let whole = || {
            let transaction = self.connection.unchecked_transaction()?;
            work(&transaction)
        };
        whole().map_err(|problem| RecordError::new(&self.path, problem))
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Archive({}, {})", self.path.display(), self.party)
    }
}

/// What a look at the record in `folder` finds, without changing it: how many entries the log of
/// `party` has, or that nothing was ever written there.
///
/// # Errors
/// [`RecordError`]: the file is damaged, gone, newer than this program or another party's.
pub fn look_at(folder: &Path, party: &Peer) -> Result<Option<u64>, RecordError> {
    let path = folder.join(crate::FILE);
    let at = |problem| RecordError::new(&path, problem);
    if !path.exists() {
        let was_there = beside(&path, ".lock").exists();
        return if was_there { Err(at(Problem::Gone)) } else { Ok(None) };
    }
    let archive = Archive::open(&path)?;
    if archive.party != *party {
        let (found, expected) = (archive.party.to_string(), party.to_string());
        return Err(at(Problem::OtherParty { found, expected }));
    }
    archive.read(crate::log::check_end)?;
    archive.size().map(Some)
}

fn connect(path: &Path) -> Result<Connection, Problem> {
    match std::fs::metadata(path) {
        Ok(found) if found.len() == 0 => return Err(Problem::damaged("it is empty")),
        Ok(_) => {}
        Err(error) => return Err(Problem::Open(error)),
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let open = |name: &str| {
        let connection = Connection::open_with_flags(name, flags)?;
        connection.busy_timeout(BUSY)?;
        schema::check_newest(&connection)?;
        Ok::<_, Problem>(connection)
    };
    let name = uri(path);
    match open(&name) {
        // A copy in a folder that cannot be written: SQLite wants to put its index of the
        // write-ahead log there. Without such a log the file does not change while it is read.
        Err(Problem::Database(error))
            if needs_a_place(&*error) && !beside(path, "-wal").exists() =>
        {
            open(&format!("{name}?immutable=1"))
        }
        other => other,
    }
}

fn needs_a_place(error: &(dyn std::error::Error + 'static)) -> bool {
    let error = error.downcast_ref::<rusqlite::Error>();
    let code = error.and_then(rusqlite::Error::sqlite_error_code);
    matches!(code, Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

/// `file:` and the path, with everything escaped that has a meaning in a URI.
fn uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-~".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}
