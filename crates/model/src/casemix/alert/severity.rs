//! Upcoding as a mix of severities (F19) \[M\]: within an adjacent group, more stays with a major
//! complication than elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use num_traits::ToPrimitive;

use super::{Alert, Comparison, Kind, Observed, blank};
use crate::casemix::parameters::{AlertRules, StandardOf};
use crate::casemix::weight::prefix;

/// An adjacent group in a hospital.
struct Mix<'a> {
    cell: &'a Observed,
    codes: BTreeSet<&'a str>,
    severe: u64,
    stays: u64,
}

/// Every hospital with all cells of an adjacent group against all of them.
pub(super) fn comparisons(observed: &[Observed], rules: &AlertRules) -> Vec<Comparison> {
    if rules.adrg_prefix == 0 || rules.mcc_suffix.is_empty() {
        return Vec::new();
    }
    let mut families: BTreeMap<&str, Vec<&Observed>> = BTreeMap::new();
    for cell in observed {
        if let Some(adrg) = prefix(&cell.group, rules.adrg_prefix) {
            families.entry(adrg).or_default().push(cell);
        }
    }
    families.iter().flat_map(|(adrg, cells)| within(adrg, cells, rules)).collect()
}

fn within(adrg: &str, cells: &[&Observed], rules: &AlertRules) -> Vec<Comparison> {
    let codes: BTreeSet<&str> = cells.iter().map(|cell| cell.group.as_str()).collect();
    let mut hospitals: BTreeMap<&str, Mix<'_>> = BTreeMap::new();
    for cell in cells {
        let empty = || Mix { cell, codes: BTreeSet::new(), severe: 0, stays: 0 };
        let mix = hospitals.entry(&cell.hospital).or_insert_with(empty);
        mix.codes.insert(&cell.group);
        mix.stays += cell.stays;
        mix.severe += if is_severe(adrg, &cell.group, rules) { cell.stays } else { 0 };
    }
    hospitals.retain(|_, mix| codes.len() > 1 && mix.codes == codes);
    let mut totals: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for mix in hospitals.values() {
        let total = totals.entry(standard(mix, rules)).or_default();
        *total = (total.0 + mix.severe, total.1 + mix.stays);
    }
    let compared = |mix: &Mix<'_>| compare(adrg, mix, *totals.get(standard(mix, rules))?, rules);
    hospitals.values().filter_map(compared).collect()
}

/// What a hospital's standard is kept under.
fn standard<'a>(mix: &Mix<'a>, rules: &AlertRules) -> &'a str {
    match rules.standard {
        StandardOf::Tier => &mix.cell.tier,
        StandardOf::Region => "",
    }
}

/// Whether a code is its adjacent group followed by a mark that ends as a major complication.
fn is_severe(adrg: &str, code: &str, rules: &AlertRules) -> bool {
    code.strip_prefix(adrg).is_some_and(|mark| mark.ends_with(&rules.mcc_suffix))
}

/// `z = (p_h - p_R) / sqrt(p_R (1 - p_R) / n_h)`; `None` under the minimum of stays and unless the
/// share of the standard lies between 0 and 1.
fn compare(
    adrg: &str,
    mix: &Mix<'_>,
    (severe, stays): (u64, u64),
    rules: &AlertRules,
) -> Option<Comparison> {
    if mix.stays < rules.minimum_stays.max(1) || severe == 0 || severe == stays {
        return None;
    }
    let n = mix.stays.to_f64()?;
    let own = mix.severe.to_f64()? / n;
    let standard = severe.to_f64()? / stays.to_f64()?;
    let z = (own - standard) / (standard * (1.0 - standard) / n).sqrt();
    let alert = Alert {
        group: adrg.to_owned(),
        stays: mix.stays,
        own,
        standard,
        deviation: own - standard,
        z,
        ..blank(mix.cell, Kind::SeverityMix)
    };
    Some(Comparison { alert, score: z, reached: own > standard })
}
