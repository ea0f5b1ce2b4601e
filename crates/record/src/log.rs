//! The append-only Merkle log: entries and hashes in the party's file (RFC 6962, section 2).
//!
//! Every entry is a leaf; interior hashes are stored beside it once their subtree is complete, so
//! appending, proving and computing a root cost a logarithmic number of reads. It guarantees that
//! an entry and whatever it describes are written in one transaction. It leaves out who vouches
//! for a root: that is [`crate::checkpoint`].

use rusqlite::{Connection, OptionalExtension as _, params};
use tlog_tiles::{Hash, HashReader};

use crate::checkpoint::Checkpoint;
use crate::entry::Entry;
use crate::store::{Archive, Problem, RecordError, Store, from_column, to_column};

/// Longest proof: one hash for each level of a tree that a file could hold.
pub const MAX_PROOF_HASHES: usize = 64;
/// Largest size of a tree that proofs are checked for.
const MAX_TREE_SIZE: u64 = 1 << 48;

/// A proof that does not prove what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the proof does not lead to the root")]
pub struct InvalidProof;

/// The hash of an entry's bytes as a leaf.
#[must_use]
pub fn leaf_hash(bytes: &[u8]) -> [u8; 32] {
    tlog_tiles::record_hash(bytes).0
}

/// Checks that the tree of `size` entries with `root` holds `leaf` at `index`.
///
/// # Errors
/// [`InvalidProof`].
pub fn verify_inclusion(
    proof: &[[u8; 32]],
    size: u64,
    root: &[u8; 32],
    index: u64,
    leaf: &[u8; 32],
) -> Result<(), InvalidProof> {
    if proof.len() > MAX_PROOF_HASHES || size > MAX_TREE_SIZE {
        return Err(InvalidProof);
    }
    let proof = proof.iter().copied().map(Hash).collect();
    tlog_tiles::check_record(&proof, size, Hash(*root), index, Hash(*leaf))
        .map_err(|_| InvalidProof)
}

/// Checks that the tree `new` (size, root) begins with the tree `old`. The empty tree is the
/// beginning of every tree.
///
/// # Errors
/// [`InvalidProof`].
pub fn verify_consistency(
    proof: &[[u8; 32]],
    new: (u64, &[u8; 32]),
    old: (u64, &[u8; 32]),
) -> Result<(), InvalidProof> {
    if proof.len() > MAX_PROOF_HASHES || new.0 > MAX_TREE_SIZE {
        return Err(InvalidProof);
    }
    if old.0 == 0 {
        let empty = proof.is_empty() && *old.1 == tlog_tiles::EMPTY_HASH.0;
        return if empty { Ok(()) } else { Err(InvalidProof) };
    }
    let proof = proof.iter().copied().map(Hash).collect();
    tlog_tiles::check_tree(&proof, new.0, Hash(*new.1), old.0, Hash(*old.1))
        .map_err(|_| InvalidProof)
}

// === what others read and write ===

impl Store {
    /// Appends an entry by itself and returns its index.
    ///
    /// # Errors
    /// [`RecordError`]; nothing is written then.
    pub fn append(&self, entry: &Entry) -> Result<u64, RecordError> {
        self.write(|transaction| append(transaction, entry))
    }

    /// How many entries there are.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn size(&self) -> Result<u64, RecordError> {
        self.read(|transaction| size(transaction))
    }

    /// The root over the first `size` entries.
    ///
    /// # Errors
    /// [`RecordError`], also when there are fewer.
    pub fn tree_hash(&self, size: u64) -> Result<[u8; 32], RecordError> {
        self.read(|transaction| root(transaction, size))
    }

    /// The proof that entry `index` is among the first `size`.
    ///
    /// # Errors
    /// [`RecordError`], also when there are fewer.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<[u8; 32]>, RecordError> {
        self.read(|transaction| inclusion(transaction, index, size))
    }

    /// The proof that the first `old` entries are the beginning of the first `new`.
    ///
    /// # Errors
    /// [`RecordError`], also when there are fewer.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<[u8; 32]>, RecordError> {
        self.read(|transaction| {
            if old == 0 {
                return Ok(Vec::new());
            }
            let proof = tlog_tiles::prove_tree(new, old, &Stored(transaction))?;
            Ok(proof.into_iter().map(|hash| hash.0).collect())
        })
    }

    /// The entry at `index`.
    ///
    /// # Errors
    /// [`RecordError`], also when the entry cannot be read.
    pub fn entry(&self, index: u64) -> Result<Option<Entry>, RecordError> {
        self.read(|transaction| entry(transaction, index))
    }
}

