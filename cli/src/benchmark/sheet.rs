//! The benchmark's tables as Arrow columns, for CSV, Parquet and Arrow files.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{Field, Schema};
use model::casemix::benchmark::{Bounded, GroupRow, HospitalRow};

use super::Regional;
use super::json::{PERCENTILES, basis};
use crate::answer::Answer;
use crate::exit::Failure;

/// Columns with their names.
type Named = Vec<(String, ArrayRef)>;

fn texts<R>(rows: &[R], name: &str, of: impl Fn(&R) -> Option<&str>) -> (String, ArrayRef) {
    (name.to_owned(), Arc::new(rows.iter().map(of).collect::<StringArray>()))
}

fn counts<R>(rows: &[R], name: &str, of: impl Fn(&R) -> Option<u64>) -> (String, ArrayRef) {
    (name.to_owned(), Arc::new(rows.iter().map(of).collect::<UInt64Array>()))
}

fn numbers<R>(rows: &[R], name: &str, of: impl Fn(&R) -> Option<f64>) -> (String, ArrayRef) {
    (name.to_owned(), Arc::new(rows.iter().map(of).collect::<Float64Array>()))
}

/// The columns as an answer, with how the first question's answer came about.
fn answer(columns: Named, regional: &Regional) -> Result<Answer, Failure> {
    let fields = columns
        .iter()
        .map(|(name, column)| Field::new(name.clone(), column.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)
        .map_err(|error| Failure::Internal(error.to_string()))?;
    let told = regional.told().first();
    let release = told.map(|told| told.release.clone());
    let release = release.ok_or_else(|| Failure::Internal("nothing was asked".to_owned()))?;
    Ok(Answer { schema, batches: vec![batch], release })
}

/// One row a group.
pub(super) fn groups(regional: &Regional) -> Result<Answer, Failure> {
    let rows = regional.benchmark.groups.as_slice();
    let name = |row: &GroupRow| row.name.clone();
    let (en, zh): (Vec<_>, Vec<_>) = rows
        .iter()
        .map(|row| name(row).map_or((None, None), |(en, zh)| (Some(en), Some(zh))))
        .unzip();
    let mut columns: Named = vec![
        texts(rows, "drg_code", |row| Some(&row.drg_code)),
        ("name".to_owned(), Arc::new(StringArray::from(en))),
        ("name_zh".to_owned(), Arc::new(StringArray::from(zh))),
        counts(rows, "stays", |row| Some(row.stays)),
        counts(rows, "hospitals", |row| Some(row.hospitals)),
        numbers(rows, "mean", |row| row.mean),
        numbers(rows, "sd", |row| row.sd),
        numbers(rows, "cv", |row| row.cv),
        numbers(rows, "geometric_mean", |row| row.geometric_mean),
    ];
    let value = |bounded: Option<Bounded>| bounded.map(|bounded| bounded.value);
    let error = |bounded: Option<Bounded>| bounded.map(|bounded| bounded.error);
    for (place, name) in PERCENTILES.iter().enumerate() {
        columns.push(numbers(rows, name, |row| value(row.percentiles[place])));
        columns.push(numbers(rows, &format!("{name}_error"), |row| error(row.percentiles[place])));
    }
    columns.extend([
        numbers(rows, "relative_weight", |row| row.relative_weight),
        texts(rows, "weight_basis", |row| basis(row.weight_basis)),
        counts(rows, "trimmed_stays", |row| row.trimmed_stays),
        numbers(rows, "los_mean", |row| row.los_mean),
        numbers(rows, "los_median", |row| value(row.los_median)),
        numbers(rows, "los_median_error", |row| error(row.los_median)),
        numbers(rows, "los_geometric_mean", |row| row.los_geometric_mean),
        numbers(rows, "death_rate", |row| row.death_rate),
    ]);
    columns.extend(composition(rows));
    columns.extend(best(rows));
    answer(columns, regional)
}

/// A column for each fee class that some group has.
fn composition(rows: &[GroupRow]) -> Named {
    let classes = rows.iter().flat_map(|row| &row.composition).map(|share| share.class.as_str());
    let classes: std::collections::BTreeSet<_> = classes.collect();
    let column = |class: &str| {
        numbers(rows, &format!("share_{class}"), |row| {
            row.composition.iter().find(|share| share.class == class).map(|share| share.share)
        })
    };
    classes.into_iter().map(column).collect()
}

/// Two columns for each tier: its cheapest hospital and that hospital's mean.
fn best(rows: &[GroupRow]) -> Named {
    let tiers = rows.iter().flat_map(|row| &row.best).map(|best| best.tier.as_str());
    let tiers: std::collections::BTreeSet<_> = tiers.collect();
    let of = |row: &GroupRow, tier: &str| row.best.iter().position(|best| best.tier == tier);
    let columns = tiers.into_iter().flat_map(|tier| {
        [
            texts(rows, &format!("best_{tier}"), |row| {
                of(row, tier).map(|place| row.best[place].hospital_id.as_str())
            }),
            numbers(rows, &format!("best_{tier}_mean"), |row| {
                of(row, tier).map(|place| row.best[place].mean)
            }),
        ]
    });
    columns.collect()
}

/// One row a hospital.
pub(super) fn hospitals(regional: &Regional) -> Result<Answer, Failure> {
    let rows: &[HospitalRow] = &regional.benchmark.hospitals;
    let columns = vec![
        texts(rows, "hospital_id", |row| Some(&row.hospital_id)),
        texts(rows, "tier", |row| Some(&row.tier)),
        counts(rows, "stays", |row| Some(row.stays)),
        numbers(rows, "grouping_rate", |row| row.grouping_rate),
        numbers(rows, "cmi", |row| row.cmi),
        numbers(rows, "total_weight", |row| row.total_weight),
        numbers(rows, "cost_index", |row| row.cost_index),
        numbers(rows, "cost_index_mean_ratio", |row| row.cost_index_mean_ratio),
        numbers(rows, "time_index", |row| row.time_index),
        numbers(rows, "time_index_mean_ratio", |row| row.time_index_mean_ratio),
        numbers(rows, "share_above", |row| row.share_above),
        numbers(rows, "share_below", |row| row.share_below),
        counts(rows, "alerts", |row| Some(row.alerts)),
    ];
    answer(columns, regional)
}
