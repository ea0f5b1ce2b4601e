//! Who is in each group, as sketches: each stay once, however many rows a join makes of it.

use std::sync::Arc;

use datafusion::common::HashSet;
use privacy::sketch::{Sketch, Sketches, Unmarked};

use crate::marks::Marks;

/// The populations of the groups, where these are wanted.
#[derive(Debug)]
pub(super) struct Populations {
    marks: Option<Arc<Marks>>,
    one_row_per_stay: bool,
    sketches: Sketches,
    /// Group and stay, where a stay may have several rows.
    stays: HashSet<(u32, u32)>,
}

impl Populations {
    pub(super) fn new(marks: Option<Arc<Marks>>, one_row_per_stay: bool) -> Self {
        let (sketches, stays) = (Sketches::default(), HashSet::default());
        Self { marks, one_row_per_stay, sketches, stays }
    }

    pub(super) const fn are_wanted(&self) -> bool {
        self.marks.is_some()
    }

    pub(super) fn grow(&mut self, groups: usize) {
        if self.marks.is_some() {
            self.sketches.resize(groups);
        }
    }

    /// Adds one row of each of `stays`, to the group that stands in its place.
    pub(super) fn add(&mut self, groups: &[u32], stays: &[u32]) -> Result<(), Unmarked> {
        match &self.marks {
            Some(marks) if self.one_row_per_stay => {
                marks.add_rows(&mut self.sketches, groups, stays)
            }
            Some(_) => {
                self.stays.extend(groups.iter().copied().zip(stays.iter().copied()));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Takes in what another partition has seen, whose groups stand at these `places` here.
    pub(super) fn merge(&mut self, other: &Self, places: &[u32]) {
        self.sketches.merge(&other.sketches, places);
        self.stays.extend(other.stays.iter().map(|(group, stay)| (places[*group as usize], *stay)));
    }

    /// One for each group; `None` where they are not wanted.
    pub(super) fn finish(&mut self) -> Result<Option<Vec<Sketch>>, Unmarked> {
        let Some(marks) = &self.marks else { return Ok(None) };
        let (groups, stays): (Vec<u32>, Vec<u32>) = self.stays.iter().copied().unzip();
        marks.add_rows(&mut self.sketches, &groups, &stays)?;
        Ok(Some(self.sketches.each().collect()))
    }
}
