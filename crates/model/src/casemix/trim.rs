//! Trimming (F5): which costs of a group are left out of its mean, by a named method.
//!
//! Bounds come from a reference that was released before; conditions may only compare with coarse
//! steps, so they are moved outward and keep a little more. Values at a bound are kept. What the
//! bounds of a continuous quantile really leave out is known only when rows are at hand
//! ([`trim_rows`]), and so is whether it is more than the rules allow.

use std::str::FromStr;

use num_traits::ToPrimitive;

pub use super::parameters::TrimRules;

/// A method of trimming.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Method {
    /// Everything is kept.
    #[default]
    None,
    /// Between two multiples of the mean \[V*\].
    Multiple,
    /// Between two quantiles, in groups that are large enough \[V*\].
    Quantile,
    /// Within some standard deviations of the logarithm \[M\].
    LogSd,
    /// Within some interquartile ranges beyond the quartiles \[M\].
    Iqr,
}

/// A name that is no method of trimming.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no method of trimming: none, multiple, quantile, log-sd, iqr are")]
pub struct UnknownMethod(pub String);

/// What is known of a group before it is trimmed, in one unit; `None` is withheld or not asked.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reference {
    /// Mean.
    pub mean: Option<f64>,
    /// Mean of the natural logarithms.
    pub mean_log: Option<f64>,
    /// Their sample standard deviation.
    pub sd_log: Option<f64>,
    /// The low quantile, the first quartile, the third quartile, the high quantile.
    pub percentiles: (Option<f64>, Option<f64>, Option<f64>, Option<f64>),
    /// Stays.
    pub stays: u64,
}

impl Method {
    /// All methods.
    pub const ALL: [Self; 5] = [Self::None, Self::Multiple, Self::Quantile, Self::LogSd, Self::Iqr];

    /// Its name in questions, parameters and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Multiple => "multiple",
            Self::Quantile => "quantile",
            Self::LogSd => "log-sd",
            Self::Iqr => "iqr",
        }
    }
}

impl FromStr for Method {
    type Err = UnknownMethod;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|method| method.as_str() == text);
        named.ok_or_else(|| UnknownMethod(text.to_owned()))
    }
}

/// The interval that is kept, ends included. `None`: the group is not trimmed, because the method
/// is none, the group is too small for it, or what it needs is not known or not positive.
#[must_use]
pub fn bounds(method: Method, reference: &Reference, rules: &TrimRules) -> Option<(f64, f64)> {
    let (low_quantile, q25, q75, high_quantile) = reference.percentiles;
    let (low, high) = match method {
        Method::None => return None,
        Method::Multiple => {
            let mean = reference.mean.filter(|mean| *mean > 0.0)?;
            (mean * rules.multiple.low, mean * rules.multiple.high)
        }
        Method::Quantile if reference.stays < rules.quantile.minimum_stays => return None,
        Method::Quantile => (low_quantile?, high_quantile?),
        Method::LogSd => {
            let (mean, width) = (reference.mean_log?, rules.log_sd.sd * reference.sd_log?);
            ((mean - width).exp(), (mean + width).exp())
        }
        Method::Iqr => {
            let (q25, q75) = (q25?, q75?);
            let width = rules.iqr.fences * (q75 - q25);
            (q25 - width, q75 + width)
        }
    };
    (low.is_finite() && high.is_finite() && low <= high).then_some((low, high))
}

/// Above this a value is extremely high: [`super::parameters::MultipleRules::extreme`] times the
/// mean; `None` without a positive mean.
#[must_use]
pub fn extreme(reference: &Reference, rules: &TrimRules) -> Option<f64> {
    let mean = reference.mean.filter(|mean| *mean > 0.0)?;
    Some(mean * rules.multiple.extreme).filter(|bound| bound.is_finite())
}

/// `bounds` moved outward to whole multiples of `step`, in the unit of the bounds; a step under 1
/// is 1. Bounds beyond 64 bits end there.
#[must_use]
pub fn outward(bounds: (f64, f64), step: i64) -> (i64, i64) {
    let step = step.max(1);
    let (low, high) = (whole(bounds.0.floor()), whole(bounds.1.ceil()));
    let below = low.div_euclid(step).saturating_mul(step);
    let above = high.div_euclid(step).saturating_add(i64::from(high.rem_euclid(step) != 0));
    (below, above.saturating_mul(step))
}

fn whole(value: f64) -> i64 {
    value.to_i64().unwrap_or(if value > 0.0 { i64::MAX } else { i64::MIN })
}

/// Which of a group's values are kept, when they are all at hand: the method's own definition,
/// with quantiles linear between neighbours (Hyndman and Fan's type 7). When a quantile method
/// would leave out more than its largest share, everything is kept. Values that are not positive
/// have no logarithm: they are no part of its mean, and lie outside.
#[must_use]
pub fn trim_rows(values: &[f64], method: Method, rules: &TrimRules) -> Vec<bool> {
    let reference = reference(values, rules);
    let Some((low, high)) = bounds(method, &reference, rules) else {
        return vec![true; values.len()];
    };
    let kept: Vec<_> = values.iter().map(|value| low <= *value && *value <= high).collect();
    let left_out = kept.iter().filter(|kept| !**kept).count().to_f64().unwrap_or(f64::NAN);
    let all = values.len().to_f64().unwrap_or(f64::NAN);
    if method == Method::Quantile && left_out > rules.quantile.largest_share * all {
        return vec![true; values.len()];
    }
    kept
}

