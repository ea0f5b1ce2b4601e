//! Diagnosis-procedure combinations, which need a stay's procedures and so the end of both tables.
//!
//! While tables are filled, a few numbers are kept for each stay and each procedure (about 24 and
//! 16 bytes); when all are there, the combination of each stay is made once, and the columns that
//! ingest derives from it are filled in while the stays, sorted in the meantime, are written. What
//! a mapping gives itself stays as it is.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Int32Array, RecordBatch};
use arrow::datatypes::{Int32Type, TimestampSecondType, UInt32Type};
use model::casemix::catalogue::CodeList;
use model::casemix::combination::{Procedure, TreatmentClass, class_of, combination};

use super::dictionary::Dictionary;
use super::error::IngestError;
use super::parse::year_month;
use super::shape::Shape;

/// No text, among a dictionary's numbers.
const ABSENT: i32 = -1;
const DERIVED: [&str; 3] = ["treatment_class", "dip_combination", "dip_code"];
const DIAGNOSIS: &str = "principal_diagnosis";

/// What combinations are made of, by the stays' numbers.
#[derive(Debug, Default)]
pub(crate) struct Combining {
    stays: Vec<Option<Stay>>,
    procedures: Vec<Done>,
}

#[derive(Debug, Clone, Copy)]
struct Stay {
    year: Option<u16>,
    diagnosis: i32,
    /// What the mapping gave, in the order of [`DERIVED`].
    given: [i32; 3],
}

/// A procedure that was done in a stay: numbers of its texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Done {
    stay: u32,
    code: i32,
    system: i32,
    level: i32,
}

/// The derived columns of every stay: numbers of texts.
#[derive(Debug)]
pub(crate) struct Derived {
    positions: [usize; 3],
    by_stay: Vec<[i32; 3]>,
}

impl Combining {
    /// Remembers what a batch of typed and keyed rows says.
    pub(crate) fn take(&mut self, shape: &Shape, rows: &RecordBatch) -> Result<(), IngestError> {
        match shape.table.name {
            "stay" => self.stays(shape, rows),
            "procedure" => self.procedures(shape, rows),
            _ => Ok(()),
        }
    }

    fn stays(&mut self, shape: &Shape, rows: &RecordBatch) -> Result<(), IngestError> {
        let keys = rows.column(0).as_primitive::<UInt32Type>();
        let column = |name| place(shape, name).map(|place| rows.column(place));
        let discharged = column("discharged_at")?.as_primitive::<TimestampSecondType>();
        let diagnoses = column(DIAGNOSIS)?.as_primitive::<Int32Type>();
        let given = places(shape)?.map(|place| rows.column(place).as_primitive::<Int32Type>());
        for row in 0..rows.num_rows() {
            let year = discharged.is_valid(row).then(|| year_month(discharged.value(row)).0);
            let stay = Stay {
                year: year.and_then(|year| u16::try_from(year).ok()),
                diagnosis: text_of(diagnoses, row),
                given: given.map(|column| text_of(column, row)),
            };
            let Ok(place) = usize::try_from(keys.value(row)) else { continue };
            if self.stays.len() <= place {
                self.stays.resize(place + 1, None);
            }
            self.stays[place] = Some(stay);
        }
        Ok(())
    }

    fn procedures(&mut self, shape: &Shape, rows: &RecordBatch) -> Result<(), IngestError> {
        let column =
            |name| place(shape, name).map(|place| rows.column(place).as_primitive::<Int32Type>());
        let keys = rows.column(0).as_primitive::<UInt32Type>();
        let (codes, systems, levels) = (column("code")?, column("code_system")?, column("level")?);
        let done = |row| Done {
            stay: keys.value(row),
            code: text_of(codes, row),
            system: text_of(systems, row),
            level: text_of(levels, row),
        };
        self.procedures.extend((0..rows.num_rows()).map(done));
        Ok(())
    }

