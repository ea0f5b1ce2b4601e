//! A hospital's rows as trees see them: bins instead of values, kept between steps.
//!
//! A step comes with all trees so far, so that it means the same to a node that has just started; what
//! is kept saves work and decides nothing.
//!
//! A person is counted by one row, the same in every node and for every feature: of several the one with
//! the least bins and response, which does not depend on the order of rows. So no sum of bins and no
//! sum of nodes counts anybody twice, and the persons of a node are those of its parent less those
//! of its sibling. Who has rows in two nodes is missing in one of them: counts are never too large.
//! Where there are rows, there is at least one person.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use model::glm::Family;
use privacy::growth::{Asked, Feature, Growth, Split, Tree, parent, sibling};
use privacy::step::Response;

use super::chunk::{Bin, Chunk, Counts, MAX_CHUNK_ROWS};
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

/// Rows, `Σg` and `Σh` of a bin, the latter in units of 2^-30.
pub type FeatureBin = (u64, i128, i128);

/// What has been added up in one node for one feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureSums {
    /// One for each bin.
    pub bins: Vec<FeatureBin>,
    /// For each tally, the persons of each bin, everybody in one only.
    pub tallies: Vec<Vec<u64>>,
}

impl FeatureSums {
    /// The cells of a measure of gradients with so many bins: rows of each bin, then `Σg`, then `Σh`.
    #[must_use]
    pub fn cells(&self, width: usize) -> Vec<i128> {
        let mut cells = vec![0; 3 * width];
        for (bin, (rows, g, h)) in self.bins.iter().enumerate() {
            cells[bin] = i128::from(*rows);
            cells[width + bin] = *g;
            cells[2 * width + bin] = *h;
        }
        cells
    }
}

/// What has been added up in one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSums {
    /// Rows in it.
    pub rows: u64,
    /// Persons, never more than there are.
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
    applied: Option<(f64, Vec<Arc<Tree>>)>,
    /// Splits of the growing tree that rows have been parted by.
    splits: Vec<Option<Split>>,
    /// For each known node of that tree, the counts of each bin.
    counts: HashMap<u32, Vec<Counts>>,
    threads: usize,
    /// Persons with a gradient that is kept in bounds.
    beyond: HashSet<u32>,
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
            let bin = |feature: &Feature| {
                feature.bin_of(|factor| factors[factor][row] as usize, |input| inputs[input][row])
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

    /// Bytes that a row takes while it is read and put in order, and afterwards.
    #[must_use]
    pub const fn row_bytes(features: usize) -> (usize, usize) {
        (2 * features + 84, features + 48)
    }

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

    /// For each row, whether its person is counted by it: of rows with a response of at least 1, and of
    /// the others, or, unless the response is an event, of all.
    fn counting(&self, features: usize, event: bool) -> Vec<[bool; 2]> {
        let mut order: Vec<(u32, u32)> = self.persons.iter().copied().zip(0..).collect();
        order.sort_unstable();
        let content = |row: &u32| {
            let row = *row as usize;
            (&self.bins[row * features..(row + 1) * features], self.responses[row])
        };
        let least = |a: &u32, b: &u32| {
            let ((bins, response), (others, other)) = (content(a), content(b));
            bins.cmp(others).then_with(|| response.total_cmp(&other))
        };
        let mut counted = vec![[false; 2]; self.len()];
        for rows in order.chunk_by(|a, b| a.0 == b.0) {
            for tally in [0, 1].into_iter().take(1 + usize::from(event)) {
                let has = |row: &u32| self.responses[*row as usize] >= 1.0;
                let own = rows.iter().map(|(_, row)| *row);
                let own = own.filter(|row| !event || has(row) == (tally == 0));
                if let Some(row) = own.min_by(|a, b| match least(a, b) {
                    Ordering::Equal => a.cmp(b),
                    order => order,
                }) {
                    counted[row as usize][tally] = true;
                }
            }
        }
        counted
    }
}

impl Rows {
    /// Deals rows to `threads` threads.
    #[must_use]
    pub fn new(growth: &Growth, all: &Binned, threads: usize) -> Self {
        let features = growth.features.len();
        let counted = all.counting(features, growth.is_event());
        let threads = threads.max(1);
        let bins_of: Vec<usize> = growth.features.iter().map(Feature::bins).collect();
        let size = all.len().div_ceil(threads).clamp(1, MAX_CHUNK_ROWS);
        let chunk = |start: usize| {
            let end = (start + size).min(all.len());
            Chunk::new(
                all.bins[start * features..end * features].to_vec(),
                all.responses[start..end].to_vec(),
                all.persons[start..end].to_vec(),
                &counted[start..end],
                &bins_of,
            )
        };
        Self {
            family: growth.family,
            chunks: (0..all.len()).step_by(size).map(chunk).collect(),
            bins_of,
            applied: None,
            splits: Vec::new(),
            counts: HashMap::new(),
            threads,
            beyond: HashSet::new(),
        }
    }

    /// Runs `work` on every chunk, in as many threads as there are to be.
    fn each<T: Send>(&mut self, work: impl Fn(&mut Chunk) -> T + Sync) -> Vec<T> {
        if let [only] = self.chunks.as_mut_slice() {
            return vec![work(only)];
        }
        let (work, share) = (&work, self.chunks.len().div_ceil(self.threads).max(1));
        std::thread::scope(|scope| {
            let spawned: Vec<_> = self
                .chunks
                .chunks_mut(share)
                .map(|own| scope.spawn(move || own.iter_mut().map(work).collect::<Vec<T>>()))
                .collect();
            let joined = spawned.into_iter().map(std::thread::ScopedJoinHandle::join);
            joined
                .flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        })
    }

