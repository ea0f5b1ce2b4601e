//! Statistics from exact sums: means, variances, covariances, correlation, simple regression.
//!
//! Inputs are integers in a fixed-point scale; every difference of large products is taken in
//! exact integer arithmetic and rounded to a double once, at the end. That is why the answer does
//! not depend on how rows were spread over hospitals, and why `n·Σx² − (Σx)²` never cancels.
//! Formulas: ISO 3534-1 (sample and population variance), SQL:2016 §10.9 (REGR_*).

use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive, Zero};

/// How an integer cell stands for a number: `value = cell / divisor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scale {
    /// `divisor = 10^digits`; whole numbers have 0 digits.
    Decimal(u8),
    /// `divisor = 2^bits`.
    Binary(u8),
}

impl Scale {
    /// The divisor as an exact integer.
    #[must_use]
    pub fn divisor(self) -> BigInt {
        match self {
            Self::Decimal(digits) => BigInt::from(10).pow(u32::from(digits)),
            Self::Binary(bits) => BigInt::from(2).pow(u32::from(bits)),
        }
    }
}

/// Exact sums over the rows where `x` is present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Univariate {
    /// Rows where `x` is present.
    pub n: i128,
    /// Σx in units of `scale`.
    pub sum: i128,
    /// Σx² in units of `scale_squares`.
    pub squares: i128,
    /// Scale of `x`.
    pub scale: Scale,
    /// Scale of `x²`; its divisor must divide the square of `scale`'s.
    pub scale_squares: Scale,
}

/// Exact sums over the rows where both `x` and `y` are present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bivariate {
    /// Rows where both are present.
    pub n: i128,
    /// Σx.
    pub sum_x: i128,
    /// Σy.
    pub sum_y: i128,
    /// Σx².
    pub xx: i128,
    /// Σy².
    pub yy: i128,
    /// Σxy.
    pub xy: i128,
    /// Scale of `x`.
    pub scale_x: Scale,
    /// Scale of `y`.
    pub scale_y: Scale,
    /// Scale of `x²`.
    pub scale_xx: Scale,
    /// Scale of `y²`.
    pub scale_yy: Scale,
    /// Scale of `xy`.
    pub scale_xy: Scale,
}

/// Which denominator a variance or covariance has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denominator {
    /// n − 1.
    Sample,
    /// n.
    Population,
}

pub(crate) fn quotient(numerator: &BigInt, denominator: &BigInt) -> Option<f64> {
    if denominator.is_zero() {
        return None;
    }
    // 128 guard bits keep the integer quotient far more precise than a double.
    const GUARD: u32 = 128;
    let shifted: BigInt = (numerator.abs() << GUARD) / denominator.abs();
    let magnitude = shifted.to_f64()? / 2f64.powi(128);
    let negative = numerator.is_negative() != denominator.is_negative();
    Some(if negative && !shifted.is_zero() { -magnitude } else { magnitude })
}

/// `cell / divisor` as a double.
#[must_use]
pub fn to_double(cell: i128, scale: Scale) -> Option<f64> {
    quotient(&BigInt::from(cell), &scale.divisor())
}

/// Σx / n; `None` when there is no row.
#[must_use]
pub fn mean(n: i128, sum: i128, scale: Scale) -> Option<f64> {
    quotient(&BigInt::from(sum), &(BigInt::from(n) * scale.divisor()))
}

/// `n·Σab − Σa·Σb` in units of `1 / (divisor_a · divisor_b)`, exactly.
///
/// Products may be stored more coarsely than the product of the scales; they are lifted first.
fn centred(n: i128, cross: (i128, Scale), a: (i128, Scale), b: (i128, Scale)) -> BigInt {
    let lift = a.1.divisor() * b.1.divisor() / cross.1.divisor();
    BigInt::from(n) * cross.0 * lift - BigInt::from(a.0) * b.0
}

fn degrees(n: i128, denominator: Denominator) -> Option<i128> {
    match denominator {
        Denominator::Sample if n >= 2 => Some(n - 1),
        Denominator::Population if n >= 1 => Some(n),
        _ => None,
    }
}

