//! Growing boosted trees: one masked round for each level of each tree, one before to find the mean, and
//! one at the end that tells how well they fit.

use std::collections::BTreeMap;

use learn::boost::{Boost, Ensemble, Options, Told, features_of, link_of};
use learn::card::{DesignCard, FitCard};
use learn::design::Design;
use learn::fit::STAYS_PER_PARAMETER;
use learn::formula::Outcome;
use model::glm::{Dispersion, Family, Transform};
use num_traits::ToPrimitive as _;
use privacy::Combined;
use privacy::growth::Growth;
use privacy::step::{Scalar, UNITS};
use proto::v1;
use query::question::Question;

use super::levels::Found;
use super::{Attempt, Ended, Fitter, Roster, Round, place_of, refuse, sentence};
use crate::ask::AskError;
use crate::progress::count;

/// What a round says about all stays.
struct Whole {
    stays: u64,
    scalars: BTreeMap<Scalar, f64>,
}

impl Whole {
    fn at(&self, scalar: Scalar) -> f64 {
        self.scalars.get(&scalar).copied().unwrap_or(f64::NAN)
    }
}

impl Fitter<'_> {
    /// One ensemble over one roster.
    pub(super) async fn grow(
        &self,
        question: &Question,
        found: &Found,
        options: Options,
        roster: &mut Roster,
    ) -> Result<Attempt, AskError> {
        let order = self.order;
        let wrong = |error: &dyn std::fmt::Display| refuse("model", sentence(&error.to_string()));
        let (columns, growth) = self.template(found)?;
        self.check_trees(found.stays, options)?;
        let mut boost = Boost::new(growth, options).map_err(|error| wrong(&error))?;
        let whole = match self.whole(question, boost.totals(), roster).await? {
            Ok(whole) => whole,
            Err(why) => return Ok(Attempt::Changed(why)),
        };
        let mean = whole.at(Scalar::Response) / whole.at(Scalar::Weight);
        let start = link_of(order.family).of(mean);
        if !start.is_finite() {
            return Err(refuse("model", "Every stay has the event, or none has it."));
        }
        boost.begin(start);
        while let Some(growth) = boost.next() {
            let combined = match self.round(question, growth.clone().into(), roster).await? {
                Round::Told(combined) => combined,
                Round::Changed(why) => return Ok(Attempt::Changed(why)),
            };
            boost.take(&told(&growth, &combined)?).map_err(|error| wrong(&error))?;
            let (steps, trees) = (count(roster.sids.len()), count(boost.trees()));
            let _ = self.progress.try_send(v1::FitProgress {
                steps,
                trees,
                ..v1::FitProgress::default()
            });
        }
        let growth = boost.totals();
        let whole = match self.whole(question, growth.clone(), roster).await? {
            Ok(whole) => whole,
            Err(why) => return Ok(Attempt::Changed(why)),
        };
        if whole.at(Scalar::Clamped) > 0.0 {
            roster.notes.push(
                "some stays have no mean under these trees, or too large a deviance; how well they fit is \
                 not told of these"
                    .to_owned(),
            );
        }
        for (name, _) in columns.iter().zip(&growth.features).filter(|(_, f)| f.bins() < 2) {
            roster.notes.push(format!(
                "no tree is split by {name}: no two parts of it have enough patients each (for events, with and \
                 without it)"
            ));
        }
        let names: Vec<String> = order.formula.factors().iter().map(|&n| n.to_owned()).collect();
        let numbers = order.formula.numbers().iter().map(|&n| n.to_owned()).collect();
        let design = Design { columns: Vec::new(), names: Vec::new(), factors: names, numbers };
        Ok(Attempt::Ended(Box::new(Ended {
            design: DesignCard::new(&order.formula, &design, &found.levels, &found.merged),
            coefficients: Vec::new(),
            covariance: Vec::new(),
            ensemble: Some(Ensemble::new(&growth, &columns, boost.gains(), &options)),
            fit: card(&whole, order.family, growth.unit, roster.sids.len()),
        })))
    }

    /// Columns of the features, and a growth without trees.
    fn template(&self, found: &Found) -> Result<(Vec<String>, Growth), AskError> {
        let order = self.order;
        let features = features_of(&order.formula, &found.levels, &found.means)
            .map_err(|error| refuse("formula", sentence(&error.to_string())))?;
        let (columns, features) = features.into_iter().unzip();
        let growth = learn::card::growth(&order.formula, &found.levels, order.family);
        // A power of two near the mean of amounts, so that their gradients are of ordinary size.
        let is_plain = matches!(order.formula.outcome, Outcome::Number(_, Transform::Identity));
        let unit = match order.family {
            Family::Gaussian | Family::Gamma if is_plain => found.unit,
            _ => 1.0,
        };
        Ok((columns, Growth { features, unit, ..growth }))
    }

    /// Leaves have at least as many stays, on average, as a parameter must have.
    fn check_trees(&self, stays: u64, options: Options) -> Result<(), AskError> {
        let leaves = 1u64.checked_shl(options.depth).unwrap_or(u64::MAX);
        if stays < leaves.saturating_mul(STAYS_PER_PARAMETER) {
            let reason = format!(
                "Trees of depth {} have up to {leaves} leaves, and each needs {STAYS_PER_PARAMETER} \
                 stays; there are {stays}. Use a smaller --depth.",
                options.depth
            );
            return Err(refuse("--depth", reason));
        }
        Ok(())
    }

    /// What a round says about all stays; the reason why it says nothing.
    async fn whole(
        &self,
        question: &Question,
        growth: Growth,
        roster: &mut Roster,
    ) -> Result<Result<Whole, String>, AskError> {
        let combined = match self.round(question, growth.into(), roster).await? {
            Round::Told(combined) => combined,
            Round::Changed(why) => return Ok(Err(why)),
        };
        let mut whole = Whole { stays: 0, scalars: BTreeMap::new() };
        for (key, group) in &combined.groups {
            let told = place_of(key, &group.cells).filter(|_| group.withheld == [false]);
            let Some((place, sum)) = told else { continue };
            let Some(scalar) = Scalar::ALL.get(place) else { continue };
            whole.stays = group.rows;
            whole.scalars.insert(*scalar, sum.to_f64().unwrap_or(f64::NAN) / UNITS);
        }
        if !whole.scalars.contains_key(&Scalar::Weight) {
            let reason = "Too few patients or hospitals stand behind the fit as a whole, or with and \
                          without the event.";
            return Err(refuse("model", reason));
        }
        Ok(Ok(whole))
    }
}

