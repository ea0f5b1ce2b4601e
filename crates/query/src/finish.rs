//! From combined cells to columns: exact integers become SQL values, once, at the very end.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use model::moments::{Bivariate, Denominator, Scale, Univariate, mean, to_double};
use model::percentile::{Fraction, Percentile, Run, percentile};
use privacy::Combined;
use privacy::combine::CombinedGroup;
use privacy::measure::JOINED;

use crate::grid::Grid;

/// Which statistic an aggregate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FinalKind {
    Count,
    Sum,
    Mean,
    Variance(Denominator),
    Deviation(Denominator),
    Covariance(Denominator),
    Correlation,
    Slope,
    Intercept,
    RSquared,
    PairCount,
    MeanX,
    MeanY,
    Sxx,
    Syy,
    Sxy,
    /// Read off a histogram.
    Percentile(Fraction),
    /// How far the true percentile can lie from the one that is read off.
    PercentileError(Fraction),
}

/// The SQL type of a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SumType {
    Integer,
    Decimal(u8, i8),
    Double,
}

/// How one aggregate is read off the cells of its measure.
#[derive(Debug, Clone)]
pub(crate) struct Final {
    /// Index of the measure.
    pub measure: usize,
    /// Index of the measure's first cell.
    pub offset: usize,
    /// The statistic.
    pub kind: FinalKind,
    /// Scales of x, y, x², y², xy.
    pub scales: [Scale; 5],
    /// The type of its sum.
    pub sum: SumType,
    /// The type of its column.
    pub data_type: DataType,
    /// The aggregate, as SQL names it.
    pub name: String,
    /// Percentiles only: the bins that they are read off.
    pub grid: Option<Grid>,
}

/// A released value has no place in its SQL type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FinishError {
    /// A sum of whole numbers exceeds 64 bits.
    #[error("a sum exceeds a 64-bit integer; cast the column to DECIMAL(38, 4)")]
    IntegerRange,
    /// A column could not be built.
    #[error("a result column could not be built: {0}")]
    Column(String),
}

impl From<arrow::error::ArrowError> for FinishError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Column(error.to_string())
    }
}

/// Builds the result of one part: dimensions, then aggregates, groups in key order.
///
/// # Errors
/// [`FinishError`] when a value does not fit its type.
pub(crate) fn finish(
    combined: &Combined,
    finals: &[Final],
    schema: &SchemaRef,
) -> Result<RecordBatch, FinishError> {
    let dimensions = schema.fields().len() - finals.len();
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (index, field) in schema.fields().iter().take(dimensions).enumerate() {
        let codes = combined.groups.keys().map(|key| key[index].as_deref());
        columns.push(key_column(codes, field.data_type())?);
    }
    for one in finals {
        columns.push(one.column(combined)?);
    }
    let rows = arrow::array::RecordBatchOptions::new().with_row_count(Some(combined.groups.len()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &rows)?)
}

fn key_column<'a>(
    codes: impl Iterator<Item = Option<&'a str>>,
    data_type: &DataType,
) -> Result<ArrayRef, FinishError> {
    match data_type {
        DataType::Boolean => {
            Ok(Arc::new(codes.map(|code| code.map(|c| c == "true")).collect::<BooleanArray>()))
        }
        DataType::Utf8 => Ok(Arc::new(codes.collect::<StringArray>())),
        other => {
            // Whole numbers and times travel as the decimal text of their stored integer.
            let whole: Int64Array = codes.map(|code| code.and_then(|c| c.parse().ok())).collect();
            Ok(cast(&whole, other)?)
        }
    }
}

