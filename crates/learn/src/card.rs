//! The model card: a fitted model with everything that is needed to read, repeat and apply it.
//!
//! Its JSON is stable: fields may be added, never renamed. Numbers read back as the same bits.

use std::collections::BTreeMap;

use model::glm::{Family, Link, Transform};
use privacy::growth::{Growth, GrowthAsk};
use privacy::step::{Ask, At, Column, Number, Response, Step};
use privacy::{Domain, Fitting};
use serde::{Deserialize, Serialize};

use crate::boost::{Ensemble, FeatureCard};
use crate::design::{Design, Levels};
use crate::fit::Estimate;
use crate::formula::{Formula, Outcome};

/// Version of the card's form.
pub const CARD_FORMAT: u32 = 1;

/// A fitted model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// [`CARD_FORMAT`].
    pub format: u32,
    /// What the user called it.
    pub name: String,
    /// When it was fitted, RFC 3339.
    pub created_at: String,
    /// Who asked for it.
    pub asker: String,
    /// The formula as it was written.
    pub formula: String,
    /// Name of the family.
    pub family: String,
    /// Name of the link.
    pub link: String,
    /// Condition on stays; empty for all.
    pub condition: String,
    /// Weight of the ridge penalty.
    pub ridge: f64,
    /// Firth's correction was applied.
    pub firth: bool,
    /// Column of prior weights; empty without.
    pub weight: String,
    /// What is modelled and what by.
    pub design: DesignCard,
    /// One for each column of the design.
    pub coefficients: Vec<CoefficientCard>,
    /// Covariance of the coefficients, row after row.
    pub covariance: Vec<f64>,
    /// Boosted trees, in the place of coefficients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ensemble: Option<Ensemble>,
    /// How well it fits.
    pub fit: FitCard,
    /// Where it comes from.
    pub provenance: ProvenanceCard,
    /// What else is to be known, in sentences.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// What is modelled and what by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DesignCard {
    /// Column that is modelled.
    pub response: String,
    /// What it goes through: `identity`, `log`, ..., or `event`.
    pub response_transform: String,
    /// Column of the offset and what it goes through.
    pub offset: Option<(String, String)>,
    /// Columns that stand for groups.
    pub factors: Vec<FactorCard>,
    /// Columns that are numbers.
    pub numbers: Vec<String>,
}

/// A factor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactorCard {
    /// The column.
    pub column: String,
    /// Its levels.
    pub levels: Vec<String>,
    /// What the others are compared with.
    pub reference: String,
    /// Whether the column is a text.
    pub text: bool,
    /// Known codes that are part of `OTHER`, or left out where that is no level.
    pub merged: Vec<String>,
}

/// A coefficient and the design column that it belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CoefficientCard {
    /// Name of the design column.
    pub name: String,
    /// Levels that a stay has for the column to be other than zero: column and level.
    pub levels: Vec<(String, String)>,
    /// Numbers that it is multiplied with: column and what it goes through.
    pub numbers: Vec<(String, String)>,
    /// The estimate.
    pub estimate: f64,
    /// Standard error under the model.
    pub standard_error: f64,
    /// Standard error without believing the model's variance (sandwich, HC0).
    pub robust_standard_error: Option<f64>,
    /// Standard error clustered by hospital, where that was asked for and every hospital told its part.
    #[serde(default)]
    pub clustered_standard_error: Option<f64>,
    /// The estimate in standard errors.
    pub z: f64,
    /// Two-sided, normal.
    pub p: f64,
    /// 95 % limits, normal.
    pub lower: f64,
    /// 95 % limits, normal.
    pub upper: f64,
}

