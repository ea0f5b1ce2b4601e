//! Stretches of an ordered column whose sums were told: what follows from all of them together.
//!
//! A year, three of its quarters, and the fourth is told. In general a sum over `[a, b)` is `C(b) − C(a)`, where
//! `C` adds up from the beginning, so sums over stretches are edges of a graph whose nodes are their ends,
//! and a linear combination of them is the sum over `[x, y)` exactly when `x` and `y` are connected (Chin,
//! Kossowski and Loh, *Theoretical Computer Science* 32 (1984) 77). A sketch is such a sum. So what a
//! further stretch would tell is compared in full: for each pair of ends that it connects, the
//! population in between.
//!
//! Columns are looked at one by one: stretches of one column under the same stretches of all others. Values
//! that are NULL stand behind all others, so that what has no condition on a column is a stretch too.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::Sketch;
use super::frame::{Place, Span, Spans};

/// Told stretches, by the set that they are of.
#[derive(Debug, Default)]
pub(super) struct Stretches {
    of_set: HashMap<[u8; 32], Vec<(Arc<Spans>, Sketch)>>,
    /// Each once: an answer has many groups.
    spans: HashSet<Arc<Spans>>,
    /// The groups of a set by one column, by [`super::Cut::along`].
    groups: HashMap<[u8; 32], Groups>,
    len: usize,
}

/// The groups of a set by one column.
#[derive(Debug, Default)]
struct Groups {
    /// Those of which something was told.
    sets: HashSet<[u8; 32]>,
    /// By stretch, of how many it was told, and of whom together.
    told: HashMap<Arc<Spans>, (usize, Sketch)>,
}

/// Sums from one end to all that are connected with it.
type Sums = BTreeMap<i64, Vec<Sketch>>;

/// Most stretches of one column of one set that are looked at together: all that 22 months have between them.
const MAX_STRETCHES: usize = 256;
/// Most unlike sums between two ends: told of snapshots that differ.
const MAX_SUMS: usize = 4;

/// What lies between the ends `x` and `y`: sums lead to `x` from where `sketch` begins, and to `y` from where it
/// ends; those from where it begins are `known`.
fn between<'a>(
    (x, to_x): (&'a i64, &'a [Sketch]),
    sketch: &'a Sketch,
    (y, to_y): (&'a i64, &'a [Sketch]),
    known: &'a [Sketch],
) -> impl Iterator<Item = Sketch> + 'a {
    let through = to_y.iter().map(|to_y| {
        let mut sum = to_y.clone();
        sum.merge(sketch);
        sum
    });
    // What followed before is no news, whatever it is near to.
    through.filter(|sum| !known.contains(sum)).flat_map(move |sum| {
        to_x.iter().map(move |to_x| {
            let sum = sum.without(to_x);
            if x < y { sum } else { Sketch::default().without(&sum) }
        })
    })
}

impl Stretches {
    /// How many are kept.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// What was told of the set in which `place` is a stretch; equal stretches are one [`Arc`].
    pub(super) fn told(&self, place: &Place) -> &[(Arc<Spans>, Sketch)] {
        self.of_set.get(&place.set).map_or(&[], Vec::as_slice)
    }

    /// Whether this stretch was told of the same population.
    pub(super) fn contains(&self, place: &Place, sketch: &Sketch) -> bool {
        let mut told = self.told(place).iter();
        told.any(|(spans, known)| *spans == place.spans && known == sketch)
    }

    pub(super) fn add(&mut self, place: &Place, sketch: &Sketch) {
        if self.contains(place, sketch) {
            return;
        }
        let known = self.spans.get(&place.spans).cloned();
        let spans = known.unwrap_or_else(|| Arc::clone(&place.spans));
        self.spans.insert(Arc::clone(&spans));
        let of_set = self.of_set.entry(place.set).or_default();
        let is_first = !of_set.iter().any(|(known, _)| *known == spans);
        of_set.push((Arc::clone(&spans), sketch.clone()));
        self.len += 1;
        for cut in &place.cuts {
            let groups = self.groups.entry(cut.along).or_default();
            groups.sets.insert(place.set);
            if is_first {
                let (count, sum) = groups.told.entry(Arc::clone(&spans)).or_default();
                *count += 1;
                sum.merge(sketch);
            }
        }
    }

    /// What follows of a group by subtraction: where a set was told that it is a group of, and all of its other
    /// groups by that column of which anything was told.
    fn left_over<'a>(
        &'a self,
        place: &'a Place,
    ) -> impl Iterator<Item = (Arc<Spans>, Sketch)> + 'a {
        let is_told = |spans: &Arc<Spans>| self.told(place).iter().any(|(known, _)| known == spans);
        place.cuts.iter().flat_map(move |cut| {
            let groups = self.groups.get(&cut.along);
            let wholes = self.of_set.get(&cut.of).map_or(&[][..], Vec::as_slice);
            wholes.iter().filter_map(move |(spans, whole)| {
                let groups = groups?;
                let others = groups.sets.len() - usize::from(groups.sets.contains(&place.set));
                let (count, sum) = groups.told.get(spans)?;
                let left = *count == others && !is_told(spans);
                left.then(|| (Arc::clone(spans), whole.without(sum)))
            })
        })
    }

    /// Stretches of the set in which `place` is one that were told, or are left over of others.
    pub(super) fn known_of<'a>(
        &'a self,
        place: &'a Place,
    ) -> impl Iterator<Item = (Arc<Spans>, Sketch)> + 'a {
        self.told(place).iter().cloned().chain(self.left_over(place))
    }

    /// The same, as seen from `place`.
    pub(super) fn beside(&self, place: &Place) -> Beside {
        Beside::new(place, self.known_of(place).collect())
    }
}

