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
use crate::canonical::Writer;

/// Values from the first on and before the second, in the column's unit; NULL from [`Span::NULLS`] on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The least value in it.
    pub from: i64,
    /// The least value behind it.
    pub until: i64,
}

impl Span {
    /// Where rows without a value stand.
    pub const NULLS: i64 = i64::MAX - 1;
    /// Every row.
    pub const ALL: Self = Self { from: i64::MIN, until: i64::MAX };
    /// Every row with a value.
    pub const VALUES: Self = Self { from: i64::MIN, until: Self::NULLS };

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), until: self.until.min(other.until) }
    }

    /// The part where a column with these values has any: the ends of what is told are those of the data.
    fn within(self, extent: Extent) -> Self {
        let Extent { least, most, nulls } = extent;
        let behind = most.saturating_add(1);
        let end = |end: i64| match end {
            i64::MAX if nulls => i64::MAX,
            Self::NULLS.. => behind,
            end => end.clamp(least, behind),
        };
        Self { from: end(self.from), until: end(self.until) }
    }
}

/// The values that a column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The least one, or less.
    pub least: i64,
    /// The largest one, or more.
    pub most: i64,
    /// Whether some row has none.
    pub nulls: bool,
}

/// Which rows a request is about: a set that its text describes, and of it a stretch of each ordered column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// SHA-256 of tables and conditions, apart from `pins` and `spans`.
    pub base: [u8; 32],
    /// Columns that must have one value.
    pub pins: BTreeMap<String, String>,
    /// For each dimension of the groups, its column; `None` when it is the same for all of a hospital's rows.
    pub dimensions: Vec<Option<String>>,
    /// Whether the sketch of the whole counts each stay once.
    pub has_whole: bool,
    /// Stretches that conditions cut out.
    pub spans: BTreeMap<String, Span>,
    /// The values that columns have in this snapshot.
    pub extents: BTreeMap<String, Extent>,
    /// For each measure, by which conditions it tells rows apart; empty where there are none.
    pub told_apart: Vec<String>,
}

/// Where a population stands among others: which set, and which stretch of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    set: [u8; 32],
    /// The same for all groups of an answer.
    spans: Arc<Spans>,
}

/// For each ordered column, the stretch that was asked for, and the part of it where there are values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Spans(BTreeMap<String, (Span, Span)>);

impl Frame {
    /// The place of the rows as a whole.
    #[must_use]
    pub fn whole(&self) -> Place {
        Place { set: self.set(&self.pins), spans: Arc::new(self.standing()) }
    }

    /// The place of the group with these labels in the `whole`; `None` when it has more or fewer than there are
    /// dimensions.
    #[must_use]
    pub fn group(&self, whole: &Place, key: &[Option<String>]) -> Option<Place> {
        let set = self.set(&self.labelled(key)?);
        Some(Place { set, spans: Arc::clone(&whole.spans) })
    }

    fn labelled(&self, key: &[Option<String>]) -> Option<BTreeMap<String, String>> {
        if key.len() != self.dimensions.len() {
            return None;
        }
        let mut pins = self.pins.clone();
        for (column, label) in self.dimensions.iter().zip(key) {
            if let Some(column) = column {
                // Should a code ever be a zero byte, its stretches are taken for those of NULL: more is compared.
                let label = label.clone().unwrap_or_else(|| "\0".to_owned());
                pins.insert(column.clone(), label);
            }
        }
        Some(pins)
    }

    /// The place of those of a group whom a measure treats alike: they meet this combination of its conditions.
    #[must_use]
    pub fn part(
        &self,
        whole: &Place,
        key: &[Option<String>],
        (measure, combination): (usize, usize),
    ) -> Option<Place> {
        let conditions = self.told_apart.get(measure).filter(|text| !text.is_empty())?;
        let mut pins = self.labelled(key)?;
        // No column is called so.
        pins.insert(format!("\0{conditions}"), combination.to_string());
        Some(Place { set: self.set(&pins), spans: Arc::clone(&whole.spans) })
    }

    fn set(&self, pins: &BTreeMap<String, String>) -> [u8; 32] {
        let mut writer = Writer::new("consilium/set/v1");
        writer.bytes(&self.base);
        for (column, label) in pins {
            writer.text(column);
            writer.text(label);
        }
        writer.hash()
    }

    fn standing(&self) -> Spans {
        let columns = self.spans.keys().chain(self.extents.keys());
        let span = |column: &String| {
            let asked = self.spans.get(column).copied().unwrap_or(Span::ALL);
            let there = self.extents.get(column).map_or(asked, |extent| asked.within(*extent));
            (column.clone(), (asked, there))
        };
        Spans(columns.map(span).collect())
    }
}

