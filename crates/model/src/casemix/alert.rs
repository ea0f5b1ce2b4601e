//! Alerts: dear groups, long stays, and severity mixes that point at upcoding (F16, F19).
//!
//! A deviation above a threshold is not enough: of hundreds of small cells some are always far off
//! by chance. An alert must also be significant, one-sided, at the level of false alarms that the
//! region allows divided by the number of comparisons that were made (Bonferroni), so that a
//! region without differences has an alert of any kind with that probability at most, if means are
//! normal.
//!
//! Means of few skewed values are not. With the real costs of 50 hospitals (16,462 stays of 2020,
//! 428 cells) dealt out anew 1,000 times, so that no hospital differs, 84 of 100 regions had an
//! alert at a level of one in a hundred. With [`AlertRules::skewed`] it was 0.7 of 100: the test
//! then takes a value as log-normal, whose skewness follows from its coefficient of variation as
//! `cv³ + 3 cv`, and a mean of `n` as a Pearson type III variable with that over `√n`, made normal
//! by its cube root (Wilson and Hilferty, 1931).

mod severity;

use std::cmp::Ordering;

use num_traits::ToPrimitive;

pub use super::parameters::{AlertRules, StandardOf};

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The mean cost is above the standard by the threshold (F16).
    Cost,
    /// It is above the standard by the lower threshold of the early warning (F16).
    CostEarly,
    /// The mean length of stay is above the median of the standard by the threshold (F16).
    LengthOfStay,
    /// More of an adjacent group's stays have a major complication than elsewhere (F19) \[M\].
    SeverityMix,
}

/// A released cell: the stays of a group in a hospital.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Hospital.
    pub hospital: String,
    /// Its tier.
    pub tier: String,
    /// Code of the group.
    pub group: String,
    /// Stays.
    pub stays: u64,
    /// Mean cost, in currency units a stay; `None` when it is withheld.
    pub mean_cost: Option<f64>,
    /// Mean length of stay, in days; `None` when it is withheld.
    pub mean_los: Option<f64>,
}

/// What a group is like where hospitals are compared with; `None` is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Standard {
    /// Mean cost, in currency units a stay.
    pub mean_cost: Option<f64>,
    /// Standard deviation of the cost of a stay.
    pub sd_cost: Option<f64>,
    /// Mean length of stay, in days.
    pub mean_los: Option<f64>,
    /// Standard deviation of the length of a stay.
    pub sd_los: Option<f64>,
    /// Median length of stay, in days.
    pub median_los: Option<f64>,
}

/// One alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Hospital.
    pub hospital: String,
    /// Its tier.
    pub tier: String,
    /// Code of the group; of the adjacent group for [`Kind::SeverityMix`].
    pub group: String,
    /// What it is about.
    pub kind: Kind,
    /// Stays of the hospital behind it.
    pub stays: u64,
    /// The hospital's value: cost, days, or share of stays with a major complication.
    pub own: f64,
    /// What it is compared with: mean cost, median days, or share.
    pub standard: f64,
    /// `own / standard - 1`; the difference of the shares for [`Kind::SeverityMix`].
    pub deviation: f64,
    /// Currency units: the excess times the stays; days above the mean at the standard's cost of a day; 0
    /// where it is not known, as for [`Kind::SeverityMix`].
    pub at_stake: f64,
    /// How many standard errors the hospital is above the reference; 0 where that is not known.
    pub z: f64,
}

/// A comparison that was made, whatever came out.
struct Comparison {
    alert: Alert,
    /// What is tested as a standard normal variable: `z`, or what is left of it.
    score: f64,
    /// Whether the deviation reaches the threshold.
    reached: bool,
}

/// A deviation at the threshold counts, whatever the last bits of its decimals.
const ROUNDING: f64 = 1e-9;

/// The alerts among `observed`, most money at stake first, then by hospital, group and kind.
///
/// `standard` gives what a tier and group are compared with. A cell is compared when it has
/// [`AlertRules::minimum_stays`] and what is needed of it and of the standard is there and
/// positive; unless the test is switched off (a false alarm of 1), that includes a standard
/// deviation above 0. An alert at the threshold is one. Cost compares means (F16). Length of stay
/// deviates from the median (F16) and is tested against the mean, as a mean is what it is.
///
/// Severity mixes need, of a hospital, the cells of every group of the adjacent group that the
/// region knows, are compared with all such hospitals of the tier or region
/// ([`AlertRules::standard`]), the hospital itself included, and are nothing but a test: there is
/// none when it is switched off.
pub fn alerts(
    observed: &[Observed],
    standard: impl Fn(&str, &str) -> Option<Standard>,
    rules: &AlertRules,
) -> Vec<Alert> {
    let mut comparisons = Vec::new();
    for cell in observed.iter().filter(|cell| cell.stays >= rules.minimum_stays.max(1)) {
        if let Some(standard) = standard(&cell.tier, &cell.group) {
            comparisons.extend(cost(cell, &standard, rules));
            comparisons.extend(length_of_stay(cell, &standard, rules));
        }
    }
    if rules.severity_mix && tested(rules) {
        comparisons.extend(severity::comparisons(observed, rules));
    }
    let level = rules.false_alarm / comparisons.len().to_f64().unwrap_or(f64::INFINITY);
    let significant = |score: f64| !tested(rules) || upper_tail(score) <= level;
    let raised = |row: Comparison| (row.reached && significant(row.score)).then_some(row.alert);
    let mut alerts: Vec<_> = comparisons.into_iter().filter_map(raised).collect();
    alerts.sort_by(order);
    alerts
}