/// What a round says of the asked nodes.
fn told(growth: &Growth, combined: &Combined) -> Result<Told, AskError> {
    let wrong = || AskError::Internal("a sum of a tree stands at no place".to_owned());
    let mut told = Told::default();
    for (key, group) in &combined.groups {
        let (place, _) = place_of(key, &group.cells).ok_or_else(wrong)?;
        if place >= growth.places() {
            return Err(wrong());
        }
        if group.withheld == [false] {
            told.set(growth, place, &group.cells);
        }
    }
    Ok(told)
}

/// How well trees fit the stays that they were grown on.
fn card(whole: &Whole, family: Family, unit: f64, rounds: usize) -> FitCard {
    // The gaussian deviance and dispersion are in squares of the unit.
    let squares = if family == Family::Gaussian { unit * unit } else { 1.0 };
    let degrees = whole.stays.saturating_sub(1);
    let pearson = squares * whole.at(Scalar::Pearson) / degrees.to_f64().unwrap_or(f64::NAN);
    let estimated = family.dispersion() == Dispersion::Estimated;
    let response = unit * whole.at(Scalar::Response);
    FitCard {
        stays: whole.stays,
        residual_degrees: degrees,
        deviance: squares * whole.at(Scalar::Deviance),
        null_deviance: Some(squares * whole.at(Scalar::NullDeviance)),
        pearson_dispersion: pearson,
        dispersion: if estimated { pearson } else { 1.0 },
        shape: None,
        shape_standard_error: None,
        log_likelihood: None,
        aic: None,
        bic: None,
        response_mean: response / whole.stays.to_f64().unwrap_or(f64::NAN),
        withheld_pairs: 0,
        steps: count(rounds),
        trace: Vec::new(),
    }
}
