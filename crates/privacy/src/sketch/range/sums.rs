//! Sums between ends that told stretches connect.
//!
//! While all stretches agree, each end has one sum from where one begins to look, and an edge that closes a circle
//! is checked once. Where they do not, because snapshots differ, all sums are followed, up to a few for each end.

use std::collections::{BTreeMap, HashSet};

use crate::sketch::Sketch;
use crate::sketch::frame::Span;

/// Most stretches of one column of one set that are looked at together: all that 22 months have between them.
const MAX_STRETCHES: usize = 256;
/// Most unlike sums between two ends: told of snapshots that differ.
const MAX_SUMS: usize = 4;

/// An end that an edge leads to, whom it leads over, and whether upwards.
type Edge<'a> = (i64, Option<&'a Sketch>, bool);

/// Sums from one end to all that are connected with it; downwards with the opposite sign.
type Sums = BTreeMap<i64, Vec<Sketch>>;

/// Told stretches as a graph: from which end to which, and who is in between.
#[derive(Debug)]
pub(super) struct Edges<'a> {
    /// Ascending, each once.
    ends: Vec<i64>,
    /// Indices of ends.
    edges: Vec<(usize, usize, Option<&'a Sketch>)>,
}

/// `here` and on along an edge.
fn along(here: &Sketch, sketch: Option<&Sketch>, is_upwards: bool) -> Sketch {
    match sketch {
        None => here.clone(),
        Some(sketch) if is_upwards => {
            let mut there = here.clone();
            there.merge(sketch);
            there
        }
        Some(sketch) => here.without(sketch),
    }
}

/// What lies between the ends `x` and `y`: sums lead to `x` from where `sketch` begins, and to `y` from where it
/// ends; those from where it begins are `known`.
fn between<'a>(
    (x, to_x): (i64, &'a [Sketch]),
    sketch: &'a Sketch,
    (y, to_y): (i64, &'a [Sketch]),
    known: &'a [Sketch],
) -> impl Iterator<Item = Sketch> + 'a {
    let through = to_y.iter().map(move |to_y| along(to_y, Some(sketch), true));
    // What followed before is no news, whatever it is near to.
    through.filter(|sum| !known.contains(sum)).flat_map(move |sum| {
        to_x.iter().map(move |to_x| if x < y { sum.without(to_x) } else { to_x.without(&sum) })
    })
}

