//! Rounds of coordinator and witness: single-use numbers, and the sets of hospitals behind sums.
//!
//! Two sums over almost the same hospitals tell about the few that are in only one of them. So
//! all sets of one family of requests are kept, and a set that differs from an earlier one by one
//! or two hospitals is refused; the same set again is fine. A round is recorded before anything
//! of it is opened: a crash can lose an answer, never a set.

use model::HospitalId;
use privacy::sketch::Told;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::digest::{fields, sha256};
use crate::entry::{Entry, Kind};
use crate::log;
use crate::populations;
use crate::store::{Problem, RecordError, Store, to_column};

/// Fewest hospitals by which two different sets of one family have to differ.
pub const FEWEST_APART: usize = 3;
/// Most different sets of one family; further ones are refused.
pub const MAX_SETS_PER_FAMILY: u32 = 1_000;

/// A round that is to be opened.
#[derive(Debug, Clone, Copy)]
pub struct Round<'a> {
    /// When, RFC 3339 in UTC.
    pub at: &'a str,
    /// The UTC day, `2026-11-21`.
    pub day: &'a str,
    /// Its single-use number.
    pub sid: [u8; 32],
    /// The family of requests within which sets are compared.
    pub family: [u8; 32],
    /// The hospitals whose uploads are complete, in ascending order, each once.
    pub hospitals: &'a [HospitalId],
    /// The populations that it tells and none before it told.
    pub told: &'a [Told],
}

/// Why a round is not opened. Nothing is recorded then.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// A round with this number was opened before.
    #[error("this sid was used before; ask again under a new one")]
    SidSeen,
    /// An earlier set of the family is too much like this one.
    #[error(
        "an earlier round of these requests had almost the same hospitals ({apart} apart, fewest \
         {FEWEST_APART}); ask again when the same hospitals answer"
    )]
    TooClose {
        /// By how many hospitals they differ.
        apart: usize,
    },
    /// The family has as many sets as are kept.
    #[error(
        "these requests were answered over {MAX_SETS_PER_FAMILY} different sets of hospitals; no \
         further set is compared"
    )]
    TooManySets,
    /// The hospitals are not in ascending order, or one is there twice.
    #[error("the hospitals of a round come in ascending order, each once")]
    Unsorted,
    /// The file.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Store {
    /// Opens a round: its number is used up, its set is kept, an entry says so. Returns the index
    /// of the entry.
    ///
    /// # Errors
    /// [`RoundError`].
    pub fn open_round(&self, round: &Round<'_>) -> Result<u64, RoundError> {
        if !round.hospitals.is_sorted_by(|a, b| a < b) {
            return Err(RoundError::Unsorted);
        }
        self.write(|transaction| {
            if is_seen(transaction, &round.sid)? {
                return Ok(Err(RoundError::SidSeen));
            }
            let survivors = match survivors(transaction, round)? {
                Ok(survivors) => survivors,
                Err(refused) => return Ok(Err(refused)),
            };
            let told = populations::digest_of(round.told);
            let index = log::append(transaction, &entry(round, told))?;
            transaction
                .prepare_cached("INSERT INTO round VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![round.sid, survivors, round.day, to_column(index)?])?;
            populations::keep(transaction, index, round.told)?;
            Ok(Ok(index))
        })?
    }

    /// Whether a round with this number was opened.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn is_round_opened(&self, sid: &[u8; 32]) -> Result<bool, RecordError> {
        self.read(|transaction| is_seen(transaction, sid))
    }

    /// The different sets of hospitals over which rounds of `family` were opened, oldest first.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn survivor_sets(&self, family: &[u8; 32]) -> Result<Vec<Vec<HospitalId>>, RecordError> {
        self.read(|transaction| {
            let sets = sets(transaction, family)?;
            sets.into_iter().map(|(_, hospitals)| parse(&hospitals)).collect()
        })
    }
}

// === inside a transaction ===

fn is_seen(connection: &Connection, sid: &[u8; 32]) -> Result<bool, Problem> {
    let mut select = connection.prepare_cached("SELECT 1 FROM round WHERE sid = ?1")?;
    Ok(select.exists(params![sid])?)
}

