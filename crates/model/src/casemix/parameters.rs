//! The dated file of rules: every threshold, multiple and coefficient of the case-mix formulas.
//!
//! Policy sources contradict each other and every city sets its own numbers, so no formula has
//! one. A file is complete: nothing is filled in silently, so that its name and version stand for
//! every number in it. Each section says where its numbers come from. A file that is read has been
//! checked; formulas do not check again.

mod check;
mod place;
mod shipped;

use std::collections::BTreeMap;

use serde::Deserialize;

/// The file that is used when no other is named: `parameters/default.toml`.
pub const SHIPPED: &str = include_str!("../../parameters/default.toml");

/// Rules of one region and date. [`Parameters::default`] is [`SHIPPED`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// What the rules are called.
    pub name: String,
    /// Their version, any text.
    pub version: String,
    /// First day on which they hold, `2026-01-31`.
    pub valid_from: String,
    /// F1.
    pub weight: WeightRules,
    /// F5.
    pub trim: TrimRules,
    /// F16, F19.
    pub alerts: AlertRules,
    /// F6, F7, F11.
    pub payment: PaymentRules,
    /// F10.
    pub deviation: DeviationRules,
    /// F8, F9.
    pub catalogue: CatalogueRules,
    /// F18.
    pub outlier: OutlierRules,
}

/// Relative weights (F1).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightRules {
    /// Where the numbers come from.
    pub source: String,
    /// Stays behind a mean; a group with fewer borrows the mean of its adjacent group.
    pub minimum_stays: u64,
    /// Characters of a code that name its adjacent group (ADRG); 0 when the scheme has none.
    pub adrg_prefix: usize,
    /// Codes that are no group.
    pub ungrouped: Vec<String>,
}

/// Trimming (F5), by method.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrimRules {
    /// Where the numbers come from.
    pub source: String,
    /// Method `multiple`.
    pub multiple: MultipleRules,
    /// Method `quantile`.
    pub quantile: QuantileRules,
    /// Method `log-sd`.
    pub log_sd: LogSdRules,
    /// Method `iqr`.
    pub iqr: IqrRules,
    /// Lengths of stay that are left out, whatever the method.
    pub los: LosRules,
}

/// Multiples of the reference mean.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultipleRules {
    /// Kept from here.
    pub low: f64,
    /// Kept up to here.
    pub high: f64,
    /// Extremely high above this.
    pub extreme: f64,
}

/// Quantiles of the group.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantileRules {
    /// Kept from this quantile, in 0..1.
    pub low: f64,
    /// Kept up to this quantile, in 0..1.
    pub high: f64,
    /// A group with fewer stays is not trimmed.
    pub minimum_stays: u64,
    /// Nothing is trimmed when more than this share of the stays would be.
    pub largest_share: f64,
}

/// Standard deviations of the logarithm.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSdRules {
    /// Kept within this many of them around the mean of the logarithms.
    pub sd: f64,
}

/// Interquartile ranges.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IqrRules {
    /// Kept within this many of them beyond the quartiles.
    pub fences: f64,
}

/// Lengths of stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LosRules {
    /// A longer stay is left out; `None` when none is.
    pub longest_days: Option<u32>,
}

/// Alerts (F16, F19).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertRules {
    /// Where the numbers come from.
    pub source: String,
    /// Relative excess of cost that is an alert: 0.1 is ten per cent.
    pub cost: f64,
    /// Relative excess of cost that is an early warning.
    pub cost_early: f64,
    /// Relative excess of length of stay over the median that is an alert.
    pub los: f64,
    /// What hospitals are compared with.
    pub standard: StandardOf,
    /// A cell with fewer stays is not compared.
    pub minimum_stays: u64,
    /// Probability that a region without differences has any alert, as far as `skewed` lets the
    /// test keep it; 1 switches the test off.
    pub false_alarm: f64,
    /// Whether the test takes costs and lengths of stay as skewed, instead of their means as
    /// normal. Absent, it does not.
    #[serde(default)]
    pub skewed: bool,
    /// Whether severity mixes are compared.
    pub severity_mix: bool,
    /// How a code with a major complication ends.
    pub mcc_suffix: String,
    /// [`WeightRules::adrg_prefix`], copied from there when a file is read.
    #[serde(skip)]
    pub adrg_prefix: usize,
}

