//! Who gets in, who does not, and what each side learns of it: real TLS over loopback.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::{Code, Status};

use crate::fixture::{DEADLINE, HOUR, Region, Running, call, peer, replace, start};
use crate::identity::{RELOAD_CHECK_INTERVAL, TlsIdentity};
use crate::serve::{ServeError, ServeLimits};
use crate::status::causes;
use crate::{ConnectFailure, IdentityConfig, ReloadingIdentity};

const NODE: &str = "spiffe://east/node/h-001";
const COORDINATOR: &str = "spiffe://east/coordinator/main";
const USER: &str = "spiffe://east/user/ana";

fn why(answer: &Result<String, Status>) -> ConnectFailure {
    crate::connect::explain(answer.as_ref().expect_err("a refusal"))
}

async fn node(region: &Region) -> Running {
    Running::start(&region.open(&region.member(NODE, 48)), ServeLimits::default()).await
}

#[tokio::test]
async fn a_peer_is_known_and_held_to_its_role() {
    let region = Region::new("east");
    let server = node(&region).await;
    let coordinator = region.open(&region.member(COORDINATOR, 48));
    let user = region.open(&region.member(USER, 48));

    let channel = server.channel(&coordinator);
    assert_eq!(call(channel.clone(), "/test.Whoami/Me").await.unwrap(), COORDINATOR);
    assert_eq!(call(channel, "/test.Whoami/Coordinator").await.unwrap(), COORDINATOR);
    assert_eq!(server.whoami(&user).await.unwrap(), USER);

    let refused = call(server.channel(&user), "/test.Whoami/Coordinator").await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(
        refused.message(),
        "this service answers the coordinator; your certificate says spiffe://east/user/ana"
    );
    assert_eq!(crate::connect::explain(&refused), ConnectFailure::Other);
    let unknown = call(server.channel(&user), "/test.Other/Me").await.unwrap_err();
    assert_eq!(unknown.code(), Code::Unimplemented);
}

#[tokio::test]
async fn another_authority_or_region_is_refused() {
    let (east, rogue, west) = (Region::new("east"), Region::new("east"), Region::new("west"));
    let server = node(&east).await;

    // The same name, signed by somebody else; it trusts the real server.
    let mut impostor = rogue.member(COORDINATOR, 48);
    impostor.config.authority = east.path("ca.pem");
    let answer = server.whoami(&east.open(&impostor)).await;
    assert_eq!(why(&answer), ConnectFailure::IdentityRejected);
    assert!(causes(&answer.unwrap_err()).contains("the other side refused: "));

    // It does not trust the real server.
    let stranger = rogue.open(&rogue.member(COORDINATOR, 48));
    assert_eq!(why(&server.whoami(&stranger).await), ConnectFailure::IdentityRejected);

    // A process that trusts an authority of another region still answers its own region only.
    let mut mixed = east.member(NODE, 48);
    mixed.config.authority = west.path("ca.pem");
    let server = Running::start(&east.open(&mixed), ServeLimits::default()).await;
    let mut neighbour = west.member("spiffe://west/coordinator/main", 48);
    neighbour.config.authority = east.path("ca.pem");
    let answer = server.whoami(&west.open(&neighbour)).await;
    assert_eq!(why(&answer), ConnectFailure::IdentityRejected);
}

#[tokio::test]
async fn an_expired_certificate_is_refused_on_either_side() {
    let region = Region::new("east");
    let early = crate::clock::ManualClock::new(start()).clock();

    // A client whose clock stands still uses a certificate that is over for the server.
    let server = node(&region).await;
    let client = region.open_at(&region.member(COORDINATOR, 1), early.clone());
    assert_eq!(server.whoami(&client).await.unwrap(), COORDINATOR);
    region.hand.advance(2 * HOUR);
    assert_eq!(why(&server.whoami(&client).await), ConnectFailure::Expired);

    let stale = region.open_at(&region.member(NODE, 1), early);
    let server = Running::start(&stale, ServeLimits::default()).await;
    let client = region.open(&region.member(COORDINATOR, 48));
    let answer = server.whoami(&client).await;
    assert_eq!(
        (answer.as_ref().unwrap_err().code(), why(&answer)),
        (Code::Unavailable, ConnectFailure::Expired)
    );
}

