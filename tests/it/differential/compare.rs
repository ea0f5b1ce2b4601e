//! Answers as plain values, and how two of them are compared.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, TimeUnit};

/// One value of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Text(String),
    Whole(i64),
    /// Unscaled integer and scale.
    Decimal(i128, i8),
    Double(f64),
}

/// Rows of an answer.
pub(super) type Rows = Vec<Vec<Value>>;

fn value(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Decimal128(_, scale) => {
            Value::Decimal(array.as_primitive::<Decimal128Type>().value(row), *scale)
        }
        DataType::Float64 => Value::Double(array.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => Value::Text(array.as_boolean().value(row).to_string()),
        DataType::Timestamp(..) => {
            let seconds = cast(array, &DataType::Timestamp(TimeUnit::Second, None)).unwrap();
            let seconds = cast(&seconds, &DataType::Int64).unwrap();
            Value::Whole(seconds.as_primitive::<Int64Type>().value(row))
        }
        other if other.is_integer() => {
            let whole = cast(array, &DataType::Int64).unwrap();
            Value::Whole(whole.as_primitive::<Int64Type>().value(row))
        }
        _ => {
            let text = cast(array, &DataType::Utf8).unwrap();
            Value::Text(text.as_string::<i32>().value(row).to_owned())
        }
    }
}

/// All rows; sorted by their dimensions when `sort` says so.
pub(super) fn rows(batches: &[RecordBatch], dimensions: usize, sort: bool) -> Rows {
    let mut rows = Rows::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            rows.push(batch.columns().iter().map(|column| value(column, row)).collect());
        }
    }
    if sort {
        rows.sort_by_key(|row: &Vec<Value>| format!("{:?}", &row[..dimensions]));
    }
    rows
}

/// The same bits: doubles are compared by their representation.
pub(super) fn same_bits(a: &Rows, b: &Rows) -> bool {
    let same = |a: &Value, b: &Value| match (a, b) {
        (Value::Double(a), Value::Double(b)) => a.to_bits() == b.to_bits(),
        _ => a == b,
    };
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(a, b)| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)))
}

/// Federated against DataFusion: counts and decimals exactly, doubles to 1e-9.
///
/// `floor` is the magnitude below which a difference of doubles is rounding of the yardstick: its
/// running variance of a constant column is not exactly zero, ours is.
pub(super) fn agrees(federated: &Value, pooled: &Value, floor: f64) -> bool {
    match (federated, pooled) {
        // Near a perfect correlation the yardstick loses half its digits; ours is exact there.
        (Value::Double(a), Value::Double(b)) if a.abs() > 0.999_999 && a.abs() <= 1.0 => {
            (a - b).abs() <= 1e-7
        }
        (Value::Double(a), Value::Double(b)) => {
            (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(floor) || (a.is_nan() && b.is_nan())
        }
        // An average of decimals is a double here and a truncated decimal there.
        (Value::Double(a), Value::Decimal(unscaled, scale)) => {
            let b = *unscaled as f64 / 10f64.powi(i32::from(*scale));
            (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
        }
        // No variation: undefined here, NaN or zero there.
        (Value::Null, Value::Double(b)) => b.is_nan() || *b == 0.0,
        (Value::Decimal(a, s), Value::Decimal(b, t)) => {
            let lift =
                |v: i128, from: i8, to: i8| v * 10i128.pow(u32::from((to - from).unsigned_abs()));
            let scale = (*s).max(*t);
            lift(*a, *s, scale) == lift(*b, *t, scale)
        }
        (a, b) => a == b,
    }
}
