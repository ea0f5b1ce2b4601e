//! The rows of one thread: which node each is in, its gradients, and sums over nodes.

use std::collections::HashMap;
use std::ops::{AddAssign, Range};

use privacy::growth::{Split, Tree};

use super::rows::Scored;

/// Sums of one bin.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bin<T> {
    pub(super) rows: u64,
    pub(super) g: T,
    pub(super) h: T,
}

/// Sums and counts of one node; bins of all features one after the other.
#[derive(Debug, Clone, Default)]
pub(super) struct Grown {
    pub(super) rows: u64,
    /// Distinct persons.
    pub(super) distinct: u64,
    pub(super) sums: Vec<Bin<i128>>,
    /// Rows of persons with a single row, in the lower half those without the event, or all, in the
    /// upper half those with it.
    pub(super) singles: Vec<u64>,
    /// Tally after tally, other persons, everybody in the lowest of their bins.
    pub(super) several: Vec<u64>,
}

/// Half of a packed pair of counts.
const HALF: u32 = 32;

impl Grown {
    pub(super) fn merge(mut self, other: Self) -> Self {
        self.rows += other.rows;
        self.distinct += other.distinct;
        for (mine, theirs) in self.sums.iter_mut().zip(other.sums) {
            mine.rows += theirs.rows;
            mine.g += theirs.g;
            mine.h += theirs.h;
        }
        let add = |mine: &mut [u64], theirs: &[u64]| {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        };
        add(&mut self.singles, &other.singles);
        add(&mut self.several, &other.several);
        self
    }

    /// Persons of each bin: of two tallies, the first with the event and the second without it.
    pub(super) fn persons(&self, tally: usize, tallies: usize) -> Vec<u64> {
        let bins = self.several.len() / tallies;
        let single = |packed: &u64| match (tallies, tally) {
            (1, _) => (packed >> HALF) + (packed & u64::from(u32::MAX)),
            (_, 0) => packed >> HALF,
            _ => packed & u64::from(u32::MAX),
        };
        let several = &self.several[tally * bins..(tally + 1) * bins];
        self.singles.iter().zip(several).map(|(packed, several)| single(packed) + several).collect()
    }
}

/// Rows of one list that are in a node, in an order that keeps persons together.
#[derive(Debug, Default)]
struct Parted {
    order: Vec<u32>,
    ranges: HashMap<u32, Range<usize>>,
}

impl Parted {
    fn of(&self, node: u32) -> &[u32] {
        self.ranges.get(&node).map_or(&[], |range| &self.order[range.clone()])
    }

    fn gather(&mut self, rows: Range<u32>) {
        self.order.clear();
        self.order.extend(rows);
        self.ranges.clear();
        self.ranges.insert(0, 0..self.order.len());
    }

    /// Parts a node's rows; those for which `left` holds stay in front, each side in its order.
    fn part(&mut self, node: u32, right: &mut Vec<u32>, left: impl Fn(u32) -> bool) {
        let range = self.ranges.get(&node).cloned().unwrap_or_default();
        right.clear();
        let rows = &mut self.order[range.clone()];
        let mut kept = 0;
        for index in 0..rows.len() {
            let row = rows[index];
            if left(row) {
                rows[kept] = row;
                kept += 1;
            } else {
                right.push(row);
            }
        }
        rows[kept..].copy_from_slice(right);
        let middle = range.start + kept;
        self.ranges.insert(2 * node + 1, range.start..middle);
        self.ranges.insert(2 * node + 2, middle..range.end);
    }
}

/// The rows of one thread: first those of persons with a single row, then the others, by person.
#[derive(Debug)]
pub(super) struct Chunk {
    features: usize,
    /// Where the bins of each feature begin, and the number of all.
    offsets: Vec<usize>,
    bins: Vec<u8>,
    responses: Vec<f64>,
    predictors: Vec<f64>,
    gradients: Vec<(i64, i64)>,
    /// The largest of these, either of a pair.
    largest: u64,
    persons: Vec<u32>,
    singles: usize,
    single: Parted,
    several: Parted,
}

impl Chunk {
    pub(super) fn new(
        bins: Vec<u8>,
        responses: Vec<f64>,
        persons: Vec<u32>,
        singles: usize,
        bins_of: &[usize],
    ) -> Self {
        let mut offsets = vec![0];
        bins_of.iter().fold(0, |sum, bins| {
            offsets.push(sum + bins);
            sum + bins
        });
        Self {
            features: bins_of.len(),
            offsets,
            bins,
            predictors: vec![0.0; responses.len()],
            gradients: vec![(0, 0); responses.len()],
            largest: 0,
            responses,
            persons,
            singles,
            single: Parted::default(),
            several: Parted::default(),
        }
    }

    pub(super) fn begin(&mut self, start: f64) {
        self.predictors.fill(start);
    }

    /// Puts all rows into the root.
    pub(super) fn gather(&mut self) {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (singles, all) = (number(self.singles), number(self.responses.len()));
        self.single.gather(0..singles);
        self.several.gather(singles..all);
    }

    /// Parts rows by the splits from node `first` on.
    pub(super) fn part(&mut self, splits: &[Option<Split>], first: usize) {
        let mut right = Vec::new();
        for (node, split) in (0u32..).zip(splits).skip(first) {
            let Some(Split { feature, bin }) = *split else { continue };
            let (bins, features) = (&self.bins, self.features);
            let left = |row: u32| bins[row as usize * features + usize::from(feature)] <= bin;
            self.single.part(node, &mut right, left);
            self.several.part(node, &mut right, left);
        }
    }

