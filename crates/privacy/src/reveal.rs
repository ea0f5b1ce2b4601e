//! The coordinator's part: sums of uploads, and what is left when the masks are gone.
//!
//! Uploads are added up as they are complete; a single one is never looked at. What the witness
//! opens is checked twice, so a wrong mask is an error and never a wrong answer: against the value
//! checks, and against the bounds that the request declares, without which a check could be
//! deceived ([`mod@crate::blind`]). A change of `odd · 2^k` to a value is guessed with probability
//! 2^-(127 - k); what is small enough to be believed has a small `k`, and a sum that its bounds keep
//! below 2^60 cannot be changed with a better chance than 2^-66. How many groups are withheld the
//! coordinator cannot check: there it has the witness's word.

mod noisy;

use crate::blind::{RoundKey, accumulate, count_of};
use crate::combine::{Combined, CombinedGroup};
use crate::domain::Domain;
use crate::mask::CELL_BYTES;
use crate::measure::JOINED;
use crate::measure::{HOSPITALS_CAP, ROWS_CAP};
use crate::open::{Opened, slots};
use crate::request::ReleaseRequest;
use crate::shape::{Check, MAX_MASKED_MEASURES, Shape};

pub use noisy::reveal_noisy;

/// Most rows of one answer; anything beyond was not made by hospitals.
const ROWS_LIMIT: u128 = ROWS_CAP as u128 * HOSPITALS_CAP as u128;

/// The sum of complete uploads, column after column.
#[derive(Debug, Clone)]
pub struct Total {
    entries: Vec<u128>,
}

/// Why a round has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RevealError {
    /// An upload has not the length that its request prescribes.
    #[error("an upload has another length than its request prescribes")]
    Length,
    /// The witness's reply does not fit the round.
    #[error("the witness's reply does not fit the round")]
    Shape,
    /// A check failed: a mask is not the one under which the hospitals uploaded.
    #[error("the witness's masks are not those of the round, or an upload was altered")]
    Check,
}

impl Total {
    /// Nothing yet.
    #[must_use]
    pub fn new(shape: &Shape) -> Self {
        Self { entries: vec![0; shape.columns() * shape.cells()] }
    }

    /// Adds one complete upload: its bytes, 16 for each cell, little-endian.
    ///
    /// # Errors
    /// [`RevealError::Length`].
    pub fn add(&mut self, upload: &[u8]) -> Result<(), RevealError> {
        if upload.len() != self.entries.len() * CELL_BYTES {
            return Err(RevealError::Length);
        }
        for (sum, cell) in self.entries.iter_mut().zip(upload.chunks_exact(CELL_BYTES)) {
            let mut bytes = [0u8; CELL_BYTES];
            bytes.copy_from_slice(cell);
            *sum = sum.wrapping_add(u128::from_le_bytes(bytes));
        }
        Ok(())
    }

    /// The columns that go to the witness.
    #[must_use]
    pub fn witnessed(&self, shape: &Shape) -> &[u128] {
        &self.entries[..shape.witnessed().len() * shape.cells()]
    }
}