/// What there is to know of a group whose values are all at hand.
#[must_use]
pub fn reference(values: &[f64], rules: &TrimRules) -> Reference {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let logs: Vec<f64> = values.iter().filter(|value| **value > 0.0).map(|v| v.ln()).collect();
    let at = |q: f64| quantile(&sorted, q);
    Reference {
        mean: mean(values),
        mean_log: mean(&logs),
        sd_log: deviation(&logs),
        percentiles: (at(rules.quantile.low), at(0.25), at(0.75), at(rules.quantile.high)),
        stays: values.len().to_u64().unwrap_or(u64::MAX),
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    let n = values.len().to_f64().filter(|n| *n > 0.0)?;
    Some(values.iter().sum::<f64>() / n)
}

fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    let degrees = values.len().checked_sub(1)?.to_f64().filter(|n| *n > 0.0)?;
    Some((values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / degrees).sqrt())
}

fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let rank = q * sorted.len().checked_sub(1)?.to_f64()?;
    let (below, rest) = (rank.floor(), rank.fract());
    let low = sorted.get(below.to_usize()?)?;
    let high = sorted.get(rank.ceil().to_usize()?)?;
    Some(low + (high - low) * rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> TrimRules {
        TrimRules::default()
    }

    #[test]
    fn methods_have_names() {
        for method in Method::ALL {
            assert_eq!(method.as_str().parse(), Ok(method));
        }
        assert!("winsor".parse::<Method>().unwrap_err().to_string().contains("log-sd"));
    }

    #[test]
    fn bounds_of_every_method() {
        let reference = Reference {
            mean: Some(100.0),
            mean_log: Some(4.0),
            sd_log: Some(0.5),
            percentiles: (Some(20.0), Some(60.0), Some(140.0), Some(300.0)),
            stays: 25,
        };
        let of = |method| bounds(method, &reference, &rules());
        assert_eq!(of(Method::None), None);
        assert_eq!(of(Method::Multiple), Some((50.0, 200.0)));
        assert_eq!(of(Method::Quantile), Some((20.0, 300.0)));
        assert_eq!(of(Method::LogSd), Some((2.5_f64.exp(), 5.5_f64.exp())));
        assert_eq!(of(Method::Iqr), Some((-60.0, 260.0)));
        assert_eq!(extreme(&reference, &rules()), Some(500.0));

        let small = Reference { stays: 24, ..reference };
        assert_eq!(bounds(Method::Quantile, &small, &rules()), None, "too few");
        let flat = Reference { sd_log: Some(0.0), ..reference };
        let (low, high) = bounds(Method::LogSd, &flat, &rules()).unwrap();
        assert!(low.to_bits() == high.to_bits(), "zero variance");
        for method in Method::ALL {
            assert_eq!(bounds(method, &Reference::default(), &rules()), None, "{method:?}");
            let zero =
                Reference { mean: Some(0.0), percentiles: (None, None, None, None), ..small };
            let known = method == Method::LogSd;
            assert_eq!(bounds(method, &zero, &rules()).is_some(), known, "{method:?}");
        }
        assert_eq!(extreme(&Reference::default(), &rules()), None);
    }

    #[test]
    fn bounds_move_outward_only() {
        assert_eq!(outward((4_321.5, 17_285.9), 1_000), (4_000, 18_000));
        assert_eq!(outward((4_000.0, 18_000.0), 1_000), (4_000, 18_000));
        assert_eq!(outward((-60.5, -60.5), 100), (-100, 0));
        assert_eq!(outward((0.1, 0.2), 0), (0, 1));
        assert_eq!(outward((-1e300, 1e300), 10), (i64::MIN, i64::MAX));
    }

    #[test]
    fn rows_at_a_bound_are_kept() {
        // Mean 100: kept from 50 to 200.
        let values = [50.0, 49.0, 200.0, 201.0, 20.0, 80.0];
        let kept = trim_rows(&values, Method::Multiple, &rules());
        assert_eq!(kept, [true, false, true, false, false, true]);
        assert!(trim_rows(&[], Method::Iqr, &rules()).is_empty());
        assert_eq!(trim_rows(&[7.0], Method::LogSd, &rules()), [true]);
        assert_eq!(trim_rows(&[7.0; 30], Method::Quantile, &rules()), [true; 30]);
    }

    #[test]
    fn quantiles_leave_out_no_more_than_allowed() {
        let values = |n: u32| (0..n).map(f64::from).collect::<Vec<_>>();
        let left_out = |n: u32, rules: &TrimRules| {
            let kept = trim_rows(&values(n), Method::Quantile, rules);
            kept.iter().filter(|kept| !**kept).count()
        };
        assert_eq!(left_out(24, &rules()), 0, "too few");
        assert_eq!(left_out(25, &rules()), 2, "eight per cent, which is allowed");
        assert_eq!(left_out(1_000, &rules()), 50);
        let mut strict = rules();
        strict.quantile.largest_share = 0.04;
        assert_eq!(left_out(1_000, &strict), 0);
    }

    #[test]
    fn what_has_no_logarithm_lies_outside() {
        let mut values = vec![10.0; 20];
        values.extend([12.0, 0.0, -3.0]);
        let kept = trim_rows(&values, Method::LogSd, &rules());
        assert_eq!(kept[21..], [false, false]);
        assert!(kept[..20].iter().all(|kept| *kept));
    }
}
