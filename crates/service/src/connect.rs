//! Calling another peer.
//!
//! It exists so that an address is never trusted: a channel is opened to an expected [`Peer`],
//! wherever it listens. It guarantees that a channel connects lazily, reconnects by itself with
//! the certificate in force, that a failure to connect has a kind ([`explain`]), and that a
//! connection ends when it is too old or its server is no longer one of the region. It leaves out
//! retries and deadlines of requests: the caller has the budget for them.

mod failure;

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use model::Peer;
use rustls::pki_types::ServerName;
use tokio::io::AsyncBufReadExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

pub(crate) use failure::reason;
pub use failure::{ConnectError, ConnectFailure, explain};

use crate::identity::{ReloadingIdentity, TlsIdentity};
use crate::lifetime::{Bounded, End, too_old, unwelcome};
use crate::serve::CONNECTION_AGE_LIMIT;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const RECHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Half the age at which our servers ask for another connection.
const RENEWAL: Duration = Duration::from_secs(5 * 60);
const MAX_HEADER_BYTES: u32 = 32 * 1024;
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// HTTP/2 wants an authority. Nobody resolves or checks it: the peer is in the certificate.
const ORIGIN: &str = "http://consilium.invalid";

/// Opens channels in the name of one identity.
#[derive(Debug, Clone)]
pub struct Connector {
    identity: Arc<ReloadingIdentity>,
}

/// How patient a channel is.
#[derive(Debug, Clone, Copy)]
pub struct ConnectOptions {
    /// For name, TCP, TLS and the server's first word together.
    pub connect_timeout: Duration,
    /// Between pings, also while nothing is asked.
    pub keepalive_interval: Duration,
    /// A ping unanswered for this long ends the connection.
    pub keepalive_timeout: Duration,
    /// Then the connection is cut and the next request makes another. Servers ask for it earlier
    /// and politely; this bound holds whatever the server does.
    pub max_connection_age: Duration,
    /// How often the server's certificate is looked at again on a standing connection.
    pub recheck_interval: Duration,
    /// After this long a [`Line`] takes another channel.
    pub renewal: Duration,
}

/// A standing way to one peer: a channel that is made anew before its server would end it.
///
/// A server ends an old connection politely, and yet a request that has just been handed to that
/// connection fails; whether it had arrived cannot be told. Here requests under way keep the
/// old channel until they are done, or as old as a connection may be, and new ones get another.
#[derive(Debug, Clone)]
pub struct Line {
    connector: Connector,
    peer: Peer,
    address: String,
    options: ConnectOptions,
    held: Arc<Mutex<(Channel, Instant)>>,
}

// === impl ConnectOptions ===

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            connect_timeout: CONNECT_TIMEOUT,
            keepalive_interval: KEEPALIVE_INTERVAL,
            keepalive_timeout: KEEPALIVE_TIMEOUT,
            max_connection_age: CONNECTION_AGE_LIMIT,
            recheck_interval: RECHECK_INTERVAL,
            renewal: RENEWAL,
        }
    }
}

// === impl Connector ===

impl Connector {
    /// A connector that shows `identity` and trusts its authority.
    #[must_use]
    pub const fn new(identity: Arc<ReloadingIdentity>) -> Self {
        Self { identity }
    }

    /// A line to `expected` at `address` (`host:port`), for processes that live long.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn line(&self, expected: Peer, address: String, options: ConnectOptions) -> Line {
        let channel = self.channel(expected.clone(), address.clone(), options);
        let held = Arc::new(Mutex::new((channel, Instant::now())));
        Line { connector: self.clone(), peer: expected, address, options, held }
    }

    /// A channel to `expected` at `address` (`host:port`). Nothing is connected yet; the first
    /// request connects, and later ones reconnect when they must. A request that cannot connect
    /// fails with `UNAVAILABLE`, and [`explain`] says why.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn channel(&self, expected: Peer, address: String, options: ConnectOptions) -> Channel {
        let identity = Arc::clone(&self.identity);
        let target = Arc::new((expected, address));
        let connector = tower::service_fn(move |_| {
            let (identity, target) = (Arc::clone(&identity), Arc::clone(&target));
            async move {
                let (expected, address) = &*target;
                let opening = open(&identity, expected, address, options);
                match tokio::time::timeout(options.connect_timeout, opening).await {
                    Ok(opened) => opened.map(TokioIo::new),
                    Err(_) => Err(unreachable(expected, address, "timed out")),
                }
            }
        });
        Endpoint::from_static(ORIGIN)
            .http2_keep_alive_interval(options.keepalive_interval)
            .keep_alive_timeout(options.keepalive_timeout)
            .keep_alive_while_idle(true)
            .http2_max_header_list_size(MAX_HEADER_BYTES)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .connect_with_connector_lazy(connector)
    }
}

// === impl Line ===

impl Line {
    /// The channel for the next request.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn channel(&self) -> Channel {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.1.elapsed() >= self.options.renewal {
            *held = (self.open(), Instant::now());
        }
        held.0.clone()
    }

    fn open(&self) -> Channel {
        self.connector.channel(self.peer.clone(), self.address.clone(), self.options)
    }
}

/// A connection on which the server has spoken, which it does only to clients it accepts.
///
/// In TLS 1.3 a client is done before the server has looked at its certificate, so a refusal
/// would meet the first request as a torn connection. Our server's HTTP/2 settings follow its
/// handshake at once; waiting for their first byte turns a refusal into the alert that names it.
async fn open(
    identity: &Arc<ReloadingIdentity>,
    expected: &Peer,
    address: &str,
    options: ConnectOptions,
) -> Result<Bounded<TlsStream<TcpStream>, ()>, ConnectError> {
    let failed = |error| ConnectError::new(expected, address, &error);
    let tcp = TcpStream::connect(address).await.map_err(failed)?;
    tcp.set_nodelay(true).map_err(failed)?;
    let config = identity.current().client_config(expected).map_err(|error| {
        ConnectError::of(expected, address, ConnectFailure::Other, error.to_string())
    })?;
    // Neither sent nor checked; rustls wants some name.
    let name = ServerName::from(Ipv4Addr::UNSPECIFIED);
    let mut tls = TlsConnector::from(config).connect(name, tcp).await.map_err(failed)?;
    if tls.fill_buf().await.map_err(failed)?.is_empty() {
        return Err(unreachable(expected, address, "the server closed the connection at once"));
    }
    let end = end(&tls, Arc::clone(identity), expected.clone(), options);
    Ok(Bounded::new(tls, end, ()))
}

/// When a connection to `expected` ends.
fn end(
    tls: &TlsStream<TcpStream>,
    identity: Arc<ReloadingIdentity>,
    expected: Peer,
    options: ConnectOptions,
) -> End {
    let chain = tls.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
    Box::pin(async move {
        let check = |now: &TlsIdentity| now.accepts_server(&expected, &chain);
        let reason = tokio::select! {
            reason = too_old(options.max_connection_age) => return reason,
            reason = unwelcome(identity, options.recheck_interval, check) => reason,
        };
        tracing::warn!(peer = %expected, %reason, "connection ended: no longer trusted");
        reason
    })
}

fn unreachable(expected: &Peer, address: &str, detail: &str) -> ConnectError {
    ConnectError::of(expected, address, ConnectFailure::Unreachable, detail.to_owned())
}
