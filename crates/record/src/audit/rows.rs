//! Rows against entries: each release, refund and round has the entry that describes it, and each
//! such entry has its row.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;

use super::finding::{Findings, Place, Wrong};
use crate::digest::sha256;
use crate::entry::{Entry, Kind};
use crate::ledger::{Settled, Spent};
use crate::populations::kept;
use crate::rounds::{row_digest, set_digest};
use crate::store::{Problem, from_column};

/// What the database itself can see.
pub(super) fn structure(
    connection: &Connection,
    findings: &mut Findings<'_>,
) -> Result<(), Problem> {
    // Not the quick one: an index that says something else than its table would change what is listed.
    let whole: String = connection.pragma_query_value(None, "integrity_check", |row| row.get(0))?;
    if whole != "ok" {
        findings.add(Place::File, Wrong::Structure(whole));
    }
    let mut check = connection.prepare("PRAGMA foreign_key_check")?;
    let mut rows = check.query([])?;
    while let Some(row) = rows.next()? {
        let table: String = row.get(0)?;
        let reason = format!("a row of table {table} refers to one that is not there");
        findings.add(Place::File, Wrong::Structure(reason));
    }
    Ok(())
}

/// Verifies rows and entries; returns how many reservations are open.
pub(super) fn verify(
    connection: &Connection,
    is_node: bool,
    entries: &[(u64, Entry)],
    findings: &mut Findings<'_>,
) -> Result<u64, Problem> {
    let by_index: HashMap<u64, &Entry> =
        entries.iter().map(|(index, entry)| (*index, entry)).collect();
    let mut rows = Rows { entries: &by_index, described: HashSet::new(), findings };
    rows.releases(connection)?;
    let open = rows.others(connection)?;
    rows.rounds(connection)?;
    rows.decisions(connection)?;
    answers(connection, rows.findings)?;
    for (index, entry) in entries {
        // Coordinator and witness release without a ledger; a node never does.
        let needs_row = match entry.kind {
            Kind::Round => true,
            Kind::Release | Kind::Refund | Kind::Decision => is_node,
            Kind::Offer | Kind::Names | Kind::Refusal => false,
        };
        if needs_row && !rows.described.contains(index) {
            rows.findings.add(Place::Entry(*index), Wrong::EntryWithoutRow);
        }
    }
    Ok(open)
}

struct Rows<'a, 'f, 'p> {
    entries: &'a HashMap<u64, &'a Entry>,
    described: HashSet<u64>,
    findings: &'f mut Findings<'p>,
}

impl Rows<'_, '_, '_> {
    /// Whether entry `index` is of this kind and stands for a row with this digest; it is then
    /// taken by that row.
    fn describes(&mut self, index: Option<i64>, kind: Kind, digest: [u8; 32]) -> bool {
        let index = index.and_then(|index| u64::try_from(index).ok());
        let entry = index.and_then(|index| self.entries.get(&index));
        let good = entry.is_some_and(|entry| entry.kind == kind && entry.detail == Some(digest));
        good && index.is_some_and(|index| self.described.insert(index))
    }

    fn releases(&mut self, connection: &Connection) -> Result<(), Problem> {
        let sql = format!(
            "SELECT {}, {}, r.entry, r.state
             FROM reservation r JOIN release s ON s.reservation = r.id ORDER BY r.id",
            Spent::COLUMNS,
            Settled::COLUMNS
        );
        let mut select = connection.prepare(&sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (spent, settled) = (Spent::read(row)?, Settled::read(row)?);
            let (entry, state): (Option<i64>, String) = (row.get("entry")?, row.get("state")?);
            let told = entry.map_or(Ok(None), |entry| kept(connection, entry))?;
            let place = Place::Reservation(spent.id);
            if state != "committed" {
                self.findings.add(place, Wrong::RowIncomplete);
            } else if !self.describes(entry, Kind::Release, spent.release_digest(&settled, told)) {
                self.findings.add(place, Wrong::RowAltered);
            }
        }
        Ok(())
    }

    /// Reservations without a release; returns how many are open.
    fn others(&mut self, connection: &Connection) -> Result<u64, Problem> {
        let sql = format!(
            "SELECT {}, r.entry, r.state FROM reservation r
             WHERE NOT EXISTS (SELECT 1 FROM release s WHERE s.reservation = r.id) ORDER BY r.id",
            Spent::COLUMNS
        );
        let mut select = connection.prepare(&sql)?;
        let mut rows = select.query([])?;
        let mut open = 0;
        while let Some(row) = rows.next()? {
            let spent = Spent::read(row)?;
            let (entry, state): (Option<i64>, String) = (row.get("entry")?, row.get("state")?);
            let place = Place::Reservation(spent.id);
            match state.as_str() {
                "reserved" => open += 1,
                "refunded" => {
                    if !self.describes(entry, Kind::Refund, spent.refund_digest()) {
                        self.findings.add(place, Wrong::RowAltered);
                    }
                }
                _ => self.findings.add(place, Wrong::RowIncomplete),
            }
        }
        Ok(open)
    }

    fn decisions(&mut self, connection: &Connection) -> Result<(), Problem> {
        let mut select =
            connection.prepare("SELECT entry, question, line FROM decision ORDER BY entry")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (entry, line): (i64, String) = (row.get("entry")?, row.get("line")?);
            let question: [u8; 32] = row.get("question")?;
            let index = u64::try_from(entry).ok();
            let request = index.and_then(|index| self.entries.get(&index)?.request);
            let is_its_own = self.describes(Some(entry), Kind::Decision, sha256(line.as_bytes()));
            if !is_its_own || request != Some(question) {
                let place = Place::Entry(u64::try_from(entry).unwrap_or_default());
                self.findings.add(place, Wrong::RowAltered);
            }
        }
        Ok(())
    }

    fn rounds(&mut self, connection: &Connection) -> Result<(), Problem> {
        let mut select = connection.prepare(
            "SELECT r.sid, s.family, s.hospitals, r.day, r.entry
             FROM round r JOIN survivors s ON s.id = r.survivors ORDER BY r.entry",
        )?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (sid, family): ([u8; 32], [u8; 32]) = (row.get(0)?, row.get(1)?);
            let (hospitals, day): (String, String) = (row.get(2)?, row.get(3)?);
            let index: i64 = row.get(4)?;
            let told = kept(connection, index)?;
            let digest = row_digest(&sid, &family, &hospitals, &day, told);
            let shown = u64::try_from(index).ok().and_then(|index| self.entries.get(&index));
            let same_set = shown.is_some_and(|entry| entry.output == Some(set_digest(&hospitals)));
            if !self.describes(Some(index), Kind::Round, digest) || !same_set {
                self.findings.add(Place::Entry(from_column(index)?), Wrong::RoundAltered);
            }
        }
        Ok(())
    }
}

/// Every kept answer is the one of its release, under the key of its reservation.
fn answers(connection: &Connection, findings: &mut Findings<'_>) -> Result<(), Problem> {
    let mut select = connection.prepare(
        "SELECT a.reservation, a.bytes, s.answer,
                a.request = r.request AND a.snapshot = r.snapshot AND a.policy = r.policy
         FROM answer a JOIN release s ON s.reservation = a.reservation
         JOIN reservation r ON r.id = a.reservation ORDER BY a.id",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let bytes: Vec<u8> = row.get(1)?;
        let hash: Option<[u8; 32]> = row.get(2)?;
        if hash != Some(sha256(&bytes)) || !row.get::<_, bool>(3)? {
            findings.add(Place::Reservation(row.get(0)?), Wrong::AnswerAltered);
        }
    }
    Ok(())
}
