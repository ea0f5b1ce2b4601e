//! Why an ingest stops, told so that the reader knows which file and what to do.

use std::io;
use std::path::{Path, PathBuf};

use query::mapping::MappingError;

/// A stopped ingest. The snapshot that was in force stays in force.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The file system said no.
    #[error("cannot {action} {}: {source}{}", .path.display(), hint(.source))]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The source is not a CSV table.
    #[error("{}: {reason}", .path.display())]
    NotCsv {
        /// The source.
        path: PathBuf,
        /// What is wrong, and the way out.
        reason: String,
    },
    /// The mapping's folder or `mapping.toml` is wrong.
    #[error("mapping {name}: {reason}")]
    Mapping {
        /// As it was asked for.
        name: String,
        /// What is wrong, and the way out.
        reason: String,
    },
    /// A mapping's SQL does not fit the engine or the source.
    #[error(transparent)]
    Sql(#[from] MappingError),
    /// The hospital's key file cannot be used.
    #[error("key file {}: {reason}", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the way out.
        reason: String,
    },
    /// The DIP list by which stays are to be coded cannot be used.
    #[error("DIP list {}: {reason}", .path.display())]
    CodeList {
        /// The file.
        path: PathBuf,
        /// The field, what is wrong, and the way out.
        reason: String,
    },
    /// Another ingest holds the lock.
    #[error(
        "another ingest is running in {}: wait until it ends (lock file {})",
        .data_dir.display(),
        .data_dir.join("ingest.lock").display()
    )]
    Busy {
        /// The folder both want.
        data_dir: PathBuf,
    },
    /// No stay was accepted.
    #[error(
        "no stay of {} was accepted ({read} rows read, {quarantined} in quarantine, most often: \
         {most}; list: {}); the snapshot in force is unchanged; check that the mapping fits this file",
        .path.display(),
        .list.display()
    )]
    NothingAccepted {
        /// The source.
        path: PathBuf,
        /// Rows read.
        read: u64,
        /// Rows in quarantine.
        quarantined: u64,
        /// The most frequent rule.
        most: String,
        /// The rejected rows.
        list: PathBuf,
    },
    /// The source was written to while it was read.
    #[error("{} changed while it was read: ingest a finished copy", .path.display())]
    Changed {
        /// The source.
        path: PathBuf,
    },
    /// A number or a text column outgrew its limit.
    #[error("{what}: more than {limit}; {way_out}")]
    TooMany {
        /// Of what.
        what: String,
        /// The limit.
        limit: usize,
        /// What to do.
        way_out: &'static str,
    },
    /// A stored snapshot cannot be read.
    #[error("snapshot {}: {reason}", .path.display())]
    Snapshot {
        /// File or folder.
        path: PathBuf,
        /// What is wrong, and the way out.
        reason: String,
    },
    /// Arrow or Parquet failed in a way that is not the data's fault.
    #[error("writing the snapshot failed: {0}")]
    Write(String),
}

impl IngestError {
    /// Wraps an I/O error with what was tried on which path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn not_csv(path: &Path, reason: impl Into<String>) -> Self {
        Self::NotCsv { path: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn write(error: impl std::fmt::Display) -> Self {
        Self::Write(error.to_string())
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; check the path",
        io::ErrorKind::PermissionDenied => "; check owner and mode, and which user runs this",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free space and ingest again, nothing was changed"
        }
        io::ErrorKind::ReadOnlyFilesystem => "; choose a data folder that can be written",
        _ => "",
    }
}
