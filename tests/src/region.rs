//! A whole region inside one test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::{Peer, Role};
use proto::v1;
use proto::v1::node_client::NodeClient;
use proto::v1::region_client::RegionClient;
use proto::v1::witness_client::WitnessClient;
use service::connect::{ConnectOptions, Line};
use service::{Clock, Connector, IdentityConfig, ReloadingIdentity};
use tonic::Status;
use tonic::transport::Channel;

use crate::answer::{Answer, ask};
use crate::builder::RegionBuilder;
use crate::party::Party;
use crate::pki::{Pki, peer};
use crate::process::Process;
use crate::proxy::Proxy;
use crate::site::Site;

/// The user in whose name [`Region::ask`] asks.
pub const USER: &str = "ana";

/// A region that runs. Dropping it ends everything and removes its folder.
#[derive(Debug)]
pub struct Region {
    pub(crate) sites: Vec<Arc<Site>>,
    pub(crate) coordinator: Party,
    pub(crate) witness: Party,
    pub(crate) user: IdentityConfig,
    pub(crate) line: Line,
    pub(crate) pki: Arc<Pki>,
    pub(crate) root: tempfile::TempDir,
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
    pub fn coordinator_address(&self) -> SocketAddr {
        self.coordinator.address()
    }

    /// Where the witness itself listens, whatever its proxy does.
    #[must_use]
    pub fn witness_address(&self) -> SocketAddr {
        self.witness.address()
    }

    /// The proxy before the witness.
    ///
    /// # Panics
    /// When the region was built without proxies.
    #[must_use]
    pub fn witness_proxy(&self) -> Arc<Proxy> {
        self.witness.proxy()
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
        self.coordinator.terminate()
    }

    /// Hands over the witness's process after SIGTERM.
    ///
    /// # Panics
    /// When the witness is not a process.
    #[must_use]
    pub fn terminate_witness(&self) -> Process {
        self.witness.terminate()
    }

    /// Drains and stops the coordinator; its port and folder stay.
    pub async fn stop_coordinator(&self) {
        self.coordinator.stop().await;
    }

    /// Ends the coordinator at once, `kill -9` when it is a process; its port and folder stay.
    pub fn kill_coordinator(&self) {
        self.coordinator.kill();
    }

    /// Ends the witness at once, `kill -9` when it is a process; its port and folder stay.
    pub fn kill_witness(&self) {
        self.witness.kill();
    }

    /// Drains and stops the witness; its port and folder stay.
    pub async fn stop_witness(&self) {
        self.witness.stop().await;
    }

    /// Starts the coordinator again at its address; with a fault, its process ends when it reaches
    /// that point, as if its power were cut.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_coordinator(&self, fault: Option<&str>) -> anyhow::Result<()> {
        self.coordinator.start(fault).await
    }

    /// Starts the witness again at its address; with a fault, its process ends when it reaches
    /// that point, as if its power were cut.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_witness(&self, fault: Option<&str>) -> anyhow::Result<()> {
        self.witness.start(fault).await
    }

    /// Waits until the coordinator's process has ended by itself; the exit code, `None` after a
    /// signal.
    ///
    /// # Panics
    /// When the coordinator is not a process.
    pub async fn coordinator_ended(&self) -> Option<i32> {
        self.coordinator.ended().await
    }

    /// Waits until the witness's process has ended by itself; the exit code, `None` after a
    /// signal.
    ///
    /// # Panics
    /// When the witness is not a process.
    pub async fn witness_ended(&self) -> Option<i32> {
        self.witness.ended().await
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
        Self::line(identity, clock, to, address).map(|line| line.channel())
    }

    pub(crate) fn line(
        identity: &IdentityConfig,
        clock: Clock,
        to: Peer,
        address: SocketAddr,
    ) -> anyhow::Result<Line> {
        let identity = ReloadingIdentity::open(identity.clone(), clock)?;
        let options = ConnectOptions::default();
        Ok(Connector::new(identity).line(to, address.to_string(), options))
    }

    /// A client in the name of [`USER`].
    #[must_use]
    pub fn client(&self) -> RegionClient<Channel> {
        client(self.line.channel())
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
        Self::channel(&identity, Clock::system(), to, self.coordinator_address()).map(client)
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

    /// A client that speaks to the witness itself, in the name of any peer.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn witness_client_as(&self, who: &Peer) -> anyhow::Result<WitnessClient<Channel>> {
        let (to, address) = (peer(Role::Witness, "main"), self.witness_address());
        let channel = Self::channel(&self.identity_of(who)?, Clock::system(), to, address)?;
        Ok(WitnessClient::new(channel).max_decoding_message_size(proto::MAX_MESSAGE_BYTES))
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
