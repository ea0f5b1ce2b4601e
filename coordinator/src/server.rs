//! The coordinator's gRPC service and its life.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::Stream;
use futures::future::BoxFuture;
use model::{Peer, Role};
use privacy::{Floor, Policy, VeilKey};
use proto::v1::answer_event::Event;
use proto::v1::region_server::{Region, RegionServer};
use proto::{decode_claim, v1};
use query::question::Planner;
use record::{Standing, StandingFiles, Store};
use service::clock::{day_number, rfc3339};
use service::role::{RoleError, identify, listen};
use service::serve::ServeError;
use service::status::{internal_status, refusal_status};
use service::{Clock, ReloadingIdentity, ServeLimits, Shutdown, require_role, serve};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::ask::{Answer, Who};
use crate::catalog::catalog;
use crate::codes::Name;
use crate::config::Config;
use crate::encode::ipc_parts;
use crate::explain::explain;
use crate::fit::{self, Memory};
use crate::lists::Lists;
use crate::models::Models;
use crate::noisy::{self, Drawn};
use crate::notary;
use crate::projects::{self, Kept, ProjectError, Projects};
use crate::registry::{Registry, Site};
use crate::round::{Rounds, round_memory};
use crate::shelf::Shelf;
use crate::state::{EVENT_QUEUE, State, ask_status, project_status};
use crate::witness::Witness;

