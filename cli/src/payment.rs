//! `consilium payment simulate`: a fund divided among hospitals by weights or points, and the same
//! under other rules beside it.
//!
//! Scores come from the region's masked means (or from a DIP catalogue), volumes from each
//! hospital's released cells, and settlements are whole cents that add up to the fund. What a
//! hospital did not release is not paid for here, and the answer says how much that is.

mod args;
mod ask;
mod output;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use model::casemix::deviation::{DeviationCells, equivalents};
use model::casemix::money::mean_e4;
use model::casemix::parameters::{Parameters, SHIPPED};
use model::casemix::payment::{MICRO, Settled, Volume, compare, settle};
use model::casemix::weight::{GroupCost, relative_weights};
use serde::Deserialize;

pub use args::{Method, PaymentCommand, SimulateArgs};

use self::ask::{Asked, Asking, Deviating};
use crate::args::Format;
use crate::benchmark::rules;
use crate::client::Client;
use crate::exit::Failure;
use crate::run::Context;

/// A simulation under one set of rules.
#[derive(Debug)]
struct Run {
    rules: Parameters,
    settled: Settled,
    /// Weight or score of each group.
    scores: BTreeMap<String, f64>,
    /// Cases that deviate, by hospital and group.
    deviating: BTreeMap<(String, String), Deviating>,
    /// Groups with stays and without a score.
    unscored: BTreeSet<String>,
    /// Stays that are paid for.
    stays: u64,
}

/// `consilium payment`.
///
/// # Errors
/// Every kind of [`Failure`].
pub async fn run(command: &PaymentCommand, context: &Context) -> Result<(), Failure> {
    let args = match command {
        PaymentCommand::Simulate(args) => args,
        PaymentCommand::Rules => {
            return context.console.data(|out| out.write_all(SHIPPED.as_bytes()));
        }
    };
    if !matches!(args.format, Format::Table | Format::Json | Format::Csv) {
        return Err(Failure::Usage("a simulation is written as table, json or csv".to_owned()));
    }
    let live = rules(args.parameters.as_deref())?;
    let shadow = args.against.as_deref().map(|path| rules(Some(path))).transpose()?;
    let catalogue = args.catalogue.as_deref().map(catalogue).transpose()?;
    let client = Client::open(&args.region.region, &context.clock)?;
    let asking = Asking { client: &client, args };
    let mut asked = asking.all().await?;
    let live = simulate(&asking, &mut asked, catalogue.as_ref(), live).await?;
    let shadow = match shadow {
        Some(rules) => Some(simulate(&asking, &mut asked, catalogue.as_ref(), rules).await?),
        None => None,
    };
    let differences =
        shadow.as_ref().map(|shadow| compare(&live.settled, &shadow.settled)).unwrap_or_default();
    let output =
        output::Output { args, asked: &asked, live: &live, shadow: shadow.as_ref(), differences };
    let text = output.text(context.console)?;
    match &args.out {
        Some(path) => std::fs::write(path, text).map_err(Failure::output(path)),
        None => context.console.data(|out| out.write_all(text.as_bytes())),
    }?;
    output.notes(context.console);
    Ok(())
}

/// A DIP catalogue, as `consilium dip catalogue` writes it: only what a payment needs.
#[derive(Debug, Deserialize)]
struct Catalogue {
    groups: Vec<Scored>,
}

#[derive(Debug, Deserialize)]
struct Scored {
    dip_code: String,
    weight: Option<f64>,
}

/// Scores by code.
fn catalogue(path: &Path) -> Result<BTreeMap<String, f64>, Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        let path = path.display();
        Failure::Data(format!("{path}: {error}; `consilium dip catalogue --out FILE` writes one"))
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    let read: Catalogue = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
    let scores = read.groups.into_iter();
    Ok(scores.filter_map(|group| Some((group.dip_code, group.weight?))).collect())
}

async fn simulate(
    asking: &Asking<'_>,
    asked: &mut Asked,
    catalogue: Option<&BTreeMap<String, f64>>,
    rules: Parameters,
) -> Result<Run, Failure> {
    let scores = match catalogue {
        Some(scores) => scores.clone(),
        None => weights(asked, &rules),
    };
    let deviating = if rules.deviation.enabled {
        asking.deviations(asked, &rules).await?
    } else {
        BTreeMap::new()
    };
    let (mut unscored, mut stays, mut volumes) = (BTreeSet::new(), 0, Vec::new());
    for cell in &asked.volumes {
        if rules.weight.ungrouped.contains(&cell.group) {
            continue;
        }
        if !scores.contains_key(&cell.group) {
            unscored.insert(cell.group.clone());
            continue;
        }
        let tier = asked.tiers.get(&cell.hospital).cloned().unwrap_or_default();
        stays += cell.stays;
        let key = (cell.hospital.clone(), cell.group.clone());
        let cases = deviating
            .get(&key)
            .and_then(|found| cases(cell.stays, found, &rules))
            .unwrap_or_else(|| i128::from(cell.stays) * MICRO);
        let (hospital, group) = key;
        volumes.push(Volume { hospital, tier, group, cases, stays: cell.stays });
    }
    let fund = asking.args.fund;
    let settled = settle(asking.args.method.scheme(), fund, &scores, &volumes, &rules)
        .map_err(|error| Failure::Data(format!("this cannot be settled: {error}")))?;
    Ok(Run { rules, settled, scores, deviating, unscored, stays })
}

/// What the cases of a cell count as (F10); `None` when their deviations were not told.
fn cases(stays: u64, found: &Deviating, rules: &Parameters) -> Option<i128> {
    let (low_stays, low_sum_e4) = found.low?;
    let (high_stays, high_sum_e4) = found.high?;
    let cells = DeviationCells {
        stays,
        low_stays,
        low_sum_e4,
        high_stays,
        high_sum_e4,
        // A count that is not told cannot be sent to experts.
        review_stays: found.review.unwrap_or(0).min(high_stays),
    };
    equivalents(&cells, found.reference, &rules.deviation)
}

/// Relative weights of the region's groups.
fn weights(asked: &Asked, rules: &Parameters) -> BTreeMap<String, f64> {
    let costs: Vec<_> = asked
        .standards
        .iter()
        .map(|cell| GroupCost {
            code: cell.group.clone(),
            stays: cell.stays,
            costed: cell.costed,
            sum_e4: cell.cost_e4,
        })
        .collect();
    let weights = relative_weights(&costs, &rules.weight);
    let each = costs.into_iter().zip(weights);
    each.filter_map(|(cost, weight)| Some((cost.code, weight.value?))).collect()
}

/// Mean cost of a tier's group in the reference period.
fn reference(asked: &Asked, tier: &str, group: &str) -> Option<f64> {
    let cell = asked.references.get(&(tier.to_owned(), group.to_owned()))?;
    mean_e4(cell.1, cell.0).filter(|mean| *mean > 0.0)
}
