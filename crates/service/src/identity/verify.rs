//! Verifying the other side: chain, purpose, time, revocation, then the one URI SAN.
//!
//! Both verifiers only add checks to webpki's, and signatures are webpki's alone. The server
//! side wraps rustls's own verifier. The client side calls webpki directly, because rustls's
//! verifier checks revocation only together with a DNS name, and a peer has none.

use std::fmt;
use std::sync::Arc;

use model::Peer;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationOptionsBuilder,
};

use super::certificate::PeerCertificate;

/// Whom a process believes: the region's authority, and what it has revoked.
pub(super) struct Trust {
    region: String,
    revocations: Vec<CertRevocationList<'static>>,
    roots: Arc<RootCertStore>,
    clients: Arc<dyn ClientCertVerifier>,
    pub(super) provider: Arc<CryptoProvider>,
}

/// Accepts clients with a certificate of the region that names one of its peers.
#[derive(Debug)]
pub(super) struct ClientVerifier(pub(super) Arc<Trust>);

/// Accepts one server: the peer it was told to expect.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    pub(super) trust: Arc<Trust>,
    pub(super) expected: Peer,
}

/// The server is a peer of the region, but not the one that was called.
#[derive(Debug, Clone, thiserror::Error)]
#[error("expected {expected}, but the server's certificate says {presented}")]
pub(crate) struct WrongPeer {
    expected: Peer,
    presented: Peer,
}

/// The authority signed for a region that is not this process's.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{presented} is not a peer of the region \"{region}\"")]
pub(crate) struct ForeignRegion {
    pub(crate) region: String,
    pub(crate) presented: Peer,
}

// === impl Trust ===

impl Trust {
    /// Without `revocations` nothing is revoked; with them, a certificate that they do not
    /// cover and a list that is out of date are refused.
    pub(super) fn new(
        roots: Arc<RootCertStore>,
        revocations: Vec<CertificateRevocationListDer<'static>>,
        region: String,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let parsed = revocations
            .iter()
            .map(|list| Ok(OwnedCertRevocationList::from_der(list)?.into()))
            .collect::<Result<_, webpki::Error>>()
            .map_err(|error| format!("the revocation list is not valid: {error}"))?;
        let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .with_crls(revocations)
            .enforce_revocation_expiration()
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { region, revocations: parsed, roots, clients, provider })
    }

    /// Lets a client in, or says why not.
    pub(super) fn accept_client(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        self.clients.verify_client_cert(leaf, intermediates, now)?;
        self.peer(leaf)?;
        Ok(())
    }

    /// Takes a server for `expected`, or says why not.
    pub(super) fn accept_server(
        &self,
        expected: &Peer,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        self.verify_server(leaf, intermediates, now)?;
        let presented = self.peer(leaf)?;
        if presented == *expected {
            return Ok(());
        }
        Err(other(WrongPeer { expected: expected.clone(), presented }))
    }

    fn verify_server(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let lists: Vec<&CertRevocationList<'_>> = self.revocations.iter().collect();
        // The builder refuses an empty slice only, and that means: no list is configured.
        let revocation = RevocationOptionsBuilder::new(&lists)
            .ok()
            .map(|builder| builder.with_expiration_policy(ExpirationPolicy::Enforce).build());
        EndEntityCert::try_from(leaf)
            .map_err(refused)?
            .verify_for_usage(
                self.provider.signature_verification_algorithms.all,
                &self.roots.roots,
                intermediates,
                now,
                KeyUsage::server_auth(),
                revocation,
                None,
            )
            .map_err(refused)?;
        Ok(())
    }

    /// The peer that a verified certificate names, if it is of this region.
    fn peer(&self, leaf: &CertificateDer<'_>) -> Result<Peer, Error> {
        let presented = PeerCertificate::read(leaf).map_err(other)?.peer;
        if presented.region() == self.region {
            return Ok(presented);
        }
        Err(other(ForeignRegion { region: self.region.clone(), presented }))
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("region", &self.region).finish_non_exhaustive()
    }
}

// === impl ClientVerifier ===

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.clients.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.accept_client(end_entity, intermediates, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.clients.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.clients.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clients.supported_verify_schemes()
    }
}

// === impl ServerVerifier ===

impl ServerCertVerifier for ServerVerifier {
    /// The server's name is not used: a peer is reached at any address that its owner gave it.
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.trust.accept_server(&self.expected, end_entity, intermediates, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.trust.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.trust.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
}

/// webpki's reason in rustls's words, which decide the alert that is sent.
fn refused(error: webpki::Error) -> Error {
    let reason = match error {
        webpki::Error::CertExpired { time, not_after } => {
            CertificateError::ExpiredContext { time, not_after }
        }
        webpki::Error::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        webpki::Error::CrlExpired { time, next_update } => {
            CertificateError::ExpiredRevocationListContext { time, next_update }
        }
        webpki::Error::CertRevoked => CertificateError::Revoked,
        webpki::Error::UnknownIssuer => CertificateError::UnknownIssuer,
        webpki::Error::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        webpki::Error::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        webpki::Error::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        error => return other(error),
    };
    Error::InvalidCertificate(reason)
}
