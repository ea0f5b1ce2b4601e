//! Stretches of an ordered column whose sums were told: what follows from all of them together.
//!
//! A year, three of its quarters, and the fourth is told. In general a sum over `[a, b)` is `C(b) − C(a)`, where
//! `C` adds up from the beginning, so sums over stretches are edges of a graph whose nodes are their ends,
//! and a linear combination of them is the sum over `[x, y)` exactly when `x` and `y` are connected (Chin,
//! Kossowski and Loh, *Theoretical Computer Science* 32 (1984) 77). A sketch is such a sum. So what a
//! further stretch would tell is compared in full: for each pair of ends that it connects, the
//! population in between (`range/sums.rs`).
//!
//! Columns are looked at one by one: stretches of one column under the same stretches of all others. Values
//! that are NULL stand behind all others, so that what has no condition on a column is a stretch too.

mod sums;
mod view;

use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use super::Sketch;
use super::frame::{Place, Span, Spans};
use sums::Edges;
use view::{Column, View};

/// The number of a place among stretches: equal ones have one number.
pub(super) type SpansId = u32;

/// Numbers that are collected before doubles are left out.
const MANY: usize = 1 << 16;

/// Told stretches, by the set that they are of.
#[derive(Debug, Default)]
pub(super) struct Stretches {
    of_set: HashMap<[u8; 32], Vec<(SpansId, Sketch)>>,
    /// Each once: an answer has many groups.
    all: Vec<Arc<Spans>>,
    ids: HashMap<Arc<Spans>, SpansId>,
    /// The groups of a set by one column, by [`super::Cut::along`].
    groups: HashMap<[u8; 32], Groups>,
    len: usize,
    /// What was looked at last: all groups of an answer are seen from the same stretch, and most were told in the
    /// same ones.
    view: Mutex<Option<Arc<View>>>,
}

/// The groups of a set by one column.
#[derive(Debug, Default)]
struct Groups {
    /// Those of which something was told.
    sets: HashSet<[u8; 32]>,
    /// By stretch, of how many it was told, and of whom together.
    told: HashMap<SpansId, (usize, Sketch)>,
}

impl Stretches {
    /// How many are kept.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// What was told of the set in which `place` is a stretch.
    pub(super) fn told(&self, place: &Place) -> &[(SpansId, Sketch)] {
        self.of_set.get(&place.set).map_or(&[], Vec::as_slice)
    }

    /// Whether this stretch was told of the same population.
    pub(super) fn contains(&self, place: &Place, sketch: &Sketch) -> bool {
        let told = self.told(place);
        let id = if told.is_empty() { None } else { self.ids.get(&place.spans) };
        id.is_some_and(|id| told.iter().any(|(spans, known)| spans == id && known == sketch))
    }

    pub(super) fn add(&mut self, place: &Place, sketch: &Sketch) {
        if self.contains(place, sketch) {
            return;
        }
        let Some(id) = self.number(&place.spans) else { return };
        let of_set = self.of_set.entry(place.set).or_default();
        let is_first = !of_set.iter().any(|(known, _)| *known == id);
        of_set.push((id, sketch.clone()));
        self.len += 1;
        for cut in &place.cuts {
            let groups = self.groups.entry(cut.along).or_default();
            groups.sets.insert(place.set);
            if is_first {
                let (count, sum) = groups.told.entry(id).or_default();
                *count += 1;
                sum.merge(sketch);
            }
        }
    }

    /// The number of these spans, a new one when they have none; there are never more than can be numbered.
    fn number(&mut self, spans: &Arc<Spans>) -> Option<SpansId> {
        if let Some(id) = self.ids.get(spans) {
            return Some(*id);
        }
        let id = SpansId::try_from(self.all.len()).ok()?;
        self.all.push(Arc::clone(spans));
        self.ids.insert(Arc::clone(spans), id);
        Some(id)
    }

    /// What follows of a group by subtraction: where a set was told that it is a group of, and all of its other
    /// groups by that column of which anything was told.
    fn left_over<'a>(&'a self, place: &'a Place) -> impl Iterator<Item = (SpansId, Sketch)> + 'a {
        let is_told = |spans: SpansId| self.told(place).iter().any(|(known, _)| *known == spans);
        place.cuts.iter().flat_map(move |cut| {
            let groups = self.groups.get(&cut.along);
            let wholes = self.of_set.get(&cut.of).map_or(&[][..], Vec::as_slice);
            wholes.iter().filter_map(move |(spans, whole)| {
                let groups = groups?;
                let others = groups.sets.len() - usize::from(groups.sets.contains(&place.set));
                let (count, sum) = groups.told.get(spans)?;
                let left = *count == others && !is_told(*spans);
                left.then(|| (*spans, whole.without(sum)))
            })
        })
    }