/// Stretches that were told of one population, as seen from one of them.
#[derive(Debug)]
pub(super) struct Beside {
    here: Arc<Spans>,
    told: Vec<(Arc<Spans>, Sketch)>,
}

impl Beside {
    /// Of the population of `place`, of which these were told.
    pub(super) fn new(place: &Place, told: Vec<(Arc<Spans>, Sketch)>) -> Self {
        Self { here: Arc::clone(&place.spans), told }
    }

    /// Whether that `sketch` is here follows from stretches that were told.
    pub(super) fn follows(&self, sketch: &Sketch) -> bool {
        let mut columns = self.columns().into_iter();
        columns.any(|column| {
            let Span { from, until } = self.here.there(&column);
            let sums = self.sums(&column, from);
            sums.is_none_or(|sums| sums.get(&until).is_some_and(|sums| sums.contains(sketch)))
        })
    }

    /// Whether `is_bad` says so of any population that would follow if `sketch` were told of here too.
    pub(super) fn would_expose(&self, sketch: &Sketch, is_bad: &dyn Fn(&Sketch) -> bool) -> bool {
        let mut columns = self.columns().into_iter();
        columns.any(|column| {
            let Span { from, until } = self.here.there(&column);
            if from >= until {
                return false;
            }
            let sums = self.sums(&column, from).zip(self.sums(&column, until));
            // More than is looked at is too much to tell.
            let Some((before, behind)) = sums else { return true };
            // Stays that were added or changed since.
            let mut changes = before.get(&until).into_iter().flatten();
            changes.any(|sum| is_bad(&sketch.without(sum)))
                || before.iter().any(|(x, to_x)| {
                    let others =
                        behind.iter().filter(|(y, _)| *y != x && (*x, **y) != (from, until));
                    let mut sums = others.flat_map(|(y, to_y)| {
                        let known = before.get(y).map_or(&[][..], Vec::as_slice);
                        between((x, to_x), sketch, (y, to_y), known)
                    });
                    sums.any(|sum| is_bad(&sum))
                })
        })
    }

    /// Columns of which a stretch was asked for, before or now.
    fn columns(&self) -> Vec<String> {
        let told = self.told.iter().map(|(spans, _)| &**spans);
        let cut = |(_, (asked, _)): &(&String, &(Span, Span))| *asked != Span::ALL;
        let each = told.chain([&*self.here]).flat_map(|spans| spans.0.iter().filter(cut));
        let mut names: Vec<String> = each.map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Ends that were asked for and lie beyond the data, with the ends of the data: there is nobody in between, and
    /// the next snapshot's may end elsewhere. Those that no other stretch has are left out.
    fn beyond(spans: &[&Spans], column: &str) -> BTreeSet<(i64, i64)> {
        let ends = |span: Span| [span.from, span.until];
        let there: BTreeSet<i64> = spans.iter().flat_map(|one| ends(one.there(column))).collect();
        let of = |one: &&Spans| {
            let (asked, there) = (ends(one.asked(column)), ends(one.there(column)));
            asked.into_iter().zip(there)
        };
        let matters =
            |asked: i64| asked == i64::MIN || asked >= Span::NULLS || there.contains(&asked);
        let each = spans.iter().flat_map(of);
        each.filter(|(asked, end)| asked != end && *end != i64::MAX && matters(*asked)).collect()
    }

    /// What follows from `start` on, along `column` beside here; downwards with the opposite sign. `None` when
    /// there are more stretches than [`MAX_STRETCHES`].
    fn sums(&self, column: &str, start: i64) -> Option<Sums> {
        let beside = self.told.iter().filter(|(spans, _)| spans.is_beside(&self.here, column));
        let (mut told, mut seen, mut spans) = (Vec::new(), HashSet::new(), vec![&*self.here]);
        for (own, sketch) in beside {
            let stretch = (own.there(column), sketch);
            // Many questions may be about the same stretch, beyond the end of the data.
            if seen.insert(stretch) {
                told.push(stretch);
            }
            spans.push(own);
        }
        if told.len() > MAX_STRETCHES {
            return None;
        }
        let mut edges: BTreeMap<i64, Vec<(i64, Sketch)>> = BTreeMap::new();
        let mut join = |from: i64, until: i64, sketch: &Sketch| {
            edges.entry(from).or_default().push((until, sketch.clone()));
            edges.entry(until).or_default().push((from, Sketch::default().without(sketch)));
        };
        for (span, sketch) in told {
            join(span.from, span.until, sketch);
        }
        for (asked, there) in Self::beyond(&spans, column) {
            join(asked, there, &Sketch::default());
        }
        let mut sums = Sums::from([(start, vec![Sketch::default()])]);
        let mut next = vec![(start, Sketch::default())];
        while let Some((end, here)) = next.pop() {
            for (other, sketch) in edges.get(&end).into_iter().flatten() {
                let mut there = here.clone();
                there.merge(sketch);
                let known = sums.entry(*other).or_default();
                // Two snapshots may have told unlike sums of one stretch.
                if known.len() < MAX_SUMS && !known.contains(&there) {
                    known.push(there.clone());
                    next.push((*other, there));
                }
            }
        }
        Some(sums)
    }
}

#[cfg(test)]
mod tests;
