//! What every role does before it serves: it shows who it is, and listens.
//!
//! It exists so that node, coordinator and witness fail alike when a certificate or an address is
//! not theirs. It guarantees that a process which was configured as one peer never serves with
//! another's certificate. It leaves out what a role opens besides: its data, its rules.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use model::peer::InvalidPeer;
use model::{Peer, Role};
use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::config::IdentityConfig;
use crate::identity::{IdentityError, ReloadingIdentity};

/// Why a role cannot take its place.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// The certificate, key or authority is not usable.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The certificate names somebody else.
    #[error(
        "the certificate says {found}, but this is {expected}; use the certificate of {expected}"
    )]
    WrongCertificate {
        /// Who the certificate names.
        found: Peer,
        /// Who the configuration names.
        expected: Peer,
    },
    /// The region's or the party's name cannot stand in a certificate.
    #[error(transparent)]
    Name(#[from] InvalidPeer),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}{}", hint(role, source))]
    Listen {
        /// Who wants to listen.
        role: &'static str,
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
}

fn hint(role: &str, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => format!("; is this {role} running there already?"),
        io::ErrorKind::InvalidInput => "; listen is host:port".to_owned(),
        _ => String::new(),
    }
}

/// Opens the identity of `expected`, which the certificate has to confirm.
///
/// # Errors
/// [`RoleError`], naming the file or the two peers.
pub fn identify(
    expected: &Peer,
    config: &IdentityConfig,
    clock: &Clock,
) -> Result<Arc<ReloadingIdentity>, RoleError> {
    let identity = ReloadingIdentity::open(config.clone(), clock.clone())?;
    let (found, expected) = (identity.peer().clone(), expected.clone());
    if found == expected {
        Ok(identity)
    } else {
        Err(RoleError::WrongCertificate { found, expected })
    }
}

/// Listens on `address`; the address that was got may differ in its port.
///
/// # Errors
/// [`RoleError::Listen`].
pub async fn listen(role: Role, address: &str) -> Result<(TcpListener, SocketAddr), RoleError> {
    let failed =
        |source| RoleError::Listen { role: role.as_str(), address: address.to_owned(), source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok((listener, local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_is_taken_is_named() {
        let (listener, local) = listen(Role::Witness, "127.0.0.1:0").await.unwrap();
        assert_eq!(listener.local_addr().unwrap(), local);
        let error = listen(Role::Witness, &local.to_string()).await.unwrap_err().to_string();
        assert!(error.contains(&local.to_string()) && error.contains("witness"), "{error}");
    }
}
