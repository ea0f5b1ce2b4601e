//! The coordinator's part: from histograms to splits, tree after tree.

mod runs;

use std::collections::BTreeMap;
use std::sync::Arc;

use num_traits::ToPrimitive;
use privacy::growth::{
    Asked, Feature, Growth, GrowthAsk, MAX_DEPTH, MAX_TREES, Split, Tree, parent, sibling,
};
use privacy::measure::JOINED;

use runs::{Run, Sums, coarse, difference, nested, runs, total};

/// Most nodes of all trees: a step carries them, and so does the card.
const MAX_NODES: usize = 1 << 16;
/// Least learning rate.
const LEAST_RATE: f64 = 1e-4;
/// Least sum of second derivatives on either side of a split.
const LEAST_CURVATURE: f64 = 1e-3;

/// How trees are grown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// How many.
    pub trees: usize,
    /// Levels of splits.
    pub depth: u32,
    /// What each leaf's value is multiplied with.
    pub rate: f64,
    /// Fewest stays on either side of a split.
    pub least_stays: u64,
    /// `λ`, the penalty on leaves' values.
    pub penalty: f64,
}

impl Options {
    /// Whether trees can be grown so.
    ///
    /// # Errors
    /// [`BoostError::Options`].
    pub fn check(&self) -> Result<(), BoostError> {
        let Self { trees, depth, rate, least_stays, penalty } = *self;
        let sane = (1..=MAX_TREES).contains(&trees)
            && (1..=MAX_DEPTH).contains(&depth)
            && trees << (depth + 1) <= MAX_NODES
            && (LEAST_RATE..=1.0).contains(&rate)
            && least_stays > 0
            && (0.0..=1e12).contains(&penalty);
        if sane { Ok(()) } else { Err(BoostError::Options) }
    }
}

/// What was told of one asked node: for each feature, unless it was withheld, rows (or `None` for a bin
/// that is counted in the next one), `Σg` and `Σh` of each bin.
#[derive(Debug, Clone, Default)]
pub struct Told {
    groups: BTreeMap<usize, Vec<(Option<u64>, i128, i128)>>,
}

impl Told {
    /// Reads the cells of a measure of gradients at `place`, see [`Growth::places`]: rows of each bin,
    /// [`JOINED`] for those counted in the next one, `Σg` and `Σh` of each. All features have as many
    /// bins as the one with the most; what stands beyond a feature's own is that of its last.
    pub fn set(&mut self, growth: &Growth, place: usize, cells: &[i128]) {
        let width = cells.len() / 3;
        let own = growth.features[place % growth.features.len()].bins();
        let mut bins = vec![(None, 0, 0); own];
        for (bin, rows) in cells[..width].iter().enumerate().filter(|(_, rows)| **rows != JOINED) {
            let Some((known, g, h)) = bins.get_mut(bin.min(own.saturating_sub(1))) else {
                continue;
            };
            *known = Some(known.unwrap_or(0) + rows.to_u64().unwrap_or(u64::MAX));
            *g += cells[width + bin];
            *h += cells[2 * width + bin];
        }
        self.groups.insert(place, bins);
    }
}

/// Why trees cannot be grown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BoostError {
    /// Sizes beyond what is grown.
    #[error(
        "there are 1 to {MAX_TREES} trees of 1 to {MAX_DEPTH} levels with at most {MAX_NODES} nodes \
         together, a learning rate of {LEAST_RATE} to 1, at least one stay on each side of a split and a \
         penalty of 0 to 1e12"
    )]
    Options,
    /// Nothing is told of the root.
    #[error(
        "too few patients or hospitals stand behind the fit as a whole, or with and without the event"
    )]
    Withheld,
    /// No feature parts the rows.
    #[error(
        "no column has two parts with enough patients in each (for events, with and without it) and unlike \
         means, so there is nothing to grow by"
    )]
    NoSplit,
    /// Sums that no set of stays has.
    #[error("a hospital sent sums that no stays have: {0}. The fit is not believed")]
    Impossible(&'static str),
}

/// What is known of a node: its sums, and for each feature its runs, none where it was withheld.
#[derive(Debug, Clone, Default)]
struct Node {
    sums: Sums,
    features: Vec<Vec<Run>>,
}

/// Trees that are being grown.
#[derive(Debug, Clone)]
pub struct Boost {
    options: Options,
    growth: Growth,
    /// Nodes of the growing tree that are known, by number.
    nodes: BTreeMap<u32, Node>,
    level: u32,
    /// Whether features have the bins that the first root was told in.
    is_coarse: bool,
    gains: Vec<f64>,
}

impl Boost {
    /// Trees that have not begun. `growth` has no trees yet.
    ///
    /// # Errors
    /// [`BoostError::Options`].
    pub fn new(growth: Growth, options: Options) -> Result<Self, BoostError> {
        options.check()?;
        let growth = Growth { planned: options.trees.to_u32().unwrap_or(u32::MAX), ..growth };
        let gains = vec![0.0; growth.features.len()];
        Ok(Self { options, growth, nodes: BTreeMap::new(), level: 0, is_coarse: false, gains })
    }

