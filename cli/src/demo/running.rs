//! A region's nodes, witness and coordinator in this process, over real sockets with mutual TLS.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use model::HospitalId;
use node::NodeError;
use service::Shutdown;
use service::role::RoleError;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::configure::{settle_port, write_client, write_coordinator};
use super::folder::Folder;
use super::{Prepared, REGION};
use crate::exit::Failure;

/// Servers that have not drained by then are left behind.
const DRAIN_WAIT: Duration = Duration::from_secs(15);

/// A region that serves.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    shutdown: Shutdown,
    servers: JoinSet<Failure>,
}

impl Running {
    /// Starts every node and the witness, then the coordinator, and points the client at it.
    ///
    /// # Errors
    /// [`Failure`], naming who does not start and why.
    pub async fn start(
        prepared: &Prepared,
        queries: &Handle,
        shutdown: &Shutdown,
    ) -> Result<Self, Failure> {
        let folder = &prepared.folder;
        let mut servers = JoinSet::new();
        // The coordinator ends first: its last act is to have everybody's log cosigned.
        let others = Shutdown::new();
        let mut nodes = Vec::with_capacity(prepared.hospitals.len());
        for hospital in &prepared.hospitals {
            let id = &hospital.member.id;
            let bound = bind_node(folder, id, queries).await?;
            nodes.push((id.clone(), bound.local_addr()));
            let (signal, name) = (others.clone(), id.to_string());
            servers.spawn(async move { ended(&name, bound.serve(signal).await) });
        }
        let bound = bind_witness(folder).await?;
        let witness = bound.local_addr();
        let signal = others.clone();
        servers.spawn(async move { ended("the witness", bound.serve(signal).await) });
        write_coordinator(folder, &nodes, witness, &prepared.plan)?;
        let bound = bind_coordinator(folder).await?;
        let address = bound.local_addr();
        write_client(folder, address)?;
        let signal = shutdown.clone();
        servers.spawn(async move {
            let outcome = bound.serve(signal).await;
            others.trigger();
            ended("the coordinator", outcome)
        });
        Ok(Self { address, shutdown: shutdown.clone(), servers })
    }

    /// Where the coordinator listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until a server ends although nobody asked it to.
    pub async fn failed(&mut self) -> Failure {
        match self.servers.join_next().await {
            Some(Ok(failure)) => failure,
            Some(Err(panicked)) => Failure::Internal(format!("a server broke: {panicked}")),
            None => Failure::Internal("all servers have ended".to_owned()),
        }
    }

    /// Drains and ends all servers.
    pub async fn stop(mut self) {
        if !self.shutdown.is_triggered() {
            self.shutdown.trigger();
        }
        let drained = async { while self.servers.join_next().await.is_some() {} };
        // Whoever is late ends with this process.
        let _ = tokio::time::timeout(DRAIN_WAIT, drained).await;
    }
}

async fn bind_node(
    folder: &Folder,
    id: &HospitalId,
    queries: &Handle,
) -> Result<node::Bound, Failure> {
    let path = folder.node(id, "node.toml");
    let config =
        node::Config::load(&path).map_err(|error| Failure::Configuration(error.to_string()))?;
    let bound = node::bind(config, queries.clone()).await.map_err(|error| match error {
        NodeError::Role(error) => role_failure(folder, id, &error),
        other => Failure::Configuration(format!("{}: {other}", path.display())),
    })?;
    settle_port(&path, bound.local_addr())?;
    Ok(bound)
}

async fn bind_witness(folder: &Folder) -> Result<witness::Bound, Failure> {
    use witness::WitnessError;
    let path = folder.witness("witness.toml");
    let config =
        witness::Config::load(&path).map_err(|error| Failure::Configuration(error.to_string()))?;
    let bound = witness::bind(config).await.map_err(|error| match error {
        WitnessError::Role(error) => role_failure(folder, &"the witness", &error),
        other => Failure::Configuration(format!("{}: {other}", path.display())),
    })?;
    settle_port(&path, bound.local_addr())?;
    Ok(bound)
}

async fn bind_coordinator(folder: &Folder) -> Result<coordinator::Bound, Failure> {
    use coordinator::CoordinatorError;
    let path = folder.coordinator("coordinator.toml");
    let config = coordinator::Config::load(&path)
        .map_err(|error| Failure::Configuration(error.to_string()))?;
    let bound = coordinator::bind(config).await.map_err(|error| match error {
        CoordinatorError::Role(error) => role_failure(folder, &"the coordinator", &error),
        other => Failure::Configuration(format!("{}: {other}", path.display())),
    })?;
    settle_port(&path, bound.local_addr())?;
    Ok(bound)
}

fn role_failure(folder: &Folder, who: &dyn Display, error: &RoleError) -> Failure {
    let root = folder.root().display();
    match error {
        RoleError::Listen { .. } => Failure::Unavailable(format!(
            "{error} If this region is running already, ask it with: consilium query --region \
             {root}"
        )),
        _ => Failure::Configuration(format!(
            "{who} of region {REGION}: {error}; start again to have old certificates renewed, or \
             use another folder than {root}"
        )),
    }
}

fn ended<E: Display>(name: &str, outcome: Result<(), E>) -> Failure {
    let said = outcome.map_or_else(|error| error.to_string(), |()| "stopped".to_owned());
    Failure::Internal(format!("{name}: {said}"))
}
