//! Trees grown over a region against the same trees grown by the same code over all rows in one
//! process: no gate, no masks, no network and no second reading.

use std::sync::Arc;

use learn::boost::{Binned, Boost, Options, Told};
use learn::card::Card;
use num_traits::ToPrimitive as _;
use privacy::growth::{Growth, GrowthAsk, Tree};
use privacy::{Fitting, growth};
use proto::v1::{FitRequest, TreeOptions};
use serde::Serialize;
use service::Shutdown;

use super::fit::{Rows, internal};
use super::questions::pooled;
use super::times::milliseconds;
use super::{note, print};
use crate::args::BenchArgs;
use crate::client::Client;
use crate::demo::configure::cores;
use crate::demo::running::Running;
use crate::demo::{Prepared, query_runtime};
use crate::exit::Failure;
use crate::run::{Context, runtime};

/// The result, as `--format json` prints it.
#[derive(Debug, Serialize)]
struct Report {
    formula: String,
    family: String,
    hospitals: usize,
    stays: u64,
    features: usize,
    bins: usize,
    trees: usize,
    depth: u32,
    cores: usize,
    rounds: usize,
    bytes_received: u64,
    /// From the command to the model card, levels included.
    federated_ms: f64,
    round_ms: f64,
    /// Rows in memory to the last tree.
    pooled_ms: f64,
    /// Reading the rows.
    pooled_read_ms: f64,
    /// Federated to pooled with reading.
    ratio: f64,
    /// Trees whose splits are the same in both; others differ where sums are withheld or joined.
    same_trees: usize,
    deviance: f64,
}

/// Measures, prints.
///
/// # Errors
/// Every kind of [`Failure`].
pub(super) fn run(
    formula: &str,
    args: &BenchArgs,
    prepared: &Prepared,
    context: &Context,
) -> Result<(), Failure> {
    let queries = query_runtime()?;
    let measuring = Box::pin(measure(formula, args, prepared, context, queries.handle()));
    let report = runtime()?.block_on(measuring)?;
    queries.shutdown_background();
    print(&report, args.format, context, || {
        format!(
            "{} hospitals, {} stays, {} features of {} bins, {} trees of depth {}: {} rounds, {} \
             bytes\nfederated {:.1} ms, a round {:.1} ms\npooled {:.1} ms, and {:.1} ms to read   ratio \
             {:.2}\n{} trees the same, deviance {:.6e}",
            report.hospitals,
            report.stays,
            report.features,
            report.bins,
            report.trees,
            report.depth,
            report.rounds,
            report.bytes_received,
            report.federated_ms,
            report.round_ms,
            report.pooled_ms,
            report.pooled_read_ms,
            report.ratio,
            report.same_trees,
            report.deviance,
        )
    })
}

async fn measure(
    formula: &str,
    args: &BenchArgs,
    prepared: &Prepared,
    context: &Context,
    queries: &tokio::runtime::Handle,
) -> Result<Report, Failure> {
    let shutdown = Shutdown::new();
    let running = Running::start(prepared, queries, &shutdown).await?;
    let client = Client::open(prepared.folder.root(), &context.clock)?;
    let trees = TreeOptions {
        trees: args.trees.unwrap_or_default(),
        depth: args.depth,
        ..TreeOptions::default()
    };
    let request = FitRequest {
        formula: formula.to_owned(),
        family: args.family.0.as_str().to_owned(),
        trees: Some(trees),
        ..FitRequest::default()
    };
    note(context, "growing");
    let clock = &context.clock;
    let started = clock.monotonic();
    let card = client.fit(request, None, |_| ()).await?;
    let federated_ms = milliseconds(clock.monotonic().duration_since(started));
    running.stop().await;
    note(context, "growing in one process");
    let session = pooled(prepared, prepared.hospitals.len())?;
    let started = clock.monotonic();
    let rows = Rows::read(&card, &session).await?;
    let read = milliseconds(clock.monotonic().duration_since(started));
    let started = clock.monotonic();
    let grown = grow(&rows, &card)?;
    let pooled_ms = milliseconds(clock.monotonic().duration_since(started));
    let Fitting::Growth(known) = card.totals().map_err(internal)? else {
        return Err(internal("the model has no trees"));
    };
    let same = |(a, b): &(&Arc<Tree>, &Arc<Tree>)| a.splits == b.splits;
    let rounds = card.provenance.rounds.len();
    Ok(Report {
        formula: formula.to_owned(),
        family: card.family.clone(),
        hospitals: prepared.hospitals.len(),
        stays: card.fit.stays,
        features: known.features.len(),
        bins: known.features.iter().map(growth::Feature::bins).sum(),
        trees: known.trees.len(),
        depth: args.depth,
        cores: cores(),
        rounds,
        bytes_received: card.provenance.bytes_received,
        federated_ms,
        round_ms: federated_ms / rounds.to_f64().unwrap_or(f64::NAN),
        pooled_ms,
        pooled_read_ms: read,
        ratio: federated_ms / (pooled_ms + read),
        same_trees: known.trees.iter().zip(&grown).filter(same).count(),
        deviance: card.fit.deviance,
    })
}

/// The trees of the card over all rows, all sums told, from the bins that the region's fit ended with.
fn grow(rows: &Rows, card: &Card) -> Result<Vec<Arc<Tree>>, Failure> {
    let ensemble = card.ensemble.as_ref().ok_or_else(|| internal("the model has no trees"))?;
    let Fitting::Growth(known) = card.totals().map_err(internal)? else {
        return Err(internal("the model has no trees"));
    };
    let options = Options {
        trees: known.trees.len(),
        depth: ensemble.depth,
        rate: ensemble.learning_rate,
        least_stays: ensemble.least_stays,
        penalty: ensemble.penalty,
    };
    let template = Growth { trees: Vec::new(), ..*known };
    let mut binned = Binned::default();
    for part in &rows.parts {
        binned.add(&template, &part.factors, &part.inputs, &part.persons);
    }
    let mut kept = learn::boost::Rows::new(&template, &binned, cores());
    let mut boost = Boost::with_bins(template, options).map_err(internal)?;
    while let Some(growth) = boost.next() {
        let GrowthAsk::Nodes(asked) = &growth.ask else { break };
        let width = growth.measure().bins();
        let mut told = Told::default();
        for (node, sums) in kept.nodes(&growth, asked).iter().enumerate() {
            for (feature, sums) in sums.features.iter().enumerate() {
                told.set(&growth, node * growth.features.len() + feature, &sums.cells(width));
            }
        }
        boost.take(&told).map_err(internal)?;
    }
    let Growth { trees, .. } = boost.totals();
    Ok(trees)
}
