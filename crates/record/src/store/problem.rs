//! What can be wrong with a party's file, and the way out.

use std::error::Error;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::checkpoint::CheckpointError;
use crate::entry::EntryError;

/// A problem with the file at a path.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct RecordError {
    path: PathBuf,
    problem: Problem,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file or its folder cannot be opened.
    #[error("cannot be opened: {0}; check that the file is there and who may read and write it")]
    Open(std::io::Error),
    /// Another process has it.
    #[error("another process is using it; stop that one first, one writer at a time is allowed")]
    InUse,
    /// Its content is not what was written.
    #[error(
        "is damaged: {0}; keep it as it is and put back a copy of it made after the last release. \
         A new file would forget what was released, so none is made"
    )]
    Damaged(String),
    /// It was there once.
    #[error(
        "is gone, but the .lock file beside it says that it was there; put back a copy of it made \
         after the last release. Only if nothing was ever released here, remove the .lock file: a \
         new file would forget what was released"
    )]
    Gone,
    /// A later version of this program wrote it.
    #[error(
        "has format {found}, this program knows formats up to {known}; use the program that wrote \
         it or a later one"
    )]
    Newer {
        /// The file's format.
        found: i64,
        /// The newest format that is understood.
        known: i64,
    },
    /// An earlier version of this program wrote it, and it is only to be read.
    #[error(
        "has format {found}, this program reads format {known}; its party's program brings it there when \
         it starts the next time"
    )]
    Older {
        /// The file's format.
        found: i64,
        /// The format that is read.
        known: i64,
    },
    /// It belongs to somebody else.
    #[error("is the record of {found}, not of {expected}; check data_dir")]
    OtherParty {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// An entry that may not be written.
    #[error("an entry cannot be written: {0}")]
    Entry(#[from] EntryError),
    /// A checkpoint that may not be written.
    #[error("a checkpoint cannot be written: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// A ticket was settled before, or is of another file.
    #[error("has no open reservation for this ticket")]
    Settled,
    /// The database refused.
    #[error("cannot be read or written: {0}; check free space and the disk")]
    Database(#[source] Box<dyn Error + Send + Sync>),
}

impl RecordError {
    pub(crate) fn new(path: &Path, problem: Problem) -> Self {
        Self { path: path.to_owned(), problem }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong with it.
    #[must_use]
    pub const fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl Problem {
    pub(crate) fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged(reason.into())
    }
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged(error.to_string())
            }
            _ => match error {
                // Columns are written by this crate with the types it reads.
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::Utf8Error(..) => Self::Damaged(error.to_string()),
                other => Self::Database(Box::new(other)),
            },
        }
    }
}

impl From<tlog_tiles::Error> for Problem {
    /// Proofs are computed from stored hashes; that fails only when some cannot be read.
    fn from(error: tlog_tiles::Error) -> Self {
        Self::Damaged(format!("its log cannot be computed: {error}"))
    }
}
