//! From an invitation to a certificate, and out of the region again: the real commands, and a
//! region that keeps running.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use certs::RevocationList;
use model::Role;
use privacy::roster::{Roster, SignedRoster};
use proto::v1;
use proto::v1::region_client::RegionClient;
use serde_json::Value;
use service::connect::explain;
use service::{Clock, ConnectFailure, IdentityConfig, TlsIdentity};
use tests::fixture::{self, Stay};
use tests::{DAY, HospitalSource, Region, RegionBuilder, now, peer, wait};

const EXE: &str = env!("CARGO_BIN_EXE_consilium_process");
const BY_HOSPITAL: &str = "SELECT hospital_id, count(*) AS n FROM stay GROUP BY 1";
/// Longest time from a new file to its effect.
const EFFECT: Duration = Duration::from_secs(60);

/// A folder for an authority and its applicants, and their commands.
struct Desk(tempfile::TempDir);

impl Desk {
    /// An authority whose certificates last `leaf`.
    fn new(leaf: &str) -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        done(&desk.region("init", &["--region", "east", "--leaf", leaf]));
        desk
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn region(&self, command: &str, words: &[&str]) -> Output {
        let folder = self.path("authority");
        let head = ["cli", "region", command, "--dir", &folder];
        run(&[&head, words].concat(), "")
    }