/// How well the model fits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitCard {
    /// Stays in the fit.
    pub stays: u64,
    /// Stays less coefficients.
    pub residual_degrees: u64,
    /// Residual deviance.
    pub deviance: f64,
    /// Deviance of the mean alone.
    pub null_deviance: Option<f64>,
    /// Pearson's statistic over the residual degrees of freedom.
    pub pearson_dispersion: f64,
    /// What standard errors are scaled with.
    pub dispersion: f64,
    /// `α` of the negative binomial family.
    pub shape: Option<f64>,
    /// Its standard error.
    pub shape_standard_error: Option<f64>,
    /// Log-likelihood.
    pub log_likelihood: Option<f64>,
    /// Akaike's criterion.
    pub aic: Option<f64>,
    /// Schwarz's criterion.
    pub bic: Option<f64>,
    /// Mean of the response.
    pub response_mean: f64,
    /// Pairs of design columns whose information was withheld; standard errors are approximate when
    /// there are any.
    pub withheld_pairs: usize,
    /// Steps, one masked round each.
    pub steps: u32,
    /// Newton's steps: objective, largest move in standard errors, whether it was halved.
    pub trace: Vec<(f64, f64, bool)>,
}

/// Where a model comes from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProvenanceCard {
    /// `pooled`.
    pub scope: String,
    /// `masked`.
    pub mode: String,
    /// Hospitals in every sum, with their snapshots.
    pub snapshots: BTreeMap<String, String>,
    /// Hospitals that are not in it, and why.
    pub left_out: BTreeMap<String, String>,
    /// Names of the masked rounds, in the order of steps; receipts are in the logs under these.
    pub rounds: Vec<String>,
    /// Stays for which the condition holds, as far as they are told.
    #[serde(default)]
    pub selected_stays: u64,
    /// Bytes that hospitals sent.
    pub bytes_received: u64,
    /// Milliseconds.
    pub elapsed_ms: u64,
    /// Times the fit began again because hospitals or their data had changed.
    pub restarts: u32,
    /// Fewest persons, stays and hospitals behind each sum.
    pub floor: [u32; 3],
    /// Grouper schemes of the region's groups, where the model uses them.
    pub schemes: Vec<String>,
}

/// A card that does not say what a model needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCard {
    /// Another version wrote it.
    #[error("the model's form is {0}, this version reads {CARD_FORMAT}")]
    Format(u32),
    /// A field contradicts another one or names what does not exist.
    #[error("the model's {0} is not usable")]
    Field(&'static str),
}

/// What a formula calls a transform.
const TRANSFORMS: [(Transform, &str); 5] = [
    (Transform::Identity, "identity"),
    (Transform::Log, "log"),
    (Transform::SquareRoot, "sqrt"),
    (Transform::Square, "square"),
    (Transform::Cube, "cube"),
];
/// The transform of a response that is a flag.
const EVENT: &str = "event";

fn transform_name(transform: Transform) -> String {
    let known = TRANSFORMS.iter().find(|(one, _)| *one == transform);
    known.map_or_else(String::new, |(_, name)| (*name).to_owned())
}

/// The transform that a card calls so.
pub(crate) fn transform_named(name: &str) -> Option<Transform> {
    TRANSFORMS.iter().find(|(_, known)| *known == name).map(|(one, _)| *one)
}

impl DesignCard {
    /// The card of a design; `merged` names codes without a level, by column.
    #[must_use]
    pub fn new(
        formula: &Formula,
        design: &Design,
        levels: &BTreeMap<String, Levels>,
        merged: &BTreeMap<String, Vec<String>>,
    ) -> Self {
        let factor = |column: &String| {
            let levels = levels.get(column)?;
            Some(FactorCard {
                column: column.clone(),
                levels: levels.names.clone(),
                reference: levels.reference.clone(),
                text: levels.text,
                merged: merged.get(column).cloned().unwrap_or_default(),
            })
        };
        Self {
            response: formula.outcome_column().to_owned(),
            response_transform: match &formula.outcome {
                Outcome::Number(_, transform) => transform_name(*transform),
                Outcome::Event(_) => EVENT.to_owned(),
            },
            offset: formula.offset.as_ref().map(|(name, t)| (name.clone(), transform_name(*t))),
            factors: design.factors.iter().filter_map(factor).collect(),
            numbers: design.numbers.clone(),
        }
    }

    fn levels(&self, factor: usize) -> Option<Levels> {
        let FactorCard { levels, reference, text, .. } = self.factors.get(factor)?;
        Some(Levels { names: levels.clone(), reference: reference.clone(), text: *text })
    }

