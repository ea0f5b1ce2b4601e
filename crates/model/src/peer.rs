//! Who is at the other end of a connection. A peer *is* the one URI SAN in its certificate.

use std::fmt;

/// What a peer may be in a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// A hospital's node.
    Node,
    /// The commission's coordinator.
    Coordinator,
    /// The second authority: it countersigns masked rounds and opens what passes.
    Witness,
    /// A person: analyst or data scientist.
    User,
}

impl Role {
    /// The path segment of this role in a SPIFFE id.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Coordinator => "coordinator",
            Self::Witness => "witness",
            Self::User => "user",
        }
    }
}

/// An authenticated party: `spiffe://<region>/<role>/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Peer {
    region: String,
    role: Role,
    name: String,
}

/// Why a URI does not name a peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" does not name a peer; expected spiffe://<region>/<node|coordinator|witness|user>/<name>"
)]
pub struct InvalidPeer(String);

/// Whether a peer can be called so: 1 to 64 of `A-Z a-z 0-9 . _ -`.
#[must_use]
pub fn is_segment(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

impl Peer {
    /// A peer of `region`; `region` and `name` must be single path segments.
    ///
    /// # Errors
    /// [`InvalidPeer`] when a segment is empty, longer than 64 bytes or has other characters
    /// than `A-Z a-z 0-9 . _ -`.
    pub fn new(region: &str, role: Role, name: &str) -> Result<Self, InvalidPeer> {
        let peer = Self { region: region.to_owned(), role, name: name.to_owned() };
        if is_segment(region) && is_segment(name) {
            Ok(peer)
        } else {
            Err(InvalidPeer(peer.to_string()))
        }
    }

    /// The region whose authority vouches for this peer.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// What the peer is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The peer's name within its role: a hospital id, `main`, or a user's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/{}/{}", self.region, self.role.as_str(), self.name)
    }
}

impl std::str::FromStr for Peer {
    type Err = InvalidPeer;

    fn from_str(uri: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidPeer(uri.chars().take(200).collect());
        let path = uri.strip_prefix("spiffe://").ok_or_else(invalid)?;
        let mut segments = path.split('/');
        let (region, role, name) = (segments.next(), segments.next(), segments.next());
        let (Some(region), Some(role), Some(name), None) = (region, role, name, segments.next())
        else {
            return Err(invalid());
        };
        let role = match role {
            "node" => Role::Node,
            "coordinator" => Role::Coordinator,
            "witness" => Role::Witness,
            "user" => Role::User,
            _ => return Err(invalid()),
        };
        Self::new(region, role, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_exactly_one_spiffe_id() {
        let uri = "spiffe://east/node/h-001";
        let peer: Peer = uri.parse().unwrap();
        assert_eq!((peer.region(), peer.role(), peer.name()), ("east", Role::Node, "h-001"));
        assert_eq!(peer.to_string(), uri);
        for bad in [
            "https://east/node/h",
            "spiffe://east/node",
            "spiffe://east/node/h/x",
            "spiffe://east/admin/h",
            "spiffe:///node/h",
            "spiffe://east/node/",
            "spiffe://east/node/a%2fb",
        ] {
            assert!(bad.parse::<Peer>().is_err(), "{bad} must be refused");
        }
    }
}
