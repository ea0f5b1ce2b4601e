//! The program `drg-cost`: from released cells of groups, hospitals and fee classes to the
//! benchmark's two tables and its alerts.
//!
//! Everything is over what was released: the region's mean is that of released groups, a
//! hospital's case-mix that of its released cells. Ungrouped stays count in the grouping rate and
//! nowhere else. When groups are trimmed, mean, deviation and weight are of the stays kept; percentiles,
//! logarithms, indices and alerts stay those of all.

use std::collections::BTreeMap;

use super::alert::{Alert, Observed, Standard, alerts};
use super::benchmark::{Best, Bounded, GroupRow, HospitalRow, Share};
use super::composition::shares;
use super::index::{Form, IndexCell, case_mix, grouping_rate, index};
use super::money::{E4, mean_e4};
use super::parameters::{Parameters, StandardOf};
use super::weight::{GroupCost, Weight, relative_weights};

/// The label of everything outside a code list.
const OTHER: &str = "OTHER";

/// Released cells of one group of the region. `None` is withheld, or not there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupCell {
    /// Its code; `None` when the stays have none.
    pub code: Option<String>,
    /// Stays.
    pub stays: u64,
    /// Hospitals with at least one of them.
    pub hospitals: u64,
    /// Stays with a cost.
    pub costed: Option<u64>,
    /// Their cost, in 10^-4 of the currency unit.
    pub cost_e4: Option<E4>,
    /// Sample standard deviation of cost, in currency units.
    pub sd: Option<f64>,
    /// Mean of ln(cost).
    pub mean_log: Option<f64>,
    /// 10th, 25th, 50th, 75th, 90th percentile of cost.
    pub percentiles: [Option<Bounded>; 5],
    /// Mean length of stay in days.
    pub los_mean: Option<f64>,
    /// Sample standard deviation of it.
    pub los_sd: Option<f64>,
    /// Mean of ln(length of stay).
    pub los_mean_log: Option<f64>,
    /// Median length of stay.
    pub los_median: Option<Bounded>,
    /// Share that died.
    pub death_rate: Option<f64>,
}

impl GroupCell {
    /// Mean cost in currency units.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        mean_e4(self.cost_e4?, self.costed?)
    }
}

/// Released cells of one hospital's group.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HospitalCell {
    /// Hospital.
    pub hospital: String,
    /// Group; `None` when the stays have none.
    pub code: Option<String>,
    /// Stays.
    pub stays: u64,
    /// Stays with a cost.
    pub costed: Option<u64>,
    /// Their cost.
    pub cost_e4: Option<E4>,
    /// Mean length of stay.
    pub los_mean: Option<f64>,
}

/// Charges of one fee class in one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeeCell {
    /// Group.
    pub code: String,
    /// Fee class.
    pub class: String,
    /// Sum, or `None` when it is withheld.
    pub amount_e4: Option<E4>,
}

/// One group without the stays that trimming leaves out.
#[derive(Debug, Clone, PartialEq)]
pub struct TrimmedCell {
    /// Group.
    pub code: String,
    /// Stays kept.
    pub kept: u64,
    /// Their cost.
    pub cost_e4: E4,
    /// Its sample standard deviation.
    pub sd: Option<f64>,
}

/// What hospitals released for the pack `drg-cost`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cells {
    /// Answers of `groups`.
    pub groups: Vec<GroupCell>,
    /// Answers of `hospitals`.
    pub hospitals: Vec<HospitalCell>,
    /// Answers of `composition`.
    pub fees: Vec<FeeCell>,
    /// Answers of `trimmed`.
    pub trimmed: Vec<TrimmedCell>,
}

/// What is public about the region.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Setting {
    /// Tier of every hospital that was asked.
    pub tiers: BTreeMap<String, String>,
    /// English and Chinese names of groups.
    pub names: BTreeMap<String, (String, String)>,
}

/// The benchmark's tables.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// Groups, most stays first.
    pub groups: Vec<GroupRow>,
    /// Hospitals by id.
    pub hospitals: Vec<HospitalRow>,
    /// What deviates, most money at stake first.
    pub alerts: Vec<Alert>,
}

