//! What a region did can be verified afterwards, and not be changed: a thousand questions, then
//! one altered byte, a log that was put back, and a log that went on otherwise.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use futures::stream::{self, StreamExt as _};
use privacy::Policy;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use record::audit::{self, Report};
use record::log::leaf_hash;
use record::{Archive, FILE};
use serde_json::Value;
use tests::fixture::Stay;
use tests::{Region, USER, wait};

use super::chair::Chair;
use super::region;

const EXE: &str = env!("CARGO_BIN_EXE_consilium_process");
const QUESTIONS: usize = 1_000;
/// Questions of them that a log which is put back does not know of.
const LATEST: usize = 60;
/// Questions at the same time.
const AT_ONCE: usize = 8;
/// Stays of each hospital, of which no two sums are the same.
const STAYS: [u32; 4] = [31, 32, 34, 38];
const PARTIES: [&str; 6] =
    ["coordinator", "witness", "nodes/h-1", "nodes/h-2", "nodes/h-3", "nodes/h-4"];
/// The hospital whose log is put back.
const PUT_BACK: &str = "h-2";
/// Bytes that are altered in each party's file beside the chosen ones.
const RANDOM_BYTES: usize = 24;
/// Most copies of a text that are looked at until one is found that counts.
const TRIES: usize = 24;

/// A question and its answer, of one of four kinds: pooled and by hospital, new and repeated.
fn question(number: usize) -> (String, Vec<Vec<String>>) {
    let days = |spread: usize| 26 + number % spread;
    let by_hospital = |days: usize| {
        let rows = (1..).zip(STAYS).map(|(hospital, stays)| {
            vec![format!("h-{hospital}"), "DA1".to_owned(), stays.to_string()]
        });
        let sql = format!(
            "SELECT hospital_id, drg_code, count(*) AS n FROM stay WHERE los_days < {days} \
             GROUP BY hospital_id, drg_code ORDER BY hospital_id"
        );
        (sql, rows.collect())
    };
    let pooled = |days: usize| {
        let sql = format!("SELECT count(*) AS n FROM stay WHERE los_days < {days}");
        (sql, vec![vec![STAYS.iter().sum::<u32>().to_string()]])
    };
    match number % 4 {
        0 => pooled(days(400)),
        1 => by_hospital(days(20)),
        2 => pooled(26),
        _ => by_hospital(days(4_000)),
    }
}

