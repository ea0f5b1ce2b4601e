//! The whole regional benchmark (pack `drg-cost`) against plain DataFusion that computes the same
//! measures of groups over the same files.

use std::time::Duration;

use model::casemix::parameters::Parameters;
use model::casemix::trim::Method;
use query::pack::Arguments;
use serde::Serialize;
use service::Shutdown;

use super::questions::{plain, pooled};
use super::times::milliseconds;
use super::{Times, note};
use crate::args::{BenchArgs, ListFormat};
use crate::benchmark::args::Selection;
use crate::benchmark::ask::{DRG_COST, pack};
use crate::benchmark::{self, Regional};
use crate::client::Client;
use crate::demo::{Prepared, query_runtime, running::Running};
use crate::exit::Failure;
use crate::run::{Context, runtime};

/// Questions that plain DataFusion answers: the measures of groups.
const GROUP_QUESTIONS: [&str; 2] = ["groups", "composition"];
/// Exists for released histograms only.
const ERROR: &str = "approx_percentile_error";

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
    /// Plain DataFusion: groups and their composition.
    pooled_ms: Times,
    /// The region: groups, composition, and cells of all hospitals.
    federated_ms: Times,
    ratio: f64,
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
    let text = match args.format {
        ListFormat::Json => serde_json::to_string(&report)
            .map_err(|error| Failure::Internal(format!("the report has no JSON form: {error}")))?,
        ListFormat::Table => format!(
            "{} hospitals, {} stays, {} groups: {} rounds, {} bytes\npooled {:.1} ms   federated \
             {:.1} ms   ratio {:.2}   first {:.1} ms",
            report.hospitals,
            report.stays,
            report.groups,
            report.rounds,
            report.bytes_received,
            report.pooled_ms.median,
            report.federated_ms.median,
            report.ratio,
            report.first_ms
        ),
    };
    context.console.data(|out| writeln!(out, "{text}"))
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
    let plain_session = pooled(prepared, prepared.hospitals.len())?;
    let (first, _) = federated(&client, &period(0), context).await?;
    let (mut alone, mut together, mut last) = (Vec::new(), Vec::new(), None);
    for turn in 0..=args.repeat {
        let period = period(turn + 1);
        let mut took = Duration::ZERO;
        for question in questions(&period)? {
            took += plain(&plain_session, &question, context).await?;
        }
        let (asked, regional) = federated(&client, &period, context).await?;
        note(context, &format!("pooled {took:?}, federated {asked:?}"));
        // The first turn reads files that nobody has read yet.
        if turn > 0 {
            alone.push(took);
            together.push(asked);
        }
        last = Some(regional);
    }
    running.stop().await;
    let regional = last.ok_or_else(|| Failure::Internal("nothing was measured".to_owned()))?;
    let (pooled_ms, federated_ms) = (Times::of(&alone), Times::of(&together));
    Ok(Report {
        hospitals: prepared.hospitals.len(),
        stays: prepared.hospitals.iter().map(|one| one.manifest.stays()).sum(),
        groups: regional.benchmark.groups.len(),
        repeat: args.repeat,
        cores: crate::demo::configure::cores(),
        rounds: regional.told().iter().map(|told| told.release.rounds).sum(),
        bytes_received: regional.told().iter().map(|told| told.release.bytes_received).sum(),
        ratio: federated_ms.median / pooled_ms.median,
        pooled_ms,
        federated_ms,
        first_ms: milliseconds(first),
    })
}

/// A period that every stay lies in, another one each time, so that no answer comes from a record.
fn period(turn: usize) -> String {
    format!("1950..{}", 2100 + turn % 800)
}

/// One whole benchmark.
async fn federated(
    client: &Client,
    period: &str,
    context: &Context,
) -> Result<(Duration, Regional), Failure> {
    let period = period.parse().map_err(|error| Failure::Internal(format!("{error}")))?;
    let started = context.clock.monotonic();
    let selection = Selection { period: Some(period), ..Selection::default() };
    let asked = benchmark::ask(client, &selection, Method::None, Parameters::default(), context);
    let regional = Box::pin(asked).await?;
    Ok((context.clock.monotonic().duration_since(started), regional))
}

/// The pack's questions about groups, as plain DataFusion can answer them.
fn questions(period: &str) -> Result<Vec<String>, Failure> {
    let pack = pack(DRG_COST)?;
    let arguments: Arguments = [("period".to_owned(), period.to_owned())].into();
    let sql = GROUP_QUESTIONS.iter().map(|name| {
        let sql = pack.sql(name, &arguments);
        sql.map(|sql| without_errors(&sql)).map_err(|error| Failure::Internal(error.to_string()))
    });
    sql.collect()
}

/// The question without the columns that say how exact percentiles are.
fn without_errors(sql: &str) -> String {
    let mut left = sql.to_owned();
    while let Some(start) = left.find(ERROR) {
        let rest = &left[start..];
        // `, approx_percentile_error(x, q) AS name` ends before the next comma or line.
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
        let asked = questions(&period(0)).unwrap();
        assert!(!asked[0].contains(ERROR), "{}", asked[0]);
        for column in ["p10", "p50", "p90", "los_median", "los_mean", "death_rate", "sd"] {
            assert!(asked[0].contains(&format!("AS {column}")), "{column}: {}", asked[0]);
        }
        assert_eq!(without_errors("a, approx_percentile_error(x, 0.5) AS e,\n b"), "a,\n b");
    }
}
