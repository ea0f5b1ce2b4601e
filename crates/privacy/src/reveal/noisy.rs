//! Sums of a noisy round: what is left without the masks is the sum and its noise.

use std::iter::empty;

use super::{ROWS_LIMIT, RevealError, Total, cells_at, key_of};
use crate::blind::RoundKey;
use crate::combine::{Combined, CombinedGroup};
use crate::noise::regional::{RoundNoise, all_of};
use crate::noise::tidy;
use crate::open::{Opened, slots};
use crate::request::ReleaseRequest;
use crate::shape::Shape;

/// A draw is further away than so many deviations once in 10^800 times.
const REACH: u128 = 64;

/// Takes the opened masks away and gives every group its codes back. Groups of fewer noisy rows than `least_rows` are
/// left out, unless the question has one group only.
///
/// # Errors
/// [`RevealError::Shape`]. [`RevealError::Check`] when a number is one that neither the request's bounds nor the noise
/// explain: under wrong masks all numbers are like that. What is less wrong cannot be found out.
pub fn reveal_noisy(
    total: &Total,
    opened: &Opened,
    request: &ReleaseRequest,
    shape: &Shape,
    key: &RoundKey,
    (noise, least_rows): (&RoundNoise, u64),
) -> Result<Combined, RevealError> {
    let (cells, bits) = (shape.cells(), all_of(shape));
    let all = opened.places.iter().map(|place| *place as usize).eq(0..cells);
    let slots = slots(shape, bits, &mut empty());
    let fits = opened.masks.len() == cells * slots.len()
        && opened.runs.is_empty()
        && noise.deviations.len() == request.width() + 1;
    if !all || !fits || opened.verdicts.iter().any(|verdict| *verdict != bits) {
        return Err(RevealError::Shape);
    }
    let first = shape.value_columns(0).0.start;
    let limits = limits(request, noise);
    let cell_at = cells_at(shape, key);
    let is_whole = request.dimensions().is_empty();
    let mut combined = Combined::default();
    for (place, masks) in opened.masks.chunks(slots.len()).enumerate() {
        // The number of rows, then the cells.
        let mut values = vec![0i128; request.width() + 1];
        for (slot, mask) in slots.iter().zip(masks) {
            // What follows the cells are places of checks, which such a round leaves empty.
            let Some(value) = values.get_mut(slot.start - first) else { continue };
            *value = total.entries[slot.start * cells + place].wrapping_sub(*mask).cast_signed();
        }
        let is_possible =
            values.iter().zip(&limits).all(|(value, limit)| value.unsigned_abs() <= *limit);
        if !is_possible {
            return Err(RevealError::Check);
        }
        let rows = values.remove(0).max(0);
        if !is_whole && rows < i128::from(least_rows) {
            continue;
        }
        let Some(codes) = key_of(cell_at[place], request.domains()) else { continue };
        tidy(&mut values, rows, request);
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        combined.released_cells += 1;
        combined.released_rows = combined.released_rows.saturating_add(rows);
        let withheld = vec![false; request.measures().len()];
        combined.groups.insert(codes, CombinedGroup { rows, cells: values, withheld });
    }
    Ok(combined)
}

/// How large the number of rows and each cell can be, noise included.
fn limits(request: &ReleaseRequest, noise: &RoundNoise) -> Vec<u128> {
    let bits = request.measures().iter().flat_map(|measure| measure.row_bits(request.inputs()));
    let sums = [0].into_iter().chain(bits).map(|bits| ROWS_LIMIT << bits);
    let drawn = noise.deviations.iter().map(|deviation| deviation.saturating_mul(REACH));
    sums.zip(drawn).map(|(sum, drawn)| sum.saturating_add(drawn)).collect()
}
