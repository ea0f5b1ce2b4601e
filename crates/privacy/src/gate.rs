//! The gate: the only way from [`Partial`] to [`Released`], and so the only way out.
//!
//! Rules, in this order (DESIGN, section 6):
//! 1. *Selectivity.* A filtered set of fewer persons than the floor releases nothing and is
//!    indistinguishable from a hospital without such rows.
//! 2. *Minimum cell.* A group needs the minimum of distinct persons **and** of stays, with or
//!    without GROUP BY.
//! 3. *Support.* The persons who have a value, those who have none, and those with a value other
//!    than zero must each be none or the minimum; for a measure with conditions (CASE, FILTER, a
//!    flag, a default) so must those in each combination of its branches. Otherwise that measure
//!    is withheld and the group stays.
//! 4. *Differencing.* A group whose persons differ from those of an earlier release by fewer than the
//!    minimum is withheld; when the whole relation does so, nothing is released
//!    ([`mod@crate::sketch`]).
//! 5. *Bins.* Adjacent bins of a histogram are merged until each run holds the minimum of persons
//!    ([`runs`]).
//!
//! How many rows lie in withheld groups is told exactly only when the whole table was asked for
//! (its size is public); else it is rounded to a multiple of the minimum, so that one withheld
//! group's count cannot be read off.

use crate::bins::{Tally, runs};
use crate::measure::{JOINED, Measure};
use crate::partial::{Partial, PartialGroup, Support};
use crate::sketch::{Differenced, Known, Sketch, Sketched, Told, keep_apart};

/// One group that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleasedGroup {
    key: Vec<Option<String>>,
    rows: u64,
    cells: Vec<i128>,
    withheld: Vec<bool>,
}

impl ReleasedGroup {
    /// One code per dimension.
    #[must_use]
    pub fn key(&self) -> &[Option<String>] {
        &self.key
    }

    /// Rows of the group.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Cells of all measures; those of a withheld measure are zero and mean nothing.
    #[must_use]
    pub fn cells(&self) -> &[i128] {
        &self.cells
    }

    /// For each measure, whether it was withheld.
    #[must_use]
    pub fn withheld(&self) -> &[bool] {
        &self.withheld
    }
}

/// Cells that passed the hospital's gate. Only [`release`] makes one; only this can be encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    groups: Vec<ReleasedGroup>,
    withheld_groups: u64,
    withheld_measures: u64,
    withheld_rows: u64,
    told: Vec<Told>,
}

impl Released {
    /// Groups that passed.
    #[must_use]
    pub fn groups(&self) -> &[ReleasedGroup] {
        &self.groups
    }

    /// Number of groups that did not.
    #[must_use]
    pub const fn withheld_groups(&self) -> u64 {
        self.withheld_groups
    }

    /// Number of measures withheld in groups that passed.
    #[must_use]
    pub const fn withheld_measures(&self) -> u64 {
        self.withheld_measures
    }

    /// The populations that it tells, to be known from now on.
    #[must_use]
    pub fn told(&self) -> &[Told] {
        &self.told
    }

    /// Rows in groups that did not pass, rounded as the module says.
    #[must_use]
    pub const fn withheld_rows(&self) -> u64 {
        self.withheld_rows
    }
}

/// Lets pass what the rules allow beside the populations that are `known`.
///
/// # Errors
/// [`Differenced`].
pub fn release(partial: Partial, known: &Known) -> Result<Released, Differenced> {
    let mut released = Released {
        groups: Vec::new(),
        withheld_groups: 0,
        withheld_measures: 0,
        withheld_rows: 0,
        told: Vec::new(),
    };
    if partial.is_below_selectivity() {
        return Ok(released);
    }
    let thresholds = partial.admitted().thresholds();
    let measures = partial.admitted().request().measures().to_vec();
    let sketched = Sketched::of(partial.admitted().request());
    let selective = partial.is_selective();
    let minimum = thresholds.persons_cap();
    let (groups, population) = partial.into_parts();
    let Some((cells, whole)) = population.sketches(sketched, groups.len()) else {
        return Ok(released);
    };
    let mut passes: Vec<bool> = groups
        .iter()
        .map(|group| {
            let enough = |count: u64, least: u32| count >= u64::from(least);
            enough(group.persons, thresholds.persons) && enough(group.stays, thresholds.stays)
        })
        .collect();
    let shown: Vec<usize> = (0..cells.len()).filter(|index| passes[*index]).collect();
    let passing: Vec<Sketch> = shown.iter().map(|index| cells[*index].clone()).collect();
    for index in keep_apart(&whole, &passing, known, minimum as usize - 1)? {
        passes[shown[index]] = false;
    }
    let mut withheld_rows = 0;
    let is_compared = sketched != Sketched::Nothing && minimum > 1;
    for (index, group) in groups.into_iter().enumerate() {
        if !passes[index] {
            (released.withheld_groups, withheld_rows) =
                (released.withheld_groups + 1, withheld_rows + group.rows);
            continue;
        }
        let group = release_group(group, &measures, u64::from(minimum));
        let withheld = group.withheld.iter().filter(|withheld| **withheld).count();
        released.withheld_measures += withheld as u64;
        released.groups.push(group);
        let sketch = cells.get(index).filter(|_| is_compared).cloned();
        released.told.extend(sketch.map(|sketch| Told { sketch, whole: false }));
    }
    // How many rows are withheld is told, so the whole is.
    if is_compared && !released.groups.is_empty() {
        released.told.push(Told { sketch: whole, whole: true });
    }
    released.withheld_rows =
        if selective { round_to(withheld_rows, minimum.into()) } else { withheld_rows };
    Ok(released)
}

fn release_group(group: PartialGroup, measures: &[Measure], minimum: u64) -> ReleasedGroup {
    let mut cells = group.cells;
    let withheld: Vec<bool> =
        group.supports.iter().map(|support| !is_supported(support, minimum)).collect();
    let (mut offset, mut first_bin) = (0, 0);
    for (measure, withheld) in measures.iter().zip(&withheld) {
        let (end, last_bin) = (offset + measure.width(), first_bin + measure.bins());
        if *withheld {
            cells[offset..end].fill(0);
        } else if measure.bins() > 0 {
            join_bins(&mut cells[offset..end], &group.bins[first_bin..last_bin], minimum);
        }
        (offset, first_bin) = (end, last_bin);
    }
    ReleasedGroup { key: group.key, rows: group.rows, cells, withheld }
}

/// Moves the rows of joined bins into the last one of their run.
fn join_bins(cells: &mut [i128], persons: &[u64], minimum: u64) {
    let tallies = cells.iter().zip(persons).map(|(rows, persons)| Tally {
        persons: u128::from(*persons),
        hospitals: u128::from(*rows > 0),
    });
    let minimum = Tally { persons: u128::from(minimum), hospitals: 1 };
    let ends = runs(&[tallies.collect()], minimum);
    let mut carried = 0;
    for (cell, is_end) in cells.iter_mut().zip(ends) {
        carried += *cell;
        *cell = if is_end { std::mem::take(&mut carried) } else { JOINED };
    }
}

fn is_supported(support: &Support, minimum: u64) -> bool {
    support.sets().iter().all(|&persons| persons == 0 || persons >= minimum)
}

const fn round_to(value: u64, step: u64) -> u64 {
    (value + step / 2) / step * step
}

#[cfg(test)]
mod tests;
