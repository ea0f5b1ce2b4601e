//! Keeping each other honest: a party vouches for another's log only if it has only grown.
//!
//! For each origin the last accepted checkpoint is kept. A newer one is accepted with a proof that
//! the log of the last one is its beginning; then it is stored, and only then is the signature
//! line given away. A log that was shortened or rewritten is therefore noticed by everybody who
//! ever cosigned it. Cosigning writes no entry of its own, or two parties that cosign each other
//! would never come to rest.

use model::Peer;
use privacy::sign::{SigningKey, VerifyKey};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::log::{self, verify_consistency};
use crate::store::{Problem, RecordError, Store, to_column};

/// Most checkpoints of its own that a party keeps; an older one says nothing that a newer does
/// not, because the log only grows.
pub const MAX_CHECKPOINTS: u32 = 10_000;
/// Newest checkpoints among which a receipt looks for one that is cosigned.
const LOOK_BACK: u32 = 64;

/// Why a checkpoint is not cosigned.
#[derive(Debug, thiserror::Error)]
pub enum CosignError {
    /// The note is malformed or not signed by its owner.
    #[error("the checkpoint is refused: {0}")]
    Note(#[from] CheckpointError),
    /// A party does not vouch for itself, nor for another region.
    #[error("{0} is not another party of this region")]
    NotOther(String),
    /// It is older than the one that was accepted.
    #[error(
        "{origin} shows a log of {size} entries, but one of {accepted} was accepted before: an old \
         checkpoint, or a log that was cut"
    )]
    Shorter {
        /// Whose log.
        origin: String,
        /// Entries accepted before.
        accepted: u64,
        /// Entries shown now.
        size: u64,
    },
    /// The log does not begin with the one that was accepted.
    #[error(
        "{origin} has two histories: its log of {size} entries does not begin with the one of \
         {accepted} entries that was accepted before"
    )]
    TwoHistories {
        /// Whose log.
        origin: String,
        /// Entries accepted before.
        accepted: u64,
        /// Entries shown now.
        size: u64,
    },
    /// The file.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Why a cosignature is not kept.
#[derive(Debug, thiserror::Error)]
pub enum CosignatureError {
    /// It does not verify.
    #[error("the cosignature is refused: {0}")]
    Note(#[from] CheckpointError),
    /// There is no checkpoint of this size.
    #[error("there is no checkpoint of {0} entries to add it to")]
    NoCheckpoint(u64),
    /// The file.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// What a party shows to have its log cosigned.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// The checkpoint, as [`Checkpoint::to_bytes`] wrote it.
    pub checkpoint: &'a [u8],
    /// The proof from [`Store::consistency`], between the size accepted last and this one.
    pub proof: &'a [[u8; 32]],
}

// === the owner of a log ===

impl Store {
    /// The checkpoint of the log as it is now, with the proof that the log's first `old_size`
    /// entries are its beginning; all of the log when it is shorter.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn show(
        &self,
        key: &SigningKey,
        old_size: u64,
    ) -> Result<(Checkpoint, Vec<[u8; 32]>), RecordError> {
        let checkpoint = self.checkpoint(key)?;
        let proof = self.consistency(old_size.min(checkpoint.size()), checkpoint.size())?;
        Ok((checkpoint, proof))
    }

    /// A checkpoint of the log as it is now, signed and stored; the newest one if nothing was
    /// appended since.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn checkpoint(&self, key: &SigningKey) -> Result<Checkpoint, RecordError> {
        self.write(|transaction| {
            let size = log::size(transaction)?;
            if let Some(newest) = newest(transaction)?
                && newest.size() == size
            {
                return Ok(newest);
            }
            let root = log::root(transaction, size)?;
            let checkpoint = Checkpoint::sign(self.party(), size, root, key)?;
            transaction
                .prepare_cached("INSERT INTO checkpoint (size, note) VALUES (?1, ?2)")?
                .execute(params![to_column(size)?, checkpoint.to_bytes()])?;
            let number = transaction.last_insert_rowid();
            transaction
                .prepare_cached("DELETE FROM checkpoint WHERE number <= ?1")?
                .execute(params![number - i64::from(MAX_CHECKPOINTS)])?;
            Ok(checkpoint)
        })
    }

    /// The newest stored checkpoint.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn newest_checkpoint(&self) -> Result<Option<Checkpoint>, RecordError> {
        self.read(|transaction| newest(transaction))
    }

    /// Verifies the signature line of `party` under the own checkpoint of `size` entries and
    /// keeps it.
    ///
    /// # Errors
    /// [`CosignatureError`]; nothing is kept then.
    pub fn add_cosignature(
        &self,
        size: u64,
        line: &[u8],
        party: &Peer,
        key: &VerifyKey,
    ) -> Result<(), CosignatureError> {
        self.write(|transaction| {
            let column = to_column(size)?;
            let note: Option<Vec<u8>> = transaction
                .prepare_cached("SELECT note FROM checkpoint WHERE size = ?1")?
                .query_row(params![column], |row| row.get(0))
                .optional()?;
            let Some(note) = note else { return Ok(Err(CosignatureError::NoCheckpoint(size))) };
            let mut checkpoint = stored(&note)?;
            if let Err(error) = checkpoint.add_cosignature(line, party, key) {
                return Ok(Err(error.into()));
            }
            transaction
                .prepare_cached("UPDATE checkpoint SET note = ?2 WHERE size = ?1")?
                .execute(params![column, checkpoint.to_bytes()])?;
            Ok(Ok(()))
        })?
    }
}

