//! A test region's authority: keys, certificates, roster and revocation list, good and odd.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use certs::{Access, Authority, PartyKeys, Region, Subject, Terms, Validity, write_private};
use model::{Peer, Role};
use privacy::sign::SigningKey;
use service::{Clock, IdentityConfig};

/// The name of every test region.
pub const REGION: &str = "test";
/// One day.
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Its leaves are 30 days old, so that a clock may be set back; none may outlive the authority.
const TERMS: Terms = Terms {
    leaf: DAY.saturating_mul(60),
    revocations: DAY.saturating_mul(100),
    authority: DAY.saturating_mul(150),
};
const FILES: [&str; 4] = ["authority.pem", "authority.key.pub", "roster.json", "revoked.crl.pem"];

/// An authority and the folder where it writes.
#[derive(Debug)]
pub struct Pki {
    authority: Authority,
    folder: PathBuf,
}

impl Pki {
    /// A new authority for [`REGION`], valid from 60 days ago for 150 days; its certificate is
    /// `authority.pem` in `folder`. Nobody is enrolled.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn create(folder: &Path) -> anyhow::Result<Self> {
        let region = Region::init(folder, REGION, TERMS, now() - 60 * DAY)?;
        let key = region.authority().key_pem();
        let authority = Authority::load(region.authority().certificate_pem(), &key)?;
        Ok(Self { authority, folder: folder.to_owned() })
    }

    /// Enrols the coordinator, the witness and these hospitals: each gets a TLS key, a signing key
    /// and a certificate, and stands in the roster.
    ///
    /// # Errors
    /// When something cannot be made or written.
    pub fn enlist<'a>(&self, hospitals: impl IntoIterator<Item = &'a str>) -> anyhow::Result<()> {
        let mut peers = vec![peer(Role::Coordinator, "main"), peer(Role::Witness, "main")];
        peers.extend(hospitals.into_iter().map(|hospital| peer(Role::Node, hospital)));
        let mut parties = Vec::with_capacity(peers.len());
        for peer in &peers {
            std::fs::create_dir_all(self.party(peer))?;
            let (tls, signing) = self.key_files(peer);
            let keys = PartyKeys::open_or_create(&tls, &signing)?;
            parties.push((Subject::try_from(peer)?, keys.public()?));
        }
        // From 30 days ago to 30 days from now, as [`Pki::validity`].
        let admissions = self.region()?.vouch(&parties, now() - 30 * DAY)?;
        for (peer, admission) in peers.iter().zip(admissions) {
            let path = self.party(peer).join(format!("{}.pem", peer.role().as_str()));
            std::fs::write(path, admission.certificate_pem)?;
        }
        Ok(())
    }

    /// Gives a party that was enlisted its own files in `folder`: `<role>.pem`, `<role>.key`,
    /// `signing.key`, and what [`Pki::deliver`] gives.
    ///
    /// # Errors
    /// When the peer was not enlisted, or a file cannot be written.
    pub fn equip(&self, folder: &Path, peer: &Peer) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        let stem = peer.role().as_str();
        for file in [format!("{stem}.pem"), format!("{stem}.key"), "signing.key".to_owned()] {
            std::fs::copy(self.party(peer).join(&file), folder.join(&file))
                .with_context(|| format!("{file} of {peer}, who should be enlisted"))?;
        }
        self.deliver(folder)
    }

    /// Puts the region's public files of this moment into `folder`: authority, the key that
    /// verifies rosters, roster and revocation list.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn deliver(&self, folder: &Path) -> anyhow::Result<()> {
        for file in FILES {
            let bytes = std::fs::read(self.folder.join(file))?;
            certs::replace(&folder.join(file), &bytes, Access::Public)?;
        }
        Ok(())
    }

    /// The sections `[identity]` and `[signing]` of a party that was equipped in its own folder.
    #[must_use]
    pub fn sections(role: Role) -> String {
        let stem = role.as_str();
        format!(
            "[identity]\ncertificate = \"{stem}.pem\"\nkey = \"{stem}.key\"\n\
             authority = \"authority.pem\"\nrevocations = \"revoked.crl.pem\"\n\n[signing]\n\
             key = \"signing.key\"\nroster = \"roster.json\"\nauthority = \"authority.key.pub\"\n\n"
        )
    }

    /// The signing key of a party that was enlisted, to forge and to sign in its name.
    ///
    /// # Errors
    /// When the peer was not enlisted.
    pub fn signing_key(&self, peer: &Peer) -> anyhow::Result<SigningKey> {
        let (tls, signing) = self.key_files(peer);
        Ok(PartyKeys::open(&tls, &signing)?.signing().clone())
    }

    /// The key that signs rosters.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn roster_key(&self) -> anyhow::Result<SigningKey> {
        let path = self.folder.join("authority").join("roster.key");
        Ok(SigningKey::parse(&std::fs::read_to_string(path)?)?)
    }

    /// The region's authority at work. It is locked as long as this is held.
    ///
    /// # Errors
    /// When somebody else holds it.
    pub fn region(&self) -> anyhow::Result<Region> {
        Ok(Region::open(&self.folder)?)
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

    /// The authority's folder: `consilium region --dir`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where `authority.pem` lies.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// Writes `<stem>.pem` and `<stem>.key` for `peer` into `folder`: a certificate that no record
    /// knows.
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

    fn party(&self, peer: &Peer) -> PathBuf {
        self.folder.join("parties").join(format!("{}-{}", peer.role().as_str(), peer.name()))
    }

    fn key_files(&self, peer: &Peer) -> (PathBuf, PathBuf) {
        let folder = self.party(peer);
        (folder.join(format!("{}.key", peer.role().as_str())), folder.join("signing.key"))
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
