//! Questions that wait for a hospital's steward, and the steward's decisions.
//!
//! A node whose policy asks its steward keeps what was asked, so that the steward can read it; asking
//! again only counts. Decisions are made outside, in a file that the steward's own commands write; the node
//! enters one in the log before it acts on it, unless it is the one that it acted on before. Nothing here
//! decides anything.

use privacy::Scope;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use crate::digest::sha256;
use crate::entry::{self, Entry, Kind};
use crate::log;
use crate::store::{Archive, Problem, RecordError, Store, from_column, to_column};

/// Questions that are kept; beyond, one makes room of whoever has most of them.
pub const MAX_WAITING: usize = 1_000;

/// What a steward decides on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Matter {
    /// One question.
    Question,
    /// A project, whose definition stands in the place of the relation.
    Project,
}

impl Matter {
    /// The code in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Question => "question",
            Self::Project => "project",
        }
    }
}

/// A question, or a project, that has to wait.
#[derive(Debug, Clone, Copy)]
pub struct Waiting<'a> {
    /// Which of them.
    pub matter: Matter,
    /// What stands for the question and its asker.
    pub question: [u8; 32],
    /// Who asks.
    pub asker: &'a str,
    /// Whose cells.
    pub scope: Scope,
    /// Its relation, in SQL.
    pub relation: &'a str,
    /// What is added up over it, for people.
    pub measures: &'a str,
    /// When, RFC 3339 in UTC.
    pub at: &'a str,
}

/// A question or project that had to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingRow {
    /// Which of them.
    pub matter: Matter,
    /// What stands for the question and its asker.
    pub question: [u8; 32],
    /// Who asks.
    pub asker: String,
    /// Whose cells.
    pub scope: Scope,
    /// Its relation, in SQL.
    pub relation: String,
    /// What is added up over it, for people.
    pub measures: String,
    /// When it was asked first and last, RFC 3339 in UTC.
    pub first: String,
    /// See `first`.
    pub last: String,
    /// How often it was asked.
    pub times: u64,
}

/// How a steward decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The question is answered as far as the other rules admit it.
    Approved,
    /// It is not.
    Declined,
}

/// A decision, as the node found it.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    /// The question.
    pub question: [u8; 32],
    /// Approved or declined.
    pub verdict: Verdict,
    /// The line in which it stands, whole.
    pub line: &'a str,
}

impl Verdict {
    /// The code in files and entries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Declined => "declined",
        }
    }
}

impl Store {
    /// Keeps a question for the steward, or counts it when it waits already; a project is kept once.
    ///
    /// # Errors
    /// [`RecordError`]; nothing is written then.
    pub fn wait(&self, waiting: &Waiting<'_>) -> Result<(), RecordError> {
        // A project is asked about whenever somebody looks at it: only the first time is news.
        if waiting.matter == Matter::Project && self.read(|it| is_kept(it, &waiting.question))? {
            return Ok(());
        }
        self.write(|transaction| {
            let again = transaction.execute(
                "UPDATE waiting SET last = ?2, times = times + 1 WHERE question = ?1",
                params![waiting.question, waiting.at],
            )?;
            if again > 0 {
                return Ok(());
            }
            let kept: i64 =
                transaction.query_row("SELECT count(*) FROM waiting", [], |row| row.get(0))?;
            if from_column(kept)? >= MAX_WAITING as u64 {
                // Whoever floods the inbox pushes out their own questions and nobody else's.
                transaction.execute(
                    "DELETE FROM waiting WHERE question =
                         (SELECT question FROM waiting WHERE asker =
                             (SELECT asker FROM waiting GROUP BY asker
                              ORDER BY count(*) DESC, asker LIMIT 1)
                          ORDER BY last, question LIMIT 1)",
                    [],
                )?;
            }
            transaction.execute(
                "INSERT INTO waiting
                     (question, asker, scope, relation, measures, first, last, times, kind)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 1, ?7)",
                params![
                    waiting.question,
                    waiting.asker,
                    waiting.scope.as_str(),
                    waiting.relation,
                    waiting.measures,
                    waiting.at,
                    waiting.matter.as_str(),
                ],
            )?;
            Ok(())
        })
    }

    /// Enters a decision in the log, unless it is the last one about its question. Returns whether it was
    /// entered.
    ///
    /// # Errors
    /// [`RecordError`]; nothing is written then.
    pub fn decide(&self, at: &str, decision: &Decision<'_>) -> Result<bool, RecordError> {
        let line = sha256(decision.line.as_bytes());
        self.write(|transaction| {
            let last: Option<String> = transaction
                .query_row(
                    "SELECT line FROM decision WHERE question = ?1 ORDER BY entry DESC LIMIT 1",
                    params![decision.question],
                    |row| row.get(0),
                )
                .optional()?;
            if last.as_deref() == Some(decision.line) {
                return Ok(false);
            }
            let entry = Entry {
                request: Some(decision.question),
                detail: Some(line),
                ..Entry::new(at, Kind::Decision, decision.verdict.as_str())
            };
            let index = log::append(transaction, &entry)?;
            transaction.execute(
                "INSERT INTO decision (entry, question, line) VALUES (?1, ?2, ?3)",
                params![to_column(index)?, decision.question, decision.line],
            )?;
            Ok(true)
        })
    }
}

impl Archive {
    /// The questions that had to wait, those asked last first.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn waiting(&self) -> Result<Vec<WaitingRow>, RecordError> {
        self.read(rows)
    }
}

fn is_kept(connection: &Connection, question: &[u8; 32]) -> Result<bool, Problem> {
    let mut select = connection.prepare_cached("SELECT 1 FROM waiting WHERE question = ?1")?;
    Ok(select.exists(params![question])?)
}

fn rows(connection: &Connection) -> Result<Vec<WaitingRow>, Problem> {
    let mut select = connection.prepare_cached(
        "SELECT question, asker, scope, relation, measures, first, last, times, kind
         FROM waiting ORDER BY last DESC, question",
    )?;
    let mut rows = select.query([])?;
    let mut waiting = Vec::new();
    while let Some(row) = rows.next()? {
        let scope: String = row.get("scope")?;
        let scope = entry::scope(&scope);
        let kind: String = row.get("kind")?;
        let matter = [Matter::Question, Matter::Project].into_iter().find(|m| m.as_str() == kind);
        waiting.push(WaitingRow {
            matter: matter.ok_or_else(|| Problem::damaged("what waits is of no kind"))?,
            question: row.get("question")?,
            asker: row.get("asker")?,
            scope: scope.ok_or_else(|| Problem::damaged("a question has no scope"))?,
            relation: row.get("relation")?,
            measures: row.get("measures")?,
            first: row.get("first")?,
            last: row.get("last")?,
            times: from_column(row.get("times")?)?,
        });
    }
    Ok(waiting)
}

#[cfg(test)]
mod tests;
