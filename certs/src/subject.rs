//! Whom a certificate is for, as people write it: `node/h-051`, `user/ana`.

use std::fmt;
use std::str::FromStr;

use model::{HospitalId, Peer, Role};
use serde::{Deserialize, Serialize};

/// The one coordinator and the one witness of a region.
const MAIN: &str = "main";

/// A party of some region by role and name: a [`Peer`] without its region.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subject {
    role: Role,
    name: String,
}

/// A text that names no party.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" names no party; use node/<hospital>, coordinator/main, witness/main or user/<name>, \
     names of 1 to 64 letters, digits, '.', '_' or '-'"
)]
pub struct InvalidSubject(String);

impl Subject {
    /// The party `name` of `role`.
    ///
    /// # Errors
    /// [`InvalidSubject`] when a hospital's name is no hospital id, or when a coordinator or
    /// witness is not called `main`: a region has one of each.
    pub fn new(role: Role, name: &str) -> Result<Self, InvalidSubject> {
        let subject = Self { role, name: name.to_owned() };
        let fits = match role {
            Role::Node => name.parse::<HospitalId>().is_ok(),
            Role::Coordinator | Role::Witness => name == MAIN,
            Role::User => Peer::new("any", role, name).is_ok(),
        };
        if fits { Ok(subject) } else { Err(InvalidSubject(subject.to_string())) }
    }

    /// What the party is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The party's name within its role.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The hospital's id, when the party is a node.
    #[must_use]
    pub fn hospital(&self) -> Option<HospitalId> {
        if self.role == Role::Node { self.name.parse().ok() } else { None }
    }

    /// The party in `region`.
    ///
    /// # Errors
    /// When `region` cannot stand in a certificate.
    pub fn peer(&self, region: &str) -> Result<Peer, model::peer::InvalidPeer> {
        Peer::new(region, self.role, &self.name)
    }
}

impl FromStr for Subject {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        let invalid = || InvalidSubject(text.chars().take(200).collect());
        // Roles are spelled in one place: a peer's URI.
        let peer: Peer = format!("spiffe://any/{text}").parse().map_err(|_| invalid())?;
        Self::new(peer.role(), peer.name())
    }
}

impl TryFrom<String> for Subject {
    type Error = InvalidSubject;

    fn try_from(text: String) -> Result<Self, InvalidSubject> {
        text.parse()
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.to_string()
    }
}

impl TryFrom<&Peer> for Subject {
    type Error = InvalidSubject;

    fn try_from(peer: &Peer) -> Result<Self, InvalidSubject> {
        Self::new(peer.role(), peer.name())
    }
}

impl PartialOrd for Subject {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// By role, then by name.
impl Ord for Subject {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.role.as_str(), &self.name).cmp(&(other.role.as_str(), &other.name))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.role.as_str(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_a_role_and_a_name_that_the_role_allows() {
        for good in ["node/h-051", "coordinator/main", "witness/main", "user/ana.b"] {
            assert_eq!(good.parse::<Subject>().unwrap().to_string(), good);
        }
        for bad in
            ["", "node", "node/", "node/-x", "node/a/b", "admin/x", "witness/other", "user/ä"]
        {
            assert!(bad.parse::<Subject>().is_err(), "{bad}");
        }
        let node: Subject = "node/h-051".parse().unwrap();
        assert_eq!(node.peer("east").unwrap().to_string(), "spiffe://east/node/h-051");
        assert_eq!(node.hospital().unwrap().as_str(), "h-051");
    }
}
