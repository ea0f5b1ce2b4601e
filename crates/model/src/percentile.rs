//! Percentiles from counts in bins, with the bounds between which the true ones lie.
//!
//! The percentile is SQL's `PERCENTILE_CONT` (SQL:2016 §10.9; Hyndman and Fan's type 7): of `n`
//! ordered values it lies at rank `(n - 1) · q`, linear between neighbours. Of a value only its run
//! of bins is known. It is taken to lie where it would if the run's values were spread evenly, and
//! it certainly lies between the run's ends; a run of one possible value is exact.

use num_traits::ToPrimitive;

use crate::moments::{Scale, to_double};

/// A fraction `q` between 0 and 1, in billionths, so that ranks are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fraction(u32);

const ONE: u32 = 1_000_000_000;

/// Adjacent bins that are opened as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The smallest value that it can hold, in units of the scale; `None` when there is no limit.
    pub low: Option<i128>,
    /// The largest one.
    pub high: Option<i128>,
    /// How many values it holds.
    pub count: u64,
}

/// A percentile and the bounds of the true one, in the column's own unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percentile {
    /// The estimate.
    pub value: f64,
    /// The true percentile is not smaller.
    pub low: f64,
    /// The true percentile is not larger.
    pub high: f64,
}

impl Fraction {
    /// The middle.
    pub const HALF: Self = Self(ONE / 2);

    /// The fraction nearest to `value`; `None` unless it lies between 0 and 1.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        let billionths = (value * f64::from(ONE)).round();
        billionths.to_u32().filter(|billionths| *billionths <= ONE).map(Self)
    }

    /// `1 - q`: the same percentile counted from the other end.
    #[must_use]
    pub const fn from_above(self) -> Self {
        Self(ONE - self.0)
    }
}

impl Percentile {
    /// How far the true percentile can lie from the estimate.
    #[must_use]
    pub fn error(&self) -> f64 {
        (self.value - self.low).max(self.high - self.value)
    }
}

/// The `fraction`-percentile of the values in `runs`, which ascend. `None` when there are no
/// values, or when the percentile lies in a run that is open at an end.
#[must_use]
pub fn percentile(runs: &[Run], fraction: Fraction, scale: Scale) -> Option<Percentile> {
    let n: u64 = runs.iter().map(|run| run.count).sum();
    let rank = u128::from(n.checked_sub(1)?) * u128::from(fraction.0);
    let lower = u64::try_from(rank / u128::from(ONE)).ok()?;
    let rest = u32::try_from(rank % u128::from(ONE)).ok()?;
    let first = at(runs, lower, scale)?;
    if rest == 0 {
        return Some(first);
    }
    let second = at(runs, lower + 1, scale)?;
    let between = |a: f64, b: f64| a + (b - a) * (f64::from(rest) / f64::from(ONE));
    Some(Percentile {
        value: between(first.value, second.value),
        low: between(first.low, second.low),
        high: between(first.high, second.high),
    })
}

/// What is known of the value with `rank` smaller ones before it.
fn at(runs: &[Run], rank: u64, scale: Scale) -> Option<Percentile> {
    let mut before = 0;
    for run in runs {
        if rank < before + run.count {
            let (low, high) = (to_double(run.low?, scale)?, to_double(run.high?, scale)?);
            let share = ((rank - before).to_f64()? + 0.5) / run.count.to_f64()?;
            return Some(Percentile { value: low + (high - low) * share, low, high });
        }
        before += run.count;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i128, count: u64) -> Run {
        Run { low: Some(day), high: Some(day), count }
    }

    fn whole(runs: &[Run], q: f64) -> Option<Percentile> {
        percentile(runs, Fraction::new(q)?, Scale::Decimal(0))
    }

    /// `numpy.percentile([1]*12 + [2]*30 + [4]*11 + [9]*12, [0, 10, 25, 50, 65.5, 75, 90, 100])`.
    #[test]
    fn runs_of_one_value_give_the_percentiles_of_a_statistics_package() {
        let runs = [day(1, 12), day(2, 30), day(3, 0), day(4, 11), day(9, 12)];
        let expected = [
            (0.0, 1.0),
            (0.1, 1.0),
            (0.25, 2.0),
            (0.5, 2.0),
            (0.655, 3.84),
            (0.75, 4.0),
            (0.9, 9.0),
            (1.0, 9.0),
        ];
        for (q, value) in expected {
            let found = whole(&runs, q).unwrap();
            assert!((found.value - value).abs() < 1e-9, "{q}: {found:?}");
            assert!(found.error() < 1e-9, "{q}: exact");
        }
    }

    #[test]
    fn the_true_percentile_lies_within_the_bounds() {
        // 0 to 99, each once, known in runs of unequal width.
        let run = |low, high| {
            let count = u64::try_from(high - low + 1).unwrap();
            Run { low: Some(low), high: Some(high), count }
        };
        let runs = [run(0, 9), run(10, 49), run(50, 52), run(53, 99)];
        for percent in 0..=100 {
            let q = f64::from(percent) / 100.0;
            let (found, truth) = (whole(&runs, q).unwrap(), 99.0 * q);
            assert!(found.low <= truth + 1e-9 && truth <= found.high + 1e-9, "{q}: {found:?}");
            assert!((found.value - truth).abs() <= found.error() + 1e-9);
            assert!((found.value - truth).abs() < 1.0, "evenly spread values are hit: {found:?}");
        }
    }

    #[test]
    fn open_ends_and_nothing_have_no_percentile() {
        let runs = [
            Run { low: None, high: Some(9), count: 11 },
            day(10, 20),
            Run { high: None, ..day(11, 11) },
        ];
        assert_eq!(whole(&runs, 0.1), None);
        assert_eq!(whole(&runs, 0.9), None);
        assert!((whole(&runs, 0.5).unwrap().value - 10.0).abs() < 1e-9);
        assert_eq!(whole(&[], 0.5), None);
        assert_eq!(whole(&[day(3, 0)], 0.5), None);
    }

    #[test]
    fn fractions_lie_between_nothing_and_everything() {
        for bad in [-0.1, 1.000_001, f64::NAN, f64::INFINITY] {
            assert_eq!(Fraction::new(bad), None, "{bad}");
        }
        assert_eq!(Fraction::new(0.5), Some(Fraction::HALF));
        assert_eq!(Fraction::new(0.9).unwrap().from_above(), Fraction::new(0.1).unwrap());
    }
}
