//! Populations whose sums were told, and whether another one comes too close to them.
//!
//! Looking at each would make the thousandth question slow. The counters are divided into eleven
//! *stretches*; populations that differ in at most ten counters agree in at least one whole
//! stretch, so only those are looked at that share a stretch with the one in question. A stretch that
//! is empty says little: populations that have one are few and small, and are looked at when the
//! one in question has one too.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use super::range::Stretches;
use super::{COUNTERS, Differenced, FACTORS, Place, Role, Sketch, Told, mixed};

/// Most populations that are kept: half a kilobyte each in memory.
const MAX_KNOWN: usize = 500_000;

const STRETCHES: usize = 11;
const STRETCH: usize = COUNTERS / STRETCHES;
/// No further population with this stretch.
const END: u32 = u32::MAX;

/// Populations whose sums were told, and those that were withheld so that others are hidden.
#[derive(Debug, Default)]
pub struct Known {
    told: Index,
    /// Of the told ones, those of whole requests.
    wholes: BTreeSet<u32>,
    hidden: Index,
    /// Of the told ones, those of which it is known where they stand.
    stretches: Stretches,
}

/// Populations that can be found by others that are like them.
#[derive(Debug, Default)]
struct Index {
    all: Vec<Sketch>,
    /// For each stretch, the last population with these counters in it.
    last: [HashMap<u64, u32, BuildHasherDefault<AsItIs>>; STRETCHES],
    /// For each stretch of each population, the one before with the same number there.
    before: Vec<[u32; STRETCHES]>,
    /// Those with an empty stretch.
    sparse: Vec<u32>,
}

/// A number for the counters of one stretch; `None` when all are zero. Unlike counters of one stretch that have the
/// same number cost one comparison; each stretch has numbers of its own.
fn number(stretch: usize, counters: &[u32]) -> Option<u64> {
    let used = counters.iter().any(|counter| *counter != 0);
    used.then(|| mixed(counters, &FACTORS[stretch * STRETCH..]))
}

/// For keys that are hashes already.
#[derive(Debug, Default, Clone, Copy)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, number: u64) {
        // The table looks at the upper bits too.
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

fn numbers(sketch: &Sketch) -> [Option<u64>; STRETCHES] {
    let mut numbers = [None; STRETCHES];
    for (index, counters) in sketch.0.chunks(STRETCH).enumerate() {
        numbers[index] = number(index, counters);
    }
    numbers
}

impl Known {
    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.told.all.len() + self.hidden.all.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Populations of whole requests.
    pub fn wholes(&self) -> impl Iterator<Item = &Sketch> {
        self.wholes.iter().filter_map(|index| self.told.all.get(*index as usize))
    }

    /// Whether the population was told.
    #[must_use]
    pub fn is_told(&self, sketch: &Sketch) -> bool {
        self.told.find(sketch).is_some()
    }

    /// Whether a population is kept in this role and at this place; what was told as a whole was also told.
    #[must_use]
    pub fn contains(&self, Told { sketch, role, place }: &Told) -> bool {
        if place.as_ref().is_some_and(|place| !self.stretches.contains(place, sketch)) {
            return false;
        }
        // Nobody is near to every small group, and stands somewhere at most.
        if *sketch == Sketch::default() {
            return true;
        }
        match role {
            Role::Cell => self.is_told(sketch),
            Role::Whole => self.told.find(sketch).is_some_and(|index| self.wholes.contains(&index)),
            Role::Hidden => self.hidden.find(sketch).is_some(),
        }
    }

    /// Those of `told` that are not known yet.
    ///
    /// # Errors
    /// [`Differenced`] when they would be more than can be kept, and so compared.
    pub fn news(&self, told: &[Told]) -> Result<Vec<Told>, Differenced> {
        let news: Vec<Told> = told.iter().filter(|one| !self.contains(one)).cloned().collect();
        let kept = self.len().max(self.stretches.len());
        if kept + news.len() > MAX_KNOWN { Err(Differenced) } else { Ok(news) }
    }

    /// Keeps populations.
    pub fn learn(&mut self, told: &[Told]) {
        for one in told {
            self.add(one);
        }
    }

    /// Keeps a population. True when it was not known in this role.
    pub fn add(&mut self, told: &Told) -> bool {
        let is_new = !self.contains(told);
        if let Some(place) = &told.place {
            self.stretches.add(place, &told.sketch);
        }
        if told.sketch == Sketch::default() {
            return is_new;
        }
        let index = match told.role {
            Role::Hidden => &mut self.hidden,
            Role::Cell | Role::Whole => &mut self.told,
        };
        let place = index.find(&told.sketch).or_else(|| index.push(&told.sketch));
        if told.role == Role::Whole {
            self.wholes.extend(place);
        }
        is_new
    }

