//! Who is in each group, as sketches: each stay once, however many rows a join makes of it.

use std::sync::Arc;

use privacy::sketch::{Sketch, Sketches, Unmarked};

use super::distinct::Distinct;
use crate::marks::Marks;

/// The populations of the groups, where these are wanted.
#[derive(Debug)]
pub(super) struct Populations {
    marks: Option<Arc<Marks>>,
    one_row_per_stay: bool,
    sketches: Sketches,
    /// The stays of each group, where a stay may have several rows.
    stays: Distinct,
}

impl Populations {
    pub(super) fn new(marks: Option<Arc<Marks>>, one_row_per_stay: bool) -> Self {
        let (sketches, stays) = (Sketches::default(), Distinct::default());
        Self { marks, one_row_per_stay, sketches, stays }
    }

    pub(super) const fn are_wanted(&self) -> bool {
        self.marks.is_some()
    }

    pub(super) fn grow(&mut self, groups: usize) {
        if self.marks.is_some() {
            self.sketches.resize(groups);
            if !self.one_row_per_stay {
                self.stays.grow(groups);
            }
        }
    }

    /// Adds one row of each of `stays`, to the group that stands in its place.
    pub(super) fn add(&mut self, groups: &[u32], stays: &[u32]) -> Result<(), Unmarked> {
        match &self.marks {
            Some(marks) if self.one_row_per_stay => {
                let rows = groups.iter().copied().zip(stays.iter().copied());
                marks.add_rows(&mut self.sketches, rows)
            }
            Some(_) => {
                self.stays.add(groups, stays);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Takes in what another partition has seen, whose groups stand at these `places` here.
    pub(super) fn merge(&mut self, other: Self, places: &[u32]) {
        self.sketches.merge(&other.sketches, places);
        self.stays.merge(other.stays, places);
    }

    /// One for each group; `None` where they are not wanted.
    pub(super) fn finish(&mut self) -> Result<Option<Vec<Sketch>>, Unmarked> {
        let Some(marks) = &self.marks else { return Ok(None) };
        marks.add_rows(&mut self.sketches, self.stays.pairs())?;
        Ok(Some(self.sketches.each().collect()))
    }
}
