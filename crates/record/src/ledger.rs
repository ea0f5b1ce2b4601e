//! The node's ledger: what each asker has spent, what was released, and to whom.
//!
//! A question is paid for before it is computed ([`Store::reserve`]) and recorded before it is
//! sent ([`Store::commit`]); only if nothing was sent is it given back ([`Store::refund`]). So a
//! crash can lose an answer, never a record: a reservation that is open when the file is opened
//! was not committed, so nothing of it was sent, and it is refunded. The number of a round (sid)
//! stays used in every case.
//!
//! A [`Ticket`] is the right to settle one reservation, once. One that is dropped, because a task
//! was cancelled or a disk was full, is refunded together with the next reservation.
//!
//! Per-hospital releases are kept, so that the same question on the same snapshot under the same
//! policy is answered from the record, free ([`Store::recorded`]).

mod answers;
mod listing;
mod noise;
mod project;
mod rows;

use std::fmt;
use std::sync::{Arc, PoisonError};

use privacy::Scope;
use privacy::sketch::Told;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::entry::{Entry, EntryError, Kind, code};
use crate::log;
use crate::populations;
use crate::store::{Abandoned, Problem, RecordError, Store, from_column, to_column};

pub use answers::{LARGEST_ANSWER_BYTES, MAX_ANSWER_BYTES, MAX_ANSWERS};
pub use listing::ReleaseRow;
pub use noise::{NoiseCost, NoiseSpent};
pub use project::{ProjectCost, ProjectSpent};
pub(crate) use rows::{Settled, Spent};

/// Longest receipt of an upload, in bytes.
pub const MAX_UPLOAD_RECEIPT_BYTES: usize = 16 * 1024;

/// A question that wants to be paid for.
#[derive(Debug, Clone, Copy)]
pub struct Reservation<'a> {
    /// When, RFC 3339 in UTC.
    pub at: &'a str,
    /// Who asks.
    pub asker: &'a str,
    /// The UTC day, `2026-11-21`.
    pub day: &'a str,
    /// Questions that the asker may ask on that day.
    pub allowance: u64,
    /// SHA-256 of the request.
    pub request: [u8; 32],
    /// The snapshot that will be asked.
    pub snapshot: &'a str,
    /// SHA-256 of the policy in force.
    pub policy: [u8; 32],
    /// The single-use number of a pooled round.
    pub sid: Option<[u8; 32]>,
    /// Whose cells.
    pub scope: Scope,
    /// What noise costs, if the answer has any.
    pub noise: Option<NoiseCost>,
    /// Whose question it is, if a project's.
    pub project: Option<ProjectCost<'a>>,
}

/// How a question ended, without counts.
#[derive(Debug, Clone, Copy)]
pub struct Outcome<'a> {
    /// When, RFC 3339 in UTC.
    pub at: &'a str,
    /// How the cells are protected: a code such as `masked`.
    pub mode: &'a str,
    /// Codes of the rules that withheld something.
    pub withheld: &'a [&'a str],
    /// SHA-256 of what will be sent; of a masked upload, its own hash.
    pub output: [u8; 32],
    /// The signed receipt that goes with an upload; empty when there is none.
    pub receipt: &'a [u8],
    /// What will be sent, if a repetition is to be answered with it.
    pub answer: Option<&'a [u8]>,
    /// The populations that it tells and none before it told.
    pub told: &'a [Told],
}

/// The right to settle one reservation, once.
#[must_use = "a reservation has to be committed before anything is sent, or refunded"]
pub struct Ticket {
    id: i64,
    abandoned: Abandoned,
    is_settled: bool,
}

