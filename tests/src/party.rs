//! One party of a test region, whatever its role: its folder, what runs, and the proxy before it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::Role;
use service::Shutdown;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::pki::{Pki, peer};
use crate::process::Process;
use crate::proxy::Proxy;

/// Parties that this process has prepared.
static PARTIES: AtomicU16 = AtomicU16::new(0);

/// An address on loopback for one party alone, where the system has them: a party that is started
/// again finds its port free, because no connection of another test begins there.
fn own_host() -> Ipv4Addr {
    if cfg!(target_os = "linux") {
        let [high, low] = PARTIES.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let [.., process] = std::process::id().to_be_bytes();
        Ipv4Addr::new(127, process.max(1), high, low.max(1))
    } else {
        Ipv4Addr::LOCALHOST
    }
}

/// A party that runs.
#[derive(Debug)]
enum Running {
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
    async fn stop(mut self) {
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

/// One party: in this process, or in one of its own.
#[derive(Debug)]
pub(crate) struct Party {
    role: Role,
    folder: PathBuf,
    exe: Option<PathBuf>,
    /// What its configuration says before it has run.
    any_port: String,
    address: Mutex<Option<SocketAddr>>,
    running: Mutex<Option<Running>>,
    proxy: Mutex<Option<Arc<Proxy>>>,
}

impl Party {
    /// The party `name` with its files in `folder`; its configuration is `head`, who it is, and
    /// `rest`. Starts nothing.
    pub(crate) fn prepare(
        pki: &Pki,
        (role, name): (Role, &str),
        folder: PathBuf,
        exe: Option<PathBuf>,
        (head, rest): (&str, &str),
    ) -> anyhow::Result<Self> {
        pki.equip(&folder, &peer(role, name))?;
        let party = Self {
            role,
            folder,
            exe,
            any_port: format!("{}:0\"", own_host()),
            address: Mutex::default(),
            running: Mutex::default(),
            proxy: Mutex::default(),
        };
        let (region, who, any_port) = (crate::REGION, Pki::sections(role), &party.any_port);
        let text = format!(
            "region = \"{region}\"\nlisten = \"{any_port}\ndata_dir = \"data\"\n{head}\n{who}{rest}"
        );
        std::fs::write(party.config_path(), text)?;
        Ok(party)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// `<role>.toml`.
    pub(crate) fn config_path(&self) -> PathBuf {
        self.folder.join(format!("{}.toml", self.role.as_str()))
    }

    /// Where it listens itself, whatever a proxy does.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.lock().unwrap_or_else(PoisonError::into_inner).expect("the party was started")
    }

    /// Where others find it.
    pub(crate) fn public_address(&self) -> SocketAddr {
        let proxy = self.proxy.lock().unwrap_or_else(PoisonError::into_inner);
        proxy.as_ref().map_or_else(|| self.address(), |proxy| proxy.address())
    }

    pub(crate) fn proxy(&self) -> Arc<Proxy> {
        let proxy = self.proxy.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(proxy.as_ref().expect("the region has proxies"))
    }

    pub(crate) async fn add_proxy(&self) -> anyhow::Result<()> {
        let proxy = Arc::new(Proxy::start(self.address()).await?);
        *self.proxy.lock().unwrap_or_else(PoisonError::into_inner) = Some(proxy);
        Ok(())
    }

    /// Starts the party, at the address it had before if it ran before; `fault` is the point at
    /// which its process shall end.
    pub(crate) async fn start(&self, fault: Option<&str>) -> anyhow::Result<()> {
        let (running, address) = match &self.exe {
            None => {
                assert!(fault.is_none(), "only a process can crash");
                self.start_task().await?
            }
            Some(exe) => {
                let config = self.config_path();
                let words = [self.role.as_str(), "run", "--config", &config.to_string_lossy()];
                let variables: Vec<_> =
                    fault.map(|point| (service::fault::VARIABLE, point)).into_iter().collect();
                let mut process = Process::start_with(exe, &words, &variables)?;
                let address = process.address().await;
                (Running::Process(process), address)
            }
        };
        let text = std::fs::read_to_string(self.config_path())?;
        std::fs::write(
            self.config_path(),
            text.replacen(&self.any_port, &format!("{address}\""), 1),
        )?;
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
        Ok(())
    }

    async fn start_task(&self) -> anyhow::Result<(Running, SocketAddr)> {
        let (path, shutdown) = (self.config_path(), Shutdown::new());
        let stop = shutdown.clone();
        macro_rules! start {
            ($bound:expr) => {{
                let bound = $bound.await?;
                let address = bound.local_addr();
                let task = tokio::spawn(async move {
                    let _ = bound.serve(stop).await;
                });
                Ok((Running::Task { shutdown, task }, address))
            }};
        }
        match self.role {
            Role::Node => start!(node::bind(node::Config::load(&path)?, Handle::current())),
            Role::Coordinator => start!(coordinator::bind(coordinator::Config::load(&path)?)),
            Role::Witness => start!(witness::bind(witness::Config::load(&path)?)),
            Role::User => anyhow::bail!("users do not serve"),
        }
    }

    fn take(&self) -> Running {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        running.expect("the party runs")
    }

    /// Drains and stops it; its port and folder stay.
    pub(crate) async fn stop(&self) {
        self.take().stop().await;
    }

    /// Ends it at once, `kill -9` when it is a process; its port and folder stay. One that ended
    /// by itself may be killed too.
    pub(crate) fn kill(&self) {
        drop(self.running.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Waits until its process has ended by itself; the exit code, `None` after a signal.
    pub(crate) async fn ended(&self) -> Option<i32> {
        self.take_process().exit_code().await
    }

    /// Sends SIGTERM to its process and hands it over.
    pub(crate) fn terminate(&self) -> Process {
        let process = self.take_process();
        process.terminate();
        process
    }

    fn take_process(&self) -> Process {
        let mut running = self.take();
        let Running::Process(process) = &mut running else { panic!("the party is no process") };
        let nothing = Process::start(Path::new("true"), &[]).expect("true runs");
        std::mem::replace(process, nothing)
    }
}
