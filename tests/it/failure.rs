//! What happens when things break: real processes, real signals, a proxy that fails on command.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use privacy::Policy;
use tests::fixture::{self, Stay};
use tests::{HospitalSource, Process, Region, RegionBuilder, wait};
use tokio::net::TcpStream;
use tonic::Code;

const EXE: &str = env!("CARGO_BIN_EXE_consilium_process");
const COUNT: &str = "SELECT count(*) AS n FROM stay";
const DEADLINE: Duration = Duration::from_secs(8);

fn three(folder: &Path) -> RegionBuilder {
    let hospitals = ["h-1", "h-2", "h-3"]
        .map(|id| HospitalSource::small(id, fixture::write(folder, id, (0..30).map(Stay::plain))));
    Region::builder().hospitals(hospitals).proxied()
}

fn asking(
    region: &Arc<Region>,
    deadline: Duration,
) -> tokio::task::JoinHandle<Result<tests::Answer, tonic::Status>> {
    let region = Arc::clone(region);
    tokio::spawn(async move { region.ask_with_deadline(COUNT, deadline).await })
}

fn within(answer: &tests::Answer, deadline: Duration) {
    let elapsed = Duration::from_millis(answer.release.elapsed_ms);
    assert!(elapsed <= deadline, "the answer took {elapsed:?} of {deadline:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_is_missing_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let region = Arc::new(three(folder.path()).node_processes(EXE).start().await.unwrap());
    let started = |all: Vec<proto::v1::Hospital>| {
        all.into_iter().map(|one| (one.id, one.node_started_at)).collect::<Vec<_>>()
    };
    let before = started(region.hospitals().await.unwrap());
    assert_eq!(region.ask(COUNT).await.unwrap().rows(), [["90"]]);

    let site = region.site("h-2");
    site.proxy().stall();
    let question = asking(&region, DEADLINE);
    site.proxy().holds().await;
    site.kill();
    let answer = question.await.unwrap().unwrap();
    within(&answer, DEADLINE);
    assert_eq!(answer.rows(), [["60"]]);
    assert_eq!((answer.missing().len(), answer.missing()[0].0), (1, "h-2"));
    let coverage = answer.release.stays_coverage.unwrap();
    assert!((coverage - 2.0 / 3.0).abs() < 1e-12, "{coverage}");

    site.proxy().pass();
    site.start().await.unwrap();
    let answer = region.ask(COUNT).await.unwrap();
    assert_eq!((answer.rows(), answer.missing()), (vec![vec!["90".to_owned()]], vec![]));
    let after = started(region.hospitals().await.unwrap());
    assert_eq!((&before[0], &before[2]), (&after[0], &after[2]), "nothing else was restarted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_without_nodes_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let region = three(folder.path()).node_processes(EXE).start().await.unwrap();
    for site in region.sites() {
        site.kill();
    }
    let status = region.ask_with_deadline(COUNT, DEADLINE).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let text = status.message();
    assert!(text.contains("none of 3 hospitals answered"), "{text}");
    assert!(text.contains("h-1: unreachable"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_node_delays_nobody_past_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let region = Arc::new(three(folder.path()).start().await.unwrap());
    region.site("h-3").proxy().stall();
    let deadline = Duration::from_secs(5);
    let answer = region.ask_with_deadline(COUNT, deadline).await.unwrap();
    within(&answer, deadline);
    assert_eq!(
        (answer.rows(), answer.missing()),
        (vec![vec!["60".to_owned()]], vec![("h-3", "deadline")])
    );
    for site in region.sites() {
        site.proxy().stall();
    }
    let status = region.ask_with_deadline(COUNT, Duration::from_secs(2)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(status.message().contains("h-1: deadline"), "{status:?}");
    // What was kept back does not confuse the next question.
    for site in region.sites() {
        site.proxy().pass();
    }
    assert_eq!(region.ask(COUNT).await.unwrap().rows(), [["90"]]);
    // A link that breaks and heals is a new connection, not a restart.
    region.site("h-1").proxy().cut();
    let answer = region.ask(COUNT).await.unwrap();
    assert_eq!(answer.missing(), [("h-1", "unreachable")]);
    region.site("h-1").proxy().pass();
    assert_eq!(region.ask(COUNT).await.unwrap().rows(), [["90"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_questions_in_flight_finish() {
    let folder = tempfile::tempdir().unwrap();
    let builder = three(folder.path()).node_processes(EXE).coordinator_process(EXE);
    let region = Arc::new(builder.start().await.unwrap());
    let proxy = region.site("h-1").proxy();

    proxy.stall();
    let question = asking(&region, Duration::from_secs(30));
    proxy.holds().await;
    let mut node = region.site("h-1").terminate();
    wait::until("the node drains", || node.log().contains("asked to stop")).await;
    proxy.pass();
    assert_eq!(question.await.unwrap().unwrap().rows(), [["90"]], "a node answers what it began");
    assert_eq!(node.exit_code().await, Some(0), "{}", node.log());
    region.site("h-1").start().await.unwrap();

    assert_eq!(region.ask(COUNT).await.unwrap().rows(), [["90"]]);
    proxy.stall();
    let question = asking(&region, Duration::from_secs(30));
    proxy.holds().await;
    let mut coordinator = region.terminate_coordinator();
    let address = region.coordinator_address();
    wait::until_some("the coordinator takes no new connections", || async move {
        TcpStream::connect(address).await.is_err().then_some(())
    })
    .await;
    assert!(!coordinator.has_ended(), "a question is in flight");
    proxy.pass();
    assert_eq!(question.await.unwrap().unwrap().rows(), [["90"]]);
    assert_eq!(coordinator.exit_code().await, Some(0), "{}", coordinator.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_is_named_by_file_line_and_field() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.toml");
    std::fs::write(&path, "region = \"test\"\nlisten = 7\n").unwrap();
    for program in ["node", "coordinator"] {
        for command in ["run", "check"] {
            let words = [program, command, "--config", path.to_str().unwrap()];
            let mut process = Process::start(Path::new(EXE), &words).unwrap();
            assert_eq!(process.exit_code().await, Some(78), "{}", process.log());
            let said = format!("{}:2:10: in listen", path.display());
            wait::until("the message is written", || process.log().contains(&said)).await;
        }
    }
    let words = ["node", "run", "--config", "/no/such.toml"];
    let mut process = Process::start(Path::new(EXE), &words).unwrap();
    assert_eq!(process.exit_code().await, Some(78));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_ingest_changes_nothing_and_the_next_takes_effect() {
    const MANY: u32 = 60_000;
    let folder = tempfile::tempdir().unwrap();
    let small = fixture::write(folder.path(), "h-1", (0..30).map(Stay::plain));
    let large = fixture::write(folder.path(), "large", (0..MANY).map(Stay::plain));
    let next = fixture::write(folder.path(), "next", (0..44).map(Stay::plain));
    let next = next.to_string_lossy();
    let hospital = HospitalSource::small("h-1", small);
    let region = Region::builder().hospitals([hospital]).start().await.unwrap();
    let site = region.site("h-1");
    let before = site.snapshot_folder().unwrap();

    let (config, source) = (site.config_path(), large.to_string_lossy().into_owned());
    let config = config.to_string_lossy();
    let mapping = fixture::mapping();
    let words = ["node", "ingest", "--config", &config, "--source", &source, "--mapping", &mapping];
    let mut process = Process::start(Path::new(EXE), &words).unwrap();
    let snapshots = site.folder().join("data/snapshots");
    let incoming = || {
        let entries = std::fs::read_dir(&snapshots).unwrap().flatten();
        entries.filter(|e| e.file_name().to_string_lossy().starts_with(".incoming-")).count()
    };
    wait::until("the ingest is in its middle", || incoming() == 1).await;
    assert!(!process.has_ended());
    process.kill();
    assert_eq!(site.snapshot_folder().unwrap(), before);
    assert_eq!(region.ask(COUNT).await.unwrap().rows(), [["30"]]);

    let again = ["node", "ingest", "--config", &config, "--source", &next, "--mapping", &mapping];
    let mut process = Process::start(Path::new(EXE), &again).unwrap();
    assert_eq!(process.exit_code().await, Some(0), "{}", process.log());
    assert_eq!(incoming(), 0, "what the crash left is removed");
    assert_ne!(site.snapshot_folder().unwrap(), before);
    assert_eq!(region.ask(COUNT).await.unwrap().rows(), [["44"]], "without a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_takes_effect_at_once_and_closes_when_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    let source = fixture::write(folder.path(), "h-1", (0..30).map(Stay::plain));
    let hospital = HospitalSource::small("h-1", source);
    let region = Region::builder().hospitals([hospital]).start().await.unwrap();
    let site = region.site("h-1");
    assert_eq!(region.ask(COUNT).await.unwrap().rows(), [["30"]]);

    let mut strict = Policy::default();
    strict.minimum.persons = Some(31);
    site.set_policy(&strict).unwrap();
    let answer = region.ask(COUNT).await.unwrap();
    assert_eq!((answer.rows().len(), answer.release.cells_withheld), (0, 1));

    for unusable in
        ["minimum = 3", "[minimum]\npersons = 1\nstay = 1\n", "", "[minimum]\npersons = 11"]
    {
        site.set_policy_text(unusable).unwrap();
        let status = region.ask(COUNT).await.unwrap_err();
        let refusal = service::status::refusal_of(&status).unwrap();
        assert_eq!(refusal.code, model::RefusalCode::PolicyUnset, "{unusable:?}");
    }
    std::fs::remove_file(site.folder().join("policy.toml")).unwrap();
    assert!(region.ask(COUNT).await.is_err(), "no policy is no permission");
    site.set_policy(&Policy::default()).unwrap();
    assert_eq!(region.ask(COUNT).await.unwrap().rows(), [["30"]]);
}