    /// Stretches of the set in which `place` is one that were told, or are left over of others.
    pub(super) fn known_of<'a>(
        &'a self,
        place: &'a Place,
    ) -> impl Iterator<Item = (SpansId, Held<'a>)> + 'a {
        let told = self.told(place).iter().map(|(spans, sketch)| (*spans, Held::Told(sketch)));
        let left_over = self.left_over(place);
        told.chain(left_over.map(|(spans, sketch)| (spans, Held::follows(sketch))))
    }

    /// The same, as seen from `place`.
    pub(super) fn beside<'a>(&'a self, place: &'a Place) -> Beside<'a> {
        self.seen_from(place, self.known_of(place).collect())
    }

    /// Stretches that were told of the population of `place`, as seen from there.
    pub(super) fn seen_from<'a>(
        &self,
        place: &Place,
        told: Vec<(SpansId, Held<'a>)>,
    ) -> Beside<'a> {
        let ids: Vec<SpansId> = told.iter().map(|(id, _)| *id).collect();
        let view = self.view(&place.spans, &ids);
        let told = told.into_iter().map(|(id, sketch)| (view.place(id), sketch)).collect();
        Beside { view, told }
    }

    /// Looks at once at all that was told of these groups, which stand in one stretch.
    pub(super) fn look<'a>(&self, places: impl Iterator<Item = &'a Place>) {
        let (mut ids, mut here) = (Vec::new(), None);
        for place in places {
            let wholes = place.cuts.iter().filter_map(|cut| self.of_set.get(&cut.of)).flatten();
            ids.extend(self.told(place).iter().chain(wholes).map(|(id, _)| *id));
            here = Some(&place.spans);
            if ids.len() > MANY {
                ids.sort_unstable();
                ids.dedup();
            }
        }
        here.into_iter().for_each(|here| drop(self.view(here, &ids)));
    }

    /// The kept view, or one of these stretches too.
    fn view(&self, here: &Arc<Spans>, ids: &[SpansId]) -> Arc<View> {
        let mut kept = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some(view) if view.shows(here, ids) => Arc::clone(view),
            seen => {
                let view = Arc::new(View::new(here, ids, seen.as_deref(), &self.all));
                Arc::clone(kept.insert(view))
            }
        }
    }
}

/// A population that was told, or that follows from such.
#[derive(Debug)]
pub(super) enum Held<'a> {
    Told(&'a Sketch),
    Follows(Box<Sketch>),
}

impl Held<'_> {
    pub(super) fn follows(sketch: Sketch) -> Self {
        Self::Follows(Box::new(sketch))
    }
}

impl Deref for Held<'_> {
    type Target = Sketch;

    fn deref(&self) -> &Sketch {
        match self {
            Self::Told(sketch) => sketch,
            Self::Follows(sketch) => sketch,
        }
    }
}

/// Stretches that were told of one population, as seen from one of them.
#[derive(Debug)]
pub(super) struct Beside<'a> {
    view: Arc<View>,
    /// By the place of each stretch in the view.
    told: Vec<(usize, Held<'a>)>,
}

impl Beside<'_> {
    /// Whether that `sketch` is here follows from stretches that were told.
    pub(super) fn follows(&self, sketch: &Sketch) -> bool {
        self.columns().any(|column| {
            let Span { from, until } = column.there;
            let edges = self.edges(column);
            edges.is_none_or(|edges| edges.follows((from, until), sketch))
        })
    }

    /// Whether `is_bad` says so of any population that would follow if `sketch` were told of here too.
    pub(super) fn would_expose(&self, sketch: &Sketch, is_bad: &dyn Fn(&Sketch) -> bool) -> bool {
        self.columns().any(|column| {
            let Span { from, until } = column.there;
            // More than is looked at is too much to tell.
            let edges = || self.edges(column);
            from < until
                && edges().is_none_or(|edges| edges.would_expose((from, until), sketch, is_bad))
        })
    }

    /// Columns of which a stretch was asked for, before or now.
    fn columns(&self) -> impl Iterator<Item = &Column> {
        self.view.columns.iter().filter(|column| {
            let is_cut =
                |(place, _): &(usize, _)| column.other(*place).is_none_or(|one| one.is_cut);
            column.is_cut || self.told.iter().any(is_cut)
        })
    }

    /// What was told along `column` beside here; `None` when it is too much to be looked at.
    fn edges(&self, column: &Column) -> Option<Edges<'_>> {
        // What the view did not show would be too much to tell, and is never left out.
        let told = self.told.iter().map(|(place, sketch)| Some((column.other(*place)?, &**sketch)));
        let mut stretches = told.collect::<Option<Vec<_>>>()?;
        stretches.retain(|(other, _)| other.is_beside);
        let told = stretches.iter().map(|(other, sketch)| (other.there, *sketch));
        let others = stretches.iter().map(|(other, _)| (other.asked, other.there));
        let all = others.chain([(column.asked, column.there)]);
        Edges::new(told.collect(), &view::beyond(&all.collect::<Vec<_>>()))
    }
}

#[cfg(test)]
mod tests;
