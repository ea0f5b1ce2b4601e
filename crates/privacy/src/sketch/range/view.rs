//! How stretches lie beside one of them: found once for all groups of an answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::SpansId;
use crate::sketch::frame::{Span, Spans};

/// Some told stretches as seen from one, column by column.
#[derive(Debug)]
pub(super) struct View {
    here: Arc<Spans>,
    /// Which: their numbers, ascending.
    ids: Vec<SpansId>,
    /// Columns of which a stretch was asked for, here or in any of these.
    pub(super) columns: Vec<Column>,
}

/// A column, as seen from one stretch.
#[derive(Debug)]
pub(super) struct Column {
    /// What is asked for here.
    pub(super) asked: Span,
    /// The part of it where there are values.
    pub(super) there: Span,
    /// Whether a stretch is asked for, and not everything.
    pub(super) is_cut: bool,
    /// The same of the told stretches, in their order.
    others: Vec<Other>,
}

/// A told stretch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Other {
    pub(super) asked: Span,
    pub(super) there: Span,
    pub(super) is_cut: bool,
    /// Whether it is the same as here in all other columns.
    pub(super) is_beside: bool,
}

impl View {
    /// Of the stretches with these numbers in `all`, ascending, and those that were `seen` before from here.
    pub(super) fn new(
        here: &Arc<Spans>,
        ids: &[SpansId],
        seen: Option<&Self>,
        all: &[Arc<Spans>],
    ) -> Self {
        let seen = seen.filter(|seen| seen.is_from(here)).map_or(&[][..], |seen| &seen.ids);
        let mut ids = [seen, ids].concat();
        ids.sort_unstable();
        ids.dedup();
        let all: Vec<&Arc<Spans>> = ids.iter().filter_map(|id| all.get(*id as usize)).collect();
        let every = all.iter().copied().chain([here]).flat_map(|spans| spans.columns());
        let cut = every.filter(|(_, (asked, _))| *asked != Span::ALL);
        let names: BTreeSet<&String> = cut.map(|(name, _)| name).collect();
        let column = |name: &String| {
            let other = |spans: &&Arc<Spans>| Other {
                asked: spans.asked(name),
                there: spans.there(name),
                is_cut: spans.asked(name) != Span::ALL,
                is_beside: spans.is_beside(here, name),
            };
            let (asked, there) = (here.asked(name), here.there(name));
            let others = all.iter().map(other).collect();
            Column { asked, there, is_cut: asked != Span::ALL, others }
        };
        let columns = names.into_iter().map(column).collect();
        Self { here: Arc::clone(here), ids, columns }
    }

    /// Whether it is from here, and of all of these stretches.
    pub(super) fn shows(&self, here: &Arc<Spans>, ids: &[SpansId]) -> bool {
        self.is_from(here) && ids.iter().all(|id| self.ids.binary_search(id).is_ok())
    }

    /// The place of a stretch that it shows.
    pub(super) fn place(&self, id: SpansId) -> usize {
        self.ids.partition_point(|other| *other < id)
    }

    fn is_from(&self, here: &Arc<Spans>) -> bool {
        Arc::ptr_eq(&self.here, here) || self.here == *here
    }
}

impl Column {
    /// The stretch at this place of the view.
    pub(super) fn other(&self, place: usize) -> Option<Other> {
        self.others.get(place).copied()
    }
}

/// Ends that were asked for and lie beyond the data, with the ends of the data, of what was asked and what is there:
/// there is nobody in between, and the next snapshot's may end elsewhere. Those that no other stretch has are left
/// out.
pub(super) fn beyond(spans: &[(Span, Span)]) -> Vec<(i64, i64)> {
    let ends = |span: Span| [span.from, span.until];
    let mut there: Vec<i64> = spans.iter().flat_map(|(_, there)| ends(*there)).collect();
    there.sort_unstable();
    let is_there = |end: i64| there.binary_search(&end).is_ok();
    let matters = |asked: i64| asked == i64::MIN || asked >= Span::NULLS || is_there(asked);
    let each = spans.iter().flat_map(|(asked, there)| ends(*asked).into_iter().zip(ends(*there)));
    let mut found: Vec<(i64, i64)> =
        each.filter(|(asked, end)| asked != end && *end != i64::MAX).collect();
    found.sort_unstable();
    found.dedup();
    found.retain(|(asked, _)| matters(*asked));
    found
}