/// Takes the opened masks away, checks, and gives every group its codes back.
///
/// # Errors
/// [`RevealError`].
pub fn reveal(
    total: &Total,
    opened: &Opened,
    request: &ReleaseRequest,
    shape: &Shape,
    key: &RoundKey,
) -> Result<Combined, RevealError> {
    let cells = shape.cells();
    let cell_at = cells_at(shape, key);
    let ascending = opened.places.windows(2).all(|pair| pair[0] < pair[1]);
    if !ascending || opened.places.len() != opened.verdicts.len() || !is_earned(opened, shape) {
        return Err(RevealError::Shape);
    }
    let mut runs = Runs { shape, ends: &opened.runs };
    let mut combined = Combined {
        withheld_cells: opened.withheld_groups,
        withheld_measures: opened.withheld_measures,
        ..Combined::default()
    };
    let checked = Checked::new(request, shape, key);
    let mut masks = opened.masks.iter();
    for (place, bits) in opened.places.iter().zip(&opened.verdicts) {
        let place = *place as usize;
        let cell = *cell_at.get(place).ok_or(RevealError::Shape)?;
        // The sum of a slot stands in its last column.
        let mut values = vec![0u128; shape.columns()];
        let ends = runs.of(*bits)?;
        for slot in slots(shape, *bits, &mut ends.iter().copied()) {
            let mask = masks.next().ok_or(RevealError::Shape)?;
            let at = |column: usize| total.entries[column * cells + place];
            let last = slot.end - 1;
            let sum = slot.fold(0u128, |sum, column| sum.wrapping_add(at(column)));
            values[last] = sum.wrapping_sub(*mask);
        }
        let (rows, group) = checked.group(&mut values, *bits, ends)?;
        if let Some(codes) = key_of(cell, request.domains()) {
            combined.released_cells += 1;
            combined.released_rows += rows;
            combined.groups.insert(codes, group);
        } else {
            combined.withheld_cells = combined.withheld_cells.saturating_add(1);
            combined.withheld_rows += rows;
        }
    }
    if masks.next().is_some() || !runs.ends.is_empty() {
        return Err(RevealError::Shape);
    }
    combined.withheld_rows += checked.remainder(total, opened)?;
    combined.withheld_rows_known = opened.remainder.is_some();
    Ok(combined)
}

/// The verdicts are of groups that pass, of measures that there are, and add up.
fn is_earned(opened: &Opened, shape: &Shape) -> bool {
    let measures = shape.measures().len();
    let known = u64::MAX >> (MAX_MASKED_MEASURES - measures);
    let of_groups = opened.verdicts.iter().all(|bits| bits & 1 == 1 && bits & !known == 0);
    let missing = |bits: &u64| (known & !bits).count_ones();
    let withheld: u64 = opened.verdicts.iter().map(|bits| u64::from(missing(bits))).sum();
    of_groups && withheld == opened.withheld_measures
}

/// The ends of runs, taken one group at a time.
struct Runs<'a> {
    shape: &'a Shape,
    ends: &'a [bool],
}

impl<'a> Runs<'a> {
    /// The ends of a group's passing histograms, bin by bin. The last bin of each ends a run.
    fn of(&mut self, bits: u64) -> Result<&'a [bool], RevealError> {
        let whole = self.ends;
        let passing = self.shape.measures().iter().enumerate();
        for (_, measure) in passing.filter(|(index, _)| bits >> (index + 1) & 1 == 1) {
            let bins = measure.bins as usize;
            let own = self.ends.split_at_checked(bins).ok_or(RevealError::Shape)?;
            if own.0.last() == Some(&false) {
                return Err(RevealError::Shape);
            }
            self.ends = own.1;
        }
        Ok(&whole[..whole.len() - self.ends.len()])
    }
}

/// What values are held against.
struct Checked<'a> {
    shape: &'a Shape,
    coefficients: Vec<u128>,
    /// Of each part.
    checks: Vec<Vec<Check>>,
    row_bits: Vec<Vec<u32>>,
}

impl<'a> Checked<'a> {
    fn new(request: &ReleaseRequest, shape: &'a Shape, key: &RoundKey) -> Self {
        let coefficients = key.coefficients(shape.columns() - shape.guards() - 1);
        let bits = request.measures().iter().map(|measure| measure.row_bits(request.inputs()));
        let checks = (0..=shape.measures().len()).map(|part| shape.checks(part)).collect();
        Self { shape, coefficients, checks, row_bits: bits.collect() }
    }

    /// Each check of a part is that of its values. The bins of a run that stand before its last are
    /// zero here, and so are their checks. Checks that stand above their values are taken away.
    fn is_checked(&self, part: usize, values: &mut [u128]) -> bool {
        if let Some((columns, coefficient)) = self.shape.counted(part) {
            let coefficient = self.coefficients[coefficient];
            return values[columns].iter_mut().all(|value| match count_of(*value, coefficient) {
                Some(rows) => {
                    *value = rows;
                    true
                }
                None => false,
            });
        }
        self.checks[part].iter().all(|Check { columns, coefficient, check }| {
            let mut sum = [0u128];
            for (column, coefficient) in columns.clone().zip(&self.coefficients[*coefficient..]) {
                accumulate(&mut sum, *coefficient, &values[column..=column]);
            }
            sum[0] == values[*check]
        })
    }

