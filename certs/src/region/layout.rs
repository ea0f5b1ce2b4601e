//! Where a region's authority keeps what.

use std::path::{Path, PathBuf};

use model::Role;

/// A region authority's folder. What lies in `authority/` stays with the authority; everything
/// else is public, and every party of the region needs it.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout of the folder `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What stays with the authority.
    #[must_use]
    pub fn secrets(&self) -> PathBuf {
        self.root.join("authority")
    }

    /// The key that issues certificates and signs revocation lists.
    #[must_use]
    pub fn authority_key(&self) -> PathBuf {
        self.secrets().join("authority.key")
    }

    /// The key that signs rosters.
    #[must_use]
    pub fn roster_key(&self) -> PathBuf {
        self.secrets().join("roster.key")
    }

    /// Who was invited, enrolled and revoked.
    #[must_use]
    pub fn record(&self) -> PathBuf {
        self.secrets().join("region.json")
    }

    /// Held by the one command that is at work.
    pub(crate) fn lock(&self) -> PathBuf {
        self.secrets().join("region.lock")
    }

    /// The authority's certificate.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.root.join("authority.pem")
    }

    /// The key that verifies rosters, 64 hexadecimal digits.
    #[must_use]
    pub fn roster_verify_key(&self) -> PathBuf {
        self.root.join("authority.key.pub")
    }

    /// The roster.
    #[must_use]
    pub fn roster(&self) -> PathBuf {
        self.root.join("roster.json")
    }

    /// The revocation list.
    #[must_use]
    pub fn revocations(&self) -> PathBuf {
        self.root.join("revoked.crl.pem")
    }

    /// What every party of the region needs.
    #[must_use]
    pub fn public(&self) -> [PathBuf; 4] {
        [self.certificate(), self.roster_verify_key(), self.roster(), self.revocations()]
    }
}

/// Name of a party's certificate in its own folder; its TLS key has the same stem.
#[must_use]
pub const fn stem(role: Role) -> &'static str {
    role.as_str()
}
