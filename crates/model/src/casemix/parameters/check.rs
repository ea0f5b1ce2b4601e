//! What the numbers of a file of rules must satisfy.

use std::collections::BTreeMap;

use super::{AlertRules, CatalogueRules, Parameters, PaymentRules, TrimRules};
use crate::casemix::money;

/// A field that breaks its rule, and what is accepted.
pub(super) struct Problem {
    pub(super) field: String,
    pub(super) accepted: String,
}

/// Whether a rule holds, the field, and what is accepted.
type Rule = (bool, &'static str, &'static str);

/// Far more characters than a code of any scheme has.
const LONGEST_PREFIX: usize = 16;
/// How far the shares of pools may be from 1 because decimal fractions are no doubles.
const ROUNDING: f64 = 1e-9;

const POSITIVE: &str = "a finite number above 0";
const SHARE: &str = "a number above 0 and at most 1";
const COUNT: &str = "a whole number of at least 1";

/// The first rule that is broken.
pub(super) fn check(parameters: &Parameters) -> Result<(), Problem> {
    all(&identity(parameters))?;
    all(&trim(&parameters.trim))?;
    all(&alerts(&parameters.alerts))?;
    payment(&parameters.payment)?;
    let rules = &parameters.deviation;
    let ordered = "multiples with 0 < low < high < review";
    all(&[
        (positive(rules.low) && rules.low < rules.high, "deviation.low", ordered),
        (positive(rules.high), "deviation.high", ordered),
        (positive(rules.review) && rules.high < rules.review, "deviation.review", ordered),
    ])?;
    all(&catalogue(&parameters.catalogue))?;
    all(&[(share(parameters.outlier.share), "outlier.share", SHARE)])
}

fn all(rules: &[Rule]) -> Result<(), Problem> {
    match rules.iter().find(|rule| !rule.0) {
        Some((_, field, accepted)) => {
            Err(Problem { field: (*field).to_owned(), accepted: (*accepted).to_owned() })
        }
        None => Ok(()),
    }
}

fn identity(parameters: &Parameters) -> Vec<Rule> {
    let name = "a name that is not empty and has no `@`";
    let named = |text: &str| !text.trim().is_empty() && !text.contains('@');
    let sources = [
        ("weight.source", &parameters.weight.source),
        ("trim.source", &parameters.trim.source),
        ("alerts.source", &parameters.alerts.source),
        ("payment.source", &parameters.payment.source),
        ("deviation.source", &parameters.deviation.source),
        ("catalogue.source", &parameters.catalogue.source),
        ("outlier.source", &parameters.outlier.source),
    ];
    let weight = &parameters.weight;
    let mut rules = vec![
        (named(&parameters.name), "name", name),
        (named(&parameters.version), "version", name),
        (is_date(&parameters.valid_from), "valid_from", "a day of the calendar as 2026-01-31"),
        (weight.minimum_stays >= 1, "weight.minimum_stays", COUNT),
        (weight.adrg_prefix <= LONGEST_PREFIX, "weight.adrg_prefix", "a whole number up to 16"),
    ];
    let said = "a sentence on where the numbers come from";
    rules.extend(sources.map(|(field, text)| (!text.trim().is_empty(), field, said)));
    rules
}

fn trim(rules: &TrimRules) -> [Rule; 10] {
    let (multiple, quantile) = (rules.multiple, rules.quantile);
    let multiples = "multiples with 0 < low < high < extreme";
    let quantiles = "fractions with 0 < low < high < 1";
    let days = "at least 1 day, or absent";
    [
        (positive(multiple.low) && multiple.low < multiple.high, "trim.multiple.low", multiples),
        (positive(multiple.high), "trim.multiple.high", multiples),
        (
            positive(multiple.extreme) && multiple.high < multiple.extreme,
            "trim.multiple.extreme",
            multiples,
        ),
        (positive(quantile.low) && quantile.low < quantile.high, "trim.quantile.low", quantiles),
        (positive(quantile.high) && quantile.high < 1.0, "trim.quantile.high", quantiles),
        (quantile.minimum_stays >= 1, "trim.quantile.minimum_stays", COUNT),
        (share(quantile.largest_share), "trim.quantile.largest_share", SHARE),
        (positive(rules.log_sd.sd), "trim.log_sd.sd", POSITIVE),
        (positive(rules.iqr.fences), "trim.iqr.fences", POSITIVE),
        (rules.los.longest_days != Some(0), "trim.los.longest_days", days),
    ]
}

