//! Populations whose sums were told, and whether another one comes too close to them.
//!
//! Looking at each would make the thousandth question slow. The counters are divided into eleven
//! *stretches*; populations that differ in at most ten counters agree in at least one whole
//! stretch, so only those are looked at that share a stretch with the one in question. A stretch that
//! is empty says little: populations that have one are few and small, and are looked at when the
//! one in question has one too.

use std::collections::HashMap;

use super::{COUNTERS, Differenced, Sketch, Told};

/// Most populations that are kept: half a kilobyte each in memory.
const MAX_KNOWN: usize = 500_000;

const STRETCHES: usize = 11;
const STRETCH: usize = COUNTERS / STRETCHES;
/// No further population with this stretch.
const END: u32 = u32::MAX;

/// Populations whose sums were told.
#[derive(Debug, Default)]
pub struct Known {
    all: Vec<Sketch>,
    /// Of whole requests.
    wholes: Vec<u32>,
    /// The last population with this stretch.
    last: HashMap<u64, u32>,
    /// For each stretch of each population, the one before that has it.
    before: Vec<[u32; STRETCHES]>,
    /// Those with an empty stretch.
    sparse: Vec<u32>,
}

/// A number for the counters of one stretch; `None` when all are zero.
fn number(stretch: usize, counters: &[u32]) -> Option<u64> {
    // FNV-1a over the words; a coincidence costs one comparison.
    let step = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
    let start = step(0xcbf2_9ce4_8422_2325, stretch as u64);
    let used = counters.iter().any(|counter| *counter != 0);
    used.then(|| counters.iter().fold(start, |hash, word| step(hash, u64::from(*word))))
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
        self.all.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Populations of whole requests.
    pub fn wholes(&self) -> impl Iterator<Item = &Sketch> {
        self.wholes.iter().filter_map(|index| self.all.get(*index as usize))
    }

    /// Whether the population is kept, and as that of a whole request where `whole` says so.
    #[must_use]
    pub fn contains(&self, sketch: &Sketch, whole: bool) -> bool {
        self.find(sketch).is_some_and(|index| !whole || self.wholes.contains(&index))
    }

    /// Those of `told` that are not known yet.
    ///
    /// # Errors
    /// [`Differenced`] when they would be more than can be kept, and so compared.
    pub fn news(&self, told: &[Told]) -> Result<Vec<Told>, Differenced> {
        let is_new = |one: &&Told| !self.contains(&one.sketch, one.whole);
        let news: Vec<Told> = told.iter().filter(is_new).cloned().collect();
        if self.len() + news.len() > MAX_KNOWN { Err(Differenced) } else { Ok(news) }
    }

    /// Keeps populations.
    pub fn learn(&mut self, told: &[Told]) {
        for one in told {
            self.add(&one.sketch, one.whole);
        }
    }

    /// Keeps a population; `whole` says that it is that of a whole request. True when it was not
    /// known.
    pub fn add(&mut self, sketch: &Sketch, whole: bool) -> bool {
        let known = self.find(sketch);
        let is_new = known.is_none();
        let index = known.or_else(|| self.push(sketch));
        if let Some(index) = index.filter(|index| whole && !self.wholes.contains(index)) {
            self.wholes.push(index);
        }
        is_new
    }

    fn push(&mut self, sketch: &Sketch) -> Option<u32> {
        let index = u32::try_from(self.all.len()).ok().filter(|index| *index != END)?;
        let mut before = [END; STRETCHES];
        let numbers = numbers(sketch);
        for (place, number) in before.iter_mut().zip(numbers) {
            if let Some(number) = number {
                *place = self.last.insert(number, index).unwrap_or(END);
            }
        }
        if numbers.contains(&None) {
            self.sparse.push(index);
        }
        self.all.push(sketch.clone());
        self.before.push(before);
        Some(index)
    }

    /// Whether a known population differs from `sketch`, and perhaps by no more than `most` persons.
    #[must_use]
    pub fn has_near(&self, sketch: &Sketch, most: usize) -> bool {
        let mut near = |index: u32| self.all[index as usize].is_near(sketch, most);
        if most >= STRETCHES {
            return self.all.iter().any(|one| one.is_near(sketch, most));
        }
        most > 0 && self.any_alike(sketch, &mut near)
    }

    fn find(&self, sketch: &Sketch) -> Option<u32> {
        let mut found = None;
        let mut same = |index: u32| {
            let is_same = self.all[index as usize] == *sketch;
            found = found.or(is_same.then_some(index));
            is_same
        };
        self.any_alike(sketch, &mut same);
        found
    }

    /// Whether any population that shares a stretch with `sketch` is one that `is` says.
    fn any_alike(&self, sketch: &Sketch, is: &mut dyn FnMut(u32) -> bool) -> bool {
        let numbers = numbers(sketch);
        for (stretch, number) in numbers.iter().enumerate() {
            let mut next = number.and_then(|number| self.last.get(&number)).copied();
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
