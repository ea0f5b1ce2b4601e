//! Persons in each combination of a measure's branches, and who they are.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use num_traits::ToPrimitive;
use privacy::few::Few;
use privacy::sketch::{Sketch, Unmarked};

use super::KernelError;
use super::populations::Populations;
use crate::marks::Marks;

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
    /// Group after group, combination after combination.
    populations: Populations,
}

impl Joint {
    /// Nothing yet; who is in each combination is known where there are `marks`.
    pub(super) fn new(
        columns: Vec<(usize, usize)>,
        cap: u32,
        (marks, one_row_per_stay): (Option<Arc<Marks>>, bool),
    ) -> Self {
        let combinations = columns.iter().map(|(_, values)| values).product();
        let populations = Populations::new(marks, one_row_per_stay);
        Self { columns, combinations, cap, sets: Vec::new(), populations }
    }

    /// Sketches that it keeps for each group.
    pub(super) const fn sketched(&self) -> usize {
        if self.populations.are_wanted() { self.combinations } else { 0 }
    }

    pub(super) fn grow(&mut self, groups: usize) -> Result<(), KernelError> {
        let sets = groups * self.combinations;
        if sets > MAX_SETS {
            return Err(KernelError::TooManyGroups);
        }
        self.sets.resize_with(sets, Few::default);
        self.populations.grow(sets);
        Ok(())
    }

    /// Adds one batch.
    pub(super) fn add(
        &mut self,
        branches: &[ArrayRef],
        groups: &[u32],
        (persons, stays): (&[u32], &[u32]),
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
        let mut combined = Vec::with_capacity(places.len());
        for ((place, &group), &person) in places.into_iter().zip(groups).zip(persons) {
            let place = group as usize * self.combinations + place;
            let set = &mut self.sets[place];
            if set.is_open() {
                set.insert(person, self.cap);
            }
            combined.push(u32::try_from(place).map_err(|_| KernelError::TooManyGroups)?);
        }
        Ok(self.populations.add(&combined, stays)?)
    }

    pub(super) fn merge(&mut self, other: Self, places: &[u32]) {
        for (index, &place) in places.iter().enumerate() {
            let theirs = index * self.combinations;
            let mine = place as usize * self.combinations;
            for offset in 0..self.combinations {
                self.sets[mine + offset].merge(&other.sets[theirs + offset], self.cap);
            }
        }
        // Both are bounded by the number of sets.
        let first = places.iter().map(|place| *place as usize * self.combinations);
        let wide = first.flat_map(|first| first..first + self.combinations);
        let wide: Vec<u32> = wide.filter_map(|place| u32::try_from(place).ok()).collect();
        self.populations.merge(other.populations, &wide);
    }

    /// Who is in each combination of each group, group after group; nothing where nobody wants to know.
    pub(super) fn parts(&mut self) -> Result<Vec<Vec<Sketch>>, Unmarked> {
        let all = self.populations.finish()?.unwrap_or_default();
        Ok(all.chunks(self.combinations.max(1)).map(<[Sketch]>::to_vec).collect())
    }

    /// Persons in each combination of a group.
    pub(super) fn sets(&self, group: usize) -> impl Iterator<Item = u64> + '_ {
        let start = group * self.combinations;
        self.sets[start..start + self.combinations].iter().map(Few::count)
    }
}