    /// Puts the predictor before the first tree.
    pub const fn begin(&mut self, start: f64) {
        self.growth.start = start;
    }

    /// The same, with features whose bins stay as they are.
    ///
    /// # Errors
    /// [`BoostError::Options`].
    pub fn with_bins(growth: Growth, options: Options) -> Result<Self, BoostError> {
        Ok(Self { is_coarse: true, ..Self::new(growth, options)? })
    }

    /// The sums that are needed next; `None` when all trees are grown.
    #[must_use]
    pub fn next(&self) -> Option<Growth> {
        if self.growth.trees.len() >= self.options.trees {
            return None;
        }
        let asked: Vec<Asked> = self.asked().into_iter().map(|node| self.ask(node)).collect();
        Some(Growth { ask: GrowthAsk::Nodes(asked), ..self.growth.clone() })
    }

    /// Trees grown so far.
    #[must_use]
    pub const fn trees(&self) -> usize {
        self.growth.trees.len()
    }

    /// The step that asks for sums over all stays, at the trees that are finished.
    #[must_use]
    pub fn totals(&self) -> Growth {
        Growth { splits: Vec::new(), ask: GrowthAsk::Totals, ..self.growth.clone() }
    }

    /// For each feature, by how much its splits have lowered the loss.
    #[must_use]
    pub fn gains(&self) -> &[f64] {
        &self.gains
    }

    /// Of each pair of siblings on the level, the one with fewer rows; the root.
    fn asked(&self) -> Vec<u32> {
        if self.level == 0 {
            return vec![0];
        }
        let mut asked = Vec::new();
        for (node, known) in &self.nodes {
            let Some(beside) = sibling(*node).and_then(|node| self.nodes.get(&node)) else {
                continue;
            };
            let on_level = node + 1 >= 1 << self.level;
            let grows = [known, beside].iter().any(|node| self.can_split(node.sums));
            // Of equals, the left one.
            let smaller =
                (known.sums.rows, node) < (beside.sums.rows, &sibling(*node).unwrap_or(0));
            if on_level && grows && smaller {
                asked.push(*node);
            }
        }
        asked
    }

    const fn can_split(&self, sums: Sums) -> bool {
        sums.rows >= 2 * self.options.least_stays
    }

    fn ask(&self, node: u32) -> Asked {
        let above = parent(node).and_then(|above| self.nodes.get(&above));
        let ends = above.map(|above| {
            let bins = self.growth.features.iter().map(Feature::bins);
            let of = |(runs, bins): (&Vec<Run>, usize)| {
                let mut ends = vec![false; bins];
                runs.iter().for_each(|run| ends[run.end] = true);
                // What was withheld of the parent is told as a whole at most.
                if let Some(last) = ends.last_mut() {
                    *last = true;
                }
                ends
            };
            above.features.iter().zip(bins).map(of).collect()
        });
        Asked { node, ends: ends.unwrap_or_default() }
    }

    /// Reads what [`Boost::next`] asked for.
    ///
    /// # Errors
    /// [`BoostError`].
    pub fn take(&mut self, told: &Told) -> Result<(), BoostError> {
        let asked = self.asked();
        let count = self.growth.features.len();
        for (index, node) in asked.iter().enumerate() {
            let of = |feature: usize| told.groups.get(&(index * count + feature));
            let features = (0..count).map(|feature| runs(of(feature).map_or(&[], Vec::as_slice)));
            self.learn(*node, features.collect())?;
        }
        if self.level == 0 && !self.is_coarse {
            return self.coarsen();
        }
        self.part()
    }

    /// Keeps what is told of a node, and of its sibling by difference.
    fn learn(&mut self, node: u32, features: Vec<Vec<Run>>) -> Result<(), BoostError> {
        if node == 0 {
            let whole =
                features.iter().find(|runs| !runs.is_empty()).ok_or(BoostError::Withheld)?;
            let sums = total(whole);
            check(&features, sums)?;
            self.nodes.insert(0, Node { sums, features });
            return Ok(());
        }
        let sums = self.nodes.get(&node).map_or_else(Sums::default, |node| node.sums);
        check(&features, sums)?;
        let above = parent(node).and_then(|above| self.nodes.get(&above));
        let above = above.map(|above| above.features.clone()).unwrap_or_default();
        let wrong = BoostError::Impossible("a part of a tree is not one of the whole");
        let features = above.iter().zip(features).map(|(above, own)| nested(above, own));
        let mut features: Vec<Vec<Run>> = features.collect::<Option<_>>().ok_or(wrong)?;
        let beside = above.iter().zip(&features).map(|(above, own)| difference(above, own));
        let mut beside: Vec<Vec<Run>> = beside.collect::<Option<_>>().ok_or(wrong)?;
        // By the feature that parted them, siblings have nothing in common: of each run of the parent one
        // has all and the other nothing, and no more is to be told.
        let split = parent(node).and_then(|above| *self.growth.splits.get(above as usize)?);
        if let Some(Split { feature, bin }) = split {
            let feature = usize::from(feature);
            let runs = above.get(feature).cloned().unwrap_or_default();
            let last = runs.last().map_or(0, |run| run.end);
            let (mut left, right): (Vec<Run>, Vec<Run>) =
                runs.into_iter().partition(|run| run.end <= usize::from(bin));
            // Nobody is above.
            left.last_mut().into_iter().for_each(|run| run.end = last);
            let is_left = node % 2 == 1;
            (features[feature], beside[feature]) =
                if is_left { (left, right) } else { (right, left) };
        }
        if let Some(other) = sibling(node).and_then(|node| self.nodes.get_mut(&node)) {
            check(&beside, other.sums)?;
            other.features = beside;
        }
        if let Some(own) = self.nodes.get_mut(&node) {
            own.features = features;
        }
        Ok(())
    }