    /// The token of a new invitation.
    fn invite(&self, party: &str, valid: &str) -> String {
        let output = self.region("invite", &[party, "--valid", valid]);
        done(&output);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The configuration of a hospital that is to come, in a folder of its name.
    fn hospital(&self, id: &str) -> String {
        let folder = self.0.path().join(id);
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!(
            "region = \"east\"\nlisten = \"127.0.0.1:0\"\ndata_dir = \"data\"\n\
             policy = \"policy.toml\"\n[hospital]\nid = \"{id}\"\n{}[keys]\nhmac = \"hmac.key\"\n",
            tests::Pki::sections(Role::Node)
        );
        std::fs::write(folder.join("node.toml"), text).unwrap();
        self.path(&format!("{id}/node.toml"))
    }

    /// The hospital's request, made by its own program with the token on standard input.
    fn node_request(&self, id: &str, token: Option<&str>) -> String {
        let (config, out) = (self.hospital(id), self.path(&format!("{id}.json")));
        let how: &[&str] = if token.is_some() { &["--token", "-"] } else { &["--renew"] };
        let words = [&["node", "enroll", "--config", &config, "--out", &out], how].concat();
        done(&run(&words, token.unwrap_or_default()));
        out
    }

    /// What the hospital's program says of its files.
    fn check(&self, id: &str) -> String {
        let config = self.path(&format!("{id}/node.toml"));
        String::from_utf8(run(&["node", "check", "--config", &config], "").stdout).unwrap()
    }

    fn identity(&self, id: &str) -> Result<TlsIdentity, service::identity::IdentityError> {
        let file = |name: &str| PathBuf::from(self.path(&format!("{id}/{name}")));
        let config = IdentityConfig {
            certificate: file("node.pem"),
            key: file("node.key"),
            authority: file("authority.pem"),
            revocations: Some(file("revoked.crl.pem")),
        };
        TlsIdentity::load(&config, &Clock::system())
    }

    fn roster(&self, folder: &str) -> Roster {
        let file = |name: &str| std::fs::read(self.path(&format!("{folder}/{name}"))).unwrap();
        let key = String::from_utf8(file("authority.key.pub")).unwrap();
        let signed = SignedRoster::parse(&file("roster.json")).unwrap();
        signed.verify(&key.parse().unwrap(), "east").unwrap()
    }

    fn show(&self) -> Value {
        let output = self.region("show", &["--format", "json"]);
        done(&output);
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// Runs a program of the region with `input` on its standard input.
fn run(words: &[&str], input: &str) -> Output {
    let mut command = Command::new(EXE);
    command.args(words).env("LC_ALL", "C").stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that does not read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn done(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// The command ended with `code` and said `text`, in either language.
fn failed(output: &Output, code: i32, text: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(text), "{said}");
    assert!(output.stdout.is_empty(), "{output:?}");
}

#[test]
fn a_hospital_enrols_with_a_token_once() {
    let desk = Desk::new("24h");
    let token = desk.invite("node/h-051", "24h");
    let request = desk.node_request("h-051", Some(&token));
    let text = std::fs::read_to_string(&request).unwrap();
    assert!(!text.contains(&token) && !text.contains("PRIVATE"), "only public things travel");
    let out = desk.path("h-051");
    let version = desk.roster("authority").version();
    done(&desk.region("enroll", &[&request, "--out", &out]));

    let identity = desk.identity("h-051").unwrap();
    assert_eq!(identity.peer().to_string(), "spiffe://east/node/h-051");
    let roster = desk.roster("h-051");
    assert_eq!((roster.version(), roster.hospitals().len()), (version + 1, 1));
    let signing = std::fs::read_to_string(desk.path("h-051/signing.key")).unwrap();
    let own = privacy::sign::SigningKey::parse(&signing).unwrap().verify_key();
    assert_eq!(roster.key_of(Role::Node, "h-051"), Some(own));
    assert_eq!(desk.show()["parties"][0]["party"], "node/h-051");
    let check = desk.check("h-051");
    assert!(
        check.contains(&format!("roster      version {}, 1 hospitals", version + 1)),
        "{check}"
    );
    assert!(check.contains("revocations until") && !check.contains("signing key"), "{check}");
    let shown = desk.region("roster", &["--format", "json"]);
    done(&shown);
    assert!(String::from_utf8_lossy(&shown.stdout).contains(&own.to_string()));

    // The same request, and another with the same token.
    failed(&desk.region("enroll", &[&request, "--out", &out]), 77, "the token was used at");
    let other = desk.node_request("h-051", Some(&token));
    failed(&desk.region("enroll", &[&other, "--out", &out]), 77, "the token was used at");
    let chinese = desk.region("enroll", &[&other, "--out", &out, "--lang", "zh"]);
    failed(&chinese, 77, "一个令牌只能注册一次");
    assert_eq!(desk.roster("authority").version(), version + 1, "nothing has changed");
}

#[test]
fn what_is_not_as_it_was_invited_stays_outside() {
    let desk = Desk::new("24h");
    let out = desk.path("out");
    let enroll = |request: &str| desk.region("enroll", &[request, "--out", &out]);

    let token = desk.invite("node/h-051", "24h");
    let wrong = desk.node_request("h-052", Some(&token));
    failed(&enroll(&wrong), 77, "the token invites node/h-051, but the request is of node/h-052");
    let guess = "ab".repeat(32);
    failed(&enroll(&desk.node_request("h-051", Some(&guess))), 77, "no invitation of this region");

    // One changed name inside a request that is otherwise right.
    let right = desk.node_request("h-051", Some(&token));
    let text = std::fs::read_to_string(&right).unwrap();
    let altered = desk.path("altered.json");
    std::fs::write(&altered, text.replace("node/h-051", "coordinator/main")).unwrap();
    failed(&enroll(&altered), 65, "it was altered");
    std::fs::write(&altered, &text[..text.len() / 2]).unwrap();
    failed(&enroll(&altered), 65, "it is no enrolment request");
    failed(&enroll(&desk.path("none.json")), 65, "cannot read");

    // A later invitation takes the place of the first, and runs out itself.
    let late = desk.invite("node/h-051", "1s");
    failed(&enroll(&right), 77, "the invitation was withdrawn at");
    let late = desk.node_request("h-051", Some(&late));
    let patience = Clock::system().monotonic() + EFFECT;
    while desk.show()["invited"] != Value::Array(Vec::new()) {
        assert!(Clock::system().monotonic() < patience, "an invitation of a second stays open");
    }
    failed(&enroll(&late), 77, "the token expired at");
    assert!(desk.roster("authority").hospitals().is_empty());

    let bad = desk.region("invite", &["witness/second"]);
    assert_eq!(bad.status.code(), Some(64), "{bad:?}");
    failed(&desk.region("init", &["--region", "east"]), 78, "nothing was written");
    let elsewhere = run(&["cli", "region", "show", "--dir", &out], "");
    failed(&elsewhere, 78, "consilium region init");
}

#[test]
fn a_renewal_changes_one_file_and_waits_for_its_time() {
    let desk = Desk::new("24h");
    let token = desk.invite("node/h-051", "24h");
    let out = desk.path("h-051");
    done(&desk.region("enroll", &[&desk.node_request("h-051", Some(&token)), "--out", &out]));
    let renewal = desk.node_request("h-051", None);
    failed(&desk.region("renew", &[&renewal]), 77, "can be renewed from");
    failed(&desk.region("enroll", &[&renewal, "--out", &out]), 64, "consilium region renew");

    // A minute's certificate begins five minutes early, so it is past two thirds at once.
    let desk = Desk::new("1m");
    let out = desk.path("h-051");
    let token = desk.invite("node/h-051", "24h");
    done(&desk.region("enroll", &[&desk.node_request("h-051", Some(&token)), "--out", &out]));
    let files = || {
        let read =
            |name: &str| std::fs::read_to_string(desk.path(&format!("h-051/{name}"))).unwrap();
        ["node.pem", "node.key", "signing.key", "roster.json"].map(read)
    };
    let before = files();
    let renewal = desk.node_request("h-051", None);
    done(&desk.region("renew", &[&renewal, "--out", &out]));
    let after = files();
    assert_ne!(after[0], before[0]);
    assert_eq!(after[1..], before[1..]);
    assert_eq!(desk.identity("h-051").unwrap().peer().name(), "h-051");
    let printed = desk.region("renew", &[&renewal]);
    done(&printed);
    assert!(printed.stdout.starts_with(b"-----BEGIN CERTIFICATE-----"));

    done(&desk.region("revoke", &["node/h-051", "--reason", "closed"]));
    failed(&desk.region("renew", &[&renewal]), 77, "node/h-051 was revoked at");
    assert_eq!(desk.show()["parties"][0]["reason"], "closed");
    std::fs::copy(desk.path("authority/roster.json"), desk.path("h-051/roster.json")).unwrap();
    let check = desk.check("h-051");
    assert!(check.contains("does not hold the signing key"), "{check}");
    assert_eq!(desk.show()["revocation_list"]["number"], 2);
    done(&desk.region("crl", &[]));
    assert_eq!(desk.show()["revocation_list"]["number"], 3);
}

fn three(folder: &Path) -> RegionBuilder {
    let hospitals = ["h-1", "h-2", "h-3"]
        .map(|id| HospitalSource::small(id, fixture::write(folder, id, (0..30).map(Stay::plain))));
    Region::builder().hospitals(hospitals)
}

/// What the operators do after a change: every party gets the region's public files.
fn distribute(region: &Region, give: impl Fn(&Path)) {
    let mut folders = vec![region.folder().to_owned()];
    while let Some(folder) = folders.pop() {
        if folder == region.pki().folder() {
            continue;
        }
        if folder.join("revoked.crl.pem").is_file() {
            give(&folder);
        }
        let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        folders.extend(entries.filter(|path| path.is_dir()));
    }
}

async fn authority(region: &Region, words: &[&str]) -> Output {
    let folder = region.pki().folder().to_str().unwrap().to_owned();
    let mut all = vec!["cli".to_owned(), "region".to_owned(), words[0].to_owned()];
    all.extend(["--dir".to_owned(), folder]);
    all.extend(words[1..].iter().map(|word| (*word).to_owned()));
    let work = move || run(&all.iter().map(String::as_str).collect::<Vec<_>>(), "");
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_node_is_out_of_the_running_region_within_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let region = three(folder.path()).start().await.unwrap();
    assert_eq!(region.ask(BY_HOSPITAL).await.unwrap().rows().len(), 3);
    let stranger = region.node_client_as("h-2", &peer(Role::Coordinator, "main"));
    let mut to_h2 = stranger.unwrap();
    to_h2.ping(v1::PingRequest {}).await.unwrap();

    done(&authority(&region, &["revoke", "node/h-2", "--reason", "stolen"]).await);
    distribute(&region, |folder| region.pki().deliver(folder).unwrap());
    let clock = Clock::system();
    let revoked = clock.monotonic();
    // The connection to h-2 stands and h-2 would go on serving: the coordinator leaves it.
    let answer = wait::until_some("h-2 is out", || async {
        let answer = region.ask(BY_HOSPITAL).await.ok()?;
        // A question that was under way when the connection was cut finds h-2 unreachable.
        (answer.missing() == [("h-2", "identity")]).then_some(answer)
    })
    .await;
    assert!(clock.monotonic().duration_since(revoked) < EFFECT);
    let hospitals: Vec<_> = answer.rows().iter().map(|row| row[0].clone()).collect();
    assert_eq!(hospitals, ["h-1", "h-3"]);
    // Nobody was restarted, and nobody else is disturbed.
    assert_eq!(region.ask(BY_HOSPITAL).await.unwrap().rows().len(), 2);
    let states = region.hospitals().await.unwrap();
    let online = states.iter().filter(|one| one.state == "online").count();
    assert_eq!(online, 2, "{states:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_enrolled_asks_until_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let region = three(folder.path()).start().await.unwrap();
    let invited = authority(&region, &["invite", "user/eve"]).await;
    done(&invited);
    let token = String::from_utf8(invited.stdout).unwrap();
    let place = folder.path().join("eve");
    let (dir, request) = (place.to_str().unwrap().to_owned(), folder.path().join("eve.json"));
    let request = request.to_str().unwrap().to_owned();
    let words = [
        "cli", "region", "request", "--dir", &dir, "--peer", "user/eve", "--token", "-", "--out",
        &request,
    ];
    done(&run(&words, &token));
    done(&authority(&region, &["enroll", &request, "--out", &dir]).await);

    let identity = IdentityConfig {
        certificate: place.join("user.pem"),
        key: place.join("user.key"),
        authority: place.join("authority.pem"),
        revocations: Some(place.join("revoked.crl.pem")),
    };
    let (to, address) = (peer(Role::Coordinator, "main"), region.coordinator_address());
    let channel = Region::channel(&identity, Clock::system(), to, address).unwrap();
    let client = RegionClient::new(channel);
    let hospitals = || {
        let mut client = client.clone();
        async move { client.hospitals(v1::HospitalsRequest {}).await }
    };
    assert_eq!(hospitals().await.unwrap().into_inner().hospitals.len(), 3);

    done(&authority(&region, &["revoke", "user/eve"]).await);
    distribute(&region, |folder| region.pki().deliver(folder).unwrap());
    // The connection that stands is cut first; then no other is let in.
    let refused = wait::until_some("eve is out", || async {
        let status = hospitals().await.err()?;
        (explain(&status) == ConnectFailure::IdentityRejected).then_some(status)
    })
    .await;
    let why = format!("{refused:?}");
    assert!(why.contains("CertificateRevoked"), "{why}");
    assert_eq!(region.ask(BY_HOSPITAL).await.unwrap().rows().len(), 3, "others go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_list_closes_every_door_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let region = three(folder.path()).coordinator_process(EXE).start().await.unwrap();
    assert_eq!(region.ask(BY_HOSPITAL).await.unwrap().rows().len(), 3);

    let over = RevocationList {
        number: 9,
        this_update: now() - 2 * DAY,
        next_update: now() - DAY,
        revoked: Vec::new(),
    };
    let over = region.pki().authority().sign_list(&over).unwrap();
    let put = |folder: &Path| {
        let path = folder.join("revoked.crl.pem");
        certs::replace(&path, over.as_bytes(), certs::Access::Public).unwrap();
    };
    distribute(&region, put);
    wait::until_some("the coordinator lets nobody in", || async {
        let status = region.ask(BY_HOSPITAL).await.err()?;
        matches!(explain(&status), ConnectFailure::IdentityRejected | ConnectFailure::Expired)
            .then_some(())
    })
    .await;
    // A new list opens the door again, without a restart.
    distribute(&region, |folder| region.pki().deliver(folder).unwrap());
    wait::until_some("the region answers again", || async {
        let answer = region.ask(BY_HOSPITAL).await.ok()?;
        (answer.rows().len() == 3).then_some(())
    })
    .await;
    let mut coordinator = region.terminate_coordinator();
    assert_eq!(coordinator.exit_code().await, Some(0));
    let log = coordinator.log();
    assert!(log.contains("the revocation list is out of date: nobody is let in"), "{log}");
    assert!(log.contains("no longer welcome"), "the connection that stood was cut: {log}");
}
