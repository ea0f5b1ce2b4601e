//! Who may speak to whom, with real TLS on real sockets.

use model::Role;
use proto::v1;
use proto::v1::node_client::NodeClient;
use proto::v1::region_client::RegionClient;
use proto::v1::witness_client::WitnessClient;
use service::clock::ManualClock;
use service::connect::explain;
use service::{Clock, ConnectFailure, IdentityConfig};
use tests::fixture::{self, Stay};
use tests::{DAY, HospitalSource, Pki, Region, now, peer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

/// A region that still has sums when one of its hospitals is not believed.
async fn region() -> (tempfile::TempDir, Region) {
    let folder = tempfile::tempdir().unwrap();
    let source = |name: &str| fixture::write(folder.path(), name, (0..30).map(Stay::plain));
    let hospitals = ["h-1", "h-2", "h-3", "h-4"].map(|id| HospitalSource::small(id, source(id)));
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

async fn look(region: &Region, identity: &IdentityConfig, clock: Clock) -> Result<(), Status> {
    let (to, address) = (peer(Role::Witness, "main"), region.witness_address());
    let channel = Region::channel(identity, clock, to, address).unwrap();
    let request = v1::CheckpointRequest { old_size: 0 };
    WitnessClient::new(channel).checkpoint(request).await.map(|_| ())
}

/// Everything that a node can be asked, as `role`.
async fn all_of_a_node(region: &Region, role: Role, name: &str) -> Vec<Status> {
    let mut client = region.node_client_as("h-1", &peer(role, name)).unwrap();
    vec![
        client.ping(v1::PingRequest {}).await.unwrap_err(),
        client.describe(v1::DescribeRequest { code_lists: true }).await.unwrap_err(),
        client.release(v1::ReleaseRequest::default()).await.unwrap_err(),
        client.join(v1::Offer::default()).await.unwrap_err(),
        client.name(v1::NameRequest::default()).await.unwrap_err(),
        client.checkpoint(v1::CheckpointRequest::default()).await.unwrap_err(),
        client.cosigned(v1::CosignedNote::default()).await.unwrap_err(),
    ]
}

/// Everything that the witness can be asked, as `role`.
async fn all_of_the_witness(region: &Region, role: Role, name: &str) -> Vec<Status> {
    let mut client = region.witness_client_as(&peer(role, name)).unwrap();
    vec![
        client.countersign(v1::Proposal::default()).await.unwrap_err(),
        client.open(tokio_stream::iter([v1::OpenPart::default()])).await.unwrap_err(),
        client.unite(v1::UniteRequest::default()).await.unwrap_err(),
        client.cosign(v1::CosignRequest::default()).await.unwrap_err(),
        client.checkpoint(v1::CheckpointRequest::default()).await.unwrap_err(),
        client.cosigned(v1::CosignedNote::default()).await.unwrap_err(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_right_role_is_answered() {
    let (_folder, region) = region().await;
    for (role, name) in
        [(Role::User, "ana"), (Role::Node, "h-2"), (Role::Node, "h-1"), (Role::Witness, "main")]
    {
        for status in all_of_a_node(&region, role, name).await {
            assert_eq!(status.code(), Code::PermissionDenied, "{role:?} called a node");
        }
        for status in all_of_the_witness(&region, role, name).await {
            assert_eq!(status.code(), Code::PermissionDenied, "{role:?} called the witness");
        }
    }
    for (role, name) in [(Role::Node, "h-1"), (Role::Coordinator, "main"), (Role::Witness, "main")]
    {
        let mut client = region.client_as(&peer(role, name)).unwrap();
        let question =
            || v1::Question { sql: "SELECT count(*) FROM stay".into(), ..v1::Question::default() };
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
    look(&region, &region.identity_of(&coordinator).unwrap(), Clock::system()).await.unwrap();
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
            look(&region, &forged, Clock::system()).await.unwrap_err(),
            // And who trusts the foreign authority does not accept our servers.
            ping(&region, &made, Clock::system()).await.unwrap_err(),
            list(&region, &made, Clock::system()).await.unwrap_err(),
            look(&region, &made, Clock::system()).await.unwrap_err(),
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
        let witness = look(&region, &expired, clock.clone()).await.unwrap_err();
        for status in [node, coordinator, witness] {
            assert_eq!(explain(&status), ConnectFailure::Expired, "{status:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_meets_no_grpc() {
    let (_folder, region) = region().await;
    let node = region.site("h-1").address();
    for address in [node, region.coordinator_address(), region.witness_address()] {
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
    let by_hospital = "SELECT hospital_id, count(*) AS n FROM stay GROUP BY 1 ORDER BY 1";
    let pooled = |days: u32| format!("SELECT count(*) AS n FROM stay WHERE los_days < {days}");
    assert_eq!(region.ask(by_hospital).await.unwrap().rows().len(), 4);
    assert_eq!(region.ask(&pooled(900)).await.unwrap().rows(), [["120"]]);
    region.site("h-2").proxy().redirect(region.site("h-1").address());
    let answer = region.ask(by_hospital).await.unwrap();
    assert_eq!(answer.missing(), [("h-2", "identity")]);
    let others = ["h-1", "h-3", "h-4"].map(|id| [id, "30"]);
    assert_eq!(answer.rows(), others, "h-1 is not counted twice");
    let answer = region.ask(&pooled(901)).await.unwrap();
    assert_eq!(answer.missing(), [("h-2", "identity")]);
    assert_eq!(answer.rows(), [["90"]], "nor is it in a sum twice");

    let other = region.site("h-1").folder();
    for file in ["node.pem", "node.key"] {
        std::fs::copy(other.join(file), region.site("h-2").folder().join(file)).unwrap();
    }
    region.site("h-2").stop().await;
    let refused = region.site("h-2").start().await.unwrap_err();
    assert!(format!("{refused:#}").contains("node/h-1"), "{refused:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_cannot_sign_for_another_hospital() {
    let (_folder, region) = region().await;
    let site = region.site("h-2");
    site.stop().await;
    // Its own certificate, and a signing key that the roster gives to h-1.
    let key = "signing.key";
    std::fs::copy(region.site("h-1").folder().join(key), site.folder().join(key)).unwrap();
    site.start().await.unwrap();
    let answer = region.ask("SELECT count(*) AS n FROM stay").await.unwrap();
    // What the witness sealed for h-2 cannot be opened with it, and nothing is uploaded.
    assert_eq!(answer.missing(), [("h-2", "refused: offer")]);
    assert_eq!(answer.rows(), [["90"]]);
}
