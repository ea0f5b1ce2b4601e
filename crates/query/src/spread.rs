//! The standard deviation of the noise in every number of an answer.
//!
//! Cells have deviations that hospitals state. What is read off them is a function of cells, so its variance
//! is the sum over cells of `((f(x + σ) - f(x - σ)) / 2)²`: exact for counts and sums, which are linear, and
//! near for means, as long as a group's number of rows is many deviations away from none.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Float64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Schema};
use num_traits::ToPrimitive as _;
use privacy::Combined;

use crate::cut::Part;
use crate::finish::{FinishError, finish};

/// The variance of each cell of each group.
pub type Spread = BTreeMap<Vec<Option<String>>, Vec<f64>>;

/// The columns of a part's answer, each number followed by its standard deviation, `<name>_sd`; for each,
/// which column of the part it belongs to.
pub(crate) fn columns(
    part: &Part,
    combined: &Combined,
    spread: &Spread,
) -> Result<Vec<(ArrayRef, Option<ArrayRef>)>, FinishError> {
    let exact = finish(combined, &part.finals, &part.schema)?;
    let dimensions = part.schema.fields().len() - part.finals.len();
    let mut variances = vec![vec![0.0; exact.num_rows()]; part.finals.len()];
    let width = spread.values().map(Vec::len).max().unwrap_or_default();
    for cell in 0..width {
        if spread.values().all(|of| of.get(cell).is_none_or(|variance| *variance <= 0.0)) {
            continue;
        }
        let up = finish(&moved(combined, spread, cell, 1), &part.finals, &part.schema)?;
        let down = finish(&moved(combined, spread, cell, -1), &part.finals, &part.schema)?;
        for (index, variances) in variances.iter_mut().enumerate() {
            let column =
                |batch: &RecordBatch| cast(batch.column(dimensions + index), &DataType::Float64);
            let (up, down) = (column(&up)?, column(&down)?);
            let (up, down) = (up.as_primitive::<Float64Type>(), down.as_primitive::<Float64Type>());
            for (row, variance) in variances.iter_mut().enumerate() {
                let known = up.is_valid(row) && down.is_valid(row);
                let half = if known { (up.value(row) - down.value(row)) / 2.0 } else { f64::NAN };
                *variance += half * half;
            }
        }
    }
    let mut columns: Vec<_> =
        exact.columns().iter().take(dimensions).map(|column| (Arc::clone(column), None)).collect();
    for (column, variances) in exact.columns().iter().skip(dimensions).zip(variances) {
        let deviation = |(row, variance): (usize, f64)| {
            (column.is_valid(row) && !variance.is_nan()).then(|| variance.sqrt())
        };
        let deviations: Float64Array = variances.into_iter().enumerate().map(deviation).collect();
        columns.push((Arc::clone(column), Some(Arc::new(deviations) as ArrayRef)));
    }
    Ok(columns)
}

/// The picked columns under their names, with those of their deviations.
pub(crate) fn rename(
    columns: &[(ArrayRef, Option<ArrayRef>)],
    picked: &[usize],
    names: &Schema,
) -> Result<RecordBatch, FinishError> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (index, name) in picked.iter().zip(names.fields()) {
        let Some((column, deviation)) = columns.get(*index) else { continue };
        fields.push(Field::new(name.name(), column.data_type().clone(), true));
        arrays.push(Arc::clone(column));
        if let Some(deviation) = deviation {
            fields.push(Field::new(format!("{}_sd", name.name()), DataType::Float64, true));
            arrays.push(Arc::clone(deviation));
        }
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

/// The same cells, one of each group moved by its deviation.
fn moved(combined: &Combined, spread: &Spread, cell: usize, sign: i128) -> Combined {
    let mut moved = combined.clone();
    for (key, group) in &mut moved.groups {
        let variance = spread.get(key).and_then(|of| of.get(cell)).copied().unwrap_or_default();
        let step = variance.sqrt().round().to_i128().unwrap_or(i128::MAX >> 2);
        if let Some(place) = group.cells.get_mut(cell) {
            *place = place.saturating_add(sign * step);
        }
    }
    moved
}
