//! What a user wants fitted, every word checked before a hospital is asked.

use std::collections::BTreeMap;

use learn::boost::{BoostError, Options, features_of, link_of};
use learn::formula::{Formula, Outcome};
use model::glm::{Family, Link, Transform};
use model::schema::table;
use model::{Refusal, RefusalCode};
use privacy::domain::OTHER;
use proto::v1;

use crate::ask::AskError;

/// What is to be fitted, every word checked.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) formula: Formula,
    pub(super) family: Family,
    pub(super) link: Link,
    pub(super) condition: String,
    pub(super) ridge: f64,
    pub(super) firth: bool,
    pub(super) weight: Option<String>,
    pub(super) cluster: bool,
    /// How trees are grown, where these are wanted.
    pub(super) trees: Option<Options>,
}

/// A refusal of a model, with no way out beside what the reason says.
pub(super) fn refuse(subject: &str, reason: impl Into<String>) -> AskError {
    AskError::Refused(Box::new(Refusal::new(RefusalCode::Model, subject, reason, "")))
}

impl Order {
    /// Reads a request.
    pub(super) fn new(request: v1::FitRequest, name: String) -> Result<Self, AskError> {
        let formula = Formula::parse(&request.formula)
            .map_err(|error| refuse("formula", sentence(&error.to_string())))?;
        let known = |names: Vec<&str>| names.join(", ");
        let family = Family::named(&request.family).ok_or_else(|| {
            let names = known(Family::ALL.map(Family::as_str).to_vec());
            refuse("--family", format!("There is no family {}: {names}.", request.family))
        })?;
        let link = match request.link.as_str() {
            "" if request.trees.is_some() => link_of(family),
            "" => family.usual_link(),
            name => Link::named(name).ok_or_else(|| {
                let names = known(Link::ALL.map(Link::as_str).to_vec());
                refuse("--link", format!("There is no link {name}: {names}."))
            })?,
        };
        if !family.takes(link) {
            let (family, link) = (family.as_str(), link.as_str());
            return Err(refuse("--link", format!("The family {family} has no link {link}.")));
        }
        let is_event = matches!(formula.outcome, Outcome::Event(_));
        if is_event != (family == Family::Binomial) {
            let (column, family) = (formula.outcome_column(), family.as_str());
            let what = if is_event { "a flag" } else { "a number" };
            let reason = format!("{column} is {what}; that is no response of the family {family}.");
            return Err(refuse("--family", reason));
        }
        if !request.ridge.is_finite() || request.ridge < 0.0 {
            return Err(refuse("--ridge", "The penalty is a number from 0 on."));
        }
        let plain = family == Family::Binomial && link == Link::Logit && request.ridge <= 0.0;
        if request.firth && !plain {
            let reason = "Firth's correction is for binomial models with the logit link, without a ridge penalty.";
            return Err(refuse("--firth", reason));
        }
        let weight = Some(request.weight).filter(|name| !name.is_empty());
        if let Some(weight) = &weight {
            // Read as a formula, so that mistakes are named in the same words.
            let read = Formula::parse(&format!("{weight} ~ 1"));
            let read = read.map_err(|error| refuse("--weights", sentence(&error.reason)))?;
            if read.outcome != Outcome::Number(weight.clone(), Transform::Identity) {
                return Err(refuse("--weights", format!("{weight} is no number.")));
            }
        }
        let trees = request.trees.map(|trees| options(&trees, request.ridge));
        if let Some(options) = trees {
            let wrong = |error: BoostError| refuse("--trees", sentence(&error.to_string()));
            options.check().map_err(wrong)?;
            let others = [request.firth, request.cluster, weight.is_some()];
            check_trees(family, link, &formula, others)?;
        }
        Ok(Self {
            trees,
            name,
            text: request.formula,
            formula,
            family,
            link,
            condition: request.condition.trim().to_owned(),
            ridge: request.ridge,
            firth: request.firth,
            weight,
            cluster: request.cluster,
        })
    }

    /// Columns whose values are read as numbers: the formula's, then the weight.
    pub(super) fn numbers(&self) -> Vec<&str> {
        let mut names = self.formula.numbers();
        let weight = self.weight.as_deref().filter(|weight| !names.contains(weight));
        names.extend(weight);
        names
    }

