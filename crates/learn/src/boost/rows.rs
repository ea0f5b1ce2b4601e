//! A hospital's rows as trees see them: bins instead of values, kept between steps.
//!
//! A step comes with all trees so far, so that it means the same to a node that has just started; what
//! is kept saves work and decides nothing. Persons with a single row are kept apart from those with
//! several: the former are counted by counting rows, and counts of a node are those of its parent
//! less those of its sibling.

use std::collections::HashMap;

use model::glm::Family;
use privacy::growth::{Asked, Feature, Growth, Split, Tree, parent, sibling};
use privacy::step::Response;

use super::chunk::{Chunk, Grown};
use super::gradient::gradient;
use crate::kernel::NOWHERE;

/// Rows of one batch or partition, in bins.
#[derive(Debug, Clone, Default)]
pub struct Binned {
    /// Row after row, a byte for each feature.
    bins: Vec<u8>,
    /// In the unit of the fit.
    responses: Vec<f64>,
    persons: Vec<u32>,
}

/// What has been added up in one node for one feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureSums {
    /// For each bin: rows, `Σg`, `Σh`, these in units of 2^-30.
    pub bins: Vec<(u64, i128, i128)>,
    /// For each tally, the persons of each bin, everybody in the lowest of theirs.
    pub tallies: Vec<Vec<u64>>,
}

/// What has been added up in one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSums {
    /// Rows in it.
    pub rows: u64,
    /// Distinct persons.
    pub persons: u64,
    /// Sizes of the sets that [`Growth::supports`] names.
    pub sets: Vec<u64>,
    /// One for each feature.
    pub features: Vec<FeatureSums>,
}

/// Rows with their predictors.
#[derive(Debug, Clone, Copy)]
pub struct Scored<'a> {
    /// In the unit of the fit.
    pub responses: &'a [f64],
    /// The start and what all trees add.
    pub predictors: &'a [f64],
    /// Who each row is about.
    pub persons: &'a [u32],
}

/// All rows of a hospital that trees can use.
#[derive(Debug)]
pub struct Rows {
    family: Family,
    bins_of: Vec<usize>,
    chunks: Vec<Chunk>,
    /// Where the predictor began, and which trees it includes; nothing yet when there is no start.
    applied: Option<(f64, Vec<Tree>)>,
    /// Splits of the growing tree that rows have been parted by.
    splits: Vec<Option<Split>>,
    /// For each node of that tree, counts of the rows of single persons, as [`Grown::singles`] has them.
    singles: HashMap<u32, Vec<u64>>,
}

impl Binned {
    /// Adds rows: for each factor its place, for each input its value, as a kernel of steps reads them.
    /// Rows that lack a value, or whose response is none of the family's, are left out.
    pub fn add(
        &mut self,
        growth: &Growth,
        factors: &[Vec<u32>],
        inputs: &[Vec<f64>],
        persons: &[u32],
    ) {
        let mut own = vec![0u8; growth.features.len()];
        for (row, person) in persons.iter().enumerate() {
            let response = match growth.response {
                Response::Level(factor, place) => match factors[usize::from(factor)][row] {
                    0 | NOWHERE => None,
                    found => Some(f64::from(u8::from(found == place))),
                },
                Response::Number(number) => {
                    let value = number.transform.of(inputs[usize::from(number.input)][row]);
                    value.map(|value| value / growth.unit)
                }
            };
            let Some(response) = response.filter(|y| growth.family.admits(*y)) else { continue };
            let bin = |feature: &Feature| match feature {
                Feature::Factor(factor, bins) => {
                    let place = factors[usize::from(*factor)][row];
                    bins.get((place as usize).checked_sub(1)?).copied()
                }
                Feature::Number(input, edges) => {
                    let value = inputs[usize::from(*input)][row];
                    let bin = edges.partition_point(|edge| *edge <= value);
                    u8::try_from(bin).ok().filter(|_| !value.is_nan())
                }
            };
            let mut complete = true;
            for (own, feature) in own.iter_mut().zip(&growth.features) {
                match bin(feature) {
                    Some(bin) => *own = bin,
                    None => complete = false,
                }
            }
            if complete {
                self.bins.extend_from_slice(&own);
                self.responses.push(response);
                self.persons.push(*person);
            }
        }
    }

