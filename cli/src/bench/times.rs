//! Durations of repeated runs.

use std::time::Duration;

use serde::Serialize;
use service::Clock;

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

/// Does `work` and adds what it took to `spent`.
pub(super) fn timed<T>(clock: &Clock, spent: &mut Duration, work: impl FnOnce() -> T) -> T {
    let started = clock.monotonic();
    let done = work();
    *spent += clock.monotonic().duration_since(started);
    done
}

/// 10^9 bytes a second.
pub(super) fn gigabytes_a_second(bytes: f64, took: Duration) -> f64 {
    bytes / took.as_secs_f64() / 1e9
}

/// The value below which a share of `percent` hundredths lies (nearest rank), of sorted values.
pub(super) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// The middle one of at least one duration.
pub(super) fn median(durations: &[Duration]) -> Duration {
    let mut all = durations.to_vec();
    all.sort_unstable();
    all.get(all.len().div_ceil(2).max(1) - 1).copied().unwrap_or_default()
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
    use service::clock::ManualClock;
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let sorted: Vec<_> = (1..=200).map(f64::from).collect();
        let at = |percent| format!("{}", percentile(&sorted, percent));
        assert_eq!((at(50), at(99), at(100)), ("100".into(), "198".into(), "200".into()));
        let times = Times::of(&[3, 1, 2].map(Duration::from_millis));
        assert_eq!(format!("{times:?}"), "Times { median: 2.0, min: 1.0, max: 3.0 }");
        let middle = |all: &[u64]| {
            median(&all.iter().copied().map(Duration::from_millis).collect::<Vec<_>>()).as_millis()
        };
        assert_eq!((middle(&[3, 1, 2]), middle(&[9]), middle(&[4, 1, 3, 2])), (2, 9, 2));
    }

    #[test]
    fn what_work_takes_is_added_up() {
        let hand = ManualClock::new(SystemTime::UNIX_EPOCH);
        let mut spent = Duration::ZERO;
        for _ in 0..2 {
            let done = timed(&hand.clock(), &mut spent, || {
                hand.advance(Duration::from_millis(250));
                7
            });
            assert_eq!(done, 7);
        }
        assert_eq!(spent, Duration::from_millis(500));
        let speed = gigabytes_a_second(2e9, spent);
        assert_eq!(format!("{speed}"), "4");
    }
}