    /// Whether telling the population would tell about up to `most` persons beside what was told, or of one that
    /// hides others. What was told is no news, whatever it is near to.
    #[must_use]
    pub(crate) fn exposes(&self, sketch: &Sketch, most: usize) -> bool {
        (self.has_near(sketch, most) || self.hides(sketch, most)) && !self.is_told(sketch)
    }

    /// Looks at once at what was told of these groups of one answer, which would else be looked for one by one.
    pub(crate) fn look<'a>(&self, groups: impl Iterator<Item = &'a Place>) {
        self.stretches.look(groups);
    }

    /// Whether that `sketch` is at `place` follows from stretches that were told.
    #[must_use]
    pub fn follows(&self, place: &Place, sketch: &Sketch) -> bool {
        self.stretches.beside(place).follows(sketch)
    }

    /// Whether telling `sketch` at `place` would, together with stretches that were told, tell about up to
    /// `most` persons, or of a population that hides others.
    #[must_use]
    pub fn would_follow(&self, place: &Place, sketch: &Sketch, most: usize) -> bool {
        let is_known = self.stretches.contains(place, sketch);
        let is_bad = |sketch: &Sketch| self.is_too_few(sketch, most);
        most > 0 && !is_known && self.stretches.beside(place).would_expose(sketch, &is_bad)
    }

    /// Whether a population that would follow is of up to `most` persons, or exposes as many.
    pub(super) fn is_too_few(&self, sketch: &Sketch, most: usize) -> bool {
        let nobody = Sketch::default();
        *sketch != nobody && (sketch.is_near(&nobody, most) || self.exposes(sketch, most))
    }

    pub(super) const fn stretches(&self) -> &Stretches {
        &self.stretches
    }

    /// Whether a told population differs from `sketch`, and perhaps by no more than `most` persons.
    #[must_use]
    pub fn has_near(&self, sketch: &Sketch, most: usize) -> bool {
        self.told.has_near(sketch, most)
    }

    /// Whether the population is one that was told and one that hides others, together.
    #[must_use]
    pub(super) fn unites(&self, sketch: &Sketch) -> bool {
        self.hidden.all.iter().any(|hidden| self.is_told(&sketch.without(hidden)))
    }

    /// Whether the population hides others, or perhaps differs by no more than `most` persons from one
    /// that does.
    #[must_use]
    pub fn hides(&self, sketch: &Sketch, most: usize) -> bool {
        self.hidden.find(sketch).is_some() || self.hidden.has_near(sketch, most)
    }
}

impl Index {
    fn push(&mut self, sketch: &Sketch) -> Option<u32> {
        let index = u32::try_from(self.all.len()).ok().filter(|index| *index != END)?;
        let mut before = [END; STRETCHES];
        let numbers = numbers(sketch);
        for ((place, number), last) in before.iter_mut().zip(numbers).zip(&mut self.last) {
            if let Some(number) = number {
                *place = last.insert(number, index).unwrap_or(END);
            }
        }
        if numbers.contains(&None) {
            self.sparse.push(index);
        }
        self.all.push(sketch.clone());
        self.before.push(before);
        Some(index)
    }

    fn has_near(&self, sketch: &Sketch, most: usize) -> bool {
        let mut near = |index: u32| self.all[index as usize].is_near(sketch, most);
        if most >= STRETCHES {
            return self.all.iter().any(|one| one.is_near(sketch, most));
        }
        most > 0 && self.any_alike(sketch, &mut near)
    }

    fn find(&self, sketch: &Sketch) -> Option<u32> {
        let is_same = |index: &u32| self.all[*index as usize] == *sketch;
        // Populations that are the same share every stretch: one that is in use is enough.
        let in_use = numbers(sketch)
            .into_iter()
            .enumerate()
            .find_map(|(stretch, number)| number.map(|number| (stretch, number)));
        let Some((stretch, number)) = in_use else {
            return self.sparse.iter().copied().find(is_same);
        };
        let mut next = self.last[stretch].get(&number).copied();
        while let Some(index) = next.filter(|index| *index != END) {
            if is_same(&index) {
                return Some(index);
            }
            next = self.before.get(index as usize).map(|before| before[stretch]);
        }
        None
    }

    /// Whether any population that shares a stretch with `sketch` is one that `is` says.
    fn any_alike(&self, sketch: &Sketch, is: &mut dyn FnMut(u32) -> bool) -> bool {
        let numbers = numbers(sketch);
        for (stretch, number) in numbers.iter().enumerate() {
            let mut next = number.and_then(|number| self.last[stretch].get(&number)).copied();
            while let Some(index) = next.filter(|index| *index != END) {
                if is(index) {
                    return true;
                }
                next = self.before.get(index as usize).map(|before| before[stretch]);
            }
        }
        numbers.contains(&None) && self.sparse.iter().any(|index| is(*index))
    }
}