/// Probability that a standard normal variable is above `z`.
#[must_use]
pub fn upper_tail(z: f64) -> f64 {
    0.5 * libm::erfc(z / std::f64::consts::SQRT_2)
}

fn order(a: &Alert, b: &Alert) -> Ordering {
    let stake = b.at_stake.total_cmp(&a.at_stake);
    stake.then_with(|| (&a.hospital, &a.group, a.kind).cmp(&(&b.hospital, &b.group, b.kind)))
}

/// Whether alerts must be significant.
fn tested(rules: &AlertRules) -> bool {
    rules.false_alarm < 1.0
}

fn positive(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite() && *value > 0.0)
}

/// Standard errors of a mean of `stays` above the reference, and what of them is tested; `None`
/// when a test is needed and cannot be made.
fn test(
    own: f64,
    stays: f64,
    (mean, sd): (Option<f64>, Option<f64>),
    rules: &AlertRules,
) -> Option<(f64, f64)> {
    let (Some(mean), Some(sd)) = (positive(mean), positive(sd)) else {
        return (!tested(rules)).then_some((0.0, 0.0));
    };
    let z = (own - mean) / (sd / stays.sqrt());
    let cv = sd / mean;
    let skewness = (cv.powi(3) + 3.0 * cv) / stays.sqrt();
    Some((z, if rules.skewed { unskewed(z, skewness) } else { z }))
}

/// The standard normal variable that a standardised Pearson type III variable stands for.
fn unskewed(z: f64, skewness: f64) -> f64 {
    6.0 / skewness * ((skewness * z / 2.0 + 1.0).cbrt() - 1.0) + skewness / 6.0
}

fn cost(cell: &Observed, standard: &Standard, rules: &AlertRules) -> Option<Comparison> {
    let own = cell.mean_cost.filter(|own| own.is_finite())?;
    let reference = positive(standard.mean_cost)?;
    let stays = cell.stays.to_f64()?;
    let (z, score) = test(own, stays, (Some(reference), standard.sd_cost), rules)?;
    let deviation = own / reference - 1.0;
    let kind = if deviation >= rules.cost - ROUNDING { Kind::Cost } else { Kind::CostEarly };
    let reached = deviation >= rules.cost_early.min(rules.cost) - ROUNDING;
    let at_stake = (own - reference) * stays;
    let alert = Alert { own, standard: reference, deviation, at_stake, z, ..blank(cell, kind) };
    Some(Comparison { alert, score, reached })
}

fn length_of_stay(cell: &Observed, standard: &Standard, rules: &AlertRules) -> Option<Comparison> {
    let own = cell.mean_los.filter(|own| own.is_finite())?;
    let median = positive(standard.median_los)?;
    let stays = cell.stays.to_f64()?;
    let (z, score) = test(own, stays, (standard.mean_los, standard.sd_los), rules)?;
    let deviation = own / median - 1.0;
    let reached = deviation >= rules.los - ROUNDING;
    let day = positive(standard.mean_cost).zip(positive(standard.mean_los));
    // What is paid for is days beyond the mean ones; a skewed group's mean is above its median.
    let at_stake = day.map_or(0.0, |(cost, days)| (own - days) * stays * (cost / days));
    let blank = blank(cell, Kind::LengthOfStay);
    let alert = Alert { own, standard: median, deviation, at_stake, z, ..blank };
    Some(Comparison { alert, score, reached })
}

fn blank(cell: &Observed, kind: Kind) -> Alert {
    Alert {
        hospital: cell.hospital.clone(),
        tier: cell.tier.clone(),
        group: cell.group.clone(),
        kind,
        stays: cell.stays,
        own: 0.0,
        standard: 0.0,
        deviation: 0.0,
        at_stake: 0.0,
        z: 0.0,
    }
}

#[cfg(test)]
mod tests;
