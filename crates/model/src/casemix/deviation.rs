//! Cases that cost far less or more than the mean under DIP (F10) \[V*, two sources\].
//!
//! With `r` the cost of a case over last year's mean of the same group and tier: `r < low` counts
//! `r` times the score, `low ≤ r ≤ high` once, `r > high` counts `r - high + 1` times, and
//! `r > review` is reviewed by experts too. Inequalities are strict as written: continuous at
//! `high`, with a jump at `low`.

use num_bigint::BigInt;
use num_traits::{FromPrimitive, ToPrimitive};

pub use super::parameters::DeviationRules;
use super::{money, money::E4, payment::MICRO};

/// Where the cost of a case lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Below the low multiple.
    Low,
    /// Between.
    Normal,
    /// Above the high multiple.
    High,
}

/// What a case counts as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Times its score.
    pub score_multiple: f64,
    /// Whether experts look at it.
    pub review: bool,
    /// Where its cost lies.
    pub kind: Kind,
}

/// Stays of a group in a hospital, and which of them deviate from the same reference mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeviationCells {
    /// All stays.
    pub stays: u64,
    /// Stays below the low multiple.
    pub low_stays: u64,
    /// Their cost.
    pub low_sum_e4: E4,
    /// Stays above the high multiple, those for review included.
    pub high_stays: u64,
    /// Their cost.
    pub high_sum_e4: E4,
    /// Stays above the multiple of review. They count as high until experts decide.
    pub review_stays: u64,
}

/// What a case of `ratio` times the reference mean counts as. A ratio that is no number counts
/// once and is reviewed; with the rule switched off every case counts once.
#[must_use]
pub fn equivalent(ratio: f64, rules: &DeviationRules) -> Case {
    let (score_multiple, kind) = if !rules.enabled || !ratio.is_finite() {
        (1.0, Kind::Normal)
    } else if ratio < rules.low {
        (ratio, Kind::Low)
    } else if ratio > rules.high {
        (ratio - rules.high + 1.0, Kind::High)
    } else {
        (1.0, Kind::Normal)
    };
    let review = rules.enabled && (ratio > rules.review || !ratio.is_finite());
    Case { score_multiple, review, kind }
}

/// What a group's cases count as together, in millionths of a case, as a volume has it:
/// `normal + Σ low c / m + Σ high (c / m - high + 1)`, rounded once.
///
/// `None` when the reference mean (currency units) is not above 0, or when more stays deviate than
/// there are; with the rule switched off, all stays.
#[must_use]
pub fn equivalents(
    cells: &DeviationCells,
    reference_mean: f64,
    rules: &DeviationRules,
) -> Option<i128> {
    let whole = |stays: u64| i128::from(stays) * MICRO;
    if !rules.enabled {
        return Some(whole(cells.stays));
    }
    let deviating = cells.low_stays.checked_add(cells.high_stays)?;
    let normal = cells.stays.checked_sub(deviating)?;
    if reference_mean <= 0.0 || !reference_mean.is_finite() || cells.review_stays > cells.high_stays
    {
        return None;
    }
    let sum = money::mean_e4(cells.low_sum_e4.checked_add(cells.high_sum_e4)?, 1)?;
    let excess = cells.high_stays.to_f64()? * (rules.high - 1.0);
    let deviating = (sum / reference_mean - excess) * MICRO.to_f64()?;
    // Through whole numbers of any size, as no double is cast.
    let deviating = BigInt::from_f64(deviating.round())?.to_i128()?;
    whole(normal).checked_add(deviating)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules() -> DeviationRules {
        DeviationRules::default()
    }

    #[test]
    fn both_sides_of_every_boundary() {
        let below = |x: f64| x - x * f64::EPSILON;
        let above = |x: f64| x + x * f64::EPSILON;
        for (ratio, multiple, kind, review) in [
            (0.0, 0.0, Kind::Low, false),
            (0.49, 0.49, Kind::Low, false),
            (below(0.5), below(0.5), Kind::Low, false),
            (0.5, 1.0, Kind::Normal, false),
            (1.0, 1.0, Kind::Normal, false),
            (2.0, 1.0, Kind::Normal, false),
            (above(2.0), 1.0 + 2.0 * f64::EPSILON, Kind::High, false),
            (3.5, 2.5, Kind::High, false),
            (5.0, 4.0, Kind::High, false),
            (above(5.0), above(5.0) - 1.0, Kind::High, true),
            (8.0, 7.0, Kind::High, true),
            (f64::NAN, 1.0, Kind::Normal, true),
            (f64::INFINITY, 1.0, Kind::Normal, true),
        ] {
            let case = equivalent(ratio, &rules());
            assert!((case.score_multiple - multiple).abs() <= 4e-16, "{ratio}: {case:?}");
            assert_eq!((case.kind, case.review), (kind, review), "{ratio}");
        }
        let off = DeviationRules { enabled: false, ..rules() };
        let once = Case { score_multiple: 1.0, review: false, kind: Kind::Normal };
        assert_eq!(equivalent(9.0, &off), once);
    }

    /// Mean 10,000: 2,000 and 4,000 count 0.6 together; 25,000 and 60,000 count 1.5 + 5.
    #[test]
    fn cells_count_as_their_cases_do() {
        let cells = DeviationCells {
            stays: 14,
            low_stays: 2,
            low_sum_e4: 60_000_000,
            high_stays: 2,
            high_sum_e4: 850_000_000,
            review_stays: 1,
        };
        assert_eq!(equivalents(&cells, 10_000.0, &rules()), Some(17_100_000));
        let off = DeviationRules { enabled: false, ..rules() };
        assert_eq!(equivalents(&cells, 10_000.0, &off), Some(14_000_000));
        for mean in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(equivalents(&cells, mean, &rules()), None);
        }
        let few = DeviationCells { stays: 3, ..cells };
        assert_eq!(equivalents(&few, 10_000.0, &rules()), None);
        let odd = DeviationCells { review_stays: 3, ..cells };
        assert_eq!(equivalents(&odd, 10_000.0, &rules()), None);
        assert_eq!(equivalents(&DeviationCells::default(), 1.0, &rules()), Some(0));
    }

    proptest! {
        #[test]
        fn cells_agree_with_rows(
            costs in prop::collection::vec(1_i128..2_000_000_000, 0..80),
            mean_e4 in 1_000_000_i128..500_000_000,
        ) {
            let mean = money::mean_e4(mean_e4, 1).unwrap();
            let (mut cells, mut plain) = (DeviationCells::default(), 0.0);
            for cost in &costs {
                let ratio = money::mean_e4(*cost, 1).unwrap() / mean;
                let case = equivalent(ratio, &rules());
                plain += case.score_multiple;
                cells.stays += 1;
                cells.review_stays += u64::from(case.review);
                match case.kind {
                    Kind::Low => {
                        cells.low_stays += 1;
                        cells.low_sum_e4 += cost;
                    }
                    Kind::Normal => {}
                    Kind::High => {
                        cells.high_stays += 1;
                        cells.high_sum_e4 += cost;
                    }
                }
            }
            let found = equivalents(&cells, mean, &rules()).unwrap() as f64 / 1e6;
            prop_assert!((found - plain).abs() <= 1e-6 + 1e-12 * plain, "{} {}", found, plain);
        }
    }
}