/// What a hospital is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StandardOf {
    /// Hospitals of its tier.
    Tier,
    /// All hospitals.
    Region,
}

/// Payment by rate, points or DIP points (F6, F7, F11).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentRules {
    /// Where the numbers come from.
    pub source: String,
    /// Points of a stay with the mean cost of the region (F7).
    pub base_points: f64,
    /// Share of the cost that the fund reimburses (F11), in 0..=1.
    pub reimbursement_ratio: f64,
    /// Coefficient by tier; 1 where a tier is not named.
    #[serde(default)]
    pub tier: BTreeMap<String, f64>,
    /// Coefficient by hospital; 1 where a hospital is not named.
    #[serde(default)]
    pub hospital: BTreeMap<String, f64>,
    /// Coefficient by group code; 1 where a group is not named.
    #[serde(default)]
    pub policy: BTreeMap<String, f64>,
    /// Already paid, by hospital, as decimal text in the currency unit, to the cent.
    #[serde(default)]
    pub prepaid: BTreeMap<String, String>,
    /// Share of the fund by class of payer, adding up to 1; empty when there is one pool.
    #[serde(default)]
    pub pools: BTreeMap<String, f64>,
}

/// Deviating costs under DIP (F10), as multiples of the mean.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviationRules {
    /// Where the numbers come from.
    pub source: String,
    /// Whether the rule holds; else every case counts once.
    pub enabled: bool,
    /// A case below is paid in proportion to its cost.
    pub low: f64,
    /// A case above is paid what exceeds this as well.
    pub high: f64,
    /// A case above is reviewed by experts.
    pub review: f64,
}

/// The DIP catalogue (F8, F9).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogueRules {
    /// Where the numbers come from.
    pub source: String,
    /// Stays that make a combination a core group.
    pub core_minimum: u64,
    /// Share of all stays that core groups should hold.
    pub core_share: f64,
    /// Weights of the years, oldest to newest.
    pub year_weights: Vec<u32>,
    /// A group is split only from this coefficient of variation.
    pub split_cv: f64,
    /// A split must lower it by this share.
    pub split_gain: f64,
    /// Stays that a part of a split needs.
    pub split_minimum: u64,
}

/// Outlier payments (F18).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutlierRules {
    /// Where the numbers come from.
    pub source: String,
    /// Share of the cost above the threshold that is paid.
    pub share: f64,
}

/// A file of rules that cannot be used: where, and what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {field}: {problem}")]
pub struct InvalidParameters {
    /// Line in the file, from 1.
    pub line: usize,
    /// Section and field, `trim.multiple.low`; `file` for what belongs to none.
    pub field: String,
    /// What is wrong, or what is accepted.
    pub problem: String,
}

