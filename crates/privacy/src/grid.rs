//! Bins: where a column's values are counted, and which bins may be opened.
//!
//! A percentile over hospitals is read off a histogram. Its bins are public and the same for
//! everybody, so that counts add up: whole numbers have a bin each up to [`UNIT_BINS`], and what is
//! larger, or measured finer, has the steps of the E24 series of preferred numbers (IEC 60063, 24
//! steps a decade, each about 10 % above the last).
//!
//! A bin is a cell: its persons and hospitals must be nobody or the minimum. [`runs`] merges
//! adjacent bins until they are. A stretch of empty bins is opened as such only beside a bin that
//! reaches the minimum by itself: otherwise its end would tell the bin of one person's value, the
//! smallest or largest.

use model::moments::Scale;

use crate::measure::{Input, Overflow};

/// Whole numbers up to this one have a bin each.
pub const UNIT_BINS: i128 = 100;
/// Most bins of one histogram.
pub const MAX_BINS: usize = 320;

/// E24, in tenths.
const E24: [i128; 24] = [
    10, 11, 12, 13, 15, 16, 18, 20, 22, 24, 27, 30, 33, 36, 39, 43, 47, 51, 56, 62, 68, 75, 82, 91,
];
/// First decade of the steps of a decimal column: from 1 on.
const DECIMAL_DECADE: i32 = 0;
/// First decade of the steps of a binary column: from 0.001 on.
const BINARY_DECADE: i32 = -3;

/// The bins of one input, in units of its scale: all below the first edge, between each edge and
/// the next, and from the last edge on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// Ascending; an edge belongs to the bin above it.
    edges: Vec<i128>,
    bound: i128,
}

/// What is known of one bin, or of adjacent ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Persons, each counted in one bin only; never more than there are.
    pub persons: u128,
    /// Hospitals with somebody in the bin; of several bins, the most of any.
    pub hospitals: u128,
}

/// `mantissa / 10 · 10^decade`, in units of which `one` make 1, rounded to the nearest.
fn step(mantissa: i128, decade: i32, one: i128) -> Option<i128> {
    let exponent = decade - 1;
    let power = 10i128.checked_pow(exponent.unsigned_abs())?;
    let scaled = mantissa.checked_mul(one)?;
    if exponent < 0 { Some((scaled + power / 2) / power) } else { scaled.checked_mul(power) }
}

impl Grid {
    /// The bins of `input`; two inputs that differ in their bound have the same edges as far as
    /// both reach.
    ///
    /// # Errors
    /// [`Overflow`] when the input's range needs more than [`MAX_BINS`].
    pub fn of(input: &Input) -> Result<Self, Overflow> {
        let bound = i128::try_from(input.bound).map_err(|_| Overflow)?;
        let (one, first_decade, units) = match input.scale {
            Scale::Decimal(0) => (1, DECIMAL_DECADE, UNIT_BINS),
            Scale::Decimal(digits) => (10i128.pow(digits.into()), DECIMAL_DECADE, 0),
            Scale::Binary(bits) => (1i128 << bits, BINARY_DECADE, 0),
        };
        let mut edges: Vec<i128> = (0..=units.min(bound)).collect();
        let mut last = units;
        'steps: for decade in first_decade.. {
            for mantissa in E24 {
                let Some(edge) = step(mantissa, decade, one).filter(|edge| *edge <= bound) else {
                    break 'steps;
                };
                if edge > last {
                    edges.push(edge);
                    last = edge;
                }
                if edges.len() >= MAX_BINS {
                    return Err(Overflow);
                }
            }
        }
        Ok(Self { edges, bound })
    }

    /// Number of bins.
    #[must_use]
    pub const fn bins(&self) -> usize {
        self.edges.len() + 1
    }

    /// The bin of a value.
    #[must_use]
    pub fn bin_of(&self, value: i128) -> usize {
        self.edges.partition_point(|edge| *edge <= value)
    }

    /// The smallest and the largest value that bins `first` to `last` hold.
    #[must_use]
    pub fn span(&self, first: usize, last: usize) -> (i128, i128) {
        let low = first.checked_sub(1).and_then(|before| self.edges.get(before));
        let high = self.edges.get(last).map(|edge| edge - 1);
        (low.copied().unwrap_or(-self.bound), high.unwrap_or(self.bound))
    }
}

impl Tally {
    const fn is_empty(self) -> bool {
        self.hospitals == 0
    }

    const fn reaches(self, minimum: Self) -> bool {
        self.persons >= minimum.persons && self.hospitals >= minimum.hospitals
    }

    fn with(self, other: Self) -> Self {
        Self {
            persons: self.persons + other.persons,
            hospitals: self.hospitals.max(other.hospitals),
        }
    }
}

/// Merges adjacent bins: for each bin, whether a run ends after it. Every run holds nobody or
/// reaches `minimum`; when nothing reaches it, all bins are one run.
#[must_use]
pub fn runs(bins: &[Tally], minimum: Tally) -> Vec<bool> {
    let mut ends = vec![false; bins.len()];
    let mut run = Tally::default();
    for (index, bin) in bins.iter().enumerate() {
        if run.is_empty() && bin.reaches(minimum) && index > 0 {
            ends[index - 1] = true;
        }
        run = run.with(*bin);
        if run.reaches(minimum) {
            ends[index] = true;
            run = Tally::default();
        }
    }
    join_rest(bins, minimum, &mut ends);
    ends
}

/// What is left after the last run is a run of its own when it holds nobody and lies beside a bin
/// that stands by itself; else it goes to the last run that holds somebody.
fn join_rest(bins: &[Tally], minimum: Tally, ends: &mut [bool]) {
    let Some(last) = bins.len().checked_sub(1) else { return };
    let start_of = |ends: &[bool]| ends.iter().rposition(|end| *end).map_or(0, |end| end + 1);
    let is_empty = |bins: &[Tally]| bins.iter().all(|bin| bin.is_empty());
    let mut start = start_of(ends);
    if start > last {
        return;
    }
    ends[last] = true;
    let stands = start.checked_sub(1).is_none_or(|before| bins[before].reaches(minimum));
    if stands && is_empty(&bins[start..]) {
        return;
    }
    let mut holds_nobody = true;
    while start > 0 && holds_nobody {
        ends[start - 1] = false;
        let before = start_of(&ends[..start - 1]);
        holds_nobody = is_empty(&bins[before..start]);
        start = before;
    }
}

#[cfg(test)]
mod tests;