    /// A group's rows and its measures, when they stand up to their checks.
    fn group(
        &self,
        values: &mut [u128],
        bits: u64,
        ends: &[bool],
    ) -> Result<(u64, CombinedGroup), RevealError> {
        let rows = values[self.shape.value_columns(0).0.start];
        if !self.is_checked(0, values) || rows > ROWS_LIMIT {
            return Err(RevealError::Check);
        }
        let mut group = CombinedGroup { rows: 0, cells: Vec::new(), withheld: Vec::new() };
        let mut ends = ends.iter();
        for (index, row_bits) in self.row_bits.iter().enumerate() {
            let passes = bits >> (index + 1) & 1 == 1;
            if passes && !self.is_checked(index + 1, values) {
                return Err(RevealError::Check);
            }
            group.withheld.push(!passes);
            let (columns, _) = self.shape.value_columns(index + 1);
            let is_histogram = passes && self.shape.measures()[index].bins > 0;
            let bins = if is_histogram { self.shape.measures()[index].bins as usize } else { 0 };
            let mut binned = 0u128;
            for (cell, (value, row_bits)) in values[columns].iter().zip(row_bits).enumerate() {
                let value = value.cast_signed();
                // The first cells of a histogram are rows of its bins; sums may stand behind them.
                let is_bin = cell < bins;
                if value.unsigned_abs() > rows << row_bits || (is_bin && value < 0) {
                    return Err(RevealError::Check);
                }
                binned += if is_bin { value.unsigned_abs() } else { 0 };
                let is_joined = is_bin && ends.next() != Some(&true);
                group.cells.push(if is_joined { JOINED } else { value });
            }
            let gradients = is_histogram && self.shape.measures()[index].tallies > 1;
            if binned > rows || (gradients && binned != rows) {
                return Err(RevealError::Check);
            }
        }
        group.rows = u64::try_from(rows).map_err(|_| RevealError::Check)?;
        Ok((group.rows, group))
    }

    /// Rows of the cells that do not pass, when that number may be told.
    fn remainder(&self, total: &Total, opened: &Opened) -> Result<u64, RevealError> {
        let Some(masks) = opened.remainder else { return Ok(0) };
        let cells = self.shape.cells();
        let (rows, check) = self.shape.value_columns(0);
        let mut values = vec![0u128; self.shape.columns()];
        for (column, mask) in [rows.start, check.start].into_iter().zip(masks) {
            let mut passing = opened.places.iter().peekable();
            let column_of_total = &total.entries[column * cells..(column + 1) * cells];
            for (place, cell) in column_of_total.iter().enumerate() {
                if passing.next_if(|next| **next as usize == place).is_none() {
                    values[column] = values[column].wrapping_add(*cell);
                }
            }
            values[column] = values[column].wrapping_sub(mask);
        }
        let sum = values[rows.start];
        if !self.is_checked(0, &mut values) || sum > ROWS_LIMIT {
            return Err(RevealError::Check);
        }
        u64::try_from(sum).map_err(|_| RevealError::Check)
    }
}

/// The cell that stands at each place of the round's order.
fn cells_at(shape: &Shape, key: &RoundKey) -> Vec<usize> {
    let mut cell_at = vec![0usize; shape.cells()];
    for (cell, place) in key.order(shape.cells()).iter().enumerate() {
        cell_at[*place as usize] = cell;
    }
    cell_at
}

/// The codes of a cell; `None` when one of its places has no name.
fn key_of(cell: usize, domains: &[Domain]) -> Option<Vec<Option<String>>> {
    let mut rest = cell;
    let mut codes = Vec::with_capacity(domains.len());
    for domain in domains.iter().rev() {
        let place = rest % domain.size();
        rest /= domain.size();
        if !domain.is_named(place) {
            return None;
        }
        codes.push(domain.code(place));
    }
    codes.reverse();
    Some(codes)
}

#[cfg(test)]
mod tests;
