//! From a path to a connection: the lock, the making of a new file, the checks of an old one.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use model::Peer;
use rusqlite::{Connection, OpenFlags, params};

use super::problem::Problem;
use super::schema;
use crate::log;

/// Waiting for another process to let go of the file, as at a restart: tries and pause.
const LOCK_TRIES: u32 = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// Waiting for an auditor who reads while we write.
pub(super) const BUSY: Duration = Duration::from_secs(5);
/// The write-ahead log is cut back to this many bytes when it has been larger.
const WAL_BYTES: i64 = 16 * 1024 * 1024;

/// Opens or makes the file, and takes the lock beside it.
pub(super) fn for_writing(path: &Path, party: &Peer) -> Result<(Connection, File), Problem> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Problem::Open)?;
    }
    let known = beside(path, ".lock").exists();
    let lock = lock(&beside(path, ".lock"))?;
    match fs::metadata(path) {
        Err(error) if known && error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Problem::Gone);
        }
        Ok(found) if found.len() == 0 => return Err(Problem::damaged("it is empty")),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(path, party)?,
        Err(error) => return Err(Problem::Open(error)),
    }
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    schema::check(&connection)?;
    configure(&connection)?;
    schema::inspect(&connection)?;
    schema::migrate(&mut connection)?;
    let found = owner(&connection)?;
    if found != party.to_string() {
        return Err(Problem::OtherParty { found, expected: party.to_string() });
    }
    log::check_end(&connection)?;
    Ok((connection, lock))
}

/// `path` with `ending` added to its name.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}

/// Whose file it is, as text.
pub(super) fn owner(connection: &Connection) -> Result<String, Problem> {
    Ok(connection.query_row("SELECT origin FROM party", [], |row| row.get(0))?)
}

/// A lock of our own: SQLite's must stay free for auditors, and are lost when a process opens the
/// file a second time.
fn lock(path: &Path) -> Result<File, Problem> {
    let file = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(path)
        .map_err(Problem::Open)?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(Problem::Open(error)),
        }
    }
    Err(Problem::InUse)
}

/// Makes the file under another name and gives it its own when it is whole.
fn make(path: &Path, party: &Peer) -> Result<(), Problem> {
    if beside(path, "-wal").exists() {
        return Err(Problem::damaged("it is gone, but its -wal file is there"));
    }
    let incoming = beside(path, ".incoming");
    for ending in ["", "-journal", "-wal", "-shm"] {
        match fs::remove_file(beside(&incoming, ending)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Problem::Open(error));
            }
            _ => {}
        }
    }
    let mut connection = Connection::open_with_flags(
        &incoming,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    configure(&connection)?;
    schema::migrate(&mut connection)?;
    let origin = party.to_string();
    connection.execute("INSERT INTO party (id, origin) VALUES (1, ?1)", params![origin])?;
    // Closing moves everything from the write-ahead log into the file.
    connection.close().map_err(|(_, error)| error)?;
    let whole = || {
        File::open(&incoming)?.sync_all()?;
        fs::rename(&incoming, path)?;
        // The new name has to survive a power cut as well.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    };
    whole().map_err(Problem::Open)
}

fn configure(connection: &Connection) -> Result<(), Problem> {
    connection.busy_timeout(BUSY)?;
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF; PRAGMA journal_size_limit = {WAL_BYTES};"
    ))?;
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode == "wal" {
        return Ok(());
    }
    let reason = "its folder does not support write-ahead logging; use a local disk";
    Err(Problem::Open(std::io::Error::other(reason)))
}
