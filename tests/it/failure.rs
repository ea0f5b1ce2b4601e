//! What happens when things break: real processes, real signals, proxies that fail on command.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::RefusalCode;
use privacy::Policy;
use service::Clock;
use tests::fixture::{self, Stay};
use tests::{Answer, HospitalSource, Process, Region, RegionBuilder, wait};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tonic::{Code, Status};

const EXE: &str = env!("CARGO_BIN_EXE_consilium_process");
const BY_HOSPITAL: &str = "SELECT hospital_id, count(*) AS n FROM stay GROUP BY 1";
/// The hospitals and their stays, of different numbers, so that a sum tells who is in it.
const HOSPITALS: [(&str, u32); 5] =
    [("h-1", 30), ("h-2", 31), ("h-3", 33), ("h-4", 37), ("h-5", 45)];
const ALL: &str = "176";
const DEADLINE: Duration = Duration::from_secs(8);

fn five(folder: &Path) -> RegionBuilder {
    let hospitals = HOSPITALS.map(|(id, stays)| {
        HospitalSource::small(id, fixture::write(folder, id, (0..stays).map(Stay::plain)))
    });
    Region::builder().hospitals(hospitals).proxied()
}

/// The number of all stays, in a question of a family of its own: the same question over nearly
/// the same hospitals is not opened twice.
fn count(family: u32) -> String {
    format!("SELECT count(*) AS n FROM stay WHERE los_days < {}", 900 + family)
}

fn asking(
    region: &Arc<Region>,
    sql: String,
    deadline: Duration,
) -> JoinHandle<Result<Answer, Status>> {
    let region = Arc::clone(region);
    tokio::spawn(async move { region.ask_with_deadline(&sql, deadline).await })
}

fn within(answer: &Answer, deadline: Duration) {
    let elapsed = Duration::from_millis(answer.release.elapsed_ms);
    assert!(elapsed <= deadline, "the answer took {elapsed:?} of {deadline:?}");
}

/// The answer is masked, is this number, and lacks these hospitals for these reasons.
fn is(answer: &Answer, number: &str, missing: &[(&str, &str)]) {
    assert_eq!(
        (answer.rows(), answer.missing()),
        (vec![vec![number.to_owned()]], missing.to_vec())
    );
    assert_eq!(answer.release.mode, "masked");
}

/// The question was not answered because of the witness, and the message says what to do.
fn needs_the_witness(outcome: Result<Answer, Status>) {
    let status = outcome.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    for part in ["the witness cannot be reached", "nothing was learned", "hospital_id"] {
        assert!(status.message().contains(part), "{status:?}");
    }
}

/// How many releases the hospital has recorded.
fn releases(region: &Region, hospital: &str) -> usize {
    region.site(hospital).releases().unwrap().len()
}

/// Asks, with the hospital's answer on its way and kept back by its proxy. A release is recorded
/// before it is sent.
async fn asking_into_a_stall(
    region: &Arc<Region>,
    hospital: &str,
    sql: String,
    deadline: Duration,
) -> JoinHandle<Result<Answer, Status>> {
    let (before, proxy) = (releases(region, hospital), region.site(hospital).proxy());
    proxy.stall();
    let question = asking(region, sql, deadline);
    let begun = || releases(region, hospital) > before;
    wait::until("the hospital has recorded its answer", begun).await;
    proxy.holds().await;
    question
}

