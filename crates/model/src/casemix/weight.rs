//! Relative weights (F1): what a group costs against the region's mean \[V*\].
//!
//! `RW_g = mean_g / mean_R`, then rescaled so that the mean weight of the stays is 1. The two
//! steps cancel to `RW_g = m_g / (Σ n m / Σ n)` over groups with a weight, with `m_g` the group's
//! own or borrowed mean and `n` all its stays, and that is what is computed: the region's mean
//! itself drops out. Where every group has its own mean and no stay was trimmed, the divisor is
//! the region's mean and the rescaling changes nothing.

use std::collections::BTreeMap;

use num_bigint::BigInt;
use num_traits::Signed;

pub use super::parameters::WeightRules;
use super::{benchmark::Basis, money::E4};
use crate::moments;

/// What a region knows of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupCost {
    /// Code in the grouper scheme.
    pub code: String,
    /// All its stays: what the rescaling weighs it by.
    pub stays: u64,
    /// Stays behind the sum, after trimming.
    pub costed: u64,
    /// Their cost or charge; `None` when it is withheld.
    pub sum_e4: Option<E4>,
}

/// The weight of a group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weight {
    /// Relative weight, 1 for the mean of the region; `None` when there is none.
    pub value: Option<f64>,
    /// Whose mean it is of.
    pub basis: Basis,
}

/// Bits behind the point of a mean: far beyond a double, so that one rounding is left.
const GUARD: u32 = 128;

/// Stays and sum of an adjacent group, over its groups whose sum is known.
#[derive(Debug, Default, Clone, Copy)]
struct Total {
    stays: u64,
    sum_e4: E4,
}

/// The weights of all groups of a region, in the order of `groups`.
///
/// A group with fewer costed stays than [`WeightRules::minimum_stays`], or whose sum is withheld,
/// has the mean of its adjacent group: all groups with its first [`WeightRules::adrg_prefix`]
/// characters whose sums are known, if they have stays enough \[M\]. A group without either has no
/// weight and takes no part in the rescaling; nor does a code in [`WeightRules::ungrouped`]. There
/// are no weights at all when costs do not add up to more than zero.
///
/// Within a rounding of doubles, `Σ n RW / Σ n` is 1 over groups with a weight.
#[must_use]
pub fn relative_weights(groups: &[GroupCost], rules: &WeightRules) -> Vec<Weight> {
    let adjacent = adjacent(groups, rules);
    let means: Vec<_> = groups.iter().map(|group| mean(group, &adjacent, rules)).collect();
    let mut stays = BigInt::ZERO;
    let mut expected = BigInt::ZERO;
    for (group, (mean, _)) in groups.iter().zip(&means) {
        if let Some(mean) = mean {
            stays += group.stays;
            expected += mean * group.stays;
        }
    }
    let weight = |(mean, basis): (Option<BigInt>, Basis)| {
        let mean = mean.filter(|_| expected.is_positive());
        let value = mean.and_then(|mean| moments::quotient(&(mean * &stays), &expected));
        Weight { value, basis: if value.is_some() { basis } else { Basis::None } }
    };
    means.into_iter().map(weight).collect()
}

/// The adjacent group of a code; `None` when the scheme has none or the code is no group.
fn adrg<'a>(code: &'a str, rules: &WeightRules) -> Option<&'a str> {
    if rules.adrg_prefix == 0 || rules.ungrouped.iter().any(|other| other == code) {
        return None;
    }
    prefix(code, rules.adrg_prefix)
}

/// The first characters of a code; `None` when it has fewer.
pub(super) fn prefix(code: &str, characters: usize) -> Option<&str> {
    let ends = code.char_indices().map(|(at, _)| at).chain([code.len()]);
    ends.skip(characters).find_map(|end| code.get(..end))
}

fn adjacent<'a>(groups: &'a [GroupCost], rules: &WeightRules) -> BTreeMap<&'a str, Total> {
    let mut totals: BTreeMap<&str, Total> = BTreeMap::new();
    for group in groups {
        if let (Some(adrg), Some(sum_e4)) = (adrg(&group.code, rules), group.sum_e4) {
            let total = totals.entry(adrg).or_default();
            total.stays += group.costed;
            total.sum_e4 += sum_e4;
        }
    }
    totals
}