impl Final {
    fn column(&self, combined: &Combined) -> Result<ArrayRef, FinishError> {
        let groups = || combined.groups.values();
        let known = |group: &CombinedGroup| !group.withheld[self.measure];
        match (self.kind, self.sum) {
            (FinalKind::Count | FinalKind::PairCount, _) => {
                let values = groups().map(|group| {
                    known(group).then(|| integer(group.cells[self.offset])).transpose()
                });
                Ok(Arc::new(values.collect::<Result<Int64Array, _>>()?))
            }
            (FinalKind::Sum, SumType::Integer) => {
                let values = groups().map(|group| self.sum_of(group).map(integer).transpose());
                Ok(Arc::new(values.collect::<Result<Int64Array, _>>()?))
            }
            (FinalKind::Sum, SumType::Decimal(precision, scale)) => {
                let values: Decimal128Array = groups().map(|group| self.sum_of(group)).collect();
                Ok(Arc::new(values.with_precision_and_scale(precision, scale)?))
            }
            (FinalKind::Percentile(_), _) => {
                let values = groups().map(|group| self.percentile(group).map(|found| found.value));
                Ok(Arc::new(values.collect::<Float64Array>()))
            }
            (FinalKind::PercentileError(_), _) => {
                let errors =
                    groups().map(|group| self.percentile(group).map(|found| found.error()));
                Ok(Arc::new(errors.collect::<Float64Array>()))
            }
            _ => {
                let values = groups()
                    .map(|group| if known(group) { self.statistic(&group.cells) } else { None });
                Ok(Arc::new(values.collect::<Float64Array>()))
            }
        }
    }

    /// The exact sum, or NULL where nothing was present or the measure is withheld.
    fn sum_of(&self, group: &CombinedGroup) -> Option<i128> {
        let present = group.cells[self.offset] > 0 && !group.withheld[self.measure];
        present.then(|| group.cells[self.offset + 1])
    }

    /// The percentile of a group; `None` for other aggregates, withheld measures, and percentiles
    /// beyond which too few lie.
    pub(crate) fn percentile(&self, group: &CombinedGroup) -> Option<Percentile> {
        let (FinalKind::Percentile(fraction) | FinalKind::PercentileError(fraction)) = self.kind
        else {
            return None;
        };
        let grid = self.grid.as_ref()?;
        if group.withheld[self.measure] {
            return None;
        }
        let cells = &group.cells[self.offset..self.offset + grid.bins()];
        percentile(&runs(grid, cells)?, fraction, self.scales[0])
    }

    fn statistic(&self, cells: &[i128]) -> Option<f64> {
        let cells = &cells[self.offset..];
        let [x, y, xx, yy, xy] = self.scales;
        let univariate = || Univariate {
            n: cells[0],
            sum: cells[1],
            squares: cells[2],
            scale: x,
            scale_squares: xx,
        };
        let pair = || Bivariate {
            n: cells[0],
            sum_x: cells[1],
            sum_y: cells[2],
            xx: cells[3],
            yy: cells[4],
            xy: cells[5],
            scale_x: x,
            scale_y: y,
            scale_xx: xx,
            scale_yy: yy,
            scale_xy: xy,
        };
        match self.kind {
            FinalKind::Count
            | FinalKind::PairCount
            | FinalKind::Percentile(_)
            | FinalKind::PercentileError(_) => None,
            FinalKind::Sum if cells[0] == 0 => None,
            FinalKind::Sum => to_double(cells[1], x),
            FinalKind::Mean | FinalKind::MeanX => mean(cells[0], cells[1], x),
            FinalKind::MeanY => mean(cells[0], cells[2], y),
            FinalKind::Variance(denominator) => univariate().variance(denominator),
            FinalKind::Deviation(denominator) => univariate().standard_deviation(denominator),
            FinalKind::Covariance(denominator) => pair().covariance(denominator),
            FinalKind::Correlation => pair().correlation(),
            FinalKind::Slope => pair().slope(),
            FinalKind::Intercept => pair().intercept(),
            FinalKind::RSquared => pair().r_squared(),
            FinalKind::Sxx => pair().regr_sxx(),
            FinalKind::Syy => pair().regr_syy(),
            FinalKind::Sxy => pair().regr_sxy(),
        }
    }
}

/// The runs of a released histogram. One that ends with the last of several bins has no upper limit
/// that says anything, unless the column's own bound is near.
fn runs(grid: &Grid, cells: &[i128]) -> Option<Vec<Run>> {
    let mut runs = Vec::new();
    let mut first = 0;
    for (bin, rows) in cells.iter().enumerate().filter(|(_, rows)| **rows != JOINED) {
        let (low, high) = grid.span(first, bin);
        let is_open = bin + 1 == cells.len() && high > low.saturating_mul(2) && first < bin;
        let high = (!is_open).then_some(high);
        runs.push(Run { low: Some(low), high, count: u64::try_from(*rows).ok()? });
        first = bin + 1;
    }
    Some(runs)
}

fn integer(cell: i128) -> Result<i64, FinishError> {
    i64::try_from(cell).map_err(|_| FinishError::IntegerRange)
}
