//! `consilium bench`: what the federation costs, as ratios in one run on one machine.
//!
//! The same questions are asked in alternating order of plain DataFusion (one session over all
//! files, all cores) and of a region with real mutual TLS, gate and all, in one process on
//! loopback. A one-cell question on small data is compared with the sum of what it is made of: an
//! empty fan-out to the same nodes, and the question on one node's snapshot. A node's memory is
//! that of a process of its own that holds all stays. Absolute times are reported, not promised.

mod latency;
mod memory;
mod questions;
mod times;

use std::path::{Path, PathBuf};

use serde::Serialize;
use service::Shutdown;

use crate::args::{BenchArgs, DemoArgs, ListFormat};
use crate::demo::running::Running;
use crate::demo::{Prepared, prepare, query_runtime};
use crate::exit::Failure;
use crate::message::Message;
use crate::run::{Context, runtime};

pub use times::Times;

/// Stays of the small region, over all its hospitals.
const SMALL_STAYS: u64 = 20_000;
/// A benchmark asks more often than a person may.
const POLICY: &str =
    "[minimum]\npersons = 11\nstays = 11\n[usage]\nrequests_per_day = 1000000000\n";

/// The result, as `--format json` prints it.
#[derive(Debug, Serialize)]
pub struct Report {
    stays: u64,
    hospitals: u16,
    repeat: usize,
    cores: usize,
    questions: Vec<questions::Compared>,
    latency: latency::Latency,
    /// Peak resident memory of a node that answers the benchmark over all stays, in MiB.
    node_rss_mb: Option<f64>,
}

/// Makes the regions, measures, prints.
///
/// # Errors
/// Every kind of [`Failure`].
pub fn run(args: &BenchArgs, context: &Context) -> Result<(), Failure> {
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
    let queries = query_runtime()?;
    let measuring = Box::pin(measure(args, context, &large, &small, queries.handle()));
    let measured = runtime()?.block_on(measuring);
    queries.shutdown_background();
    let mut report = measured?;
    if let Some(alone) = &alone {
        report.node_rss_mb = Some(runtime()?.block_on(memory::peak_mb(alone, context))?);
    }
    print(&report, args.format, context)
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

async fn measure(
    args: &BenchArgs,
    context: &Context,
    large: &Prepared,
    small: &Prepared,
    queries: &tokio::runtime::Handle,
) -> Result<Report, Failure> {
    let shutdown = Shutdown::new();
    let running = Running::start(large, queries, &shutdown).await?;
    let compared = questions::compare(large, args.repeat, context).await?;
    running.stop().await;
    let shutdown = Shutdown::new();
    let running = Running::start(small, queries, &shutdown).await?;
    let latency = latency::measure(small, args.latency_repeat, context).await?;
    running.stop().await;
    Ok(Report {
        stays: args.stays,
        hospitals: args.hospitals,
        repeat: args.repeat,
        cores: crate::demo::configure::cores(),
        questions: compared,
        latency,
        node_rss_mb: None,
    })
}

fn print(report: &Report, format: ListFormat, context: &Context) -> Result<(), Failure> {
    let text = match format {
        ListFormat::Json => serde_json::to_string(report)
            .map_err(|error| Failure::Internal(format!("the report has no JSON form: {error}")))?,
        ListFormat::Table => table(report),
    };
    context.console.data(|out| writeln!(out, "{text}"))
}

fn table(report: &Report) -> String {
    let mut lines = Vec::new();
    for one in &report.questions {
        lines.push(format!(
            "{:<10} pooled {:>8.1} ms   federated {:>8.1} ms   ratio {:.2}",
            one.name, one.pooled_ms.median, one.federated_ms.median, one.ratio
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
    if let Some(rss) = report.node_rss_mb {
        lines.push(format!("node with all stays: {rss:.0} MiB resident at its peak"));
    }
    lines.join("\n")
}

/// Progress of the benchmark, on standard error.
fn note(context: &Context, text: &str) {
    context.console.note(context.console.text(Message::Plain, &[&text]));
}
