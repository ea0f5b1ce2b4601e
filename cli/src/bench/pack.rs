//! The whole regional benchmark (pack `drg-cost`) against plain DataFusion that computes the same
//! measures of groups over the same files.

use std::time::Duration;

use model::casemix::parameters::Parameters;
use model::casemix::trim::Method;
use query::pack::Arguments;
use query::pooled::{Pooled, unite};
use serde::Serialize;
use service::Shutdown;

use super::questions::{folders, plain};
use super::times::milliseconds;
use super::{Times, note, print};
use crate::args::BenchArgs;
use crate::benchmark::args::Selection;
use crate::benchmark::ask::DRG_COST;
use crate::benchmark::{self, Regional};
use crate::client::Client;
use crate::demo::configure::cores;
use crate::demo::{Prepared, query_runtime, running::Running};
use crate::exit::Failure;
use crate::run::{Context, runtime};
use crate::told::pack;

/// Questions that plain DataFusion answers: the measures of groups.
const GROUP_QUESTIONS: [&str; 2] = ["groups", "composition"];
/// Exists for released histograms only.
const ERROR: &str = "approx_percentile_error";
/// Sketches in plain DataFusion.
const PERCENTILES: &[&str] = &["approx_percentile_cont", "approx_median"];

/// The result, as `--format json` prints it.
#[derive(Debug, Serialize)]
struct Report {
    hospitals: usize,
    stays: u64,
    groups: usize,
    repeat: usize,
    cores: usize,
    /// Requests to each hospital.
    rounds: u32,
    bytes_received: u64,
    /// Plain DataFusion: groups without percentiles, and their composition.
    pooled_ms: Times,
    /// The same with percentiles: its sketches take most of the time.
    pooled_with_percentiles_ms: Times,
    /// The region: groups, composition, and cells of all hospitals.
    federated_ms: Times,
    /// To plain DataFusion without percentiles, which the region's answer has.
    ratio: f64,
    /// To plain DataFusion with percentiles.
    ratio_with_percentiles: f64,
    /// The first run, which finds code lists.
    first_ms: f64,
}

/// Measures, prints.
///
/// # Errors
/// Every kind of [`Failure`].
pub(super) fn run(args: &BenchArgs, prepared: &Prepared, context: &Context) -> Result<(), Failure> {
    let queries = query_runtime()?;
    let measuring = Box::pin(measure(args, prepared, context, queries.handle()));
    let report = runtime()?.block_on(measuring)?;
    queries.shutdown_background();
    print(&report, args.format, context, || {
        format!(
            "{} hospitals, {} stays, {} groups: {} rounds, {} bytes\nfederated {:.1} ms   first {:.1} \
             ms\npooled without percentiles {:.1} ms   ratio {:.2}\npooled with percentiles {:.1} \
             ms   ratio {:.2}",
            report.hospitals,
            report.stays,
            report.groups,
            report.rounds,
            report.bytes_received,
            report.federated_ms.median,
            report.first_ms,
            report.pooled_ms.median,
            report.ratio,
            report.pooled_with_percentiles_ms.median,
            report.ratio_with_percentiles
        )
    })
}

