//! The accept loop: TCP, handshake, identity.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::Peer;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::stream::{Bounds, PeerStream, Seat};
use super::{PeerInfo, ServeLimits};
use crate::connect::reason;
use crate::identity::{ForeignRegion, PeerCertificate, ReloadingIdentity};
use crate::shutdown::Shutdown;

/// The wait after a failed accept: the system is out of sockets, and asking faster is no help.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// A refused client gets this long to read why before the connection is dropped.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_MAX_BYTES: u64 = 64 * 1024;

/// Turns TCP connections into verified ones, concurrently.
#[derive(Clone)]
pub(super) struct Acceptor {
    identity: Arc<ReloadingIdentity>,
    limits: Arc<ServeLimits>,
    slots: Arc<Semaphore>,
    accepted: mpsc::Sender<PeerStream>,
    cut: watch::Receiver<()>,
}

// === impl Acceptor ===

impl Acceptor {
    pub(super) fn new(
        identity: Arc<ReloadingIdentity>,
        limits: ServeLimits,
        accepted: mpsc::Sender<PeerStream>,
        cut: watch::Receiver<()>,
    ) -> Self {
        let slots = Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS)));
        Self { identity, limits: Arc::new(limits), slots, accepted, cut }
    }

    /// Runs until `shutdown`; then the listener closes and open handshakes are dropped.
    pub(super) async fn run(self, listener: TcpListener, shutdown: Shutdown) {
        let mut handshakes = JoinSet::new();
        loop {
            let next = tokio::select! {
                () = shutdown.wait() => return,
                next = self.next(&listener) => next,
            };
            match next {
                Ok((tcp, remote, slot)) => {
                    handshakes.spawn(self.clone().welcome(tcp, remote, slot));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
            while handshakes.try_join_next().is_some() {}
        }
    }

    async fn next(
        &self,
        listener: &TcpListener,
    ) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(io::Error::other)?;
        let (tcp, remote) = listener.accept().await?;
        Ok((tcp, remote, slot))
    }

    async fn welcome(self, tcp: TcpStream, remote: SocketAddr, slot: OwnedSemaphorePermit) {
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%remote, %error, "connection lost before the handshake");
            return;
        }
        let acceptor = TlsAcceptor::from(self.identity.current().server_config());
        let handshake = acceptor.accept(tcp).into_fallible();
        let tls = match timeout(self.limits.handshake_timeout, handshake).await {
            Ok(Ok(tls)) => tls,
            Ok(Err((error, tcp))) => {
                tracing::warn!(%remote, reason = reason(&error), "connection refused");
                // Whoever does not read the alert in time goes without.
                let _ = timeout(LINGER, linger(tcp)).await;
                return;
            }
            Err(_) => {
                tracing::warn!(%remote, reason = "handshake timed out", "connection refused");
                return;
            }
        };
        match self.admit(tls, remote, slot) {
            // The receiver is gone only when the server has stopped.
            Ok(stream) => drop(self.accepted.send(stream).await),
            Err(reason) => tracing::warn!(%remote, reason, "connection refused"),
        }
    }

    /// Binds a verified connection to its peer and its end.
    fn admit(
        &self,
        tls: TlsStream<TcpStream>,
        remote: SocketAddr,
        slot: OwnedSemaphorePermit,
    ) -> Result<PeerStream, String> {
        let chain = tls.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
        let certificate = certificate_of(&chain, self.identity.peer())?;
        let now = self.identity.clock().now();
        let age = self.limits.max_connection_age + self.limits.connection_grace;
        let life = certificate.not_after.duration_since(now).unwrap_or_default().min(age);
        tracing::debug!(peer = %certificate.peer, %remote, "connected");
        let info = PeerInfo { peer: certificate.peer, remote };
        let identity = Arc::clone(&self.identity);
        let recheck_interval = self.limits.recheck_interval;
        let bounds = Bounds { life, cut: self.cut.clone(), identity, chain, recheck_interval };
        let end = bounds.end(&info);
        Ok(PeerStream::new(tls, end, Seat { info, _slot: slot }))
    }
}

/// The client's certificate. The handshake has verified all of this; it is read once more here
/// because the verifier cannot hand it on, and a connection without a peer must not exist.
fn certificate_of(chain: &[CertificateDer<'_>], own: &Peer) -> Result<PeerCertificate, String> {
    let leaf = chain.first().ok_or_else(|| "no certificate".to_owned())?;
    let certificate = PeerCertificate::read(leaf).map_err(|error| error.to_string())?;
    if certificate.peer.region() == own.region() {
        return Ok(certificate);
    }
    let region = own.region().to_owned();
    Err(ForeignRegion { region, presented: certificate.peer }.to_string())
}

/// Closes a connection such that the alert arrives: closing with unread input would reset it.
async fn linger(mut tcp: TcpStream) -> io::Result<()> {
    tcp.shutdown().await?;
    tokio::io::copy(&mut tcp.take(LINGER_MAX_BYTES), &mut tokio::io::sink()).await?;
    Ok(())
}
