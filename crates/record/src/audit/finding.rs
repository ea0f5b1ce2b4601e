//! What can be wrong, in words that name file, party, place and what it means.

use std::fmt;
use std::path::{Path, PathBuf};

use model::Peer;

use crate::store::RecordError;

/// Most findings of one file; one altered page must not hide the other files.
const MAX_FINDINGS: usize = 200;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// Whose it is; empty when the file does not tell.
    pub party: String,
    /// Where in the file.
    pub place: Place,
    /// What is wrong.
    pub wrong: Wrong,
}

/// Where in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file as a whole.
    File,
    /// The entry with this index.
    Entry(u64),
    /// The stored hash at this position.
    Hash(u64),
    /// The checkpoint of this size.
    Checkpoint(u64),
    /// The reservation with this number.
    Reservation(i64),
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The file cannot be read, or not to its end.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The database sees damage.
    #[error("is damaged: {0}")]
    Structure(String),
    /// No roster has its key.
    #[error("the roster has no key of this party, so nothing it signed can be checked")]
    NotInRoster,
    /// Another file is of the same party.
    #[error("another file is of the same party: {}", .0.display())]
    SecondFile(PathBuf),
    /// An entry is gone.
    #[error("the entry is missing")]
    EntryMissing,
    /// An entry is not readable.
    #[error("the entry is not one: {0}")]
    EntryMalformed(String),
    /// An entry and its hash do not belong together.
    #[error("the entry is not the one of its stored hash")]
    EntryAltered,
    /// A hash is gone.
    #[error("the hash is missing")]
    HashMissing,
    /// A hash is not that of what lies below it.
    #[error("the hash is not the one of the two below it")]
    HashAltered,
    /// There are hashes of entries that are not there.
    #[error("there is a hash, but no entry for it; entries were dropped")]
    HashWithoutEntry,
    /// A checkpoint cannot be read.
    #[error("the checkpoint cannot be read: {0}")]
    CheckpointMalformed(String),
    /// A checkpoint of another log.
    #[error("the checkpoint is of the log of {0}")]
    CheckpointOrigin(String),
    /// Checkpoints do not grow.
    #[error("the checkpoint is not larger than the one before it")]
    CheckpointOrder,
    /// The owner has not signed it.
    #[error("the checkpoint: {0}")]
    CheckpointForged(String),
    /// It speaks of more entries than there are.
    #[error("the checkpoint is of more entries than the log has ({0}); entries were dropped")]
    CheckpointBeyond(u64),
    /// The entries are not the ones that were signed.
    #[error("the log has other entries than those that were signed; entries were changed")]
    OtherRoot,
    /// A cosignature is not that party's.
    #[error("a cosignature: {0}")]
    CosignatureForged(String),
    /// A cosignature by somebody whose key is not known.
    #[error("a cosignature is by {0}, of whom the roster has no key")]
    CosignatureUnknown(String),
    /// A cosigner does not know what it has cosigned.
    #[error("{by} has cosigned this, but remembers a log of {remembered} entries only")]
    Forgotten {
        /// Who cosigned.
        by: String,
        /// What it remembers.
        remembered: u64,
    },
    /// Somebody accepted another history.
    #[error(
        "two histories: {by} accepted a log of {accepted} entries that this one does not begin \
             with ({entries} entries)"
    )]
    TwoHistories {
        /// Who accepted the other one.
        by: String,
        /// Its entries.
        accepted: u64,
        /// Entries of this one.
        entries: u64,
    },
    /// What was accepted of another party is not signed as it must be.
    #[error("what was accepted of {of}: {reason}")]
    AcceptedForged {
        /// Whose checkpoint.
        of: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A committed row has no entry that describes it.
    #[error("a row of the ledger is not the one of its entry")]
    RowAltered,
    /// A row lacks what its state says.
    #[error("a row of the ledger has no release of its own, or one too many")]
    RowIncomplete,
    /// An entry describes a row that is not there.
    #[error("the entry describes a row that is not there")]
    EntryWithoutRow,
    /// A round's row is not the one of its entry.
    #[error("the row of a round is not the one of its entry")]
    RoundAltered,
    /// A recorded answer is not what was released.
    #[error("a recorded answer is not the one that was released")]
    AnswerAltered,
    /// The coordinator answered from a round that the witness does not have.
    #[error("an answer is from a round that is not in the log of {0}")]
    NotWitnessed(String),
    /// Coordinator and witness opened a round over different hospitals.
    #[error("the round has other hospitals in the log of {0}")]
    RoundsDiffer(String),
}