#[tokio::test]
async fn plain_text_and_silence_get_nowhere_and_delay_nobody() {
    let region = Region::new("east");
    let server = node(&region).await;
    let mut silent = TcpStream::connect(&server.address).await.unwrap();
    let mut plain = TcpStream::connect(&server.address).await.unwrap();
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();

    let client = region.open(&region.member(COORDINATOR, 48));
    assert_eq!(server.whoami(&client).await.unwrap(), COORDINATOR);

    let mut answer = Vec::new();
    let closing = plain.read_to_end(&mut answer);
    tokio::time::timeout(DEADLINE, closing).await.unwrap().unwrap();
    assert!(answer.len() <= 7, "an alert at most: {answer:?}");

    let limits =
        ServeLimits { handshake_timeout: Duration::from_millis(1), ..ServeLimits::default() };
    let hasty = Running::start(&region.open(&region.member(NODE, 48)), limits).await;
    let mut slow = TcpStream::connect(&hasty.address).await.unwrap();
    let closing = slow.read_to_end(&mut answer);
    tokio::time::timeout(DEADLINE, closing).await.unwrap().unwrap();
    silent.shutdown().await.unwrap();
}

#[tokio::test]
async fn slots_come_back_and_a_stopped_server_is_unreachable() {
    let region = Region::new("east");
    let limits = ServeLimits { max_connections: 1, ..ServeLimits::default() };
    let server = Running::start(&region.open(&region.member(NODE, 48)), limits).await;
    let client = region.open(&region.member(COORDINATOR, 48));
    // Each call has a connection of its own, and each finds the one slot free again.
    for _ in 0..3 {
        assert_eq!(server.whoami(&client).await.unwrap(), COORDINATOR);
    }
    let channel = server.channel(&client);
    server.shutdown.trigger();
    let mut server = server;
    tokio::time::timeout(DEADLINE, &mut server.task).await.unwrap().unwrap().unwrap();
    assert_eq!(why(&call(channel, "/test.Whoami/Me").await), ConnectFailure::Unreachable);
}

#[tokio::test]
async fn a_server_must_be_the_peer_that_was_called() {
    let region = Region::new("east");
    let server = node(&region).await;
    let client = region.open(&region.member(COORDINATOR, 48));
    let other = peer("spiffe://east/node/h-002");
    let answer = call(server.channel_to(&client, &other), "/test.Whoami/Me").await;
    assert_eq!(why(&answer), ConnectFailure::WrongPeer);
    let text = causes(&answer.unwrap_err());
    assert!(text.contains("expected spiffe://east/node/h-002"), "{text}");
    assert!(text.contains("says spiffe://east/node/h-001"), "{text}");

    // A person's certificate is for asking, not for answering.
    let person = region.open(&region.member(USER, 48));
    let server = Running::start(&person, ServeLimits::default()).await;
    assert_eq!(why(&server.whoami(&client).await), ConnectFailure::IdentityRejected);
}

#[tokio::test]
async fn a_revocation_list_is_enforced_and_must_be_in_date() {
    let region = Region::new("east");
    let (good, bad) = (region.member(COORDINATOR, 48), region.member(USER, 48));
    let mut member = region.member(NODE, 48);
    member.config.revocations = Some(region.revoke(std::slice::from_ref(&bad.serial), start()));
    let server = Running::start(&region.open(&member), ServeLimits::default()).await;
    let (good, bad) = (region.open(&good), region.open(&bad));
    assert_eq!(server.whoami(&good).await.unwrap(), COORDINATOR);
    let answer = server.whoami(&bad).await;
    assert_eq!(why(&answer), ConnectFailure::IdentityRejected);
    assert!(causes(&answer.unwrap_err()).contains("CertificateRevoked"));

    // Out of date, the list closes the door; a new one opens it without a restart.
    region.hand.advance(2 * HOUR);
    assert_eq!(why(&server.whoami(&good).await), ConnectFailure::IdentityRejected);
    region.revoke(&[], start() + 2 * HOUR);
    region.hand.advance(RELOAD_CHECK_INTERVAL);
    assert_eq!(server.whoami(&bad).await.unwrap(), USER);

    // The client enforces its list too.
    let server = node(&region).await;
    let mut wary = region.member(COORDINATOR, 48);
    let revoked = region.member("spiffe://east/node/h-002", 48);
    let list = region.revoke(std::slice::from_ref(&revoked.serial), start() + 2 * HOUR);
    wary.config.revocations = Some(list);
    let wary = region.open(&wary);
    assert_eq!(server.whoami(&wary).await.unwrap(), COORDINATOR);
    let revoked = Running::start(&region.open(&revoked), ServeLimits::default()).await;
    assert_eq!(why(&revoked.whoami(&wary).await), ConnectFailure::IdentityRejected);
    region.hand.advance(2 * HOUR);
    assert_eq!(why(&server.whoami(&wary).await), ConnectFailure::Expired);
}

