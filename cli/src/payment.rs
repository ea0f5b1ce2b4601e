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
use model::manifest::ListRecord;
use model::{Refusal, RefusalCode};
use num_traits::ToPrimitive as _;

pub use args::{Method, PaymentCommand, SimulateArgs};

use self::ask::{Asked, Asking, Deviating, Deviations};
use crate::args::Format;
use crate::client::Client;
use crate::exit::Failure;
use crate::rules::rules;
use crate::run::Context;

/// A simulation under one set of rules.
#[derive(Debug)]
struct Run {
    rules: Parameters,
    settled: Settled,
    /// Weight or score of each group.
    scores: BTreeMap<String, f64>,
    /// Cases that deviate, as far as they are taken into account.
    deviating: Deviations,
    /// Share of stays for which it was told whether their cases deviate.
    told_share: Option<f64>,
    /// Whether no hospital tells them before its steward has decided.
    waiting: bool,
    /// Groups with stays and without a score.
    unscored: BTreeSet<String>,
    /// Stays that are paid for.
    stays: u64,
    /// Their share of the region's weight.
    coverage: Option<f64>,
}

/// Least share of stays for which deviations must be told, or none are taken into account.
const LEAST_TOLD: f64 = 0.9;

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
    check_arguments(args)?;
    let live = rules(args.parameters.as_deref())?;
    let shadow = args.against.as_deref().map(|path| rules(Some(path))).transpose()?;
    let catalogue = args.catalogue.as_deref().map(catalogue).transpose()?;
    let client = Client::open(&args.region.region, &context.clock)?;
    let (list, scores) = catalogue.unzip();
    let asking = Asking { client: &client, args, list: list.as_ref() };
    let mut asked = asking.all().await?;
    for (path, rules) in [(&args.parameters, Some(&live)), (&args.against, shadow.as_ref())] {
        if let Some((path, rules)) = path.as_deref().zip(rules) {
            check_names(path, rules, &asked)?;
        }
    }
    let live = simulate(&asking, &mut asked, scores.as_ref(), live).await?;
    let shadow = match shadow {
        Some(rules) => Some(simulate(&asking, &mut asked, scores.as_ref(), rules).await?),
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

/// Options that say nothing about the method are a mistake.
fn check_arguments(args: &SimulateArgs) -> Result<(), Failure> {
    let is_dip = args.method == Method::DipPoints;
    let wrong = match (&args.catalogue, &args.scheme) {
        (Some(_), _) if !is_dip => "--catalogue: scores of a DIP list are for --method dip-points",
        (_, Some(_)) if is_dip => "--scheme: a DIP code belongs to its list, not to a grouper",
        _ => return Ok(()),
    };
    Err(Failure::Usage(wrong.to_owned()))
}

/// Coefficients and prepayments are of tiers and hospitals that there are, and nothing is asked for
/// that is not done.
fn check_names(path: &Path, rules: &Parameters, asked: &Asked) -> Result<(), Failure> {
    let payment = &rules.payment;
    let wrong = |field: String, reason: String| {
        Err(Failure::Data(format!("{}: payment.{field}: {reason}", path.display())))
    };
    if !payment.pools.is_empty() {
        let reason = "a fund is not divided by payer here; simulate each payer's part by itself";
        return wrong("pools".to_owned(), reason.to_owned());
    }
    let tiers: BTreeSet<&str> = asked.tiers.values().map(String::as_str).collect();
    if let Some(tier) = payment.tier.keys().find(|tier| !tiers.contains(tier.as_str())) {
        let known = tiers.into_iter().collect::<Vec<_>>().join(", ");
        return wrong(
            format!("tier.{tier}"),
            format!("no hospital is of this tier; there are {known}"),
        );
    }
    let named = payment.hospital.keys().map(|id| ("hospital", id));
    let mut named = named.chain(payment.prepaid.keys().map(|id| ("prepaid", id)));
    match named.find(|(_, id)| !asked.tiers.contains_key(*id)) {
        Some((table, id)) => {
            wrong(format!("{table}.{id}"), "the region has no such hospital".to_owned())
        }
        None => Ok(()),
    }
}

/// Name, version and hash of a DIP catalogue, and its scores by code; it is checked as a node checks
/// it.
fn catalogue(path: &Path) -> Result<(ListRecord, BTreeMap<String, f64>), Failure> {
    let list = node::ingest::read_dip_list(path);
    let list = list.map_err(|error| Failure::Data(error.to_string()))?;
    let record = list.record();
    let scores = list.groups.into_iter();
    Ok((record, scores.filter_map(|group| Some((group.dip_code, group.weight?))).collect()))
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
    let told = if rules.deviation.enabled {
        asking.deviations(asked, &rules).await
    } else {
        Ok(Deviations::new())
    };
    let waiting = matches!(&told, Err(Failure::Refused(refusal)) if is_undecided(refusal));
    let told = if waiting { Deviations::new() } else { told? };
    let told_share = told_share(asked, &scores, &told);
    // Judging a few hospitals' cases and nobody else's would move money for what was told.
    let deviating =
        if told_share.is_some_and(|share| share >= LEAST_TOLD) { told } else { Deviations::new() };
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
    let coverage = weight_share(asked, &scores);
    Ok(Run { rules, settled, scores, deviating, told_share, waiting, unscored, stays, coverage })
}

/// Whether a steward can still say yes.
const fn is_undecided(refusal: &Refusal) -> bool {
    matches!(refusal.code, RefusalCode::Waiting | RefusalCode::Pack)
}

/// Share of scored stays in cells whose deviations were told in full.
fn told_share(asked: &Asked, scores: &BTreeMap<String, f64>, told: &Deviations) -> Option<f64> {
    let (mut known, mut all) = (0u64, 0u64);
    for cell in asked.volumes.iter().filter(|cell| scores.contains_key(&cell.group)) {
        let found = told.get(&(cell.hospital.clone(), cell.group.clone()));
        let is_told = found.is_some_and(|found| found.low.is_some() && found.high.is_some());
        all += cell.stays;
        known += if is_told { cell.stays } else { 0 };
    }
    Some(known.to_f64()? / all.to_f64()?).filter(|share| share.is_finite())
}

/// Share of the region's weight that hospitals told by name: the rest is not paid for.
fn weight_share(asked: &Asked, scores: &BTreeMap<String, f64>) -> Option<f64> {
    let weight = |cells: &[ask::Cell]| {
        let each =
            cells.iter().filter_map(|cell| Some(scores.get(&cell.group)? * cell.stays.to_f64()?));
        each.sum::<f64>()
    };
    Some(weight(&asked.volumes) / weight(&asked.standards)).filter(|share| share.is_finite())
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
