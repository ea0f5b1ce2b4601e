//! Who asks.

use std::net::SocketAddr;

use model::{Peer, Role};
use tonic::{Request, Status};

/// The other end of a connection, in the extensions of each of its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Who it is, verified.
    pub peer: Peer,
    /// Where it connected from. For logs only: it proves nothing.
    pub remote: SocketAddr,
}

/// The verified peer that sent `request`.
///
/// # Errors
/// `UNAUTHENTICATED` when the request did not come through [`crate::serve()`].
#[allow(clippy::result_large_err, reason = "tonic's handlers return Status")]
pub fn peer_of<T>(request: &Request<T>) -> Result<Peer, Status> {
    request
        .extensions()
        .get::<PeerInfo>()
        .map(|info| info.peer.clone())
        .ok_or_else(|| Status::unauthenticated("the request has no verified peer"))
}

/// The verified peer that sent `request`, if it is of `role`.
///
/// # Errors
/// `PERMISSION_DENIED`, saying whom this answers and what the certificate says; and as
/// [`peer_of`].
#[allow(clippy::result_large_err, reason = "tonic's handlers return Status")]
pub fn require_role<T>(request: &Request<T>, role: Role) -> Result<Peer, Status> {
    let peer = peer_of(request)?;
    if peer.role() == role {
        return Ok(peer);
    }
    let wanted = match role {
        Role::Node => "nodes",
        Role::Coordinator => "the coordinator",
        Role::Witness => "the witness",
        Role::User => "users",
    };
    let text = format!("this service answers {wanted}; your certificate says {peer}");
    Err(Status::permission_denied(text))
}