#[test]
fn an_unusable_identity_says_which_file_and_why() {
    let region = Region::new("east");
    let (first, second) = (region.member(NODE, 1), region.member(COORDINATOR, 1));
    let clock = region.hand.clock();
    let says = |config: &IdentityConfig, text: &str| {
        let error = TlsIdentity::load(config, &clock).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    };
    let own = &first.config;
    let mixed = IdentityConfig { key: second.config.key.clone(), ..own.clone() };
    says(&mixed, "does not match the certificate in");
    let swapped = IdentityConfig { certificate: own.key.clone(), ..own.clone() };
    says(&swapped, "holds no certificate in PEM form");
    let keyless = IdentityConfig { key: own.certificate.clone(), ..own.clone() };
    says(&keyless, "holds no private key in PEM form");
    let unlisted = IdentityConfig { revocations: Some(own.authority.clone()), ..own.clone() };
    says(&unlisted, "holds no revocation list in PEM form");
    let absent = IdentityConfig { authority: region.path("none.pem"), ..own.clone() };
    says(&absent, "none.pem: No such file");
    let nameless = IdentityConfig { certificate: own.authority.clone(), ..own.clone() };
    says(&nameless, "does not say who this is");

    let identity = TlsIdentity::load(own, &clock).unwrap();
    assert_eq!((identity.peer(), identity.not_after()), (&peer(NODE), start() + HOUR));
    assert_eq!(identity.renew_after(), start() + Duration::from_secs(40 * 60));
    assert_eq!(
        format!("{identity:?}"),
        "TlsIdentity { peer: \"spiffe://east/node/h-001\", not_after: \"2027-01-15T09:00:00Z\", .. }"
    );
    region.hand.advance(2 * HOUR);
    says(own, "expired at 2027-01-15T09:00:00Z");
    let early = crate::clock::ManualClock::new(start() - HOUR).clock();
    let error = TlsIdentity::load(own, &early).unwrap_err().to_string();
    assert!(error.contains("not valid before 2027-01-15T08:00:00Z"), "{error}");
}

#[tokio::test]
async fn new_files_are_picked_up_and_bad_ones_are_not() {
    let region = Region::new("east");
    let (member, longer) = (region.member(NODE, 1), region.member(NODE, 48));
    let identity: Arc<ReloadingIdentity> = region.open(&member);
    let server = Running::start(&identity, ServeLimits::default()).await;
    let client = region.open(&region.member(COORDINATOR, 48));
    let read = |path| std::fs::read_to_string(path).unwrap();

    replace(&member.config.certificate, &read(&longer.config.certificate));
    region.hand.advance(RELOAD_CHECK_INTERVAL);
    assert_eq!(identity.not_after(), start() + HOUR, "half a rotation: key and certificate differ");
    assert_eq!(server.whoami(&client).await.unwrap(), COORDINATOR);

    replace(&member.config.key, &read(&longer.config.key));
    assert_eq!(identity.not_after(), start() + HOUR, "files are looked at once in a while");
    region.hand.advance(RELOAD_CHECK_INTERVAL);
    assert_eq!(identity.not_after(), start() + 48 * HOUR);
    region.hand.advance(2 * HOUR);
    assert_eq!(server.whoami(&client).await.unwrap(), COORDINATOR, "past the first certificate");

    let other = region.member("spiffe://east/node/h-002", 96);
    replace(&member.config.certificate, &read(&other.config.certificate));
    replace(&member.config.key, &read(&other.config.key));
    region.hand.advance(RELOAD_CHECK_INTERVAL);
    assert_eq!(identity.current().peer(), &peer(NODE), "a process stays who it is");
}

#[tokio::test]
async fn a_connection_ends_in_time_and_a_channel_reconnects() {
    let region = Region::new("east");
    let client = region.open(&region.member(COORDINATOR, 48));
    let brief = Duration::from_millis(50);
    let limits = ServeLimits {
        max_connection_age: brief,
        connection_grace: brief,
        ..ServeLimits::default()
    };
    let server = Running::start(&region.open(&region.member(NODE, 48)), limits).await;
    let channel = server.channel(&client);
    assert!(call(channel.clone(), "/test.Whoami/Hang").await.is_err(), "cut at its age");
    let reconnected = async {
        while call(channel.clone(), "/test.Whoami/Me").await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, reconnected).await.unwrap();
}

#[tokio::test]
async fn a_drain_is_bounded() {
    let region = Region::new("east");
    let client = region.open(&region.member(COORDINATOR, 48));
    let mut server = node(&region).await;
    let channel = server.channel(&client);
    assert!(call(channel.clone(), "/test.Whoami/Me").await.is_ok());
    let hanging = tokio::spawn(call(channel, "/test.Whoami/Hang"));
    server.shutdown.trigger();
    server.shutdown.trigger();
    tokio::time::timeout(DEADLINE, &mut server.task).await.unwrap().unwrap().unwrap();
    assert!(hanging.await.unwrap().is_err());

    let long = ServeLimits { connection_grace: 20 * HOUR, ..ServeLimits::default() };
    let mut server = Running::start(&region.open(&region.member(NODE, 48)), long).await;
    let ended = (&mut server.task).await.unwrap();
    assert!(matches!(ended, Err(ServeError::Limits(_))));
}
