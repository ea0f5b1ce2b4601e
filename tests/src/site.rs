//! One hospital of a test region: its folder, its node, and the proxy before it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use model::Role;
use node::ingest::{DipList, IngestReport, IngestRequest};
use privacy::Policy;
use record::Archive;
use record::ledger::ReleaseRow;

use crate::party::Party;
use crate::pki::{Pki, now};
use crate::process::Process;
use crate::proxy::Proxy;

/// A hospital to be.
#[derive(Debug, Clone)]
pub struct HospitalSource {
    /// Its id.
    pub id: String,
    /// Its tier.
    pub tier: String,
    /// Its county.
    pub county: String,
    /// Its CSV file; without one the hospital has no snapshot.
    pub source: Option<PathBuf>,
    /// Name of a mapping, or a folder.
    pub mapping: String,
}

impl HospitalSource {
    /// A tertiary hospital in county East whose source [`crate::fixture`] wrote.
    #[must_use]
    pub fn small(id: &str, source: PathBuf) -> Self {
        Self {
            id: id.to_owned(),
            tier: "tertiary".to_owned(),
            county: "East".to_owned(),
            source: Some(source),
            mapping: crate::fixture::mapping(),
        }
    }
}

/// One hospital.
#[derive(Debug)]
pub struct Site {
    id: String,
    party: Party,
}

impl Site {
    /// Writes the folder of a hospital that was enlisted: its keys, certificate, policy and
    /// `node.toml`. Starts nothing.
    pub(crate) fn prepare(
        root: &Path,
        pki: &Pki,
        hospital: &HospitalSource,
        policy: &Policy,
        exe: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let HospitalSource { id, tier, county, .. } = hospital;
        let folder = root.join("nodes").join(id);
        let rest = format!(
            "[hospital]\nid = \"{id}\"\ntier = \"{tier}\"\ncounty = \"{county}\"\n\n\
             [keys]\nhmac = \"hmac.key\"\n"
        );
        let config = ("policy = \"policy.toml\"\n", rest.as_str());
        let party = Party::prepare(pki, (Role::Node, id), folder, exe, config)?;
        let site = Self { id: id.clone(), party };
        site.set_policy(policy)?;
        Ok(site)
    }

    /// The hospital's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The hospital's folder: `node.toml`, `policy.toml`, `node.pem`, `node.key`, `signing.key`,
    /// `roster.json`, `data/`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.party.folder()
    }

    /// `node.toml`.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.party.config_path()
    }

    /// What the hospital's ledger says that it released, at most the last thousand. Blocks.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn releases(&self) -> anyhow::Result<Vec<ReleaseRow>> {
        let file = self.folder().join("data").join(record::FILE);
        Ok(Archive::open(&file)?.releases(1_000)?)
    }

    /// Puts `policy` in the place of the policy file, at once.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_policy(&self, policy: &Policy) -> anyhow::Result<()> {
        self.set_policy_text(&toml::to_string(policy)?)
    }

    /// Puts `text` in the place of the policy file, at once.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_policy_text(&self, text: &str) -> anyhow::Result<()> {
        let incoming = self.folder().join("policy.incoming");
        std::fs::write(&incoming, text)?;
        Ok(std::fs::rename(incoming, self.folder().join("policy.toml"))?)
    }

    /// Ingests `source`. Blocks.
    ///
    /// # Errors
    /// When ingest fails.
    pub fn ingest(&self, source: &Path, mapping: &str) -> anyhow::Result<IngestReport> {
        self.ingest_coded(source, mapping, None)
    }

    /// The same, with a DIP list by which stays are coded.
    ///
    /// # Errors
    /// When ingest fails or the list cannot be used.
    pub fn ingest_coded(
        &self,
        source: &Path,
        mapping: &str,
        dip_list: Option<&Path>,
    ) -> anyhow::Result<IngestReport> {
        let config = node::Config::load(&self.config_path())?;
        let request = IngestRequest {
            source: source.to_owned(),
            mapping: mapping.to_owned(),
            hospital: config.hospital_record(),
            data_dir: config.data_dir,
            key_file: config.keys.hmac,
            encoding: None,
            dip_list: dip_list.map(DipList::read).transpose()?.map(Arc::new),
            accuracy_floor: node::ingest::DEFAULT_ACCURACY_FLOOR,
            now: now(),
            threads: 1,
        };
        Ok(node::ingest::run(&request, &mut |_| {})?)
    }

    /// The first ingest, if there is anything to ingest.
    pub(crate) fn fill(&self, hospital: &HospitalSource) -> anyhow::Result<()> {
        let Some(source) = &hospital.source else { return Ok(()) };
        self.ingest(source, &hospital.mapping).with_context(|| format!("ingest of {}", self.id))?;
        Ok(())
    }

    /// The folder of the snapshot in force.
    ///
    /// # Errors
    /// When there is none.
    pub fn snapshot_folder(&self) -> anyhow::Result<PathBuf> {
        let current = node::ingest::current(&self.folder().join("data"))?;
        Ok(current.with_context(|| format!("{} has no snapshot", self.id))?.0)
    }

    /// Where the node itself listens, whatever the proxy does.
    ///
    /// # Panics
    /// When it was never started.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.party.address()
    }

    /// The proxy before the node.
    ///
    /// # Panics
    /// When the region was built without proxies.
    #[must_use]
    pub fn proxy(&self) -> Arc<Proxy> {
        self.party.proxy()
    }

    pub(crate) async fn add_proxy(&self) -> anyhow::Result<()> {
        self.party.add_proxy().await
    }

    /// Where the coordinator finds the node.
    pub(crate) fn public_address(&self) -> SocketAddr {
        self.party.public_address()
    }

    /// Starts the node, at the address it had before if it ran before.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(&self) -> anyhow::Result<()> {
        self.party.start(None).await
    }

    /// The same; its process ends when it reaches the point `fault`, as if its power were cut.
    ///
    /// # Errors
    /// When it does not start.
    ///
    /// # Panics
    /// When there is a fault and the node is no process.
    pub async fn start_to_crash(&self, fault: Option<&str>) -> anyhow::Result<()> {
        self.party.start(fault).await
    }

    /// Stops its node and starts it again.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&self) -> anyhow::Result<()> {
        self.stop().await;
        self.start().await
    }

    /// Drains and stops the node; its port and folder stay.
    pub async fn stop(&self) {
        self.party.stop().await;
    }

    /// Ends the node at once: `kill -9` when it is a process.
    pub fn kill(&self) {
        self.party.kill();
    }

    /// Waits until the node's process has ended by itself; the exit code, `None` after a signal.
    ///
    /// # Panics
    /// When the node is not a process.
    pub async fn ended(&self) -> Option<i32> {
        self.party.ended().await
    }

    /// Sends SIGTERM to the node's process and hands it over.
    ///
    /// # Panics
    /// When the node is not a process.
    #[must_use]
    pub fn terminate(&self) -> Process {
        self.party.terminate()
    }
}