async fn measure(
    args: &BenchArgs,
    prepared: &Prepared,
    context: &Context,
    queries: &tokio::runtime::Handle,
) -> Result<Report, Failure> {
    let shutdown = Shutdown::new();
    let running = Running::start(prepared, queries, &shutdown).await?;
    let client = Client::open(prepared.folder.root(), &context.clock)?;
    // The composition joins stays with their fees.
    let copies = tempfile::tempdir()
        .map_err(|error| Failure::Internal(format!("no temporary folder: {error}")))?;
    note(context, "copying the snapshots with the region's own keys");
    let failed = |error: query::pooled::PooledError| Failure::Internal(error.to_string());
    let united = unite(&folders(prepared, prepared.hospitals.len()), copies.path());
    let plain_session = Pooled::open(&united.map_err(failed)?, cores()).map_err(failed)?;
    let (first, _) = federated(&client, period(args, 0).as_deref(), context).await?;
    let (mut alone, mut sketched) = (Vec::new(), Vec::new());
    let (mut together, mut last) = (Vec::new(), None);
    for turn in 0..=args.repeat {
        let period = period(args, turn + 1);
        let (mut took, mut with) = (Duration::ZERO, Duration::ZERO);
        for question in questions(period.as_deref())? {
            took += plain(&plain_session, &without(&question, PERCENTILES), context).await?;
            with += plain(&plain_session, &question, context).await?;
        }
        let (asked, regional) = federated(&client, period.as_deref(), context).await?;
        note(context, &format!("pooled {took:?}, with percentiles {with:?}, federated {asked:?}"));
        // The first turn reads files that nobody has read yet.
        if turn > 0 {
            alone.push(took);
            sketched.push(with);
            together.push(asked);
        }
        last = Some(regional);
    }
    running.stop().await;
    let regional = last.ok_or_else(|| Failure::Internal("nothing was measured".to_owned()))?;
    let (pooled_ms, federated_ms) = (Times::of(&alone), Times::of(&together));
    let pooled_with_percentiles_ms = Times::of(&sketched);
    Ok(Report {
        hospitals: prepared.hospitals.len(),
        stays: prepared.hospitals.iter().map(|one| one.manifest.stays()).sum(),
        groups: regional.benchmark.groups.len(),
        repeat: args.repeat,
        cores: cores(),
        rounds: regional.told().iter().map(|told| told.release.rounds).sum(),
        bytes_received: regional.told().iter().map(|told| told.release.bytes_received).sum(),
        ratio: federated_ms.median / pooled_ms.median,
        ratio_with_percentiles: federated_ms.median / pooled_with_percentiles_ms.median,
        pooled_with_percentiles_ms,
        pooled_ms,
        federated_ms,
        first_ms: milliseconds(first),
    })
}

/// A period that every made-up stay lies in, another one each time, so that no answer comes from a
/// record. A real file may have no dates; then hospitals repeat their own cells from the record.
fn period(args: &BenchArgs, turn: usize) -> Option<String> {
    args.source.is_none().then(|| format!("1950..{}", 2100 + turn % 800))
}

/// One whole benchmark.
async fn federated(
    client: &Client,
    period: Option<&str>,
    context: &Context,
) -> Result<(Duration, Regional), Failure> {
    let period = period.map(str::parse).transpose();
    let period = period.map_err(|error| Failure::Internal(format!("{error}")))?;
    let started = context.clock.monotonic();
    let selection = Selection { period, ..Selection::default() };
    let asked = benchmark::ask(client, &selection, Method::None, Parameters::default(), context);
    let regional = Box::pin(asked).await?;
    Ok((context.clock.monotonic().duration_since(started), regional))
}

/// The pack's questions about groups, as plain DataFusion can answer them.
fn questions(period: Option<&str>) -> Result<Vec<String>, Failure> {
    let pack = pack(DRG_COST)?;
    let period = period.map(|period| ("period".to_owned(), period.to_owned()));
    let arguments: Arguments = period.into_iter().collect();
    let sql = GROUP_QUESTIONS.iter().map(|name| {
        let sql = pack.sql(name, &arguments);
        sql.map(|sql| without(&sql, &[ERROR])).map_err(|error| Failure::Internal(error.to_string()))
    });
    sql.collect()
}

/// The question without the columns that these functions make.
fn without(sql: &str, functions: &[&str]) -> String {
    let mut left = sql.to_owned();
    while let Some(start) = functions.iter().filter_map(|name| left.find(name)).min() {
        let rest = &left[start..];
        // `, approx_median(x) AS name` ends before the next comma or line.
        let name = rest.find(" AS ").map_or(rest.len(), |place| place + " AS ".len());
        let end = rest[name..].find([',', '\n']).map_or(rest.len(), |place| name + place);
        let before = left[..start].trim_end().trim_end_matches(',').to_owned();
        left = format!("{before}{}", &rest[end..]);
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_plain_datafusion_is_asked_has_all_other_columns() {
        let asked = questions(Some("2024")).unwrap();
        assert!(!asked[0].contains(ERROR), "{}", asked[0]);
        for column in ["p10", "p50", "p90", "los_median", "los_mean", "death_rate", "sd"] {
            assert!(asked[0].contains(&format!("AS {column}")), "{column}: {}", asked[0]);
        }
        assert_eq!(without("a, approx_percentile_error(x, 0.5) AS e,\n b", &[ERROR]), "a,\n b");
        let plain = without(&asked[0], PERCENTILES);
        assert!(!plain.contains("p50") && plain.contains("AS los_mean"), "{plain}");
    }
}
