//! F13: what a hospital has observed against what a model of the region expects of its stays.
//!
//! Indirect standardisation: `O/E`, and `O/E` times the region's rate. Limits of counts are exact
//! (Garwood, *Biometrika* 28 (1936) 437), those of other outcomes normal with the model's variance.
//! Funnel limits around 1: Spiegelhalter, *Statistics in Medicine* 24 (2005) 1185.

/// `Φ⁻¹(0.975)`.
const NORMAL_975: f64 = 1.959_963_984_540_054;
/// `Φ⁻¹(0.999)`.
const NORMAL_999: f64 = 3.090_232_306_167_813;
/// Bisections of a limit: each halves it.
const BISECTIONS: u32 = 200;

/// Sums of one hospital under a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sums {
    /// `O = Σ y`.
    pub observed: f64,
    /// `E = Σ f(x)`.
    pub expected: f64,
    /// `φ Σ V(f(x))`: variance of `O` under the model.
    pub variance: f64,
}

/// A standardised ratio.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// `O/E`.
    pub ratio: f64,
    /// 95 % confidence limits.
    pub lower: f64,
    /// 95 % confidence limits.
    pub upper: f64,
    /// `(O − E) / sd`.
    pub z: f64,
}

/// Where a ratio lies in the funnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Band {
    /// Within the 95 % limits.
    Within,
    /// Above the 95 % limit.
    High,
    /// Above the 99.8 % limit.
    VeryHigh,
    /// Below the 95 % limit.
    Low,
    /// Below the 99.8 % limit.
    VeryLow,
}

impl Ratio {
    /// The ratio of a hospital; `counts` says that the outcome is a number of events. `None` when
    /// nothing is expected.
    #[must_use]
    pub fn of(sums: &Sums, counts: bool) -> Option<Self> {
        let Sums { observed, expected, variance } = *sums;
        let usable = |value: f64| value.is_finite() && value > 0.0;
        if !usable(expected) || !usable(variance) || !observed.is_finite() {
            return None;
        }
        let deviation = variance.sqrt();
        let (low, high) = if counts && observed >= 0.0 {
            poisson_limits(observed)
        } else {
            (observed - NORMAL_975 * deviation, observed + NORMAL_975 * deviation)
        };
        Some(Self {
            ratio: observed / expected,
            lower: low / expected,
            upper: high / expected,
            z: (observed - expected) / deviation,
        })
    }

    /// Where it lies in the funnel.
    #[must_use]
    pub fn band(&self) -> Band {
        match self.z {
            z if z > NORMAL_999 => Band::VeryHigh,
            z if z > NORMAL_975 => Band::High,
            z if z < -NORMAL_999 => Band::VeryLow,
            z if z < -NORMAL_975 => Band::Low,
            _ => Band::Within,
        }
    }
}

/// Half the width of the funnel at `expected`: 95 % and 99.8 %. `share` is variance over
/// expectation, over the region.
#[must_use]
pub fn funnel(expected: f64, share: f64) -> (f64, f64) {
    let deviation = (share / expected).sqrt();
    (NORMAL_975 * deviation, NORMAL_999 * deviation)
}

/// Exact 95 % limits of a Poisson mean of which `events` were observed.
#[must_use]
pub fn poisson_limits(events: f64) -> (f64, f64) {
    const TAIL: f64 = 0.025;
    let events = events.round();
    // P(X >= events) grows with the mean, P(X <= events) falls.
    let reaches = |mean: f64| 1.0 - at_most(events - 1.0, mean);
    let lower = if events <= 0.0 { 0.0 } else { solve(events, |mean| reaches(mean) - TAIL) };
    let upper = solve(2.0 * events + 20.0, |mean| TAIL - at_most(events, mean));
    (lower, upper)
}

/// `P(X <= events)` for a Poisson variable.
fn at_most(events: f64, mean: f64) -> f64 {
    if events < 0.0 {
        return 0.0;
    }
    let log_term = |k: f64| k * libm::log(mean) - mean - libm::lgamma(k + 1.0);
    // Terms fall from the mean on both sides; far ones add nothing.
    let reach = 12.0 * mean.sqrt() + 40.0;
    let mut k = (mean - reach).max(0.0).floor();
    let mut sum = 0.0;
    while k <= events && k <= mean + reach {
        sum += libm::exp(log_term(k));
        k += 1.0;
    }
    sum.min(1.0)
}

/// The root of a growing function between 0 and `high`.
fn solve(high: f64, f: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, high);
    for _ in 0..BISECTIONS {
        let middle = f64::midpoint(low, high);
        if f(middle) > 0.0 { high = middle } else { low = middle }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_limits_are_those_of_the_table() {
        // scipy 1.17: gamma.ppf(0.025, x), gamma.ppf(0.975, x + 1).
        for (events, low, high) in [
            (0.0, 0.0, 3.688_879_454_113_936),
            (1.0, 0.025_317_807_984_289_9, 5.571_643_390_938_898),
            (10.0, 4.795_388_696_132_433, 18.390_356_042_017_78),
            (100.0, 81.363_991_250_923_14, 121.626_793_792_426_4),
        ] {
            let found = poisson_limits(events);
            assert!((found.0 - low).abs() < 1e-10 * (1.0 + low), "{events}: {found:?}");
            assert!((found.1 - high).abs() < 1e-10 * high, "{events}: {found:?}");
        }
    }

    #[test]
    fn ratios_and_their_place_in_the_funnel() {
        let sums = Sums { observed: 30.0, expected: 20.0, variance: 19.0 };
        let found = Ratio::of(&sums, true).unwrap();
        assert!((found.ratio - 1.5).abs() < 1e-12 && found.band() == Band::High);
        assert!(found.lower > 1.0 && found.upper > 2.0, "{found:?}");
        let normal = Ratio::of(&sums, false).unwrap();
        assert!((normal.upper - normal.ratio - (normal.ratio - normal.lower)).abs() < 1e-12);
        let low = Ratio::of(&Sums { observed: 0.0, ..sums }, true).unwrap();
        assert_eq!((low.lower.to_bits(), low.band()), (0, Band::VeryLow));
        assert_eq!(Ratio::of(&Sums { expected: 0.0, ..sums }, true), None);
        let (inner, outer) = funnel(25.0, 1.0);
        assert!((inner - 0.391_992_796).abs() < 1e-8 && outer > inner);
    }
}
