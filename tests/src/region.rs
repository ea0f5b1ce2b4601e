//! A whole region inside one test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::future::try_join_all;
use model::{Peer, Role};
use privacy::Policy;
use proto::v1;
use proto::v1::answer_event::Event;
use proto::v1::node_client::NodeClient;
use proto::v1::region_client::RegionClient;
use service::connect::ConnectOptions;
use service::{Clock, Connector, IdentityConfig, ReloadingIdentity, Shutdown};
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::transport::Channel;

use crate::pki::{Pki, peer};
use crate::process::Process;
use crate::site::{HospitalSource, Running, Site};

/// Ingests at the same time.
const INGESTS: usize = 4;
/// The user in whose name [`Region::ask`] asks.
pub const USER: &str = "ana";

/// An answer as the client sees it.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The rows.
    pub batches: Vec<RecordBatch>,
    /// How they came about.
    pub release: v1::Provenance,
}

impl Answer {
    /// The rows as text: whole numbers and decimals exact, doubles shortest, NULL empty.
    ///
    /// # Panics
    /// When a column has a type that has no text.
    #[must_use]
    pub fn rows(&self) -> Vec<Vec<String>> {
        let options = FormatOptions::default();
        let mut rows = Vec::new();
        for batch in &self.batches {
            let columns: Vec<_> = batch
                .columns()
                .iter()
                .map(|column| ArrayFormatter::try_new(column, &options).expect("a printable type"))
                .collect();
            for row in 0..batch.num_rows() {
                rows.push(columns.iter().map(|column| column.value(row).to_string()).collect());
            }
        }
        rows
    }

    /// Which hospitals are missing, and why.
    #[must_use]
    pub fn missing(&self) -> Vec<(&str, &str)> {
        let missing = self.release.missing.iter();
        missing.map(|one| (one.hospital.as_str(), one.reason.as_str())).collect()
    }
}

/// What a region shall be.
#[derive(Debug, Default)]
pub struct RegionBuilder {
    hospitals: Vec<HospitalSource>,
    policy: Policy,
    policies: BTreeMap<String, Policy>,
    proxied: bool,
    nodes_exe: Option<PathBuf>,
    coordinator_exe: Option<PathBuf>,
}

impl RegionBuilder {
    /// Adds hospitals.
    #[must_use]
    pub fn hospitals(mut self, hospitals: impl IntoIterator<Item = HospitalSource>) -> Self {
        self.hospitals.extend(hospitals);
        self
    }

    /// The policy of every hospital and of the coordinator's early feedback; else the default.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The policy of one hospital.
    #[must_use]
    pub fn policy_of(mut self, hospital: &str, policy: Policy) -> Self {
        self.policies.insert(hospital.to_owned(), policy);
        self
    }

    /// Puts a [`crate::Proxy`] before every node.
    #[must_use]
    pub const fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// Runs every node as a process of its own.
    #[must_use]
    pub fn node_processes(mut self, exe: impl Into<PathBuf>) -> Self {
        self.nodes_exe = Some(exe.into());
        self
    }

    /// Runs the coordinator as a process of its own.
    #[must_use]
    pub fn coordinator_process(mut self, exe: impl Into<PathBuf>) -> Self {
        self.coordinator_exe = Some(exe.into());
        self
    }

    /// Makes certificates and files, ingests, starts everything, and waits until the coordinator
    /// has heard of every hospital.
    ///
    /// # Errors
    /// When any of it fails.
    pub async fn start(self) -> anyhow::Result<Region> {
        let root = tempfile::tempdir()?;
        let pki = Arc::new(Pki::create(&root.path().join("authority"))?);
        let places = Arc::new(Semaphore::new(INGESTS));
        let sites = self.hospitals.iter().map(|hospital| {
            let (hospital, pki, places) = (hospital.clone(), Arc::clone(&pki), Arc::clone(&places));
            let policy = self.policies.get(&hospital.id).unwrap_or(&self.policy).clone();
            let (root, exe) = (root.path().to_owned(), self.nodes_exe.clone());
            async move {
                let _place = places.acquire().await?;
                let making = move || {
                    let site = Site::prepare(&root, &pki, &hospital, &policy, exe)?;
                    site.fill(&hospital)?;
                    anyhow::Ok(site)
                };
                let site = tokio::task::spawn_blocking(making);
                let site = site.await??;
                site.start().await.with_context(|| format!("node {}", site.id()))?;
                if self.proxied {
                    site.add_proxy().await?;
                }
                anyhow::Ok(Arc::new(site))
            }
        });
        let sites = try_join_all(sites).await?;
        let coordinator = Coordinator::start(root.path(), &pki, &sites, &self).await?;
        let user =
            pki.issue(&root.path().join("users"), USER, &peer(Role::User, USER), Pki::validity())?;
        let to = peer(Role::Coordinator, "main");
        let channel = Region::channel(&user, Clock::system(), to, coordinator.address)?;
        let region = Region { sites, coordinator, user, channel, pki, root };
        region.hospitals().await.context("the coordinator does not answer")?;
        Ok(region)
    }
}

