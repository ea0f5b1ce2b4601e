//! `consilium bench`: what the federation costs, as ratios in one run on one machine.
//!
//! The same questions are asked in alternating order of plain DataFusion (one session over all
//! files, all cores) and of a region with real mutual TLS, gate and all, in one process on
//! loopback. A one-cell question on small data is compared with the sum of what it is made of: an
//! empty fan-out to the same nodes, and the question on one node's snapshot. A node's memory is
//! that of a process of its own that holds all stays. Absolute times are reported, not promised.
//!
//! Pooled questions are masked, and what masks cost is also measured by itself: the stream against
//! the bare cipher, and a simulated round of many hospitals against the cipher sealing as many
//! bytes. The simulation comes first, in a process that holds nothing yet, so that its memory can
//! be told.

mod asked;
mod bare;
mod fit;
mod guard;
mod latency;
mod masks;
mod memory;
mod pack;
mod questions;
mod simulation;
mod times;
mod trees;

use std::path::{Path, PathBuf};

use serde::Serialize;
use service::Shutdown;

use crate::args::{BenchArgs, BenchScope, DemoArgs, ListFormat};
use crate::demo::running::Running;
use crate::demo::{Prepared, prepare, query_runtime};
use crate::exit::Failure;
use crate::message::Message;
use crate::run::{Context, runtime};

use asked::Bounds;

pub use times::Times;

/// Stays of the small region, over all its hospitals.
const SMALL_STAYS: u64 = 20_000;
/// A benchmark asks more often than a person may, and waits for nobody.
const POLICY: &str = "[minimum]\npersons = 11\nstays = 11\n[usage]\nrequests_per_day = 1000000000\n\
                      [questions]\nallow = \"any\"\n";

/// The same with every minimum at one.
const OPEN: &str = "[minimum]\npersons = 1\nstays = 1\n[selectivity]\npersons = 1\n\
                    [dominance]\ntop_two_e4 = 10000\npercent = 0\n[pooled]\n\
                    hospitals = 1\ndominance_e4 = 10000\n[usage]\nrequests_per_day = 1000000000\n\
                    [questions]\nallow = \"any\"\n";

/// The result, as `--format json` prints it.
#[derive(Debug, Serialize)]
pub struct Report {
    stays: u64,
    hospitals: u16,
    repeat: usize,
    cores: usize,
    scope: &'static str,
    questions: Vec<questions::Compared>,
    latency: latency::Latency,
    /// Peak resident memory of a node that answers the benchmark over all stays, in MiB.
    node_rss_mb: Option<f64>,
    /// The stream of masks against the bare cipher.
    masks: Option<masks::Masks>,
    /// A simulated round against the bare cipher.
    witness: Option<simulation::Simulated>,
}

/// Makes the regions, measures, prints.
///
/// # Errors
/// Every kind of [`Failure`].
pub fn run(args: &BenchArgs, context: &Context) -> Result<(), Failure> {
    let whole = args.pack || args.fit.is_some();
    if !whole && (args.source.is_some() || args.open) {
        let reason = "--source and --open go with --pack or --fit";
        return Err(Failure::Usage(reason.to_owned()));
    }
    if whole {
        let temporary = tempfile::tempdir()
            .map_err(|error| Failure::Internal(format!("no temporary folder: {error}")))?;
        let root = args.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
        std::fs::create_dir_all(&root).map_err(Failure::output(&root))?;
        let prepared = pack_region(&root, args, context)?;
        return match &args.fit {
            Some(formula) if args.trees.is_some() => trees::run(formula, args, &prepared, context),
            Some(formula) => fit::run(formula, args, &prepared, context),
            None => pack::run(args, &prepared, context),
        };
    }
    if args.guard {
        return guarded(args, context);
    }
    let (witness, masks) = match args.no_simulation {
        true => (None, None),
        false => (Some(simulation::measure(args.cells, context)?), Some(masks::measure(context)?)),
    };
    let temporary;
    let root = match &args.dir {
        Some(dir) => dir.clone(),
        None => {
            temporary = tempfile::tempdir()
                .map_err(|error| Failure::Internal(format!("no temporary folder: {error}")))?;
            temporary.path().to_owned()
        }
    };
    std::fs::create_dir_all(&root).map_err(Failure::output(&root))?;
    let large = region(&root, "large", args.hospitals, args.stays, context)?;
    let small = region(&root, "small", args.hospitals, SMALL_STAYS, context)?;
    let alone = match args.no_memory {
        true => None,
        false => Some(region(&root, "alone", 1, args.stays, context)?),
    };
    let mut bounds = Bounds::since(context.clock.now());
    let queries = query_runtime()?;
    let regions = [&large, &small];
    let measuring = Box::pin(measure(args, context, regions, &mut bounds, queries.handle()));
    let measured = runtime()?.block_on(measuring);
    queries.shutdown_background();
    let mut report = Report { masks, witness, ..measured? };
    if let Some(alone) = &alone {
        let peak = memory::peak_mb(alone, &mut bounds, context);
        report.node_rss_mb = Some(runtime()?.block_on(peak)?);
    }
    print(&report, args.format, context, || table(&report))
}