/// A group with what others are compared with.
#[derive(Debug, Clone, Copy)]
struct Reference {
    weight: Option<f64>,
    mean: Option<f64>,
    cv: Option<f64>,
    los_mean: Option<f64>,
    los_sd: Option<f64>,
    los_median: Option<f64>,
}

/// One tier's sums of one group.
#[derive(Debug, Default, Clone, Copy)]
struct TierSum {
    costed: u64,
    cost_e4: E4,
}

/// Finishes a benchmark.
#[must_use]
pub fn finish(cells: &Cells, setting: &Setting, rules: &Parameters) -> Finished {
    Finishing::new(cells, setting, rules).finish()
}

struct Finishing<'a> {
    cells: &'a Cells,
    setting: &'a Setting,
    rules: &'a Parameters,
    groups: Vec<(&'a str, &'a GroupCell)>,
    references: BTreeMap<&'a str, Reference>,
    weights: Vec<Weight>,
    tiers: BTreeMap<(&'a str, &'a str), TierSum>,
    /// Cells of hospitals with their tiers, by group.
    by_group: BTreeMap<&'a str, Vec<(&'a str, &'a HospitalCell)>>,
}

impl<'a> Finishing<'a> {
    fn new(cells: &'a Cells, setting: &'a Setting, rules: &'a Parameters) -> Self {
        let mut groups: Vec<_> = cells
            .groups
            .iter()
            .filter_map(|cell| Some((group_of(cell.code.as_deref(), rules)?, cell)))
            .collect();
        groups.sort_by(|(a, one), (b, two)| two.stays.cmp(&one.stays).then(a.cmp(b)));
        let mut finishing = Self {
            cells,
            setting,
            rules,
            groups,
            references: BTreeMap::new(),
            weights: Vec::new(),
            tiers: BTreeMap::new(),
            by_group: BTreeMap::new(),
        };
        let mut by_group: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (tier, code, cell) in finishing.grouped() {
            by_group.entry(code).or_default().push((tier, cell));
        }
        finishing.by_group = by_group;
        finishing.weights = relative_weights(&finishing.costs(), &rules.weight);
        finishing.references = finishing.references();
        finishing.tiers = finishing.tiers();
        finishing
    }

    fn finish(self) -> Finished {
        let alerts = self.alerts();
        let each = self.groups.iter().zip(&self.weights);
        let groups = each.map(|((code, cell), weight)| self.group(code, cell, *weight)).collect();
        let hospitals = self.setting.tiers.iter();
        let hospitals = hospitals.map(|(id, tier)| self.hospital(id, tier, &alerts)).collect();
        Finished { groups, hospitals, alerts }
    }

