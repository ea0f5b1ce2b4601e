//! What projects have used of their budgets here.
//!
//! As with noise, budget is taken in the transaction that reserves a question and comes back only when nothing
//! was sent. It is counted by the project's name, so that a later version goes on where the former was.

use rusqlite::{Connection, params};

use crate::ledger::noise::year_of;
use crate::ledger::{Reservation, ReserveError};
use crate::store::{Archive, Problem, RecordError, Store, from_column};

/// The project of a question and what it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProjectCost<'a> {
    /// What the region calls it.
    pub name: &'a str,
    /// Most questions, over its life.
    pub questions: u64,
    /// What noise may cost in a calendar year, in millionths of ρ.
    pub rho_year_micro: u64,
}

/// What a project has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProjectSpent {
    /// Questions, over its life.
    pub questions: u64,
    /// What noise has cost in one calendar year, in millionths of ρ.
    pub rho_year_micro: u64,
}

impl Store {
    /// What the project called `name` has used; of noise in `year`, a text of four digits.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn project_spent(&self, name: &str, year: &str) -> Result<ProjectSpent, RecordError> {
        self.read(|transaction| spent(transaction, name, year))
    }
}

impl Archive {
    /// What the project called `name` has used; of noise in `year`, a text of four digits.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn project_spent(&self, name: &str, year: &str) -> Result<ProjectSpent, RecordError> {
        self.read(|connection| spent(connection, name, year))
    }
}

/// Whether the project's budgets last for one more question.
pub(super) fn afford(
    connection: &Connection,
    reservation: &Reservation<'_>,
) -> Result<Result<(), ReserveError>, Problem> {
    let Some(project) = reservation.project else { return Ok(Ok(())) };
    let used = spent(connection, project.name, year_of(reservation.day))?;
    let rho = reservation.noise.map_or(0, |noise| noise.rho_micro);
    Ok(if used.questions >= project.questions {
        Err(ReserveError::Project { is_noise: false })
    } else if used.rho_year_micro.saturating_add(rho) > project.rho_year_micro {
        Err(ReserveError::Project { is_noise: true })
    } else {
        Ok(())
    })
}

fn spent(connection: &Connection, name: &str, year: &str) -> Result<ProjectSpent, Problem> {
    let (questions, rho): (i64, i64) = connection
        .prepare_cached(
            "SELECT count(*),
                    coalesce(sum(rho) FILTER (WHERE day >= ?2 || '-' AND day < ?2 || '.'), 0)
             FROM reservation WHERE project = ?1 AND state <> 'refunded'",
        )?
        .query_row(params![name, year], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(ProjectSpent { questions: from_column(questions)?, rho_year_micro: from_column(rho)? })
}

#[cfg(test)]
mod tests;
