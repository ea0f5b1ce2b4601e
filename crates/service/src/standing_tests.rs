//! What becomes of a connection that stands while the world changes.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use rustls::HandshakeKind;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use tokio::io::AsyncBufReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tonic::Status;
use tonic::transport::Channel;

use crate::connect::{ConnectOptions, explain};
use crate::fixture::{DEADLINE, HOUR, Region, Running, call, start};
use crate::identity::RELOAD_CHECK_INTERVAL;
use crate::serve::{ServeError, ServeLimits};
use crate::status::causes;
use crate::{ConnectFailure, Connector, IdentityConfig};

const NODE: &str = "spiffe://east/node/h-001";
const COORDINATOR: &str = "spiffe://east/coordinator/main";
const SOON: Duration = Duration::from_millis(20);

fn limits() -> ServeLimits {
    ServeLimits { recheck_interval: SOON, ..ServeLimits::default() }
}

/// Looks at servers again so rarely that only the server's own checks can end a connection.
fn trusting() -> ConnectOptions {
    ConnectOptions { recheck_interval: HOUR, ..ConnectOptions::default() }
}

/// A request that only the end of its connection ends.
async fn hang(channel: &Channel) -> JoinHandle<Result<String, Status>> {
    assert_eq!(call(channel.clone(), "/test.Whoami/Me").await.unwrap(), COORDINATOR);
    tokio::spawn(call(channel.clone(), "/test.Whoami/Hang"))
}

async fn ended(hanging: JoinHandle<Result<String, Status>>) -> Status {
    tokio::time::timeout(DEADLINE, hanging).await.unwrap().unwrap().unwrap_err()
}

fn with_list(region: &Region, mut config: IdentityConfig) -> IdentityConfig {
    config.revocations = Some(region.path("revoked.pem"));
    config
}

#[tokio::test]
async fn a_revoked_client_loses_the_connection_that_stands() {
    let region = Region::new("east");
    region.revoke(&[], start());
    let mut member = region.member(NODE, 48);
    member.config = with_list(&region, member.config);
    let server = Running::start(&region.open(&member), limits()).await;
    let thief = region.member(COORDINATOR, 48);
    let channel = server.channel_with(&region.open(&thief), trusting());
    let honest = server.channel_with(&region.open(&region.member(COORDINATOR, 48)), trusting());
    let (hanging, working) = (hang(&channel).await, hang(&honest).await);

    region.revoke(std::slice::from_ref(&thief.serial), start());
    region.hand.advance(RELOAD_CHECK_INTERVAL);
    ended(hanging).await;
    let refused = call(channel, "/test.Whoami/Me").await.unwrap_err();
    assert_eq!(explain(&refused), ConnectFailure::IdentityRejected);
    assert!(causes(&refused).contains("CertificateRevoked"), "{refused:?}");
    assert_eq!(call(honest, "/test.Whoami/Me").await.unwrap(), COORDINATOR);
    assert!(!working.is_finished(), "nobody else is disturbed");
}

#[tokio::test]
async fn a_revoked_server_is_left_although_it_would_go_on() {
    let region = Region::new("east");
    region.revoke(&[], start());
    // The server neither checks lists nor ends connections before ten minutes.
    let thief = region.member(NODE, 48);
    let server = Running::start(&region.open(&thief), ServeLimits::default()).await;
    let mut member = region.member(COORDINATOR, 48);
    member.config = with_list(&region, member.config);
    let options = ConnectOptions { recheck_interval: SOON, ..ConnectOptions::default() };
    let channel = server.channel_with(&region.open(&member), options);
    let hanging = hang(&channel).await;

    region.revoke(std::slice::from_ref(&thief.serial), start());
    region.hand.advance(RELOAD_CHECK_INTERVAL);
    ended(hanging).await;
    let refused = call(channel, "/test.Whoami/Me").await.unwrap_err();
    assert_eq!(explain(&refused), ConnectFailure::IdentityRejected, "{refused:?}");
}

