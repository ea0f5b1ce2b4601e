//! Who may speak to whom, with real TLS on real sockets.

use model::Role;
use proto::v1;
use proto::v1::node_client::NodeClient;
use proto::v1::region_client::RegionClient;
use service::clock::ManualClock;
use service::connect::explain;
use service::{Clock, ConnectFailure, IdentityConfig};
use tests::fixture::{self, Stay};
use tests::{DAY, HospitalSource, Pki, Region, now, peer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

async fn region() -> (tempfile::TempDir, Region) {
    let folder = tempfile::tempdir().unwrap();
    let source = |name: &str| fixture::write(folder.path(), name, (0..30).map(Stay::plain));
    let hospitals = ["h-1", "h-2"].map(|id| HospitalSource::small(id, source(id)));
    let region = Region::builder().hospitals(hospitals).proxied().start().await.unwrap();
    (folder, region)
}

async fn ping(region: &Region, identity: &IdentityConfig, clock: Clock) -> Result<(), Status> {
    let (to, address) = (peer(Role::Node, "h-1"), region.site("h-1").address());
    let channel = Region::channel(identity, clock, to, address).unwrap();
    NodeClient::new(channel).ping(v1::PingRequest {}).await.map(|_| ())
}

async fn list(region: &Region, identity: &IdentityConfig, clock: Clock) -> Result<(), Status> {
    let to = peer(Role::Coordinator, "main");
    let channel = Region::channel(identity, clock, to, region.coordinator_address()).unwrap();
    RegionClient::new(channel).hospitals(v1::HospitalsRequest {}).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_right_role_is_answered() {
    let (_folder, region) = region().await;
    for (role, name) in
        [(Role::User, "ana"), (Role::Node, "h-2"), (Role::Node, "h-1"), (Role::Witness, "main")]
    {
        let mut client = region.node_client_as("h-1", &peer(role, name)).unwrap();
        let ping = client.ping(v1::PingRequest {}).await.unwrap_err();
        let describe = client.describe(v1::DescribeRequest { code_lists: true }).await.unwrap_err();
        let release = client.release(v1::ReleaseRequest::default()).await.unwrap_err();
        for status in [ping, describe, release] {
            assert_eq!(status.code(), Code::PermissionDenied, "{role:?} called a node");
        }
    }
    for (role, name) in [(Role::Node, "h-1"), (Role::Coordinator, "main"), (Role::Witness, "main")]
    {
        let mut client = region.client_as(&peer(role, name)).unwrap();
        let question = || v1::Question { sql: "SELECT count(*) FROM stay".into(), deadline_ms: 0 };
        let ask = client.ask(question()).await.unwrap_err();
        let plan = client.explain(question()).await.unwrap_err();
        let catalog = client.catalog(v1::CatalogRequest {}).await.unwrap_err();
        let hospitals = client.hospitals(v1::HospitalsRequest {}).await.unwrap_err();
        for status in [ask, plan, catalog, hospitals] {
            assert_eq!(status.code(), Code::PermissionDenied, "{role:?} asked the region");
        }
    }
    let coordinator = peer(Role::Coordinator, "main");
    let mut client = region.node_client_as("h-1", &coordinator).unwrap();
    client.ping(v1::PingRequest {}).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_authority_vouches_for_nobody() {
    let (folder, region) = region().await;
    let foreign = Pki::create(&folder.path().join("foreign")).unwrap();
    let own = region.pki().certificate();
    for (role, name) in [(Role::Coordinator, "main"), (Role::User, "ana")] {
        let place = folder.path().join(role.as_str());
        let made = foreign.issue(&place, "peer", &peer(role, name), Pki::validity()).unwrap();
        let forged = IdentityConfig { authority: own.clone(), ..made.clone() };
        for status in [
            ping(&region, &forged, Clock::system()).await.unwrap_err(),
            list(&region, &forged, Clock::system()).await.unwrap_err(),
            // And who trusts the foreign authority does not accept our servers.
            ping(&region, &made, Clock::system()).await.unwrap_err(),
            list(&region, &made, Clock::system()).await.unwrap_err(),
        ] {
            assert_eq!(explain(&status), ConnectFailure::IdentityRejected, "{status:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_ends_at_the_door() {
    let (folder, region) = region().await;
    let past = certs::Validity::starting(now() - 10 * DAY, 5 * DAY);
    // A process only starts with a certificate that its own clock accepts.
    let clock = ManualClock::new(now() - 7 * DAY).clock();
    for (role, name) in [(Role::Coordinator, "main"), (Role::User, "ana")] {
        let place = folder.path().join(role.as_str());
        let expired = region.pki().issue(&place, "peer", &peer(role, name), past).unwrap();
        assert!(service::TlsIdentity::load(&expired, &Clock::system()).is_err());
        let node = ping(&region, &expired, clock.clone()).await.unwrap_err();
        let coordinator = list(&region, &expired, clock.clone()).await.unwrap_err();
        for status in [node, coordinator] {
            assert_eq!(explain(&status), ConnectFailure::Expired, "{status:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_meets_no_grpc() {
    let (_folder, region) = region().await;
    for address in [region.site("h-1").address(), region.coordinator_address()] {
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let outcome = match channel.connect().await {
            Ok(channel) => NodeClient::new(channel).ping(v1::PingRequest {}).await.map(|_| ()),
            Err(_) => Err(Status::unavailable("")),
        };
        assert!(outcome.is_err(), "{address} answered plain text");

        let mut raw = TcpStream::connect(address).await.unwrap();
        raw.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let mut said = Vec::new();
        let _ = raw.read_to_end(&mut said).await;
        // A TLS alert at most.
        assert!(said.first().is_none_or(|first| *first == 0x15), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_cannot_stand_in_for_another_hospital() {
    let (_folder, region) = region().await;
    let sql = "SELECT count(*) AS n FROM stay";
    assert_eq!(region.ask(sql).await.unwrap().rows(), [["60"]]);
    region.site("h-2").proxy().redirect(region.site("h-1").address());
    let answer = region.ask(sql).await.unwrap();
    assert_eq!(answer.missing(), [("h-2", "identity")]);
    assert_eq!(answer.rows(), [["30"]], "h-1 is not counted twice");

    let other = region.site("h-1").folder();
    for file in ["node.pem", "node.key"] {
        std::fs::copy(other.join(file), region.site("h-2").folder().join(file)).unwrap();
    }
    region.site("h-2").stop().await;
    let refused = region.site("h-2").start().await.unwrap_err();
    assert!(format!("{refused:#}").contains("node/h-1"), "{refused:#}");
}