/// The mean that stands for a group, in units of 2⁻¹²⁸ ten-thousandths.
fn mean(
    group: &GroupCost,
    adjacent: &BTreeMap<&str, Total>,
    rules: &WeightRules,
) -> (Option<BigInt>, Basis) {
    if rules.ungrouped.contains(&group.code) {
        return (None, Basis::None);
    }
    let enough = |stays: u64| stays > 0 && stays >= rules.minimum_stays;
    let exact = |sum_e4: E4, stays: u64| (BigInt::from(sum_e4) << GUARD) / stays;
    if let Some(sum_e4) = group.sum_e4.filter(|_| enough(group.costed)) {
        return (Some(exact(sum_e4, group.costed)), Basis::Own);
    }
    let total = adrg(&group.code, rules).and_then(|adrg| adjacent.get(adrg));
    match total.filter(|total| enough(total.stays)) {
        Some(total) => (Some(exact(total.sum_e4, total.stays)), Basis::Adjacent),
        None => (None, Basis::None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn group(code: &str, stays: u64, costed: u64, sum: Option<i128>) -> GroupCost {
        let sum_e4 = sum.map(|sum| sum * 10_000);
        GroupCost { code: code.to_owned(), stays, costed, sum_e4 }
    }

    fn weights(groups: &[GroupCost]) -> Vec<Weight> {
        relative_weights(groups, &WeightRules::default())
    }

    #[test]
    fn own_means_against_the_mean_of_the_region() {
        // 10 at 5,000 and 30 at 15,000: the mean is 12,500.
        let groups = [group("BR21", 10, 10, Some(50_000)), group("ES13", 30, 30, Some(450_000))];
        let weights = weights(&groups);
        assert_eq!(weights[0], Weight { value: Some(0.4), basis: Basis::Own });
        assert_eq!(weights[1], Weight { value: Some(1.2), basis: Basis::Own });
    }

    #[test]
    fn small_and_withheld_groups_borrow_from_their_adrg() {
        let groups = [
            group("BR21", 4, 4, Some(100_000)), // too few: (100,000 + 60,000) / 10
            group("BR23", 6, 6, Some(60_000)),  // own: 10,000
            group("BR25", 2, 2, None),          // withheld: 16,000
            group("ES13", 8, 8, Some(80_000)),  // own: 10,000
            group("FM11", 3, 3, Some(9_000)),   // too few, and nobody to borrow from
            group("0000", 50, 50, Some(999_000)), // no group
            group("GK", 9, 0, None),            // too short for an ADRG
        ];
        let found = weights(&groups);
        // Σ n m / Σ n = (4·16,000 + 6·10,000 + 2·16,000 + 8·10,000) / 20 = 11,800.
        let expected = [Some(16.0 / 11.8), Some(10.0 / 11.8), Some(16.0 / 11.8), Some(10.0 / 11.8)];
        for (weight, expected) in found.iter().zip(expected) {
            assert!((weight.value.unwrap() - expected.unwrap()).abs() < 1e-15, "{weight:?}");
        }
        let basis: Vec<_> = found.iter().map(|weight| weight.basis).collect();
        let borrowed = [Basis::Adjacent, Basis::Own, Basis::Adjacent, Basis::Own];
        assert_eq!(basis[..4], borrowed);
        let none = Weight { value: None, basis: Basis::None };
        assert_eq!(found[4..], [none; 3]);
    }

    #[test]
    fn a_scheme_without_adrgs_borrows_nothing() {
        let rules = WeightRules { adrg_prefix: 0, ..WeightRules::default() };
        let groups = [group("301", 4, 4, Some(9)), group("302", 5, 5, Some(9))];
        let found = relative_weights(&groups, &rules);
        assert_eq!(found[0].value, None);
        assert_eq!(found[1], Weight { value: Some(1.0), basis: Basis::Own });
    }

    #[test]
    fn trimmed_stays_count_in_the_rescaling() {
        // Means 10 and 40; all stays 10 and 20: (10·10 + 20·40) / 30 = 30.
        let groups = [group("AA11", 10, 9, Some(90)), group("BB11", 20, 10, Some(400))];
        let found = weights(&groups);
        assert_eq!(found[0].value, Some(1.0 / 3.0));
        assert_eq!(found[1].value, Some(4.0 / 3.0));
    }

    #[test]
    fn nothing_and_no_cost_have_no_weight() {
        assert!(weights(&[]).is_empty());
        let none = Weight { value: None, basis: Basis::None };
        for sum in [Some(0), Some(-70), None] {
            assert_eq!(weights(&[group("AA11", 9, 9, sum)]), [none]);
        }
        assert_eq!(weights(&[group("AA11", 0, 0, Some(0))]), [none]);
        let rules = WeightRules { minimum_stays: 0, ..WeightRules::default() };
        assert_eq!(relative_weights(&[group("AA11", 0, 0, Some(0))], &rules), [none]);
    }

    prop_compose! {
        fn any_group()(
            code in "[A-C][A-Z]1[135]",
            stays in 1_u64..3_000,
            left_out in 0_u64..9,
            mean_e4 in 1_i128..10_i128.pow(10),
            known in prop::bool::weighted(0.9),
        ) -> GroupCost {
            let costed = stays.saturating_sub(left_out);
            let sum_e4 = known.then_some(mean_e4 * i128::from(costed));
            GroupCost { code, stays, costed, sum_e4 }
        }
    }

    proptest! {
        #[test]
        fn the_mean_weight_of_a_stay_is_one(groups in prop::collection::vec(any_group(), 1..80)) {
            let (mut stays, mut total) = (0.0, 0.0);
            for (group, weight) in groups.iter().zip(weights(&groups)) {
                if let Some(weight) = weight.value {
                    stays += group.stays as f64;
                    total += group.stays as f64 * weight;
                }
            }
            prop_assert!((total - stays).abs() <= 1e-12 * stays, "{total} of {stays}");
        }

        /// Without trimming and borrowing the rescaling is by 1: the plain ratio, to the bit.
        #[test]
        fn weights_of_own_means_are_the_plain_ratio(
            cells in prop::collection::vec((5_u64..3_000, 1_i128..10_i128.pow(13)), 1..60),
        ) {
            let groups: Vec<_> = cells.iter().map(|(n, sum)| GroupCost {
                code: "AA11".to_owned(), stays: *n, costed: *n, sum_e4: Some(*sum),
            }).collect();
            let n: BigInt = cells.iter().map(|cell| BigInt::from(cell.0)).sum();
            let all: BigInt = cells.iter().map(|cell| BigInt::from(cell.1)).sum();
            for (cell, weight) in cells.iter().zip(weights(&groups)) {
                let plain = moments::quotient(&(&n * cell.1), &(&all * cell.0)).unwrap();
                let found = weight.value.unwrap();
                prop_assert!((found - plain).abs() <= f64::EPSILON * plain, "{found} {plain}");
            }
        }
    }
}
