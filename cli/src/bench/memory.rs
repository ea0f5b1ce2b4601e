//! The memory of a node in a process of its own.
//!
//! Its region has one hospital, so nothing can be pooled: it is asked for its own cells, each time
//! by another request, because a repeated one would be answered from the record.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use privacy::Policy;
use proto::encode_request;
use proto::v1::PingRequest;
use proto::v1::node_client::NodeClient;
use query::question::Planner;
use tonic::transport::Channel;

use super::asked::{BENCHMARK, Bounds};
use super::latency::nodes;
use super::note;
use crate::args::BenchScope;
use crate::demo::Prepared;
use crate::demo::configure::{settle_port, write_coordinator};
use crate::exit::Failure;
use crate::run::Context;

/// Longest time for a node to start.
const START_LIMIT: Duration = Duration::from_secs(30);
const START_PAUSE: Duration = Duration::from_millis(50);
/// Longest time for one answer, in milliseconds.
const DEADLINE_MS: u64 = 120_000;
const RUNS: usize = 3;
/// Nobody listens there: a hospital's own cells need no witness.
const NO_WITNESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
const PLANNER_BYTES: usize = 64 << 20;

/// Ends the process when it is dropped.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn internal(error: &dyn std::fmt::Display) -> Failure {
    Failure::Internal(format!("measuring memory: {error}"))
}

/// Peak resident memory in MiB of the region's only node while it answers the benchmark.
pub(super) async fn peak_mb(
    prepared: &Prepared,
    bounds: &mut Bounds,
    context: &Context,
) -> Result<f64, Failure> {
    note(context, "measuring memory");
    let Some(hospital) = prepared.hospitals.first() else {
        return Err(internal(&"the region has no hospital"));
    };
    let id = hospital.member.id.clone();
    let path = prepared.folder.node(&id, "node.toml");
    // The node takes the port that this listener leaves.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(|e| internal(&e))?;
    let address = listener.local_addr().map_err(|e| internal(&e))?;
    drop(listener);
    settle_port(&path, address)?;
    // A kept region has its port from an earlier run.
    let address = node::Config::load(&path).map_err(|e| internal(&e))?.listen;
    let address = address.parse().map_err(|e| internal(&e))?;
    write_coordinator(&prepared.folder, &[(id, address)], NO_WITNESS, &prepared.plan)?;
    let program = std::env::current_exe().map_err(|e| internal(&e))?;
    let child = Command::new(program)
        .args(["serve-node", "run", "--config"])
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .env("CONSILIUM_LOG", "error")
        .spawn()
        .map_err(|e| internal(&e))?;
    let guard = Guard(child);
    let mut node = nodes(prepared, context)?.pop().ok_or_else(|| internal(&"no node is listed"))?;
    let ready = async {
        while node.ping(PingRequest {}).await.is_err() {
            tokio::time::sleep(START_PAUSE).await;
        }
    };
    tokio::time::timeout(START_LIMIT, ready)
        .await
        .map_err(|_| internal(&"the node does not start"))?;
    let planner = Planner::new(PLANNER_BYTES).map_err(|e| internal(&e))?;
    for _ in 0..RUNS {
        let sql = BENCHMARK.sql(BenchScope::PerHospital, Some(bounds.next()));
        ask(&mut node, &planner, &sql).await?;
    }
    peak_of(guard.0.id())
}

/// Asks the node and reads the whole answer.
async fn ask(node: &mut NodeClient<Channel>, planner: &Planner, sql: &str) -> Result<(), Failure> {
    let question = planner.plan(sql, &Policy::answering()).await.map_err(|e| internal(&e))?;
    for request in question.requests("bench", &[]).map_err(|e| internal(&e))? {
        let answer = node.release(encode_request(&request, DEADLINE_MS)).await;
        let mut stream = answer.map_err(|e| internal(&e))?.into_inner();
        while stream.message().await.map_err(|e| internal(&e))?.is_some() {}
    }
    Ok(())
}

/// Peak resident memory of a process until now, in MiB.
pub(super) fn peak_of(process: u32) -> Result<f64, Failure> {
    let path = format!("/proc/{process}/status");
    let text = std::fs::read_to_string(&path).map_err(|e| internal(&e))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kib.map(|kib| kib / 1_024.0).ok_or_else(|| internal(&"the system does not tell"))
}
