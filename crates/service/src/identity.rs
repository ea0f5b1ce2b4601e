//! Who this process is, and whom it trusts.
//!
//! It exists because tonic's own TLS has no revocation lists, no reload and no names but DNS.
//! It guarantees: TLS 1.3 only, with ring's algorithms; certificates on both sides, checked
//! against the region's authority, the time and (when configured) a revocation list that must
//! itself be in date; a peer is the one URI SAN of its certificate; no resumption, so every
//! connection is verified anew. It leaves out obtaining certificates and storing keys.

mod certificate;
mod files;
mod reload;
mod tls;
mod verify;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use model::Peer;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};

pub(crate) use certificate::PeerCertificate;
pub use certificate::Unnamed;
use certificate::next_update;
pub use reload::{RELOAD_CHECK_INTERVAL, ReloadingIdentity};
pub(crate) use verify::{ForeignRegion, WrongPeer};

use crate::clock::{Clock, rfc3339};
use crate::config::IdentityConfig;
use verify::Trust;

/// One generation of certificate, key, authority and revocation list.
pub struct TlsIdentity {
    peer: Peer,
    not_before: SystemTime,
    not_after: SystemTime,
    revocations_until: Option<SystemTime>,
    key: Arc<CertifiedKey>,
    trust: Arc<Trust>,
    server: Arc<ServerConfig>,
    clock: Clock,
}

/// Why an identity cannot be used. Texts name files, never what a key file holds.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file is missing or may not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file does not hold what it is configured to hold.
    #[error("{path} holds no {wanted} in PEM form")]
    Missing {
        /// The file.
        path: PathBuf,
        /// `certificate`, `private key` or `revocation list`.
        wanted: &'static str,
    },
    /// A file holds the right thing, damaged or of a kind that is not supported.
    #[error("{path} cannot be used: {reason}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The own certificate does not name one peer.
    #[error("the certificate in {path} does not say who this is: {source}")]
    Unnamed {
        /// The file.
        path: PathBuf,
        /// What it says instead.
        source: Unnamed,
    },
    /// Certificate and key come from different pairs.
    #[error("the key in {key} does not match the certificate in {certificate}")]
    KeyMismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The own certificate's time is over.
    #[error("the certificate in {path} expired at {at}")]
    Expired {
        /// The file.
        path: PathBuf,
        /// RFC 3339.
        at: String,
    },
    /// The own certificate's time has not come, or this computer's clock is wrong.
    #[error("the certificate in {path} is not valid before {at}; is the clock right?")]
    NotYetValid {
        /// The file.
        path: PathBuf,
        /// RFC 3339.
        at: String,
    },
    /// A reloaded certificate names somebody else; that takes a restart.
    #[error("the new certificate says {new}, but this process is {current}")]
    OtherPeer {
        /// Who the process is.
        current: Peer,
        /// Who the new certificate names.
        new: Peer,
    },
    /// The TLS library refused the configuration.
    #[error("TLS cannot be configured: {0}")]
    Tls(#[from] rustls::Error),
}

// === impl TlsIdentity ===

