//! Where one hospital's cost differs from what it is compared with, and what the difference is
//! made of.

use std::collections::BTreeMap;

use super::benchmark::{Best, GroupRow};
use super::composition::{Means, ShareDifference, differences, shares};
use super::drg_cost::HospitalCell;
use super::money::{E4, mean_e4};

/// Charges of one fee class in one group of one hospital.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HospitalFee {
    /// Hospital.
    pub hospital: String,
    /// Group.
    pub code: String,
    /// Fee class.
    pub class: String,
    /// Sum, or `None` when it is withheld.
    pub amount_e4: Option<E4>,
}

/// One group of a hospital against the rest of its tier.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Group.
    pub drg_code: String,
    /// English and Chinese name.
    pub name: Option<(String, String)>,
    /// Stays of the hospital.
    pub stays: u64,
    /// Its mean cost.
    pub mean: f64,
    /// Mean of the region.
    pub region_mean: Option<f64>,
    /// Mean of the other hospitals of its tier.
    pub peers_mean: Option<f64>,
    /// The cheapest hospital of its tier.
    pub best: Option<Best>,
    /// `mean - peers_mean`.
    pub difference: Option<f64>,
    /// `difference × stays`: what the group adds to the hospital's cost.
    pub contribution: Option<f64>,
    /// Charges by fee class against the tier's others, what explains most first.
    pub components: Vec<ShareDifference>,
}

/// Released cells of all hospitals, and their tiers.
#[derive(Debug, Clone, Copy)]
pub struct Region<'a> {
    /// Cells of hospitals.
    pub cells: &'a [HospitalCell],
    /// Fees of hospitals.
    pub fees: &'a [HospitalFee],
    /// Tier by hospital.
    pub tiers: &'a BTreeMap<String, String>,
}

/// Stays and an amount of several hospitals.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    stays: u64,
    amount_e4: E4,
}

impl Sum {
    fn mean(self) -> Option<f64> {
        mean_e4(self.amount_e4, self.stays)
    }
}

impl Region<'_> {
    /// The groups of `hospital`, what adds most to its cost first; groups without a comparison
    /// come last.
    #[must_use]
    pub fn compare(&self, hospital: &str, groups: &[GroupRow]) -> Vec<Comparison> {
        let own = self.cells.iter().filter(|cell| cell.hospital == hospital);
        let mut all: Vec<_> = own.filter_map(|cell| self.one(cell, groups)).collect();
        all.sort_by(|a, b| {
            let (a_adds, b_adds) = (a.contribution, b.contribution);
            let order = b_adds.is_some().cmp(&a_adds.is_some());
            let most = b_adds.unwrap_or(0.0).total_cmp(&a_adds.unwrap_or(0.0));
            order.then(most).then_with(|| a.drg_code.cmp(&b.drg_code))
        });
        all
    }

    /// What a hospital's group is made of, against the others of its tier.
    #[must_use]
    pub fn components(&self, hospital: &str, code: &str) -> Vec<ShareDifference> {
        let is_own = |other: &str| other == hospital;
        let is_peer = |other: &str| other != hospital && self.same_tier(hospital, other);
        let (own, own_mean) = self.charges(code, is_own);
        let (peers, peers_mean) = self.charges(code, is_peer);
        match own_mean.zip(peers_mean) {
            Some((own_mean, reference)) => {
                differences(&shares(&own), &shares(&peers), Means { own: own_mean, reference })
            }
            None => Vec::new(),
        }
    }

    fn same_tier(&self, one: &str, other: &str) -> bool {
        self.tiers.get(one).is_some_and(|tier| self.tiers.get(other) == Some(tier))
    }

    fn one(&self, cell: &HospitalCell, groups: &[GroupRow]) -> Option<Comparison> {
        let code = cell.code.clone()?;
        let row = groups.iter().find(|row| row.drg_code == code)?;
        let mean = mean_e4(cell.cost_e4?, cell.costed?)?;
        let tier = self.tiers.get(&cell.hospital);
        let mut peers = Sum::default();
        for other in self.cells.iter().filter(|other| {
            other.code.as_deref() == Some(&code)
                && other.hospital != cell.hospital
                && self.same_tier(&cell.hospital, &other.hospital)
        }) {
            if let (Some(costed), Some(cost_e4)) = (other.costed, other.cost_e4) {
                peers.stays += costed;
                peers.amount_e4 += cost_e4;
            }
        }
        let peers_mean = peers.mean();
        let difference = peers_mean.map(|peers_mean| mean - peers_mean);
        let stays = num_traits::ToPrimitive::to_f64(&cell.costed?)?;
        Some(Comparison {
            name: row.name.clone(),
            stays: cell.stays,
            mean,
            region_mean: row.mean,
            peers_mean,
            best: row.best.iter().find(|best| Some(&best.tier) == tier).cloned(),
            difference,
            contribution: difference.map(|difference| difference * stays),
            components: self.components(&cell.hospital, &code),
            drg_code: code,
        })
    }

    /// Released charges by class of the hospitals that `belongs` picks, and their mean of a stay. A
    /// class that a hospital withheld (too few persons have it) adds nothing, so its mean is a
    /// little too small.
    fn charges(
        &self,
        code: &str,
        belongs: impl Fn(&str) -> bool,
    ) -> (Vec<(String, Option<E4>)>, Option<f64>) {
        let mut classes: BTreeMap<&str, Option<E4>> = BTreeMap::new();
        let mut total = Sum::default();
        let mut counted: Vec<&str> = Vec::new();
        for fee in self.fees.iter().filter(|fee| fee.code == code && belongs(&fee.hospital)) {
            let Some(amount_e4) = fee.amount_e4 else { continue };
            let sum = classes.entry(&fee.class).or_insert(Some(0));
            *sum = sum.map(|sum| sum + amount_e4);
            total.amount_e4 += amount_e4;
            if !counted.contains(&fee.hospital.as_str()) {
                counted.push(&fee.hospital);
            }
        }
        let stays = self.cells.iter().filter(|cell| {
            cell.code.as_deref() == Some(code) && counted.contains(&cell.hospital.as_str())
        });
        total.stays = stays.map(|cell| cell.stays).sum();
        let sums = classes.into_iter().map(|(class, sum)| (class.to_owned(), sum)).collect();
        (sums, total.mean())
    }
}