    fn trimmed(&self, code: &str) -> Option<&'a TrimmedCell> {
        self.cells.trimmed.iter().find(|cell| cell.code == code)
    }

    /// Stays behind a group's mean, their cost and its deviation.
    fn cost(&self, code: &str, cell: &GroupCell) -> (u64, Option<E4>, Option<f64>) {
        match self.trimmed(code) {
            Some(kept) => (kept.kept, Some(kept.cost_e4), kept.sd),
            None => (cell.costed.unwrap_or(0), cell.cost_e4, cell.sd),
        }
    }

    fn costs(&self) -> Vec<GroupCost> {
        let each = self.groups.iter().map(|(code, cell)| {
            let (costed, sum_e4, _) = self.cost(code, cell);
            GroupCost { code: (*code).to_owned(), stays: cell.stays, costed, sum_e4 }
        });
        each.collect()
    }

    fn references(&self) -> BTreeMap<&'a str, Reference> {
        let each = self.groups.iter().zip(&self.weights).map(|((code, cell), weight)| {
            // Of all stays, as the hospitals' means are, whatever was trimmed.
            let mean = cell.mean();
            let reference = Reference {
                weight: weight.value,
                mean,
                cv: ratio(cell.sd, mean),
                los_mean: cell.los_mean,
                los_sd: cell.los_sd,
                los_median: cell.los_median.map(|median| median.value),
            };
            (*code, reference)
        });
        each.collect()
    }

    /// Released cells of hospitals that have a group, with group and tier.
    fn grouped(&self) -> impl Iterator<Item = (&'a str, &'a str, &'a HospitalCell)> {
        let (rules, setting) = (self.rules, self.setting);
        self.cells.hospitals.iter().filter_map(move |cell| {
            let code = group_of(cell.code.as_deref(), rules)?;
            let tier = setting.tiers.get(&cell.hospital).map_or("", String::as_str);
            Some((tier, code, cell))
        })
    }

    fn tiers(&self) -> BTreeMap<(&'a str, &'a str), TierSum> {
        let mut sums: BTreeMap<_, TierSum> = BTreeMap::new();
        for (tier, code, cell) in self.grouped() {
            if let (Some(costed), Some(cost_e4)) = (cell.costed, cell.cost_e4) {
                let sum = sums.entry((tier, code)).or_default();
                sum.costed += costed;
                sum.cost_e4 += cost_e4;
            }
        }
        sums
    }

    /// The mean that a hospital's group is compared with: its tier's, or the region's.
    fn standard_mean(&self, tier: &str, code: &str) -> Option<f64> {
        match self.rules.alerts.standard {
            StandardOf::Region => self.references.get(code)?.mean,
            StandardOf::Tier => {
                let sum = self.tiers.get(&(tier, code))?;
                mean_e4(sum.cost_e4, sum.costed)
            }
        }
    }

    fn alerts(&self) -> Vec<Alert> {
        let observed = self.grouped().map(|(tier, code, cell)| Observed {
            hospital: cell.hospital.clone(),
            tier: tier.to_owned(),
            group: code.to_owned(),
            stays: cell.stays,
            mean_cost: mean_of(cell),
            mean_los: cell.los_mean,
        });
        let standard = |tier: &str, code: &str| {
            let region = self.references.get(code)?;
            let mean_cost = self.standard_mean(tier, code);
            Some(Standard {
                mean_cost,
                // Dearer tiers vary more, in proportion.
                sd_cost: mean_cost.zip(region.cv).map(|(mean, cv)| mean * cv),
                mean_los: region.los_mean,
                sd_los: region.los_sd,
                median_los: region.los_median,
            })
        };
        alerts(&observed.collect::<Vec<_>>(), standard, &self.rules.alerts)
    }

    fn group(&self, code: &str, cell: &GroupCell, weight: Weight) -> GroupRow {
        let (costed, sum_e4, sd) = self.cost(code, cell);
        let mean = sum_e4.and_then(|sum| mean_e4(sum, costed));
        let left_out = self.trimmed(code).zip(cell.costed);
        GroupRow {
            drg_code: code.to_owned(),
            name: self.setting.names.get(code).cloned(),
            stays: cell.stays,
            hospitals: cell.hospitals,
            mean,
            sd,
            cv: ratio(sd, mean),
            geometric_mean: cell.mean_log.map(f64::exp),
            percentiles: cell.percentiles,
            relative_weight: weight.value,
            weight_basis: weight.basis,
            trimmed_stays: left_out.map(|(kept, all)| all.saturating_sub(kept.kept)),
            los_mean: cell.los_mean,
            los_median: cell.los_median,
            los_geometric_mean: cell.los_mean_log.map(f64::exp),
            death_rate: cell.death_rate,
            composition: self.composition(code),
            best: self.best(code),
        }
    }

    fn composition(&self, code: &str) -> Vec<Share> {
        let own = self.cells.fees.iter().filter(|fee| fee.code == code);
        shares(&own.map(|fee| (fee.class.clone(), fee.amount_e4)).collect::<Vec<_>>())
    }

    /// The cheapest hospital of each tier that has enough stays.
    fn best(&self, code: &str) -> Vec<Best> {
        let mut best: BTreeMap<&str, Best> = BTreeMap::new();
        for (tier, cell) in self.by_group.get(code).into_iter().flatten() {
            let enough = cell.stays >= self.rules.alerts.minimum_stays;
            let Some(mean) = mean_of(cell).filter(|_| enough) else { continue };
            if best.get(tier).is_none_or(|known| mean < known.mean) {
                let (tier_name, hospital_id) = ((*tier).to_owned(), cell.hospital.clone());
                let found = Best { tier: tier_name, hospital_id, mean, stays: cell.stays };
                best.insert(tier, found);
            }
        }
        best.into_values().collect()
    }

    fn hospital(&self, id: &str, tier: &str, alerts: &[Alert]) -> HospitalRow {
        let all: u64 = self.own(id).map(|cell| cell.stays).sum();
        let grouped: Vec<_> = self.grouped().filter(|(_, _, cell)| cell.hospital == id).collect();
        let stays: u64 = grouped.iter().map(|(_, _, cell)| cell.stays).sum();
        let weighted: Vec<_> = grouped
            .iter()
            .filter_map(|(_, code, cell)| Some((cell.stays, self.references.get(code)?.weight?)))
            .collect();
        let mix = case_mix(&weighted);
        let (cost, time) = (self.index_cells(&grouped, true), self.index_cells(&grouped, false));
        let (above, below) = self.deviating(&grouped);
        HospitalRow {
            hospital_id: id.to_owned(),
            tier: tier.to_owned(),
            stays: all,
            grouping_rate: grouping_rate(stays, all, 0),
            cmi: mix.map(|mix| mix.cmi()),
            total_weight: mix.map(|mix| mix.total_weight),
            cost_index: index(&cost, Form::Ratio),
            cost_index_mean_ratio: index(&cost, Form::MeanRatio),
            time_index: index(&time, Form::Ratio),
            time_index_mean_ratio: index(&time, Form::MeanRatio),
            share_above: above,
            share_below: below,
            alerts: u64::try_from(alerts.iter().filter(|alert| alert.hospital == id).count())
                .unwrap_or(u64::MAX),
        }
    }

    fn own<'b>(&'b self, id: &'b str) -> impl Iterator<Item = &'a HospitalCell> + 'b {
        self.cells.hospitals.iter().filter(move |cell| cell.hospital == id)
    }

    /// Cells of cost, else of length of stay, with the region's mean beside the hospital's.
    fn index_cells(&self, own: &[(&str, &str, &HospitalCell)], cost: bool) -> Vec<IndexCell> {
        let each = own.iter().filter_map(|(_, code, cell)| {
            let reference = self.references.get(code)?;
            let (n, own_mean, reference_mean) = if cost {
                (cell.costed?, mean_of(cell)?, reference.mean?)
            } else {
                (cell.stays, cell.los_mean?, reference.los_mean?)
            };
            Some(IndexCell { n, own_mean, reference_mean })
        });
        each.collect()
    }

    /// Shares of stays in groups that lie above and below the standard by the alert's threshold.
    fn deviating(&self, own: &[(&str, &str, &HospitalCell)]) -> (Option<f64>, Option<f64>) {
        let (mut all, mut above, mut below) = (0, 0, 0);
        for (tier, code, cell) in own {
            let Some((mean, standard)) = mean_of(cell).zip(self.standard_mean(tier, code)) else {
                continue;
            };
            all += cell.stays;
            let deviation = mean / standard - 1.0;
            if deviation >= self.rules.alerts.cost {
                above += cell.stays;
            } else if deviation <= -self.rules.alerts.cost {
                below += cell.stays;
            }
        }
        (grouping_rate(above, all, 0), grouping_rate(below, all, 0))
    }
}

fn mean_of(cell: &HospitalCell) -> Option<f64> {
    mean_e4(cell.cost_e4?, cell.costed?)
}

fn ratio(part: Option<f64>, whole: Option<f64>) -> Option<f64> {
    part.zip(whole).filter(|(_, whole)| *whole > 0.0).map(|(part, whole)| part / whole)
}

/// The group that a code names; stays without one, and codes that say so, have none.
fn group_of<'c>(code: Option<&'c str>, rules: &Parameters) -> Option<&'c str> {
    let code = code.filter(|code| *code != OTHER && !code.is_empty())?;
    (!rules.weight.ungrouped.iter().any(|ungrouped| ungrouped == code)).then_some(code)
}