    /// After the first root: features keep the bins that were told, no more than [`COARSE_BINS`] with
    /// about as many rows each.
    fn coarsen(&mut self) -> Result<(), BoostError> {
        let root = self.nodes.remove(&0).ok_or(BoostError::Withheld)?;
        for (feature, runs) in self.growth.features.iter_mut().zip(&root.features) {
            *feature = coarse(feature, runs);
        }
        if self.growth.features.iter().all(|feature| feature.bins() < 2) {
            return Err(BoostError::NoSplit);
        }
        self.is_coarse = true;
        Ok(())
    }

    /// Splits the nodes of the level, and ends the tree when it cannot grow further.
    fn part(&mut self) -> Result<(), BoostError> {
        let first = (1u32 << self.level) - 1;
        let mut grown = false;
        for node in first..2 * first + 1 {
            let split = self.nodes.get(&node).and_then(|node| self.best(node));
            if let Some((feature, run, gain)) = split {
                self.split(node, feature, run);
                self.gains[feature] += gain;
                grown = true;
            }
            let chosen = split.and_then(|(feature, run, _)| {
                let end = self.nodes.get(&node)?.features[feature][run].end;
                Some(Split { feature: feature.to_u16()?, bin: end.to_u8()? })
            });
            self.growth.splits.push(chosen);
        }
        if !grown && self.level == 0 && self.growth.trees.is_empty() {
            return Err(BoostError::NoSplit);
        }
        self.level += 1;
        if !grown || self.level >= self.options.depth || self.asked().is_empty() {
            self.finish();
        }
        Ok(())
    }

    /// The feature and run after which a node is best parted, and what that gains; the first of equals.
    fn best(&self, node: &Node) -> Option<(usize, usize, f64)> {
        let Options { least_stays, penalty, .. } = self.options;
        let whole = node.sums.gain(penalty);
        let mut best: Option<(usize, usize, f64)> = None;
        for (feature, runs) in node.features.iter().enumerate() {
            let mut left = Sums::default();
            for (index, run) in runs.iter().enumerate() {
                left = left.with(run.sums);
                let Some(right) = node.sums.without(left) else { continue };
                let enough =
                    |side: Sums| side.rows >= least_stays && Sums::value(side.h) >= LEAST_CURVATURE;
                if !enough(left) || !enough(right) || run.sums.rows == 0 {
                    continue;
                }
                let gain = left.gain(penalty) + right.gain(penalty) - whole;
                if gain > best.map_or(0.0, |(_, _, gain)| gain) {
                    best = Some((feature, index, gain));
                }
            }
        }
        best
    }

    /// Children of a node, whose runs are not known yet.
    fn split(&mut self, node: u32, feature: usize, run: usize) {
        let Some(known) = self.nodes.get(&node) else { return };
        let left = total(&known.features[feature][..=run]);
        let right = known.sums.without(left).unwrap_or_default();
        for (child, sums) in [(2 * node + 1, left), (2 * node + 2, right)] {
            let features = vec![Vec::new(); self.growth.features.len()];
            self.nodes.insert(child, Node { sums, features });
        }
    }

    fn finish(&mut self) {
        let nodes = 2 * self.growth.splits.len() + 1;
        let value = |node: u32| {
            let Sums { g, h, .. } = self.nodes.get(&node)?.sums;
            let curvature = Sums::value(h) + self.options.penalty;
            (curvature > 0.0).then(|| -self.options.rate * Sums::value(g) / curvature)
        };
        let values = (0u32..).take(nodes).map(|node| value(node).unwrap_or(0.0)).collect();
        let splits = std::mem::take(&mut self.growth.splits);
        self.growth.trees.push(Arc::new(Tree { splits, values }));
        self.nodes.clear();
        self.level = 0;
    }
}

/// All features of a node have the same rows in them, and second derivatives are not below zero.
fn check(features: &[Vec<Run>], sums: Sums) -> Result<(), BoostError> {
    let told = || features.iter().filter(|runs| !runs.is_empty());
    if told().any(|runs| total(runs) != sums) {
        return Err(BoostError::Impossible("its parts do not add up to the whole"));
    }
    if told().flatten().any(|run| run.sums.h < 0 || (run.sums.rows == 0 && run.sums.g != 0)) {
        return Err(BoostError::Impossible("a second derivative is below zero"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
