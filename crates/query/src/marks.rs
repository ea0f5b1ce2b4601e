//! What each row of a snapshot adds to the sketch of a population, from the hospital's HMACs.
//!
//! They stand in files of their own beside the tables ([`PERSON_KEYS`], [`STAY_KEYS`]), by the dense
//! numbers that the tables hold. They are the same in every snapshot that was made with one key, so
//! populations can be compared across snapshots. Whose a stay is says the table of stays.

use std::fs::File;
use std::path::Path;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::UInt32Type;
use model::schema::{PERSON_KEY, STAY_KEY};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use privacy::sketch::{MARK_BYTES, Mark, Sketch, Sketches, Unmarked};

/// The file that says which HMAC each person's number stands for.
pub const PERSON_KEYS: &str = "person_keys.parquet";
/// The file that says which HMAC each stay's number stands for.
pub const STAY_KEYS: &str = "stay_keys.parquet";

type Hmac = [u8; MARK_BYTES];

/// Marks of all stays of a snapshot, by their numbers; `None` of one without a row.
#[derive(Debug, Default)]
pub(crate) struct Marks(Vec<Option<Mark>>);

impl Marks {
    /// Reads them from a snapshot's folder, whose table of stays is `stays`.
    pub(crate) fn read(folder: &Path, stays: &Path) -> Result<Self, String> {
        let (persons, keys) = (hmacs(&folder.join(PERSON_KEYS))?, hmacs(&folder.join(STAY_KEYS))?);
        let mut marks = vec![None; keys.len()];
        each_batch(stays, Some([STAY_KEY, PERSON_KEY]), |batch| {
            let number = |name| {
                let column = batch.column_by_name(name)?.as_primitive_opt::<UInt32Type>();
                column.filter(|numbers| numbers.null_count() == 0)
            };
            let columns = number(STAY_KEY).zip(number(PERSON_KEY));
            let (stays, persons_of) = columns.ok_or("it has keys of another type")?;
            for (stay, person) in stays.values().iter().zip(persons_of.values()) {
                let stay = *stay as usize;
                let known = keys.get(stay).zip(persons.get(*person as usize));
                let (key, person) = known.ok_or("it has a number without a key")?;
                marks[stay] = Some(Mark::of(person, key));
            }
            Ok(())
        })?;
        Ok(Self(marks))
    }

    /// Made-up marks of stays of these persons, for tests.
    #[cfg(test)]
    pub(crate) fn made_up(persons: impl IntoIterator<Item = u32>) -> Self {
        let hmac = |kind: &str, number: u32| -> Hmac {
            let hash = privacy::sha256(format!("{kind} {number}").as_bytes());
            std::array::from_fn(|index| hash[index])
        };
        let stays = (0..).zip(persons);
        let mark = |(stay, person)| Some(Mark::of(&hmac("person", person), &hmac("stay", stay)));
        Self(stays.map(mark).collect())
    }

    /// Adds a row of this stay.
    pub(crate) fn add(&self, sketch: &mut Sketch, stay: u32) -> Result<(), Unmarked> {
        sketch.add(self.0.get(stay as usize).copied().flatten().ok_or(Unmarked)?);
        Ok(())
    }

    /// Adds a row of each stay to the group beside it.
    pub(crate) fn add_rows(
        &self,
        sketches: &mut Sketches,
        rows: impl IntoIterator<Item = (u32, u32)>,
    ) -> Result<(), Unmarked> {
        sketches.add(rows, &self.0)
    }
}

/// The HMAC of each number; numbers run from 0 without a gap.
fn hmacs(path: &Path) -> Result<Vec<Hmac>, String> {
    let mut all = Vec::new();
    each_batch(path, None, |batch| {
        let [numbers, hmacs] = batch.columns() else { return Err("it has other columns") };
        let numbers = numbers.as_primitive_opt::<UInt32Type>();
        let hmacs = hmacs.as_fixed_size_binary_opt();
        let columns = numbers.zip(hmacs).filter(|(n, h)| n.null_count() + h.null_count() == 0);
        let (numbers, hmacs) = columns.ok_or("it has columns of other types")?;
        for (number, hmac) in numbers.values().iter().zip(hmacs.iter().flatten()) {
            if *number as usize != all.len() {
                return Err("its numbers have a gap");
            }
            all.push(Hmac::try_from(hmac).map_err(|_| "its HMACs have another length")?);
        }
        Ok(())
    })?;
    Ok(all)
}

/// Calls `take` with each batch of a file, of these columns only.
fn each_batch(
    path: &Path,
    columns: Option<[&str; 2]>,
    mut take: impl FnMut(&RecordBatch) -> Result<(), &'static str>,
) -> Result<(), String> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let fail = |reason: &dyn std::fmt::Display| format!("{name}: {reason}");
    let file = File::open(path).map_err(|error| fail(&error))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| fail(&error))?;
    let mask = match columns {
        Some(columns) => ProjectionMask::columns(builder.parquet_schema(), columns),
        None => ProjectionMask::all(),
    };
    let batches = builder.with_projection(mask).build().map_err(|error| fail(&error))?;
    for batch in batches {
        take(&batch.map_err(|error| fail(&error))?).map_err(|reason| fail(&reason))?;
    }
    Ok(())
}
