//! Populations that were told: what later questions are compared with.
//!
//! They are written in the transaction of the round or release that tells them, and their digest is
//! part of its entry: one that is taken away or altered afterwards is found.

use privacy::sketch::{Known, Place, Role, SKETCH_BYTES, Sketch, Told};
use rusqlite::{Connection, params};

use crate::digest::sha256;
use crate::store::{Problem, RecordError, Store, to_column};

/// Marks the role of a population whose place follows.
const PLACED: u8 = 0x80;

impl Store {
    /// All populations that rounds and releases have told.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn populations(&self) -> Result<Known, RecordError> {
        self.read(|transaction| {
            let mut known = Known::default();
            let mut select = transaction
                .prepare("SELECT sketch, role, place FROM population ORDER BY number")?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let bytes: Vec<u8> = row.get(0)?;
                let sketch = Sketch::from_bytes(&bytes);
                let sketch = sketch.ok_or_else(|| Problem::damaged("a population is no sketch"))?;
                let role = Role::from_code(row.get(1)?);
                let role = role.ok_or_else(|| Problem::damaged("a population has no role"))?;
                let place: Option<Vec<u8>> = row.get(2)?;
                let place = place.map(|bytes| {
                    let place = Place::from_bytes(&bytes);
                    place.ok_or_else(|| Problem::damaged("a population stands nowhere"))
                });
                known.add(&Told::new(sketch, role).at(place.transpose()?));
            }
            Ok(known)
        })
    }
}

/// Stands for the populations that a round or release told; `None` when it told none.
pub(crate) fn digest_of(told: &[Told]) -> Option<[u8; 32]> {
    digest(told.iter().map(|one| {
        (one.sketch.to_bytes(), one.role.code(), one.place.as_ref().map(Place::to_bytes))
    }))
}

fn digest(
    told: impl Iterator<Item = ([u8; SKETCH_BYTES], u8, Option<Vec<u8>>)>,
) -> Option<[u8; 32]> {
    let mut bytes = Vec::new();
    told.for_each(|(sketch, role, place)| {
        bytes.extend(sketch);
        // Before the seventh format nothing had a place.
        bytes.push(if place.is_some() { role | PLACED } else { role });
        bytes.extend(place.map(|place| sha256(&place)).into_iter().flatten());
    });
    (!bytes.is_empty()).then(|| sha256(&bytes))
}

/// Keeps what the round or release with this entry told.
pub(crate) fn keep(connection: &Connection, entry: u64, told: &[Told]) -> Result<(), Problem> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO population (entry, role, sketch, place) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for one in told {
        let place = one.place.as_ref().map(Place::to_bytes);
        insert.execute(params![
            to_column(entry)?,
            one.role.code(),
            one.sketch.to_bytes(),
            place
        ])?;
    }
    Ok(())
}

/// Stands for the populations that are kept of an entry.
pub(crate) fn kept(connection: &Connection, entry: i64) -> Result<Option<[u8; 32]>, Problem> {
    let mut select = connection.prepare_cached(
        "SELECT sketch, role, place FROM population WHERE entry = ?1 ORDER BY number",
    )?;
    let rows = select.query_map([entry], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let rows: Vec<(Vec<u8>, u8, Option<Vec<u8>>)> = rows.collect::<Result<_, _>>()?;
    // What has another length was no sketch and fits no digest.
    let whole = |(bytes, role, place): (Vec<u8>, u8, Option<Vec<u8>>)| {
        let sketch = <[u8; SKETCH_BYTES]>::try_from(bytes).unwrap_or([0xff; SKETCH_BYTES]);
        (sketch, role, place)
    };
    Ok(digest(rows.into_iter().map(whole)))
}
