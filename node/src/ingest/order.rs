//! The order in which tables are stored: what questions filter and group by comes first, so that
//! Parquet statistics prune, and the last word is content, so that the same rows always lie alike.

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, UInt64Array};
use arrow::datatypes::{
    Decimal128Type, Float64Type, Int32Type, TimestampSecondType, UInt32Type, UInt64Type,
};
use model::schema::{ColumnType, Table};

use super::dictionary::{Dictionary, fnv, mix};
use super::parse::year_month;

/// Name of the hidden last column while sorting.
pub(crate) const TIE: &str = "tie";
/// Bits of a tie that hold the content hash; the bits above hold `seq`.
const HASH_BITS: u32 = 48;

/// A row's place: compared word by word.
pub(crate) type Place = (u64, u64);

/// Which columns make a row's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    /// A timestamp whose month comes first.
    month: Option<usize>,
    /// A text column.
    code: usize,
    stay: usize,
    tie: usize,
}

/// Ranks of the texts of the order's text column.
pub(crate) type Ranks = Vec<u32>;

impl Order {
    /// Stays by month, group and key; other tables by code or class, key, position and content.
    pub(crate) fn of(table: &Table) -> Self {
        let position = |name: &str| table.columns.iter().position(|column| column.name == name);
        let code = ["drg_code", "code", "class"].into_iter().find_map(position).unwrap_or_default();
        Self { month: position("discharged_at"), code, stay: 0, tie: table.columns.len() }
    }

    /// Ranks that [`Self::places`] needs.
    pub(crate) fn ranks(&self, dictionaries: &[Dictionary]) -> Ranks {
        dictionaries[self.code].ranks()
    }

    /// The place of every row of a batch.
    pub(crate) fn places(&self, batch: &RecordBatch, ranks: &[u32]) -> Vec<Place> {
        let codes = batch.column(self.code).as_primitive::<Int32Type>();
        let stays = batch.column(self.stay).as_primitive::<UInt32Type>();
        let ties = batch.column(self.tie).as_primitive::<UInt64Type>();
        let times =
            self.month.map(|month| batch.column(month).as_primitive::<TimestampSecondType>());
        let place = |row: usize| {
            let code =
                if codes.is_valid(row) { usize::try_from(codes.value(row)).ok() } else { None };
            let rank = u64::from(code.and_then(|code| ranks.get(code)).copied().unwrap_or(0));
            let stay = u64::from(stays.value(row));
            match times {
                None => ((rank << 32) | stay, ties.value(row)),
                Some(times) => {
                    let month = if times.is_valid(row) { month(times.value(row)) } else { 0 };
                    ((month << 32) | rank, stay)
                }
            }
        };
        (0..batch.num_rows()).map(place).collect()
    }
}

/// Months since the year 0.
fn month(seconds: i64) -> u64 {
    let (year, month) = year_month(seconds);
    u64::try_from(year * 12 + month).unwrap_or(0)
}

/// Hash of a text that depends on nothing else.
pub(crate) fn hash_text(text: &str) -> u64 {
    fnv(text.as_bytes())
}

/// Content hashes of the rows of a batch.
#[derive(Debug)]
pub(crate) struct Ties {
    hashes: Vec<u64>,
}

impl Ties {
    pub(crate) fn new(rows: usize) -> Self {
        Self { hashes: vec![0; rows] }
    }

    /// Takes a column into the hashes.
    pub(crate) fn add(&mut self, array: &ArrayRef, column_type: ColumnType, texts: &Dictionary) {
        let cell = |row: usize| -> u64 {
            if array.is_null(row) {
                return u64::MAX;
            }
            match column_type {
                ColumnType::Text => texts.hash(array.as_primitive::<Int32Type>().value(row)),
                ColumnType::Boolean => u64::from(array.as_boolean().value(row)),
                ColumnType::Integer => {
                    u64::from(array.as_primitive::<Int32Type>().value(row).cast_unsigned())
                }
                ColumnType::Float => array.as_primitive::<Float64Type>().value(row).to_bits(),
                ColumnType::Money => {
                    let amount = array.as_primitive::<Decimal128Type>().value(row);
                    // Amounts are bounded far below 64 bits.
                    i64::try_from(amount).unwrap_or(i64::MAX).cast_unsigned()
                }
                ColumnType::Timestamp => {
                    array.as_primitive::<TimestampSecondType>().value(row).cast_unsigned()
                }
                ColumnType::Key => 0,
            }
        };
        for (row, hash) in self.hashes.iter_mut().enumerate() {
            *hash = mix(*hash, scatter(cell(row)));
        }
    }

    /// The ties: `seq` in the high bits, so that positions stay in order, then the content.
    pub(crate) fn finish(self, seq: Option<&ArrayRef>) -> UInt64Array {
        let seq = seq.map(|array| array.as_primitive::<Int32Type>());
        let high = |row: usize| match seq {
            Some(seq) if seq.is_valid(row) => u64::try_from(seq.value(row)).unwrap_or(0),
            _ => 0,
        };
        let ties = self.hashes.iter().enumerate();
        ties.map(|(row, hash)| {
            (high(row).min(0xFFFF) << HASH_BITS) | (scatter(*hash) >> (64 - HASH_BITS))
        })
        .collect::<Vec<_>>()
        .into()
    }
}

/// Spreads every input bit over the word (the finaliser of MurmurHash3, A. Appleby).
const fn scatter(value: u64) -> u64 {
    let value = (value ^ (value >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let value = (value ^ (value >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    value ^ (value >> 33)
}
