//! The shell every binary wears: configuration, TLS identity, gRPC plumbing, telemetry,
//! shutdown and the clock.
//!
//! It exists so that no role handles a socket, a key or the time itself. It guarantees that
//! every connection is TLS 1.3 with certificates of the region on both sides, that a request
//! knows its [`model::Peer`], and that every wait has a bound. It leaves out what is said over
//! a connection: messages live in `proto`, meaning in the roles.

pub mod clock;
pub mod command;
pub mod config;
pub mod connect;
pub mod fault;
pub mod identity;
mod lifetime;
pub mod output;
pub mod random;
pub mod role;
pub mod serve;
pub mod shutdown;
pub mod status;
pub mod telemetry;

pub use clock::Clock;
pub use config::{IdentityConfig, SigningConfig};
pub use connect::{ConnectFailure, Connector};
pub use identity::{ReloadingIdentity, TlsIdentity};
pub use serve::{PeerInfo, ServeLimits, peer_of, require_role, serve};
pub use shutdown::Shutdown;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod mutual_tls_tests;
#[cfg(test)]
mod standing_tests;
