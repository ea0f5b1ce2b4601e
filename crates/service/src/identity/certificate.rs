//! What a certificate says about its owner. Nothing here verifies a signature.

use std::time::{Duration, SystemTime};

use model::Peer;
use model::peer::InvalidPeer;
use x509_parser::prelude::{ASN1Time, FromDer, GeneralName, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;

/// A certificate's peer and its time.
#[derive(Debug, Clone)]
pub(crate) struct PeerCertificate {
    pub(crate) peer: Peer,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
}

/// A certificate that does not name exactly one peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unnamed {
    /// Not X.509, or with extensions that contradict each other.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// A peer is *the* URI SAN, so there must be one.
    #[error("the certificate has {0} URI names; a peer has exactly one")]
    NotOne(usize),
    /// The one URI is not a peer's.
    #[error(transparent)]
    NotAPeer(#[from] InvalidPeer),
}

// === impl PeerCertificate ===

impl PeerCertificate {
    /// Reads a DER certificate whose signature somebody else checks.
    pub(crate) fn read(der: &[u8]) -> Result<Self, Unnamed> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| Unnamed::Unreadable)?;
        let names = certificate.subject_alternative_name().map_err(|_| Unnamed::Unreadable)?;
        let uris: Vec<&str> = names
            .iter()
            .flat_map(|names| &names.value.general_names)
            .filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None })
            .collect();
        let [uri] = uris.as_slice() else { return Err(Unnamed::NotOne(uris.len())) };
        let validity = certificate.validity();
        Ok(Self {
            peer: uri.parse()?,
            not_before: system_time(validity.not_before),
            not_after: system_time(validity.not_after),
        })
    }
}

/// When a DER revocation list is out of date; `None` when it does not say.
pub(super) fn next_update(der: &[u8]) -> Option<SystemTime> {
    let (_, list) = CertificateRevocationList::from_der(der).ok()?;
    list.next_update().map(system_time)
}

/// Times before 1970 are as good as 1970 here: both are long over.
fn system_time(time: ASN1Time) -> SystemTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}