async fn started(region: &Region) -> Vec<(String, String)> {
    let all = region.hospitals().await.unwrap().into_iter();
    all.map(|one| (one.id, one.node_started_at)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_is_missing_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let region = Arc::new(five(folder.path()).node_processes(EXE).start().await.unwrap());
    let before = started(&region).await;
    is(&region.ask(&count(0)).await.unwrap(), ALL, &[]);

    let site = region.site("h-2");
    let question = asking_into_a_stall(&region, "h-2", count(1), DEADLINE).await;
    site.kill();
    let answer = question.await.unwrap().unwrap();
    within(&answer, DEADLINE);
    assert_eq!((answer.missing().len(), answer.missing()[0].0), (1, "h-2"));
    assert_eq!(answer.rows(), [["145"]]);
    let coverage = answer.release.stays_coverage.unwrap();
    assert!((coverage - 145.0 / 176.0).abs() < 1e-12, "{coverage}");
    is(&region.ask(&count(1)).await.unwrap(), "145", &[("h-2", "unreachable")]);

    site.proxy().pass();
    // A node says to the second when it was started.
    wait::until_some("another second", || {
        let now = service::clock::rfc3339(Clock::system().now());
        std::future::ready((now > before[1].1).then_some(()))
    })
    .await;
    site.start().await.unwrap();
    is(&region.ask(&count(2)).await.unwrap(), ALL, &[]);
    // It answers again, and does not become the difference to the earlier answer.
    is(&region.ask(&count(1)).await.unwrap(), "145", &[("h-2", "held_back")]);
    let after = started(&region).await;
    assert_ne!(before[1], after[1]);
    assert_eq!((&before[0], &before[2..]), (&after[0], &after[2..]), "nothing else was restarted");
}

#[tokio::test(flavor = "multi_thread")]
async fn nearly_the_same_hospitals_are_not_opened_twice() {
    let folder = tempfile::tempdir().unwrap();
    let region = five(folder.path()).start().await.unwrap();
    is(&region.ask(&count(0)).await.unwrap(), ALL, &[]);
    region.site("h-2").proxy().cut();
    // Four of five would give h-2 away, and so would three; two are no sum.
    let status = region.ask(&count(0)).await.unwrap_err();
    let refusal = service::status::refusal_of(&status).unwrap();
    assert_eq!(refusal.code, RefusalCode::Quorum, "{refusal}");
    assert!(refusal.instead.contains("another question"), "{refusal}");
    is(&region.ask(&count(1)).await.unwrap(), "145", &[("h-2", "unreachable")]);
    let by_hospital = region.ask(BY_HOSPITAL).await.unwrap();
    assert_eq!((by_hospital.rows().len(), by_hospital.missing().len()), (4, 1));
    region.site("h-2").proxy().pass();
    is(&region.ask(&count(0)).await.unwrap(), ALL, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_without_nodes_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let region = five(folder.path()).node_processes(EXE).start().await.unwrap();
    let (first, last) = region.sites().split_at(3);
    first.iter().for_each(|site| site.kill());
    let status = region.ask_with_deadline(&count(0), DEADLINE).await.unwrap_err();
    let refusal = service::status::refusal_of(&status).unwrap();
    assert_eq!(refusal.code, RefusalCode::Quorum, "two can be subtracted from each other");
    assert!(refusal.reason.contains("needs 3 hospitals"), "{refusal}");
    let answer = region.ask_with_deadline(BY_HOSPITAL, DEADLINE).await.unwrap();
    assert_eq!(answer.rows(), [["h-4", "37"], ["h-5", "45"]]);

    last.iter().for_each(|site| site.kill());
    for sql in [count(1), BY_HOSPITAL.to_owned()] {
        let status = region.ask_with_deadline(&sql, DEADLINE).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        let text = status.message();
        assert!(text.contains("none of 5 hospitals answered"), "{text}");
        assert!(text.contains("h-1: unreachable"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_node_delays_nobody_past_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let region = five(folder.path()).start().await.unwrap();
    region.site("h-3").proxy().stall();
    let deadline = Duration::from_secs(5);
    for (sql, rows) in [(count(0), 1), (BY_HOSPITAL.to_owned(), 4)] {
        let answer = region.ask_with_deadline(&sql, deadline).await.unwrap();
        within(&answer, deadline);
        assert_eq!((answer.rows().len(), answer.missing()), (rows, vec![("h-3", "deadline")]));
    }
    for site in region.sites() {
        site.proxy().stall();
    }
    for sql in [count(1), BY_HOSPITAL.replace("FROM stay", "FROM stay WHERE los_days < 900")] {
        let status = region.ask_with_deadline(&sql, Duration::from_secs(2)).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert!(status.message().contains("h-1: deadline"), "{status:?}");
    }
    // What was kept back does not confuse the next question.
    for site in region.sites() {
        site.proxy().pass();
    }
    is(&region.ask(&count(2)).await.unwrap(), ALL, &[]);
    // A link that breaks and heals is a new connection, not a restart.
    region.site("h-1").proxy().cut();
    is(&region.ask(&count(3)).await.unwrap(), "146", &[("h-1", "unreachable")]);
    region.site("h-1").proxy().pass();
    is(&region.ask(&count(4)).await.unwrap(), ALL, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_witness_only_sums_have_to_wait() {
    let folder = tempfile::tempdir().unwrap();
    let region = Arc::new(five(folder.path()).witness_process(EXE).start().await.unwrap());
    let before = started(&region).await;
    let coordinator = region.coordinator_address();
    is(&region.ask(&count(0)).await.unwrap(), ALL, &[]);

    region.kill_witness();
    let clock = Clock::system();
    let begun = clock.monotonic();
    needs_the_witness(region.ask_with_deadline(&count(1), DEADLINE).await);
    assert!(clock.monotonic().duration_since(begun) <= DEADLINE);
    assert_eq!(region.ask(BY_HOSPITAL).await.unwrap().rows().len(), 5);
    region.start_witness(None).await.unwrap();
    is(&region.ask(&count(1)).await.unwrap(), ALL, &[]);

    // It dies with an answer on its lips: that round is over, and nobody was told anything.
    region.witness_proxy().stall();
    let question = asking(&region, count(2), DEADLINE);
    region.witness_proxy().holds().await;
    region.kill_witness();
    needs_the_witness(question.await.unwrap());
    region.witness_proxy().pass();
    region.start_witness(None).await.unwrap();
    is(&region.ask(&count(2)).await.unwrap(), ALL, &[]);

    // It is there and silent.
    region.witness_proxy().stall();
    let (begun, deadline) = (clock.monotonic(), Duration::from_secs(3));
    needs_the_witness(region.ask_with_deadline(&count(3), deadline).await);
    // The asker's own way to the coordinator and back comes on top.
    let waited = clock.monotonic().duration_since(begun);
    assert!(waited <= deadline + Duration::from_millis(500), "{waited:?}");
    assert_eq!(region.ask(BY_HOSPITAL).await.unwrap().rows().len(), 5);
    region.witness_proxy().pass();
    is(&region.ask(&count(3)).await.unwrap(), ALL, &[]);
    assert_eq!((started(&region).await, region.coordinator_address()), (before, coordinator));
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_questions_in_flight_finish() {
    const LONG: Duration = Duration::from_secs(30);
    let folder = tempfile::tempdir().unwrap();
    let builder = five(folder.path()).node_processes(EXE).coordinator_process(EXE);
    let region = Arc::new(builder.witness_process(EXE).start().await.unwrap());
    for sql in [count(0), BY_HOSPITAL.to_owned()] {
        let question = asking_into_a_stall(&region, "h-1", sql.clone(), LONG).await;
        let mut node = region.site("h-1").terminate();
        wait::until("the node drains", || node.log().contains("asked to stop")).await;
        region.site("h-1").proxy().pass();
        let answer = question.await.unwrap().unwrap();
        assert_eq!(answer.missing(), [], "a node answers what it began: {sql}");
        assert_eq!(node.exit_code().await, Some(0), "{}", node.log());
        region.site("h-1").start().await.unwrap();
        // A question would make the new connection, but not into a stall.
        wait::until_some("the coordinator has found it again", || async {
            let known = region.hospitals().await.unwrap();
            known.iter().all(|one| one.state == "online").then_some(())
        })
        .await;
    }

    is(&region.ask(&count(2)).await.unwrap(), ALL, &[]);
    let proxy = region.witness_proxy();
    proxy.stall();
    let question = asking(&region, count(3), LONG);
    proxy.holds().await;
    let mut witness = region.terminate_witness();
    wait::until("the witness drains", || witness.log().contains("asked to stop")).await;
    proxy.pass();
    // Countersigning and opening are two requests: the second may come too late.
    match question.await.unwrap() {
        Ok(answer) => is(&answer, ALL, &[]),
        late => needs_the_witness(late),
    }
    assert_eq!(witness.exit_code().await, Some(0), "{}", witness.log());
    region.start_witness(None).await.unwrap();
    is(&region.ask(&count(3)).await.unwrap(), ALL, &[]);

    let question = asking_into_a_stall(&region, "h-1", count(4), LONG).await;
    let mut coordinator = region.terminate_coordinator();
    let address = region.coordinator_address();
    wait::until_some("the coordinator takes no new connections", || async move {
        TcpStream::connect(address).await.is_err().then_some(())
    })
    .await;
    assert!(!coordinator.has_ended(), "a question is in flight");
    region.site("h-1").proxy().pass();
    is(&question.await.unwrap().unwrap(), ALL, &[]);
    assert_eq!(coordinator.exit_code().await, Some(0), "{}", coordinator.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_is_named_by_file_line_and_field() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.toml");
    std::fs::write(&path, "region = \"test\"\nlisten = 7\n").unwrap();
    for program in ["node", "coordinator", "witness"] {
        for command in ["run", "check"] {
            let words = [program, command, "--config", path.to_str().unwrap()];
            let mut process = Process::start(Path::new(EXE), &words).unwrap();
            assert_eq!(process.exit_code().await, Some(78), "{}", process.log());
            let said = format!("{}:2:10: in listen", path.display());
            wait::until("the message is written", || process.log().contains(&said)).await;
        }
        let nowhere = folder.path().join("none.toml");
        let words = [program, "run", "--config", nowhere.to_str().unwrap()];
        let mut process = Process::start(Path::new(EXE), &words).unwrap();
        assert_eq!(process.exit_code().await, Some(78));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_ingest_changes_nothing_and_the_next_takes_effect() {
    const MANY: u32 = 60_000;
    let folder = tempfile::tempdir().unwrap();
    let small = fixture::write(folder.path(), "h-1", (0..30).map(Stay::plain));
    let large = fixture::write(folder.path(), "large", (0..MANY).map(Stay::plain));
    let next = fixture::write(folder.path(), "next", (0..70).map(Stay::plain));
    let next = next.to_string_lossy();
    let hospital = HospitalSource::small("h-1", small);
    let region = Region::builder().hospitals([hospital]).start().await.unwrap();
    let site = region.site("h-1");
    let before = site.snapshot_folder().unwrap();
    assert_eq!(region.ask(BY_HOSPITAL).await.unwrap().rows(), [["h-1", "30"]]);

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
    // Another question than before, which no record answers.
    let filtered = BY_HOSPITAL.replace("FROM stay", "FROM stay WHERE los_days < 900");
    assert_eq!(region.ask(&filtered).await.unwrap().rows(), [["h-1", "30"]]);

    let again = ["node", "ingest", "--config", &config, "--source", &next, "--mapping", &mapping];
    let mut process = Process::start(Path::new(EXE), &again).unwrap();
    assert_eq!(process.exit_code().await, Some(0), "{}", process.log());
    assert_eq!(incoming(), 0, "what the crash left is removed");
    assert_ne!(site.snapshot_folder().unwrap(), before);
    // The record is of another snapshot.
    assert_eq!(region.ask(BY_HOSPITAL).await.unwrap().rows(), [["h-1", "70"]], "no restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_takes_effect_at_once_and_closes_when_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    let source = fixture::write(folder.path(), "h-1", (0..30).map(Stay::plain));
    let hospital = HospitalSource::small("h-1", source);
    let region = Region::builder().hospitals([hospital]).start().await.unwrap();
    let site = region.site("h-1");
    assert_eq!(region.ask(BY_HOSPITAL).await.unwrap().rows(), [["h-1", "30"]]);

    // The record is of another policy.
    let mut strict = Policy::answering();
    strict.minimum.persons = Some(31);
    site.set_policy(&strict).unwrap();
    let answer = region.ask(BY_HOSPITAL).await.unwrap();
    assert_eq!((answer.rows().len(), answer.release.cells_withheld), (0, 1));

    for unusable in
        ["minimum = 3", "[minimum]\npersons = 1\nstay = 1\n", "", "[minimum]\npersons = 11"]
    {
        site.set_policy_text(unusable).unwrap();
        let status = region.ask(BY_HOSPITAL).await.unwrap_err();
        let refusal = service::status::refusal_of(&status).unwrap();
        assert_eq!(refusal.code, RefusalCode::PolicyUnset, "{unusable:?}");
    }
    std::fs::remove_file(site.folder().join("policy.toml")).unwrap();
    assert!(region.ask(BY_HOSPITAL).await.is_err(), "no policy is no permission");
    site.set_policy(&Policy::answering()).unwrap();
    assert_eq!(region.ask(BY_HOSPITAL).await.unwrap().rows(), [["h-1", "30"]]);
}
