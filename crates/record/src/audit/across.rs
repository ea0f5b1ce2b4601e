//! Files against each other: what one party says of another has to be true of the other's file.

use std::collections::{BTreeMap, HashMap, HashSet};

use model::{Peer, Role};
use rusqlite::Connection;

use super::checkpoints::signed;
use super::finding::{Finding, Findings, Place, Wrong};
use super::{Examined, Keys, readable};
use crate::checkpoint::Checkpoint;
use crate::entry::Kind;
use crate::store::{Problem, from_column};

/// What a file says about the logs of others. It is read before those logs are.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Last accepted checkpoints, as stored: origin, size, note.
    accepted: Vec<(String, i64, Vec<u8>)>,
    /// Answers from rounds: entry and sid.
    released: Vec<(u64, [u8; 32])>,
    /// Rounds: sid to entry and set of hospitals.
    rounds: BTreeMap<[u8; 32], (u64, Option<[u8; 32]>)>,
}

/// Reads what a file says about others.
pub(super) fn claims(connection: &Connection) -> Result<Claims, Problem> {
    let mut select =
        connection.prepare("SELECT origin, size, note FROM accepted ORDER BY origin")?;
    let accepted = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut claims = Claims { accepted: accepted.collect::<Result<_, _>>()?, ..Claims::default() };
    for (index, entry) in readable(connection)? {
        match (entry.kind, entry.sid) {
            (Kind::Release, Some(sid)) => claims.released.push((index, sid)),
            (Kind::Round, Some(sid)) => {
                claims.rounds.insert(sid, (index, entry.output));
            }
            _ => {}
        }
    }
    Ok(claims)
}

/// Reads the sizes of the logs that a file has accepted.
pub(super) fn remembered(connection: &Connection) -> Result<BTreeMap<String, u64>, Problem> {
    let mut select = connection.prepare("SELECT origin, size FROM accepted")?;
    let mut rows = select.query([])?;
    let mut sizes = BTreeMap::new();
    while let Some(row) = rows.next()? {
        sizes.insert(row.get(0)?, from_column(row.get(1)?)?);
    }
    Ok(sizes)
}

/// Compares all files, and completes their reports.
pub(super) fn compare(examined: &mut [Examined], keys: Keys<'_>) -> Vec<Finding> {
    let mut found = second_files(examined);
    for position in 0..examined.len() {
        let (findings, not_here) = accepted(examined, position, keys);
        examined[position].report.not_here = not_here;
        found.extend(findings);
    }
    found.extend(forgotten(examined));
    found.extend(rounds(examined));
    found
}

/// One party, one file, one history.
fn second_files(examined: &[Examined]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (position, second) in examined.iter().enumerate() {
        let mut earlier = examined[..position].iter();
        let Some(first) = earlier.find(|first| first.party() == second.party()) else { continue };
        let mut findings = Findings::new(second.file(), second.party());
        findings.add(Place::File, Wrong::SecondFile(first.file().to_owned()));
        let common = first.tree.size().min(second.tree.size());
        if first.tree.root(common) != second.tree.root(common) {
            let wrong = Wrong::TwoHistories {
                by: first.file().display().to_string(),
                accepted: first.tree.size(),
                entries: second.tree.size(),
            };
            findings.add(Place::Checkpoint(common), wrong);
        }
        found.extend(findings.into_vec());
    }
    found
}

