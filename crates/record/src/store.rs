//! One SQLite file of one party, with one writer.
//!
//! It guarantees that a transaction that was reported as done is on disk (`synchronous=FULL`; in
//! WAL mode that is one fsync), except one that is written ahead of another, which is on disk when
//! the other is; that one process at a time writes the file, and that a file which is damaged, newer
//! than this program or another party's is refused, never made anew. Missing files are made under
//! another name first, so that a crash leaves a whole file or none. A file that is gone while its
//! lock file is there is refused as well; without that, a lost file cannot be told from a new party
//! here, but the checkpoints that others have accepted can tell ([`crate::audit`]).
//!
//! Calls block, for a few milliseconds as a rule: use them where blocking is allowed.

mod archive;
mod open;
mod problem;
mod schema;

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use model::Peer;
use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use archive::{Archive, look_at};
pub use problem::{Problem, RecordError};

/// Tickets that were dropped without being settled; refunded with the next reservation.
pub(crate) type Abandoned = Arc<Mutex<Vec<i64>>>;

/// A party's file, open for reading and writing. Clones share it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    path: PathBuf,
    party: Peer,
    connection: Mutex<Connection>,
    abandoned: Abandoned,
    /// Held for as long as the file is open, so that no second process takes it for its own.
    _lock: File,
}

impl Store {
    /// Opens the file at `path`, or makes it if there is none, for `party`. Reservations that a
    /// crash left open are refunded, with an entry at time `now` (RFC 3339). The database reads
    /// its whole file once to look for damage, so this takes as long as that.
    ///
    /// # Errors
    /// [`RecordError`]: the file is in use, damaged, newer, or another party's.
    pub fn open(path: &Path, party: &Peer, now: &str) -> Result<Self, RecordError> {
        let at = |problem| RecordError::new(path, problem);
        let (connection, lock) = open::for_writing(path, party).map_err(at)?;
        let inner = Inner {
            path: path.to_owned(),
            party: party.clone(),
            connection: Mutex::new(connection),
            abandoned: Abandoned::default(),
            _lock: lock,
        };
        let store = Self(Arc::new(inner));
        store.recover(now)?;
        Ok(store)
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Whose file it is; the origin of its checkpoints.
    #[must_use]
    pub fn party(&self) -> &Peer {
        &self.0.party
    }

    pub(crate) fn abandoned(&self) -> &Abandoned {
        &self.0.abandoned
    }

    /// Runs `work` in one transaction: all of it is on disk, or nothing happened.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Problem>,
    ) -> Result<T, RecordError> {
        self.run(TransactionBehavior::Immediate, "FULL", work)
    }

    /// Runs `work` in one transaction that outlives this process, and outlives a power cut together
    /// with the next one of [`Store::write`]: the write-ahead log is one file, written in order, and
    /// the next sync is of all of it. For what means nothing without what comes after.
    pub(crate) fn write_ahead<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Problem>,
    ) -> Result<T, RecordError> {
        self.run(TransactionBehavior::Immediate, "NORMAL", work)
    }

    /// Runs `work` on one state of the file.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Problem>,
    ) -> Result<T, RecordError> {
        self.run(TransactionBehavior::Deferred, "FULL", work)
    }

    fn run<T>(
        &self,
        behavior: TransactionBehavior,
        synchronous: &str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Problem>,
    ) -> Result<T, RecordError> {
        // A panic elsewhere rolled its transaction back, so the connection is as good as before.
        let mut connection = self.0.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = || {
            connection.pragma_update(None, "synchronous", synchronous)?;
            let transaction = connection.transaction_with_behavior(behavior)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        whole().map_err(|problem| RecordError::new(&self.0.path, problem))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({}, {})", self.0.path.display(), self.0.party)
    }
}

/// A count or index as the database holds it.
pub(crate) fn to_column(value: u64) -> Result<i64, Problem> {
    i64::try_from(value).map_err(|_| Problem::damaged("a number is beyond 2^63"))
}

/// A count or index from the database.
pub(crate) fn from_column(value: i64) -> Result<u64, Problem> {
    u64::try_from(value).map_err(|_| Problem::damaged("a number is negative"))
}

#[cfg(test)]
mod tests;
