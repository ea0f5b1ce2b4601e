//! The two TLS configurations. Everything that weakens TLS would have to be written here.

use std::sync::Arc;
use std::time::SystemTime;

use model::Peer;
use rustls::client::Resumption;
use rustls::pki_types::UnixTime;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};

use super::verify::{ClientVerifier, ServerVerifier, Trust};
use crate::clock::Clock;

const HTTP2: &[u8] = b"h2";

/// rustls asks our clock, so that tests can move it.
#[derive(Debug)]
struct Time(Clock);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        unix_time(&self.0)
    }
}

/// The clock's time as rustls wants it.
pub(super) fn unix_time(clock: &Clock) -> Option<UnixTime> {
    let since = clock.now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(UnixTime::since_unix_epoch(since))
}

/// A server that demands a certificate of the region and remembers no session.
pub(super) fn server_config(
    key: &Arc<CertifiedKey>,
    trust: &Arc<Trust>,
    clock: &Clock,
) -> Result<ServerConfig, rustls::Error> {
    let time = Arc::new(Time(clock.clone()));
    let mut config = ServerConfig::builder_with_details(Arc::clone(&trust.provider), time)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(ClientVerifier(Arc::clone(trust))))
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(key))));
    config.alpn_protocols = vec![HTTP2.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// A client that shows its certificate, expects one peer and remembers no session.
pub(super) fn client_config(
    key: &Arc<CertifiedKey>,
    trust: &Arc<Trust>,
    expected: &Peer,
    clock: &Clock,
) -> Result<ClientConfig, rustls::Error> {
    let time = Arc::new(Time(clock.clone()));
    let verifier = ServerVerifier { trust: Arc::clone(trust), expected: expected.clone() };
    // "dangerous" is rustls's name for a verifier of one's own; this one adds to webpki's checks.
    let mut config = ClientConfig::builder_with_details(Arc::clone(&trust.provider), time)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(key))));
    config.alpn_protocols = vec![HTTP2.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(config)
}
