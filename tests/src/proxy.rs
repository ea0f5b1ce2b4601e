//! A TCP proxy between coordinator and node that fails on command.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    task: AbortHandle,
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
        let task = accept(listener, target.clone(), mode.clone(), Arc::clone(&held));
        let task = tokio::spawn(task).abort_handle();
        Ok(Self { address, mode, target, held, task })
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
    held: Arc<AtomicUsize>,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (mode, held) = (mode.subscribe(), Arc::clone(&held));
        let mut target = target.subscribe();
        connections.spawn(async move {
            if *mode.borrow() == Mode::Cut {
                return;
            }
            let address = *target.borrow_and_update();
            let Ok(server) = TcpStream::connect(address).await else { return };
            tokio::select! {
                () = connection(client, server, mode, &held) => {}
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
    held: &AtomicUsize,
) {
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let responses = forward(from_server, to_client, mode.clone(), held);
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        () = responses => {}
        _ = mode.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    held: &AtomicUsize,
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
