//! Recorded answers: bounded in number and size, the oldest go first.
//!
//! The first answer to a question stays: what was drawn for it (noise, one day) is never drawn
//! again while it is kept.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::digest::sha256;
use crate::ledger::Spent;
use crate::store::{Problem, RecordError, Store};

/// Most recorded answers that are kept.
pub const MAX_ANSWERS: i64 = 10_000;
/// Most bytes of recorded answers that are kept.
pub const MAX_ANSWER_BYTES: i64 = 1 << 30;
/// Largest answer that is kept; the repetition of a larger one is computed, and paid, again.
pub const LARGEST_ANSWER_BYTES: usize = 64 << 20;
/// Most answers that one release pushes out.
const PRUNED_AT_ONCE: i64 = 64;

impl Store {
    /// What was released for the same request on the same snapshot under the same policy.
    ///
    /// # Errors
    /// [`RecordError`], also when the answer is not the one that was recorded.
    pub fn recorded(
        &self,
        request: &[u8; 32],
        snapshot: &str,
        policy: &[u8; 32],
    ) -> Result<Option<Vec<u8>>, RecordError> {
        self.read(|transaction| {
            let found: Option<(Vec<u8>, [u8; 32])> = transaction
                .prepare_cached(
                    "SELECT a.bytes, s.answer
                     FROM answer a JOIN release s ON s.reservation = a.reservation
                     WHERE a.request = ?1 AND a.snapshot = ?2 AND a.policy = ?3",
                )?
                .query_row(params![request, snapshot, policy], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            match found {
                Some((bytes, hash)) if sha256(&bytes) != hash => {
                    Err(Problem::damaged("a recorded answer is not the one that was released"))
                }
                found => Ok(found.map(|(bytes, _)| bytes)),
            }
        })
    }
}

/// Keeps the answer of a release, unless one to the same question is kept already.
pub(super) fn keep(connection: &Connection, spent: &Spent, bytes: &[u8]) -> Result<(), Problem> {
    let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    if bytes.len() > LARGEST_ANSWER_BYTES {
        return Ok(());
    }
    // A running total with each answer tells how many bytes are kept without adding them up.
    connection
        .prepare_cached(
            "INSERT INTO answer (reservation, request, snapshot, policy, bytes, bytes_upto)
             VALUES (?1, ?2, ?3, ?4, ?5,
                     ?6 + coalesce((SELECT bytes_upto FROM answer ORDER BY id DESC LIMIT 1), 0))
             ON CONFLICT (request, snapshot, policy) DO NOTHING",
        )?
        .execute(params![spent.id, spent.request, spent.snapshot, spent.policy, bytes, length])?;
    connection
        .prepare_cached(
            "DELETE FROM answer WHERE id IN (SELECT id FROM answer ORDER BY id LIMIT ?3) AND (
                id <= (SELECT max(id) FROM answer) - ?1 OR
                bytes_upto <= (SELECT bytes_upto FROM answer ORDER BY id DESC LIMIT 1) - ?2)",
        )?
        .execute(params![MAX_ANSWERS, MAX_ANSWER_BYTES, PRUNED_AT_ONCE])?;
    Ok(())
}
