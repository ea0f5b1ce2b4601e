//! New numbers for stays: their places in the stored table.
//!
//! Numbers are first given in the order of the source. When all stays are known, each is numbered anew by where its row
//! will stand, and the rows of all tables are stored under the new numbers. So what a question looks up by a stay's number
//! while it reads a table lies in order as well: a million rows would else be as many cache misses.

use std::sync::Arc;

use arrow::array::{AsArray as _, RecordBatch, UInt32Array};
use arrow::datatypes::UInt32Type;

use super::error::IngestError;
use super::keys::Hmac;

/// Where the number of its stay stands in a row.
const STAY: usize = 0;

/// The new number of each stay, by its first one.
#[derive(Debug, Default)]
pub(crate) struct Renumbering(Vec<u32>);

impl Renumbering {
    /// The places of stays that are stored in this order of their first numbers.
    pub(crate) fn of(order: &[u32]) -> Result<Self, IngestError> {
        let mut numbers = vec![u32::MAX; order.len()];
        for (place, number) in (0..).zip(order) {
            *numbers.get_mut(*number as usize).ok_or_else(lost)? = place;
        }
        // As many places as stays, and each has one.
        if numbers.contains(&u32::MAX) { Err(lost()) } else { Ok(Self(numbers)) }
    }

    /// Rows under the new numbers of their stays.
    pub(crate) fn renumber(&self, rows: &RecordBatch) -> Result<RecordBatch, IngestError> {
        let first = rows.column(STAY).as_primitive::<UInt32Type>().values();
        let new = first.iter().map(|number| self.0.get(*number as usize).copied());
        let new: UInt32Array = new.collect::<Option<Vec<_>>>().ok_or_else(lost)?.into();
        let mut columns = rows.columns().to_vec();
        columns[STAY] = Arc::new(new);
        RecordBatch::try_new(rows.schema(), columns).map_err(IngestError::write)
    }

    /// Keys that stand in the order of first numbers, in that of new ones.
    pub(crate) fn reorder(&self, keys: &[Hmac]) -> Result<Vec<Hmac>, IngestError> {
        if keys.len() != self.0.len() {
            return Err(lost());
        }
        let mut ordered = keys.to_vec();
        for (key, number) in keys.iter().zip(&self.0) {
            *ordered.get_mut(*number as usize).ok_or_else(lost)? = *key;
        }
        Ok(ordered)
    }
}

fn lost() -> IngestError {
    IngestError::write("a stay without a number")
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, StringArray};
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
        let places = Renumbering::of(&[2, 0, 3, 1]).unwrap();
        let stays = places.renumber(&rows(&[2, 0, 3, 1], &["c", "a", "d", "b"])).unwrap();
        assert_eq!(stays, rows(&[0, 1, 2, 3], &["c", "a", "d", "b"]));
        let others = places.renumber(&rows(&[1, 1, 2, 3, 0], &["b", "b", "c", "d", "a"]));
        assert_eq!(others.unwrap(), rows(&[3, 3, 0, 2, 1], &["b", "b", "c", "d", "a"]));
        let key = Hmac::of_number;
        let keys = places.reorder(&[key(0), key(1), key(2), key(3)]).unwrap();
        assert_eq!(keys, [key(2), key(0), key(3), key(1)]);
    }

    #[test]
    fn a_stay_without_a_place_is_noticed() {
        assert!(Renumbering::of(&[0, 2]).is_err());
        assert!(Renumbering::of(&[0, 0]).is_err());
        let places = Renumbering::of(&[1, 0]).unwrap();
        assert!(places.renumber(&rows(&[2], &["c"])).is_err());
        assert!(places.reorder(&[Hmac::of_number(0)]).is_err());
    }
}