/// What the party at `position` accepted, against the logs it is of. Returns findings, and
/// origins whose files are not here.
fn accepted(examined: &[Examined], position: usize, keys: Keys<'_>) -> (Vec<Finding>, Vec<String>) {
    let acceptor = &examined[position];
    let mut found = Vec::new();
    let mut not_here = Vec::new();
    let mut own = Findings::new(acceptor.file(), acceptor.party());
    for (origin, size, note) in &acceptor.claims.accepted {
        let checkpoint = match verified((origin, *size, note), acceptor.party(), keys) {
            Ok(checkpoint) => checkpoint,
            Err(reason) => {
                own.add(Place::File, Wrong::AcceptedForged { of: origin.clone(), reason });
                continue;
            }
        };
        let mut owners =
            examined.iter().filter(|owner| owner.party() == checkpoint.origin()).peekable();
        if owners.peek().is_none() {
            not_here.push(origin.clone());
        }
        for owner in owners {
            if owner.tree.root(checkpoint.size()) != Some(*checkpoint.root()) {
                let mut findings = Findings::new(owner.file(), owner.party());
                let wrong = Wrong::TwoHistories {
                    by: acceptor.party().to_string(),
                    accepted: checkpoint.size(),
                    entries: owner.tree.size(),
                };
                findings.add(Place::Checkpoint(checkpoint.size()), wrong);
                found.extend(findings.into_vec());
            }
        }
    }
    found.extend(own.into_vec());
    (found, not_here)
}

/// An accepted checkpoint, if it is signed by its owner and by the one who accepted it.
fn verified(
    (origin, size, note): (&str, i64, &[u8]),
    acceptor: &Peer,
    keys: Keys<'_>,
) -> Result<Checkpoint, String> {
    let checkpoint = Checkpoint::parse(note).map_err(|error| error.to_string())?;
    if checkpoint.origin().to_string() != origin
        || from_column(size).ok() != Some(checkpoint.size())
    {
        return Err(format!("it is filed under {origin}, {size} entries"));
    }
    let by = |party: &Peer| {
        if keys.of(party).is_empty() {
            return Err(format!("the roster has no key of {party}"));
        }
        signed(&checkpoint, party, keys).map_err(|error| error.to_string())
    };
    by(checkpoint.origin())?;
    by(acceptor)?;
    Ok(checkpoint)
}

/// Cosignatures by parties whose file remembers less than they cosigned.
fn forgotten(examined: &[Examined]) -> Vec<Finding> {
    let mut found = Vec::new();
    for owner in examined {
        let mut findings = Findings::new(owner.file(), owner.party());
        for (by, size) in &owner.report.cosigned {
            let is_by = |other: &&Examined| other.party().to_string() == *by;
            let Some(cosigner) = examined.iter().find(is_by) else { continue };
            let origin = owner.party().to_string();
            let remembered = cosigner.remembered.get(&origin).copied().unwrap_or(0);
            if remembered < *size {
                let wrong = Wrong::Forgotten { by: by.clone(), remembered };
                findings.add(Place::Checkpoint(*size), wrong);
            }
        }
        found.extend(findings.into_vec());
    }
    found
}

/// What coordinators answered, against the witness's log.
fn rounds(examined: &mut [Examined]) -> Vec<Finding> {
    let Some(witness) = examined.iter().find(|one| one.party().role() == Role::Witness) else {
        return Vec::new();
    };
    let name = witness.party().to_string();
    let witnessed: HashMap<[u8; 32], Option<[u8; 32]>> = witness
        .entries
        .iter()
        .filter(|(_, entry)| entry.kind == Kind::Round)
        .filter_map(|(_, entry)| Some((entry.sid?, entry.output)))
        .collect();
    let mut found = Vec::new();
    let coordinators =
        examined.iter_mut().filter(|one| one.report.party.role() == Role::Coordinator);
    for coordinator in coordinators {
        let Examined { claims, report, .. } = coordinator;
        let mut findings = Findings::new(&report.file, &report.party);
        for (index, sid) in &claims.released {
            if !witnessed.contains_key(sid) {
                findings.add(Place::Entry(*index), Wrong::NotWitnessed(name.clone()));
            }
        }
        let answered: HashSet<_> = claims.released.iter().map(|(_, sid)| *sid).collect();
        for (sid, (index, hospitals)) in &claims.rounds {
            match witnessed.get(sid) {
                Some(theirs) if theirs != hospitals => {
                    findings.add(Place::Entry(*index), Wrong::RoundsDiffer(name.clone()));
                }
                None if !answered.contains(sid) => report.unfinished += 1,
                _ => {}
            }
        }
        found.extend(findings.into_vec());
    }
    found
}

#[cfg(test)]
mod tests;
