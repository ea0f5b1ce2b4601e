//! The same question, pooled and federated, in alternating order.

use std::path::PathBuf;
use std::time::Duration;

use query::pooled::Pooled;
use serde::Serialize;

use super::asked::{Asked, BENCHMARK, Bounds, FILTERED};
use super::times::milliseconds;
use super::{Times, note};
use crate::args::BenchScope;
use crate::client::Client;
use crate::demo::Prepared;
use crate::exit::Failure;
use crate::run::Context;

/// One question both ways.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    pub(super) name: &'static str,
    pub(super) pooled_ms: Times,
    pub(super) federated_ms: Times,
    /// Median of the federated over median of the pooled runs.
    pub(super) ratio: f64,
    /// The first federated run, which is not counted: it connects, opens files, and discovers code
    /// lists under masks.
    pub(super) first_ms: f64,
}

/// The snapshot folders of the first `hospitals`.
pub(super) fn folders(prepared: &Prepared, hospitals: usize) -> Vec<PathBuf> {
    let folders = prepared.hospitals.iter().take(hospitals).map(|hospital| {
        let data = prepared.folder.node(&hospital.member.id, "data");
        data.join("snapshots").join(&hospital.manifest.snapshot_id)
    });
    folders.collect()
}

pub(super) fn pooled(prepared: &Prepared, hospitals: usize) -> Result<Pooled, Failure> {
    let folders = folders(prepared, hospitals);
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
    scope: BenchScope,
    repeat: usize,
    bounds: &mut Bounds,
    context: &Context,
) -> Result<Vec<Compared>, Failure> {
    let client = Client::open(prepared.folder.root(), &context.clock)?;
    let yardstick = pooled(prepared, prepared.hospitals.len())?;
    let mut compared = Vec::new();
    for asked in [BENCHMARK, FILTERED] {
        note(context, &format!("measuring {}", asked.name));
        let (mut pooled_runs, mut federated_runs) = (Vec::new(), Vec::new());
        for _ in 0..=repeat {
            let sql = text(asked, scope, bounds);
            pooled_runs.push(plain(&yardstick, &sql, context).await?);
            federated_runs.push(federated(&client, &sql, context).await?);
        }
        // The first run of each opens files and connections and is not counted.
        pooled_runs.remove(0);
        let first_ms = milliseconds(federated_runs.remove(0));
        let (pooled_ms, federated_ms) = (Times::of(&pooled_runs), Times::of(&federated_runs));
        let ratio = federated_ms.median / pooled_ms.median;
        compared.push(Compared { name: asked.name, pooled_ms, federated_ms, ratio, first_ms });
    }
    Ok(compared)
}

/// The SQL of one run: what is answered from the record must be another question each time.
fn text(asked: Asked, scope: BenchScope, bounds: &mut Bounds) -> String {
    let bound = match scope {
        BenchScope::Pooled => None,
        BenchScope::PerHospital => Some(bounds.next()),
    };
    asked.sql(scope, bound)
}