impl Univariate {
    /// Variance; `None` below two rows (sample) or one row (population).
    #[must_use]
    pub fn variance(&self, denominator: Denominator) -> Option<f64> {
        let degrees = degrees(self.n, denominator)?;
        let divisor = self.scale.divisor();
        let bottom = BigInt::from(self.n) * degrees * &divisor * &divisor;
        let sum = (self.sum, self.scale);
        let squares = (self.squares, self.scale_squares);
        quotient(&centred(self.n, squares, sum, sum), &bottom)
    }

    /// Square root of [`Self::variance`].
    #[must_use]
    pub fn standard_deviation(&self, denominator: Denominator) -> Option<f64> {
        self.variance(denominator).map(f64::sqrt)
    }
}

impl Bivariate {
    fn s_xx(&self) -> BigInt {
        let x = (self.sum_x, self.scale_x);
        centred(self.n, (self.xx, self.scale_xx), x, x)
    }

    fn s_yy(&self) -> BigInt {
        let y = (self.sum_y, self.scale_y);
        centred(self.n, (self.yy, self.scale_yy), y, y)
    }

    fn s_xy(&self) -> BigInt {
        let (x, y) = ((self.sum_x, self.scale_x), (self.sum_y, self.scale_y));
        centred(self.n, (self.xy, self.scale_xy), x, y)
    }

    /// Covariance; `None` below two rows (sample) or one row (population).
    #[must_use]
    pub fn covariance(&self, denominator: Denominator) -> Option<f64> {
        let degrees = degrees(self.n, denominator)?;
        let bottom =
            BigInt::from(self.n) * degrees * self.scale_x.divisor() * self.scale_y.divisor();
        quotient(&self.s_xy(), &bottom)
    }

    /// Pearson correlation; `None` when a variance is zero.
    #[must_use]
    pub fn correlation(&self) -> Option<f64> {
        let (s_xx, s_yy) = (self.s_xx(), self.s_yy());
        if s_xx.is_zero() || s_yy.is_zero() {
            return None;
        }
        // r² = Sxy² / (Sxx·Syy): scales cancel, so the ratio is exact until its square root.
        let s_xy = self.s_xy();
        let magnitude = quotient(&(&s_xy * &s_xy), &(s_xx * s_yy))?.sqrt();
        Some(if s_xy.is_negative() { -magnitude } else { magnitude })
    }

    /// Slope of the least-squares line of `y` on `x`; `None` when `x` does not vary.
    #[must_use]
    pub fn slope(&self) -> Option<f64> {
        let top = self.s_xy() * self.scale_x.divisor();
        quotient(&top, &(self.s_xx() * self.scale_y.divisor()))
    }

    /// Intercept of the least-squares line of `y` on `x`; `None` when `x` does not vary.
    #[must_use]
    pub fn intercept(&self) -> Option<f64> {
        // (Σy·Sxx − Σx·Sxy) / (n·Sxx), in the scale of y.
        let s_xx = self.s_xx();
        let top = BigInt::from(self.sum_y) * &s_xx - BigInt::from(self.sum_x) * self.s_xy();
        quotient(&top, &(BigInt::from(self.n) * s_xx * self.scale_y.divisor()))
    }

    /// Coefficient of determination as SQL defines it: `None` when `x` does not vary,
    /// 1 when only `y` does not vary.
    #[must_use]
    pub fn r_squared(&self) -> Option<f64> {
        let (s_xx, s_yy, s_xy) = (self.s_xx(), self.s_yy(), self.s_xy());
        if s_xx.is_zero() {
            return None;
        }
        if s_yy.is_zero() {
            return Some(1.0);
        }
        quotient(&(&s_xy * &s_xy), &(s_xx * s_yy))
    }

    /// `Σ(x−x̄)²` in the unit of `x` squared.
    #[must_use]
    pub fn regr_sxx(&self) -> Option<f64> {
        let divisor = self.scale_x.divisor();
        quotient(&self.s_xx(), &(BigInt::from(self.n) * &divisor * &divisor))
    }

    /// `Σ(y−ȳ)²` in the unit of `y` squared.
    #[must_use]
    pub fn regr_syy(&self) -> Option<f64> {
        let divisor = self.scale_y.divisor();
        quotient(&self.s_yy(), &(BigInt::from(self.n) * &divisor * &divisor))
    }

