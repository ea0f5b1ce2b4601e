//! Serving gRPC over mutual TLS.
//!
//! It exists because tonic's own TLS can neither check revocation lists nor reload. It
//! guarantees that a handler only ever sees requests of a verified peer ([`peer_of`]); that a
//! slow, silent or foreign client costs one bounded slot and delays nobody; that a connection
//! ends within 15 minutes and never outlives its certificate; and that a shutdown drains within
//! a bound. A peer that is revoked loses its standing connections within a minute. It leaves out what a peer may ask: handlers decide, with [`require_role`].

mod accept;
mod peer;
mod stream;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::transport::Server;

pub use peer::{PeerInfo, peer_of, require_role};

use crate::identity::ReloadingIdentity;
use crate::shutdown::Shutdown;
use accept::Acceptor;

/// No connection is older, whatever the limits say.
pub const CONNECTION_AGE_LIMIT: Duration = Duration::from_secs(15 * 60);

const MAX_CONNECTIONS: usize = 256;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_CONNECTION_AGE: Duration = Duration::from_secs(10 * 60);
const CONNECTION_GRACE: Duration = Duration::from_secs(5 * 60);
/// How often standing connections are looked at again, unless the limits say less.
const RECHECK_INTERVAL: Duration = Duration::from_secs(5);
/// A revocation takes effect within a minute of its file: a new file is noticed within seconds,
/// and every connection looked at again within this.
const RECHECK_LIMIT: Duration = Duration::from_secs(30);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);
const MAX_CONCURRENT_STREAMS: u32 = 128;

const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_FRAME_BYTES: u32 = 256 * 1024;
const MAX_HEADER_BYTES: u32 = 32 * 1024;
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const MAX_RESET_STREAMS: usize = 64;
/// Verified connections that wait to be picked up; beyond it handshakes wait.
const ACCEPTED_QUEUE: usize = 16;
/// How long connections get to notice that they were cut.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);

/// How much one listener takes on.
#[derive(Debug, Clone)]
pub struct ServeLimits {
    /// Connections at a time, handshakes included; more wait in the system's queue.
    pub max_connections: usize,
    /// For the whole TLS handshake.
    pub handshake_timeout: Duration,
    /// Then the client is asked to connect anew; its requests in flight may finish.
    pub max_connection_age: Duration,
    /// How long they may, before the connection is cut.
    pub connection_grace: Duration,
    /// How often the certificate of a standing connection is looked at again.
    pub recheck_interval: Duration,
    /// How long requests in flight may take once a shutdown is asked for.
    pub drain_timeout: Duration,
    /// Requests at a time on one connection.
    pub max_concurrent_streams: u32,
}

/// Why serving did not start or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// [`CONNECTION_AGE_LIMIT`] binds the sum of age and grace, and no limit may be zero.
    #[error("the limits of the server are not valid: {0}")]
    Limits(&'static str),
    /// The gRPC server stopped by itself.
    #[error("the gRPC server stopped: {0}")]
    Transport(#[from] tonic::transport::Error),
}

// === impl ServeLimits ===

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            max_connections: MAX_CONNECTIONS,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            max_connection_age: MAX_CONNECTION_AGE,
            connection_grace: CONNECTION_GRACE,
            recheck_interval: RECHECK_INTERVAL,
            drain_timeout: DRAIN_TIMEOUT,
            max_concurrent_streams: MAX_CONCURRENT_STREAMS,
        }
    }
}

impl ServeLimits {
    fn check(&self) -> Result<(), ServeError> {
        let age = self.max_connection_age.saturating_add(self.connection_grace);
        if age > CONNECTION_AGE_LIMIT {
            return Err(ServeError::Limits("age and grace together exceed 15 minutes"));
        }
        if self.recheck_interval > RECHECK_LIMIT {
            return Err(ServeError::Limits("standing connections are looked at too rarely"));
        }
        let zero = self.max_connections == 0
            || self.max_concurrent_streams == 0
            || self.handshake_timeout.is_zero()
            || self.recheck_interval.is_zero()
            || self.max_connection_age.is_zero();
        if zero { Err(ServeError::Limits("a limit is zero")) } else { Ok(()) }
    }
}

/// Serves `routes` on `listener` to the peers of the identity's region until `shutdown`, then
/// drains: requests in flight get `limits.drain_timeout`, or until a second shutdown request.
/// Dropping the future stops at once.
///
/// Handlers find a [`PeerInfo`] in the request's extensions.
///
/// # Errors
/// [`ServeError`]. A connection that fails is logged and is not an error.
pub fn serve(
    listener: TcpListener,
    identity: Arc<ReloadingIdentity>,
    routes: Routes,
    limits: ServeLimits,
    shutdown: Shutdown,
) -> Pin<Box<dyn Future<Output = Result<(), ServeError>> + Send>> {
    Box::pin(serve_unboxed(listener, identity, routes, limits, shutdown))
}

async fn serve_unboxed(
    listener: TcpListener,
    identity: Arc<ReloadingIdentity>,
    routes: Routes,
    limits: ServeLimits,
    shutdown: Shutdown,
) -> Result<(), ServeError> {
    limits.check()?;
    let (cut, end) = watch::channel(());
    let (accepted, incoming) = mpsc::channel(ACCEPTED_QUEUE);
    let mut server = builder(&limits);
    let drain_timeout = limits.drain_timeout;
    let acceptor = Acceptor::new(identity, limits, accepted, end);
    // A set, so that dropping this future stops the loop too.
    let mut accepting = JoinSet::new();
    accepting.spawn(acceptor.run(listener, shutdown.clone()));

    let incoming = ReceiverStream::new(incoming).map(Ok::<_, Infallible>);
    let serving = server.add_routes(routes).serve_with_incoming_shutdown(incoming, shutdown.wait());
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return Ok(ended?),
        () = drained(&shutdown, drain_timeout) => {}
    }
    tracing::warn!("requests were still in flight at the end of the drain; they are cut");
    drop(cut);
    match tokio::time::timeout(CUT_TIMEOUT, serving).await {
        Ok(ended) => Ok(ended?),
        Err(_) => Ok(()),
    }
}

/// Returns when a drain has taken long enough.
async fn drained(shutdown: &Shutdown, drain_timeout: Duration) {
    shutdown.wait().await;
    tokio::select! {
        () = shutdown.wait_immediate() => {}
        () = tokio::time::sleep(drain_timeout) => {}
    }
}

fn builder(limits: &ServeLimits) -> Server {
    // Nodelay is set where connections are accepted. The grace stays unset: with it, tonic
    // 0.14 never asks the client to leave; `stream` cuts the connection instead.
    Server::builder()
        .max_concurrent_streams(limits.max_concurrent_streams)
        .max_connection_age(limits.max_connection_age)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .http2_max_pending_accept_reset_streams(Some(MAX_RESET_STREAMS))
        .http2_max_local_error_reset_streams(Some(MAX_RESET_STREAMS))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
}