impl<'a> Edges<'a> {
    /// Of what was `told` and of ends between which there is nobody; `None` when it is more than is looked at.
    pub(super) fn new(mut told: Vec<(Span, &'a Sketch)>, nobody: &[(i64, i64)]) -> Option<Self> {
        if told.len() > MAX_STRETCHES {
            // Many questions may be about the same stretch, beyond the end of the data.
            let mut seen = HashSet::new();
            told.retain(|stretch| seen.insert(*stretch));
            if told.len() > MAX_STRETCHES {
                return None;
            }
        }
        let told = told.into_iter().map(|(span, sketch)| (span.from, span.until, Some(sketch)));
        let nobody = nobody.iter().map(|(from, until)| (*from, *until, None));
        let all: Vec<_> = told.chain(nobody).collect();
        let mut ends: Vec<i64> = all.iter().flat_map(|(from, until, _)| [*from, *until]).collect();
        ends.sort_unstable();
        ends.dedup();
        let index = |end: i64| ends.partition_point(|other| *other < end);
        let edge = |(from, until, sketch)| (index(from), index(until), sketch);
        let edges = all.into_iter().map(edge).collect();
        Some(Self { ends, edges })
    }

    /// Whether that `sketch` lies between the ends follows.
    pub(super) fn follows(&self, (from, until): (i64, i64), sketch: &Sketch) -> bool {
        match self.agreed(from) {
            Some(sums) => sums.iter().any(|(end, sum)| *end == until && sum == sketch),
            None => self.sums(from).get(&until).is_some_and(|sums| sums.contains(sketch)),
        }
    }

    /// Whether `is_bad` says so of any population that would follow if `sketch` were told to lie between the ends.
    pub(super) fn would_expose(
        &self,
        (from, until): (i64, i64),
        sketch: &Sketch,
        is_bad: &dyn Fn(&Sketch) -> bool,
    ) -> bool {
        let Some(before) = self.agreed(from) else {
            return self.would_expose_unlike((from, until), sketch, is_bad);
        };
        match before.iter().find(|(end, _)| *end == until) {
            // It follows already, and so does all that follows from it.
            Some((_, sum)) if sum == sketch => return false,
            // Stays that were added or changed since.
            Some(_) => return self.would_expose_unlike((from, until), sketch, is_bad),
            None => {}
        }
        let Some(behind) = self.agreed(until) else {
            return self.would_expose_unlike((from, until), sketch, is_bad);
        };
        before.iter().any(|(x, to_x)| {
            let to_until = sketch.without(to_x);
            let others = behind.iter().filter(|(y, _)| (*x, *y) != (from, until));
            let mut sums = others.map(|(y, to_y)| {
                let sum = along(to_y, Some(&to_until), true);
                if x < y { sum } else { Sketch::default().without(&sum) }
            });
            sums.any(|sum| is_bad(&sum))
        })
    }

    /// The same where stretches disagree.
    pub(super) fn would_expose_unlike(
        &self,
        (from, until): (i64, i64),
        sketch: &Sketch,
        is_bad: &dyn Fn(&Sketch) -> bool,
    ) -> bool {
        let (before, behind) = (self.sums(from), self.sums(until));
        let mut changes = before.get(&until).into_iter().flatten();
        changes.any(|sum| is_bad(&sketch.without(sum)))
            || before.iter().any(|(x, to_x)| {
                let others = behind.iter().filter(|(y, _)| *y != x && (*x, **y) != (from, until));
                let mut sums = others.flat_map(|(y, to_y)| {
                    let known = before.get(y).map_or(&[][..], Vec::as_slice);
                    between((*x, to_x), sketch, (*y, to_y), known)
                });
                sums.any(|sum| is_bad(&sum))
            })
    }

    /// The ends that are connected with `start`, each with the sum up to it; `None` when there are unlike ones.
    fn agreed(&self, start: i64) -> Option<Vec<(i64, Sketch)>> {
        let Ok(first) = self.ends.binary_search(&start) else {
            return Some(vec![(start, Sketch::default())]);
        };
        let mut sums: Vec<Option<Sketch>> = vec![None; self.ends.len()];
        sums[first] = Some(Sketch::default());
        let mut left: Vec<_> = self.edges.iter().collect();
        loop {
            let (before, mut agree) = (left.len(), true);
            // An edge is done with once the sums of both of its ends are known.
            left.retain(|(from, until, sketch)| {
                match (&sums[*from], &sums[*until]) {
                    (None, None) => return true,
                    (Some(from), Some(until)) => agree &= along(from, *sketch, true) == *until,
                    (Some(from), None) => sums[*until] = Some(along(from, *sketch, true)),
                    (None, Some(until)) => sums[*from] = Some(along(until, *sketch, false)),
                }
                false
            });
            if !agree {
                return None;
            }
            if left.len() == before {
                break;
            }
        }
        let ends = self.ends.iter().copied().zip(sums);
        Some(ends.filter_map(|(end, sum)| Some((end, sum?))).collect())
    }

    /// All sums from `start` on.
    pub(super) fn sums(&self, start: i64) -> Sums {
        let mut edges: BTreeMap<i64, Vec<Edge<'_>>> = BTreeMap::new();
        for (from, until, sketch) in &self.edges {
            let (from, until) = (self.ends[*from], self.ends[*until]);
            edges.entry(from).or_default().push((until, *sketch, true));
            edges.entry(until).or_default().push((from, *sketch, false));
        }
        let mut sums = Sums::from([(start, vec![Sketch::default()])]);
        let mut next = vec![(start, Sketch::default())];
        while let Some((end, here)) = next.pop() {
            for (other, sketch, is_upwards) in edges.get(&end).into_iter().flatten() {
                let there = along(&here, *sketch, *is_upwards);
                let known = sums.entry(*other).or_default();
                // Two snapshots may have told unlike sums of one stretch.
                if known.len() < MAX_SUMS && !known.contains(&there) {
                    known.push(there.clone());
                    next.push((*other, there));
                }
            }
        }
        sums
    }
}
