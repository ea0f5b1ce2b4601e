//! Numbers as a reader expects them. What is not known or not finite is a dash, never a zero.

use num_traits::ToPrimitive;

/// Stands for a withheld or undefined value.
pub(super) const DASH: &str = "–";
/// From here on a number is written with an exponent.
const LONG: f64 = 1e15;
/// No tick needs more decimals.
const FINEST: usize = 6;

/// A count with thousands separated.
pub(super) fn count(value: u64) -> String {
    crate::sheet::grouped(value)
}

/// An amount of money: whole from 100 on, two decimals below.
pub(super) fn amount(value: Option<f64>) -> String {
    fixed(value, value.map_or(0, decimals))
}

/// How far a value may be off, rounded up to the decimals of the value: a bound stays a bound.
pub(super) fn error(error: f64, decimals: usize) -> String {
    let unit = 10_f64.powi(decimals.to_i32().unwrap_or(0));
    // Half a unit more, as the value itself is rounded.
    fixed(Some((error + 0.5 / unit).mul_add(unit, -1e-9).ceil() / unit), decimals)
}

/// Decimals of an amount: none from 100 on, two below.
pub(super) fn decimals(value: f64) -> usize {
    if value.abs() < 100.0 { 2 } else { 0 }
}

/// A number with so many decimals.
pub(super) fn fixed(value: Option<f64>, decimals: usize) -> String {
    match value.filter(|value| value.is_finite()) {
        None => DASH.to_owned(),
        Some(value) if value.abs() >= LONG => format!("{value:.3e}"),
        Some(value) => separated(&format!("{value:.decimals$}")),
    }
}

/// A share of one as a percentage with so many decimals.
pub(super) fn percent(share: Option<f64>, decimals: usize) -> String {
    let value = share.filter(|share| share.is_finite()).map(|share| share * 100.0);
    value.map_or_else(|| DASH.to_owned(), |value| format!("{} %", fixed(Some(value), decimals)))
}

/// Ticks with as many decimals as the finest of them needs.
pub(super) fn ticks(values: &[f64]) -> Vec<String> {
    let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let told = |decimals: &usize| {
        let unit = 10_f64.powi(decimals.to_i32().unwrap_or(0));
        values.iter().all(|value| ((value * unit).round() / unit - value).abs() < largest * 1e-9)
    };
    let decimals = (0..FINEST).find(told).unwrap_or(FINEST);
    values.iter().map(|value| fixed(Some(*value), decimals)).collect()
}

/// A coordinate of a drawing.
pub(super) fn at(position: f64) -> String {
    // Positions come from scales, which are finite; a drawing must not break if one is not.
    let position = if position.is_finite() { position + 0.0 } else { 0.0 };
    let text = format!("{position:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A whole number as a position or a weight.
pub(super) fn real(number: impl ToPrimitive + Copy) -> f64 {
    number.to_f64().unwrap_or(0.0)
}

/// `-1234567.5` as `−1,234,567.5`, and a negative zero as zero.
fn separated(text: &str) -> String {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let zero = digits.chars().all(|c| c == '0' || c == '.');
    let mut written = if negative && !zero { "\u{2212}".to_owned() } else { String::new() };
    for (position, digit) in whole.chars().enumerate() {
        if position > 0 && (whole.len() - position).is_multiple_of(3) {
            written.push(',');
        }
        written.push(digit);
    }
    if !fraction.is_empty() {
        written.push('.');
        written.push_str(fraction);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well_and_unknown_ones_are_dashes() {
        assert_eq!(amount(Some(1_234_567.6)), "1,234,568");
        assert_eq!(amount(Some(12.3)), "12.30");
        assert_eq!(amount(Some(-0.001)), "0.00");
        assert_eq!(amount(Some(-4321.0)), "\u{2212}4,321");
        assert_eq!(amount(Some(f64::MAX)), "1.798e308");
        for unknown in [None, Some(f64::NAN), Some(f64::INFINITY)] {
            assert_eq!((amount(unknown), percent(unknown, 1)), (DASH.into(), DASH.into()));
        }
        assert_eq!(percent(Some(0.961), 1), "96.1 %");
    }

    #[test]
    fn an_error_is_never_told_too_small() {
        // 1234.4 ± 10.2 is within 1224.2..=1244.6, and so is 1234 ± 11.
        assert_eq!((error(10.2, 0), error(10.5, 0), error(0.25, 2)), {
            ("11".into(), "11".into(), "0.26".into())
        });
        assert_eq!((decimals(99.9), decimals(-100.0)), (2, 0));
    }

    #[test]
    fn ticks_share_their_decimals() {
        assert_eq!(ticks(&[0.8, 0.9, 1.0]), ["0.8", "0.9", "1.0"]);
        assert_eq!(ticks(&[1_000.0, 20_000.0]), ["1,000", "20,000"]);
        assert_eq!(ticks(&[0.3 - 0.1, 0.25]), ["0.20", "0.25"]);
        assert_eq!((at(12.0), at(0.126), at(f64::NAN)), ("12".into(), "0.13".into(), "0".into()));
        assert_eq!(at(-0.0), "0");
    }
}
