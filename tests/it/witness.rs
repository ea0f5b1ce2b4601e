//! The witness's own program and door: whom it answers, what it says of its configuration, and how
//! it ends.

use std::path::Path;
use std::process::{Command, Output};

use model::Role;
use proto::v1;
use tests::fixture::{self, Stay};
use tests::{HospitalSource, Region, RegionBuilder, peer, wait};
use tonic::{Code, Status};
use witness::RulesConfig;

const EXE: &str = env!("CARGO_BIN_EXE_consilium_process");
const COUNT: &str = "SELECT count(*) AS n FROM stay";

fn three(folder: &Path) -> RegionBuilder {
    let hospitals = ["h-1", "h-2", "h-3"]
        .map(|id| HospitalSource::small(id, fixture::write(folder, id, (0..30).map(Stay::plain))));
    Region::builder().hospitals(hospitals)
}

async fn run(words: &[&str]) -> Output {
    let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
    let run = move || Command::new(EXE).args(words).output().unwrap();
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn code<T>(outcome: Result<T, Status>) -> Code {
    outcome.err().expect("no answer").code()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_coordinator_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let region = three(folder.path()).start().await.unwrap();
    for who in [peer(Role::User, "ana"), peer(Role::Node, "h-1"), peer(Role::Witness, "main")] {
        let mut witness = region.witness_client_as(&who).unwrap();
        let denied = [
            code(witness.countersign(v1::Proposal::default()).await),
            code(witness.open(tokio_stream::iter([v1::OpenPart::default()])).await),
            code(witness.unite(v1::UniteRequest::default()).await),
            code(witness.cosign(v1::CosignRequest::default()).await),
            code(witness.checkpoint(v1::CheckpointRequest::default()).await),
            code(witness.cosigned(v1::CosignedNote::default()).await),
        ];
        assert_eq!(denied, [Code::PermissionDenied; 6], "{who}");
    }
    let mut witness = region.witness_client_as(&peer(Role::Coordinator, "main")).unwrap();
    let log = witness.checkpoint(v1::CheckpointRequest::default()).await.unwrap().into_inner();
    assert!(log.note.starts_with("spiffe://test/witness/main\n0\n"), "{}", log.note);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_without_rules_is_closed_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let closed = three(folder.path()).rules(RulesConfig::default()).witness_process(EXE);
    let region = closed.start().await.unwrap();
    let status = region.ask(COUNT).await.unwrap_err();
    let refusal = service::status::refusal_of(&status).unwrap();
    assert_eq!(refusal.code, model::RefusalCode::PolicyUnset, "{refusal}");
    let path = region.folder().join("witness/witness.toml");
    let path = path.to_str().unwrap();
    let output = run(&["witness", "check", "--config", path]).await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(text.contains("rules.minimum_persons is not set"), "{text}");
    assert_eq!(text.matches("problem ").count(), 5, "{text}");

    // Its record is in use, and so is its port; its key and certificate may not be another's.
    let output = run(&["witness", "run", "--config", path]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("record.db: another process is using it"), "{said}");
    let process = region.terminate_witness();
    let text = std::fs::read_to_string(path).unwrap();
    for (from, to, expected) in [
        ("witness.pem", "../nodes/h-1/node.pem", "does not match the certificate"),
        ("signing.key", "../nodes/h-1/signing.key", "names another signing key for the witness"),
        ("region = \"test\"", "region = \"other\"", "but this is spiffe://other/witness/main"),
        ("[rules]", "[rulez]", "in rulez: unknown field `rulez`"),
        ("[rules]", "[limits]\nmax_concurrent = 0\n[rules]", "limits.max_concurrent is outside"),
    ] {
        assert!(text.contains(from), "{text}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
        let output = run(&["witness", "run", "--config", path]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains(expected), "{said}");
    }
    drop(process);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_drains_on_sigterm_and_after_a_crash_the_next_question_works() {
    let folder = tempfile::tempdir().unwrap();
    let region = three(folder.path()).witness_process(EXE).start().await.unwrap();
    let path = region.folder().join("witness/witness.toml");
    let output = run(&["witness", "check", "--config", path.to_str().unwrap()]).await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for expected in [", 3 hospitals", "11 persons, 11 stays, 3 hospitals", "ready"] {
        assert!(text.contains(expected), "{text}");
    }
    assert_eq!(region.ask(COUNT).await.unwrap().rows(), [["90"]]);
    region.kill_witness();
    region.start_witness(None).await.unwrap();
    assert_eq!(region.ask(COUNT).await.unwrap().rows(), [["90"]]);
    let mut process = region.terminate_witness();
    assert_eq!(process.exit_code().await, Some(0), "{}", process.log());
    let status = region.ask(COUNT).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    region.start_witness(None).await.unwrap();
    let again = || async { region.ask(COUNT).await.ok() };
    assert_eq!(wait::until_some("the witness is back", again).await.rows(), [["90"]]);
    let log = process.log();
    for secret in ["nonce", "seed", "key="] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_a_proxy_can_be_recorded_and_is_not_readable() {
    let folder = tempfile::tempdir().unwrap();
    let region = three(folder.path()).proxied().start().await.unwrap();
    let proxies = [region.witness_proxy(), region.site("h-1").proxy()];
    proxies.iter().for_each(|proxy| proxy.record());
    assert_eq!(region.ask(COUNT).await.unwrap().rows(), [["90"]]);
    for proxy in proxies {
        let passed = proxy.recorded();
        assert!(!passed.to_server.is_empty() && !passed.to_client.is_empty());
        for word in ["h-1", "SELECT", "stay"] {
            let holds =
                |bytes: &[u8]| bytes.windows(word.len()).any(|part| part == word.as_bytes());
            assert!(!holds(&passed.to_server) && !holds(&passed.to_client), "{word}");
        }
    }
}
