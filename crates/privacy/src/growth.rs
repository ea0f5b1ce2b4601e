//! One step of growing boosted trees: sums of gradients over the bins of each feature, in some nodes
//! of the tree that grows; and what may be told of them.
//!
//! A step's groups are pairs of an asked node and a feature, its measure a histogram with three cells
//! for each bin: rows, `Σg` and `Σh`. A split is read off such sums, so a tree is one step for each of
//! its levels. Of two siblings one is asked for; the other is the difference to their parent.
//!
//! What protects a patient:
//! * Adjacent bins are joined until each run holds the minimum of persons ([`mod@crate::bins`]) of the
//!   asked node **and** of its sibling, so that no difference between a parent and a child is about
//!   fewer. Where the response is an event, each run holds the minimum of persons with it and of
//!   persons without it, in both nodes.
//! * Runs of a child end only where those of its parent did ([`Asked::ends`]): runs that overlap in
//!   part would tell the bins between their ends.
//! * The sibling's persons, or with an event those with and without it in both, must be none or the
//!   minimum, or nothing is told of the feature in that node.
//! * Numbers have the bins of the data model, which conditions may name too; codes have bins that were
//!   formed from released means.
//!
//! What does not: that a coordinator asks for the trees that its sums call for is its own word, as with
//! the coefficients of [`mod@crate::step`]. Runs are nested within one tree only: two trees, or two fits,
//! part the same patients at unlike places, and the difference of two exact sums may be about few.
//! Hospitals bound the trees of a fit, and questions a day.
//!
//! A measure that does not pass takes its group with it, rows and all, and no remainder is told: both would
//! count the few beside it.
//!
//! Gradients are those of Friedman, *Annals of Statistics* 29 (2001) 1189, second derivatives as in
//! Chen and Guestrin, KDD 2016. Each is rounded once per stay to 2^-30 and kept within ±2^20.

use std::sync::Arc;

use model::glm::Family;

use crate::canonical::Writer;
use crate::domain::Domain;
use crate::measure::Measure;
use crate::step::{MAX_FACTORS, Response, Scalar};

/// Most features.
pub const MAX_FEATURES: usize = 64;
/// Most levels of splits of one tree.
pub const MAX_DEPTH: u32 = 8;
/// Most trees of one ensemble.
pub const MAX_TREES: usize = 2_000;
/// Most bins of one feature.
pub const MAX_FEATURE_BINS: usize = 256;
/// What a gradient is multiplied with before it is rounded: 2^30.
pub const GRADIENT_UNITS: f64 = (1u64 << 30) as f64;
/// Largest predictor that trees may lead to.
pub const FARTHEST: f64 = (1u64 << 16) as f64;
/// log2 of the largest gradient, in [`GRADIENT_UNITS`].
pub const GRADIENT_BITS: u32 = 50;

/// What splits are made by.
#[derive(Debug, Clone, PartialEq)]
pub enum Feature {
    /// The relation's leading column of that index; for each place of its domain but NULL, its bin.
    Factor(u16, Vec<u8>),
    /// The relation's input of that index; a value's bin is the number of edges that do not exceed it.
    Number(u16, Vec<f64>),
}

impl Feature {
    /// Number of bins.
    #[must_use]
    pub fn bins(&self) -> usize {
        match self {
            Self::Factor(_, bins) => bins.iter().max().map_or(0, |last| usize::from(*last) + 1),
            Self::Number(_, edges) => edges.len() + 1,
        }
    }

    /// The bin of a row: `place` is that of its value in the domain of a factor, `value` a number's, NaN
    /// where there is none. `None` when the row has none of the feature's.
    pub fn bin_of(
        &self,
        place: impl FnOnce(usize) -> usize,
        value: impl FnOnce(usize) -> f64,
    ) -> Option<u8> {
        match self {
            Self::Factor(factor, bins) => {
                bins.get(place(usize::from(*factor)).checked_sub(1)?).copied()
            }
            Self::Number(input, edges) => {
                let value = value(usize::from(*input));
                let bin = edges.partition_point(|edge| *edge <= value);
                u8::try_from(bin).ok().filter(|_| !value.is_nan())
            }
        }
    }
}

