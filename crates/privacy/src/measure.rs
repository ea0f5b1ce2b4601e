//! Measures: what is added up, in which fixed-point scale, and the proof that sums cannot wrap.
//!
//! A cell is an `i128` in two's complement. Each row contributes an integer: its value in the
//! input's scale, clamped to the input's bound and rounded once, so sums are exact and do not
//! depend on order or partition. [`Measure::check`] is the overflow proof: with at most
//! [`ROWS_CAP`] rows in a hospital and [`HOSPITALS_CAP`] hospitals, every cell stays below 2^126.

use model::moments::Scale;

use crate::growth::GRADIENT_BITS;
use crate::shape::{GRADIENT_CELLS, MAX_TALLIES};
use crate::step::CONTRIBUTION_BITS;

/// Most rows of one relation in one hospital, joins included; a node stops beyond it.
pub const ROWS_CAP: u64 = 1 << 30;
/// Most hospitals in one region.
pub const HOSPITALS_CAP: usize = 1 << 10;
/// log2 of `ROWS_CAP × HOSPITALS_CAP`: contributions that may meet in one cell.
const TERMS_BITS: u32 = 40;
/// Sums stay below 2^126, one bit away from the sign.
const CELL_BITS: u32 = 126;
/// Fraction bits of a binary input.
pub const FRACTION_BITS: u8 = 40;
/// Most inputs of one request.
pub const MAX_INPUTS: usize = 64;
/// Most bins of one histogram.
pub const MAX_BINS: u16 = 320;
/// Most measures of one request.
pub const MAX_MEASURES: usize = 64;

/// One column of numbers that measures read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Input {
    /// Fixed-point scale of each contribution.
    pub scale: Scale,
    /// Contributions are clamped to `-bound..=bound`, in units of the scale.
    pub bound: u128,
    /// Derived from an amount of money, so that no hospital may dominate a pooled sum of it.
    pub money: bool,
}

impl Input {
    /// Smallest `b` with `bound <= 2^b`.
    #[must_use]
    pub fn bound_bits(&self) -> u32 {
        u128::BITS - self.bound.saturating_sub(1).leading_zeros()
    }

    /// Fraction bits that the product of two binary inputs can afford; `None` when even whole
    /// numbers would overflow.
    fn product_fraction(a: &Self, b: &Self) -> Option<u8> {
        let whole_bits =
            (a.bound_bits() + b.bound_bits()).saturating_sub(2 * u32::from(FRACTION_BITS));
        let room = (CELL_BITS - TERMS_BITS - 1).checked_sub(whole_bits)?;
        u8::try_from(room.min(u32::from(FRACTION_BITS))).ok()
    }

    /// The scale in which the product of two inputs is added up.
    ///
    /// # Errors
    /// [`Overflow`] when the sum could reach 2^126, or when the scales are of unlike kinds.
    pub fn product_scale(a: &Self, b: &Self) -> Result<Scale, Overflow> {
        match (a.scale, b.scale) {
            (Scale::Decimal(x), Scale::Decimal(y)) => {
                let digits = x.checked_add(y).ok_or(Overflow)?;
                let fits = a.bound_bits() + b.bound_bits() + TERMS_BITS < CELL_BITS;
                if fits { Ok(Scale::Decimal(digits)) } else { Err(Overflow) }
            }
            (Scale::Binary(_), Scale::Binary(_)) => {
                Self::product_fraction(a, b).map(Scale::Binary).ok_or(Overflow)
            }
            _ => Err(Overflow),
        }
    }

    /// Smallest `b` such that the product of one value of each, in [`Input::product_scale`], is at
    /// most 2^b.
    fn product_bits(&self, other: &Self) -> u32 {
        let bits = self.bound_bits() + other.bound_bits();
        let Ok(Scale::Binary(fraction)) = Self::product_scale(self, other) else { return bits };
        bits.saturating_sub(2 * u32::from(FRACTION_BITS)) + u32::from(fraction)
    }

    fn check(&self) -> Result<(), Overflow> {
        let known_scale = match self.scale {
            Scale::Decimal(digits) => digits <= 18,
            Scale::Binary(bits) => bits == FRACTION_BITS,
        };
        let fits = self.bound > 0 && self.bound_bits() + TERMS_BITS < CELL_BITS;
        if known_scale && fits { Ok(()) } else { Err(Overflow) }
    }
}

