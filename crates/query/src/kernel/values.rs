//! Inputs as fixed-point contributions: clamped to the bound and rounded once per row.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use model::moments::Scale;
use num_traits::ToPrimitive;
use privacy::measure::{FRACTION_BITS, Input};

use super::KernelError;

/// One batch of one input.
#[derive(Debug)]
pub(super) struct Values {
    nulls: Option<NullBuffer>,
    numbers: Numbers,
}

#[derive(Debug)]
enum Numbers {
    /// Exact, and small enough that a product is one machine multiplication.
    Narrow(Vec<i64>),
    /// Exact.
    Wide(Vec<i128>),
    /// Binary: the clamped doubles themselves; contributions are rounded when they are read.
    Binary(Vec<f64>),
}

/// Random access to contributions.
pub(super) trait Contributions {
    fn x(&self, row: usize) -> i128;
}

/// Contributions of a narrow input.
#[derive(Debug)]
pub(super) struct NarrowView<'a>(pub &'a [i64]);
/// Contributions of a wide input.
#[derive(Debug)]
pub(super) struct WideView<'a>(pub &'a [i128]);
/// Contributions of a binary input.
#[derive(Debug)]
pub(super) struct BinaryView<'a>(pub &'a [f64]);

impl Contributions for NarrowView<'_> {
    #[inline]
    fn x(&self, row: usize) -> i128 {
        i128::from(self.0[row])
    }
}

impl Contributions for WideView<'_> {
    #[inline]
    fn x(&self, row: usize) -> i128 {
        self.0[row]
    }
}

impl Contributions for BinaryView<'_> {
    #[inline]
    fn x(&self, row: usize) -> i128 {
        fixed(self.0[row], FRACTION_BITS)
    }
}

/// `value · 2^bits`, rounded to the nearest integer, halves away from zero.
#[inline]
pub(super) fn fixed(value: f64, bits: u8) -> i128 {
    (value * 2f64.powi(i32::from(bits))).round().to_i128().unwrap_or(0)
}

/// How the views of one input are told apart by the summing loops.
#[derive(Debug)]
pub(super) enum View<'a> {
    Narrow(NarrowView<'a>),
    Wide(WideView<'a>),
    Binary(BinaryView<'a>),
}

impl Values {
    /// Reads a column as the input declares it.
    ///
    /// # Errors
    /// [`KernelError::Type`] when the column's type is not that of the declared scale.
    pub(super) fn read(array: &ArrayRef, input: &Input) -> Result<Self, KernelError> {
        match (input.scale, array.data_type()) {
            (Scale::Decimal(digits), DataType::Decimal128(_, scale))
                if i32::from(digits) == i32::from(*scale) =>
            {
                Ok(Self::decimal(array, input.bound))
            }
            (Scale::Decimal(0), other) if other.is_integer() || *other == DataType::Boolean => {
                Self::whole(array, input.bound)
            }
            (Scale::Binary(FRACTION_BITS), other) if other.is_floating() => {
                Self::binary(array, input)
            }
            // A column of NULL literals contributes nothing, whatever its scale.
            (_, DataType::Null) => Ok(Self {
                nulls: Some(NullBuffer::new_null(array.len())),
                numbers: match input.scale {
                    Scale::Decimal(_) => Numbers::Narrow(vec![0; array.len()]),
                    Scale::Binary(_) => Numbers::Binary(vec![0.0; array.len()]),
                },
            }),
            _ => Err(KernelError::Type),
        }
    }

    fn decimal(array: &ArrayRef, bound: u128) -> Self {
        let decimals = array.as_primitive::<Decimal128Type>();
        let nulls = array.nulls().cloned();
        let limit = i128::try_from(bound).unwrap_or(i128::MAX);
        let clamped = decimals.values().iter().map(|value| (*value).clamp(-limit, limit));
        let numbers = if i64::try_from(limit).is_ok() {
            Numbers::Narrow(clamped.map(|value| value.to_i64().unwrap_or(0)).collect())
        } else {
            Numbers::Wide(clamped.collect())
        };
        Self { nulls, numbers }
    }

    fn whole(array: &ArrayRef, bound: u128) -> Result<Self, KernelError> {
        let whole = cast(array, &DataType::Int64).map_err(|_| KernelError::Type)?;
        let whole = whole.as_primitive::<Int64Type>();
        let limit = i64::try_from(bound).unwrap_or(i64::MAX);
        let clamped = whole.values().iter().map(|value| (*value).clamp(-limit, limit)).collect();
        Ok(Self { nulls: whole.nulls().cloned(), numbers: Numbers::Narrow(clamped) })
    }

    /// NaN and infinities are not numbers that can be added: they count as absent.
    fn binary(array: &ArrayRef, input: &Input) -> Result<Self, KernelError> {
        let doubles = cast(array, &DataType::Float64).map_err(|_| KernelError::Type)?;
        let doubles = doubles.as_primitive::<Float64Type>();
        let divisor = 2f64.powi(i32::from(FRACTION_BITS));
        let limit = input.bound.to_f64().unwrap_or(f64::MAX) / divisor;
        let clamped = doubles.values().iter().map(|value| value.clamp(-limit, limit)).collect();
        let finite = NullBuffer::from_iter(doubles.values().iter().map(|value| value.is_finite()));
        let nulls = NullBuffer::union(doubles.nulls(), Some(&finite));
        Ok(Self { nulls: nulls.filter(|n| n.null_count() > 0), numbers: Numbers::Binary(clamped) })
    }

    /// Which rows are present; `None` when all are.
    pub(super) fn nulls(&self) -> Option<&NullBuffer> {
        self.nulls.as_ref().filter(|nulls| nulls.null_count() > 0)
    }

    pub(super) fn view(&self) -> View<'_> {
        match &self.numbers {
            Numbers::Narrow(values) => View::Narrow(NarrowView(values)),
            Numbers::Wide(values) => View::Wide(WideView(values)),
            Numbers::Binary(values) => View::Binary(BinaryView(values)),
        }
    }

    /// One contribution, for the loops that are not hot.
    pub(super) fn x(&self, row: usize) -> i128 {
        match &self.numbers {
            Numbers::Narrow(values) => i128::from(values[row]),
            Numbers::Wide(values) => values[row],
            Numbers::Binary(values) => fixed(values[row], FRACTION_BITS),
        }
    }

    /// The product of two contributions in `scale`, which `Input::product_scale` has chosen.
    pub(super) fn product(&self, other: &Self, row: usize, scale: Scale) -> i128 {
        match (&self.numbers, &other.numbers, scale) {
            (Numbers::Binary(a), Numbers::Binary(b), Scale::Binary(bits)) => {
                fixed(a[row] * b[row], bits)
            }
            _ => self.x(row) * other.x(row),
        }
    }
}