/// Where rows part: those in bins up to `bin` go left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// Index of the feature.
    pub feature: u16,
    /// Last bin of the left child.
    pub bin: u8,
}

/// A finished tree. Nodes are numbered level by level: the children of `n` are `2n + 1`, left, and
/// `2n + 2`.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// For each node above the last level, its split; a node without one is a leaf.
    pub splits: Vec<Option<Split>>,
    /// For each node of all levels, what it adds to the predictor if it is a leaf.
    pub values: Vec<f64>,
}

impl Tree {
    /// What the leaf of a row adds that is in these bins.
    #[must_use]
    pub fn value(&self, bins: &[u8]) -> f64 {
        let mut node = 0;
        while let Some(Some(Split { feature, bin })) = self.splits.get(node) {
            let is_left = bins.get(usize::from(*feature)).is_some_and(|own| own <= bin);
            node = if is_left { 2 * node + 1 } else { 2 * node + 2 };
        }
        self.values.get(node).copied().unwrap_or_default()
    }
}

/// A node whose histograms are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Number of the node, on the level below the splits.
    pub node: u32,
    /// For each feature, for each bin, whether a run of the parent ended after it; empty where all did.
    pub ends: Vec<Vec<bool>>,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrowthAsk {
    /// Histograms of these nodes, ascending.
    Nodes(Vec<Asked>),
    /// Sums over all stays, [`Scalar::ALL`]: what was observed and what the trees expect.
    Totals,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct Growth {
    /// What each leading column of the relation can be.
    pub factors: Vec<Domain>,
    /// What splits are made by.
    pub features: Vec<Feature>,
    /// What is modelled.
    pub response: Response,
    /// What the response is divided by: a power of two.
    pub unit: f64,
    /// Gaussian, gamma, Poisson or binomial, with its usual link, of gamma the logarithm.
    pub family: Family,
    /// How many trees there are to be; what a hospital's policy looks at.
    pub planned: u32,
    /// The predictor before the first tree.
    pub start: f64,
    /// Finished trees; a step shares them with the one before.
    pub trees: Vec<Arc<Tree>>,
    /// Splits of the tree that grows, of all nodes above the asked level.
    pub splits: Vec<Option<Split>>,
    /// What is asked.
    pub ask: GrowthAsk,
}

/// A step that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGrowth {
    /// Too many features, trees, levels or bins, or none.
    #[error(
        "trees have 1 to {MAX_FEATURES} features of at most {MAX_FEATURE_BINS} bins, {MAX_DEPTH} \
         levels, and there are at most {MAX_TREES}"
    )]
    Size,
    /// An index points to nothing, or a list is out of order.
    #[error("a tree points to a feature, level, input or node that the request does not have")]
    Index,
    /// A number is not finite.
    #[error("a value of a tree is no number, or leads too far")]
    Number,
    /// No gradients are known.
    #[error("trees have the family gaussian, gamma, poisson or binomial")]
    Family,
}

/// The nodes above level `level`.
const fn above(level: u32) -> usize {
    (1 << level) - 1
}

/// The level below `splits` of a whole tree; `None` when they are not those of whole levels.
fn level_below(splits: usize) -> Option<u32> {
    let level = (splits + 1).checked_ilog2()?;
    (above(level) == splits && level <= MAX_DEPTH).then_some(level)
}

/// The parent of a node; `None` of the root.
#[must_use]
pub fn parent(node: u32) -> Option<u32> {
    node.checked_sub(1).map(|below| below / 2)
}

/// The other child of a node's parent; `None` of the root.
#[must_use]
pub fn sibling(node: u32) -> Option<u32> {
    node.checked_sub(1).map(|below| (below ^ 1) + 1)
}