    /// `Σ(x−x̄)(y−ȳ)`.
    #[must_use]
    pub fn regr_sxy(&self) -> Option<f64> {
        let divisor = self.scale_x.divisor() * self.scale_y.divisor();
        quotient(&self.s_xy(), &(BigInt::from(self.n) * divisor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The `longley` series of NIST's Statistical Reference Datasets: GNP deflator (x, one
    /// decimal) and total employment (y), 16 rows; certified by any statistics package.
    const DEFLATOR: [i128; 16] =
        [830, 885, 882, 895, 962, 981, 990, 1000, 1012, 1046, 1084, 1108, 1126, 1142, 1157, 1169];
    const EMPLOYED: [i128; 16] = [
        60323, 61122, 60171, 61187, 63221, 63639, 64989, 63761, 66019, 67857, 68169, 66513, 68655,
        69564, 69331, 70551,
    ];

    fn longley() -> Bivariate {
        let sum = |f: &dyn Fn(usize) -> i128| (0..16).map(f).sum::<i128>();
        Bivariate {
            n: 16,
            sum_x: sum(&|i| DEFLATOR[i]),
            sum_y: sum(&|i| EMPLOYED[i]),
            xx: sum(&|i| DEFLATOR[i] * DEFLATOR[i]),
            yy: sum(&|i| EMPLOYED[i] * EMPLOYED[i]),
            xy: sum(&|i| DEFLATOR[i] * EMPLOYED[i]),
            scale_x: Scale::Decimal(1),
            scale_y: Scale::Decimal(0),
            scale_xx: Scale::Decimal(2),
            scale_yy: Scale::Decimal(0),
            scale_xy: Scale::Decimal(1),
        }
    }

    fn close(actual: Option<f64>, expected: f64) {
        let actual = actual.unwrap();
        assert!((actual - expected).abs() <= 1e-12 * expected.abs(), "{actual} != {expected}");
    }

    #[test]
    fn agrees_with_exact_rationals_on_longley() {
        let b = longley();
        let x = Univariate {
            n: 16,
            sum: b.sum_x,
            squares: b.xx,
            scale: b.scale_x,
            scale_squares: b.scale_xx,
        };
        // From Python's `statistics` and `fractions`, which work on exact rationals.
        close(mean(16, x.sum, x.scale), 101.68125);
        close(x.variance(Denominator::Sample), 116.457625);
        close(x.standard_deviation(Denominator::Sample), 10.791553409959105);
        close(x.variance(Denominator::Population), 109.1790234375);
        close(b.covariance(Denominator::Sample), 36796.66);
        close(b.covariance(Denominator::Population), 34496.86875);
        close(b.slope(), 315.9660863769118);
        close(b.intercept(), 33189.17337958764);
        close(b.r_squared(), 0.9426439459657336);
        close(b.correlation(), 0.9708985250610558);
        close(b.regr_sxx(), 1746.864375);
        close(b.regr_syy(), 185008826.0);
        close(b.regr_sxy(), 551949.9);
    }

    #[test]
    fn nothing_is_made_up_for_empty_or_constant_groups() {
        let one = Univariate {
            n: 1,
            sum: 500,
            squares: 250_000,
            scale: Scale::Decimal(2),
            scale_squares: Scale::Decimal(4),
        };
        assert_eq!(one.variance(Denominator::Sample), None);
        assert_eq!(one.variance(Denominator::Population), Some(0.0));
        assert_eq!(mean(0, 0, Scale::Decimal(2)), None);
        let flat = Bivariate { xx: 16, sum_x: 16, n: 16, ..longley() };
        assert_eq!((flat.correlation(), flat.slope(), flat.r_squared()), (None, None, None));
    }

    #[test]
    fn huge_offsets_do_not_cancel() {
        // x = 10^12 + {0, 1, 2} in cents: doubles lose this variance, integers do not.
        let base = 1_000_000_000_000i128;
        let xs = [base, base + 1, base + 2];
        let u = Univariate {
            n: 3,
            sum: xs.iter().sum(),
            squares: xs.iter().map(|x| x * x).sum(),
            scale: Scale::Decimal(0),
            scale_squares: Scale::Decimal(0),
        };
        assert_eq!(u.variance(Denominator::Sample), Some(1.0));
    }
}