    /// The column of a feature among factors or numbers.
    pub(crate) fn index(&self, feature: &FeatureCard) -> Option<u16> {
        let index = match feature.bins.is_empty() {
            true => self.numbers.iter().position(|name| *name == feature.column),
            false => self.factors.iter().position(|factor| factor.column == feature.column),
        };
        index.and_then(|index| u16::try_from(index).ok())
    }

    /// Whether the response is a flag.
    #[must_use]
    pub fn is_event(&self) -> bool {
        self.response_transform == EVENT
    }
}

/// The domain of a flag.
fn flag() -> Domain {
    Domain::Codes {
        codes: vec!["false".to_owned(), "true".to_owned()],
        outside: privacy::domain::Outside::None,
    }
}

/// Place of `true` in [`flag`].
const TRUE: u32 = 2;

/// What a step needs that neither formula nor levels say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Law {
    /// The response's distribution.
    pub family: Family,
    /// How its mean hangs on the linear predictor.
    pub link: Link,
    /// What the response is divided by.
    pub unit: f64,
}

/// The step of a design, asking nothing yet. Its relation's leading columns are the design's
/// factors and, for an event, the response; its inputs are the design's numbers and the weight.
#[must_use]
pub fn step(
    formula: &Formula,
    design: &Design,
    levels: &BTreeMap<String, Levels>,
    weight: Option<Number>,
    law: Law,
) -> Step {
    let mut factors: Vec<Domain> =
        design.factors.iter().filter_map(|name| levels.get(name)).map(Levels::domain).collect();
    let response = match &formula.outcome {
        Outcome::Number(name, transform) => Response::Number(design.number(name, *transform)),
        Outcome::Event(_) => {
            factors.push(flag());
            Response::Level(u16::try_from(factors.len() - 1).unwrap_or(u16::MAX), TRUE)
        }
    };
    Step {
        factors,
        response,
        unit: law.unit,
        weight,
        offset: formula.offset.as_ref().map(|(name, t)| design.number(name, *t)),
        columns: design.columns.clone(),
        family: law.family,
        link: law.link,
        ask: Ask::Start,
        at: At {
            coefficients: vec![0.0; design.columns.len()],
            shape: 1.0,
            null_mean: 1.0,
            inverse: Vec::new(),
            before: Vec::new(),
        },
    }
}

/// The growth of a formula's trees, without features, trees and start; its relation is that of [`step()`]
/// for the same formula.
#[must_use]
pub fn growth(formula: &Formula, levels: &BTreeMap<String, Levels>, family: Family) -> Growth {
    let names = formula.factors();
    let mut factors: Vec<Domain> =
        names.iter().filter_map(|name| levels.get(*name)).map(Levels::domain).collect();
    let response = match &formula.outcome {
        // The response is the first of a formula's numbers.
        Outcome::Number(_, transform) => {
            Response::Number(Number { input: 0, transform: *transform })
        }
        Outcome::Event(_) => {
            factors.push(flag());
            Response::Level(u16::try_from(factors.len() - 1).unwrap_or(u16::MAX), TRUE)
        }
    };
    Growth {
        factors,
        features: Vec::new(),
        response,
        unit: 1.0,
        family,
        planned: 0,
        start: 0.0,
        trees: Vec::new(),
        splits: Vec::new(),
        ask: GrowthAsk::Totals,
    }
}

impl CoefficientCard {
    /// The cards of an estimate.
    #[must_use]
    pub fn all(design: &Design, card: &DesignCard, estimate: &Estimate) -> Vec<Self> {
        let level = |(factor, place): &(u16, u32)| {
            let factor = card.factors.get(usize::from(*factor))?;
            let level = factor.levels.get(*place as usize - 1)?;
            Some((factor.column.clone(), level.clone()))
        };
        let number = |number: &Number| {
            let column = design.numbers.get(usize::from(number.input))?;
            Some((column.clone(), transform_name(number.transform)))
        };
        let clustered = |index: usize| estimate.clustered_errors.as_ref()?.get(index).copied();
        let one = |(index, (column, coefficient)): (usize, (&Column, &crate::fit::Coefficient))| {
            let [lower, upper] = coefficient.limits();
            Self {
                name: coefficient.name.clone(),
                levels: column.levels.iter().filter_map(level).collect(),
                numbers: column.numbers.iter().filter_map(number).collect(),
                estimate: coefficient.estimate,
                standard_error: coefficient.error,
                robust_standard_error: coefficient.robust_error,
                clustered_standard_error: clustered(index),
                z: coefficient.z(),
                p: coefficient.p(),
                lower,
                upper,
            }
        };
        design.columns.iter().zip(&estimate.coefficients).enumerate().map(one).collect()
    }
}

