//! A log recomputed from its entries, and its stored hashes checked against them.
//!
//! The tree is built from the entries alone, so that it is what a checkpoint has to be of. Stored
//! hashes are compared with what lies directly below them: a changed one is found where it is and
//! does not make everything above it wrong.

use std::collections::HashMap;

use rusqlite::Connection;
use tlog_tiles::{Hash, HashReader};

use super::finding::{Findings, Place, Wrong};
use crate::entry::Entry;
use crate::store::Problem;

/// Hashes of a log, by position, as its entries make them.
#[derive(Debug, Default)]
pub(super) struct Tree {
    hashes: Vec<Hash>,
    size: u64,
}

impl HashReader for Tree {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        let at = |index: &u64| usize::try_from(*index).ok().and_then(|at| self.hashes.get(at));
        let hashes = indexes.iter().map(|index| at(index).copied()).collect::<Option<_>>();
        hashes.ok_or(tlog_tiles::Error::IndexesNotInTree)
    }
}

impl Tree {
    /// How many entries there are.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// The root over the first `size` entries, if there are as many.
    pub(super) fn root(&self, size: u64) -> Option<[u8; 32]> {
        if size > self.size {
            return None;
        }
        tlog_tiles::tree_hash(size, self).ok().map(|hash| hash.0)
    }

    fn push(&mut self, leaf: Hash) -> Result<(), Problem> {
        let hashes = tlog_tiles::stored_hashes_for_record_hash(self.size, leaf, self)?;
        self.hashes.extend(hashes);
        self.size += 1;
        Ok(())
    }
}

/// Recomputes the log, and returns it with the entries that could be read.
pub(super) fn read(
    connection: &Connection,
    findings: &mut Findings<'_>,
) -> Result<(Tree, Vec<(u64, Entry)>), Problem> {
    let stored = stored(connection)?;
    let mut tree = Tree::default();
    let mut entries = Vec::new();
    let mut select = connection.prepare("SELECT idx, bytes FROM entry ORDER BY idx")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let index = crate::store::from_column(row.get(0)?)?;
        let bytes: Vec<u8> = row.get(1)?;
        // A gap in the middle: its own hash, if it is still there, keeps the rest comparable.
        while tree.size < index {
            findings.add(Place::Entry(tree.size), Wrong::EntryMissing);
            let leaf = stored.get(&tlog_tiles::stored_hash_index(0, tree.size));
            tree.push(leaf.copied().unwrap_or_default())?;
            if findings.are_full() {
                return Ok((tree, entries));
            }
        }
        let leaf = tlog_tiles::record_hash(&bytes);
        match stored.get(&tlog_tiles::stored_hash_index(0, index)) {
            Some(stored) if *stored == leaf => {}
            Some(_) => findings.add(Place::Entry(index), Wrong::EntryAltered),
            None => findings.add(Place::Entry(index), Wrong::HashMissing),
        }
        match Entry::parse(&bytes) {
            Ok(entry) => entries.push((index, entry)),
            Err(error) => {
                findings.add(Place::Entry(index), Wrong::EntryMalformed(error.to_string()));
            }
        }
        tree.push(leaf)?;
    }
    verify_interior(&stored, tree.size, findings);
    Ok((tree, entries))
}

/// Checks every stored hash above the leaves against the two below it, and that there are no
/// hashes of entries that are not there.
fn verify_interior(stored: &HashMap<u64, Hash>, size: u64, findings: &mut Findings<'_>) {
    let count = tlog_tiles::stored_hash_count(size);
    for position in 0..count {
        let (level, number) = tlog_tiles::split_stored_hash_index(position);
        let Some(below) = level.checked_sub(1) else { continue };
        let child = |number| stored.get(&tlog_tiles::stored_hash_index(below, number));
        let Some(hash) = stored.get(&position) else {
            findings.add(Place::Hash(position), Wrong::HashMissing);
            continue;
        };
        if let (Some(left), Some(right)) = (child(2 * number), child(2 * number + 1))
            && tlog_tiles::node_hash(*left, *right) != *hash
        {
            findings.add(Place::Hash(position), Wrong::HashAltered);
        }
    }
    if let Some(first) = stored.keys().filter(|position| **position >= count).min() {
        findings.add(Place::Hash(*first), Wrong::HashWithoutEntry);
    }
}

fn stored(connection: &Connection) -> Result<HashMap<u64, Hash>, Problem> {
    let mut select = connection.prepare("SELECT position, value FROM hash")?;
    let mut rows = select.query([])?;
    let mut hashes = HashMap::new();
    while let Some(row) = rows.next()? {
        hashes.insert(crate::store::from_column(row.get(0)?)?, Hash(row.get(1)?));
    }
    Ok(hashes)
}