/// Measures the guard on one hospital with all stays.
fn guarded(args: &BenchArgs, context: &Context) -> Result<(), Failure> {
    let temporary = tempfile::tempdir()
        .map_err(|error| Failure::Internal(format!("no temporary folder: {error}")))?;
    let root = args.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&root).map_err(Failure::output(&root))?;
    let prepared = region(&root, "alone", 1, args.stays, context)?;
    guard::run(args, &prepared, context)
}

fn region(
    root: &Path,
    name: &str,
    hospitals: u16,
    stays: u64,
    context: &Context,
) -> Result<Prepared, Failure> {
    let policy: PathBuf = root.join("policy.toml");
    std::fs::write(&policy, POLICY).map_err(Failure::output(&policy))?;
    let dir = root.join(name);
    let args = DemoArgs {
        dir: Some(dir.clone()),
        hospitals: Some(hospitals),
        stays: Some(stays),
        policy: Some(policy.display().to_string()),
        ..DemoArgs::default()
    };
    prepare(&dir, &args, context)
}

/// The region whose whole benchmark is measured: made up, or from a real file.
fn pack_region(root: &Path, args: &BenchArgs, context: &Context) -> Result<Prepared, Failure> {
    let policy: PathBuf = root.join("policy.toml");
    let text = if args.open { OPEN } else { POLICY };
    std::fs::write(&policy, text).map_err(Failure::output(&policy))?;
    let dir = root.join("pack");
    let made_up = args.source.is_none();
    let args = DemoArgs {
        dir: Some(dir.clone()),
        hospitals: made_up.then_some(args.hospitals),
        stays: made_up.then_some(args.stays),
        subgroups: made_up.then_some(args.subgroups),
        source: args.source.clone(),
        mapping: args.mapping.clone(),
        split_by: args.split_by.clone(),
        policy: Some(policy.display().to_string()),
        ..DemoArgs::default()
    };
    prepare(&dir, &args, context)
}

async fn measure(
    args: &BenchArgs,
    context: &Context,
    [large, small]: [&Prepared; 2],
    bounds: &mut Bounds,
    queries: &tokio::runtime::Handle,
) -> Result<Report, Failure> {
    let scope = args.scope;
    let shutdown = Shutdown::new();
    let running = Running::start(large, queries, &shutdown).await?;
    let compared = questions::compare(large, scope, args.repeat, bounds, context).await?;
    running.stop().await;
    let shutdown = Shutdown::new();
    let running = Running::start(small, queries, &shutdown).await?;
    let latency = latency::measure(small, scope, args.latency_repeat, bounds, context).await?;
    running.stop().await;
    Ok(Report {
        stays: args.stays,
        hospitals: args.hospitals,
        repeat: args.repeat,
        cores: crate::demo::configure::cores(),
        scope: match scope {
            BenchScope::Pooled => "pooled",
            BenchScope::PerHospital => "per-hospital",
        },
        questions: compared,
        latency,
        node_rss_mb: None,
        masks: None,
        witness: None,
    })
}

/// Prints a report as JSON, or what `table` makes of it.
fn print<R: Serialize>(
    report: &R,
    format: ListFormat,
    context: &Context,
    table: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let text = match format {
        ListFormat::Json => serde_json::to_string(report)
            .map_err(|error| Failure::Internal(format!("the report has no JSON form: {error}")))?,
        ListFormat::Table => table(),
    };
    context.console.data(|out| writeln!(out, "{text}"))
}

fn table(report: &Report) -> String {
    let mut lines = vec![format!("questions, {}", report.scope)];
    for one in &report.questions {
        lines.push(format!(
            "{:<10} pooled {:>8.1} ms   federated {:>8.1} ms   ratio {:.2}   first {:.1} ms",
            one.name, one.pooled_ms.median, one.federated_ms.median, one.ratio, one.first_ms
        ));
    }
    let latency = &report.latency;
    for (name, times, ratio) in
        [("p50", latency.p50(), latency.ratio_p50), ("p99", latency.p99(), latency.ratio_p99)]
    {
        let [question, fan_out, local] = times;
        lines.push(format!(
            "latency {name} question {question:.2} ms   empty fan-out {fan_out:.2} ms   one \
             snapshot {local:.2} ms   ratio {ratio:.2}"
        ));
    }
    let [p50, p99] = latency.again();
    lines.push(format!(
        "asked again p50 {p50:.2} ms   ratio {:.2}   p99 {p99:.2} ms   ratio {:.2}",
        latency.again_ratio_p50, latency.again_ratio_p99
    ));
    lines.push(format!(
        "latency p50 masked {:.2} ms   per hospital {:.2} ms   ratio {:.2}",
        latency.masked_ms.p50, latency.per_hospital_ms.p50, latency.masked_per_hospital_p50
    ));
    if let Some(rss) = report.node_rss_mb {
        lines.push(format!("node with all stays: {rss:.0} MiB resident at its peak"));
    }
    if let Some(masks) = &report.masks {
        lines.push(format!(
            "masks {:.2} GB/s   bare cipher {:.2} GB/s   ratio {:.2}",
            masks.mask_gb_s, masks.bare_gb_s, masks.ratio
        ));
    }
    if let Some(witness) = &report.witness {
        lines.extend(witness.lines());
    }
    lines.join("\n")
}

/// Progress of the benchmark, on standard error.
fn note(context: &Context, text: &str) {
    context.console.note(context.console.text(Message::Plain, &[&text]));
}
