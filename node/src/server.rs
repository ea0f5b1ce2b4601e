//! The node's gRPC service and its life.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use model::{Peer, Role};
use proto::v1;
use proto::v1::node_server::{Node, NodeServer};
use proto::{decode_project, encode_constants, encode_extents, encode_noise_policy};
use query::engine::ComputeError;
use record::{Standing, StandingFiles, Store};
use service::clock::rfc3339;
use service::role::{RoleError, identify, listen};
use service::serve::ServeError;
use service::status::{internal_status, refusal_status};
use service::{Clock, ReloadingIdentity, ServeLimits, Shutdown, require_role, serve};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tonic::{Request, Response, Status};

use crate::answer::{Desk, InForce};
use crate::books::Books;
use crate::config::Config;
use crate::describe::{CodeLists, Schemes, code_lists, dip_list, drg_schemes, table_sizes};
use crate::holdings::{EngineStart, Holdings};

/// Why a node does not run.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The certificate or the address is not usable.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// The engine cannot start.
    #[error(transparent)]
    Engine(#[from] EngineStart),
    /// The signing key or the roster is not usable.
    #[error(transparent)]
    Standing(#[from] record::StandingError),
    /// The ledger is not usable.
    #[error(transparent)]
    Record(#[from] record::RecordError),
    /// The data folder cannot be used.
    #[error("data folder {folder}: {source}")]
    Data {
        /// The folder.
        folder: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The planner that checks questions of packs cannot start.
    #[error("the planner cannot start: {0}")]
    Planner(#[from] query::question::AnswerError),
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

/// The peer that this hospital's node is.
///
/// # Errors
/// [`RoleError::Name`].
pub(crate) fn peer(config: &Config) -> Result<Peer, RoleError> {
    Ok(Peer::new(&config.region, Role::Node, config.hospital.id.as_str())?)
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
    let expected = peer(&config)?;
    let identity = identify(&expected, &config.identity, &clock)?;
    let data = |source| NodeError::Data { folder: config.data_dir.display().to_string(), source };
    std::fs::create_dir_all(&config.data_dir).map_err(data)?;
    let files = StandingFiles {
        key: config.signing.key.clone(),
        roster: config.signing.roster.clone(),
        authority: config.signing.authority.clone(),
    };
    let standing = Arc::new(Standing::open(&files, &config.region)?);
    let ledger = config.data_dir.join(record::FILE);
    let store = Store::open(&ledger, &expected, &rfc3339(clock.now()))?;
    Holdings::clear_spill(&config.data_dir);
    let holdings = Holdings::new(config.clone())?;
    let books = Books::new(Arc::new(store), clock.clone())?;
    let desk = Desk::new(&config, holdings, books, standing, queries, clock.clone())?;
    let (listener, address) = listen(Role::Node, &config.listen).await?;
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
            schemes: Schemes::default(),
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
    schemes: Schemes,
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
        let InForce { policy, engine, .. } = self.desk.holdings.now();
        let mut response = v1::DescribeResponse {
            node_started_at: rfc3339(self.started_at),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            minimum_persons: policy.minimum.persons.unwrap_or(0),
            minimum_stays: policy.minimum.stays.unwrap_or(0),
            pooled_hospitals: policy.pooled.hospitals,
            dominance_e4: policy.pooled.dominance_e4,
            pooled: policy.scopes.pooled,
            per_hospital: policy.scopes.per_hospital,
            noise: policy.noise.map(encode_noise_policy),
            ..v1::DescribeResponse::default()
        };
        if let Some(engine) = engine {
            let manifest = engine.manifest();
            response.hospital_id = manifest.hospital.id.to_string();
            response.hospital_tier.clone_from(&manifest.hospital.tier);
            response.hospital_county.clone_from(&manifest.hospital.county);
            response.snapshot_id.clone_from(&manifest.snapshot_id);
            response.snapshot_created_at.clone_from(&manifest.created_at);
            let schemes = drg_schemes(&self.desk, &self.schemes, &engine, &policy).await;
            response.drg_schemes.clone_from(&schemes);
            response.dip_list = manifest.dip_list.as_ref().map(dip_list).unwrap_or_default();
            response.tables = table_sizes(&engine, &policy);
            let unread = |error: ComputeError| internal_status("reading the snapshot", &error);
            response.extents = encode_extents(&engine.months().await.map_err(unread)?);
            response.constants = encode_constants(&engine.scheme().await.map_err(unread)?);
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

    type JoinStream = crate::round::Parts;

    async fn join(
        &self,
        request: Request<v1::Offer>,
    ) -> Result<Response<Self::JoinStream>, Status> {
        require_role(&request, Role::Coordinator)?;
        Ok(Response::new(self.desk.join(request.into_inner()).await?))
    }

    async fn name(
        &self,
        request: Request<v1::NameRequest>,
    ) -> Result<Response<v1::NameResponse>, Status> {
        require_role(&request, Role::Coordinator)?;
        Ok(Response::new(self.desk.name(request.into_inner()).await?))
    }

    async fn checkpoint(
        &self,
        request: Request<v1::CheckpointRequest>,
    ) -> Result<Response<v1::CheckpointResponse>, Status> {
        require_role(&request, Role::Coordinator)?;
        Ok(Response::new(self.desk.checkpoint(request.into_inner()).await?))
    }

    async fn cosigned(
        &self,
        request: Request<v1::CosignedNote>,
    ) -> Result<Response<v1::CosignedAck>, Status> {
        require_role(&request, Role::Coordinator)?;
        self.desk.cosigned(request.into_inner()).await?;
        Ok(Response::new(v1::CosignedAck {}))
    }

    async fn consider(
        &self,
        request: Request<v1::Project>,
    ) -> Result<Response<v1::Considered>, Status> {
        require_role(&request, Role::Coordinator)?;
        let project = decode_project(request.into_inner());
        let project = project.map_err(|refusal| refusal_status(&refusal))?;
        Ok(Response::new(self.desk.consider(project).await?))
    }

    async fn ping(
        &self,
        request: Request<v1::PingRequest>,
    ) -> Result<Response<v1::PingResponse>, Status> {
        require_role(&request, Role::Coordinator)?;
        Ok(Response::new(v1::PingResponse {}))
    }
}
