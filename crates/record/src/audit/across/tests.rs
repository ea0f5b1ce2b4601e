use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::fixture::{
    DAY, Member, NOW, Region, alter, files, findings, key, node_file, region, roster,
};
use super::super::verify;
use super::*;
use crate::FILE;
use crate::entry::Entry;
use crate::rounds::Round;

fn codes(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.wrong.code()).collect()
}

fn coordinator(root: &Path) -> Member {
    Member::open(&root.join("coordinator"), "spiffe://east/coordinator/main", 1)
}

#[test]
fn a_party_that_presents_another_history_is_named_with_who_knows_better() {
    let (folder, other) = (region(), tempfile::tempdir().unwrap());
    // The hospital's own key, and a log as good as the first, but with another past.
    let again = Region::open(other.path());
    for number in 20..26 {
        again.pooled(number);
    }
    again.nodes[0].store.checkpoint(&key(10)).unwrap();
    drop(again);
    std::fs::copy(node_file(other.path()), node_file(folder.path())).unwrap();
    let found = findings(folder.path());
    assert_eq!(codes(&found), ["two_histories"; 2], "{found:#?}");
    for (finding, by) in found.iter().zip(["coordinator", "witness"]) {
        let text = finding.to_string();
        assert!(text.contains("spiffe://east/node/h-0"), "{text}");
        assert!(text.contains(&format!("two histories: spiffe://east/{by}/main")), "{text}");
    }
}

#[test]
fn coordinator_and_witness_watch_each_other() {
    for (name, by) in [("coordinator", "witness"), ("witness", "coordinator")] {
        let (folder, other) = (region(), tempfile::tempdir().unwrap());
        let again = Region::open(other.path());
        for number in 0..3 {
            again.pooled(number);
        }
        drop(again);
        let file = |root: &Path| root.join(name).join(FILE);
        std::fs::copy(file(other.path()), file(folder.path())).unwrap();
        let found = findings(folder.path());
        let named = found.iter().find(|finding| finding.wrong.code() == "two_histories").unwrap();
        assert_eq!(named.party, format!("spiffe://east/{name}/main"));
        assert!(named.to_string().contains(&format!("spiffe://east/{by}/main accepted")));
    }
}

#[test]
fn a_second_file_of_one_party_is_named() {
    let (folder, other) = (region(), region());
    let mut all = files(folder.path());
    all.push(node_file(other.path()));
    assert_eq!(codes(&verify(&all, &[roster()]).findings), ["second_file"]);
    let again = Region::open(other.path());
    again.by_hospital(60);
    drop(again);
    let fork = Region::open(folder.path());
    fork.by_hospital(70);
    fork.cosign();
    drop(fork);
    let found = verify(&all, &[roster()]).findings;
    assert!(codes(&found).contains(&"second_file"), "{found:#?}");
    assert!(codes(&found).contains(&"two_histories"), "{found:#?}");
}

#[test]
fn what_was_accepted_is_remembered_and_signed() {
    let witness = |root: &Path| root.join("witness").join(FILE);
    let folder = region();
    alter(&witness(folder.path()), "DELETE FROM accepted WHERE origin LIKE '%/h-0'");
    let found = findings(folder.path());
    assert_eq!(codes(&found), ["forgotten"]);
    assert_eq!(found[0].party, "spiffe://east/node/h-0");

    let folder = region();
    let swap = "UPDATE accepted SET note = (SELECT note FROM accepted WHERE origin LIKE '%/h-1')
                WHERE origin LIKE '%/h-0'";
    alter(&witness(folder.path()), swap);
    assert_eq!(codes(&findings(folder.path())), ["accepted_forged"]);

    let folder = region();
    alter(&witness(folder.path()), "UPDATE accepted SET size = 11 WHERE origin LIKE '%/h-0'");
    assert_eq!(codes(&findings(folder.path())), ["accepted_forged", "forgotten"]);
}

#[test]
fn an_answer_that_the_witness_does_not_know_is_named() {
    let folder = region();
    let member = coordinator(folder.path());
    let sid = Some([99; 32]);
    let index =
        member.store.append(&Entry { sid, ..Entry::new(NOW, Kind::Release, "answered") }).unwrap();
    drop(member);
    let found = findings(folder.path());
    assert_eq!(codes(&found), ["not_witnessed"]);
    assert_eq!((found[0].place, found[0].party.as_str()), {
        (Place::Entry(index), "spiffe://east/coordinator/main")
    });
}

#[test]
fn rounds_that_differ_are_named_and_unfinished_ones_are_counted() {
    let folder = region();
    let (first, second) = {
        let hospitals = |names: [&str; 3]| names.map(|name| name.parse().unwrap());
        (hospitals(["h-0", "h-1", "h-2"]), hospitals(["h-3", "h-4", "h-5"]))
    };
    let round =
        |sid, hospitals| Round { at: NOW, day: DAY, sid, family: [8; 32], hospitals, told: &[] };
    let witness = Member::open(&folder.path().join("witness"), "spiffe://east/witness/main", 2);
    witness.store.open_round(&round([50; 32], &first)).unwrap();
    drop(witness);
    let member = coordinator(folder.path());
    let index = member.store.open_round(&round([50; 32], &second)).unwrap();
    member.store.open_round(&round([51; 32], &second)).unwrap();
    drop(member);
    let report = verify(&files(folder.path()), &[roster()]);
    assert_eq!(codes(&report.findings), ["rounds_differ"]);
    assert_eq!(report.findings[0].place, Place::Entry(index));
    assert_eq!(report.parties[0].unfinished, 1);

    let folder = region();
    let set = "UPDATE survivors SET hospitals = 'h-0 h-1 h-7'";
    alter(&folder.path().join("witness").join(FILE), set);
    assert_eq!(codes(&findings(folder.path()))[..2], ["round_altered"; 2]);
}

#[test]
fn a_region_at_work_is_found_in_order() {
    const AUDITS: usize = 12;
    let folder = region();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let region = Region::open(folder.path());
            let mut number = 30;
            while !is_done.load(Ordering::Relaxed) {
                region.pooled(number);
                region.by_hospital(number);
                region.cosign();
                number = number.checked_add(1).unwrap();
            }
        });
        for _ in 0..AUDITS {
            let report = verify(&files(folder.path()), &[roster()]);
            if !report.findings.is_empty() {
                is_done.store(true, Ordering::Relaxed);
            }
            assert_eq!(report.findings, []);
        }
        is_done.store(true, Ordering::Relaxed);
    });
}
