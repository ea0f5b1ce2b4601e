//! The node's gRPC service and its life.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use model::{Peer, Role};
use proto::v1;
use proto::v1::node_server::{Node, NodeServer};
use service::clock::rfc3339;
use service::identity::IdentityError;
use service::serve::ServeError;
use service::{Clock, ReloadingIdentity, ServeLimits, Shutdown, require_role, serve};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tonic::{Request, Response, Status};

use crate::answer::Desk;
use crate::config::Config;
use crate::describe::{CodeLists, code_lists, table_sizes};
use crate::holdings::{EngineStart, Holdings};

/// Why a node does not run.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The certificate, key or authority is not usable.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The certificate names somebody else.
    #[error("the certificate says {found}, but this node is {expected}; use the hospital's own")]
    WrongCertificate {
        /// Who the certificate names.
        found: String,
        /// Who the configuration names.
        expected: String,
    },
    /// The region's or hospital's name cannot stand in a certificate.
    #[error("{0}")]
    Name(#[from] model::peer::InvalidPeer),
    /// The engine cannot start.
    #[error(transparent)]
    Engine(#[from] EngineStart),
    /// The data folder cannot be used.
    #[error("data folder {folder}: {source}")]
    Data {
        /// The folder.
        folder: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; is another node running there?")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Serving failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// A node that listens and does not answer yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    identity: Arc<ReloadingIdentity>,
    desk: Desk,
    clock: Clock,
}

/// Checks the configuration, opens what it names and listens. Questions are computed on `queries`.
///
/// # Errors
/// [`NodeError`] naming the file or address at fault.
pub fn bind(config: Config, queries: Handle) -> BoxFuture<'static, Result<Bound, NodeError>> {
    Box::pin(bind_unboxed(config, queries))
}

async fn bind_unboxed(config: Config, queries: Handle) -> Result<Bound, NodeError> {
    let clock = Clock::system();
    let expected = Peer::new(&config.region, Role::Node, config.hospital.id.as_str())?;
    let identity = ReloadingIdentity::open(config.identity.clone(), clock.clone())?;
    if *identity.peer() != expected {
        let found = identity.peer().to_string();
        return Err(NodeError::WrongCertificate { found, expected: expected.to_string() });
    }
    let holdings = Holdings::new(config.clone())?;
    let data = |source| NodeError::Data { folder: config.data_dir.display().to_string(), source };
    let desk = Desk::new(&config, holdings, queries, clock.clone()).map_err(data)?;
    let listen = |source| NodeError::Listen { address: config.listen.clone(), source };
    let listener = TcpListener::bind(&config.listen).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let _ = desk.holdings.now();
    Ok(Bound { listener, address, identity, desk, clock })
}

impl Bound {
    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown`, then drains.
    ///
    /// # Errors
    /// [`NodeError::Serve`] when the transport fails.
    pub fn serve(self, shutdown: Shutdown) -> BoxFuture<'static, Result<(), NodeError>> {
        Box::pin(self.serve_unboxed(shutdown))
    }

    async fn serve_unboxed(self, shutdown: Shutdown) -> Result<(), NodeError> {
        tracing::info!(address = %self.address, peer = %self.identity.peer(), "node is up");
        let service = Service {
            desk: Arc::new(self.desk),
            code_lists: CodeLists::default(),
            started_at: self.clock.now(),
        };
        let server = NodeServer::new(service).max_decoding_message_size(proto::MAX_MESSAGE_BYTES);
        let routes = tonic::service::Routes::new(server);
        serve(self.listener, self.identity, routes, ServeLimits::default(), shutdown).await?;
        Ok(())
    }
}

struct Service {
    desk: Arc<Desk>,
    code_lists: CodeLists,
    started_at: SystemTime,
}

#[tonic::async_trait]
impl Node for Service {
    type ReleaseStream = BoxStream<'static, Result<v1::ReleaseChunk, Status>>;

    async fn describe(
        &self,
        request: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        require_role(&request, Role::Coordinator)?;
        let (policy, engine) = self.desk.holdings.now();
        let mut response = v1::DescribeResponse {
            node_started_at: rfc3339(self.started_at),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            minimum_persons: policy.minimum.persons.unwrap_or(0),
            minimum_stays: policy.minimum.stays.unwrap_or(0),
            pooled: policy.scopes.pooled,
            per_hospital: policy.scopes.per_hospital,
            ..v1::DescribeResponse::default()
        };
        if let Some(engine) = engine {
            let manifest = engine.manifest();
            response.hospital_id = manifest.hospital.id.to_string();
            response.hospital_tier.clone_from(&manifest.hospital.tier);
            response.hospital_county.clone_from(&manifest.hospital.county);
            response.snapshot_id.clone_from(&manifest.snapshot_id);
            response.snapshot_created_at.clone_from(&manifest.created_at);
            response.tables = table_sizes(&engine, &policy);
            if request.get_ref().code_lists {
                let lists = code_lists(&self.desk, &self.code_lists, &engine, &policy).await;
                response.code_lists.clone_from(&lists);
            }
        }
        Ok(Response::new(response))
    }

    async fn release(
        &self,
        request: Request<v1::ReleaseRequest>,
    ) -> Result<Response<Self::ReleaseStream>, Status> {
        require_role(&request, Role::Coordinator)?;
        let chunks = self.desk.answer(request.into_inner()).await?;
        Ok(Response::new(Box::pin(stream::iter(chunks.into_iter().map(Ok)))))
    }

    async fn ping(
        &self,
        request: Request<v1::PingRequest>,
    ) -> Result<Response<v1::PingResponse>, Status> {
        require_role(&request, Role::Coordinator)?;
        Ok(Response::new(v1::PingResponse {}))
    }
}