    /// Columns that a step reads first: the factors and, for an event, the response.
    pub(super) fn leading(&self) -> Vec<&str> {
        let mut names = self.formula.factors();
        if let Outcome::Event(name) = &self.formula.outcome {
            names.push(name);
        }
        names
    }

    /// The condition, and that no column of the formula is empty: levels are asked for over the very stays
    /// that are fitted, so that no difference of the two is told.
    pub(super) fn filter(&self) -> String {
        let columns = self.leading().into_iter().chain(self.numbers());
        let mut conditions: Vec<String> =
            columns.map(|name| format!("{name} IS NOT NULL")).collect();
        if !self.condition.is_empty() {
            // On a line of its own, so that a comment cannot swallow what stands behind it.
            conditions.insert(0, format!("(\n{}\n)", self.condition));
        }
        if conditions.is_empty() {
            return String::new();
        }
        format!(" WHERE {}", conditions.join(" AND "))
    }

    /// A question about the condition alone.
    pub(super) fn selection(&self) -> String {
        match self.condition.as_str() {
            "" => "SELECT count(*) FROM stay".to_owned(),
            condition => format!("SELECT count(*) FROM stay WHERE {condition}"),
        }
    }

    /// A question whose rows are those of the fit.
    pub(super) fn carrier(&self) -> String {
        let leading = self.leading();
        let sums = self.numbers().into_iter().map(|name| format!("sum({name})"));
        let mut columns: Vec<String> = leading.iter().map(|name| (*name).to_owned()).collect();
        columns.extend(sums);
        let groups = match leading.is_empty() {
            true => String::new(),
            false => format!(" GROUP BY {}", leading.join(", ")),
        };
        if columns.len() == leading.len() {
            columns.push("count(*)".to_owned());
        }
        format!("SELECT {} FROM stay{}{groups}", columns.join(", "), self.filter())
    }
}

/// What stands for a number of trees or stays that was not said.
const USUAL_DEPTH: u32 = 4;
/// LightGBM's, and scikit-learn's.
const USUAL_LEAST_STAYS: u64 = 20;
const USUAL_RATE: f64 = 0.1;

fn options(wire: &v1::TreeOptions, ridge: f64) -> Options {
    let or = |given: u64, usual: u64| if given == 0 { usual } else { given };
    Options {
        trees: wire.trees as usize,
        depth: if wire.depth == 0 { USUAL_DEPTH } else { wire.depth },
        rate: wire.learning_rate.unwrap_or(USUAL_RATE),
        least_stays: or(wire.least_stays, USUAL_LEAST_STAYS),
        penalty: ridge,
    }
}

/// What trees are not fitted with; `others` are Firth's correction, clustered errors and weights.
fn check_trees(
    family: Family,
    link: Link,
    formula: &Formula,
    others: [bool; 3],
) -> Result<(), AskError> {
    let families = [Family::Gaussian, Family::Gamma, Family::Poisson, Family::Binomial];
    if !families.contains(&family) {
        let names = families.map(Family::as_str).join(", ");
        return Err(refuse("--family", format!("Trees have one of the families {names}.")));
    }
    let only = link_of(family);
    if link != only {
        let (family, only) = (family.as_str(), only.as_str());
        return Err(refuse(
            "--link",
            format!("Trees of the family {family} have the link {only}."),
        ));
    }
    let words = ["--firth", "--cluster", "--weights"];
    if let Some((word, _)) = words.iter().zip(others).find(|(_, given)| *given) {
        let reason = format!("Boosted trees cannot be fitted with {word}; leave it out.");
        return Err(refuse(word, reason));
    }
    let known = features_of(formula, &BTreeMap::new(), &BTreeMap::new());
    known.map(|_| ()).map_err(|error| refuse("formula", sentence(&error.to_string())))
}

/// A sentence from an error's text.
pub(super) fn sentence(text: &str) -> String {
    let word = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next();
    let is_column = |word| table("stay").is_some_and(|table| table.column(word).is_some());
    if word.is_some_and(is_column) {
        return format!("{text}.");
    }
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// A name for a model that the user gave none.
pub(super) fn stem(formula: &str) -> String {
    let response = formula.split('~').next().unwrap_or_default();
    let letters = response.chars().map(|c| c.to_ascii_lowercase());
    let letters: String =
        letters.map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let stem = letters.trim_matches('-').chars().take(40).collect::<String>();
    if stem.is_empty() { OTHER.to_ascii_lowercase() } else { stem }
}
