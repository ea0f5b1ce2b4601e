//! The checkpoints of one file: whose they are, what they are of, who cosigned them.

use std::collections::BTreeMap;

use model::Peer;
use rusqlite::Connection;

use super::Keys;
use super::finding::{Findings, Place, Wrong};
use super::tree::Tree;
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::store::{Problem, from_column};

/// Verifies all checkpoints; returns how many there are and who cosigned up to which size.
pub(super) fn verify(
    connection: &Connection,
    party: &Peer,
    keys: Keys<'_>,
    tree: &Tree,
    findings: &mut Findings<'_>,
) -> Result<(u64, BTreeMap<String, u64>), Problem> {
    let mut select = connection.prepare("SELECT size, note FROM checkpoint ORDER BY number")?;
    let mut rows = select.query([])?;
    let mut count = 0;
    let mut cosigned = BTreeMap::new();
    let mut last = None;
    let mut is_ours = true;
    while let Some(row) = rows.next()? {
        count += 1;
        let size = from_column(row.get(0)?)?;
        let place = Place::Checkpoint(size);
        let note: Vec<u8> = row.get(1)?;
        let checkpoint = match Checkpoint::parse(&note) {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                findings.add(place, Wrong::CheckpointMalformed(error.to_string()));
                continue;
            }
        };
        if checkpoint.origin() != party {
            let origin = checkpoint.origin().to_string();
            findings.add(place, Wrong::CheckpointOrigin(origin));
            continue;
        }
        if checkpoint.size() != size || last.is_some_and(|last| size <= last) {
            findings.add(place, Wrong::CheckpointOrder);
        }
        last = Some(size);
        // A party without a key is a finding of its own.
        if let Err(error) = signed(&checkpoint, party, keys)
            && !keys.of(party).is_empty()
        {
            findings.add(place, Wrong::CheckpointForged(error.to_string()));
        }
        for (name, upto) in cosigners(&checkpoint, keys, place, findings) {
            cosigned.insert(name, upto);
        }
        match tree.root(checkpoint.size()) {
            None => findings.add(place, Wrong::CheckpointBeyond(tree.size())),
            // All later ones are of that other log too, so the first says it.
            Some(root) if root != *checkpoint.root() && is_ours => {
                is_ours = false;
                findings.add(place, Wrong::OtherRoot);
            }
            Some(_) => {}
        }
    }
    Ok((count, cosigned))
}

/// Checks the signature of `party` under any of its keys.
pub(super) fn signed(
    checkpoint: &Checkpoint,
    party: &Peer,
    keys: Keys<'_>,
) -> Result<(), CheckpointError> {
    let mut last = Err(CheckpointError::Unsigned(party.to_string()));
    for key in keys.of(party) {
        last = checkpoint.verify_by(party, &key);
        if last.is_ok() {
            return last;
        }
    }
    last
}

fn cosigners(
    checkpoint: &Checkpoint,
    keys: Keys<'_>,
    place: Place,
    findings: &mut Findings<'_>,
) -> Vec<(String, u64)> {
    let mut good = Vec::new();
    for name in checkpoint.cosigners() {
        let party: Option<Peer> = name.parse().ok();
        let Some(party) = party.filter(|party| !keys.of(party).is_empty()) else {
            findings.add(place, Wrong::CosignatureUnknown(name.to_owned()));
            continue;
        };
        match signed(checkpoint, &party, keys) {
            Ok(()) => good.push((name.to_owned(), checkpoint.size())),
            Err(error) => findings.add(place, Wrong::CosignatureForged(error.to_string())),
        }
    }
    good
}
