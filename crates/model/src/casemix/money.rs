//! Exact money: ten-thousandths in, cents out, and a fund divided without losing one.
//!
//! Amounts that are measured are whole ten-thousandths of the currency unit, as in
//! `Decimal128(18, 4)`; amounts that are paid are whole cents. Neither is ever a double.

use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive, Zero};

use super::CasemixError;
use crate::moments::{self, Scale};

/// Ten-thousandths of the currency unit.
pub type E4 = i128;

/// Decimals of [`E4`].
const E4_DIGITS: u32 = 4;
/// Decimals of a cent.
const CENT_DIGITS: u32 = 2;

/// Reads `-12.3456` as ten-thousandths. Finer text, exponents, separators of thousands and a
/// missing whole part are errors: nothing is rounded.
pub fn parse_e4(text: &str) -> Result<E4, CasemixError> {
    parse(text, E4_DIGITS)
}

/// Reads `-12.34` as cents, as strictly as [`parse_e4`].
pub fn parse_cents(text: &str) -> Result<i128, CasemixError> {
    parse(text, CENT_DIGITS)
}

/// Cents as text in the currency unit: `-1234` is `-12.34`.
#[must_use]
pub fn format_cents(cents: i128) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let size = cents.unsigned_abs();
    format!("{sign}{}.{:02}", size / 100, size % 100)
}

/// The double nearest to `sum_e4 / 10_000 / n`, in currency units; `None` when there is no row.
#[must_use]
pub fn mean_e4(sum_e4: E4, n: u64) -> Option<f64> {
    moments::mean(i128::from(n), sum_e4, Scale::Decimal(4))
}

/// Divides `total_cents` in proportion to `weights` by largest remainders (Hamilton's method):
/// everyone gets the whole cents of the exact share, and the cents that are left go, one each, to
/// the largest fractions; among equal fractions the lower index is first. The parts add up to the
/// total, also when it is negative, and a weight of zero gets nothing.
///
/// A negative weight is an error, and so are weights that add up to zero.
pub fn apportion(total_cents: i128, weights: &[i128]) -> Result<Vec<i128>, CasemixError> {
    if weights.iter().any(|weight| *weight < 0) {
        return Err(CasemixError::Negative("weights"));
    }
    let all: BigInt = weights.iter().map(|weight| BigInt::from(*weight)).sum();
    if all.is_zero() {
        return Err(CasemixError::ZeroTotal("weights"));
    }
    let too_large = || CasemixError::TooLarge("amounts");
    let mut parts = Vec::with_capacity(weights.len());
    let mut fractions = Vec::with_capacity(weights.len());
    for (index, weight) in weights.iter().enumerate() {
        let (whole, fraction) = floored(&(BigInt::from(total_cents) * *weight), &all);
        parts.push(whole.to_i128().ok_or_else(too_large)?);
        fractions.push((fraction, index));
    }
    let left = (BigInt::from(total_cents) - parts.iter().sum::<i128>()).to_usize();
    fractions.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    for (_, index) in fractions.iter().take(left.ok_or_else(too_large)?) {
        parts[*index] += 1;
    }
    Ok(parts)
}

fn parse(text: &str, digits: u32) -> Result<i128, CasemixError> {
    let error = || CasemixError::Amount { text: text.to_owned(), digits };
    let (negative, size) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, part) = match size.split_once('.') {
        Some((whole, part)) if !part.is_empty() => (whole, part),
        Some(_) => return Err(error()),
        None => (size, ""),
    };
    let numeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !numeric(whole) || !numeric(part) {
        return Err(error());
    }
    let missing = usize::try_from(digits).ok().and_then(|digits| digits.checked_sub(part.len()));
    let missing = missing.ok_or_else(error)?;
    let unscaled = format!("{whole}{part}{}", "0".repeat(missing));
    let value = unscaled.parse::<i128>().map_err(|_| error())?;
    Ok(if negative { -value } else { value })
}

/// Quotient towards minus infinity, and what is left, which is never negative.
fn floored(numerator: &BigInt, denominator: &BigInt) -> (BigInt, BigInt) {
    let (quotient, rest) = (numerator / denominator, numerator % denominator);
    if rest.is_negative() { (quotient - 1, rest + denominator) } else { (quotient, rest) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_read_exactly_or_not_at_all() {
        assert_eq!(parse_e4("12000"), Ok(120_000_000));
        assert_eq!(parse_e4("-0.0001"), Ok(-1));
        assert_eq!(parse_e4("1.23"), Ok(12_300));
        assert_eq!(parse_cents("125000.5"), Ok(12_500_050));
        for bad in ["", "-", "1.", ".5", "1e3", "1,000", " 1", "+1", "1.2.3", "--1", "１"] {
            assert!(parse_e4(bad).is_err(), "{bad}");
        }
        assert!(parse_e4("0.00001").is_err(), "too fine for ten-thousandths");
        assert!(parse_cents("0.001").is_err(), "too fine for cents");
        assert!(parse_cents(&"9".repeat(60)).is_err());
        assert_eq!(format_cents(-5), "-0.05");
        assert_eq!(format_cents(123_456), "1234.56");
    }

    #[test]
    fn means_are_nearest_doubles_and_nothing_has_no_mean() {
        assert_eq!(mean_e4(100_000, 3), Some(10.0 / 3.0));
        assert_eq!(mean_e4(-5, 1), Some(-0.0005));
        assert_eq!(mean_e4(0, 0), None);
    }

    #[test]
    fn cents_that_are_left_go_to_the_largest_fractions_then_the_first() {
        // Shares of 100: 14.28.., 28.57.., 57.14..: the cent goes to the second.
        assert_eq!(apportion(100, &[1, 2, 4]), Ok(vec![14, 29, 57]));
        assert_eq!(apportion(100, &[1, 1, 1]), Ok(vec![34, 33, 33]));
        assert_eq!(apportion(-100, &[1, 1, 1]), Ok(vec![-33, -33, -34]));
        assert_eq!(apportion(2, &[0, 5, 5, 5]), Ok(vec![0, 1, 1, 0]));
        assert_eq!(apportion(0, &[3, 4]), Ok(vec![0, 0]));
        assert_eq!(apportion(7, &[i128::MAX, i128::MAX]), Ok(vec![4, 3]));
        assert_eq!(apportion(7, &[0, 0]), Err(CasemixError::ZeroTotal("weights")));
        assert_eq!(apportion(7, &[]), Err(CasemixError::ZeroTotal("weights")));
        assert_eq!(apportion(7, &[2, -1]), Err(CasemixError::Negative("weights")));
    }

    proptest! {
        #[test]
        fn parts_add_up_and_are_within_a_cent(
            total in -10_i128.pow(18)..10_i128.pow(18),
            weights in prop::collection::vec(0..10_i128.pow(24), 1..60),
        ) {
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            let parts = apportion(total, &weights).unwrap();
            prop_assert_eq!(parts.iter().sum::<i128>(), total);
            let all: BigInt = weights.iter().map(|weight| BigInt::from(*weight)).sum();
            for (part, weight) in parts.iter().zip(&weights) {
                let off = BigInt::from(*part) * &all - BigInt::from(total) * *weight;
                prop_assert!(off.abs() < all, "less than a cent off");
            }
        }

        #[test]
        fn cents_come_back_from_their_text(cents in any::<i64>()) {
            prop_assert_eq!(parse_cents(&format_cents(cents.into())), Ok(cents.into()));
        }
    }
}
