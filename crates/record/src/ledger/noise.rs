//! The noise budget: what noisy answers of a year have cost, by asker, in millionths of ρ.
//!
//! Budget is taken in the transaction that reserves a question and comes back only when nothing was sent,
//! so that neither questions at once nor a crash can spend more than there is.

use rusqlite::{Connection, params};

use crate::ledger::{Reservation, ReserveError};
use crate::store::{Archive, Problem, RecordError, Store, from_column};

/// What a noisy question costs and what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoiseCost {
    /// What it costs, in millionths of ρ.
    pub rho_micro: u64,
    /// What its asker may spend in a year.
    pub user_year_micro: u64,
    /// What everybody together may spend in a year.
    pub hospital_year_micro: u64,
}

/// What one asker has spent in a year.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoiseSpent {
    /// Who.
    pub asker: String,
    /// How many noisy questions.
    pub questions: u64,
    /// At which cost, in millionths of ρ.
    pub rho_micro: u64,
}

impl Store {
    /// What each asker has spent in `year`, a text of four digits, in the order of their names.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn noise_spent(&self, year: &str) -> Result<Vec<NoiseSpent>, RecordError> {
        self.read(|transaction| listed(transaction, year))
    }
}

impl Archive {
    /// What each asker has spent in `year`, a text of four digits, in the order of their names.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn noise_spent(&self, year: &str) -> Result<Vec<NoiseSpent>, RecordError> {
        self.read(|connection| listed(connection, year))
    }
}

/// Whether there is enough left of both budgets; days are texts, so a year is a range of them.
pub(super) fn afford(
    connection: &Connection,
    reservation: &Reservation<'_>,
) -> Result<Result<(), ReserveError>, Problem> {
    let Some(cost) = reservation.noise else { return Ok(Ok(())) };
    let year = year_of(reservation.day);
    let own = spent(connection, year, Some(reservation.asker))?;
    let all = spent(connection, year, None)?;
    let fits = |spent: u64, most: u64| spent.saturating_add(cost.rho_micro) <= most;
    Ok(if !fits(own, cost.user_year_micro) {
        Err(ReserveError::Budget { is_own: true })
    } else if !fits(all, cost.hospital_year_micro) {
        Err(ReserveError::Budget { is_own: false })
    } else {
        Ok(())
    })
}

/// The year of a day as it is written.
pub(super) fn year_of(day: &str) -> &str {
    day.split('-').next().unwrap_or_default()
}

fn spent(connection: &Connection, year: &str, asker: Option<&str>) -> Result<u64, Problem> {
    let sum: i64 = connection
        .prepare_cached(
            "SELECT coalesce(sum(rho), 0) FROM reservation
             WHERE rho > 0 AND state <> 'refunded' AND day >= ?1 || '-' AND day < ?1 || '.'
               AND (?2 IS NULL OR asker = ?2)",
        )?
        .query_row(params![year, asker], |row| row.get(0))?;
    from_column(sum)
}

fn listed(connection: &Connection, year: &str) -> Result<Vec<NoiseSpent>, Problem> {
    let mut select = connection.prepare_cached(
        "SELECT asker, count(*), sum(rho) FROM reservation
         WHERE rho > 0 AND state <> 'refunded' AND day >= ?1 || '-' AND day < ?1 || '.'
         GROUP BY asker ORDER BY asker",
    )?;
    let rows =
        select.query_map(params![year], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.map(|row| {
        let (asker, questions, rho) = row?;
        Ok(NoiseSpent { asker, questions: from_column(questions)?, rho_micro: from_column(rho)? })
    })
    .collect()
}

#[cfg(test)]
mod tests;