#[derive(Debug)]
struct Coordinator {
    address: SocketAddr,
    running: Mutex<Option<Running>>,
}

impl Coordinator {
    async fn start(
        root: &Path,
        pki: &Pki,
        sites: &[Arc<Site>],
        wanted: &RegionBuilder,
    ) -> anyhow::Result<Self> {
        let folder = root.join("coordinator");
        pki.issue(&folder, "coordinator", &peer(Role::Coordinator, "main"), Pki::validity())?;
        std::fs::copy(pki.certificate(), folder.join("authority.pem"))?;
        std::fs::write(folder.join("policy.toml"), toml::to_string(&wanted.policy)?)?;
        let mut text = format!(
            "region = \"{}\"\nlisten = \"127.0.0.1:0\"\npolicy = \"policy.toml\"\n[identity]\n\
             certificate = \"coordinator.pem\"\nkey = \"coordinator.key\"\n\
             authority = \"authority.pem\"\n",
            crate::REGION
        );
        for site in sites {
            let (id, address) = (site.id(), site.public_address());
            text.push_str(&format!("[[hospital]]\nid = \"{id}\"\naddress = \"{address}\"\n"));
        }
        let path = folder.join("coordinator.toml");
        std::fs::write(&path, text)?;
        let (running, address) = match &wanted.coordinator_exe {
            None => {
                let bound = coordinator::bind(coordinator::Config::load(&path)?).await?;
                let (address, shutdown) = (bound.local_addr(), Shutdown::new());
                let stop = shutdown.clone();
                let task = tokio::spawn(async move {
                    let _ = bound.serve(stop).await;
                });
                (Running::Task { shutdown, task }, address)
            }
            Some(exe) => {
                let words = ["coordinator", "run", "--config", &path.to_string_lossy()];
                let mut process = Process::start(exe, &words)?;
                let address = process.address().await;
                (Running::Process(process), address)
            }
        };
        Ok(Self { address, running: Mutex::new(Some(running)) })
    }
}

/// A region that runs. Dropping it ends everything and removes its folder.
#[derive(Debug)]
pub struct Region {
    sites: Vec<Arc<Site>>,
    coordinator: Coordinator,
    user: IdentityConfig,
    channel: Channel,
    pki: Arc<Pki>,
    root: tempfile::TempDir,
}

impl Region {
    /// A region without hospitals under the default policy, to be described further.
    #[must_use]
    pub fn builder() -> RegionBuilder {
        RegionBuilder::default()
    }