/// How often hospitals are asked to describe themselves.
const REFRESH_INTERVAL: Duration = Duration::from_secs(15);
/// Time for a last look at the logs before the coordinator ends.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// Why a coordinator does not run.
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// The certificate or the address is not usable.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// A name cannot stand in a certificate.
    #[error("{0}")]
    Name(#[from] model::peer::InvalidPeer),
    /// The rules for early feedback cannot be read.
    #[error("{0}")]
    Policy(String),
    /// The region's minima are not set.
    #[error("the region's policy sets no minimum, so no pooled question can be opened; set it")]
    NoMinimum,
    /// A published code list cannot be used.
    #[error(transparent)]
    Codes(#[from] crate::codes::InvalidCodes),
    /// The signing key or the roster is not usable.
    #[error(transparent)]
    Standing(#[from] record::StandingError),
    /// The record is not usable.
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
    /// The planner cannot start.
    #[error("the planner cannot start: {0}")]
    Planner(#[from] query::question::AnswerError),
    /// Serving failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// A coordinator that listens and does not answer yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    identity: Arc<ReloadingIdentity>,
    state: Arc<State>,
    log_interval: Duration,
}

/// Checks the configuration, opens what it names and listens.
///
/// # Errors
/// [`CoordinatorError`] naming the file or address at fault.
pub fn bind(config: Config) -> BoxFuture<'static, Result<Bound, CoordinatorError>> {
    Box::pin(bind_unboxed(config))
}

async fn bind_unboxed(config: Config) -> Result<Bound, CoordinatorError> {
    let clock = Clock::system();
    let expected = Peer::new(&config.region, Role::Coordinator, "main")?;
    let identity = identify(&expected, &config.identity, &clock)?;
    let policy = policy(&config)?;
    let rounds = Arc::new(rounds(&config, &policy, &identity, &expected, &clock)?);
    let codes = crate::codes::read(&config.code_sources())?;
    let shelf = Shelf::of(&config.data_dir);
    let models = Models::of(&config.data_dir);
    let projects = Projects::of(&config.data_dir);
    let lists = Lists::new(codes, config.pooled.discovery_bits, shelf);
    let planner = Planner::new(config.engine.memory_mb << 20)?;
    let (deadline, log_interval) = (config.deadline(), config.log_interval());
    let registry = Registry::new(&config.region, config.hospitals, &identity, clock.clone())?;
    let registry = Arc::new(registry);
    let (listener, address) = listen(Role::Coordinator, &config.listen).await?;
    let planned = Mutex::default();
    let state = State {
        registry,
        rounds,
        lists,
        planner,
        policy,
        deadline,
        clock,
        models,
        projects,
        planned,
        levels: Memory::default(),
        drawn: Drawn::default(),
    };
    let state = Arc::new(state);
    Ok(Bound { listener, address, identity, state, log_interval })
}

/// The region's rules, as the configuration names them.
pub(crate) fn policy(config: &Config) -> Result<Policy, CoordinatorError> {
    let Some(path) = &config.policy else { return Ok(Policy::default()) };
    service::config::load(path).map_err(|error| CoordinatorError::Policy(error.to_string()))
}

/// The signing key and the roster that the configuration names.
pub(crate) fn standing(config: &Config) -> Result<Standing, CoordinatorError> {
    let files = StandingFiles {
        key: config.signing.key.clone(),
        roster: config.signing.roster.clone(),
        authority: config.signing.authority.clone(),
    };
    Ok(Standing::open(&files, &config.region)?)
}

/// What leading masked rounds needs, from the files that the configuration names.
fn rounds(
    config: &Config,
    policy: &Policy,
    identity: &Arc<ReloadingIdentity>,
    own: &Peer,
    clock: &Clock,
) -> Result<Rounds, CoordinatorError> {
    let folder = &config.data_dir;
    std::fs::create_dir_all(folder).map_err(|source| CoordinatorError::Data {
        folder: folder.display().to_string(),
        source,
    })?;
    let standing = standing(config)?;
    // It is the same for as long as the coordinator has its key.
    let veil_key = VeilKey::new(standing.key().derive("veil"));
    Ok(Rounds {
        region: config.region.clone(),
        standing,
        veil_key,
        store: Store::open(&folder.join(record::FILE), own, &rfc3339(clock.now()))?,
        witness: Witness::new(&config.region, config.witness.address.clone(), identity)?,
        floor: Floor::of(policy).ok_or(CoordinatorError::NoMinimum)?,
        quorum: config.pooled.quorum,
        memory: round_memory(),
        turn: tokio::sync::Mutex::default(),
        clock: clock.clone(),
    })
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
    /// [`CoordinatorError::Serve`] when the transport fails.
    pub fn serve(self, shutdown: Shutdown) -> BoxFuture<'static, Result<(), CoordinatorError>> {
        Box::pin(self.serve_unboxed(shutdown))
    }

    async fn serve_unboxed(self, shutdown: Shutdown) -> Result<(), CoordinatorError> {
        tracing::info!(address = %self.address, hospitals = self.state.registry.sites().len(), "coordinator is up");
        // A set, so that dropping this future stops these too and frees the record.
        let mut watching = JoinSet::new();
        watching.spawn(refresh(Arc::clone(&self.state)));
        let (rounds, registry) = (Arc::clone(&self.state.rounds), Arc::clone(&self.state.registry));
        watching.spawn(notary::watch(rounds, registry, self.log_interval));
        let (rounds, registry) = (Arc::clone(&self.state.rounds), Arc::clone(&self.state.registry));
        let server = RegionServer::new(Service { state: self.state })
            .max_decoding_message_size(proto::MAX_MESSAGE_BYTES);
        let routes = tonic::service::Routes::new(server);
        serve(self.listener, self.identity, routes, ServeLimits::default(), shutdown).await?;
        drop(watching);
        // So that what was released until now is cosigned as far as the others are there.
        let _ = timeout(LAST_LOOK, rounds.look_at_logs(&registry)).await;
        Ok(())
    }
}

async fn refresh(state: Arc<State>) {
    let mut interval = tokio::time::interval(REFRESH_INTERVAL);
    loop {
        interval.tick().await;
        state.registry.refresh().await;
    }
}

#[derive(Debug)]
struct Service {
    state: Arc<State>,
}

type FitEvents = std::pin::Pin<Box<dyn Stream<Item = Result<v1::FitEvent, Status>> + Send>>;
type Events = std::pin::Pin<Box<dyn Stream<Item = Result<v1::AnswerEvent, Status>> + Send>>;

#[tonic::async_trait]
impl Region for Service {
    type AskStream = Events;

    async fn ask(&self, request: Request<v1::Question>) -> Result<Response<Events>, Status> {
        let peer = require_role(&request, Role::User)?;
        let v1::Question { sql, deadline_ms, pack, rho_micro, project } = request.into_inner();
        let project = self.state.project(&project, peer.name())?;
        let claim = pack.map(decode_claim).transpose();
        let claim = claim.map_err(|refusal| refusal_status(&refusal))?;
        let question = self.state.plan(&sql).await.map_err(|refusal| refusal_status(&refusal))?;
        let deadline = self.state.ask_deadline(deadline_ms);
        let (events, stream) = mpsc::channel(EVENT_QUEUE);
        let state = Arc::clone(&self.state);
        tokio::spawn(async move {
            let who = Who { user: peer.name(), claim, rho_micro, project };
            let outcome = state.answer(&question, &who, deadline, &events).await;
            send(outcome, &events).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn explain(
        &self,
        request: Request<v1::Question>,
    ) -> Result<Response<v1::Explanation>, Status> {
        let peer = require_role(&request, Role::User)?;
        let question = self
            .state
            .plan(&request.get_ref().sql)
            .await
            .map_err(|refusal| refusal_status(&refusal))?;
        let rho_micro = request.get_ref().rho_micro;
        noisy::check(&question, rho_micro).map_err(|refusal| refusal_status(&refusal))?;
        let size = self.state.size(&question, peer.name(), rho_micro).await;
        let hospitals = self.state.registry.sites().len();
        let mut explained = explain(&question, &self.state.policy, hospitals, &size);
        if let Some(rho_micro) = rho_micro {
            explained.rules = noisy::rules(question.scope(), rho_micro);
        }
        let project = self.state.project(&request.get_ref().project, peer.name())?;
        explained.rules.extend(project.as_ref().map(projects::rule));
        Ok(Response::new(explained))
    }

    async fn catalog(
        &self,
        request: Request<v1::CatalogRequest>,
    ) -> Result<Response<v1::CatalogResponse>, Status> {
        require_role(&request, Role::User)?;
        let described = self.state.registry.code_lists().await;
        Ok(Response::new(catalog(&self.state.policy, &described)))
    }

    async fn code_names(
        &self,
        request: Request<v1::CodeNamesRequest>,
    ) -> Result<Response<v1::CodeNamesResponse>, Status> {
        require_role(&request, Role::User)?;
        let names = self.state.lists.names(&request.get_ref().column);
        let name = |(code, name): (&String, &Name)| v1::CodeName {
            code: code.clone(),
            en: name.en.clone(),
            zh: name.zh.clone(),
        };
        Ok(Response::new(v1::CodeNamesResponse { names: names.map(name).collect() }))
    }

    type FitStream = FitEvents;

    async fn fit(&self, request: Request<v1::FitRequest>) -> Result<Response<FitEvents>, Status> {
        let peer = require_role(&request, Role::User)?;
        let order = request.into_inner();
        let (events, stream) = mpsc::channel(EVENT_QUEUE);
        let (state, user) = (Arc::clone(&self.state), peer.name().to_owned());
        let deadline = state.fit_deadline(order.deadline_ms);
        let project = state.project(&order.project, &user)?;
        tokio::spawn(async move {
            let who = Who { user: &user, claim: None, rho_micro: None, project };
            fit::run(&state, order, &who, deadline, &events).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn models(
        &self,
        request: Request<v1::ModelsRequest>,
    ) -> Result<Response<v1::ModelsResponse>, Status> {
        require_role(&request, Role::User)?;
        Ok(Response::new(v1::ModelsResponse { models: self.state.models.list() }))
    }

    async fn model(
        &self,
        request: Request<v1::ModelRequest>,
    ) -> Result<Response<v1::ModelResponse>, Status> {
        require_role(&request, Role::User)?;
        let card = self.state.models.card(&request.get_ref().name);
        let card = card.map_err(|refusal| refusal_status(&refusal))?;
        Ok(Response::new(v1::ModelResponse { card: fit::text_of(&card)? }))
    }

    async fn expect(
        &self,
        request: Request<v1::ExpectRequest>,
    ) -> Result<Response<v1::ExpectResponse>, Status> {
        let peer = require_role(&request, Role::User)?;
        let v1::ExpectRequest { name, deadline_ms } = request.get_ref();
        let card = self.state.models.card(name).map_err(|refusal| refusal_status(&refusal))?;
        let patience = self.state.ask_deadline(*deadline_ms);
        let told = fit::expect(&self.state, &card, peer.name(), patience).await;
        Ok(Response::new(told.map_err(|error| ask_status(&error))?))
    }

    async fn create_project(
        &self,
        request: Request<v1::Project>,
    ) -> Result<Response<v1::ProjectReport>, Status> {
        let peer = require_role(&request, Role::User)?;
        let now = self.state.clock.now();
        let (at, today, owner) = (rfc3339(now), day_number(now), peer.name().to_owned());
        let wire = request.into_inner();
        self.report(move |projects| projects.create(&owner, wire, (&at, today))).await
    }

    async fn join_project(
        &self,
        request: Request<v1::ProjectRequest>,
    ) -> Result<Response<v1::ProjectReport>, Status> {
        let peer = require_role(&request, Role::User)?;
        let (user, name) = (peer.name().to_owned(), request.into_inner().name);
        self.report(move |projects| projects.join(&name, &user)).await
    }

    async fn admit_member(
        &self,
        request: Request<v1::AdmitRequest>,
    ) -> Result<Response<v1::ProjectReport>, Status> {
        let peer = require_role(&request, Role::User)?;
        let (owner, order) = (peer.name().to_owned(), request.into_inner());
        self.report(move |projects| projects.admit(&owner, &order)).await
    }

    async fn show_project(
        &self,
        request: Request<v1::ProjectRequest>,
    ) -> Result<Response<v1::ProjectReport>, Status> {
        require_role(&request, Role::User)?;
        let name = request.into_inner().name;
        self.report(move |projects| projects.get(&name)).await
    }

    async fn projects(
        &self,
        request: Request<v1::ProjectsRequest>,
    ) -> Result<Response<v1::ProjectsResponse>, Status> {
        require_role(&request, Role::User)?;
        let projects = self.on_files(Projects::list).await?;
        Ok(Response::new(v1::ProjectsResponse { projects }))
    }

    async fn hospitals(
        &self,
        request: Request<v1::HospitalsRequest>,
    ) -> Result<Response<v1::HospitalsResponse>, Status> {
        require_role(&request, Role::User)?;
        self.state.registry.refresh().await;
        let hospitals = self.state.registry.sites().iter().map(|site| hospital(site)).collect();
        Ok(Response::new(v1::HospitalsResponse { hospitals }))
    }
}

impl Service {
    /// Looks at the files of projects, or changes one, on a thread for waiting.
    async fn on_files<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Projects) -> T + Send + 'static,
    ) -> Result<T, Status> {
        let projects = self.state.projects.clone();
        let done = spawn_blocking(move || work(&projects)).await;
        done.map_err(|error| internal_status("keeping projects", &error))
    }

    async fn report(
        &self,
        work: impl FnOnce(&Projects) -> Result<Kept, ProjectError> + Send + 'static,
    ) -> Result<Response<v1::ProjectReport>, Status> {
        let kept = self.on_files(work).await?.map_err(|error| project_status(&error))?;
        let report = projects::report(kept, &self.state.registry).await;
        Ok(Response::new(report.map_err(|refusal| refusal_status(&refusal))?))
    }
}

async fn send(
    outcome: Result<Answer, Status>,
    events: &mpsc::Sender<Result<v1::AnswerEvent, Status>>,
) {
    let answer = match outcome {
        Ok(answer) => answer,
        Err(status) => {
            let _ = events.send(Err(status)).await;
            return;
        }
    };
    let parts = match ipc_parts(&answer.batches) {
        Ok(parts) => parts,
        Err(error) => {
            let _ = events.send(Err(internal_status("encoding the answer", &error))).await;
            return;
        }
    };
    let parts = parts.into_iter().map(|part| Event::ArrowIpc(part.to_vec()));
    for event in parts.chain([Event::Release(answer.provenance)]) {
        if events.send(Ok(v1::AnswerEvent { event: Some(event) })).await.is_err() {
            return;
        }
    }
}

fn hospital(site: &Site) -> v1::Hospital {
    let known = site.known();
    let description = known.description.unwrap_or_default();
    let online = known.last_seen.is_some()
        && !matches!(&known.absence, Some(absence) if !absence.text().starts_with("refused"));
    v1::Hospital {
        id: site.id.to_string(),
        address: site.address.clone(),
        state: if online { "online".to_owned() } else { "offline".to_owned() },
        tier: description.hospital_tier,
        county: description.hospital_county,
        snapshot_id: description.snapshot_id,
        snapshot_created_at: description.snapshot_created_at,
        stays: site.rows("stay"),
        fees: site.rows("fee"),
        node_started_at: description.node_started_at,
        last_seen_at: known.last_seen.map(rfc3339).unwrap_or_default(),
        reason: known.absence.map(|absence| absence.text()).unwrap_or_default(),
        version: description.version,
        drg_schemes: description.drg_schemes,
        dip_list: description.dip_list,
    }
}
