//! Durations as people type them: `500ms`, `30s`, `2m`.

use std::time::Duration;

/// Nobody waits longer for an answer; a coordinator grants no more.
pub const LONGEST: Duration = Duration::from_secs(10 * 60);

/// Reads `<whole number><ms|s|m>`, from 1 ms to [`LONGEST`].
///
/// # Errors
/// What is accepted.
pub fn parse(text: &str) -> Result<Duration, String> {
    let expected = || format!("\"{text}\" is not a duration such as 500ms, 30s or 2m (up to 10m)");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(expected)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| expected())?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err(expected()),
    };
    let duration = number.checked_mul(unit_ms).map(Duration::from_millis);
    duration.filter(|d| !d.is_zero() && *d <= LONGEST).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_whole_number_and_a_unit() {
        for (text, ms) in [("500ms", 500), ("30s", 30_000), ("2m", 120_000), ("10m", 600_000)] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)));
        }
        for bad in ["", "30", "s", "0s", "-1s", "1.5s", "1h", "11m", "30 s", "99999999999999999m"] {
            assert!(parse(bad).is_err(), "{bad} must not be accepted");
        }
    }
}