/// The sums of a request could reach 2^126, or its scales do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sum could exceed 2^126 units; scale the input down or cast it to DOUBLE")]
pub struct Overflow;

/// One thing to add up. Indices point into the request's inputs.
///
/// Cells, in order: `Rows` n · `Persons` n · `Count` n · `Sum` n, Σx · `Squares` n, Σx, Σx² ·
/// `Products` n, Σx, Σy, Σx², Σy², Σxy over the rows where both are present · `Histogram` n of each
/// bin, or, once it was released, [`JOINED`] for a bin that is counted in the next one · `Step` the
/// sum of the group's place · `Gradients` the rows of each bin likewise, then `Σg` of each, then
/// `Σh` of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Rows of the relation: `COUNT(*)`.
    Rows,
    /// Distinct persons inside one hospital: `COUNT(DISTINCT person_key)`.
    Persons,
    /// Distinct stays inside one hospital: `COUNT(DISTINCT stay_key)`.
    Stays,
    /// Hospitals with a released cell: `COUNT(DISTINCT hospital_id)`.
    Contributors,
    /// Rows where the input is present.
    Count(usize),
    /// And the sum of the input.
    Sum(usize),
    /// And the sum of its squares.
    Squares(usize),
    /// The pairwise-complete sums of two inputs, `x` then `y`.
    Products(usize, usize),
    /// Rows by the bins of the input's column ([`model::schema::bins`]): the input, and how many
    /// bins it has.
    Histogram(usize, u16),
    /// A sum of a step of fitting a model ([`crate::step`]).
    Step,
    /// Rows and sums of gradients by the bins of a feature ([`crate::growth`]): how many bins, and how
    /// many sets of persons each run of them must hold the minimum of.
    Gradients(u16, u8),
}

/// Stands in a released histogram for a bin whose rows are counted in the next one.
pub const JOINED: i128 = -1;

impl Measure {
    /// Number of bins; 0 for anything but a histogram.
    #[must_use]
    pub const fn bins(self) -> usize {
        match self {
            Self::Histogram(_, bins) | Self::Gradients(bins, _) => bins as usize,
            _ => 0,
        }
    }

    /// Sets of persons of which each run of bins must hold the minimum; 0 for anything but a
    /// histogram.
    #[must_use]
    pub const fn tallies(self) -> usize {
        match self {
            Self::Histogram(..) => 1,
            Self::Gradients(_, tallies) => tallies as usize,
            _ => 0,
        }
    }

    /// Number of cells per group.
    #[must_use]
    pub const fn width(self) -> usize {
        match self {
            Self::Histogram(_, bins) => bins as usize,
            Self::Gradients(bins, _) => GRADIENT_CELLS as usize * bins as usize,
            Self::Rows
            | Self::Persons
            | Self::Stays
            | Self::Contributors
            | Self::Count(_)
            | Self::Step => 1,
            Self::Sum(_) => 2,
            Self::Squares(_) => 3,
            Self::Products(..) => 6,
        }
    }

    /// The inputs it reads.
    #[must_use]
    pub const fn inputs(self) -> (Option<usize>, Option<usize>) {
        match self {
            Self::Rows
            | Self::Persons
            | Self::Stays
            | Self::Contributors
            | Self::Step
            | Self::Gradients(..) => (None, None),
            Self::Count(x) | Self::Sum(x) | Self::Squares(x) | Self::Histogram(x, _) => {
                (Some(x), None)
            }
            Self::Products(x, y) => (Some(x), Some(y)),
        }
    }

    /// Its inputs that are amounts of money and are added up.
    #[must_use]
    pub fn amounts(self, inputs: &[Input]) -> usize {
        let is_money = |index: &usize| inputs.get(*index).is_some_and(|input| input.money);
        match (self, self.inputs()) {
            (Self::Sum(_) | Self::Squares(_) | Self::Products(..), (x, y)) => {
                x.iter().chain(&y).filter(|index| is_money(index)).count()
            }
            _ => 0,
        }
    }