/// The row of the round's set, new or known, or why the set is refused.
fn survivors(
    connection: &Connection,
    round: &Round<'_>,
) -> Result<Result<i64, RoundError>, Problem> {
    let wanted = encode(round.hospitals);
    let known: Option<i64> = connection
        .prepare_cached("SELECT id FROM survivors WHERE family = ?1 AND hospitals = ?2")?
        .query_row(params![round.family, wanted], |row| row.get(0))
        .optional()?;
    if let Some(known) = known {
        return Ok(Ok(known));
    }
    let sets = sets(connection, &round.family)?;
    for (_, hospitals) in &sets {
        let apart = apart(&parse(hospitals)?, round.hospitals);
        if apart < FEWEST_APART {
            return Ok(Err(RoundError::TooClose { apart }));
        }
    }
    if u32::try_from(sets.len()).is_ok_and(|sets| sets < MAX_SETS_PER_FAMILY) {
        connection
            .prepare_cached("INSERT INTO survivors (family, hospitals) VALUES (?1, ?2)")?
            .execute(params![round.family, wanted])?;
        Ok(Ok(connection.last_insert_rowid()))
    } else {
        Ok(Err(RoundError::TooManySets))
    }
}

fn sets(connection: &Connection, family: &[u8; 32]) -> Result<Vec<(i64, String)>, Problem> {
    let mut select = connection
        .prepare_cached("SELECT id, hospitals FROM survivors WHERE family = ?1 ORDER BY id")?;
    let rows = select.query_map(params![family], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Hospitals that are in one of two ascending lists only.
fn apart(one: &[HospitalId], other: &[HospitalId]) -> usize {
    let missing = |from: &[HospitalId], of: &[HospitalId]| {
        of.iter().filter(|hospital| from.binary_search(hospital).is_err()).count()
    };
    missing(one, other) + missing(other, one)
}

/// Ids hold no spaces.
fn encode(hospitals: &[HospitalId]) -> String {
    hospitals.iter().map(HospitalId::as_str).collect::<Vec<_>>().join(" ")
}

fn parse(hospitals: &str) -> Result<Vec<HospitalId>, Problem> {
    let ids = hospitals.split(' ').filter(|id| !id.is_empty()).map(str::parse);
    ids.collect::<Result<_, _>>().map_err(|_| Problem::damaged("a set names no hospital"))
}

fn entry(round: &Round<'_>, told: Option<[u8; 32]>) -> Entry {
    let hospitals = encode(round.hospitals);
    Entry {
        scope: Some(privacy::Scope::Pooled),
        sid: Some(round.sid),
        family: Some(round.family),
        output: Some(set_digest(&hospitals)),
        detail: Some(row_digest(&round.sid, &round.family, &hospitals, round.day, told)),
        ..Entry::new(round.at, Kind::Round, "opened")
    }
}

/// Stands for a set of hospitals in entries.
pub(crate) fn set_digest(hospitals: &str) -> [u8; 32] {
    sha256(hospitals.as_bytes())
}

/// Binds a round's row to its entry.
pub(crate) fn row_digest(
    sid: &[u8; 32],
    family: &[u8; 32],
    hospitals: &str,
    day: &str,
    told: Option<[u8; 32]>,
) -> [u8; 32] {
    let row: [&[u8]; 4] = [sid, family, hospitals.as_bytes(), day.as_bytes()];
    match told {
        None => fields("round", &row),
        Some(told) => fields("round that told", &[row[0], row[1], row[2], row[3], &told]),
    }
}

#[cfg(test)]
mod tests {
    use privacy::sketch::{Mark, Role, Sketch};

    use super::*;

    const NOW: &str = "2026-11-21T08:30:00Z";

    fn ids(names: &[&str]) -> Vec<HospitalId> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn store(folder: &std::path::Path) -> Store {
        let party = "spiffe://east/witness/main".parse().unwrap();
        Store::open(&folder.join(crate::FILE), &party, NOW).unwrap()
    }

    fn open(store: &Store, sid: u8, family: u8, names: &[&str]) -> Result<u64, RoundError> {
        let hospitals = ids(names);
        let (sid, family) = ([sid; 32], [family; 32]);
        let day = "2026-11-21";
        store.open_round(&Round { at: NOW, day, sid, family, hospitals: &hospitals, told: &[] })
    }

    #[test]
    fn a_sid_is_used_once_even_across_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let first = store(folder.path());
        assert_eq!(open(&first, 1, 1, &["a", "b", "c"]).unwrap(), 0);
        assert!(matches!(open(&first, 1, 2, &["x", "y", "z"]), Err(RoundError::SidSeen)));
        drop(first);
        let again = store(folder.path());
        assert!(matches!(open(&again, 1, 1, &["a", "b", "c"]), Err(RoundError::SidSeen)));
        assert!(again.is_round_opened(&[1; 32]).unwrap());
        assert!(!again.is_round_opened(&[2; 32]).unwrap());
        assert_eq!(again.size().unwrap(), 1, "a refused round leaves no entry");
        let entry = again.entry(0).unwrap().unwrap();
        assert_eq!(
            (entry.kind, entry.sid, entry.family),
            (Kind::Round, Some([1; 32]), Some([1; 32]))
        );
    }

    #[test]
    fn sets_of_a_family_are_the_same_or_three_apart() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        open(&store, 1, 1, &["a", "b", "c", "d"]).unwrap();
        open(&store, 2, 1, &["a", "b", "c", "d"]).unwrap();
        for (names, expected) in [
            (&["a", "b", "c"][..], 1),
            (&["a", "b", "c", "d", "e"], 1),
            (&["a", "b", "c", "e"], 2),
            (&["a", "b"], 2),
        ] {
            let refused = open(&store, 9, 1, names);
            let close = matches!(refused, Err(RoundError::TooClose { apart }) if apart == expected);
            assert!(close, "{names:?}: {refused:?}");
        }
        open(&store, 3, 2, &["a", "b", "c"]).unwrap();
        open(&store, 4, 1, &["a", "e", "f"]).unwrap();
        assert!(matches!(open(&store, 9, 1, &["b", "a"]), Err(RoundError::Unsorted)));
        assert!(matches!(open(&store, 9, 1, &["a", "a", "b"]), Err(RoundError::Unsorted)));
        let sets = store.survivor_sets(&[1; 32]).unwrap();
        assert_eq!(sets, [ids(&["a", "b", "c", "d"]), ids(&["a", "e", "f"])]);
        assert_eq!(store.survivor_sets(&[7; 32]).unwrap(), Vec::<Vec<HospitalId>>::new());
        // A refused round has not used up its sid.
        open(&store, 9, 1, &["a", "e", "f"]).unwrap();
    }

    #[test]
    fn populations_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let first = store(folder.path());
        let mut sketch = Sketch::default();
        sketch.add(Mark::of(&[7; 16], &[9; 16]));
        let mut other = Sketch::default();
        other.add(Mark::of(&[8; 16], &[9; 16]));
        let told = [(sketch.clone(), Role::Whole), (other, Role::Cell), (sketch, Role::Hidden)];
        let told = told.map(|(sketch, role)| Told::new(sketch, role));
        let (sid, family, hospitals) = ([1; 32], [1; 32], ids(&["a", "b", "c"]));
        let day = "2026-11-21";
        let round = Round { at: NOW, day, sid, family, hospitals: &hospitals, told: &told };
        first.open_round(&round).unwrap();
        drop(first);
        let again = store(folder.path());
        let known = again.populations().unwrap();
        assert_eq!((known.len(), known.wholes().count()), (3, 1));
        assert!(told.iter().all(|one| known.contains(one)));
    }

    #[test]
    fn a_family_has_a_bounded_number_of_sets() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        store
            .write(|transaction| {
                for number in 0..MAX_SETS_PER_FAMILY {
                    let hospitals = format!("a{number} b{number} c{number}");
                    transaction.execute(
                        "INSERT INTO survivors (family, hospitals) VALUES (?1, ?2)",
                        params![[1u8; 32], hospitals],
                    )?;
                }
                Ok(())
            })
            .unwrap();
        assert!(matches!(open(&store, 1, 1, &["x", "y", "z"]), Err(RoundError::TooManySets)));
        open(&store, 1, 1, &["a5", "b5", "c5"]).unwrap();
        open(&store, 2, 2, &["x", "y", "z"]).unwrap();
    }
}
