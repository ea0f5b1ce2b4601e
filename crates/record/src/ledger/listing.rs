//! What a hospital has released, for its steward.

use privacy::Scope;
use rusqlite::{Connection, params};

use crate::ledger::{Settled, Spent};
use crate::store::{Archive, Problem, RecordError, Store, from_column};

/// One release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRow {
    /// When it was recorded, RFC 3339 in UTC.
    pub at: String,
    /// Who asked.
    pub asker: String,
    /// As a member of which project, if of any.
    pub project: Option<String>,
    /// Whose cells.
    pub scope: Scope,
    /// How they were protected.
    pub mode: String,
    /// SHA-256 of the request.
    pub request: [u8; 32],
    /// The snapshot that was asked.
    pub snapshot: String,
    /// SHA-256 of the policy in force.
    pub policy: [u8; 32],
    /// The number of a pooled round.
    pub sid: Option<[u8; 32]>,
    /// Codes of the rules that withheld something.
    pub withheld: Vec<String>,
    /// SHA-256 of what was sent.
    pub output: [u8; 32],
    /// Index of its entry in the log.
    pub entry: u64,
}

impl Store {
    /// The newest `limit` releases, newest first.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn releases(&self, limit: u32) -> Result<Vec<ReleaseRow>, RecordError> {
        self.read(|transaction| releases(transaction, limit, None))
    }
}

impl Archive {
    /// The newest `limit` releases, newest first.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn releases(&self, limit: u32) -> Result<Vec<ReleaseRow>, RecordError> {
        self.read(|connection| releases(connection, limit, None))
    }

    /// Those of the `project` of this name.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn releases_of(&self, project: &str, limit: u32) -> Result<Vec<ReleaseRow>, RecordError> {
        self.read(|connection| releases(connection, limit, Some(project)))
    }
}

fn releases(
    connection: &Connection,
    limit: u32,
    project: Option<&str>,
) -> Result<Vec<ReleaseRow>, Problem> {
    let sql = format!(
        "SELECT {}, {}, r.entry
         FROM release s JOIN reservation r ON r.id = s.reservation
         WHERE ?2 IS NULL OR r.project = ?2 ORDER BY r.entry DESC LIMIT ?1",
        Spent::COLUMNS,
        Settled::COLUMNS
    );
    let mut select = connection.prepare_cached(&sql)?;
    let rows = select.query_map(params![limit, project], |row| {
        Ok((Spent::read(row), Settled::read(row), row.get::<_, i64>("entry")?))
    })?;
    rows.map(|row| {
        let (spent, settled, entry) = row?;
        let (spent, settled) = (spent?, settled?);
        Ok(ReleaseRow {
            at: settled.at,
            asker: spent.asker,
            project: spent.project,
            scope: spent.scope,
            mode: settled.mode,
            request: spent.request,
            snapshot: spent.snapshot,
            policy: spent.policy,
            sid: spent.sid,
            withheld: rules(&settled.withheld),
            output: settled.output,
            entry: from_column(entry)?,
        })
    })
    .collect()
}

fn rules(codes: &str) -> Vec<String> {
    codes.split(' ').filter(|code| !code.is_empty()).map(str::to_owned).collect()
}