impl Growth {
    /// Checks what came over the wire; `inputs` is how many the request has.
    ///
    /// # Errors
    /// [`InvalidGrowth`].
    pub fn check(&self, inputs: usize) -> Result<(), InvalidGrowth> {
        let sized = (1..=MAX_FEATURES).contains(&self.features.len())
            && self.factors.len() <= MAX_FACTORS
            && self.trees.len() <= MAX_TREES
            && self.trees.len() + usize::from(self.grows()) <= self.planned as usize
            && self.features.iter().all(|feature| (1..=MAX_FEATURE_BINS).contains(&feature.bins()));
        if !sized {
            return Err(InvalidGrowth::Size);
        }
        if !matches!(
            self.family,
            Family::Gaussian | Family::Gamma | Family::Poisson | Family::Binomial
        ) {
            return Err(InvalidGrowth::Family);
        }
        self.check_columns(inputs)?;
        // A predictor that is far out would make of the bound of gradients a threshold of choice.
        let largest = |tree: &Arc<Tree>| {
            tree.values.iter().fold(0.0, |most: f64, value| most.max(value.abs()))
        };
        let finite = self.trees.iter().flat_map(|tree| &tree.values).all(|value| value.is_finite());
        let farthest = self.start.abs() + self.trees.iter().map(largest).sum::<f64>();
        let is_power = self.unit.is_normal() && self.unit > 0.0 && self.unit.to_bits() << 12 == 0;
        if !is_power || !finite || farthest.is_nan() || farthest > FARTHEST {
            return Err(InvalidGrowth::Number);
        }
        for Tree { splits, values } in self.trees.iter().map(AsRef::as_ref) {
            let level = level_below(splits.len()).ok_or(InvalidGrowth::Size)?;
            if values.len() != above(level + 1) {
                return Err(InvalidGrowth::Size);
            }
            self.check_splits(splits)?;
        }
        self.check_splits(&self.splits)?;
        self.check_asked()
    }

    fn check_columns(&self, inputs: usize) -> Result<(), InvalidGrowth> {
        if !self.factors.iter().all(|domain| domain.check().is_ok()) {
            return Err(InvalidGrowth::Index);
        }
        let size = |factor: u16| self.factors.get(usize::from(factor)).map(Domain::size);
        let feature = |feature: &Feature| match feature {
            Feature::Factor(factor, bins) => size(*factor) == Some(bins.len() + 1),
            Feature::Number(input, edges) => {
                let ascending = edges.windows(2).all(|pair| pair[0] < pair[1]);
                let finite = edges.iter().all(|edge| edge.is_finite());
                usize::from(*input) < inputs && ascending && finite
            }
        };
        let response = match self.response {
            Response::Number(number) => usize::from(number.input) < inputs,
            Response::Level(factor, place) => {
                size(factor).is_some_and(|size| (1..size).contains(&(place as usize)))
            }
        };
        let event = matches!(self.response, Response::Level(..));
        if !response || !self.features.iter().all(feature) {
            return Err(InvalidGrowth::Index);
        }
        if event == (self.family == Family::Binomial) { Ok(()) } else { Err(InvalidGrowth::Family) }
    }

    /// Splits are by features and bins that there are, of nodes that there are.
    fn check_splits(&self, splits: &[Option<Split>]) -> Result<(), InvalidGrowth> {
        for (node, split) in (0u32..).zip(splits) {
            let Some(Split { feature, bin }) = split else { continue };
            let known = self.features.get(usize::from(*feature));
            let inside = known.is_some_and(|feature| usize::from(*bin) + 1 < feature.bins());
            if !inside || !is_reached(splits, node) {
                return Err(InvalidGrowth::Index);
            }
        }
        Ok(())
    }

    fn check_asked(&self) -> Result<(), InvalidGrowth> {
        let level = level_below(self.splits.len()).ok_or(InvalidGrowth::Size)?;
        let GrowthAsk::Nodes(asked) = &self.ask else {
            return if level == 0 { Ok(()) } else { Err(InvalidGrowth::Index) };
        };
        if level >= MAX_DEPTH || asked.is_empty() {
            return Err(InvalidGrowth::Size);
        }
        let on_level = |node: u32| (above(level)..above(level + 1)).contains(&(node as usize));
        let ends = |ends: &[Vec<bool>]| {
            let bins = self.features.iter().map(Feature::bins);
            ends.is_empty() || ends.iter().map(Vec::len).eq(bins)
        };
        let known = |asked: &Asked| {
            on_level(asked.node) && is_reached(&self.splits, asked.node) && ends(&asked.ends)
        };
        let ascending = asked.windows(2).all(|pair| pair[0].node < pair[1].node);
        if ascending && asked.iter().all(known) { Ok(()) } else { Err(InvalidGrowth::Index) }
    }

