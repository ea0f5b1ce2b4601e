//! One governed table being filled: batches of the mapping's result become typed, keyed rows.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, Int32Array, Int64Array, RecordBatch, StringArray,
    UInt32Array, UInt64Array, new_null_array,
};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use model::schema::ColumnType;

use super::combine::Combining;
use super::derive;
use super::dictionary::Dictionary;
use super::error::IngestError;
use super::keys::{HospitalKey, Numbers};
use super::order::{self, Order};
use super::quarantine::{Entry, Quarantine, Rule, ValueClass};
use super::renumber::Renumbering;
use super::shape::{Origin, Shape};
use super::sorted::Runs;
use super::typing::{Faults, typed, working_type};

/// Longest identifier of a stay or person, in bytes.
const MAX_ID_BYTES: usize = 1_000;

/// What a source line turned out to be, so that its other tables need no HMAC.
#[derive(Debug, Clone, Copy)]
enum Line {
    Unknown,
    Rejected,
    Stay { id_hash: u64, number: u32 },
}

/// Keys and numbers of one ingest.
#[derive(Debug)]
pub(crate) struct People {
    key: HospitalKey,
    pub(crate) stays: Numbers,
    pub(crate) persons: Numbers,
    pub(crate) combining: Combining,
    /// Where stays will be stored, once all are known.
    pub(crate) places: Renumbering,
    person_of_stay: Vec<u32>,
    lines: Vec<Line>,
}

impl People {
    pub(crate) fn new(key: HospitalKey) -> Self {
        let (stays, persons) = (Numbers::default(), Numbers::default());
        let (combining, places) = (Combining::default(), Renumbering::default());
        let (person_of_stay, lines) = (Vec::new(), Vec::new());
        Self { key, stays, persons, combining, places, person_of_stay, lines }
    }

    pub(crate) fn key_id(&self) -> &str {
        &self.key.id
    }

    fn remember(&mut self, line: i64, what: Line) {
        let Ok(place) = usize::try_from(line) else { return };
        if self.lines.len() <= place {
            self.lines.resize(place + 1, Line::Unknown);
        }
        self.lines[place] = what;
    }

    fn line(&self, line: i64) -> Line {
        let place = usize::try_from(line).ok();
        place.and_then(|place| self.lines.get(place)).copied().unwrap_or(Line::Unknown)
    }

    /// Numbers for a new stay; `None` when the stay is known already.
    fn admit(&mut self, stay: &str, person: &str) -> Result<Option<(u32, u32)>, IngestError> {
        let (stay, new) = self.stays.number(self.key.sign("stay:", stay))?;
        if !new {
            return Ok(None);
        }
        let (person, _) = self.persons.number(self.key.sign("person:", person))?;
        self.person_of_stay.push(person);
        Ok(Some((stay, person)))
    }

    /// Number of an accepted stay.
    fn find(&self, line: i64, stay: &str) -> Option<u32> {
        if let Line::Stay { id_hash, number } = self.line(line)
            && id_hash == order::hash_text(stay)
        {
            return Some(number);
        }
        self.stays.find(self.key.sign("stay:", stay))
    }
}

/// A governed table under construction.
#[derive(Debug)]
pub(crate) struct Filling {
    pub(crate) shape: Shape,
    pub(crate) dictionaries: Vec<Dictionary>,
    pub(crate) runs: Runs,
    schema: SchemaRef,
    quarantine: Arc<Mutex<Quarantine>>,
}

impl Filling {
    pub(crate) fn new(shape: Shape, folder: &Path, quarantine: Arc<Mutex<Quarantine>>) -> Self {
        let columns = shape.table.columns;
        let field =
            |c: &model::schema::Column| Field::new(c.name, working_type(c.column_type), true);
        let mut fields: Vec<Field> = columns.iter().map(field).collect();
        fields.push(Field::new(order::TIE, DataType::UInt64, true));
        let order = Order::of(shape.table);
        let schema = Arc::new(Schema::new(fields));
        Self {
            dictionaries: columns.iter().map(|_| Dictionary::default()).collect(),
            runs: Runs::new(folder, shape.table.name, Arc::clone(&schema), order),
            schema,
            quarantine,
            shape,
        }
    }

