//! New numbers for stays: their places in the stored table.
//!
//! Numbers are first given in the order of the source and end in the order of the stored table, so that what a question
//! looks up by a stay's number while it reads the table in order lies in order as well: a million rows would else be as
//! many cache misses.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, RecordBatch, UInt32Array};
use arrow::compute::kernels::arity::unary;
use arrow::datatypes::UInt32Type;

use super::error::IngestError;
use super::keys::Hmac;

/// Where the number of its stay stands in a row.
const STAY: usize = 0;

/// The new number of each stay, by its first one.
#[derive(Debug)]
pub(crate) struct Renumbering {
    numbers: Vec<u32>,
    next: u32,
}

impl Renumbering {
    /// Of so many stays.
    pub(crate) fn of(stays: usize) -> Self {
        Self { numbers: vec![0; stays], next: 0 }
    }

    /// Numbers the next rows of the stored table of stays.
    pub(crate) fn number(&mut self, stays: &RecordBatch) -> Result<RecordBatch, IngestError> {
        let first = self.next;
        for number in stays.column(STAY).as_primitive::<UInt32Type>().values() {
            *self.place(*number)? = self.next;
            self.next += 1;
        }
        let numbers: UInt32Array = (first..self.next).collect::<Vec<_>>().into();
        replaced(stays, Arc::new(numbers))
    }

    /// Rows of another table under the stays' new numbers.
    pub(crate) fn renumber(&self, rows: &RecordBatch) -> Result<RecordBatch, IngestError> {
        let old = rows.column(STAY).as_primitive::<UInt32Type>();
        // Every row of another table is of a stay that was accepted.
        let known = |number: u32| self.numbers.get(number as usize).copied().unwrap_or(u32::MAX);
        replaced(rows, Arc::new(unary::<_, _, UInt32Type>(old, known)))
    }

    /// Keys that stand in the order of first numbers, in that of new ones.
    pub(crate) fn reorder(&self, keys: &[Hmac]) -> Result<Vec<Hmac>, IngestError> {
        let mut ordered = keys.to_vec();
        for (key, number) in keys.iter().zip(&self.numbers) {
            *ordered.get_mut(*number as usize).ok_or_else(lost)? = *key;
        }
        Ok(ordered)
    }

    fn place(&mut self, number: u32) -> Result<&mut u32, IngestError> {
        self.numbers.get_mut(number as usize).ok_or_else(lost)
    }
}

fn lost() -> IngestError {
    IngestError::write("a stay without a number")
}

fn replaced(rows: &RecordBatch, stays: ArrayRef) -> Result<RecordBatch, IngestError> {
    let mut columns = rows.columns().to_vec();
    columns[STAY] = stays;
    RecordBatch::try_new(rows.schema(), columns).map_err(IngestError::write)
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn rows(stays: &[u32], texts: &[&str]) -> RecordBatch {
        let fields = [("stay_key", DataType::UInt32), ("text", DataType::Utf8)];
        let fields = fields.map(|(name, kind)| Field::new(name, kind, true)).to_vec();
        let columns: [ArrayRef; 2] = [
            Arc::new(UInt32Array::from(stays.to_vec())),
            Arc::new(StringArray::from(texts.to_vec())),
        ];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.to_vec()).unwrap()
    }

    #[test]
    fn a_stay_is_called_by_its_place_everywhere() {
        let mut renumbering = Renumbering::of(4);
        let first = renumbering.number(&rows(&[2, 0], &["c", "a"])).unwrap();
        let second = renumbering.number(&rows(&[3, 1], &["d", "b"])).unwrap();
        assert_eq!((first, second), (rows(&[0, 1], &["c", "a"]), rows(&[2, 3], &["d", "b"])));
        let others = renumbering.renumber(&rows(&[1, 1, 2, 3, 0], &["b", "b", "c", "d", "a"]));
        assert_eq!(others.unwrap(), rows(&[3, 3, 0, 2, 1], &["b", "b", "c", "d", "a"]));
        let key = super::super::keys::Hmac::of_number;
        let keys = renumbering.reorder(&[key(0), key(1), key(2), key(3)]).unwrap();
        assert_eq!(keys, [key(2), key(0), key(3), key(1)]);
        assert!(renumbering.number(&rows(&[4], &["e"])).is_err());
    }
}