impl Parameters {
    /// Reads and checks a file.
    pub fn parse(text: &str) -> Result<Self, InvalidParameters> {
        let mut parsed: Self = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            InvalidParameters {
                line: place::line_at(text, offset),
                field: place::field_at(text, offset),
                problem: error.message().to_owned(),
            }
        })?;
        check::check(&parsed).map_err(|problem| InvalidParameters {
            line: place::line_of(text, &problem.field),
            field: problem.field,
            problem: format!("must be {}", problem.accepted),
        })?;
        parsed.alerts.adrg_prefix = parsed.weight.adrg_prefix;
        Ok(parsed)
    }

    /// `name@version`, as results name the rules that they are of.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_is_the_default() {
        let shipped = Parameters::parse(SHIPPED).unwrap();
        assert_eq!(shipped, Parameters::default());
        assert_eq!(shipped.label(), "consilium-default@1");
        assert_eq!(shipped.alerts.adrg_prefix, 3, "copied from the weights");
    }

    /// Every line is replaced once by one that must be refused: what, by what, and where.
    const REFUSED: &[(&str, &str, &str)] = &[
        ("name = \"consilium-default\"", "name = \"\"", "name"),
        ("valid_from = \"2026-01-01\"", "valid_from = \"2026-02-29\"", "valid_from"),
        ("valid_from = \"2026-01-01\"", "valid_from = \"1 January\"", "valid_from"),
        ("minimum_stays = 5 ", "minimum_stays = 0 ", "weight.minimum_stays"),
        ("minimum_stays = 5 ", "minimum_stays = -1 ", "weight.minimum_stays"),
        ("adrg_prefix = 3 ", "adrg_prefix = 99 ", "weight.adrg_prefix"),
        ("adrg_prefix = 3 ", "adrg_prefiks = 3 ", "weight"),
        ("low = 0.5, high = 2.0, ex", "low = 2.0, high = 2.0, ex", "trim.multiple.low"),
        ("extreme = 5.0", "extreme = nan", "trim.multiple.extreme"),
        ("high = 0.975", "high = 1.0", "trim.quantile.high"),
        ("largest_share = 0.08", "largest_share = 8", "trim.quantile.largest_share"),
        ("sd = 3.0", "sd = inf", "trim.log_sd.sd"),
        ("fences = 1.5", "fences = \"wide\"", "trim.iqr.fences"),
        ("longest_days = 60", "longest_days = 0", "trim.los.longest_days"),
        ("cost = 0.10", "cost = 0.0", "alerts.cost"),
        ("cost_early = 0.08", "cost_early = 0.11", "alerts.cost_early"),
        ("standard = \"tier\"", "standard = \"ward\"", "alerts.standard"),
        ("false_alarm = 0.01", "false_alarm = 0", "alerts.false_alarm"),
        ("mcc_suffix = \"1\"", "mcc_suffix = \"\"", "alerts.mcc_suffix"),
        ("base_points = 100.0", "base_points = -1.0", "payment.base_points"),
        ("reimbursement_ratio = 1.0", "reimbursement_ratio = 1.1", "payment.reimbursement_ratio"),
        ("[payment.tier]", "[payment.tier]\nprimary = 0", "payment.tier.primary"),
        ("[payment.policy]", "[payment.policy]\nBR21 = inf", "payment.policy.BR21"),
        ("[payment.prepaid]", "[payment.prepaid]\nh01 = \"0.001\"", "payment.prepaid.h01"),
        ("[payment.prepaid]", "[payment.prepaid]\nh01 = \"-1\"", "payment.prepaid.h01"),
        ("[payment.pools]", "[payment.pools]\nresident = 0.5", "payment.pools"),
        ("review = 5.0", "review = 1.0", "deviation.review"),
        ("core_share = 0.85", "core_share = 85", "catalogue.core_share"),
        ("year_weights = [1, 2, 7]", "year_weights = []", "catalogue.year_weights"),
        ("year_weights = [1, 2, 7]", "year_weights = [0, 0]", "catalogue.year_weights"),
        ("split_gain = 0.2", "split_gain = 1.0", "catalogue.split_gain"),
        ("share = 0.8\n", "share = 0.8\n[extra]\n", "extra"),
        ("source = \"Read (F18).\"", "source = \" \"", "outlier.source"),
    ];

    #[test]
    fn what_cannot_be_used_is_named_with_its_line() {
        for (line, replacement, field) in REFUSED {
            assert_eq!(SHIPPED.matches(line).count(), 1, "{line}");
            let text = SHIPPED.replace(line, replacement);
            let error = Parameters::parse(&text).unwrap_err();
            assert!(error.field.starts_with(field), "{replacement}: {error}");
            let key = replacement.trim_end().rsplit('\n').next().unwrap();
            let expected = text.lines().position(|line| line.contains(key)).unwrap() + 1;
            // What a section adds up to is told at its head, a line above.
            let near = error.line.abs_diff(expected) <= 1;
            assert!(near, "{replacement}: line {expected}, but {error}");
            assert!(error.problem.len() > 10, "{error}");
        }
        assert!(Parameters::parse("name = ").unwrap_err().to_string().starts_with("line 1"));
    }

    #[test]
    fn what_is_missing_is_not_filled_in() {
        let without = SHIPPED.replace("false_alarm = 0.01", "");
        let error = Parameters::parse(&without).unwrap_err();
        assert!(error.problem.contains("false_alarm"), "{error}");
        assert_eq!(error.field, "alerts");
        assert!(Parameters::parse("").is_err());
        let unlimited = SHIPPED.replace("los = { longest_days = 60 }", "los = {}");
        assert_eq!(Parameters::parse(&unlimited).unwrap().trim.los.longest_days, None);
    }
}
