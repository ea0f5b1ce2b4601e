//! A one-cell question on small data against what it is made of, and masked against per hospital.
//!
//! In every round both forms are asked, the empty fan-out is timed, and the question runs on one
//! snapshot. All of a round carry the same bound that no earlier round had, so that neither the
//! record of the hospitals nor a kept plan helps one side only. Then both are asked again: the
//! masked question is computed anew from kept plans, the other is answered from the record.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use model::{Peer, Role};
use proto::v1::PingRequest;
use proto::v1::node_client::NodeClient;
use serde::Serialize;
use service::connect::ConnectOptions;
use service::{Connector, ReloadingIdentity};
use tonic::transport::Channel;

use super::asked::{Bounds, ONE_CELL};
use super::note;
use super::questions::{federated, plain, pooled};
use super::times::{milliseconds, percentile};
use crate::args::BenchScope;
use crate::client::Client;
use crate::demo::{Prepared, REGION};
use crate::exit::Failure;
use crate::run::Context;

/// Rounds before the first that counts.
const WARM_UP: usize = 20;

/// Milliseconds at p50 and p99.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// The six, the ratios of the scope's question, new and asked again, to the sum of fan-out and
/// snapshot, and of the masked question to that per hospital.
#[derive(Debug, Serialize)]
pub(super) struct Latency {
    rounds: usize,
    question_ms: Percentiles,
    empty_fan_out_ms: Percentiles,
    one_snapshot_ms: Percentiles,
    pub(super) ratio_p50: f64,
    pub(super) ratio_p99: f64,
    again_ms: Percentiles,
    pub(super) again_ratio_p50: f64,
    pub(super) again_ratio_p99: f64,
    pub(super) masked_ms: Percentiles,
    pub(super) per_hospital_ms: Percentiles,
    pub(super) masked_per_hospital_p50: f64,
}

impl Latency {
    pub(super) const fn p50(&self) -> [f64; 3] {
        [self.question_ms.p50, self.empty_fan_out_ms.p50, self.one_snapshot_ms.p50]
    }

    pub(super) const fn again(&self) -> [f64; 2] {
        [self.again_ms.p50, self.again_ms.p99]
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

async fn fan_out(nodes: &[NodeClient<Channel>], context: &Context) -> Result<Duration, Failure> {
    let started = context.clock.monotonic();
    let pings = nodes.iter().map(|node| {
        let mut node = node.clone();
        async move { node.ping(PingRequest {}).await }
    });
    try_join_all(pings).await.map_err(|status| Failure::Unavailable(status.to_string()))?;
    Ok(context.clock.monotonic().duration_since(started))
}

pub(super) async fn measure(
    prepared: &Prepared,
    scope: BenchScope,
    rounds: usize,
    bounds: &mut Bounds,
    context: &Context,
) -> Result<Latency, Failure> {
    note(context, "measuring latency");
    let client = Client::open(prepared.folder.root(), &context.clock)?;
    let yardstick = pooled(prepared, 1)?;
    let nodes = nodes(prepared, context)?;
    let mut all = [const { Vec::new() }; 6];
    for round in 0..WARM_UP + rounds {
        let bound = Some(bounds.next());
        let sqls = [BenchScope::Pooled, BenchScope::PerHospital].map(|s| ONE_CELL.sql(s, bound));
        let [masked, own] = &sqls;
        let on_one = if scope == BenchScope::Pooled { masked } else { own };
        // Neither form always comes right after the yardstick.
        let own_first = round % 2 == 1;
        let (first, second) = if own_first { (own, masked) } else { (masked, own) };
        let mut both =
            [federated(&client, first, context).await?, federated(&client, second, context).await?];
        if own_first {
            both.reverse();
        }
        let [masked, own] = both;
        let fan_out = fan_out(&nodes, context).await?;
        let plain = plain(&yardstick, on_one, context).await?;
        let [masked_sql, own_sql] = &sqls;
        let masked_again = federated(&client, masked_sql, context).await?;
        let own_again = federated(&client, own_sql, context).await?;
        let took = [masked, own, fan_out, plain, masked_again, own_again];
        if round >= WARM_UP {
            for (times, took) in all.iter_mut().zip(took) {
                times.push(milliseconds(took));
            }
        }
    }
    Ok(summarise(scope, rounds, all))
}

/// Masked, per hospital, empty fan-out, one snapshot, masked again, per hospital again: each in
/// milliseconds, one for each round.
fn summarise(scope: BenchScope, rounds: usize, all: [Vec<f64>; 6]) -> Latency {
    let [masked_ms, per_hospital_ms, empty_fan_out_ms, one_snapshot_ms, masked, own] =
        all.map(|mut times| {
            times.sort_by(f64::total_cmp);
            Percentiles { p50: percentile(&times, 50), p99: percentile(&times, 99) }
        });
    let (question_ms, again_ms) = match scope {
        BenchScope::Pooled => (masked_ms, masked),
        BenchScope::PerHospital => (per_hospital_ms, own),
    };
    let [p50, p99] =
        [empty_fan_out_ms.p50 + one_snapshot_ms.p50, empty_fan_out_ms.p99 + one_snapshot_ms.p99];
    Latency {
        rounds,
        ratio_p50: question_ms.p50 / p50,
        ratio_p99: question_ms.p99 / p99,
        again_ms,
        again_ratio_p50: again_ms.p50 / p50,
        again_ratio_p99: again_ms.p99 / p99,
        masked_per_hospital_p50: masked_ms.p50 / per_hospital_ms.p50,
        question_ms,
        empty_fan_out_ms,
        one_snapshot_ms,
        masked_ms,
        per_hospital_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_those_of_the_scope() {
        let times = || {
            let new = [[6.0, 8.0], [4.0, 5.0], [1.0, 1.0], [2.0, 3.0]];
            let again = [[3.0, 4.0], [1.5, 2.0]];
            let [a, b, c, d] = new.map(Vec::from);
            let [e, f] = again.map(Vec::from);
            [a, b, c, d, e, f]
        };
        let ratios = |scope| {
            let latency = summarise(scope, 2, times());
            let Latency { ratio_p50, ratio_p99, masked_per_hospital_p50, .. } = latency;
            let (again_p50, again_p99) = (latency.again_ratio_p50, latency.again_ratio_p99);
            format!(
                "{ratio_p50:.3} {ratio_p99:.3} {masked_per_hospital_p50:.3} {again_p50:.3} \
                 {again_p99:.3}"
            )
        };
        assert_eq!(ratios(BenchScope::Pooled), "2.000 2.000 1.500 1.000 1.000");
        assert_eq!(ratios(BenchScope::PerHospital), "1.333 1.250 1.500 0.500 0.500");
    }
}