#[tokio::test]
async fn an_expired_list_closes_every_door_and_a_new_one_opens_it() {
    let region = Region::new("east");
    region.revoke(&[], start());
    let mut member = region.member(NODE, 48);
    member.config = with_list(&region, member.config);
    let identity = region.open(&member);
    assert_eq!(identity.current().revocations_until(), Some(start() + HOUR));
    let server = Running::start(&identity, limits()).await;
    let channel = server.channel_with(&region.open(&region.member(COORDINATOR, 48)), trusting());
    let hanging = hang(&channel).await;
    region.hand.advance(2 * HOUR);
    ended(hanging).await;
    assert!(call(channel.clone(), "/test.Whoami/Me").await.is_err(), "nobody is let in");

    region.revoke(&[], start() + 2 * HOUR);
    region.hand.advance(RELOAD_CHECK_INTERVAL);
    assert_eq!(call(channel, "/test.Whoami/Me").await.unwrap(), COORDINATOR);
}

#[tokio::test]
async fn a_client_leaves_a_connection_that_is_too_old_whatever_the_server_does() {
    let region = Region::new("east");
    let server =
        Running::start(&region.open(&region.member(NODE, 48)), ServeLimits::default()).await;
    let client = region.open(&region.member(COORDINATOR, 48));
    let brief = ConnectOptions {
        max_connection_age: Duration::from_millis(200),
        ..ConnectOptions::default()
    };
    let channel = server.channel_with(&client, brief);
    let status = ended(hang(&channel).await).await;
    assert_eq!(explain(&status), ConnectFailure::Unreachable, "{status:?}");
    let reconnected = async {
        while call(channel.clone(), "/test.Whoami/Me").await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, reconnected).await.unwrap();
}

/// A channel whose server asks for another connection fails requests that are on their way; a line
/// is never that old.
#[tokio::test]
async fn a_line_takes_another_channel_in_time_and_leaves_the_old_one_to_its_requests() {
    const FROM: &str = "/test.Whoami/From";
    let region = Region::new("east");
    let server =
        Running::start(&region.open(&region.member(NODE, 48)), ServeLimits::default()).await;
    let client = region.open(&region.member(COORDINATOR, 48));
    let line = |renewal| {
        let options = ConnectOptions { renewal, ..ConnectOptions::default() };
        let (peer, address) = (server.identity.peer().clone(), server.address.clone());
        Connector::new(Arc::clone(&client)).line(peer, address, options)
    };
    let lasting = line(HOUR);
    let first = call(lasting.channel(), FROM).await.unwrap();
    assert_eq!(call(lasting.channel(), FROM).await.unwrap(), first);

    let renewed = line(Duration::ZERO);
    let old = renewed.channel();
    let first = call(old.clone(), FROM).await.unwrap();
    let hanging = hang(&old).await;
    assert_ne!(call(renewed.channel(), FROM).await.unwrap(), first);
    assert_eq!(call(old, FROM).await.unwrap(), first);
    assert!(!hanging.is_finished(), "its connection was taken from it");
    let default = ConnectOptions::default().renewal;
    assert!(default * 2 <= ServeLimits::default().max_connection_age);
}

#[tokio::test]
async fn nothing_is_resumed() {
    let region = Region::new("east");
    let server =
        Running::start(&region.open(&region.member(NODE, 48)), ServeLimits::default()).await;
    let client = region.open(&region.member(COORDINATOR, 48));
    let ours = client.current().client_config(&NODE.parse().unwrap()).unwrap();
    // A client that would resume if it were given anything to resume with.
    let mut eager = (*ours).clone();
    eager.resumption = Resumption::in_memory_sessions(8);
    let connector = TlsConnector::from(Arc::new(eager));
    for _ in 0..3 {
        let tcp = TcpStream::connect(&server.address).await.unwrap();
        let name = ServerName::from(Ipv4Addr::UNSPECIFIED);
        let mut tls = connector.connect(name, tcp).await.unwrap();
        // The server's first word: tickets would have come before it.
        assert!(!tls.fill_buf().await.unwrap().is_empty());
        let session = tls.get_ref().1;
        assert_eq!(session.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(session.tls13_tickets_received(), 0);
    }
}

#[tokio::test]
async fn limits_that_would_let_a_revoked_peer_stay_are_refused() {
    let region = Region::new("east");
    let identity = region.open(&region.member(NODE, 48));
    for recheck_interval in [Duration::ZERO, Duration::from_secs(31)] {
        let limits = ServeLimits { recheck_interval, ..ServeLimits::default() };
        let mut server = Running::start(&identity, limits).await;
        let ended = (&mut server.task).await.unwrap();
        assert!(matches!(ended, Err(ServeError::Limits(_))), "{ended:?}");
    }
}