    /// Makes the combinations. `texts` are the dictionaries of the procedures, if there are any.
    pub(crate) fn derive(
        mut self,
        shape: &Shape,
        dictionaries: &mut [Dictionary],
        texts: Option<(&Shape, &[Dictionary])>,
        list: Option<&CodeList>,
    ) -> Result<Derived, IngestError> {
        self.procedures.sort_unstable();
        let positions = places(shape)?;
        let diagnosis = place(shape, DIAGNOSIS)?;
        let mut rest = self.procedures.as_slice();
        let mut by_stay = Vec::with_capacity(self.stays.len());
        for (number, stay) in (0_u32..).zip(&self.stays) {
            let own = rest.partition_point(|done| done.stay <= number);
            let (done, after) = rest.split_at(own);
            rest = after;
            let Some(stay) = stay else {
                by_stay.push([ABSENT; 3]);
                continue;
            };
            let procedures = procedures_of(done, texts);
            let diagnosis = dictionaries[diagnosis].text(stay.diagnosis);
            let mut found = [None, None, None];
            let text = |dictionaries: &[Dictionary], which: usize| {
                dictionaries[positions[which]].text(stay.given[which]).map(str::to_owned)
            };
            let class = text(dictionaries, 0);
            let class = class.as_deref().and_then(TreatmentClass::of_name);
            let class = class.unwrap_or_else(|| class_of(procedures.iter().copied()));
            found[0] = Some(class.as_str().to_owned());
            found[1] = text(dictionaries, 1).or_else(|| {
                let codes = procedures.iter().map(|procedure| procedure.code);
                combination(stay.year?, class, diagnosis?, codes)
            });
            found[2] = list.zip(found[1].as_deref()).and_then(|(list, code)| list.code_of(code));
            let mut numbers = stay.given;
            for (which, text) in found.into_iter().enumerate() {
                if let (ABSENT, Some(text)) = (numbers[which], text) {
                    numbers[which] = dictionaries[positions[which]].code(&text)?;
                }
            }
            by_stay.push(numbers);
        }
        Ok(Derived { positions, by_stay })
    }
}

/// Where a governed column stands.
fn place(shape: &Shape, name: &str) -> Result<usize, IngestError> {
    let missing = || IngestError::write(format!("the data model has no column {name}"));
    shape.position(name).ok_or_else(missing)
}

/// Where the derived columns stand.
fn places(shape: &Shape) -> Result<[usize; 3], IngestError> {
    let [class, combination, code] = DERIVED.map(|name| place(shape, name));
    Ok([class?, combination?, code?])
}

fn procedures_of<'a>(
    done: &[Done],
    texts: Option<(&Shape, &'a [Dictionary])>,
) -> Vec<Procedure<'a>> {
    let Some((shape, dictionaries)) = texts else { return Vec::new() };
    let text = |name: &str, number: i32| {
        shape.position(name).and_then(|position| dictionaries[position].text(number))
    };
    let procedure = |done: &Done| {
        let (system, level) = (text("code_system", done.system), text("level", done.level));
        Some(Procedure { code: text("code", done.code)?, system, level })
    };
    done.iter().filter_map(procedure).collect()
}

fn text_of(column: &Int32Array, row: usize) -> i32 {
    if column.is_valid(row) { column.value(row) } else { ABSENT }
}

impl Derived {
    /// A batch of stays with the derived columns in their places.
    pub(crate) fn complete(&self, batch: &RecordBatch) -> Result<RecordBatch, IngestError> {
        let keys = batch.column(0).as_primitive::<UInt32Type>();
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        for (which, position) in self.positions.into_iter().enumerate() {
            let number = |key: &u32| {
                let place = usize::try_from(*key).ok()?;
                self.by_stay.get(place).map(|texts| texts[which]).filter(|text| *text != ABSENT)
            };
            let numbers: Int32Array = keys.values().iter().map(number).collect();
            columns[position] = Arc::new(numbers);
        }
        RecordBatch::try_new(batch.schema(), columns).map_err(IngestError::write)
    }
}