    /// Types, keys and keeps one batch of the mapping's result.
    pub(crate) fn push(
        &mut self,
        batch: &RecordBatch,
        people: &mut People,
    ) -> Result<(), IngestError> {
        let mut faults = Faults::new(batch.num_rows());
        let lines = lines(batch.column(self.shape.line))?;
        let mut columns = self.columns(batch, &mut faults)?;
        if self.shape.table.one_row_per_stay {
            derive::complete(&self.shape, &mut columns, &mut self.dictionaries, &mut faults)?;
        }
        let keys = self.keys(batch, &lines, people, &mut faults)?;
        columns[0] = Arc::new(keys.0);
        columns[1] = Arc::new(keys.1);
        columns.push(self.tie(&columns));
        self.report(&faults, &lines, people);
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns);
        let rows = rows.map_err(IngestError::write)?;
        let kept = match faults.kept() {
            None => rows,
            Some(kept) => filter_record_batch(&rows, &kept).map_err(IngestError::write)?,
        };
        people.combining.take(&self.shape, &kept)?;
        // Stays keep their first numbers until they are written: what is derived goes by these.
        let kept = match self.shape.table.one_row_per_stay {
            true => kept,
            false => people.places.renumber(&kept)?,
        };
        self.runs.push(kept, &self.dictionaries)
    }

    fn columns(
        &mut self,
        batch: &RecordBatch,
        faults: &mut Faults,
    ) -> Result<Vec<ArrayRef>, IngestError> {
        let rows = batch.num_rows();
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for (position, column) in self.shape.table.columns.iter().enumerate() {
            let dictionary = &mut self.dictionaries[position];
            columns.push(match &self.shape.origins[position] {
                Origin::Given(result) => {
                    typed(column, &texts(batch.column(*result))?, dictionary, faults)?
                }
                Origin::Constant(text) => {
                    let code = dictionary.code(text)?;
                    Arc::new(Int32Array::from_value(code, rows)) as ArrayRef
                }
                Origin::Key | Origin::Absent => {
                    new_null_array(&working_type(column.column_type), rows)
                }
            });
        }
        Ok(columns)
    }

    fn keys(
        &self,
        batch: &RecordBatch,
        lines: &Int64Array,
        people: &mut People,
        faults: &mut Faults,
    ) -> Result<(UInt32Array, UInt32Array), IngestError> {
        let stay_ids = texts(batch.column(self.shape.stay_id))?;
        let person_ids = match self.shape.person_id {
            Some(position) => Some(texts(batch.column(position))?),
            None => None,
        };
        missing(&stay_ids, "stay_key", faults);
        if let Some(person_ids) = &person_ids {
            missing(person_ids, "person_key", faults);
        }
        let mut keys: (Vec<u32>, Vec<u32>) =
            (Vec::with_capacity(lines.len()), Vec::with_capacity(lines.len()));
        for row in 0..batch.num_rows() {
            let (stay, line) = (stay_ids.value(row), lines.value(row));
            let found = match &person_ids {
                _ if !faults.is_ok(row) => None,
                Some(persons) => {
                    let found = people.admit(stay, persons.value(row))?;
                    match found {
                        None => {
                            faults.mark(row, "stay_key", (Rule::DuplicateStay, ValueClass::Key))
                        }
                        Some((number, _)) => {
                            let id_hash = order::hash_text(stay);
                            people.remember(line, Line::Stay { id_hash, number });
                        }
                    }
                    found
                }
                None => orphan(people, stay, line, row, faults),
            };
            let (stay, person) = found.unwrap_or_default();
            keys.0.push(stay);
            keys.1.push(person);
        }
        Ok((keys.0.into(), keys.1.into()))
    }

    /// A number that depends on a row's content only, to order rows that are otherwise alike.
    fn tie(&self, columns: &[ArrayRef]) -> ArrayRef {
        let rows = columns.first().map_or(0, |column| column.len());
        if self.shape.table.one_row_per_stay {
            return Arc::new(UInt64Array::from_value(0, rows));
        }
        let types = self.shape.table.columns.iter().map(|column| column.column_type);
        let mut ties = order::Ties::new(rows);
        for ((array, column_type), dictionary) in columns.iter().zip(types).zip(&self.dictionaries)
        {
            if column_type != ColumnType::Key {
                ties.add(array, column_type, dictionary);
            }
        }
        let seq = self.shape.position("seq").map(|position| &columns[position]);
        Arc::new(ties.finish(seq))
    }

    fn report(&self, faults: &Faults, lines: &Int64Array, people: &mut People) {
        if faults.list().is_empty() {
            return;
        }
        let mut quarantine = self.quarantine.lock().unwrap_or_else(PoisonError::into_inner);
        for (row, column, (rule, class)) in faults.list() {
            let line = lines.value(*row);
            if self.shape.table.one_row_per_stay {
                people.remember(line, Line::Rejected);
            }
            let line = u64::try_from(line).unwrap_or(0);
            let table = self.shape.table.name;
            quarantine.add(Entry { line, table, column, rule: *rule, class: *class });
        }
    }
}

/// The stay and person of a row of another table; a row of a rejected source line was reported
/// with its stay and is dropped without a second report.
fn orphan(
    people: &People,
    stay: &str,
    line: i64,
    row: usize,
    faults: &mut Faults,
) -> Option<(u32, u32)> {
    let found = people.find(line, stay).and_then(|number| {
        let place = usize::try_from(number).ok()?;
        Some((number, *people.person_of_stay.get(place)?))
    });
    if found.is_none() {
        if matches!(people.line(line), Line::Rejected) {
            faults.drop_silently(row);
        } else {
            faults.mark(row, "stay_key", (Rule::Orphan, ValueClass::Key));
        }
    }
    found
}

fn missing(ids: &StringArray, column: &'static str, faults: &mut Faults) {
    for (row, id) in ids.iter().enumerate() {
        match id {
            None | Some("") => faults.mark(row, column, (Rule::Missing, ValueClass::Empty)),
            Some(id) if id.len() > MAX_ID_BYTES => {
                let count = u32::try_from(id.chars().count()).unwrap_or(u32::MAX);
                faults.mark(row, column, (Rule::TextTooLong, ValueClass::Text(count)));
            }
            Some(_) => {}
        }
    }
}

/// A result column as text; typed results are judged by their text.
fn texts(array: &ArrayRef) -> Result<StringArray, IngestError> {
    let text = match array.data_type() {
        DataType::Utf8 => Arc::clone(array),
        _ => cast(array, &DataType::Utf8).map_err(IngestError::write)?,
    };
    Ok(text.as_string::<i32>().clone())
}

fn lines(array: &ArrayRef) -> Result<Int64Array, IngestError> {
    let lines = cast(array, &DataType::Int64).map_err(IngestError::write)?;
    Ok(lines.as_primitive::<Int64Type>().clone())
}
