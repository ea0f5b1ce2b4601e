//! What each row of a snapshot adds to the sketch of a population, from the hospital's HMACs.
//!
//! They stand in files of their own beside the tables ([`PERSON_KEYS`], [`STAY_KEYS`]), by the dense
//! numbers that the tables hold. They are the same in every snapshot that was made with one key, so
//! populations can be compared across snapshots.

use std::fs::File;
use std::path::Path;

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::UInt32Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use privacy::sketch::{Counter, MARK_BYTES, Sketch, Weight};

/// The file that says which HMAC each person's number stands for.
pub const PERSON_KEYS: &str = "person_keys.parquet";
/// The file that says which HMAC each stay's number stands for.
pub const STAY_KEYS: &str = "stay_keys.parquet";

/// Marks of all persons and stays of a snapshot, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    counters: Vec<Counter>,
    weights: Vec<Weight>,
}

/// A row of a person or stay that has no key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unmarked;

impl Marks {
    /// Reads them from a snapshot's folder.
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let counters = read(&folder.join(PERSON_KEYS), Counter::of)?;
        let weights = read(&folder.join(STAY_KEYS), Weight::of)?;
        Ok(Self { counters, weights })
    }

    /// Marks of so many persons and stays, for tests.
    #[cfg(test)]
    pub(crate) fn made_up(count: u32) -> Self {
        let hmac = |kind: &str, number: u32| {
            let hash = privacy::sha256(format!("{kind} {number}").as_bytes());
            std::array::from_fn(|index| hash[index])
        };
        let counters = (0..count).map(|number| Counter::of(&hmac("person", number))).collect();
        let weights = (0..count).map(|number| Weight::of(&hmac("stay", number))).collect();
        Self { counters, weights }
    }

    /// Adds one row.
    pub(crate) fn add(&self, sketch: &mut Sketch, person: u32, stay: u32) -> Result<(), Unmarked> {
        let counter = self.counters.get(person as usize).ok_or(Unmarked)?;
        let weight = self.weights.get(stay as usize).ok_or(Unmarked)?;
        sketch.add(*counter, *weight);
        Ok(())
    }
}

/// A mark for each number; numbers run from 0 without a gap.
fn read<T>(path: &Path, mark: fn(&[u8; MARK_BYTES]) -> T) -> Result<Vec<T>, String> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let fail = |reason: &dyn std::fmt::Display| format!("{name}: {reason}");
    let file = File::open(path).map_err(|error| fail(&error))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| fail(&error))?;
    let batches = builder.build().map_err(|error| fail(&error))?;
    let mut marks = Vec::new();
    for batch in batches {
        let batch = batch.map_err(|error| fail(&error))?;
        let [numbers, hmacs] = batch.columns() else { return Err(fail(&"it has other columns")) };
        let numbers = numbers.as_primitive_opt::<UInt32Type>();
        let hmacs = hmacs.as_fixed_size_binary_opt();
        let columns = numbers.zip(hmacs).filter(|(n, h)| n.null_count() + h.null_count() == 0);
        let (numbers, hmacs) = columns.ok_or_else(|| fail(&"it has columns of other types"))?;
        for (number, hmac) in numbers.values().iter().zip(hmacs.iter().flatten()) {
            let hmac = <&[u8; MARK_BYTES]>::try_from(hmac).map_err(|error| fail(&error))?;
            if *number as usize != marks.len() {
                return Err(fail(&"its numbers have a gap"));
            }
            marks.push(mark(hmac));
        }
    }
    Ok(marks)
}
