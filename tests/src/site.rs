//! One hospital of a test region: its folder, its node, and the proxy before it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use model::Role;
use node::ingest::{IngestReport, IngestRequest};
use privacy::Policy;
use service::Shutdown;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::pki::{Pki, now, peer};
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

/// A node that runs.
#[derive(Debug)]
pub(crate) enum Running {
    Task { shutdown: Shutdown, task: JoinHandle<()> },
    Process(Process),
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Self::Task { task, .. } = self {
            task.abort();
        }
    }
}

impl Running {
    /// Drains, and waits for the end; a process must end with 0.
    pub(crate) async fn stop(mut self) {
        match &mut self {
            Self::Task { shutdown, task } => {
                shutdown.trigger();
                if tokio::time::timeout(Duration::from_secs(5), &mut *task).await.is_err() {
                    shutdown.trigger();
                    let _ = task.await;
                }
            }
            Self::Process(process) => {
                process.terminate();
                assert_eq!(process.exit_code().await, Some(0), "{}", process.log());
            }
        }
    }
}

/// One hospital.
#[derive(Debug)]
pub struct Site {
    id: String,
    folder: PathBuf,
    exe: Option<PathBuf>,
    address: Mutex<Option<SocketAddr>>,
    running: Mutex<Option<Running>>,
    proxy: Mutex<Option<std::sync::Arc<Proxy>>>,
}

impl Site {
    /// Writes the folder of a hospital: certificate, policy, `node.toml`. Starts nothing.
    pub(crate) fn prepare(
        root: &Path,
        pki: &Pki,
        hospital: &HospitalSource,
        policy: &Policy,
        exe: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let folder = root.join("nodes").join(&hospital.id);
        pki.issue(&folder, "node", &peer(Role::Node, &hospital.id), Pki::validity())?;
        std::fs::copy(pki.certificate(), folder.join("authority.pem"))?;
        let site = Self {
            id: hospital.id.clone(),
            folder,
            exe,
            address: Mutex::default(),
            running: Mutex::default(),
            proxy: Mutex::default(),
        };
        site.set_policy(policy)?;
        site.write_config("127.0.0.1:0", &hospital.tier, &hospital.county)?;
        Ok(site)
    }

    fn write_config(&self, listen: &str, tier: &str, county: &str) -> anyhow::Result<()> {
        let region = crate::REGION;
        let id = &self.id;
        let text = format!(
            "region = \"{region}\"\nlisten = \"{listen}\"\ndata_dir = \"data\"\n\
             policy = \"policy.toml\"\n\n[hospital]\nid = \"{id}\"\ntier = \"{tier}\"\n\
             county = \"{county}\"\n\n[identity]\ncertificate = \"node.pem\"\nkey = \"node.key\"\n\
             authority = \"authority.pem\"\n\n[keys]\nhmac = \"hmac.key\"\n"
        );
        Ok(std::fs::write(self.config_path(), text)?)
    }

    /// The hospital's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The hospital's folder: `node.toml`, `policy.toml`, `node.pem`, `node.key`, `data/`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `node.toml`.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.folder.join("node.toml")
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
        let incoming = self.folder.join("policy.incoming");
        std::fs::write(&incoming, text)?;
        Ok(std::fs::rename(incoming, self.folder.join("policy.toml"))?)
    }

    /// Ingests `source`. Blocks.
    ///
    /// # Errors
    /// When ingest fails.
    pub fn ingest(&self, source: &Path, mapping: &str) -> anyhow::Result<IngestReport> {
        let config = node::Config::load(&self.config_path())?;
        let request = IngestRequest {
            source: source.to_owned(),
            mapping: mapping.to_owned(),
            hospital: config.hospital_record(),
            data_dir: config.data_dir,
            key_file: config.keys.hmac,
            encoding: None,
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
        let current = node::ingest::current(&self.folder.join("data"))?;
        Ok(current.with_context(|| format!("{} has no snapshot", self.id))?.0)
    }

    /// Where the node itself listens, whatever the proxy does.
    ///
    /// # Panics
    /// When it was never started.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address.lock().unwrap_or_else(PoisonError::into_inner).expect("the node was started")
    }

    /// The proxy before the node.
    ///
    /// # Panics
    /// When the region was built without proxies.
    #[must_use]
    pub fn proxy(&self) -> std::sync::Arc<Proxy> {
        let proxy = self.proxy.lock().unwrap_or_else(PoisonError::into_inner);
        std::sync::Arc::clone(proxy.as_ref().expect("the region has proxies"))
    }

    pub(crate) async fn add_proxy(&self) -> anyhow::Result<()> {
        let proxy = std::sync::Arc::new(Proxy::start(self.address()).await?);
        *self.proxy.lock().unwrap_or_else(PoisonError::into_inner) = Some(proxy);
        Ok(())
    }

    /// Where the coordinator finds the node.
    pub(crate) fn public_address(&self) -> SocketAddr {
        let proxy = self.proxy.lock().unwrap_or_else(PoisonError::into_inner);
        proxy.as_ref().map_or_else(|| self.address(), |proxy| proxy.address())
    }

    /// Starts the node, at the address it had before if it ran before.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(&self) -> anyhow::Result<()> {
        let (running, address) = match &self.exe {
            None => {
                let config = node::Config::load(&self.config_path())?;
                let bound = node::bind(config, Handle::current()).await?;
                let (address, shutdown) = (bound.local_addr(), Shutdown::new());
                let stop = shutdown.clone();
                let task = tokio::spawn(async move {
                    let _ = bound.serve(stop).await;
                });
                (Running::Task { shutdown, task }, address)
            }
            Some(exe) => {
                let config = self.config_path();
                let words = ["node", "run", "--config", &config.to_string_lossy()];
                let mut process = Process::start(exe, &words)?;
                let address = process.address().await;
                (Running::Process(process), address)
            }
        };
        let text = std::fs::read_to_string(self.config_path())?;
        let kept = text.replace("127.0.0.1:0\"", &format!("{address}\""));
        std::fs::write(self.config_path(), kept)?;
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
        Ok(())
    }

    fn take(&self) -> Running {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        running.expect("the node runs")
    }

    /// Drains and stops the node; its port and folder stay.
    pub async fn stop(&self) {
        self.take().stop().await;
    }

    /// Ends the node at once: `kill -9` when it is a process.
    pub fn kill(&self) {
        drop(self.take());
    }

    /// Sends SIGTERM to the node's process and hands it over.
    ///
    /// # Panics
    /// When the node is not a process.
    #[must_use]
    pub fn terminate(&self) -> Process {
        let mut running = self.take();
        let Running::Process(process) = &mut running else { panic!("the node is no process") };
        process.terminate();
        let nothing = Process::start(Path::new("true"), &[]).expect("true runs");
        std::mem::replace(process, nothing)
    }
}
