//! Readmission (F14) \[V\]: how soon a person comes back.
//!
//! Days are counted from the day of discharge, which is day 1, as a stay within a day is one day
//! long. So "same day" is 1, the windows are 2 to 15 and 16 to 31, and 0, a readmission that has
//! no interval, is excluded. A stay whose last window ends after the data do is censored: whether
//! its person came back cannot be known.

/// How soon a person comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interval {
    /// On the day of discharge.
    SameDay,
    /// On days 2 to 15.
    Days2To15,
    /// On days 16 to 31.
    Days16To31,
    /// Later: no readmission in the sense of the indicator.
    Later,
}

/// Last day of the last window.
pub const LAST_DAY: u32 = 31;

/// The interval of a readmission on `day`, counted from 1 on the day of discharge. `None` when it
/// does not count: planned chemotherapy, and an interval of 0.
#[must_use]
pub const fn classify(day: u32, planned_chemotherapy: bool) -> Option<Interval> {
    if planned_chemotherapy {
        return None;
    }
    match day {
        0 => None,
        1 => Some(Interval::SameDay),
        2..=15 => Some(Interval::Days2To15),
        16..=LAST_DAY => Some(Interval::Days16To31),
        _ => Some(Interval::Later),
    }
}

/// Whether a stay is followed long enough to count in a rate: all days up to [`LAST_DAY`] are in
/// data that end with `last`. Both are days of any one calendar count.
#[must_use]
pub fn is_followed(discharged: i64, last: i64) -> bool {
    last.checked_sub(discharged).is_some_and(|days| days >= i64::from(LAST_DAY) - 1)
}

/// Readmissions over the stays that count; `None` without such stays, or with more readmissions
/// than stays.
#[must_use]
pub fn rate(readmitted: u64, followed: u64) -> Option<f64> {
    super::index::grouping_rate(readmitted, followed, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_every_window() {
        for (day, interval) in [
            (0, None),
            (1, Some(Interval::SameDay)),
            (2, Some(Interval::Days2To15)),
            (15, Some(Interval::Days2To15)),
            (16, Some(Interval::Days16To31)),
            (31, Some(Interval::Days16To31)),
            (32, Some(Interval::Later)),
            (u32::MAX, Some(Interval::Later)),
        ] {
            assert_eq!(classify(day, false), interval, "{day}");
            assert_eq!(classify(day, true), None, "planned chemotherapy");
        }
    }

    #[test]
    fn the_last_window_is_censored() {
        // Discharged on day 100: day 31 is day 130.
        assert!(is_followed(100, 130));
        assert!(!is_followed(100, 129));
        assert!(!is_followed(i64::MIN, i64::MAX), "beyond the count of days");
        assert_eq!(rate(3, 40), Some(0.075));
        assert_eq!(rate(0, 0), None);
    }
}
