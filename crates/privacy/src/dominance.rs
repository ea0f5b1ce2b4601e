//! Dominance: a sum of money that comes from one or two persons tells what these cost.
//!
//! Two rules of official statistics (Hundepool et al., *Statistical Disclosure Control*, Wiley 2012,
//! section 4.2.2; Cox, *JASA* 75 (1980) 377), for a total `T` whose largest contributions are `x1 ≥ x2`:
//! * *(n, k) with n = 2*: `x1 + x2 ≤ k · T`.
//! * *p %*: `T − x1 − x2 ≥ p · x1`. Whoever contributes `x2` and subtracts it from the total estimates
//!   `x1` by no less than p % off.
//!
//! A person's contribution is the sum of the absolute amounts of all rows in the cell; for a total of
//! amounts of both signs this is the stricter reading. Applied to a hospital's own cells. In a regional
//! sum a patient's share is at most that of the hospital, which the witness bounds.

use serde::{Deserialize, Serialize};

/// `top_two_e4` that every total passes.
const ALL_E4: u32 = 10_000;

/// What a hospital demands of its own sums of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dominance {
    /// Most that two persons may have of a sum, in 1/10,000; 10,000 switches this off.
    pub top_two_e4: u32,
    /// The p of the p % rule; 0 switches it off.
    pub percent: u32,
}

/// Who contributes how much to a sum, in the units of its scale.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shares {
    /// What all persons contribute.
    pub total: u128,
    /// The two largest contributions, largest first, and whose they are.
    pub largest: [Option<(u32, u128)>; 2],
}

impl Default for Dominance {
    fn default() -> Self {
        Self { top_two_e4: 8_500, percent: 10 }
    }
}

impl Dominance {
    /// No rule at all.
    pub const OFF: Self = Self { top_two_e4: ALL_E4, percent: 0 };

    /// Whether every sum passes.
    #[must_use]
    pub const fn is_off(self) -> bool {
        self.top_two_e4 >= ALL_E4 && self.percent == 0
    }

    /// What is wrong with these numbers, for people.
    pub(crate) fn problems(self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(1..=ALL_E4).contains(&self.top_two_e4) {
            problems.push(format!("dominance.top_two_e4 is outside 1..={ALL_E4}"));
        }
        if self.percent > 100 {
            problems.push("dominance.percent is outside 0..=100".to_owned());
        }
        problems
    }

    /// A total that passes both rules though two persons contribute `most` each, and so whoever does when
    /// nobody contributes more; `None` when it is too large to be told.
    #[must_use]
    pub fn enough(self, most: u128) -> Option<u128> {
        let two = most.checked_mul(2)?;
        let by_two = two.checked_mul(ALL_E4.into())?.div_ceil(self.top_two_e4.max(1).into());
        let by_rest = two.checked_add(most.checked_mul(self.percent.into())?.div_ceil(100))?;
        Some(by_two.max(by_rest).max(1))
    }

    /// Whether a sum may be told. One that is too large to be judged may not.
    #[must_use]
    pub fn allows(self, shares: &Shares) -> bool {
        self.judge(shares).unwrap_or(false)
    }

    fn judge(self, shares: &Shares) -> Option<bool> {
        let [first, second] = shares.largest.map(|one| one.map_or(0, |(_, amount)| amount));
        let two = first.checked_add(second)?;
        let rest = shares.total.checked_sub(two)?;
        let within =
            two.checked_mul(ALL_E4.into())? <= shares.total.checked_mul(self.top_two_e4.into())?;
        let hidden = rest.checked_mul(100)? >= first.checked_mul(self.percent.into())?;
        Some(within && hidden)
    }
}

impl Shares {
    /// Of what each person contributes.
    pub fn of(contributions: impl IntoIterator<Item = (u32, u128)>) -> Self {
        let mut shares = Self::default();
        contributions.into_iter().for_each(|(person, amount)| shares.add(person, amount));
        shares
    }

    /// Adds all that one person contributes, once.
    pub fn add(&mut self, person: u32, amount: u128) {
        self.total = self.total.saturating_add(amount);
        self.rank(person, amount);
    }

    /// Takes in another sum. Who is among the largest of both is counted in both; what somebody contributes
    /// to a sum without being among its largest is not known here and left out.
    pub(crate) fn join(&mut self, other: &Self) {
        self.total = self.total.saturating_add(other.total);
        let mine = std::mem::take(&mut self.largest);
        let theirs = &other.largest;
        for (person, amount) in mine.iter().flatten() {
            let also = theirs.iter().flatten().find(|(one, _)| one == person);
            self.rank(*person, amount.saturating_add(also.map_or(0, |(_, more)| *more)));
        }
        for (person, amount) in theirs.iter().flatten() {
            if !mine.iter().flatten().any(|(one, _)| one == person) {
                self.rank(*person, *amount);
            }
        }
    }

