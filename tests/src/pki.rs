//! Certificates of a test region, good and odd.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use certs::{Authority, Validity, write_private};
use model::{Peer, Role};
use service::{Clock, IdentityConfig};

/// The name of every test region.
pub const REGION: &str = "test";
/// One day.
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An authority and the folder where it writes.
#[derive(Debug)]
pub struct Pki {
    authority: Authority,
    folder: PathBuf,
}

impl Pki {
    /// A new authority for [`REGION`], valid from 60 days ago for 120 days; its certificate is
    /// `authority.pem` in `folder`.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn create(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        // Leaves are issued later; none may outlive the authority.
        let authority = Authority::create(REGION, Validity::starting(now() - 60 * DAY, 120 * DAY))?;
        std::fs::write(folder.join("authority.pem"), authority.certificate_pem())?;
        Ok(Self { authority, folder: folder.to_owned() })
    }

    /// From 30 days ago to 30 days from now.
    #[must_use]
    pub fn validity() -> Validity {
        Validity::starting(now() - 30 * DAY, 60 * DAY)
    }

    /// The authority, to issue what it likes.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Where `authority.pem` lies.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// Writes `<stem>.pem` and `<stem>.key` for `peer` into `folder`.
    ///
    /// # Errors
    /// When they cannot be made or written.
    pub fn issue(
        &self,
        folder: &Path,
        stem: &str,
        peer: &Peer,
        validity: Validity,
    ) -> anyhow::Result<IdentityConfig> {
        std::fs::create_dir_all(folder)?;
        let leaf = self.authority.issue(peer, validity)?;
        let certificate = folder.join(format!("{stem}.pem"));
        let key = folder.join(format!("{stem}.key"));
        std::fs::write(&certificate, &leaf.certificate_pem)?;
        let _ = std::fs::remove_file(&key);
        write_private(&key, &leaf.key_pem).context("writing a key")?;
        let authority = self.certificate();
        Ok(IdentityConfig { certificate, key, authority, revocations: None })
    }
}

/// A peer of [`REGION`].
#[must_use]
pub fn peer(role: Role, name: &str) -> Peer {
    Peer::new(REGION, role, name).expect("a name that can stand in a certificate")
}

/// The time.
#[must_use]
pub fn now() -> SystemTime {
    Clock::system().now()
}
