//! Arrow columns, read cell by cell.

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, BooleanArray, Float64Array, Int64Array, RecordBatch,
    StringArray, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::Kind;

/// One cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// A whole number.
    Integer(i64),
    /// A whole number that may be larger.
    Unsigned(u64),
    /// A floating-point number.
    Double(f64),
    /// True or false.
    Boolean(bool),
    /// Text, and exact numbers and times as text.
    Text(&'a str),
}

/// One batch of rows.
#[derive(Debug)]
pub struct Block {
    columns: Vec<Column>,
    rows: usize,
}

#[derive(Debug)]
enum Column {
    Integer(Int64Array),
    Unsigned(UInt64Array),
    Double(Float64Array),
    Boolean(BooleanArray),
    Text(StringArray),
}

// === impl Block ===

impl Block {
    /// # Errors
    /// When a column cannot be shown.
    pub(super) fn new(batch: &RecordBatch) -> Result<Self, ArrowError> {
        let columns = batch.columns().iter().map(Column::new).collect::<Result<_, _>>()?;
        Ok(Self { columns, rows: batch.num_rows() })
    }

    /// Number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// The cells of a row, in order of the columns.
    pub fn row(&self, row: usize) -> impl Iterator<Item = Cell<'_>> {
        self.columns.iter().map(move |column| column.cell(row))
    }
}

// === impl Column ===

impl Column {
    fn new(array: &ArrayRef) -> Result<Self, ArrowError> {
        let plain = match array.data_type() {
            DataType::Dictionary(_, values) => cast(array, values)?,
            _ => array.clone(),
        };
        Ok(match Kind::of(plain.data_type()) {
            Kind::Integer if *plain.data_type() == DataType::UInt64 => {
                Self::Unsigned(plain.as_primitive::<UInt64Type>().clone())
            }
            Kind::Integer => {
                let wide = cast(&plain, &DataType::Int64)?;
                Self::Integer(wide.as_primitive::<Int64Type>().clone())
            }
            Kind::Double => {
                let wide = cast(&plain, &DataType::Float64)?;
                Self::Double(wide.as_primitive::<Float64Type>().clone())
            }
            Kind::Boolean => Self::Boolean(plain.as_boolean().clone()),
            Kind::Decimal | Kind::Text | Kind::Timestamp | Kind::Date => Self::Text(text(&plain)?),
        })
    }

    fn cell(&self, row: usize) -> Cell<'_> {
        match self {
            Self::Integer(array) if array.is_valid(row) => Cell::Integer(array.value(row)),
            Self::Unsigned(array) if array.is_valid(row) => Cell::Unsigned(array.value(row)),
            Self::Double(array) if array.is_valid(row) => Cell::Double(array.value(row)),
            Self::Boolean(array) if array.is_valid(row) => Cell::Boolean(array.value(row)),
            Self::Text(array) if array.is_valid(row) => Cell::Text(array.value(row)),
            _ => Cell::Null,
        }
    }
}

/// Decimals keep their scale; times are ISO 8601.
fn text(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options)?;
    let value = |row| match array.is_null(row) {
        true => Ok(None),
        false => formatter.value(row).try_to_string().map(Some),
    };
    (0..array.len()).map(value).collect()
}

// === impl Cell ===

impl Cell<'_> {
    /// The number, of whichever kind; `None` when it is none.
    #[must_use]
    pub fn number(self) -> Option<f64> {
        use num_traits::ToPrimitive as _;
        match self {
            Cell::Integer(value) => value.to_f64(),
            Cell::Unsigned(value) => value.to_f64(),
            Cell::Double(value) => Some(value),
            Cell::Text(text) => text.parse().ok(),
            Cell::Null | Cell::Boolean(_) => None,
        }
        .filter(|value| value.is_finite())
    }
}