async fn serve(region: &Region, numbers: Range<usize>) {
    let asking = stream::iter(numbers).map(|number| async move {
        let (sql, expected) = question(number);
        let answer = region.ask(&sql).await.unwrap_or_else(|status| panic!("{sql}: {status:?}"));
        assert_eq!((answer.rows(), answer.missing()), (expected, Vec::new()), "{sql}");
    });
    asking.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

/// The file of one party under a folder that is shaped like a region's.
fn file(folder: &Path, party: &str) -> PathBuf {
    folder.join(party).join("data").join(FILE)
}

fn verify(region: &Region, folder: &Path) -> Report {
    let files = PARTIES.map(|party| file(folder, party));
    audit::verify(&files, &[Chair::of(region).roster])
}

/// Whether every log is cosigned to its end by whoever else is an authority.
fn is_cosigned(report: &Report) -> bool {
    let [coordinator, witness] =
        ["coordinator", "witness"].map(|r| format!("spiffe://test/{r}/main"));
    report.parties.iter().all(|party| {
        let others =
            [&coordinator, &witness].into_iter().filter(|by| **by != party.party.to_string());
        others.map(|by| party.cosigned.get(by)).all(|upto| upto == Some(&party.entries))
    })
}

async fn stop(region: &Region) {
    region.stop_coordinator().await;
    for site in region.sites() {
        site.stop().await;
    }
    region.stop_witness().await;
    for party in PARTIES {
        closed(&file(region.folder(), party)).await;
    }
}

/// Waits until nobody has a record open; whoever lets go last writes all of it into its file.
async fn closed(record: &Path) {
    let log = record.with_file_name(format!("{FILE}-wal"));
    wait::until("the record is closed", || !log.exists()).await;
}

/// A copy of everything that an auditor gets: records, roster, and the key that signed it.
fn copy(region: &Region, to: &Path) {
    for party in PARTIES {
        let (from, to) = (file(region.folder(), party), file(to, party));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(&from, &to).unwrap();
    }
    for name in ["roster.json", "authority.key.pub"] {
        fs::copy(region.pki().folder().join(name), to.join(name)).unwrap();
    }
}

/// `consilium audit verify` over a folder.
async fn consilium(folder: &Path) -> (Option<i32>, Value) {
    let folder = folder.to_owned();
    let run = move || {
        let words = ["cli", "audit", "verify", "--format", "json", "--dir"];
        Command::new(EXE).args(words).arg(folder).output().unwrap()
    };
    let output: Output = tokio::task::spawn_blocking(run).await.unwrap();
    let report = serde_json::from_slice(&output.stdout);
    (output.status.code(), report.unwrap_or_else(|error| panic!("{error}: {output:?}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_questions_verify_and_no_change_goes_unseen() {
    let mut policy = Policy::answering();
    policy.usage.requests_per_day = 100_000;
    let data = STAYS.map(|stays| (0..stays).map(Stay::plain).collect());
    let region = region(data, |builder| {
        builder.policy(policy).coordinator_config("[audit]\ninterval_s = 1\n")
    });
    let region = region.await;
    let older = tempfile::tempdir().unwrap();
    let older = older.path().join(FILE);
    serve(&region, 0..QUESTIONS - LATEST).await;
    region.site(PUT_BACK).stop().await;
    let record = file(region.folder(), &format!("nodes/{PUT_BACK}"));
    closed(&record).await;
    fs::copy(record, &older).unwrap();
    region.site(PUT_BACK).start().await.unwrap();
    wait::until_some("the coordinator is connected again", || async {
        let answer = region.ask("SELECT count(*) AS n FROM stay").await.ok()?;
        answer.missing().is_empty().then_some(())
    })
    .await;
    serve(&region, QUESTIONS - LATEST..QUESTIONS).await;

    // While it runs it verifies, and soon everything is cosigned.
    wait::until_some("all logs are cosigned", || async {
        let report = verify(&region, region.folder());
        assert_eq!(report.findings, []);
        is_cosigned(&report).then_some(())
    })
    .await;
    stop(&region).await;
    let good = tempfile::tempdir().unwrap();
    copy(&region, good.path());
    an_auditor_finds_it_in_order(good.path()).await;
    no_byte_can_be_altered(&region, good.path());
    a_log_that_was_put_back_is_found(&region, good.path(), &older).await;
    a_log_that_went_on_otherwise_is_found(&region, &older).await;
}

async fn an_auditor_finds_it_in_order(folder: &Path) {
    let (code, report) = consilium(folder).await;
    assert_eq!((code, &report["findings"]), (Some(0), &Value::Array(Vec::new())));
    let parties = report["parties"].as_array().unwrap();
    assert_eq!(parties.len(), PARTIES.len());
    for party in parties {
        assert_eq!((&party["open"], &party["unfinished"]), (&0.into(), &0.into()), "{party}");
        // Half of the questions are pooled, each has at least one entry with everybody; those by
        // hospital that were repeated are answered from the record and have none.
        assert!(party["entries"].as_u64().unwrap() >= QUESTIONS as u64 / 2, "{party}");
        assert!(!party["cosigned"].as_object().unwrap().is_empty(), "{party}");
    }
    let node = Archive::open(&file(folder, "nodes/h-1")).unwrap();
    let releases = node.releases(u32::MAX).unwrap();
    assert!(releases.iter().all(|row| row.asker == USER));
    let new = (0..QUESTIONS).filter(|number| number % 4 == 3).count();
    let by_hospital = releases.iter().filter(|row| row.sid.is_none()).count();
    assert!((new..new + 20).contains(&by_hospital), "{by_hospital}: repetitions are free");
}

/// Places of `needle` in a file.
fn places(bytes: &[u8], needle: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(needle.len()).enumerate();
    windows.filter(|(_, window)| *window == needle).map(|(at, _)| at).collect()
}

/// Entries with their places, and the ledger's rows.
type Reading = (Vec<(u64, record::Entry)>, Vec<String>);

/// What a file says to whoever reads it.
fn reading(path: &Path) -> Option<Reading> {
    let archive = Archive::open(path).ok()?;
    let releases = archive.releases(u32::MAX).ok()?;
    let releases = releases.iter().map(|row| format!("{row:?}")).collect();
    Some((archive.entries(u32::MAX).ok()?, releases))
}

/// Alters one byte of a file, and says whether its audit finds that. A byte that it does not find
/// is one that nobody reads: free space, or a page that is no longer in use.
fn is_found(region: &Region, path: &Path, at: usize) -> bool {
    let bytes = fs::read(path).unwrap();
    let before = reading(path);
    let mut changed = bytes.clone();
    changed[at] ^= 1;
    fs::write(path, &changed).unwrap();
    let report = audit::verify(&[path.to_owned()], &[Chair::of(region).roster]);
    let found = !report.findings.is_empty();
    assert!(report.findings.iter().all(|finding| finding.file == path), "it is named");
    assert!(found || reading(path) == before, "byte {at} of {} changes unseen", path.display());
    fs::write(path, bytes).unwrap();
    found
}

/// Bytes of stored things that have to be found when they are altered, by what they are. A text
/// may also lie in space that is free again.
fn chosen(bytes: &[u8], party: &str) -> Vec<(&'static str, Vec<usize>)> {
    let mut chosen = Vec::new();
    let mut choose = |what, needle: &[u8], offset: usize| {
        let all: Vec<_> = places(bytes, needle).into_iter().map(|at| at + offset).collect();
        assert!(!all.is_empty(), "{party} has no {what}");
        chosen.push((what, all));
    };
    choose("kind of an entry", b"\"kind\":\"r", 8);
    choose("time of an entry", b"{\"version\":1,\"at\":\"20", 25);
    let owner = match party.split_once('/') {
        Some((_, id)) => format!("spiffe://test/node/{id}\n"),
        None => format!("spiffe://test/{party}/main\n"),
    };
    choose("size of a checkpoint", owner.as_bytes(), owner.len());
    choose("root of a checkpoint", owner.as_bytes(), owner.len() + 12);
    // The hash of an entry: a leaf of the tree.
    let entries = places(bytes, b"{\"version\":1,\"at\"").into_iter().filter_map(|start| {
        let length = bytes[start..].iter().position(|byte| *byte == b'}')? + 1;
        Some(leaf_hash(&bytes[start..start + length]))
    });
    let leaf = entries.take(TRIES).find(|leaf| !places(bytes, leaf).is_empty());
    choose("hash", &leaf.unwrap(), 5);
    match party {
        "coordinator" | "witness" => {
            choose("hospitals of a round", b"h-1 h-2 h-3 h-4", 2);
            choose("accepted checkpoint", b"spiffe://test/node/h-1\n", 23);
        }
        _ => {
            choose("asker of a reservation", format!("committed{USER}").as_bytes(), 9);
            choose("recorded answer", b"DA1", 1);
        }
    }
    chosen
}

fn no_byte_can_be_altered(region: &Region, folder: &Path) {
    let mut random = ChaCha8Rng::seed_from_u64(6);
    for party in ["nodes/h-1", "witness", "coordinator"] {
        let path = file(folder, party);
        let bytes = fs::read(&path).unwrap();
        for (what, mut places) in chosen(&bytes, party) {
            places.shuffle(&mut random);
            let found = places.iter().take(TRIES).any(|at| is_found(region, &path, *at));
            assert!(found, "{what} of {party}, {} places", places.len());
        }
        for _ in 0..RANDOM_BYTES {
            is_found(region, &path, random.random_range(100..bytes.len()));
        }
        assert!(fs::read(&path).unwrap() == bytes);
    }
}

/// Findings that the log of [`PUT_BACK`] is not the one that others know.
fn two_histories(report: &Value) -> usize {
    let findings = report["findings"].as_array().unwrap();
    let owner = format!("spiffe://test/node/{PUT_BACK}");
    let named = findings.iter().filter(|one| one["code"] == "two_histories");
    named.filter(|one| one["party"] == *owner).count()
}

async fn a_log_that_was_put_back_is_found(region: &Region, folder: &Path, older: &Path) {
    let path = file(folder, &format!("nodes/{PUT_BACK}"));
    let newest = fs::read(&path).unwrap();
    fs::copy(older, &path).unwrap();
    let (code, report) = consilium(folder).await;
    // Both authorities have accepted more than it has: its newest entries were dropped.
    assert_eq!((code, two_histories(&report)), (Some(65), 2), "{report:#}");
    fs::write(&path, newest).unwrap();
    assert_eq!(verify(region, folder).findings, []);
}

async fn a_log_that_went_on_otherwise_is_found(region: &Region, older: &Path) {
    fs::copy(older, file(region.folder(), &format!("nodes/{PUT_BACK}"))).unwrap();
    region.start_witness(None).await.unwrap();
    for site in region.sites() {
        site.start().await.unwrap();
    }
    region.start_coordinator(None).await.unwrap();
    // More than it lost, and something else.
    wait::until_some("all hospitals are there", || async {
        let answer = region.ask("SELECT count(*) AS n FROM stay").await.ok()?;
        answer.missing().is_empty().then_some(())
    })
    .await;
    serve(region, QUESTIONS..QUESTIONS + 2 * LATEST).await;
    stop(region).await;
    let folder = tempfile::tempdir().unwrap();
    copy(region, folder.path());
    let (code, report) = consilium(folder.path()).await;
    assert_eq!((code, two_histories(&report)), (Some(65), 2), "{report:#}");
    let others = report["findings"].as_array().unwrap().iter();
    let owner = format!("spiffe://test/node/{PUT_BACK}");
    assert_eq!(others.filter(|one| one["party"] != *owner).count(), 0, "nobody else: {report:#}");
}
