//! A finished ensemble as the model card holds it, and what features a formula stands for.
//!
//! Its JSON: a tree is a list of nodes numbered level by level, the children of `n` being `2n + 1`, left,
//! and `2n + 2`; a node that has a split is no leaf. A row goes left when its bin is at most the
//! split's. The model's mean is the inverse link of the start and the leaves' values added up, times
//! the unit.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::glm::{Family, Link, Transform};
use model::schema::{are_nested, table};
use num_traits::ToPrimitive;
use privacy::growth::{Feature, Growth, GrowthAsk, MAX_FEATURE_BINS, Split, Tree};
use serde::{Deserialize, Serialize};

use super::Options;
use crate::design::Levels;
use crate::formula::{Formula, Variable};

/// Boosted trees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ensemble {
    /// What splits are made by.
    pub features: Vec<FeatureCard>,
    /// What the response was divided by.
    pub unit: f64,
    /// The predictor before the first tree.
    pub start: f64,
    /// What leaves' values were multiplied with; they are so already.
    pub learning_rate: f64,
    /// Most levels of splits.
    pub depth: u32,
    /// Fewest stays on either side of a split.
    pub least_stays: u64,
    /// Penalty on leaves' values.
    pub penalty: f64,
    /// The trees.
    pub trees: Vec<Vec<NodeCard>>,
}

/// A feature and its bins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureCard {
    /// The column.
    pub column: String,
    /// Of a number: where bins begin after the first, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<f64>,
    /// Of a factor: for each of its levels, the bin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bins: Vec<u8>,
    /// By how much its splits have lowered the loss, as a share of all.
    pub gain: f64,
}

/// A node.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NodeCard {
    /// Feature and last bin that goes left; of a leaf nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<(u16, u8)>,
    /// What a leaf adds.
    pub value: f64,
}

/// An ensemble or formula that trees cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEnsemble {
    /// A term that is no bare column.
    #[error(
        "trees take columns as they are: {0} is an interaction or has a transform, and trees need neither"
    )]
    Term(String),
    /// Two columns of which one says what the other does, only coarser.
    #[error(
        "{0} and {1} say the same, one coarser than the other: the difference of their parts may be a few \
         patients, and trees need only one"
    )]
    Nested(String, String),
    /// No level of a factor has enough patients.
    #[error("{0} has no level with enough patients; leave it out")]
    NoLevels(String),
    /// There is an offset.
    #[error("trees have no offset")]
    Offset,
    /// A number without public bins.
    #[error("{0} has no bins in the data model, so trees cannot split by it")]
    NoBins(String),
    /// Nothing to split by.
    #[error("trees need at least one column to split by")]
    Nothing,
    /// A field contradicts another one.
    #[error("the model's {0} is not usable")]
    Field(&'static str),
}

/// Columns and features of a formula, as the first step asks for them: the bins of numbers are those of
/// the data model; each level of a factor is a bin, in the order of their means where these are known, and
/// of more levels than there are bins neighbours are together.
///
/// # Errors
/// [`InvalidEnsemble`].
pub fn features_of(
    formula: &Formula,
    levels: &BTreeMap<String, Levels>,
    means: &BTreeMap<(String, String), f64>,
) -> Result<Vec<(String, Feature)>, InvalidEnsemble> {
    if formula.offset.is_some() {
        return Err(InvalidEnsemble::Offset);
    }
    let (factors, numbers) = (formula.factors(), formula.numbers());
    let index = |names: &[&str], name: &str| {
        let index = names.iter().position(|known| *known == name).and_then(|index| index.to_u16());
        index.ok_or(InvalidEnsemble::Field("formula"))
    };
    let mut features: Vec<(String, Feature)> = Vec::new();
    for term in &formula.terms {
        let (name, feature) = match term.as_slice() {
            [Variable::Factor(name)] => {
                let bins = ordered(name, levels.get(name), means);
                (name, Feature::Factor(index(&factors, name)?, bins))
            }
            [Variable::Number(name, Transform::Identity)] => {
                let edges = table("stay").and_then(|stays| stays.column(name)?.bin_edges());
                let edges = edges.ok_or_else(|| InvalidEnsemble::NoBins(name.clone()))?;
                let edges = edges.iter().filter_map(ToPrimitive::to_f64).collect();
                (name, Feature::Number(index(&numbers, name)?, edges))
            }
            [Variable::Number(name, transform)] => {
                return Err(InvalidEnsemble::Term(transform.written(name)));
            }
            several => {
                let names = several.iter().map(|variable| match variable {
                    Variable::Factor(name) | Variable::Number(name, _) => name.clone(),
                });
                return Err(InvalidEnsemble::Term(names.collect::<Vec<_>>().join(":")));
            }
        };
        let others = features.iter().map(|(other, _)| other.as_str());
        let same = |other: &&str| *other == name || are_nested(other, name);
        let other = others.chain([formula.outcome_column()]).find(same).map(str::to_owned);
        if let Some(other) = other {
            return Err(InvalidEnsemble::Nested(other, name.clone()));
        }
        if feature.bins() == 0 && levels.contains_key(name) {
            return Err(InvalidEnsemble::NoLevels(name.clone()));
        }
        features.push((name.clone(), feature));
    }
    if features.is_empty() { Err(InvalidEnsemble::Nothing) } else { Ok(features) }
}

