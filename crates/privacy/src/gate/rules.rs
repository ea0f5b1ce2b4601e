//! What must hold of the groups that are withheld together: of who is in them, and of who stands behind a measure.

use super::Gate;
use crate::margins::Rule;
use crate::partial::Support;
use crate::sketch::{Known, Sketch};

/// Groups, by who is in them.
pub(super) struct Sizes<'a> {
    pub(super) gate: &'a Gate<'a>,
    pub(super) cells: &'a [Sketch],
    pub(super) known: &'a Known,
}

impl Rule for Sizes<'_> {
    fn is_enough(&self, cells: &[usize]) -> bool {
        let groups = || cells.iter().map(|cell| &self.gate.groups[*cell]);
        let persons = groups().map(|group| group.persons).sum();
        let mut rest = Sketch::default();
        cells.iter().for_each(|cell| rest.merge(&self.cells[*cell]));
        self.gate.is_large(persons, groups().map(|group| group.stays).sum())
            && self.gate.hides_itself(&rest, self.known)
    }

    fn hides(&self, cell: usize) -> bool {
        !self.gate.is_told(cell, &self.cells[cell], self.known)
    }
}

/// One measure of the groups, which adds up so many amounts of money.
pub(super) struct Measured<'a> {
    pub(super) gate: &'a Gate<'a>,
    pub(super) measure: usize,
    pub(super) amounts: usize,
}

impl Measured<'_> {
    pub(super) fn join(&self, union: &mut Support, group: usize) {
        let supports = self.gate.groups[group].supports.get(self.measure);
        supports.into_iter().for_each(|support| union.join(support));
    }

    pub(super) fn union(&self, groups: &[usize]) -> Support {
        let mut union = Support::group();
        groups.iter().for_each(|group| self.join(&mut union, *group));
        union
    }

    pub(super) fn allows(&self, support: &Support) -> bool {
        self.gate.is_supported(support) && self.gate.is_shared(support, self.amounts)
    }
}

impl Rule for Measured<'_> {
    fn is_enough(&self, cells: &[usize]) -> bool {
        self.allows(&self.union(cells))
    }

    fn hides(&self, _cell: usize) -> bool {
        true
    }
}