fn alerts(rules: &AlertRules) -> [Rule; 6] {
    let early = "a number above 0 and at most `cost`";
    let suffix = "the end of a code, unless severity_mix is false";
    [
        (positive(rules.cost), "alerts.cost", POSITIVE),
        (positive(rules.cost_early) && rules.cost_early <= rules.cost, "alerts.cost_early", early),
        (positive(rules.los), "alerts.los", POSITIVE),
        (rules.minimum_stays >= 1, "alerts.minimum_stays", COUNT),
        (share(rules.false_alarm), "alerts.false_alarm", SHARE),
        (!rules.severity_mix || !rules.mcc_suffix.is_empty(), "alerts.mcc_suffix", suffix),
    ]
}

fn payment(rules: &PaymentRules) -> Result<(), Problem> {
    all(&[
        (positive(rules.base_points), "payment.base_points", POSITIVE),
        (share(rules.reimbursement_ratio), "payment.reimbursement_ratio", SHARE),
    ])?;
    each("payment.tier", &rules.tier, POSITIVE, |value| positive(*value))?;
    each("payment.hospital", &rules.hospital, POSITIVE, |value| positive(*value))?;
    each("payment.policy", &rules.policy, POSITIVE, |value| positive(*value))?;
    let amount = "text with an amount that is not negative, to the cent, as \"125000.00\"";
    let paid = |text: &String| money::parse_cents(text).is_ok_and(|cents| cents >= 0);
    each("payment.prepaid", &rules.prepaid, amount, paid)?;
    each("payment.pools", &rules.pools, SHARE, |value| share(*value))?;
    let whole = (rules.pools.values().sum::<f64>() - 1.0).abs() <= ROUNDING;
    let pools = "shares of the fund that add up to 1, or empty";
    all(&[(rules.pools.is_empty() || whole, "payment.pools", pools)])
}

fn each<T>(
    section: &str,
    values: &BTreeMap<String, T>,
    accepted: &str,
    holds: impl Fn(&T) -> bool,
) -> Result<(), Problem> {
    match values.iter().find(|(_, value)| !holds(value)) {
        Some((key, _)) => {
            Err(Problem { field: format!("{section}.{key}"), accepted: accepted.to_owned() })
        }
        None => Ok(()),
    }
}

fn catalogue(rules: &CatalogueRules) -> [Rule; 6] {
    let weighted = rules.year_weights.iter().any(|weight| *weight > 0);
    let years = "whole numbers from the oldest year to the newest, not all 0";
    let gain = "a number above 0 and below 1";
    [
        (rules.core_minimum >= 1, "catalogue.core_minimum", COUNT),
        (share(rules.core_share), "catalogue.core_share", SHARE),
        (weighted, "catalogue.year_weights", years),
        (positive(rules.split_cv), "catalogue.split_cv", POSITIVE),
        (positive(rules.split_gain) && rules.split_gain < 1.0, "catalogue.split_gain", gain),
        (rules.split_minimum >= 1, "catalogue.split_minimum", COUNT),
    ]
}

fn positive(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

fn share(value: f64) -> bool {
    positive(value) && value <= 1.0
}

/// Whether the text is a day of the Gregorian calendar as `2026-01-31`.
fn is_date(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    let shaped = (year.len(), month.len(), day.len()) == (4, 2, 2);
    if !shaped || !parts.iter().all(|part| digits(part)) {
        return false;
    }
    let (Ok(year), Ok(day)) = (year.parse::<u32>(), day.parse::<u32>()) else { return false };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        "01" | "03" | "05" | "07" | "08" | "10" | "12" => 31,
        "04" | "06" | "09" | "11" => 30,
        "02" => 28 + u32::from(leap),
        _ => 0,
    };
    (1..=days).contains(&day)
}
