//! What must hold of the groups that are withheld together: of who is in them, and of who stands behind a measure.

use super::Gate;
use crate::margins::Rule;
use crate::partial::Support;
use crate::sketch::{Known, Place, Role, Sketch, Told};

/// Groups, by who is in them.
pub(super) struct Sizes<'a> {
    pub(super) gate: &'a Gate<'a>,
    pub(super) cells: &'a [Sketch],
    pub(super) known: &'a Known,
    /// How wide intervals must be.
    pub(super) width: u64,
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
        !self.gate.told_before[cell]
    }

    fn width(&self) -> u64 {
        self.width
    }
}

/// One measure of the groups, which adds up so many amounts of money.
pub(super) struct Measured<'a> {
    pub(super) gate: &'a Gate<'a>,
    pub(super) measure: usize,
    pub(super) amounts: usize,
    /// The populations that were told before, and those of this answer that are.
    pub(super) known: [&'a Known; 2],
}

impl Measured<'_> {
    /// The places of those whom the measure treats alike in a group, with their populations; that of nobody is
    /// known too.
    pub(super) fn parts(&self, group: usize) -> impl Iterator<Item = (Option<Place>, &Sketch)> {
        let group = &self.gate.groups[group];
        let parts = group.supports.get(self.measure).map_or(&[][..], |support| support.parts());
        let places = &self.gate.places;
        let each = parts.iter().enumerate();
        each.map(|(one, part)| (places.part(&group.key, (self.measure, one)), part))
    }

    /// The populations that are known once the measure is `told` in these groups, beside the groups themselves.
    pub(super) fn told(&self, told: &[bool], groups: &[Sketch]) -> Vec<Told> {
        let shown = (0..told.len()).filter(|group| told[*group]);
        let parts = shown.flat_map(|group| {
            let whole = groups.get(group);
            self.parts(group).filter(move |(_, part)| Some(*part) != whole)
        });
        let each = parts.map(|(place, part)| Told::new(part.clone(), Role::Cell).at(place));
        each.filter(|one| !self.known[1].contains(one)).collect()
    }

    /// Whether stretches that were told before would, with this measure of a group, tell about few.
    pub(super) fn would_follow(&self, group: usize) -> bool {
        let most = self.gate.thresholds.persons_cap() as usize - 1;
        self.parts(group).any(|(place, part)| {
            place.is_some_and(|place| self.known[0].would_follow(&place, part, most))
        })
    }

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
        let most = self.gate.thresholds.persons_cap() as usize - 1;
        let told_apart = |part: &Sketch| self.known.iter().any(|known| known.exposes(part, most));
        self.gate.is_supported(support)
            && self.gate.is_shared(support, self.amounts)
            && !support.parts().iter().filter(|part| **part != Sketch::default()).any(told_apart)
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
