//! One verified connection of a server.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::PeerInfo;
use crate::identity::ReloadingIdentity;
use crate::lifetime::{Bounded, End, too_old, unwelcome};

/// A TLS connection of a known peer. It gives back its slot when it is dropped, and ends when it
/// is too old, when its peer is no longer welcome, or when the server has stopped.
pub(super) type PeerStream = Bounded<TlsStream<TcpStream>, Seat>;

/// What a connection occupies, and for whom.
pub(super) struct Seat {
    pub(super) info: PeerInfo,
    pub(super) _slot: OwnedSemaphorePermit,
}

/// When a server's connection ends.
pub(super) struct Bounds {
    /// Its longest life.
    pub(super) life: Duration,
    /// Dropping the other half ends it at once.
    pub(super) cut: watch::Receiver<()>,
    /// Who lets in.
    pub(super) identity: Arc<ReloadingIdentity>,
    /// What the client has shown.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// How often that is looked at again.
    pub(super) recheck_interval: Duration,
}

impl Bounds {
    /// The end of the connection of the peer in `info`.
    pub(super) fn end(self, info: &PeerInfo) -> End {
        let Self { life, mut cut, identity, chain, recheck_interval } = self;
        let peer = info.peer.clone();
        Box::pin(async move {
            let check = unwelcome(identity, recheck_interval, |now| now.accepts_client(&chain));
            let reason = tokio::select! {
                reason = too_old(life) => reason,
                reason = check => {
                    tracing::warn!(%peer, %reason, "connection ended: no longer welcome");
                    return reason;
                }
                _ = cut.changed() => io::Error::new(io::ErrorKind::TimedOut, "shutting down"),
            };
            tracing::debug!(%peer, %reason, "connection cut");
            reason
        })
    }
}

impl Connected for PeerStream {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.companion.info.clone()
    }
}