/// The findings of one file, bounded.
#[derive(Debug)]
pub(super) struct Findings<'a> {
    file: &'a Path,
    party: &'a Peer,
    found: Vec<Finding>,
}

impl<'a> Findings<'a> {
    pub(super) const fn new(file: &'a Path, party: &'a Peer) -> Self {
        Self { file, party, found: Vec::new() }
    }

    pub(super) fn add(&mut self, place: Place, wrong: Wrong) {
        if self.found.len() < MAX_FINDINGS {
            let (file, party) = (self.file.to_owned(), self.party.to_string());
            self.found.push(Finding { file, party, place, wrong });
        }
    }

    /// Whether further findings would be dropped.
    pub(super) const fn are_full(&self) -> bool {
        self.found.len() >= MAX_FINDINGS
    }

    pub(super) fn into_vec(self) -> Vec<Finding> {
        self.found
    }
}

impl Finding {
    pub(super) fn unreadable(file: &Path, error: &RecordError) -> Self {
        let wrong = Wrong::unreadable(error);
        Self { file: file.to_owned(), party: String::new(), place: Place::File, wrong }
    }
}

impl Wrong {
    pub(super) fn unreadable(error: &RecordError) -> Self {
        Self::Unreadable(error.problem().to_string())
    }

    /// A stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Structure(_) => "structure",
            Self::NotInRoster => "not_in_roster",
            Self::SecondFile(_) => "second_file",
            Self::EntryMissing => "entry_missing",
            Self::EntryMalformed(_) => "entry_malformed",
            Self::EntryAltered => "entry_altered",
            Self::HashMissing => "hash_missing",
            Self::HashAltered => "hash_altered",
            Self::HashWithoutEntry => "hash_without_entry",
            Self::CheckpointMalformed(_) => "checkpoint_malformed",
            Self::CheckpointOrigin(_) => "checkpoint_origin",
            Self::CheckpointOrder => "checkpoint_order",
            Self::CheckpointForged(_) => "checkpoint_forged",
            Self::CheckpointBeyond(_) => "checkpoint_beyond",
            Self::OtherRoot => "other_root",
            Self::CosignatureForged(_) => "cosignature_forged",
            Self::CosignatureUnknown(_) => "cosignature_unknown",
            Self::Forgotten { .. } => "forgotten",
            Self::TwoHistories { .. } => "two_histories",
            Self::AcceptedForged { .. } => "accepted_forged",
            Self::RowAltered => "row_altered",
            Self::RowIncomplete => "row_incomplete",
            Self::EntryWithoutRow => "entry_without_row",
            Self::RoundAltered => "round_altered",
            Self::AnswerAltered => "answer_altered",
            Self::NotWitnessed(_) => "not_witnessed",
            Self::RoundsDiffer(_) => "rounds_differ",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("the file"),
            Self::Entry(index) => write!(f, "entry {index}"),
            Self::Hash(position) => write!(f, "hash {position}"),
            Self::Checkpoint(size) => write!(f, "checkpoint {size}"),
            Self::Reservation(number) => write!(f, "reservation {number}"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if !self.party.is_empty() {
            write!(f, ", {}", self.party)?;
        }
        write!(f, ", {}: {}", self.place, self.wrong)
    }
}
