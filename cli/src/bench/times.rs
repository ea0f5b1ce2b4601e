//! Durations of repeated runs.

use std::time::Duration;

use serde::Serialize;

/// Milliseconds of repeated runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Times {
    /// The middle one.
    pub median: f64,
    /// The fastest.
    pub min: f64,
    /// The slowest.
    pub max: f64,
}

/// Milliseconds with their fraction.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// The value below which a share of `percent` hundredths lies (nearest rank), of sorted values.
pub(super) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

impl Times {
    /// Median, minimum and maximum of at least one duration.
    pub(super) fn of(durations: &[Duration]) -> Self {
        let mut all: Vec<_> = durations.iter().map(|one| milliseconds(*one)).collect();
        all.sort_by(f64::total_cmp);
        let edge = |value: Option<&f64>| value.copied().unwrap_or(f64::NAN);
        Self { median: percentile(&all, 50), min: edge(all.first()), max: edge(all.last()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let sorted: Vec<_> = (1..=200).map(f64::from).collect();
        let at = |percent| format!("{}", percentile(&sorted, percent));
        assert_eq!((at(50), at(99), at(100)), ("100".into(), "198".into(), "200".into()));
        let times = Times::of(&[3, 1, 2].map(Duration::from_millis));
        assert_eq!(format!("{times:?}"), "Times { median: 2.0, min: 1.0, max: 3.0 }");
    }
}