impl Archive {
    /// How many entries there are.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn size(&self) -> Result<u64, RecordError> {
        self.read(size)
    }

    /// The newest `limit` entries with their indices, oldest first.
    ///
    /// # Errors
    /// [`RecordError`], also when an entry cannot be read.
    pub fn entries(&self, limit: u32) -> Result<Vec<(u64, Entry)>, RecordError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT idx, bytes FROM (SELECT idx, bytes FROM entry ORDER BY idx DESC LIMIT ?1)
                 ORDER BY idx",
            )?;
            let rows = statement.query_map(params![limit], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
            })?;
            rows.map(|row| {
                let (index, bytes) = row?;
                let index = from_column(index)?;
                Ok((index, read_entry(index, &bytes)?))
            })
            .collect()
        })
    }
}

// === inside a transaction ===

/// Appends an entry within the caller's transaction and returns its index.
pub(crate) fn append(connection: &Connection, entry: &Entry) -> Result<u64, Problem> {
    let bytes = entry.to_bytes()?;
    let index = size(connection)?;
    let hashes = tlog_tiles::stored_hashes(index, &bytes, &Stored(connection))?;
    connection
        .prepare_cached("INSERT INTO entry (idx, bytes) VALUES (?1, ?2)")?
        .execute(params![to_column(index)?, bytes])?;
    let mut insert =
        connection.prepare_cached("INSERT INTO hash (position, value) VALUES (?1, ?2)")?;
    for (position, hash) in (tlog_tiles::stored_hash_index(0, index)..).zip(hashes) {
        insert.execute(params![to_column(position)?, hash.0])?;
    }
    Ok(index)
}

/// How many entries there are.
pub(crate) fn size(connection: &Connection) -> Result<u64, Problem> {
    let last = last(connection, "SELECT max(idx) FROM entry")?;
    Ok(last.map_or(0, |index| index + 1))
}

/// The root over the first `size` entries.
pub(crate) fn root(connection: &Connection, size: u64) -> Result<[u8; 32], Problem> {
    Ok(tlog_tiles::tree_hash(size, &Stored(connection))?.0)
}

/// The proof that entry `index` is among the first `size`.
pub(crate) fn inclusion(
    connection: &Connection,
    index: u64,
    size: u64,
) -> Result<Vec<[u8; 32]>, Problem> {
    let proof = tlog_tiles::prove_record(size, index, &Stored(connection))?;
    Ok(proof.into_iter().map(|hash| hash.0).collect())
}

/// The entry at `index`.
pub(crate) fn entry(connection: &Connection, index: u64) -> Result<Option<Entry>, Problem> {
    let bytes: Option<Vec<u8>> = connection
        .prepare_cached("SELECT bytes FROM entry WHERE idx = ?1")?
        .query_row(params![to_column(index)?], |row| row.get(0))
        .optional()?;
    bytes.map(|bytes| read_entry(index, &bytes)).transpose()
}

/// Checks, at opening, that entries, hashes and the newest checkpoint end alike. The audit looks
/// at all of them; this costs a few reads.
pub(crate) fn check_end(connection: &Connection) -> Result<(), Problem> {
    let size = size(connection)?;
    let hashes = last(connection, "SELECT max(position) FROM hash")?.map_or(0, |last| last + 1);
    if hashes != tlog_tiles::stored_hash_count(size) {
        return Err(Problem::damaged("its log has not as many hashes as entries need"));
    }
    let newest: Option<Vec<u8>> = connection
        .query_row("SELECT note FROM checkpoint ORDER BY number DESC LIMIT 1", [], |r| r.get(0))
        .optional()?;
    let Some(note) = newest else { return Ok(()) };
    let checkpoint = Checkpoint::parse(&note)
        .map_err(|error| Problem::damaged(format!("its newest checkpoint: {error}")))?;
    if checkpoint.size() > size {
        return Err(Problem::damaged("its log is shorter than its newest checkpoint says"));
    }
    if root(connection, checkpoint.size())? != *checkpoint.root() {
        return Err(Problem::damaged("its log is not the one of its newest checkpoint"));
    }
    Ok(())
}

fn read_entry(index: u64, bytes: &[u8]) -> Result<Entry, Problem> {
    Entry::parse(bytes).map_err(|error| Problem::damaged(format!("entry {index}: {error}")))
}

fn last(connection: &Connection, sql: &str) -> Result<Option<u64>, Problem> {
    let last: Option<i64> = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    last.map(from_column).transpose()
}

/// The stored hashes of a file.
struct Stored<'c>(&'c Connection);

impl HashReader for Stored<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        let unread = |error: &dyn std::fmt::Display| {
            tlog_tiles::Error::InvalidInput(format!("a hash cannot be read: {error}"))
        };
        let mut select = self
            .0
            .prepare_cached("SELECT value FROM hash WHERE position = ?1")
            .map_err(|error| unread(&error))?;
        let mut one = |index: u64| {
            let position = to_column(index).map_err(|error| unread(&error))?;
            let value = select.query_row(params![position], |row| row.get::<_, [u8; 32]>(0));
            value.map(Hash).map_err(|error| unread(&error))
        };
        indexes.iter().map(|index| one(*index)).collect()
    }
}

#[cfg(test)]
mod tests;