impl TlsIdentity {
    /// Reads and checks the PEM files that `config` names.
    ///
    /// A revocation list that is out of date is no error here: it refuses connections until a
    /// current one is in place.
    ///
    /// # Errors
    /// [`IdentityError`], naming the file.
    pub fn load(config: &IdentityConfig, clock: &Clock) -> Result<Self, IdentityError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = files::certificates(&config.certificate)?;
        let own = own_certificate(&chain, &config.certificate, clock)?;
        let key = Arc::new(certified_key(config, chain, &provider)?);
        let roots = Arc::new(authorities(&config.authority)?);
        let revocations = match &config.revocations {
            Some(path) => files::revocation_lists(path)?,
            None => Vec::new(),
        };
        let unusable = |reason: String| IdentityError::Unusable {
            path: config.revocations.clone().unwrap_or_default(),
            reason,
        };
        let revocations_until = revocations.iter().filter_map(|list| next_update(list)).min();
        let region = own.peer.region().to_owned();
        let trust = Trust::new(roots, revocations, region, provider).map_err(unusable)?;
        let trust = Arc::new(trust);
        let server = Arc::new(tls::server_config(&key, &trust, clock)?);
        let PeerCertificate { peer, not_before, not_after } = own;
        let clock = clock.clone();
        Ok(Self { peer, not_before, not_after, revocations_until, key, trust, server, clock })
    }

    /// Who this process is.
    #[must_use]
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// When the own certificate expires.
    #[must_use]
    pub const fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// When the own certificate should be renewed: at two thirds of its life.
    #[must_use]
    pub fn renew_after(&self) -> SystemTime {
        let life = self.not_after.duration_since(self.not_before).unwrap_or_default();
        self.not_before + life / 3 * 2
    }

    /// When the revocation list in use is out of date and nobody is let in any more; `None` when
    /// no list is configured.
    #[must_use]
    pub const fn revocations_until(&self) -> Option<SystemTime> {
        self.revocations_until
    }

    /// Whether a client that showed `chain` would be let in now.
    pub(crate) fn accepts_client(&self, chain: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        let (leaf, others) = chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
        let now = tls::unix_time(&self.clock).ok_or(rustls::Error::FailedToGetCurrentTime)?;
        self.trust.accept_client(leaf, others, now)
    }

    /// Whether a server that showed `chain` would be taken for `expected` now.
    pub(crate) fn accepts_server(
        &self,
        expected: &Peer,
        chain: &[CertificateDer<'_>],
    ) -> Result<(), rustls::Error> {
        let (leaf, others) = chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
        let now = tls::unix_time(&self.clock).ok_or(rustls::Error::FailedToGetCurrentTime)?;
        self.trust.accept_server(expected, leaf, others, now)
    }

    /// What a server of this identity speaks.
    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// What a client of this identity speaks to `expected` and to nobody else.
    pub(crate) fn client_config(
        &self,
        expected: &Peer,
    ) -> Result<Arc<rustls::ClientConfig>, IdentityError> {
        Ok(Arc::new(tls::client_config(&self.key, &self.trust, expected, &self.clock)?))
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity")
            .field("peer", &self.peer.to_string())
            .field("not_after", &rfc3339(self.not_after))
            .finish_non_exhaustive()
    }
}

fn own_certificate(
    chain: &[CertificateDer<'_>],
    path: &Path,
    clock: &Clock,
) -> Result<PeerCertificate, IdentityError> {
    let path = path.to_owned();
    let Some(leaf) = chain.first() else {
        return Err(IdentityError::Missing { path, wanted: "certificate" });
    };
    let own = match PeerCertificate::read(leaf) {
        Ok(own) => own,
        Err(source) => return Err(IdentityError::Unnamed { path, source }),
    };
    let now = clock.now();
    if now > own.not_after {
        return Err(IdentityError::Expired { path, at: rfc3339(own.not_after) });
    }
    if now < own.not_before {
        return Err(IdentityError::NotYetValid { path, at: rfc3339(own.not_before) });
    }
    Ok(own)
}

fn certified_key(
    config: &IdentityConfig,
    chain: Vec<CertificateDer<'static>>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, IdentityError> {
    let key = files::private_key(&config.key)?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            IdentityError::KeyMismatch {
                certificate: config.certificate.clone(),
                key: config.key.clone(),
            }
        }
        other => IdentityError::Unusable { path: config.key.clone(), reason: other.to_string() },
    })
}

fn authorities(path: &Path) -> Result<RootCertStore, IdentityError> {
    let mut roots = RootCertStore::empty();
    for certificate in files::certificates(path)? {
        roots.add(certificate).map_err(|error| IdentityError::Unusable {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
    }
    Ok(roots)
}
