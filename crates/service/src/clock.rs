//! The only place that asks what time it is.
//!
//! It exists so that everything else takes time as an argument and tests move it by hand. Wall
//! time is for certificates, logs and records; monotonic time is for intervals. It leaves out
//! sleeping: that is tokio's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use time::OffsetDateTime;

/// Where the time comes from. Clones share their source.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct Manual {
    start: SystemTime,
    origin: Instant,
    elapsed: Mutex<Duration>,
}

/// The hand of a clock that stands still until it is moved. For tests.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Manual>);

// === impl Clock ===

impl Clock {
    /// The computer's own clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// The wall time.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(&self) -> SystemTime {
        match &self.0 {
            Source::System => SystemTime::now(),
            Source::Manual(manual) => manual.start + manual.elapsed(),
        }
    }

    /// A time that never goes back, for intervals.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn monotonic(&self) -> Instant {
        match &self.0 {
            Source::System => Instant::now(),
            Source::Manual(manual) => manual.origin + manual.elapsed(),
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

// === impl ManualClock ===

impl Manual {
    fn elapsed(&self) -> Duration {
        *self.elapsed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "an Instant has no other origin")]
    pub fn new(start: SystemTime) -> Self {
        let elapsed = Mutex::new(Duration::ZERO);
        Self(Arc::new(Manual { start, origin: Instant::now(), elapsed }))
    }

    /// Moves wall time and monotonic time forward.
    pub fn advance(&self, by: Duration) {
        let mut elapsed = self.0.elapsed.lock().unwrap_or_else(PoisonError::into_inner);
        *elapsed = elapsed.saturating_add(by);
    }

    /// The clock that this hand moves.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock(Source::Manual(Arc::clone(&self.0)))
    }
}

/// `2026-11-21T08:30:00Z`: RFC 3339, UTC, whole seconds (fractions are dropped). Times outside
/// the years 1970 to 9999 are shown as the nearest of these.
#[must_use]
pub fn rfc3339(time: SystemTime) -> String {
    let at = utc(time);
    format!("{}T{:02}:{:02}:{:02}Z", date(at), at.hour(), at.minute(), at.second())
}

/// The UTC day, `2026-11-21`, with the bounds of [`rfc3339`].
#[must_use]
pub fn day(time: SystemTime) -> String {
    date(utc(time))
}

/// The UTC day as one number, 20261121, with the same bounds.
#[must_use]
pub fn day_number(time: SystemTime) -> u32 {
    let at = utc(time);
    u32::try_from(at.year()).unwrap_or(0) * 10_000
        + u32::from(u8::from(at.month())) * 100
        + u32::from(at.day())
}

fn date(at: OffsetDateTime) -> String {
    format!("{:04}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day())
}

fn utc(time: SystemTime) -> OffsetDateTime {
    const LAST: OffsetDateTime = time::macros::datetime!(9999-12-31 23:59:59 UTC);
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(LAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_249_799_999);
        assert_eq!(rfc3339(at), "2026-11-21T08:29:59Z");
        assert_eq!((day(at), day_number(at)), ("2026-11-21".to_owned(), 20_261_121));
        assert_eq!(day(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01");
        assert_eq!(day(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40)), "9999-12-31");
    }

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let hand = ManualClock::new(SystemTime::UNIX_EPOCH);
        let clock = hand.clock();
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        assert_eq!((clock.now(), clock.monotonic()), (wall, monotonic));
        hand.advance(Duration::from_secs(90));
        assert_eq!(clock.now(), wall + Duration::from_secs(90));
        assert_eq!(clock.monotonic(), monotonic + Duration::from_secs(90));
    }
}
