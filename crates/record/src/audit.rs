//! Checking files of parties against themselves, against the roster and against each other.
//!
//! It needs nothing but the files and rosters: no party, no network, no clock. It recomputes every
//! log from its entries, checks every checkpoint and cosignature, binds ledger rows and rounds to
//! their entries, and then compares: what one party has accepted of another's log has to be the
//! beginning of it, and what a coordinator answered has to be in the witness's log.
//!
//! A region may be running meanwhile. What parties claim about others is read first, the logs that
//! have to bear it out afterwards, and what cosigners remember last, so that no honest party is
//! found to be behind another.
//!
//! It cannot tell what was never logged, nor that the newest entries were cut off before anybody
//! accepted a checkpoint of them.

mod across;
mod checkpoints;
mod finding;
mod rows;
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::{Peer, Role};
use privacy::roster::Roster;
use privacy::sign::VerifyKey;

use crate::entry::Entry;
use crate::store::{Archive, Problem};

use finding::Findings;
pub use finding::{Finding, Place, Wrong};
use tree::Tree;

/// What was looked at and what is wrong.
#[derive(Debug, Default)]
pub struct Report {
    /// One for each file that could be read, in the order of the files.
    pub parties: Vec<PartyReport>,
    /// What is wrong; empty when all is well.
    pub findings: Vec<Finding>,
}

/// What one file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartyReport {
    /// The file.
    pub file: PathBuf,
    /// Whose it is.
    pub party: Peer,
    /// Entries of its log.
    pub entries: u64,
    /// Checkpoints that are kept.
    pub checkpoints: u64,
    /// Who cosigned, and the number of entries up to which.
    pub cosigned: BTreeMap<String, u64>,
    /// Reservations that are open: questions in flight, or left by a crash.
    pub open: u64,
    /// Rounds of a coordinator that the witness does not have and of which nothing was answered.
    pub unfinished: u64,
    /// Parties whose checkpoints were accepted, but whose file was not shown.
    pub not_here: Vec<String>,
}

/// Whose signatures count: one roster, or several when keys or hospitals have changed.
#[derive(Debug, Clone, Copy)]
struct Keys<'a>(&'a [Roster]);

/// Everything that is known about one file.
struct Examined {
    claims: across::Claims,
    /// What was accepted, by origin, when everything else had been read.
    remembered: BTreeMap<String, u64>,
    tree: Tree,
    entries: Vec<(u64, Entry)>,
    report: PartyReport,
}

/// Verifies the files. `rosters` hold the parties' keys, verified; a signature counts when it is
/// by the key that any of them gives its party.
#[must_use]
pub fn verify(files: &[PathBuf], rosters: &[Roster]) -> Report {
    let keys = Keys(rosters);
    let mut report = Report::default();
    let mut opened = Vec::new();
    for file in files {
        let claims = Archive::open(file).and_then(|archive| {
            let claims = archive.read(across::claims)?;
            Ok((archive, claims))
        });
        match claims {
            Ok(pair) => opened.push(pair),
            Err(error) => report.findings.push(Finding::unreadable(file, &error)),
        }
    }
    let mut read = Vec::new();
    for (archive, claims) in opened {
        let mut findings = Findings::new(archive.path(), archive.party());
        match examine(&archive, keys, claims, &mut findings) {
            Ok(done) => read.push((archive.path().to_owned(), done)),
            Err(error) => findings.add(Place::File, Wrong::unreadable(&error)),
        }
        report.findings.extend(findings.into_vec());
    }
    let mut examined = Vec::new();
    for (file, mut one) in read {
        match Archive::open(&file).and_then(|archive| archive.read(across::remembered)) {
            Ok(remembered) => one.remembered = remembered,
            Err(error) => report.findings.push(Finding::unreadable(&file, &error)),
        }
        examined.push(one);
    }
    report.findings.extend(across::compare(&mut examined, keys));
    report.parties = examined.into_iter().map(|examined| examined.report).collect();
    report
}

fn examine(
    archive: &Archive,
    keys: Keys<'_>,
    claims: across::Claims,
    findings: &mut Findings<'_>,
) -> Result<Examined, crate::RecordError> {
    if keys.of(archive.party()).is_empty() {
        findings.add(Place::File, Wrong::NotInRoster);
    }
    archive.read(|connection| {
        rows::structure(connection, findings)?;
        let (tree, entries) = tree::read(connection, findings)?;
        let (checkpoints, cosigned) =
            checkpoints::verify(connection, archive.party(), keys, &tree, findings)?;
        let is_node = archive.party().role() == Role::Node;
        let open = rows::verify(connection, is_node, &entries, findings)?;
        let report = PartyReport {
            file: archive.path().to_owned(),
            party: archive.party().clone(),
            entries: tree.size(),
            checkpoints,
            cosigned,
            open,
            unfinished: 0,
            not_here: Vec::new(),
        };
        Ok(Examined { claims, remembered: BTreeMap::new(), tree, entries, report })
    })
}

impl Keys<'_> {
    /// The keys of a party, without repetition.
    fn of(self, party: &Peer) -> Vec<VerifyKey> {
        let rosters = self.0.iter().filter(|roster| roster.region() == party.region());
        let mut keys: Vec<_> =
            rosters.filter_map(|roster| roster.key_of(party.role(), party.name())).collect();
        keys.sort();
        keys.dedup();
        keys
    }
}

impl Examined {
    fn file(&self) -> &Path {
        &self.report.file
    }

    fn party(&self) -> &Peer {
        &self.report.party
    }
}

/// Reads the entries that can be read; the others are somebody else's finding.
fn readable(connection: &rusqlite::Connection) -> Result<Vec<(u64, Entry)>, Problem> {
    let mut select = connection.prepare("SELECT idx, bytes FROM entry ORDER BY idx")?;
    let rows =
        select.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    let mut entries = Vec::new();
    for row in rows {
        let (index, bytes) = row?;
        if let (Ok(index), Ok(entry)) = (u64::try_from(index), Entry::parse(&bytes)) {
            entries.push((index, entry));
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
