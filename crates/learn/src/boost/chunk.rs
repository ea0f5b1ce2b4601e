//! The rows of one thread: which node each is in, its gradients, and sums over nodes.

use std::collections::{HashMap, HashSet};
use std::ops::{AddAssign, Range};
use std::sync::Arc;

use privacy::growth::{GRADIENT_BITS, Split, Tree};

use super::rows::Scored;

/// Most rows of a chunk: three counts are added up as one number.
pub(super) const MAX_CHUNK_ROWS: usize = (1 << FIELD) - 1;
/// Bits of a count.
const FIELD: u32 = 21;

/// Rows, and persons of either tally.
pub(super) type Counts = [u64; 3];

/// Three counts in one number.
const fn packed(counts: Counts) -> u64 {
    counts[0] | counts[1] << FIELD | counts[2] << (2 * FIELD)
}

const fn unpacked(packed: u64) -> Counts {
    let mask = MAX_CHUNK_ROWS as u64;
    [packed & mask, packed >> FIELD & mask, packed >> (2 * FIELD) & mask]
}

/// What a row adds to its bins.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    g: i64,
    h: i64,
    /// Packed.
    count: u64,
}

/// Sums of one bin.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bin<T> {
    pub(super) counts: Counts,
    pub(super) g: T,
    pub(super) h: T,
}

impl Bin<i128> {
    pub(super) fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(mine, theirs)| *mine += theirs);
        self.g += other.g;
        self.h += other.h;
    }
}

/// The rows of one thread. Rows of a node stand together in `order`.
#[derive(Debug)]
pub(super) struct Chunk {
    features: usize,
    /// Where the bins of each feature begin, and the number of all.
    offsets: Vec<usize>,
    bins: Vec<u8>,
    responses: Vec<f64>,
    persons: Vec<u32>,
    predictors: Vec<f64>,
    weights: Vec<Weight>,
    /// The largest gradient, first or second.
    largest: u64,
    order: Vec<u32>,
    ranges: HashMap<u32, Range<usize>>,
}

impl Chunk {
    /// `counted` says for each row whether its person is counted by it, in the first or second tally.
    pub(super) fn new(
        bins: Vec<u8>,
        responses: Vec<f64>,
        persons: Vec<u32>,
        counted: &[[bool; 2]],
        bins_of: &[usize],
    ) -> Self {
        let mut offsets = vec![0];
        bins_of.iter().fold(0, |sum, bins| {
            offsets.push(sum + bins);
            sum + bins
        });
        let weight = |[first, second]: &[bool; 2]| Weight {
            count: packed([1, u64::from(*first), u64::from(*second)]),
            ..Weight::default()
        };
        Self {
            features: bins_of.len(),
            offsets,
            bins,
            predictors: vec![0.0; responses.len()],
            weights: counted.iter().map(weight).collect(),
            responses,
            persons,
            largest: 0,
            order: Vec::new(),
            ranges: HashMap::new(),
        }
    }

    pub(super) fn begin(&mut self, start: f64) {
        self.predictors.fill(start);
    }

    /// Puts all rows into the root.
    pub(super) fn gather(&mut self) {
        self.order.clear();
        self.order.extend((0u32..).take(self.responses.len()));
        self.ranges.clear();
        self.ranges.insert(0, 0..self.order.len());
    }

    /// Parts rows by the splits from node `first` on.
    pub(super) fn part(&mut self, splits: &[Option<Split>], first: usize) {
        let mut right = Vec::new();
        for (node, split) in (0u32..).zip(splits).skip(first) {
            if let Some(split) = split {
                self.part_node(node, *split, &mut right);
            }
        }
    }

