//! Persons in each combination of a measure's branches.

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use num_traits::ToPrimitive;
use privacy::few::Few;

use super::KernelError;

/// Most sets that one measure keeps.
const MAX_SETS: usize = 1 << 22;

/// The combinations of some branch columns, group by group.
#[derive(Debug)]
pub(super) struct Joint {
    /// Index of each branch column, and how many values it has.
    columns: Vec<(usize, usize)>,
    combinations: usize,
    cap: u32,
    sets: Vec<Few>,
}

impl Joint {
    pub(super) fn new(columns: Vec<(usize, usize)>, cap: u32) -> Self {
        let combinations = columns.iter().map(|(_, values)| values).product();
        Self { columns, combinations, cap, sets: Vec::new() }
    }

    pub(super) fn grow(&mut self, groups: usize) -> Result<(), KernelError> {
        let sets = groups * self.combinations;
        if sets > MAX_SETS {
            return Err(KernelError::TooManyGroups);
        }
        self.sets.resize_with(sets, Few::default);
        Ok(())
    }

    /// Adds one batch.
    pub(super) fn add(
        &mut self,
        branches: &[ArrayRef],
        groups: &[u32],
        persons: &[u32],
    ) -> Result<(), KernelError> {
        let mut places = vec![0usize; groups.len()];
        for &(index, values) in &self.columns {
            let column = cast(&branches[index], &DataType::Int64).map_err(|_| KernelError::Type)?;
            let column = column.as_primitive::<Int64Type>();
            for (place, branch) in places.iter_mut().zip(column.values()) {
                let branch = branch.to_usize().filter(|b| *b < values).ok_or(KernelError::Type)?;
                *place = *place * values + branch;
            }
        }
        for ((place, &group), &person) in places.into_iter().zip(groups).zip(persons) {
            let set = &mut self.sets[group as usize * self.combinations + place];
            if set.is_open() {
                set.insert(person, self.cap);
            }
        }
        Ok(())
    }

    pub(super) fn merge(&mut self, other: &Self, places: &[u32]) {
        for (index, &place) in places.iter().enumerate() {
            let theirs = index * self.combinations;
            let mine = place as usize * self.combinations;
            for offset in 0..self.combinations {
                self.sets[mine + offset].merge(&other.sets[theirs + offset], self.cap);
            }
        }
    }

    /// Persons in each combination of a group.
    pub(super) fn sets(&self, group: usize) -> impl Iterator<Item = u64> + '_ {
        let start = group * self.combinations;
        self.sets[start..start + self.combinations].iter().map(Few::count)
    }
}