    /// For each cell, the smallest `b` such that one row contributes at most 2^b: what
    /// [`Measure::check`] multiplies with the number of rows.
    #[must_use]
    pub fn row_bits(self, inputs: &[Input]) -> Vec<u32> {
        let at = |index: usize| inputs.get(index);
        let bits = |index: usize| at(index).map_or(0, Input::bound_bits);
        let product = |x: usize, y: usize| at(x).zip(at(y)).map_or(0, |(x, y)| x.product_bits(y));
        match self {
            Self::Rows | Self::Persons | Self::Stays | Self::Contributors | Self::Count(_) => {
                vec![0]
            }
            Self::Step => vec![CONTRIBUTION_BITS],
            Self::Histogram(_, bins) => vec![0; bins.into()],
            Self::Gradients(bins, _) => {
                let of = |bits| std::iter::repeat_n(bits, bins.into());
                of(0).chain(of(GRADIENT_BITS)).chain(of(GRADIENT_BITS)).collect()
            }
            Self::Sum(x) => vec![0, bits(x)],
            Self::Squares(x) => vec![0, bits(x), product(x, x)],
            Self::Products(x, y) => {
                vec![0, bits(x), bits(y), product(x, x), product(y, y), product(x, y)]
            }
        }
    }

    /// Proves that no cell of this measure can reach 2^126.
    ///
    /// # Errors
    /// [`Overflow`] when it could, or when an index has no input.
    pub fn check(self, inputs: &[Input]) -> Result<(), Overflow> {
        let at = |index: usize| inputs.get(index).ok_or(Overflow);
        match self {
            Self::Rows | Self::Persons | Self::Stays | Self::Contributors | Self::Step => Ok(()),
            Self::Gradients(bins, tallies) => {
                let known =
                    (1..=MAX_BINS).contains(&bins) && (1..=MAX_TALLIES).contains(&tallies.into());
                if known { Ok(()) } else { Err(Overflow) }
            }
            Self::Count(x) | Self::Sum(x) => at(x)?.check(),
            Self::Histogram(x, bins) => {
                at(x)?.check()?;
                if (1..=MAX_BINS).contains(&bins) { Ok(()) } else { Err(Overflow) }
            }
            Self::Squares(x) => {
                at(x)?.check()?;
                Input::product_scale(at(x)?, at(x)?).map(|_| ())
            }
            Self::Products(x, y) => {
                let (x, y) = (at(x)?, at(y)?);
                x.check()?;
                y.check()?;
                for (a, b) in [(x, x), (y, y), (x, y)] {
                    Input::product_scale(a, b)?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(bound_units: u128) -> Input {
        Input { scale: Scale::Decimal(4), bound: bound_units * 10_000, money: true }
    }

    #[test]
    fn a_hundred_million_squared_fits_and_a_billion_does_not() {
        assert_eq!(Measure::Squares(0).check(&[money(100_000_000)]), Ok(()));
        assert_eq!(Measure::Squares(0).check(&[money(1_000_000_000)]), Err(Overflow));
        assert_eq!(Measure::Sum(0).check(&[money(1_000_000_000)]), Ok(()));
    }

    #[test]
    fn the_largest_admitted_sum_stays_below_the_sign() {
        // The proof itself, at the edge: bound² · 2^40 < 2^126 for the widest admitted bound.
        let widest = Input { scale: Scale::Decimal(0), bound: 1 << 42, money: false };
        assert_eq!(Measure::Squares(0).check(&[widest]), Ok(()));
        let terms = u128::from(ROWS_CAP) * HOSPITALS_CAP as u128;
        assert!(widest.bound * widest.bound * terms < 1 << 126);
        let wider = Input { bound: (1 << 43) + 1, ..widest };
        assert_eq!(Measure::Squares(0).check(&[wider]), Err(Overflow));
    }

    #[test]
    fn binary_products_trade_fraction_for_range() {
        let unit = |whole_bits: u32| Input {
            scale: Scale::Binary(FRACTION_BITS),
            bound: 1 << (whole_bits + u32::from(FRACTION_BITS)),
            money: false,
        };
        assert_eq!(Input::product_scale(&unit(20), &unit(20)), Ok(Scale::Binary(40)));
        assert_eq!(Input::product_scale(&unit(27), &unit(27)), Ok(Scale::Binary(31)));
        assert_eq!(Input::product_scale(&unit(44), &unit(44)), Err(Overflow));
        assert!(Input::product_scale(&unit(1), &money(1)).is_err());
    }
}
