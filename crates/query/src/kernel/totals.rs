//! What each person contributes to a sum, for the rule of dominance.

use datafusion::common::HashMap;
use privacy::dominance::Shares;

/// Absolute amounts by group and person. Grows with the persons of the relation.
#[derive(Debug, Default)]
pub(super) struct Totals(HashMap<(u32, u32), u128>);

impl Totals {
    /// Adds one row's amount.
    pub(super) fn add(&mut self, group: u32, person: u32, amount: i128) {
        if amount != 0 {
            *self.0.entry((group, person)).or_default() += amount.unsigned_abs();
        }
    }

    /// Takes in what another partition has seen, whose groups stand at these `places` here.
    pub(super) fn merge(&mut self, other: &Self, places: &[u32]) {
        for ((group, person), amount) in &other.0 {
            *self.0.entry((places[*group as usize], *person)).or_default() += amount;
        }
    }

    /// Who contributes how much to each of so many groups.
    pub(super) fn shares(&self, groups: usize) -> Vec<Shares> {
        let mut shares = vec![Shares::default(); groups];
        for ((group, person), amount) in &self.0 {
            shares[*group as usize].add(*person, *amount);
        }
        shares
    }
}
