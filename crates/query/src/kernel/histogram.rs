//! Rows and persons by the bins of one input.
//!
//! Of each bin the `cap` persons with the smallest keys are known, whatever the order of rows and
//! partitions. A person who is known in several bins is counted in the lowest, so that the counts
//! of any bins add up to no more persons than there are in them.

use std::collections::HashSet;

use arrow::array::ArrayRef;
use privacy::measure::{Input, Measure};

use super::moments::{Moments, VALUE_SETS};
use super::values::Values;
use super::{KernelError, Spec};
use crate::grid::Grid;

/// One histogram over all groups.
#[derive(Debug)]
pub(super) struct Histogram {
    x: (usize, Input),
    grid: Grid,
    /// Who has a value, and who has none.
    presence: Moments,
    cap: usize,
    /// Group after group, bin after bin.
    bins: Vec<Bin>,
}

#[derive(Debug, Clone, Default)]
struct Bin {
    rows: u64,
    persons: Smallest,
}

/// The smallest distinct keys, ascending.
#[derive(Debug, Clone, Default)]
struct Smallest(Vec<u32>);

impl Smallest {
    fn insert(&mut self, key: u32, cap: usize) {
        let Err(place) = self.0.binary_search(&key) else { return };
        if place < cap {
            self.0.truncate(cap - 1);
            self.0.insert(place, key);
        }
    }
}

impl Histogram {
    /// The histogram of input `x` over the bins of its column.
    pub(super) fn new(x: usize, grid: Grid, spec: &Spec) -> Self {
        Self {
            x: (x, spec.inputs[x]),
            grid,
            presence: Moments::new(Measure::Count(x), spec),
            cap: usize::try_from(spec.cap.max(1)).unwrap_or(usize::MAX),
            bins: Vec::new(),
        }
    }

    pub(super) fn grow(&mut self, groups: usize) {
        self.bins.resize_with(groups * self.grid.bins(), Bin::default);
        self.presence.grow(groups);
    }

    pub(super) fn add(
        &mut self,
        inputs: &[ArrayRef],
        groups: &[u32],
        persons: &[u32],
    ) -> Result<(), KernelError> {
        self.presence.add(inputs, groups, persons)?;
        let (index, input) = &self.x;
        let values = Values::read(inputs.get(*index).ok_or(KernelError::Type)?, input)?;
        for (row, (&group, &person)) in groups.iter().zip(persons).enumerate() {
            if values.nulls().is_some_and(|nulls| nulls.is_null(row)) {
                continue;
            }
            let at = group as usize * self.grid.bins() + self.grid.bin_of(values.x(row));
            let bin = &mut self.bins[at];
            bin.rows += 1;
            bin.persons.insert(person, self.cap);
        }
        Ok(())
    }

    pub(super) fn merge(&mut self, other: &Self, places: &[u32]) {
        self.presence.merge(&other.presence, places);
        let width = self.grid.bins();
        for (theirs, &place) in other.bins.chunks(width).zip(places) {
            let start = place as usize * width;
            for (mine, theirs) in self.bins[start..start + width].iter_mut().zip(theirs) {
                mine.rows += theirs.rows;
                theirs.persons.0.iter().for_each(|key| mine.persons.insert(*key, self.cap));
            }
        }
    }

    /// Appends the rows of each bin of a group, and the persons who are counted in it; returns the
    /// sizes of the sets of persons with and without a value.
    pub(super) fn cells(
        &self,
        group: usize,
        cells: &mut Vec<i128>,
        persons: &mut Vec<u64>,
    ) -> [u64; VALUE_SETS] {
        let width = self.grid.bins();
        let mut counted = HashSet::new();
        for bin in &self.bins[group * width..(group + 1) * width] {
            cells.push(i128::from(bin.rows));
            let own = bin.persons.0.iter().filter(|key| counted.insert(**key));
            persons.push(own.count() as u64);
        }
        self.presence.cells(group, &mut Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_keys_are_kept_whatever_the_order() {
        let of = |keys: &[u32]| {
            let mut smallest = Smallest::default();
            keys.iter().for_each(|key| smallest.insert(*key, 3));
            smallest.0
        };
        assert_eq!(of(&[9, 4, 4, 7, 1, 8, 1]), [1, 4, 7]);
        assert_eq!(of(&[1, 1, 8, 7, 4, 9]), [1, 4, 7]);
        assert_eq!(of(&[5, 5]), [5]);
    }
}
