//! Spans of whole months, as people write them: `2024`, `2024Q1`, `2024-03`, `2022..2024`,
//! `2023Q4..2024Q1`.

use std::fmt;

/// First and last year that a span can lie in.
const YEARS: std::ops::RangeInclusive<u16> = 1900..=2999;

/// The first of a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    /// Calendar year.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
}

/// Whole months from `from` until before `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// First month.
    pub from: Month,
    /// First month that no longer belongs to it.
    pub until: Month,
    text: String,
}

/// A text that names no span of months.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no period: write a year (2024), a quarter (2024Q1), a month (2024-03), or two of \
     them with .. between, the earlier first"
)]
pub struct InvalidPeriod(String);

impl Month {
    fn after(self, months: u8) -> Self {
        let index = u16::from(self.month) - 1 + u16::from(months);
        let month = u8::try_from(index % 12 + 1).unwrap_or(1);
        Self { year: self.year + index / 12, month }
    }
}

impl fmt::Display for Month {
    /// The first of the month, `2024-03-01`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-01", self.year, self.month)
    }
}

/// First month and number of months of a single year, quarter or month.
fn one(text: &str) -> Option<(Month, u8)> {
    let (year, rest) = text.split_at_checked(4)?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(year) {
        return None;
    }
    let year: u16 = year.parse().ok().filter(|year| YEARS.contains(year))?;
    if rest.is_empty() {
        return Some((Month { year, month: 1 }, 12));
    }
    if let Some(quarter) = rest.strip_prefix(['Q', 'q']) {
        let quarter: u8 = quarter.parse().ok().filter(|_| quarter.len() == 1)?;
        return (1..=4)
            .contains(&quarter)
            .then(|| (Month { year, month: 3 * (quarter - 1) + 1 }, 3));
    }
    let month = rest.strip_prefix('-').filter(|month| month.len() == 2 && digits(month))?;
    let month: u8 = month.parse().ok()?;
    (1..=12).contains(&month).then_some((Month { year, month }, 1))
}

impl std::str::FromStr for Period {
    type Err = InvalidPeriod;

    fn from_str(text: &str) -> Result<Self, InvalidPeriod> {
        let wrong = || InvalidPeriod(text.chars().take(40).collect());
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let (from, _) = one(first).ok_or_else(wrong)?;
        let (last, months) = one(last).ok_or_else(wrong)?;
        let until = last.after(months);
        if last < from {
            return Err(wrong());
        }
        Ok(Self { from, until, text: text.to_ascii_uppercase() })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_whole_months() {
        for (text, from, until) in [
            ("2024", "2024-01-01", "2025-01-01"),
            ("2024Q1", "2024-01-01", "2024-04-01"),
            ("2024q4", "2024-10-01", "2025-01-01"),
            ("2024-12", "2024-12-01", "2025-01-01"),
            ("2022..2024", "2022-01-01", "2025-01-01"),
            ("2023Q4..2024-02", "2023-10-01", "2024-03-01"),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!(
                (period.from.to_string(), period.until.to_string()),
                (from.into(), until.into())
            );
            assert_eq!(period.to_string(), text.to_uppercase());
        }
        for bad in [
            "",
            "24",
            "2024Q5",
            "2024-13",
            "2024-3",
            "2024..2023",
            "2024Q",
            "20é4",
            "+024",
            "2024-1a",
            "..",
            "2024..",
        ] {
            let error = bad.parse::<Period>().unwrap_err().to_string();
            assert!(error.contains("2024Q1"), "{bad}: {error}");
        }
    }
}