    /// Takes in the rows of another partition.
    pub fn append(&mut self, mut other: Self) {
        self.bins.append(&mut other.bins);
        self.responses.append(&mut other.responses);
        self.persons.append(&mut other.persons);
    }

    /// Bytes that a row takes in [`Rows`] beside its bins.
    pub const ROW_BYTES: usize = 48;

    /// Number of rows.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.responses.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.responses.is_empty()
    }

    /// The rows of `picked`, in that order.
    fn pick(&self, picked: &[u32], features: usize) -> Self {
        let mut own = Self::default();
        own.bins.reserve_exact(picked.len() * features);
        for row in picked.iter().map(|row| *row as usize) {
            own.bins.extend_from_slice(&self.bins[row * features..(row + 1) * features]);
            own.responses.push(self.responses[row]);
            own.persons.push(self.persons[row]);
        }
        own
    }
}

impl Rows {
    /// Orders rows by person and deals them to `threads` chunks.
    #[must_use]
    pub fn new(growth: &Growth, all: &Binned, threads: usize) -> Self {
        let features = growth.features.len();
        let mut order: Vec<(u32, u32)> = all.persons.iter().copied().zip(0..).collect();
        order.sort_unstable();
        let (mut singles, mut several) = (Vec::new(), Vec::new());
        for rows in order.chunk_by(|a, b| a.0 == b.0) {
            let list = if rows.len() == 1 { &mut singles } else { &mut several };
            list.extend(rows.iter().map(|(_, row)| *row));
        }
        let threads = threads.max(1);
        let part = |list: &[u32], part: usize| {
            // A person's rows stay together.
            let cut = |part: usize| {
                let mut at = list.len() * part / threads;
                let person = |at: usize| all.persons[list[at] as usize];
                while at > 0 && at < list.len() && person(at) == person(at - 1) {
                    at += 1;
                }
                at
            };
            all.pick(&list[cut(part)..cut(part + 1)], features)
        };
        let bins_of: Vec<usize> = growth.features.iter().map(Feature::bins).collect();
        let chunk = |index: usize| {
            let (singles, several) = (part(&singles, index), part(&several, index));
            let count = singles.len();
            let mut rows = singles;
            rows.append(several);
            Chunk::new(rows.bins, rows.responses, rows.persons, count, &bins_of)
        };
        let chunks = (0..threads).map(chunk).collect();
        Self {
            family: growth.family,
            bins_of,
            chunks,
            applied: None,
            splits: Vec::new(),
            singles: HashMap::new(),
        }
    }

    /// Runs `work` on every chunk, each in a thread of its own.
    fn each<T: Send>(&mut self, work: impl Fn(&mut Chunk) -> T + Sync) -> Vec<T> {
        if let [only] = self.chunks.as_mut_slice() {
            return vec![work(only)];
        }
        let work = &work;
        std::thread::scope(|scope| {
            let spawned: Vec<_> =
                self.chunks.iter_mut().map(|chunk| scope.spawn(move || work(chunk))).collect();
            let joined = spawned.into_iter().map(std::thread::ScopedJoinHandle::join);
            joined
                .map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        })
    }

    /// Brings the predictors to what `growth` says, and rows to their nodes.
    fn advance(&mut self, growth: &Growth) {
        let family = self.family;
        let known = self.applied.as_ref().filter(|(start, trees)| {
            start.to_bits() == growth.start.to_bits() && growth.trees.starts_with(trees)
        });
        let known = known.map(|(_, trees)| trees.len());
        let grown = std::mem::take(&mut self.splits);
        if known != Some(growth.trees.len()) || !growth.splits.starts_with(&grown) {
            self.singles.clear();
            let start = growth.start;
            let first = known.unwrap_or(0);
            // The tree that was growing has its rows in their places already.
            let finished = growth.trees.get(first).filter(|_| known.is_some());
            let in_place = finished.filter(|tree| tree.splits.starts_with(&grown));
            let in_place = in_place.map_or(0, |_| grown.len());
            self.each(|chunk| {
                if known.is_none() {
                    chunk.begin(start);
                }
                chunk.apply(&growth.trees[first..], in_place);
                chunk.gather();
                chunk.differentiate(|y, eta| gradient(family, y, eta));
                chunk.part(&growth.splits, 0);
            });
        } else if grown.len() < growth.splits.len() {
            self.each(|chunk| chunk.part(&growth.splits, grown.len()));
        }
        self.applied = Some((growth.start, growth.trees.clone()));
        self.splits.clone_from(&growth.splits);
    }

