//! Length of stay (F12): means and medians of whole days.

use num_traits::ToPrimitive;

pub use super::parameters::LosRules;

/// Geometric mean from the mean of natural logarithms of days, `exp(mean ln d)` \[V\].
#[must_use]
pub fn geometric_mean(mean_log: f64) -> Option<f64> {
    Some(mean_log.exp()).filter(|mean| mean.is_finite())
}

/// Geometric mean of stays counted by day: `counts[d]` of `d` days. `None` when there are none, or
/// one of 0 days: a stay within a day is one day long.
#[must_use]
pub fn geometric_mean_of_days(counts: &[u64]) -> Option<f64> {
    if counts.first().is_some_and(|none| *none > 0) {
        return None;
    }
    let (mut n, mut logs) = (0.0, 0.0);
    for (days, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let count = count.to_f64()?;
        n += count;
        logs += count * days.to_f64()?.ln();
    }
    if n > 0.0 { geometric_mean(logs / n) } else { None }
}

/// The exact median of stays counted by day: `counts[d]` of `d` days. The mean of the middle two
/// when their number is even; `None` when there are none.
#[must_use]
pub fn median(counts: &[u64]) -> Option<f64> {
    let n: u128 = counts.iter().map(|count| u128::from(*count)).sum();
    let lower = day_at(counts, n.checked_sub(1)? / 2)?;
    let upper = day_at(counts, n / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// The days of the stay with `rank` stays before it.
fn day_at(counts: &[u64], rank: u128) -> Option<f64> {
    let mut before = 0;
    for (days, count) in counts.iter().enumerate() {
        before += u128::from(*count);
        if rank < before {
            return days.to_f64();
        }
    }
    None
}

/// Whether a stay counts: one that is longer than [`LosRules::longest_days`] does not (F5) \[V*\].
#[must_use]
pub fn counts(days: u32, rules: &LosRules) -> bool {
    rules.longest_days.is_none_or(|longest| days <= longest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counted(days: &[usize]) -> Vec<u64> {
        let mut counts = vec![0; days.iter().max().map_or(0, |max| max + 1)];
        for day in days {
            counts[*day] += 1;
        }
        counts
    }

    #[test]
    fn nothing_has_no_middle() {
        for nothing in [&[][..], &[0, 0, 0]] {
            assert_eq!(median(nothing), None);
            assert_eq!(geometric_mean_of_days(nothing), None);
        }
        assert_eq!(median(&counted(&[3])), Some(3.0));
        assert_eq!(median(&counted(&[2, 5])), Some(3.5));
        assert_eq!(median(&[0, u64::MAX, u64::MAX, u64::MAX]), Some(2.0));
    }

    #[test]
    fn geometric_means() {
        assert!((geometric_mean_of_days(&counted(&[1, 2, 4])).unwrap() - 2.0).abs() < 1e-15);
        assert_eq!(geometric_mean_of_days(&counted(&[7; 9])).map(f64::round), Some(7.0));
        assert_eq!(geometric_mean_of_days(&counted(&[0, 2])), None, "no logarithm of 0 days");
        assert_eq!(geometric_mean(0.0), Some(1.0));
        assert_eq!(geometric_mean(f64::NAN), None);
    }

    #[test]
    fn long_stays_are_left_out() {
        let rules = LosRules { longest_days: Some(60) };
        assert!(counts(60, &rules) && !counts(61, &rules));
        assert!(counts(9_999, &LosRules { longest_days: None }));
    }

    proptest! {
        #[test]
        fn the_median_is_the_middle_of_the_sorted(mut days in prop::collection::vec(0_usize..400, 1..300)) {
            let found = median(&counted(&days)).unwrap();
            days.sort_unstable();
            let middle = (days[(days.len() - 1) / 2] + days[days.len() / 2]) as f64 / 2.0;
            prop_assert!((found - middle).abs() < 1e-12);
        }
    }
}
