//! A TCP proxy before a node or the witness that fails on command, and notes what passes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::wait;

const BUFFER_BYTES: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Everything passes.
    Pass,
    /// What the server sends is taken and kept.
    Stall,
    /// All connections end, new ones at once.
    Cut,
}

/// A proxy on a loopback port.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    target: watch::Sender<SocketAddr>,
    held: Arc<AtomicUsize>,
    noted: Arc<Notebook>,
    task: AbortHandle,
}

/// What has passed since somebody asked for it. It is what a listener on the line would have:
/// TLS records.
#[derive(Debug, Default)]
struct Notebook(Mutex<Option<Passed>>);

/// Bytes that passed a proxy, of all connections, in order of their arrival.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passed {
    /// From clients to the server.
    pub to_server: Vec<u8>,
    /// From the server to clients.
    pub to_client: Vec<u8>,
}

impl Notebook {
    fn note(&self, way: fn(&mut Passed) -> &mut Vec<u8>, bytes: &[u8]) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(passed) = noted.as_mut() {
            way(passed).extend_from_slice(bytes);
        }
    }
}

impl Proxy {
    /// Listens, and forwards to `target`.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(target: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mode = watch::Sender::new(Mode::Pass);
        let held = Arc::new(AtomicUsize::new(0));
        let target = watch::Sender::new(target);
        let noted = Arc::new(Notebook::default());
        let shared = (Arc::clone(&held), Arc::clone(&noted));
        let task = accept(listener, target.clone(), mode.clone(), shared);
        let task = tokio::spawn(task).abort_handle();
        Ok(Self { address, mode, target, held, noted, task })
    }

    /// Notes from now on what passes.
    pub fn record(&self) {
        let mut noted = self.noted.0.lock().unwrap_or_else(PoisonError::into_inner);
        *noted = Some(Passed::default());
    }

    /// What has passed since [`Proxy::record`], which ends.
    ///
    /// # Panics
    /// When nothing was being recorded.
    #[must_use]
    pub fn recorded(&self) -> Passed {
        let mut noted = self.noted.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.take().expect("the proxy records")
    }

    /// Where to connect instead of the target.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on keeps back what the server sends, also on new connections.
    pub fn stall(&self) {
        self.held.store(0, Ordering::SeqCst);
        self.mode.send_replace(Mode::Stall);
    }

    /// Waits until the server has said something that is kept back.
    pub async fn holds(&self) {
        wait::until("the proxy holds bytes", || self.held.load(Ordering::SeqCst) > 0).await;
    }

    /// Sends what was kept back, and forwards again.
    pub fn pass(&self) {
        self.mode.send_replace(Mode::Pass);
    }

    /// Ends all connections; new ones go to `target`.
    pub fn redirect(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }

    /// Ends all connections and every new one.
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    target: watch::Sender<SocketAddr>,
    mode: watch::Sender<Mode>,
    shared: (Arc<AtomicUsize>, Arc<Notebook>),
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (mode, (held, noted)) = (mode.subscribe(), shared.clone());
        let mut target = target.subscribe();
        connections.spawn(async move {
            if *mode.borrow() == Mode::Cut {
                return;
            }
            let address = *target.borrow_and_update();
            let Ok(server) = TcpStream::connect(address).await else { return };
            tokio::select! {
                () = connection(client, server, mode, (&held, &noted)) => {}
                _ = target.changed() => {}
            }
        });
    }
}

/// Ends when either side or the proxy's owner ends it; what was kept back is then lost.
async fn connection(
    client: TcpStream,
    server: TcpStream,
    mut mode: watch::Receiver<Mode>,
    shared: (&AtomicUsize, &Notebook),
) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let responses = forward(from_server, to_client, mode.clone(), shared);
    tokio::select! {
        () = pass_on(from_client, to_server, shared.1) => {}
        () = responses => {}
        _ = mode.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, noted: &Notebook) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        noted.note(|passed| &mut passed.to_server, &buffer[..count]);
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    (held, noted): (&AtomicUsize, &Notebook),
) {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut kept = Vec::new();
    loop {
        let passes = *mode.borrow_and_update() == Mode::Pass;
        if passes && !kept.is_empty() {
            if to.write_all(&kept).await.is_err() {
                return;
            }
            kept.clear();
        }
        tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    noted.note(|passed| &mut passed.to_client, &buffer[..count]);
                    kept.extend_from_slice(&buffer[..count]);
                    if *mode.borrow() == Mode::Stall {
                        held.fetch_add(count, Ordering::SeqCst);
                    } else {
                        if to.write_all(&kept).await.is_err() {
                            return;
                        }
                        kept.clear();
                    }
                }
            },
            changed = mode.changed() => if changed.is_err() { return },
        }
    }
}
