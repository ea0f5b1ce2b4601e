//! What each person contributes to a sum, for the rule of dominance.

use datafusion::common::HashMap;
use privacy::Dominance;
use privacy::dominance::Shares;

/// By what sums of money are judged.
#[derive(Debug, Clone)]
pub(crate) struct Totalled {
    pub rule: Dominance,
    /// For each input, the most that one person can contribute to any sum of it, where that is known.
    pub most: Vec<Option<u128>>,
}

/// Absolute amounts by group, and by person as long as these can matter: a group whose total would pass
/// though two persons had the most that anybody has passes whoever is in it.
#[derive(Debug)]
pub(super) struct Totals {
    most: u128,
    /// The total from which a group passes anyhow.
    enough: u128,
    sums: Vec<u128>,
    persons: HashMap<(u32, u32), u128>,
}

impl Totals {
    /// Of the input `index`.
    pub(super) fn new(Totalled { rule, most }: &Totalled, index: usize) -> Self {
        let most = most.get(index).copied().flatten();
        let enough = most.and_then(|most| rule.enough(most)).unwrap_or(u128::MAX);
        Self { most: most.unwrap_or(0), enough, sums: Vec::new(), persons: HashMap::new() }
    }

    pub(super) fn grow(&mut self, groups: usize) {
        self.sums.resize(groups, 0);
    }

    /// Adds one row's amount.
    pub(super) fn add(&mut self, group: u32, person: u32, amount: i128) {
        let amount = amount.unsigned_abs();
        let sum = &mut self.sums[group as usize];
        *sum += amount;
        if *sum < self.enough && amount != 0 {
            *self.persons.entry((group, person)).or_default() += amount;
        }
    }

    /// Takes in what another partition has seen, whose groups stand at these `places` here.
    pub(super) fn merge(&mut self, other: &Self, places: &[u32]) {
        for (sum, place) in other.sums.iter().zip(places) {
            self.sums[*place as usize] += sum;
        }
        for ((group, person), amount) in &other.persons {
            *self.persons.entry((places[*group as usize], *person)).or_default() += amount;
        }
    }

    /// Who contributes how much to each group.
    pub(super) fn shares(&self) -> Vec<Shares> {
        let anybody = [Some((u32::MAX - 1, self.most)), Some((u32::MAX, self.most))];
        let empty = |sum: &u128| match *sum >= self.enough {
            true => Shares { total: *sum, largest: anybody },
            false => Shares::default(),
        };
        let mut shares: Vec<Shares> = self.sums.iter().map(empty).collect();
        for ((group, person), amount) in &self.persons {
            if self.sums[*group as usize] < self.enough {
                shares[*group as usize].add(*person, *amount);
            }
        }
        shares
    }
}
