//! A one-cell question on small data against what it is made of.

use std::sync::Arc;

use futures::future::try_join_all;
use model::{Peer, Role};
use proto::v1::PingRequest;
use proto::v1::node_client::NodeClient;
use serde::Serialize;
use service::connect::ConnectOptions;
use service::{Connector, ReloadingIdentity};
use tonic::transport::Channel;

use super::note;
use super::questions::{federated, plain, pooled};
use super::times::{milliseconds, percentile};
use crate::client::Client;
use crate::demo::{Prepared, REGION};
use crate::exit::Failure;
use crate::run::Context;

const ONE_CELL: &str = "SELECT avg(total_cost) AS mean_cost FROM stay WHERE sex = 'F'";
/// Rounds before the first that counts.
const WARM_UP: usize = 20;

/// Milliseconds at p50 and p99.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Percentiles {
    p50: f64,
    p99: f64,
}

/// The three, and the ratios of the question to the sum of the other two.
#[derive(Debug, Serialize)]
pub(super) struct Latency {
    rounds: usize,
    question_ms: Percentiles,
    empty_fan_out_ms: Percentiles,
    one_snapshot_ms: Percentiles,
    pub(super) ratio_p50: f64,
    pub(super) ratio_p99: f64,
}

impl Latency {
    pub(super) const fn p50(&self) -> [f64; 3] {
        [self.question_ms.p50, self.empty_fan_out_ms.p50, self.one_snapshot_ms.p50]
    }

    pub(super) const fn p99(&self) -> [f64; 3] {
        [self.question_ms.p99, self.empty_fan_out_ms.p99, self.one_snapshot_ms.p99]
    }
}

/// Connections to every node of a region, with the coordinator's certificate.
pub(super) fn nodes(
    prepared: &Prepared,
    context: &Context,
) -> Result<Vec<NodeClient<Channel>>, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::Configuration(error.to_string());
    let path = prepared.folder.coordinator("coordinator.toml");
    let config = coordinator::Config::load(&path).map_err(|error| wrong(&error))?;
    let identity = ReloadingIdentity::open(config.identity, context.clock.clone())
        .map_err(|error| wrong(&error))?;
    let connector = Connector::new(Arc::clone(&identity));
    let hospitals = config.hospitals.into_iter();
    hospitals
        .map(|hospital| {
            let peer = Peer::new(REGION, Role::Node, hospital.id.as_str())
                .map_err(|error| wrong(&error))?;
            let options = ConnectOptions::default();
            let channel = connector.channel(peer, hospital.address, options);
            Ok(NodeClient::new(channel).max_decoding_message_size(proto::MAX_MESSAGE_BYTES))
        })
        .collect()
}

pub(super) async fn measure(
    prepared: &Prepared,
    rounds: usize,
    context: &Context,
) -> Result<Latency, Failure> {
    note(context, "measuring latency");
    let client = Client::open(prepared.folder.root(), &context.clock)?;
    let yardstick = pooled(prepared, 1)?;
    let nodes = nodes(prepared, context)?;
    let mut all = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..WARM_UP + rounds {
        let question = federated(&client, ONE_CELL, context).await?;
        let started = context.clock.monotonic();
        let pings = nodes.iter().map(|node| {
            let mut node = node.clone();
            async move { node.ping(PingRequest {}).await }
        });
        try_join_all(pings).await.map_err(|status| Failure::Unavailable(status.to_string()))?;
        let fan_out = context.clock.monotonic().duration_since(started);
        let local = plain(&yardstick, ONE_CELL, context).await?;
        if round >= WARM_UP {
            for (times, took) in all.iter_mut().zip([question, fan_out, local]) {
                times.push(milliseconds(took));
            }
        }
    }
    let [question_ms, empty_fan_out_ms, one_snapshot_ms] = all.map(|mut times| {
        times.sort_by(f64::total_cmp);
        Percentiles { p50: percentile(&times, 50), p99: percentile(&times, 99) }
    });
    Ok(Latency {
        rounds,
        ratio_p50: question_ms.p50 / (empty_fan_out_ms.p50 + one_snapshot_ms.p50),
        ratio_p99: question_ms.p99 / (empty_fan_out_ms.p99 + one_snapshot_ms.p99),
        question_ms,
        empty_fan_out_ms,
        one_snapshot_ms,
    })
}
