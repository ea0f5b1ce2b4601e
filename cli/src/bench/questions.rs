//! The same question, pooled and federated, in alternating order.

use std::time::Duration;

use query::pooled::Pooled;
use serde::Serialize;

use super::{Times, note};
use crate::client::Client;
use crate::demo::Prepared;
use crate::exit::Failure;
use crate::run::Context;

/// What hospitals are compared by.
pub(super) const BENCHMARK: &str = "SELECT drg_code, count(*) AS stays, avg(total_cost) AS \
    mean_cost, stddev(total_cost) AS sd_cost, avg(los_days) AS mean_los FROM stay GROUP BY drg_code";
/// A month, a tier.
const FILTERED: &str = "SELECT payer, sex, count(*) AS stays, avg(total_cost) AS mean_cost FROM \
    stay WHERE discharged_at >= '2024-03-01' AND discharged_at < '2024-04-01' AND hospital_tier = \
    'tertiary' GROUP BY payer, sex";
const QUESTIONS: [(&str, &str); 2] = [("benchmark", BENCHMARK), ("filtered", FILTERED)];

/// One question both ways.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    pub(super) name: &'static str,
    pub(super) pooled_ms: Times,
    pub(super) federated_ms: Times,
    /// Median of the federated over median of the pooled runs.
    pub(super) ratio: f64,
}

pub(super) fn pooled(prepared: &Prepared, hospitals: usize) -> Result<Pooled, Failure> {
    let folders = prepared.hospitals.iter().take(hospitals).map(|hospital| {
        let data = prepared.folder.node(&hospital.member.id, "data");
        data.join("snapshots").join(&hospital.manifest.snapshot_id)
    });
    let folders: Vec<_> = folders.collect();
    Pooled::open(&folders, crate::demo::configure::cores())
        .map_err(|error| Failure::Internal(error.to_string()))
}

/// Asks the region and waits for the whole answer.
pub(super) async fn federated(
    client: &Client,
    sql: &str,
    context: &Context,
) -> Result<Duration, Failure> {
    let started = context.clock.monotonic();
    let answer = client.ask(sql, None, |_: &proto::v1::Progress| {}).await?;
    let took = context.clock.monotonic().duration_since(started);
    let missing = &answer.release.hospitals.missing;
    if missing.is_empty() {
        return Ok(took);
    }
    Err(Failure::Unavailable(format!("{} hospitals did not answer", missing.len())))
}

/// Runs `sql` on the yardstick.
pub(super) async fn plain(
    pooled: &Pooled,
    sql: &str,
    context: &Context,
) -> Result<Duration, Failure> {
    let started = context.clock.monotonic();
    pooled.query(sql).await.map_err(|error| Failure::Internal(error.to_string()))?;
    Ok(context.clock.monotonic().duration_since(started))
}

pub(super) async fn compare(
    prepared: &Prepared,
    repeat: usize,
    context: &Context,
) -> Result<Vec<Compared>, Failure> {
    let client = Client::open(prepared.folder.root(), &context.clock)?;
    let yardstick = pooled(prepared, prepared.hospitals.len())?;
    let mut compared = Vec::new();
    for (name, sql) in QUESTIONS {
        note(context, &format!("measuring {name}"));
        let (mut pooled_runs, mut federated_runs) = (Vec::new(), Vec::new());
        // The first run of each opens files and connections and is not counted.
        for run in 0..=repeat {
            let a = plain(&yardstick, sql, context).await?;
            let b = federated(&client, sql, context).await?;
            if run > 0 {
                pooled_runs.push(a);
                federated_runs.push(b);
            }
        }
        let (pooled_ms, federated_ms) = (Times::of(&pooled_runs), Times::of(&federated_runs));
        let ratio = federated_ms.median / pooled_ms.median;
        compared.push(Compared { name, pooled_ms, federated_ms, ratio });
    }
    Ok(compared)
}