    /// Writes everything that decides the sums; doubles by their bits.
    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.text("growth");
        writer.number(self.factors.len() as u64);
        self.factors.iter().for_each(|domain| domain.encode(writer));
        writer.number(self.features.len() as u64);
        for feature in &self.features {
            match feature {
                Feature::Factor(factor, bins) => {
                    writer.text("factor");
                    writer.number(u64::from(*factor));
                    writer.bytes(bins);
                }
                Feature::Number(input, edges) => {
                    writer.text("number");
                    writer.number(u64::from(*input));
                    write_doubles(writer, edges);
                }
            }
        }
        writer.text(&format!("{:?} {:?}", self.response, self.family));
        writer.number(u64::from(self.planned));
        write_doubles(writer, &[self.unit, self.start]);
        writer.number(self.trees.len() as u64);
        for tree in &self.trees {
            write_splits(writer, &tree.splits);
            write_doubles(writer, &tree.values);
        }
        write_splits(writer, &self.splits);
        let GrowthAsk::Nodes(asked) = &self.ask else { return writer.text("totals") };
        writer.text("nodes");
        writer.number(asked.len() as u64);
        for Asked { node, ends } in asked {
            writer.number(u64::from(*node));
            writer.number(ends.len() as u64);
            for ends in ends {
                writer.bytes(&ends.iter().map(|end| u8::from(*end)).collect::<Vec<_>>());
            }
        }
    }

    /// Whether it asks for a tree that is not among the finished ones.
    #[must_use]
    pub const fn grows(&self) -> bool {
        matches!(self.ask, GrowthAsk::Nodes(_))
    }

    /// Whether the response is an event, so that those with it are told apart.
    #[must_use]
    pub const fn is_event(&self) -> bool {
        matches!(self.response, Response::Level(..))
    }

    /// The measure of each group.
    #[must_use]
    pub fn measure(&self) -> Measure {
        match self.ask {
            GrowthAsk::Totals => Measure::Step,
            GrowthAsk::Nodes(_) => {
                let bins = self.features.iter().map(Feature::bins).max().unwrap_or(1);
                // Those of the node and of its sibling; with an event, with it and without it.
                let tallies = if self.is_event() { 4 } else { 2 };
                Measure::Gradients(u16::try_from(bins).unwrap_or(u16::MAX), tallies)
            }
        }
    }

    /// Sets of persons behind the measure: of a node, those with a gradient out of bounds and those of its
    /// sibling, or with an event (whose gradients are in bounds) those with and without it in both; of the totals, as [`crate::Step::supports`] has them.
    #[must_use]
    pub const fn supports(&self) -> u32 {
        match (&self.ask, self.is_event()) {
            (GrowthAsk::Nodes(_), false) => 2,
            (GrowthAsk::Nodes(_), true) => 4,
            (GrowthAsk::Totals, false) => 5,
            (GrowthAsk::Totals, true) => 7,
        }
    }

    /// Number of groups: asked nodes times features, or totals.
    #[must_use]
    pub const fn places(&self) -> usize {
        match &self.ask {
            GrowthAsk::Nodes(asked) => asked.len() * self.features.len(),
            GrowthAsk::Totals => Scalar::ALL.len(),
        }
    }
}

fn write_doubles(writer: &mut Writer, doubles: &[f64]) {
    writer
        .bytes(&doubles.iter().flat_map(|value| value.to_bits().to_le_bytes()).collect::<Vec<_>>());
}

/// Four bytes each; those of a leaf are zero.
fn write_splits(writer: &mut Writer, splits: &[Option<Split>]) {
    let bytes = |split: &Option<Split>| match split {
        Some(Split { feature, bin }) => {
            let [low, high] = feature.to_le_bytes();
            [1, low, high, *bin]
        }
        None => [0; 4],
    };
    writer.bytes(&splits.iter().flat_map(bytes).collect::<Vec<_>>());
}

/// Whether rows can come to a node: all above it have splits.
fn is_reached(splits: &[Option<Split>], node: u32) -> bool {
    let mut above = parent(node);
    while let Some(node) = above {
        if !splits.get(node as usize).is_some_and(Option::is_some) {
            return false;
        }
        above = parent(node);
    }
    true
}

#[cfg(test)]
mod tests;
