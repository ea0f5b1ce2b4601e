//! Cells of a noisy round: bounded sums and nothing else.
//!
//! No rule of the hospital's own applies, since each depends on rows, and no guard, sketch or check is written: the
//! witness has nothing to judge, and with a check the coordinator could take the noise off again.

use super::cell_of;
use crate::admit::Round;
use crate::noise::regional::RoundNoise;
use crate::partial::Partial;

/// Cells before the mask, column after column, in the round's order.
pub(super) fn lay_out(partial: Partial, round: &Round, noise: &RoundNoise) -> Vec<u128> {
    let shape = &round.terms.shape;
    let cells = shape.cells();
    let mut entries = vec![0u128; shape.columns() * cells];
    let request = round.admitted.request();
    let places: Vec<_> = request.domains().iter().map(crate::Domain::places).collect();
    let order = round.round_key.order(cells);
    let first = shape.value_columns(0).0.start;
    let (groups, _) = partial.into_parts();
    for group in groups {
        let Some(cell) = cell_of(&group, &places, request.domains()) else { continue };
        let Some(&place) = order.get(cell) else { continue };
        let rows = [i128::from(group.rows)];
        let values = rows.iter().chain(&group.cells).zip(&noise.deviations).enumerate();
        // What has no draw of its own would be told as it is.
        for (column, (value, _)) in values.filter(|(_, (_, deviation))| **deviation > 0) {
            let entry = &mut entries[(first + column) * cells + place as usize];
            *entry = entry.wrapping_add(value.cast_unsigned());
        }
    }
    entries
}