    /// Parts a node's rows; each side keeps its order, so that memory is read upwards.
    fn part_node(&mut self, node: u32, Split { feature, bin }: Split, right: &mut Vec<u32>) {
        let range = self.ranges.get(&node).cloned().unwrap_or_default();
        let rows = &mut self.order[range.clone()];
        right.clear();
        let mut kept = 0;
        for index in 0..rows.len() {
            let row = rows[index];
            if self.bins[row as usize * self.features + usize::from(feature)] <= bin {
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

    /// Adds trees to the predictors; rows have been parted by the first `placed` splits of the first one.
    pub(super) fn apply(&mut self, trees: &[Arc<Tree>], placed: usize) {
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
        for (node, range) in &self.ranges {
            let is_leaf = !self.ranges.contains_key(&(2 * node + 1));
            let Some(value) = values.get(*node as usize).filter(|_| is_leaf) else { continue };
            for row in &self.order[range.clone()] {
                self.predictors[*row as usize] += value;
            }
        }
    }

    /// Takes derivatives; the persons of whom one had to be kept in bounds.
    pub(super) fn differentiate(&mut self, of: impl Fn(f64, f64) -> (i64, i64)) -> HashSet<u32> {
        let (mut largest, mut beyond) = (0, HashSet::new());
        let rows = self.responses.iter().zip(&self.predictors).zip(&mut self.weights);
        for (((y, eta), weight), person) in rows.zip(&self.persons) {
            (weight.g, weight.h) = of(*y, *eta);
            let size = weight.g.unsigned_abs().max(weight.h.unsigned_abs());
            largest = largest.max(size);
            if size >= 1 << GRADIENT_BITS {
                beyond.insert(*person);
            }
        }
        self.largest = largest;
        beyond
    }

    /// Rows of a node.
    fn rows(&self, node: u32) -> &[u32] {
        self.ranges.get(&node).map_or(&[], |range| &self.order[range.clone()])
    }

    /// Sums of a node; bins of all features one after the other.
    pub(super) fn sums(&self, node: u32) -> Vec<Bin<i128>> {
        // Sums of 64 bits are half the memory, and nearly always enough.
        let rows = self.responses.len() as u64;
        if self.largest.checked_mul(rows).is_some_and(|most| most < 1 << 62) {
            self.add::<i64>(node)
        } else {
            self.add::<i128>(node)
        }
    }

    fn add<T>(&self, node: u32) -> Vec<Bin<i128>>
    where
        T: Copy + Default + AddAssign + From<i64>,
        i128: From<T>,
    {
        let mut sums = vec![(0u64, T::default(), T::default()); self.bins_in_all()];
        let offsets = &self.offsets[..self.features];
        for row in self.rows(node).iter().map(|row| *row as usize) {
            let Weight { g, h, count } = self.weights[row];
            let (g, h) = (T::from(g), T::from(h));
            let own = &self.bins[row * self.features..(row + 1) * self.features];
            for (bin, offset) in own.iter().zip(offsets) {
                let sum = &mut sums[offset + usize::from(*bin)];
                sum.0 += count;
                sum.1 += g;
                sum.2 += h;
            }
        }
        let wide =
            |(count, g, h): (u64, T, T)| Bin { counts: unpacked(count), g: g.into(), h: h.into() };
        sums.into_iter().map(wide).collect()
    }

    /// Counts of a node.
    pub(super) fn counts(&self, node: u32) -> Vec<Counts> {
        let mut counts = vec![0u64; self.bins_in_all()];
        for row in self.rows(node).iter().map(|row| *row as usize) {
            let own = &self.bins[row * self.features..(row + 1) * self.features];
            for (bin, offset) in own.iter().zip(&self.offsets) {
                counts[offset + usize::from(*bin)] += self.weights[row].count;
            }
        }
        counts.into_iter().map(unpacked).collect()
    }

    /// Rows of a node with a response of at least 1, and all others.
    pub(super) fn events(&self, node: u32) -> [u64; 2] {
        let rows = self.rows(node);
        let with = rows.iter().filter(|row| self.responses[**row as usize] >= 1.0).count();
        [with as u64, (rows.len() - with) as u64]
    }

    fn bins_in_all(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0)
    }

    pub(super) fn scored(&self) -> Scored<'_> {
        let Self { responses, predictors, persons, .. } = self;
        Scored { responses, predictors, persons }
    }
}