    /// The region's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.root.path()
    }

    /// The region's certificates.
    #[must_use]
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// Where the coordinator listens.
    #[must_use]
    pub const fn coordinator_address(&self) -> SocketAddr {
        self.coordinator.address
    }

    /// Certificate, key and authority of the user of [`Region::ask`].
    #[must_use]
    pub const fn user_identity(&self) -> &IdentityConfig {
        &self.user
    }

    /// All hospitals, in the order in which they were given.
    #[must_use]
    pub fn sites(&self) -> &[Arc<Site>] {
        &self.sites
    }

    /// One hospital.
    ///
    /// # Panics
    /// When there is none with this id.
    #[must_use]
    pub fn site(&self, id: &str) -> &Site {
        self.sites.iter().find(|site| site.id() == id).expect("a hospital of this region")
    }

    /// The folders of all snapshots in force, for `query::pooled::Pooled`.
    ///
    /// # Errors
    /// When a hospital has none.
    pub fn snapshot_folders(&self) -> anyhow::Result<Vec<PathBuf>> {
        self.sites.iter().map(|site| site.snapshot_folder()).collect()
    }

    /// Hands over the coordinator's process after SIGTERM.
    ///
    /// # Panics
    /// When the coordinator is not a process.
    #[must_use]
    pub fn terminate_coordinator(&self) -> Process {
        let mut running =
            self.coordinator.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running::Process(process)) = &mut running else { panic!("it is no process") };
        process.terminate();
        let nothing = Process::start(Path::new("true"), &[]).expect("true runs");
        std::mem::replace(process, nothing)
    }

    /// A channel to `to` at `address` that shows the certificate of `identity`.
    ///
    /// # Errors
    /// When the certificate cannot be loaded.
    pub fn channel(
        identity: &IdentityConfig,
        clock: Clock,
        to: Peer,
        address: SocketAddr,
    ) -> anyhow::Result<Channel> {
        let identity = ReloadingIdentity::open(identity.clone(), clock)?;
        let options = ConnectOptions::default();
        Ok(Connector::new(identity).channel(to, address.to_string(), options))
    }

    /// A client in the name of [`USER`].
    #[must_use]
    pub fn client(&self) -> RegionClient<Channel> {
        client(self.channel.clone())
    }

    /// A client in the name of another user, whose certificate is made now.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn user(&self, name: &str) -> anyhow::Result<RegionClient<Channel>> {
        self.client_as(&peer(Role::User, name))
    }

    /// A client of the coordinator in the name of any peer, whose certificate is made now.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn client_as(&self, who: &Peer) -> anyhow::Result<RegionClient<Channel>> {
        let (identity, to) = (self.identity_of(who)?, peer(Role::Coordinator, "main"));
        Self::channel(&identity, Clock::system(), to, self.coordinator.address).map(client)
    }

    /// Makes a certificate of the region's authority for any peer.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn identity_of(&self, who: &Peer) -> anyhow::Result<IdentityConfig> {
        let stem = format!("{}-{}", who.role().as_str(), who.name());
        let folder = tempfile::Builder::new().prefix("peer-").tempdir_in(self.root.path())?;
        self.pki.issue(&folder.keep(), &stem, who, Pki::validity())
    }

    /// A client that speaks to a hospital's node itself, in the name of any peer.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn node_client_as(
        &self,
        hospital: &str,
        who: &Peer,
    ) -> anyhow::Result<NodeClient<Channel>> {
        let (to, address) = (peer(Role::Node, hospital), self.site(hospital).address());
        let channel = Self::channel(&self.identity_of(who)?, Clock::system(), to, address)?;
        Ok(NodeClient::new(channel).max_decoding_message_size(proto::MAX_MESSAGE_BYTES))
    }

    /// Asks the region in the name of [`USER`].
    ///
    /// # Errors
    /// The coordinator's status.
    pub async fn ask(&self, sql: &str) -> Result<Answer, Status> {
        ask(self.client(), sql, None).await
    }

    /// Asks the region, with a deadline.
    ///
    /// # Errors
    /// The coordinator's status.
    pub async fn ask_with_deadline(&self, sql: &str, deadline: Duration) -> Result<Answer, Status> {
        ask(self.client(), sql, Some(deadline)).await
    }

    /// What the coordinator knows of its hospitals, asked anew.
    ///
    /// # Errors
    /// The coordinator's status.
    pub async fn hospitals(&self) -> Result<Vec<v1::Hospital>, Status> {
        let response = self.client().hospitals(v1::HospitalsRequest {}).await?;
        Ok(response.into_inner().hospitals)
    }
}

fn client(channel: Channel) -> RegionClient<Channel> {
    RegionClient::new(channel).max_decoding_message_size(proto::MAX_MESSAGE_BYTES)
}

/// Asks through `client` and puts the answer together.
///
/// # Errors
/// The coordinator's status.
pub async fn ask(
    mut client: RegionClient<Channel>,
    sql: &str,
    deadline: Option<Duration>,
) -> Result<Answer, Status> {
    let deadline_ms = deadline.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
    let question = v1::Question { sql: sql.to_owned(), deadline_ms };
    let mut events = client.ask(question).await?.into_inner();
    let (mut ipc, mut release) = (Vec::new(), None);
    while let Some(event) = events.message().await? {
        match event.event {
            Some(Event::ArrowIpc(part)) => ipc.extend_from_slice(&part),
            Some(Event::Release(provenance)) => release = Some(provenance),
            Some(Event::Progress(_)) | None => {}
        }
    }
    let broken = |error: arrow::error::ArrowError| Status::unknown(error.to_string());
    let batches = if ipc.is_empty() {
        Vec::new()
    } else {
        let reader = StreamReader::try_new(ipc.as_slice(), None).map_err(broken)?;
        reader.collect::<Result<Vec<_>, _>>().map_err(broken)?
    };
    let release = release.ok_or_else(|| Status::unknown("the answer has no release"))?;
    Ok(Answer { batches, release })
}
