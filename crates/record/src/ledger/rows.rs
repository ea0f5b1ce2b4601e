//! Rows of the ledger, and the hashes that bind them to their entries.

use privacy::Scope;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::digest::{fields, sha256};
use crate::entry::{self, EntryError, code};
use crate::ledger::Outcome;
use crate::store::Problem;

/// A reservation's row, without its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) id: i64,
    pub(crate) asker: String,
    pub(crate) day: String,
    pub(crate) scope: Scope,
    pub(crate) request: [u8; 32],
    pub(crate) snapshot: String,
    pub(crate) policy: [u8; 32],
    pub(crate) sid: Option<[u8; 32]>,
    /// What its noise costs, in millionths; 0 without.
    pub(crate) rho: i64,
    /// Whose question it is, if a project's.
    pub(crate) project: Option<String>,
}

/// A release's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) at: String,
    pub(crate) mode: String,
    /// Codes, separated by spaces.
    pub(crate) withheld: String,
    pub(crate) output: [u8; 32],
    pub(crate) receipt: Vec<u8>,
    /// SHA-256 of the answer, if it was to be kept.
    pub(crate) answer: Option<[u8; 32]>,
}

impl Spent {
    /// The columns that [`Spent::read`] expects, from `reservation r`.
    pub(crate) const COLUMNS: &'static str =
        "r.id, r.asker, r.day, r.scope, r.request, r.snapshot, r.policy, r.sid, r.rho, r.project";
    const WIDTH: usize = 10;

    pub(crate) fn read(row: &Row<'_>) -> Result<Self, Problem> {
        let scope: String = row.get(3)?;
        Ok(Self {
            id: row.get(0)?,
            asker: row.get(1)?,
            day: row.get(2)?,
            scope: entry::scope(&scope).ok_or_else(|| Problem::damaged("an unknown scope"))?,
            request: row.get(4)?,
            snapshot: row.get(5)?,
            policy: row.get(6)?,
            sid: row.get(7)?,
            rho: row.get(8)?,
            project: row.get(9)?,
        })
    }

    /// Binds the row of a refund to its entry.
    pub(crate) fn refund_digest(&self) -> [u8; 32] {
        self.digest("refund", &[])
    }

    /// Binds the rows of a release to their entry.
    pub(crate) fn release_digest(&self, settled: &Settled, told: Option<[u8; 32]>) -> [u8; 32] {
        let answer = settled.answer.as_ref().map_or(&[][..], |hash| hash);
        let more = [
            settled.at.as_bytes(),
            settled.mode.as_bytes(),
            settled.withheld.as_bytes(),
            &settled.output,
            &settled.receipt,
            answer,
        ];
        match told {
            None => self.digest("release", &more),
            Some(told) => self.digest("release that told", &[&more[..], &[&told]].concat()),
        }
    }

    fn digest(&self, label: &str, more: &[&[u8]]) -> [u8; 32] {
        let id = self.id.to_le_bytes();
        let rho = self.rho.to_le_bytes();
        let mut own: Vec<&[u8]> = vec![
            &id,
            self.asker.as_bytes(),
            self.day.as_bytes(),
            self.scope.as_str().as_bytes(),
            &self.request,
            self.snapshot.as_bytes(),
            &self.policy,
            self.sid.as_ref().map_or(&[], |sid| sid),
        ];
        // What was written before there was noise, or projects, keeps its digest.
        let mut label = label.to_owned();
        if self.rho != 0 {
            own.push(&rho);
            label.push_str(" with noise");
        }
        if let Some(project) = &self.project {
            own.push(project.as_bytes());
            label.push_str(" of a project");
        }
        fields(&label, &[&own, more].concat())
    }
}

impl Settled {
    /// The columns that [`Settled::read`] expects, from `release s`, after those of [`Spent`].
    pub(crate) const COLUMNS: &'static str =
        "s.at, s.mode, s.withheld, s.output, s.receipt, s.answer";

    pub(crate) fn new(outcome: &Outcome<'_>) -> Result<Self, EntryError> {
        let withheld = outcome.withheld.iter().map(|rule| code("withheld", rule));
        Ok(Self {
            at: code("at", outcome.at)?,
            mode: code("mode", outcome.mode)?,
            withheld: withheld.collect::<Result<Vec<_>, _>>()?.join(" "),
            output: outcome.output,
            receipt: outcome.receipt.to_vec(),
            answer: outcome.answer.map(sha256),
        })
    }

    pub(crate) fn read(row: &Row<'_>) -> Result<Self, Problem> {
        let column = |offset| Spent::WIDTH + offset;
        Ok(Self {
            at: row.get(column(0))?,
            mode: row.get(column(1))?,
            withheld: row.get(column(2))?,
            output: row.get(column(3))?,
            receipt: row.get(column(4))?,
            answer: row.get(column(5))?,
        })
    }

    pub(crate) fn insert(&self, connection: &Connection, reservation: i64) -> Result<(), Problem> {
        let Self { at, mode, withheld, output, receipt, answer } = self;
        connection
            .prepare_cached("INSERT INTO release VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
            .execute(params![reservation, at, mode, withheld, output, receipt, answer])?;
        Ok(())
    }
}

/// The reservation `id`, if it is open.
pub(crate) fn reserved(connection: &Connection, id: i64) -> Result<Option<Spent>, Problem> {
    let sql = format!(
        "SELECT {} FROM reservation r WHERE r.id = ?1 AND r.state = 'reserved'",
        Spent::COLUMNS
    );
    let mut select = connection.prepare_cached(&sql)?;
    select.query_row(params![id], |row| Ok(Spent::read(row))).optional()?.transpose()
}