/// Why a question is not paid for. Nothing is recorded then.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// The round's number was seen before.
    #[error("this sid was seen before; a round is answered once")]
    SidSeen,
    /// The asker has used up the day's allowance.
    #[error("the asker has used up {allowance} questions of the day")]
    Usage {
        /// The allowance.
        allowance: u64,
    },
    /// A year's noise budget does not last for it: the asker's own, or everybody's.
    #[error("the noise budget of the year does not last for this question")]
    Budget {
        /// Whether it is the asker's own.
        is_own: bool,
    },
    /// A budget of the question's project does not last for it.
    #[error("the project's budget does not last for this question")]
    Project {
        /// Whether it is the year's noise, or else the number of questions.
        is_noise: bool,
    },
    /// A text of the reservation could not stand in the log.
    #[error("the reservation cannot be recorded: {0}")]
    Text(#[from] EntryError),
    /// The file.
    #[error(transparent)]
    Record(#[from] RecordError),
}

// === impl Store ===

impl Store {
    /// Pays for a question: uses up its sid and one of the asker's questions of the day. It is on
    /// disk when its commit or refund is: a power cut in between forgets a question of which
    /// nothing was sent.
    ///
    /// # Errors
    /// [`ReserveError`].
    pub fn reserve(&self, reservation: &Reservation<'_>) -> Result<Ticket, ReserveError> {
        // What cannot be written at the end must not be paid for.
        code("at", reservation.at)?;
        code("day", reservation.day)?;
        code("snapshot", reservation.snapshot)?;
        let left = self.left_open();
        let reserved = self.write_ahead(|transaction| {
            for id in &left {
                give_back(transaction, *id, reservation.at, "abandoned")?;
            }
            pay(transaction, reservation)
        })?;
        let mut abandoned = self.abandoned().lock().unwrap_or_else(PoisonError::into_inner);
        abandoned.retain(|id| !left.contains(id));
        Ok(Ticket { id: reserved?, abandoned: Arc::clone(self.abandoned()), is_settled: false })
    }

    /// Records a release and its entry. Only after this may anything be sent. Returns the index
    /// of the entry.
    ///
    /// # Errors
    /// [`RecordError`]; then nothing may be sent, and the reservation is refunded later.
    pub fn commit(&self, mut ticket: Ticket, outcome: &Outcome<'_>) -> Result<u64, RecordError> {
        let index = self.write(|transaction| {
            self.check_own(&ticket)?;
            if outcome.receipt.len() > MAX_UPLOAD_RECEIPT_BYTES {
                return Err(EntryError::TooLong.into());
            }
            let spent = rows::reserved(transaction, ticket.id)?.ok_or(Problem::Settled)?;
            let settled = Settled::new(outcome)?;
            let index = log::append(transaction, &release_entry(&spent, &settled, outcome))?;
            settle(transaction, ticket.id, "committed", index)?;
            settled.insert(transaction, ticket.id)?;
            populations::keep(transaction, index, outcome.told)?;
            if let Some(answer) = outcome.answer {
                answers::keep(transaction, &spent, answer)?;
            }
            Ok(index)
        })?;
        ticket.is_settled = true;
        Ok(index)
    }

    /// Gives a reservation back because nothing was or will be sent; `reason` is a code. The row
    /// and the sid stay. Returns the index of the entry.
    ///
    /// # Errors
    /// [`RecordError`]; the reservation is then refunded later.
    pub fn refund(&self, mut ticket: Ticket, at: &str, reason: &str) -> Result<u64, RecordError> {
        let index = self.write(|transaction| {
            self.check_own(&ticket)?;
            give_back(transaction, ticket.id, at, reason)?.ok_or(Problem::Settled)
        })?;
        ticket.is_settled = true;
        Ok(index)
    }

    /// How many questions of `day` the asker has paid for.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn spent(&self, asker: &str, day: &str) -> Result<u64, RecordError> {
        self.read(|transaction| spent(transaction, asker, day))
    }

    /// Refunds what a crash left open. Nothing of it was sent, because a release is committed
    /// before it is sent.
    pub(crate) fn recover(&self, now: &str) -> Result<(), RecordError> {
        self.write(|transaction| {
            let open: Vec<i64> = transaction
                .prepare("SELECT id FROM reservation WHERE state = 'reserved' ORDER BY id")?
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            if !open.is_empty() {
                tracing::warn!("questions that a crash cut off are refunded");
            }
            for id in open {
                give_back(transaction, id, now, "recovered")?;
            }
            Ok(())
        })
    }

    /// Reservations whose ticket was dropped.
    fn left_open(&self) -> Vec<i64> {
        self.abandoned().lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn check_own(&self, ticket: &Ticket) -> Result<(), Problem> {
        if Arc::ptr_eq(&ticket.abandoned, self.abandoned()) {
            Ok(())
        } else {
            Err(Problem::Settled)
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_settled {
            self.abandoned.lock().unwrap_or_else(PoisonError::into_inner).push(self.id);
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({})", self.id)
    }
}

// === inside a transaction ===

fn pay(
    connection: &Connection,
    reservation: &Reservation<'_>,
) -> Result<Result<i64, ReserveError>, Problem> {
    if let Some(sid) = &reservation.sid
        && connection.prepare_cached("SELECT 1 FROM sid WHERE sid = ?1")?.exists(params![sid])?
    {
        return Ok(Err(ReserveError::SidSeen));
    }
    if spent(connection, reservation.asker, reservation.day)? >= reservation.allowance {
        return Ok(Err(ReserveError::Usage { allowance: reservation.allowance }));
    }
    for afford in [noise::afford, project::afford] {
        if let Err(error) = afford(connection, reservation)? {
            return Ok(Err(error));
        }
    }
    let rho = to_column(reservation.noise.map_or(0, |noise| noise.rho_micro))?;
    if let Some(sid) = &reservation.sid {
        connection.prepare_cached("INSERT INTO sid VALUES (?1)")?.execute(params![sid])?;
    }
    let Reservation { asker, day, request, snapshot, policy, sid, scope, .. } = reservation;
    let project = reservation.project.map(|project| project.name);
    connection
        .prepare_cached(
            "INSERT INTO reservation
                 (state, asker, day, scope, request, snapshot, policy, sid, rho, project)
             VALUES ('reserved', ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            asker,
            day,
            scope.as_str(),
            request,
            snapshot,
            policy,
            sid,
            rho,
            project
        ])?;
    Ok(Ok(connection.last_insert_rowid()))
}

fn spent(connection: &Connection, asker: &str, day: &str) -> Result<u64, Problem> {
    let count = connection
        .prepare_cached(
            "SELECT count(*) FROM reservation
             WHERE asker = ?1 AND day = ?2 AND state <> 'refunded'",
        )?
        .query_row(params![asker, day], |row| row.get(0))
        .optional()?;
    from_column(count.unwrap_or(0))
}

/// Refunds a reservation that is open; `None` when it is not.
fn give_back(
    connection: &Connection,
    id: i64,
    at: &str,
    reason: &str,
) -> Result<Option<u64>, Problem> {
    let Some(spent) = rows::reserved(connection, id)? else { return Ok(None) };
    let entry = Entry {
        scope: Some(spent.scope),
        sid: spent.sid,
        request: Some(spent.request),
        policy: Some(spent.policy),
        snapshot: Some(spent.snapshot.clone()),
        detail: Some(spent.refund_digest()),
        ..Entry::new(at, Kind::Refund, reason)
    };
    let index = log::append(connection, &entry)?;
    settle(connection, id, "refunded", index)?;
    Ok(Some(index))
}

fn settle(connection: &Connection, id: i64, state: &str, entry: u64) -> Result<(), Problem> {
    connection
        .prepare_cached("UPDATE reservation SET state = ?2, entry = ?3 WHERE id = ?1")?
        .execute(params![id, state, to_column(entry)?])?;
    Ok(())
}

fn release_entry(spent: &Spent, settled: &Settled, outcome: &Outcome<'_>) -> Entry {
    Entry {
        scope: Some(spent.scope),
        mode: Some(outcome.mode.to_owned()),
        sid: spent.sid,
        request: Some(spent.request),
        policy: Some(spent.policy),
        snapshot: Some(spent.snapshot.clone()),
        output: Some(outcome.output),
        withheld: outcome.withheld.iter().map(|rule| (*rule).to_owned()).collect(),
        detail: Some(spent.release_digest(settled, populations::digest_of(outcome.told))),
        ..Entry::new(outcome.at, Kind::Release, "released")
    }
}

#[cfg(test)]
mod tests;