impl From<&Estimate> for FitCard {
    fn from(estimate: &Estimate) -> Self {
        use num_traits::ToPrimitive as _;
        Self {
            stays: estimate.stays,
            residual_degrees: estimate.residual_degrees,
            deviance: estimate.deviance,
            null_deviance: estimate.null_deviance,
            pearson_dispersion: estimate.pearson_dispersion,
            dispersion: estimate.dispersion,
            shape: estimate.shape.map(|(shape, _)| shape),
            shape_standard_error: estimate.shape.map(|(_, error)| error),
            log_likelihood: estimate.log_likelihood,
            aic: estimate.aic(),
            bic: estimate.bic(),
            response_mean: estimate.observed / estimate.stays.to_f64().unwrap_or(f64::NAN),
            withheld_pairs: estimate.withheld_pairs,
            steps: estimate.steps,
            trace: estimate.trace.iter().map(|t| (t.objective, t.moved, t.halved)).collect(),
        }
    }
}

impl Card {
    /// Family and link.
    ///
    /// # Errors
    /// [`InvalidCard`].
    pub fn law(&self) -> Result<(Family, Link), InvalidCard> {
        if self.format != CARD_FORMAT {
            return Err(InvalidCard::Format(self.format));
        }
        let family = Family::named(&self.family).ok_or(InvalidCard::Field("family"))?;
        let link = Link::named(&self.link).ok_or(InvalidCard::Field("link"))?;
        if family.takes(link) { Ok((family, link)) } else { Err(InvalidCard::Field("link")) }
    }

    /// The step that adds up what was observed and what the model expects; its relation's leading
    /// columns are the card's factors and, for an event, the response, its inputs the numbers.
    ///
    /// # Errors
    /// [`InvalidCard`].
    pub fn totals(&self) -> Result<Fitting, InvalidCard> {
        let (family, link) = self.law()?;
        let field = InvalidCard::Field;
        let formula = Formula::parse(&self.formula).map_err(|_| field("formula"))?;
        let mut levels = BTreeMap::new();
        for (index, factor) in self.design.factors.iter().enumerate() {
            let known = self.design.levels(index).ok_or_else(|| field("factors"))?;
            levels.insert(factor.column.clone(), known);
        }
        if let Some(ensemble) = &self.ensemble {
            let index = |feature: &FeatureCard| self.design.index(feature);
            let growth = ensemble.to_growth(growth(&formula, &levels, family), index);
            let growth = growth.map_err(|_| field("ensemble"))?;
            growth.check(self.design.numbers.len()).map_err(|_| field("ensemble"))?;
            return Ok(growth.into());
        }
        let design = Design::new(&formula, &levels).map_err(|_| field("levels"))?;
        let names = self.coefficients.iter().map(|one| &one.name);
        if !design.names.iter().eq(names) {
            return Err(field("coefficients"));
        }
        let law = Law { family, link, unit: 1.0 };
        let step = step(&formula, &design, &levels, None, law);
        let coefficients = self.coefficients.iter().map(|one| one.estimate).collect();
        let at = At { coefficients, shape: self.fit.shape.unwrap_or(1.0), ..step.at };
        Ok(Step { ask: Ask::Totals, at, ..step }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_as_the_same_bits() {
        let edges: Vec<f64> = (1..=1_000).map(|n| f64::from(n).sqrt() * 1e-3).collect();
        let written =
            FeatureCard { column: "los_days".to_owned(), edges, bins: Vec::new(), gain: 0.1 };
        let text = serde_json::to_string(&written).unwrap();
        assert_eq!(serde_json::from_str::<FeatureCard>(&text).unwrap(), written);
    }
}