// === the one who cosigns ===

impl Store {
    /// The last checkpoint of `origin` that was accepted; its size is where a proof has to start.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn accepted(&self, origin: &Peer) -> Result<Option<Checkpoint>, RecordError> {
        self.read(|transaction| accepted(transaction, &origin.to_string()))
    }

    /// Checks a checkpoint that another party shows, against its key `owner` and the last one
    /// accepted; stores it and returns this party's signature line over it, made with `own`.
    ///
    /// # Errors
    /// [`CosignError`]; the last accepted checkpoint stays then.
    pub fn cosign(
        &self,
        shown: Shown<'_>,
        owner: &VerifyKey,
        own: &SigningKey,
    ) -> Result<Vec<u8>, CosignError> {
        let mut checkpoint = Checkpoint::parse(shown.checkpoint)?;
        checkpoint.verify(owner)?;
        let origin = checkpoint.origin();
        if origin == self.party() || origin.region() != self.party().region() {
            return Err(CosignError::NotOther(origin.to_string()));
        }
        let line = checkpoint.cosignature(self.party(), own)?;
        checkpoint.add_cosignature(&line, self.party(), &own.verify_key())?;
        self.write(|transaction| {
            let origin = checkpoint.origin().to_string();
            let last = accepted(transaction, &origin)?;
            if let Some(last) = &last
                && let Err(error) = grown(&checkpoint, last, shown.proof)
            {
                return Ok(Err(error));
            }
            transaction
                .prepare_cached("INSERT OR REPLACE INTO accepted VALUES (?1, ?2, ?3)")?
                .execute(params![origin, to_column(checkpoint.size())?, checkpoint.to_bytes()])?;
            Ok(Ok(()))
        })??;
        Ok(line)
    }
}

/// Checks that the log of `last` is the beginning of that of `checkpoint`.
fn grown(
    checkpoint: &Checkpoint,
    last: &Checkpoint,
    proof: &[[u8; 32]],
) -> Result<(), CosignError> {
    let (size, accepted) = (checkpoint.size(), last.size());
    let origin = || checkpoint.origin().to_string();
    if size < accepted {
        return Err(CosignError::Shorter { origin: origin(), accepted, size });
    }
    let (new, old) = ((size, checkpoint.root()), (accepted, last.root()));
    verify_consistency(proof, new, old).map_err(|_| CosignError::TwoHistories {
        origin: origin(),
        accepted,
        size,
    })
}

// === inside a transaction ===

/// The checkpoint to prove entry `index` with: the newest cosigned one that holds it, else the
/// newest that does.
pub(crate) fn covering(connection: &Connection, index: u64) -> Result<Option<Checkpoint>, Problem> {
    let mut select = connection.prepare_cached(
        "SELECT note FROM checkpoint WHERE size > ?1 ORDER BY number DESC LIMIT ?2",
    )?;
    let rows = select.query_map(params![to_column(index)?, LOOK_BACK], |row| row.get(0))?;
    let mut newest = None;
    for note in rows {
        let note: Vec<u8> = note?;
        let checkpoint = stored(&note)?;
        if !checkpoint.cosigners().is_empty() {
            return Ok(Some(checkpoint));
        }
        newest = newest.or(Some(checkpoint));
    }
    Ok(newest)
}

fn newest(connection: &Connection) -> Result<Option<Checkpoint>, Problem> {
    let note: Option<Vec<u8>> = connection
        .prepare_cached("SELECT note FROM checkpoint ORDER BY number DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    note.map(|note| stored(&note)).transpose()
}

fn accepted(connection: &Connection, origin: &str) -> Result<Option<Checkpoint>, Problem> {
    let note: Option<Vec<u8>> = connection
        .prepare_cached("SELECT note FROM accepted WHERE origin = ?1")?
        .query_row(params![origin], |row| row.get(0))
        .optional()?;
    note.map(|note| stored(&note)).transpose()
}

fn stored(note: &[u8]) -> Result<Checkpoint, Problem> {
    Checkpoint::parse(note)
        .map_err(|error| Problem::damaged(format!("a stored checkpoint: {error}")))
}

#[cfg(test)]
mod tests;