    /// Puts a contribution in its place, if it is one of the largest. Among equal amounts the smaller
    /// number comes first, so that the order of rows decides nothing.
    fn rank(&mut self, person: u32, amount: u128) {
        let mut one = (person, amount);
        for place in &mut self.largest {
            match place {
                None => {
                    *place = Some(one);
                    return;
                }
                Some(known) if (one.1, known.0) > (known.1, one.0) => {
                    std::mem::swap(known, &mut one);
                }
                Some(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shares(amounts: &[u128]) -> Shares {
        Shares::of((0..).zip(amounts.iter().copied()))
    }

    #[test]
    fn both_rules_hold_up_to_their_boundary() {
        let k = Dominance { percent: 0, ..Dominance::default() };
        assert!(k.allows(&shares(&[50, 35, 10, 5])), "exactly 85 of 100");
        assert!(!k.allows(&shares(&[50, 36, 9, 5])));
        let p = Dominance { top_two_e4: 10_000, percent: 10 };
        assert!(p.allows(&shares(&[100, 90, 6, 4])), "the rest is a tenth of the largest");
        assert!(!p.allows(&shares(&[100, 90, 6, 3])));
        // Neither follows from the other.
        assert!(k.allows(&shares(&[80, 5, 5, 5, 5])) && p.allows(&shares(&[80, 5, 5, 5, 5])));
        assert!(!k.allows(&shares(&[50, 40, 10])) && p.allows(&shares(&[50, 40, 10])));
    }

    #[test]
    fn nothing_is_nobodys_and_one_person_is_everything() {
        assert!(Dominance::default().allows(&shares(&[])));
        assert!(Dominance::default().allows(&shares(&[0, 0, 0])));
        assert!(!Dominance::default().allows(&shares(&[7])));
        assert!(Dominance::OFF.allows(&shares(&[7])) && Dominance::OFF.is_off());
        assert!(!Dominance::default().is_off());
    }

    #[test]
    fn what_cannot_be_judged_does_not_pass() {
        assert!(!Dominance::default().allows(&shares(&[u128::MAX / 2; 2])));
        let impossible = Shares { total: 1, largest: [Some((0, 5)), None] };
        assert!(!Dominance::OFF.allows(&impossible));
    }

    #[test]
    fn a_person_of_two_sums_is_one_person() {
        let mut both = Shares::of([(1, 60), (2, 10), (3, 30)]);
        both.join(&Shares::of([(1, 50), (4, 5), (5, 20)]));
        assert_eq!(both, Shares { total: 175, largest: [Some((1, 110)), Some((3, 30))] });
    }

    proptest! {
        /// Against the rules as they are written, over all contributions.
        #[test]
        fn the_rules_are_those_of_the_literature(
            mut amounts in prop::collection::vec(0u64..1_000, 0..12),
            k in 1u32..=10_000,
            percent in 0u32..=100,
        ) {
            let of: Vec<u128> = amounts.iter().copied().map(u128::from).collect();
            let told = Dominance { top_two_e4: k, percent }.allows(&shares(&of));
            amounts.sort_unstable();
            let total: u64 = amounts.iter().sum();
            let mut from_the_largest = amounts.into_iter().rev();
            let (x1, x2) = (from_the_largest.next().unwrap_or(0), from_the_largest.next().unwrap_or(0));
            let rest: u64 = from_the_largest.sum();
            let expected = (x1 + x2) * 10_000 <= total * u64::from(k)
                && rest * 100 >= x1 * u64::from(percent);
            prop_assert_eq!(told, expected);
        }

        #[test]
        fn a_total_that_is_enough_passes_whoever_contributes(
            amounts in prop::collection::vec(0u128..=100, 1..60),
            k in 1u32..=10_000,
            percent in 0u32..=100,
        ) {
            let rule = Dominance { top_two_e4: k, percent };
            let most = amounts.iter().copied().max().unwrap_or(0);
            let enough = rule.enough(most).unwrap();
            let largest = [Some((0, most)), Some((1, most))];
            let exactly = Shares { total: enough, largest };
            prop_assert!(rule.allows(&exactly));
            if amounts.iter().sum::<u128>() >= enough {
                prop_assert!(rule.allows(&shares(&amounts)));
            }
        }

        #[test]
        fn parts_join_to_the_whole_where_persons_are_apart(
            amounts in prop::collection::vec(0u128..100, 0..20),
            cut in 0usize..20,
        ) {
            let each: Vec<(u32, u128)> = (0..).zip(amounts).collect();
            let (one, other) = each.split_at(cut.min(each.len()));
            let mut joined = Shares::of(one.iter().copied());
            joined.join(&Shares::of(other.iter().copied()));
            prop_assert_eq!(joined, Shares::of(each));
        }
    }
}
