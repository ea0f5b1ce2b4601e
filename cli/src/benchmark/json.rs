//! The JSON form of a benchmark: stable. Withheld values are null.

use std::fmt::Write as _;

use model::casemix::benchmark::{Basis, Best, Bounded, GroupRow, HospitalRow, Share};
use serde_json::{Map, Value, json};

use super::Regional;
use super::ask::{ALERTS, DRG_COST};
use crate::answer::Release;
use crate::told::{Told, pack_value, questions};

/// Names of the percentiles.
pub(super) const PERCENTILES: [&str; 5] = ["p10", "p25", "p50", "p75", "p90"];

/// One row a line: `{"groups":[...],"hospitals":[...],"release":{...}}`.
pub(super) fn text(regional: &Regional) -> String {
    let mut text = String::from("{\"groups\":[");
    rows(&mut text, regional.benchmark.groups.iter().map(group));
    text.push_str("],\n\"hospitals\":[");
    rows(&mut text, regional.benchmark.hospitals.iter().map(hospital));
    text.push_str("],\n\"release\":");
    // Writing to a text cannot fail.
    let _ = writeln!(text, "{}}}", release(regional));
    text
}

fn rows(text: &mut String, rows: impl Iterator<Item = Value>) {
    for (index, row) in rows.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(text, "{comma}\n{row}");
    }
}

const fn value(bounded: Option<Bounded>) -> Option<f64> {
    match bounded {
        Some(Bounded { value, .. }) => Some(value),
        None => None,
    }
}

const fn error(bounded: Option<Bounded>) -> Option<f64> {
    match bounded {
        Some(Bounded { error, .. }) => Some(error),
        None => None,
    }
}

pub(super) const fn basis(basis: Basis) -> Option<&'static str> {
    match basis {
        Basis::Own => Some("own"),
        Basis::Adjacent => Some("adrg"),
        Basis::None => None,
    }
}

fn shares(shares: &[Share]) -> Value {
    let each = shares.iter().map(|share| (share.class.clone(), json!(share.share)));
    if shares.is_empty() { Value::Null } else { Value::Object(each.collect::<Map<_, _>>()) }
}

fn best(best: &Best) -> Value {
    json!({
        "tier": best.tier, "hospital_id": best.hospital_id, "mean": best.mean, "stays": best.stays,
    })
}

fn group(row: &GroupRow) -> Value {
    let mut object = json!({
        "drg_code": row.drg_code,
        "name": row.name.as_ref().map(|(en, _)| en),
        "name_zh": row.name.as_ref().map(|(_, zh)| zh),
        "stays": row.stays,
        "hospitals": row.hospitals,
        "mean": row.mean,
        "sd": row.sd,
        "cv": row.cv,
        "geometric_mean": row.geometric_mean,
    });
    if let Value::Object(object) = &mut object {
        for (name, percentile) in PERCENTILES.iter().zip(row.percentiles) {
            object.insert((*name).to_owned(), json!(value(percentile)));
        }
        for (name, percentile) in PERCENTILES.iter().zip(row.percentiles) {
            object.insert(format!("{name}_error"), json!(error(percentile)));
        }
        let rest = json!({
            "relative_weight": row.relative_weight,
            "weight_basis": basis(row.weight_basis),
            "trimmed_stays": row.trimmed_stays,
            "los_mean": row.los_mean,
            "los_median": value(row.los_median),
            "los_median_error": error(row.los_median),
            "los_geometric_mean": row.los_geometric_mean,
            "death_rate": row.death_rate,
            "composition": shares(&row.composition),
            "best_of_tier": row.best.iter().map(best).collect::<Vec<_>>(),
        });
        if let Value::Object(rest) = rest {
            object.extend(rest);
        }
    }
    object
}

fn hospital(row: &HospitalRow) -> Value {
    json!({
        "hospital_id": row.hospital_id,
        "tier": row.tier,
        "stays": row.stays,
        "grouping_rate": row.grouping_rate,
        "cmi": row.cmi,
        "total_weight": row.total_weight,
        "cost_index": row.cost_index,
        "cost_index_mean_ratio": row.cost_index_mean_ratio,
        "time_index": row.time_index,
        "time_index_mean_ratio": row.time_index_mean_ratio,
        "share_above": row.share_above,
        "share_below": row.share_below,
        "alerts": row.alerts,
    })
}

fn release(regional: &Regional) -> Value {
    let benchmark = &regional.benchmark;
    let sum =
        |of: fn(&Release) -> u64| regional.told().iter().map(|told| of(&told.release)).sum::<u64>();
    json!({
        "region": benchmark.region,
        "pack": pack_value(DRG_COST),
        "parameters": { "name": regional.rules.name, "version": regional.rules.version },
        "scheme": benchmark.scheme,
        "period": benchmark.period,
        "tier": benchmark.tier,
        "cost": benchmark.measure,
        "trim": benchmark.trim,
        "cost_index_form": "cost_index and time_index: sum of actual / sum of expected; \
                            _mean_ratio: mean of n * (own mean / region's mean)",
        "coverage": {
            "groups": benchmark.coverage.0,
            "hospitals": benchmark.coverage.1,
            "hospitals_weight": regional.weight_coverage(),
        },
        "rounds": sum(|told| told.rounds.into()),
        "bytes_received": sum(|told| told.bytes_received),
        "elapsed_ms": u64::try_from(regional.elapsed.as_millis()).unwrap_or(u64::MAX),
        "questions": questions(regional.told()),
    })
}

/// How a benchmark came about whose deviations are explained by fees, which were `told`.
pub(super) fn with_fees(regional: &Regional, told: &Told) -> Value {
    let benchmark = &regional.benchmark;
    let mut all = questions(regional.told());
    all.extend(questions(std::slice::from_ref(told)));
    json!({
        "region": benchmark.region,
        "packs": [pack_value(DRG_COST), pack_value(ALERTS)],
        "scheme": benchmark.scheme,
        "period": benchmark.period,
        "cost": benchmark.measure,
        "parameters": benchmark.parameters,
        "questions": all,
    })
}
