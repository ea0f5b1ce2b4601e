//! The witness's gRPC service and its life.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use model::{Peer, Role};
use proto::v1;
use proto::v1::witness_server::{Witness, WitnessServer};
use record::{RecordError, Standing, StandingError, StandingFiles, Store};
use service::clock::rfc3339;
use service::role::{RoleError, identify, listen};
use service::serve::ServeError;
use service::{Clock, ReloadingIdentity, ServeLimits, Shutdown, require_role, serve};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status, Streaming};

use crate::config::Config;
use crate::desk::Desk;
use crate::open::Parts;
use crate::veil::{HeldVeil, VeilFileError};

/// Largest message: the sealed lists of all hospitals of a region.
const MAX_REQUEST_BYTES: usize = 64 << 20;
/// How often rounds whose time is over are forgotten.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Why a witness does not run.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The certificate or the address is not usable.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// The signing key or the roster is not usable.
    #[error(transparent)]
    Standing(#[from] StandingError),
    /// The roster gives the witness another key.
    #[error(
        "{} names another signing key for the witness than the one in {}; enrol the witness anew, \
         or get the region's current roster",
        roster.display(),
        key.display()
    )]
    OtherKey {
        /// The roster's file.
        roster: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// A limit is not possible.
    #[error("{0}")]
    Limits(String),
    /// The record is not usable.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The file that says how names are hidden is not usable.
    #[error(transparent)]
    Veil(#[from] VeilFileError),
    /// Serving failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// A witness that listens and does not answer yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    identity: Arc<ReloadingIdentity>,
    desk: Arc<Desk>,
}

/// The peer that a witness of `region` is.
///
/// # Errors
/// [`RoleError::Name`].
pub(crate) fn peer(region: &str) -> Result<Peer, RoleError> {
    Ok(Peer::new(region, Role::Witness, "main")?)
}

/// Reads signing key and roster, and checks that they fit each other.
///
/// # Errors
/// [`WitnessError`], naming the file.
pub(crate) fn standing(config: &Config) -> Result<Standing, WitnessError> {
    let files = StandingFiles {
        key: config.signing.key.clone(),
        roster: config.signing.roster.clone(),
        authority: config.signing.authority.clone(),
    };
    let standing = Standing::open(&files, &config.region)?;
    if standing.roster()?.witness() == standing.key().verify_key() {
        return Ok(standing);
    }
    Err(WitnessError::OtherKey { roster: files.roster, key: files.key })
}

/// Checks the configuration, opens what it names and listens.
///
/// # Errors
/// [`WitnessError`] naming the file or address at fault.
pub fn bind(config: Config) -> BoxFuture<'static, Result<Bound, WitnessError>> {
    Box::pin(bind_unboxed(config))
}

async fn bind_unboxed(config: Config) -> Result<Bound, WitnessError> {
    let clock = Clock::system();
    let expected = peer(&config.region)?;
    let identity = identify(&expected, &config.identity, &clock)?;
    let standing = standing(&config)?;
    if let Some(problem) = config.limits.problems().into_iter().next() {
        return Err(WitnessError::Limits(problem));
    }
    for problem in config.rules.problems() {
        tracing::warn!(problem, "the witness is closed");
    }
    let record = config.data_dir.join(record::FILE);
    let store = Store::open(&record, &expected, &rfc3339(clock.now()))?;
    let (listener, address) = listen(Role::Witness, &config.listen).await?;
    let veil = HeldVeil::of(&config.data_dir)?;
    let desk = Desk::new(standing, store, config.rules.in_force(), config.limits, veil, clock)?;
    Ok(Bound { listener, address, identity, desk: Arc::new(desk) })
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
    /// [`WitnessError::Serve`] when the transport fails.
    pub fn serve(self, shutdown: Shutdown) -> BoxFuture<'static, Result<(), WitnessError>> {
        Box::pin(self.serve_unboxed(shutdown))
    }

    async fn serve_unboxed(self, shutdown: Shutdown) -> Result<(), WitnessError> {
        tracing::info!(address = %self.address, peer = %self.identity.peer(), "witness is up");
        // A set, so that dropping this future stops the sweeping too and frees the record.
        let mut sweeping = JoinSet::new();
        sweeping.spawn(sweep(Arc::clone(&self.desk)));
        let server = WitnessServer::new(Service { desk: self.desk })
            .max_decoding_message_size(MAX_REQUEST_BYTES);
        // Who asks is looked at before a message is read.
        let routes = tonic::service::Routes::new(InterceptedService::new(server, coordinator_only));
        Ok(serve(self.listener, self.identity, routes, ServeLimits::default(), shutdown).await?)
    }
}

fn coordinator_only(request: Request<()>) -> Result<Request<()>, Status> {
    require_role(&request, Role::Coordinator)?;
    Ok(request)
}

async fn sweep(desk: Arc<Desk>) {
    let mut interval = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        interval.tick().await;
        desk.sweep();
    }
}

#[derive(Debug)]
struct Service {
    desk: Arc<Desk>,
}

#[tonic::async_trait]
impl Witness for Service {
    type OpenStream = Parts;

    async fn countersign(
        &self,
        request: Request<v1::Proposal>,
    ) -> Result<Response<v1::Countersigned>, Status> {
        Ok(Response::new(self.desk.countersign(request.into_inner()).await?))
    }

    async fn open(
        &self,
        request: Request<Streaming<v1::OpenPart>>,
    ) -> Result<Response<Self::OpenStream>, Status> {
        Ok(Response::new(self.desk.open(request.into_inner()).await?))
    }

    async fn unite(
        &self,
        request: Request<v1::UniteRequest>,
    ) -> Result<Response<v1::UniteResponse>, Status> {
        Ok(Response::new(self.desk.unite(request.into_inner()).await?))
    }

    async fn cosign(
        &self,
        request: Request<v1::CosignRequest>,
    ) -> Result<Response<v1::CosignResponse>, Status> {
        Ok(Response::new(self.desk.cosign(request.into_inner()).await?))
    }

    async fn checkpoint(
        &self,
        request: Request<v1::CheckpointRequest>,
    ) -> Result<Response<v1::CheckpointResponse>, Status> {
        Ok(Response::new(self.desk.checkpoint(request.into_inner()).await?))
    }

    async fn cosigned(
        &self,
        request: Request<v1::CosignedNote>,
    ) -> Result<Response<v1::CosignedAck>, Status> {
        Ok(Response::new(self.desk.cosigned(request.into_inner()).await?))
    }
}