    /// Adds trees to the predictors; rows have been parted by the first `placed` splits of the first one.
    pub(super) fn apply(&mut self, trees: &[Tree], placed: usize) {
        let mut placed = placed;
        for tree in trees {
            if placed == 0 {
                self.gather();
            }
            self.part(&tree.splits, placed);
            self.raise(&tree.values);
            placed = 0;
        }
    }

    /// Adds each leaf's value to the predictors of its rows. What was parted further is no leaf.
    fn raise(&mut self, values: &[f64]) {
        for parted in [&self.single, &self.several] {
            for (node, range) in &parted.ranges {
                let is_leaf = !parted.ranges.contains_key(&(2 * node + 1));
                let value = values.get(*node as usize).copied().filter(|_| is_leaf);
                for row in value.iter().flat_map(|_| &parted.order[range.clone()]) {
                    self.predictors[*row as usize] += value.unwrap_or_default();
                }
            }
        }
    }

    pub(super) fn differentiate(&mut self, of: impl Fn(f64, f64) -> (i64, i64)) {
        let mut largest = 0;
        let rows = self.responses.iter().zip(&self.predictors).zip(&mut self.gradients);
        for ((y, eta), gradient) in rows {
            *gradient = of(*y, *eta);
            largest = largest.max(gradient.0.unsigned_abs()).max(gradient.1.unsigned_abs());
        }
        self.largest = largest;
    }

    /// Sums and counts of a node.
    pub(super) fn sums(&self, node: u32, tallies: usize) -> Grown {
        let mut grown = self.counts(node, tallies, false);
        // Sums of pairs of 64 bits are half the memory, and nearly always enough.
        let rows = self.responses.len() as u64;
        if self.largest.checked_mul(rows).is_some_and(|most| most < 1 << 62) {
            self.add::<i64>(node, &mut grown);
        } else {
            self.add::<i128>(node, &mut grown);
        }
        grown
    }

    fn add<T>(&self, node: u32, grown: &mut Grown)
    where
        T: Copy + Default + AddAssign + From<i64>,
        i128: From<T>,
    {
        let mut sums = vec![Bin::<T>::default(); self.bins_in_all()];
        self.add_rows(self.single.of(node), &mut sums);
        grown.singles = sums.iter().map(|bin| bin.rows).collect();
        self.add_rows(self.several.of(node), &mut sums);
        let halves = |packed: u64| (packed >> HALF) + (packed & u64::from(u32::MAX));
        let wide = |bin: &Bin<T>| Bin { rows: halves(bin.rows), g: bin.g.into(), h: bin.h.into() };
        grown.sums = sums.iter().map(wide).collect();
    }

    /// Rows are counted in two halves, by whether the response is an event.
    fn add_rows<T: Copy + AddAssign + From<i64>>(&self, rows: &[u32], sums: &mut [Bin<T>]) {
        let offsets = &self.offsets[..self.features];
        for row in rows.iter().map(|row| *row as usize) {
            let (g, h) = self.gradients[row];
            let count = self.counted(row);
            let (g, h) = (T::from(g), T::from(h));
            let own = &self.bins[row * self.features..(row + 1) * self.features];
            for (bin, offset) in own.iter().zip(offsets) {
                let sum = &mut sums[offset + usize::from(*bin)];
                sum.rows += count;
                sum.g += g;
                sum.h += h;
            }
        }
    }

    /// One row, in the half of its kind.
    fn counted(&self, row: usize) -> u64 {
        if self.responses[row] >= 1.0 { 1 << HALF } else { 1 }
    }

    fn bins_in_all(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0)
    }

    /// Counts of a node; rows of single persons only `with_singles`.
    pub(super) fn counts(&self, node: u32, tallies: usize, with_singles: bool) -> Grown {
        let (single, several) = (self.single.of(node), self.several.of(node));
        let bins = self.bins_in_all();
        let mut grown = Grown {
            rows: (single.len() + several.len()) as u64,
            distinct: single.len() as u64,
            sums: Vec::new(),
            singles: vec![0; bins],
            several: vec![0; tallies * bins],
        };
        if with_singles {
            for row in single.iter().map(|row| *row as usize) {
                let own = &self.bins[row * self.features..(row + 1) * self.features];
                for (bin, offset) in own.iter().zip(&self.offsets) {
                    grown.singles[offset + usize::from(*bin)] += self.counted(row);
                }
            }
        }
        let person = |row: &u32| self.persons[*row as usize];
        for rows in several.chunk_by(|a, b| person(a) == person(b)) {
            grown.distinct += 1;
            for tally in 0..tallies {
                self.count_person(rows, tally, tallies, &mut grown.several[tally * bins..]);
            }
        }
        grown
    }

    /// Counts one person in the lowest bin of each feature, over their rows of a tally.
    fn count_person(&self, rows: &[u32], tally: usize, tallies: usize, counts: &mut [u64]) {
        let is_of_tally = |row: usize| tallies == 1 || (self.responses[row] >= 1.0) == (tally == 0);
        let own = || rows.iter().map(|row| *row as usize).filter(|row| is_of_tally(*row));
        for (feature, offset) in self.offsets[..self.features].iter().enumerate() {
            let lowest = own().map(|row| self.bins[row * self.features + feature]).min();
            if let Some(bin) = lowest {
                counts[offset + usize::from(bin)] += 1;
            }
        }
    }

    pub(super) fn scored(&self) -> Scored<'_> {
        let Self { responses, predictors, persons, .. } = self;
        Scored { responses, predictors, persons }
    }
}
