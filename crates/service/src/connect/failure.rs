//! Why a connection could not be made, for programs and for people.

use std::error::Error;
use std::fmt;
use std::io;

use model::Peer;
use rustls::{AlertDescription, CertificateError};

use crate::identity::WrongPeer;

/// A chain of causes longer than this is a loop.
const CAUSES_MAX: usize = 16;

/// The kind of a failure to connect: it decides who has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectFailure {
    /// Nobody answers there, or not in time. Trying again may help.
    Unreachable,
    /// A peer of the region answers there, but not the expected one: the address is wrong.
    WrongPeer,
    /// One side does not accept the other's certificate: foreign, revoked or without a peer's
    /// name; or revocation cannot be checked.
    IdentityRejected,
    /// A certificate or a revocation list is out of date, or a clock is wrong.
    Expired,
    /// Anything else, a server without TLS among them.
    Other,
}

/// A failure to connect, with whom and where.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to {peer} at {address}: {failure}: {detail}")]
pub struct ConnectError {
    peer: Peer,
    address: String,
    failure: ConnectFailure,
    detail: String,
}

// === impl ConnectFailure ===

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "unreachable",
            Self::WrongPeer => "another peer answers there",
            Self::IdentityRejected => "certificate not accepted",
            Self::Expired => "certificate or revocation list out of date",
            Self::Other => "connection failed",
        })
    }
}

// === impl ConnectError ===

impl ConnectError {
    pub(super) fn new(peer: &Peer, address: &str, error: &io::Error) -> Self {
        Self::of(peer, address, classify(error), reason(error))
    }

    pub(super) fn of(peer: &Peer, address: &str, failure: ConnectFailure, detail: String) -> Self {
        Self { peer: peer.clone(), address: address.to_owned(), failure, detail }
    }

    /// The kind of failure.
    #[must_use]
    pub const fn failure(&self) -> ConnectFailure {
        self.failure
    }
}

/// Why connecting failed, from a `tonic::Status` or a transport error of a channel of
/// [`super::Connector`]: the first cause that says so. [`ConnectFailure::Other`] when the error
/// has another origin, such as an answer of the service itself.
#[must_use]
pub fn explain(error: &(dyn Error + 'static)) -> ConnectFailure {
    let mut next = Some(error);
    for _ in 0..CAUSES_MAX {
        let Some(cause) = next else { break };
        if let Some(failed) = cause.downcast_ref::<ConnectError>() {
            return failed.failure;
        }
        if let Some(failed) = cause.downcast_ref::<io::Error>() {
            return classify(failed);
        }
        next = cause.source();
    }
    ConnectFailure::Other
}

/// The text of a failed handshake: a verifier's own reason where there is one.
pub(crate) fn reason(error: &io::Error) -> String {
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(inner))) => {
            inner.0.to_string()
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            format!("the other side refused: {alert:?}")
        }
        Some(tls) => tls.to_string(),
        None => error.to_string(),
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn classify(error: &io::Error) -> ConnectFailure {
    // Whatever fails below TLS is the network.
    let Some(tls) = tls_error(error) else { return ConnectFailure::Unreachable };
    match tls {
        rustls::Error::InvalidCertificate(certificate) => of_certificate(certificate),
        rustls::Error::AlertReceived(alert) => of_alert(*alert),
        rustls::Error::InvalidCertRevocationList(_) | rustls::Error::NoCertificatesPresented => {
            ConnectFailure::IdentityRejected
        }
        _ => ConnectFailure::Other,
    }
}

fn of_certificate(error: &CertificateError) -> ConnectFailure {
    match error {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. }
        | CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => ConnectFailure::Expired,
        CertificateError::Other(inner) if inner.0.is::<WrongPeer>() => ConnectFailure::WrongPeer,
        _ => ConnectFailure::IdentityRejected,
    }
}

fn of_alert(alert: AlertDescription) -> ConnectFailure {
    match alert {
        AlertDescription::CertificateExpired => ConnectFailure::Expired,
        // A signature that does not verify, as under an authority of the same name.
        AlertDescription::DecryptError
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied
        | AlertDescription::CertificateRequired => ConnectFailure::IdentityRejected,
        _ => ConnectFailure::Other,
    }
}