    /// Brings the predictors to what `growth` says, and rows to their nodes.
    fn advance(&mut self, growth: &Growth) {
        let family = self.family;
        // Until all is done nothing is known: work that ends half way must not be gone on with.
        let applied = self.applied.take();
        let known = applied.filter(|(start, trees)| {
            start.to_bits() == growth.start.to_bits() && growth.trees.starts_with(trees)
        });
        let known = known.map(|(_, trees)| trees.len());
        let grown = std::mem::take(&mut self.splits);
        if known != Some(growth.trees.len()) || !growth.splits.starts_with(&grown) {
            self.counts.clear();
            let start = growth.start;
            let first = known.unwrap_or(0);
            // The tree that was growing has its rows in their places already.
            let finished = growth.trees.get(first).filter(|_| known.is_some());
            let in_place = finished.filter(|tree| tree.splits.starts_with(&grown));
            let in_place = in_place.map_or(0, |_| grown.len());
            let beyond = self.each(|chunk| {
                if known.is_none() {
                    chunk.begin(start);
                }
                chunk.apply(&growth.trees[first..], in_place);
                chunk.gather();
                let beyond = chunk.differentiate(|y, eta| gradient(family, y, eta));
                chunk.part(&growth.splits, 0);
                beyond
            });
            self.beyond = beyond.into_iter().flatten().collect();
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
        let own = self.sums(asked.node);
        // The root has nobody beside it: its own persons stand in their place.
        let beside = sibling(asked.node).map(|node| self.beside(node, asked.node));
        let beside = beside.unwrap_or_else(|| own.iter().map(|bin| bin.counts).collect());
        let own_counts: Vec<Counts> = own.iter().map(|bin| bin.counts).collect();
        let sides = [own_counts.as_slice(), beside.as_slice()];
        // Every feature has everybody in it, so the first one's bins hold all persons.
        let first = self.bins_of.first().copied().unwrap_or(0);
        let whole = |counts: &[Counts], of: usize| {
            counts[..first].iter().map(|counts| counts[of]).sum::<u64>()
        };
        let rows = whole(&own_counts, 0);
        // With an event persons are told apart; together they are at least the larger number.
        let persons = (0..tallies).map(|tally| whole(&own_counts, 1 + tally)).max().unwrap_or(0);
        let nodes = [asked.node, sibling(asked.node).unwrap_or(asked.node)];
        let mut sets = Vec::new();
        if tallies == 1 {
            sets.push(self.beyond.len() as u64);
        }
        for (side, node) in sides.iter().zip(nodes).skip(usize::from(tallies == 1)) {
            let rows_of = match tallies {
                1 => [whole(side, 0), 0],
                _ => self.events(node),
            };
            // A set is empty only when nobody has a row in it.
            let of_tally = |tally| whole(side, 1 + tally).max(u64::from(rows_of[tally] > 0));
            sets.extend((0..tallies).map(of_tally));
        }
        let mut features = Vec::new();
        let mut start = 0;
        for (feature, bins) in self.bins_of.iter().enumerate() {
            let range = start..start + bins;
            let ends = asked.ends.get(feature);
            let tally = |(side, tally): (&[Counts], usize)| {
                let counts: Vec<u64> =
                    side[range.clone()].iter().map(|counts| counts[1 + tally]).collect();
                joined(&counts, ends, |a, b| a + b)
            };
            let each = sides.iter().flat_map(|side| (0..tallies).map(|tally| (*side, tally)));
            let sums: Vec<_> =
                own[range.clone()].iter().map(|bin| (bin.counts[0], bin.g, bin.h)).collect();
            let add = |a: FeatureBin, b: FeatureBin| (a.0 + b.0, a.1 + b.1, a.2 + b.2);
            features.push(FeatureSums {
                tallies: each.map(tally).collect(),
                bins: joined(&sums, ends, add),
            });
            start += bins;
        }
        NodeSums { rows, persons: persons.max(u64::from(rows > 0)), sets, features }
    }

    /// Sums of a node over all chunks.
    fn sums(&mut self, node: u32) -> Vec<Bin<i128>> {
        let mut parts = self.each(|chunk| chunk.sums(node)).into_iter();
        let mut whole =
            parts.next().unwrap_or_else(|| vec![Bin::default(); self.bins_of.iter().sum()]);
        parts.for_each(|part| {
            whole.iter_mut().zip(&part).for_each(|(mine, theirs)| mine.add(theirs))
        });
        self.counts.insert(node, whole.iter().map(|bin| bin.counts).collect());
        whole
    }

    /// Counts of a node that is not asked for, beside one that is.
    fn beside(&mut self, node: u32, asked: u32) -> Vec<Counts> {
        let above = parent(node).and_then(|above| self.counts.get(&above));
        let counts = match above.zip(self.counts.get(&asked)) {
            Some((above, asked)) => {
                let less = |(above, asked): (&Counts, &Counts)| {
                    std::array::from_fn(|index| above[index] - asked[index])
                };
                above.iter().zip(asked).map(less).collect()
            }
            None => self.counted(node),
        };
        self.counts.insert(node, counts.clone());
        counts
    }

    /// Rows of a node with the event and without it.
    fn events(&mut self, node: u32) -> [u64; 2] {
        let parts = self.each(|chunk| chunk.events(node));
        parts.into_iter().fold([0; 2], |sum, part| [sum[0] + part[0], sum[1] + part[1]])
    }

    /// Counts of a node over all chunks.
    fn counted(&mut self, node: u32) -> Vec<Counts> {
        let mut whole = vec![Counts::default(); self.bins_of.iter().sum()];
        for part in self.each(|chunk| chunk.counts(node)) {
            for (mine, theirs) in whole.iter_mut().zip(part) {
                mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
            }
        }
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