    /// The sums of the asked nodes.
    pub fn nodes(&mut self, growth: &Growth, asked: &[Asked]) -> Vec<NodeSums> {
        self.advance(growth);
        let tallies = if growth.is_event() { 2 } else { 1 };
        asked.iter().map(|asked| self.node(asked, tallies)).collect()
    }

    /// `tallies` are those of one node: all persons, or those with and without the event.
    fn node(&mut self, asked: &Asked, tallies: usize) -> NodeSums {
        let own = self.grown(asked.node, tallies);
        let beside = sibling(asked.node).map(|node| self.counted(node, asked.node, tallies));
        let persons = |grown: &Grown, tally: usize| grown.persons(tally, tallies);
        // The root has nobody beside it: its own persons stand in their place.
        let outside = beside.as_ref().unwrap_or(&own);
        // Every feature has everybody in it, so the first one's bins hold all persons.
        let first = self.bins_of.first().copied().unwrap_or(0);
        let distinct =
            |grown: &Grown, tally: usize| persons(grown, tally)[..first].iter().sum::<u64>();
        let mut sets = Vec::new();
        if tallies > 1 {
            sets.extend((0..tallies).map(|tally| distinct(&own, tally)));
        }
        sets.extend((0..tallies).map(|tally| distinct(outside, tally)));
        let inside: Vec<Vec<u64>> = (0..tallies).map(|tally| persons(&own, tally)).collect();
        let others: Vec<Vec<u64>> = (0..tallies).map(|tally| persons(outside, tally)).collect();
        let mut features = Vec::new();
        let mut start = 0;
        for (feature, bins) in self.bins_of.iter().enumerate() {
            let range = start..start + bins;
            let ends = asked.ends.get(feature);
            let counts = |list: &Vec<u64>| joined(&list[range.clone()], ends, |a, b| a + b);
            let tallies = inside.iter().chain(&others).map(counts).collect();
            let sums = own.sums[range.clone()].iter().map(|bin| (bin.rows, bin.g, bin.h));
            let add =
                |a: (u64, i128, i128), b: (u64, i128, i128)| (a.0 + b.0, a.1 + b.1, a.2 + b.2);
            let bins_told = joined(&sums.collect::<Vec<_>>(), ends, add);
            features.push(FeatureSums { bins: bins_told, tallies });
            start += bins;
        }
        NodeSums { rows: own.rows, persons: own.distinct, sets, features }
    }

    /// Sums and counts of a node.
    fn grown(&mut self, node: u32, tallies: usize) -> Grown {
        let parts = self.each(|chunk| chunk.sums(node, tallies));
        let whole = parts.into_iter().reduce(Grown::merge).unwrap_or_default();
        self.singles.insert(node, whole.singles.clone());
        whole
    }

    /// Counts of a node that is not asked for, beside one that is.
    fn counted(&mut self, node: u32, asked: u32, tallies: usize) -> Grown {
        let above = parent(node).and_then(|above| self.singles.get(&above));
        let known = above.zip(self.singles.get(&asked));
        let known = known.map(|(above, asked)| {
            above.iter().zip(asked).map(|(above, asked)| above - asked).collect::<Vec<u64>>()
        });
        let parts = self.each(|chunk| chunk.counts(node, tallies, known.is_none()));
        let mut whole = parts.into_iter().reduce(Grown::merge).unwrap_or_default();
        if let Some(known) = known {
            whole.singles = known;
        }
        self.singles.insert(node, whole.singles.clone());
        whole
    }

    /// All rows with their predictors, part after part.
    pub fn scored(&mut self, growth: &Growth) -> impl Iterator<Item = Scored<'_>> {
        self.advance(growth);
        self.chunks.iter().map(Chunk::scored)
    }
}

/// Bins of runs that the parent joined, added up in the last one of each.
fn joined<T: Copy + Default>(
    bins: &[T],
    ends: Option<&Vec<bool>>,
    add: impl Fn(T, T) -> T,
) -> Vec<T> {
    let Some(ends) = ends else { return bins.to_vec() };
    let mut run = T::default();
    let each = bins.iter().zip(ends).map(|(bin, is_end)| {
        run = add(run, *bin);
        if *is_end { std::mem::take(&mut run) } else { T::default() }
    });
    each.collect()
}