/// For each level, its bin, in the order of means: adjacent ones are joined when few patients have them.
fn ordered(
    factor: &str,
    levels: Option<&Levels>,
    means: &BTreeMap<(String, String), f64>,
) -> Vec<u8> {
    let names: &[String] = levels.map_or(&[], |levels| &levels.names);
    let mean = |level: &usize| {
        let key = (factor.to_owned(), names[*level].clone());
        means.get(&key).copied().unwrap_or(f64::INFINITY)
    };
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|a, b| mean(a).total_cmp(&mean(b)).then_with(|| names[*a].cmp(&names[*b])));
    let mut bins = vec![0; names.len()];
    for (rank, level) in order.into_iter().enumerate() {
        let bin = match names.len() > MAX_FEATURE_BINS {
            true => rank * MAX_FEATURE_BINS / names.len(),
            false => rank,
        };
        bins[level] = bin.to_u8().unwrap_or(u8::MAX);
    }
    bins
}

/// The link of trees of a family.
#[must_use]
pub const fn link_of(family: Family) -> Link {
    match family {
        Family::Gaussian => Link::Identity,
        Family::Binomial => Link::Logit,
        _ => Link::Log,
    }
}

impl Ensemble {
    /// The ensemble that was grown; `columns` names its features, `gains` are theirs.
    #[must_use]
    pub fn new(growth: &Growth, columns: &[String], gains: &[f64], options: &Options) -> Self {
        let all: f64 = gains.iter().sum();
        let feature = |((feature, column), gain): ((&Feature, &String), &f64)| {
            let (edges, bins) = match feature {
                Feature::Number(_, edges) => (edges.clone(), Vec::new()),
                Feature::Factor(_, bins) => (Vec::new(), bins.clone()),
            };
            let gain = if all > 0.0 { gain / all } else { 0.0 };
            FeatureCard { column: column.clone(), edges, bins, gain }
        };
        let tree = |tree: &Arc<Tree>| {
            let split = |node: usize| tree.splits.get(node).copied().flatten();
            let values = tree.values.iter().enumerate();
            let node = values.map(|(node, value)| NodeCard {
                split: split(node).map(|Split { feature, bin }| (feature, bin)),
                value: *value,
            });
            node.collect()
        };
        Self {
            features: growth.features.iter().zip(columns).zip(gains).map(feature).collect(),
            unit: growth.unit,
            start: growth.start,
            learning_rate: options.rate,
            depth: options.depth,
            least_stays: options.least_stays,
            penalty: options.penalty,
            trees: growth.trees.iter().map(tree).collect(),
        }
    }

    /// Puts features and trees into `growth`, which has everything else, and asks for totals.
    ///
    /// # Errors
    /// [`InvalidEnsemble::Field`].
    pub fn to_growth(
        &self,
        mut growth: Growth,
        index: impl Fn(&FeatureCard) -> Option<u16>,
    ) -> Result<Growth, InvalidEnsemble> {
        let field = InvalidEnsemble::Field;
        growth.features.clear();
        for card in &self.features {
            let index = index(card).ok_or(field("features"))?;
            growth.features.push(match card.bins.is_empty() {
                true => Feature::Number(index, card.edges.clone()),
                false => Feature::Factor(index, card.bins.clone()),
            });
        }
        let split = |node: &NodeCard| node.split.map(|(feature, bin)| Split { feature, bin });
        let tree = |nodes: &Vec<NodeCard>| {
            Arc::new(Tree {
                splits: nodes[..nodes.len() / 2].iter().map(split).collect(),
                values: nodes.iter().map(|node| node.value).collect(),
            })
        };
        growth.trees = self.trees.iter().map(tree).collect();
        (growth.unit, growth.start) = (self.unit, self.start);
        growth.planned = growth.trees.len().to_u32().unwrap_or(u32::MAX);
        (growth.splits, growth.ask) = (Vec::new(), GrowthAsk::Totals);
        Ok(growth)
    }
}
