//! Text to values, strictly: a value is what it says or it is rejected. Pure.

use super::quarantine::{Fault, Rule, ValueClass};

/// Longest accepted text in characters.
pub(crate) const MAX_TEXT_CHARS: usize = 200;
/// Digits after the point that money keeps.
const MONEY_DIGITS: usize = 4;
/// Ten to the power of [`MONEY_DIGITS`].
pub(crate) const MONEY_UNIT: i64 = 10_000;
/// Digits before the point that are looked at; bounds are far below.
const MAX_WHOLE_DIGITS: usize = 14;
const SECONDS_A_DAY: i64 = 86_400;

fn text_class(text: &str) -> ValueClass {
    ValueClass::Text(u32::try_from(text.chars().count()).unwrap_or(u32::MAX))
}

/// Sign, digits before and digits after the point.
struct Decimal<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
}

fn decimal(text: &str) -> Result<Decimal<'_>, Fault> {
    let bytes = text.as_bytes();
    let (negative, rest) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, bytes),
    };
    let point = rest.iter().position(|b| *b == b'.');
    let (whole, fraction) = match point {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, &rest[rest.len()..]),
    };
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    let has_digits = !whole.is_empty() && (point.is_none() || !fraction.is_empty());
    if !has_digits || !digits(whole) || !digits(fraction) {
        return Err((Rule::NotANumber, text_class(text)));
    }
    let zeros = whole.iter().take_while(|b| **b == b'0').count();
    let whole = &whole[zeros..];
    if whole.len() > MAX_WHOLE_DIGITS {
        return Err((Rule::TooManyDigits, ValueClass::LongNumber));
    }
    Ok(Decimal { negative, whole, fraction })
}

fn fold(start: i64, digits: &[u8]) -> i64 {
    digits.iter().fold(start, |sum, digit| sum * 10 + i64::from(digit - b'0'))
}

fn signed(negative: bool, value: i64) -> i64 {
    if negative { -value } else { value }
}

/// A whole number; a fraction of zeros is allowed, as spreadsheets write them.
pub(crate) fn integer(text: &str) -> Result<i64, Fault> {
    let number = decimal(text.trim())?;
    if number.fraction.iter().any(|digit| *digit != b'0') {
        return Err((Rule::NotANumber, ValueClass::Fraction));
    }
    Ok(signed(number.negative, fold(0, number.whole)))
}

/// An amount in ten-thousandths, exactly: more than four digits after the point are an error
/// unless they are zeros.
pub(crate) fn money(text: &str) -> Result<i64, Fault> {
    let number = decimal(text.trim())?;
    let (kept, dropped) = number.fraction.split_at(number.fraction.len().min(MONEY_DIGITS));
    if dropped.iter().any(|digit| *digit != b'0') {
        return Err((Rule::TooManyDigits, ValueClass::Fraction));
    }
    let mut value = fold(fold(0, number.whole), kept);
    for _ in kept.len()..MONEY_DIGITS {
        value *= 10;
    }
    Ok(signed(number.negative, value))
}

/// A finite floating-point number.
pub(crate) fn float(text: &str) -> Result<f64, Fault> {
    let text = text.trim();
    let starts_well = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && starts_well => Ok(value),
        _ => Err((Rule::NotANumber, text_class(text))),
    }
}

/// true/false, t/f, yes/no, y/n, 1/0 in any case.
pub(crate) fn boolean(text: &str) -> Result<bool, Fault> {
    let text = text.trim();
    let is = |names: &[&str]| names.iter().any(|name| text.eq_ignore_ascii_case(name));
    if is(&["1", "true", "t", "y", "yes"]) {
        Ok(true)
    } else if is(&["0", "false", "f", "n", "no"]) {
        Ok(false)
    } else {
        Err((Rule::NotABoolean, text_class(text)))
    }
}

/// Seconds since 1970 of `YYYY-MM-DD[ T]HH:MM[:SS[.0]]`, `YYYY-MM-DD` or `YYYYMMDD`.
pub(crate) fn timestamp(text: &str) -> Result<i64, Fault> {
    let text = text.trim();
    parse_timestamp(text.as_bytes()).ok_or_else(|| (Rule::NotATime, text_class(text)))
}