impl Place {
    /// As it is kept.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.set.to_vec();
        for (column, (asked, there)) in &self.spans.0 {
            for end in [asked.from, asked.until, there.from, there.until] {
                bytes.extend(end.to_le_bytes());
            }
            bytes.extend(column.as_bytes());
            bytes.push(0);
        }
        bytes
    }

    /// From what was kept.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (set, mut rest) = bytes.split_first_chunk::<32>()?;
        let mut spans = Spans::default();
        while !rest.is_empty() {
            let (ends, after) = rest.split_first_chunk::<32>()?;
            let end = |index: usize| {
                let bytes = ends.get(index * 8..index * 8 + 8)?;
                Some(i64::from_le_bytes(bytes.try_into().ok()?))
            };
            let zero = after.iter().position(|byte| *byte == 0)?;
            let column = std::str::from_utf8(&after[..zero]).ok()?.to_owned();
            let asked = Span { from: end(0)?, until: end(1)? };
            spans.0.insert(column, (asked, Span { from: end(2)?, until: end(3)? }));
            rest = &after[zero + 1..];
        }
        Some(Self { set: *set, spans: Arc::new(spans) })
    }
}

impl Spans {
    fn asked(&self, column: &str) -> Span {
        self.0.get(column).map_or(Span::ALL, |(asked, _)| *asked)
    }

    fn there(&self, column: &str) -> Span {
        self.0.get(column).map_or(Span::ALL, |(_, there)| *there)
    }

    /// Whether both are the same apart from `column`.
    fn is_beside(&self, other: &Self, column: &str) -> bool {
        let mut columns = self.0.keys().chain(other.0.keys()).filter(|other| *other != column);
        columns.all(|column| {
            self.asked(column) == other.asked(column) || self.there(column) == other.there(column)
        })
    }
}

/// Told stretches, by the set that they are of.
#[derive(Debug, Default)]
pub(super) struct Stretches {
    of_set: HashMap<[u8; 32], Vec<(Arc<Spans>, Sketch)>>,
    /// Each once: an answer has many groups.
    spans: HashSet<Arc<Spans>>,
    len: usize,
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

    fn told(&self, place: &Place) -> impl Iterator<Item = &(Arc<Spans>, Sketch)> {
        self.of_set.get(&place.set).into_iter().flatten()
    }

    /// Whether this stretch was told of the same population.
    pub(super) fn contains(&self, place: &Place, sketch: &Sketch) -> bool {
        self.told(place).any(|(spans, known)| *spans == place.spans && known == sketch)
    }

    pub(super) fn add(&mut self, place: &Place, sketch: &Sketch) {
        if self.contains(place, sketch) {
            return;
        }
        let known = self.spans.get(&place.spans).cloned();
        let spans = known.unwrap_or_else(|| Arc::clone(&place.spans));
        self.spans.insert(Arc::clone(&spans));
        self.of_set.entry(place.set).or_default().push((spans, sketch.clone()));
        self.len += 1;
    }

    /// Whether that `sketch` is at `place` follows from stretches that were told.
    pub(super) fn follows(&self, place: &Place, sketch: &Sketch) -> bool {
        let mut columns = self.columns(place).into_iter();
        columns.any(|column| {
            let Span { from, until } = place.spans.there(&column);
            let sums = self.sums(place, &column, from);
            sums.is_none_or(|sums| sums.get(&until).is_some_and(|sums| sums.contains(sketch)))
        })
    }

    /// Whether `is_bad` says so of any population that would follow if `sketch` at `place` were told too.
    pub(super) fn would_expose(
        &self,
        place: &Place,
        sketch: &Sketch,
        is_bad: &dyn Fn(&Sketch) -> bool,
    ) -> bool {
        let mut columns = self.columns(place).into_iter();
        columns.any(|column| {
            let Span { from, until } = place.spans.there(&column);
            if from >= until {
                return false;
            }
            let sums = self.sums(place, &column, from).zip(self.sums(place, &column, until));
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

    /// Columns of which a stretch was asked for, of the set of `place` or now.
    fn columns(&self, place: &Place) -> Vec<String> {
        let of_set = self.told(place).map(|(spans, _)| &**spans);
        let cut = |(_, (asked, _)): &(&String, &(Span, Span))| *asked != Span::ALL;
        let each = of_set.chain([&*place.spans]).flat_map(|spans| spans.0.iter().filter(cut));
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

    /// What follows from `start` on, along `column` beside `place`; downwards with the opposite sign. `None` when
    /// there are more stretches than [`MAX_STRETCHES`].
    fn sums(&self, place: &Place, column: &str, start: i64) -> Option<Sums> {
        let beside = self.told(place).filter(|(spans, _)| spans.is_beside(&place.spans, column));
        let (mut told, mut seen, mut spans) = (Vec::new(), HashSet::new(), vec![&*place.spans]);
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