fn parse_timestamp(bytes: &[u8]) -> Option<i64> {
    let number = |part: &[u8]| part.iter().all(u8::is_ascii_digit).then(|| fold(0, part));
    let (date, time) = if bytes.len() == 8 {
        ((number(&bytes[..4])?, number(&bytes[4..6])?, number(&bytes[6..])?), &bytes[8..])
    } else {
        let shaped = bytes.len() >= 10 && bytes[4] == b'-' && bytes[7] == b'-';
        if !shaped {
            return None;
        }
        ((number(&bytes[..4])?, number(&bytes[5..7])?, number(&bytes[8..10])?), &bytes[10..])
    };
    let days = days_from_civil(date.0, date.1, date.2)?;
    let time = match time {
        [] => 0,
        [b' ' | b'T', h1, h2, b':', m1, m2, rest @ ..] => {
            let seconds = match rest {
                [] => 0,
                [b':', s1, s2] => number(&[*s1, *s2])?,
                [b':', s1, s2, b'.', zeros @ ..] if zeros.iter().all(|b| *b == b'0') => {
                    number(&[*s1, *s2])?
                }
                _ => return None,
            };
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 || seconds > 59 {
                return None;
            }
            hours * 3_600 + minutes * 60 + seconds
        }
        _ => return None,
    };
    Some(days * SECONDS_A_DAY + time)
}

/// Days since 1970-01-01 of a Gregorian date that exists, years 1900 to 2199
/// (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if !(1900..2200).contains(&year) || !(1..=length).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year / 400;
    let of_era = year - era * 400;
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// The day of a time, in days since 1970.
pub(crate) fn day(seconds: i64) -> i64 {
    seconds.div_euclid(SECONDS_A_DAY)
}

/// Year and month of a time (the inverse of the algorithm above).
pub(crate) fn year_month(seconds: i64) -> (i64, i64) {
    let shifted = day(seconds) + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_or_rejected() {
        assert_eq!(integer(" 12 "), Ok(12));
        assert_eq!(integer("-3.00"), Ok(-3));
        assert_eq!(integer("1.5"), Err((Rule::NotANumber, ValueClass::Fraction)));
        assert_eq!(money("45142.68"), Ok(451_426_800));
        assert_eq!(money("-0.0001"), Ok(-1));
        assert_eq!(money("00012.5000000"), Ok(125_000));
        assert_eq!(money("0.00001"), Err((Rule::TooManyDigits, ValueClass::Fraction)));
        let long = Err((Rule::TooManyDigits, ValueClass::LongNumber));
        assert_eq!(money("123456789012345"), long);
        for bad in ["", "1,000", "1e3", ".5", "5.", "--1", "¥5", "NaN", "0x1", "1 2"] {
            assert!(money(bad).is_err(), "{bad}");
            assert!(integer(bad).is_err(), "{bad}");
        }
        assert_eq!(float("1.5"), Ok(1.5));
        for bad in ["inf", "NaN", "", "1e999", "infinity", "x"] {
            assert!(float(bad).is_err(), "{bad}");
        }
        assert_eq!(money("twelve"), Err((Rule::NotANumber, ValueClass::Text(6))));
    }

    #[test]
    fn times_must_exist() {
        assert_eq!(timestamp("1970-01-01"), Ok(0));
        assert_eq!(timestamp("20240229"), Ok(1_709_164_800));
        assert_eq!(timestamp("2024-02-29 13:05"), Ok(1_709_164_800 + 47_100));
        assert_eq!(timestamp("2024-02-29T13:05:09.000"), Ok(1_709_164_800 + 47_109));
        let wrong = ["2023-02-29", "2024-13-01", "2024-1-1", "24-01-01", "2024-01-01 24:00"];
        for bad in wrong.iter().chain(&["", "20241301", "0000-00-00", "2024-01-01 1:00", "今天"])
        {
            assert!(timestamp(bad).is_err(), "{bad}");
        }
        assert_eq!(year_month(1_709_164_800), (2024, 2));
        assert_eq!(year_month(-1), (1969, 12));
        assert_eq!(boolean("TRUE"), Ok(true));
        assert_eq!(boolean("n"), Ok(false));
        assert!(boolean("2").is_err());
    }
}
