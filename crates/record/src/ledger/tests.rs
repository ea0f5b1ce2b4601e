use std::path::Path;

use super::*;
use crate::FILE;
use model::Peer;

const NOW: &str = "2026-11-21T08:30:00Z";
const DAY: &str = "2026-11-21";

fn store(folder: &Path) -> Store {
    let party: Peer = "spiffe://east/node/h-1".parse().unwrap();
    Store::open(&folder.join(FILE), &party, NOW).unwrap()
}

fn question() -> Reservation<'static> {
    Reservation {
        at: NOW,
        asker: "ana",
        day: DAY,
        allowance: 3,
        request: [1; 32],
        snapshot: "s-1",
        policy: [2; 32],
        sid: None,
        scope: Scope::PerHospital,
        noise: None,
        project: None,
    }
}

fn pooled(sid: u8) -> Reservation<'static> {
    Reservation { sid: Some([sid; 32]), scope: Scope::Pooled, ..question() }
}

fn outcome(answer: Option<&[u8]>) -> Outcome<'_> {
    Outcome {
        at: NOW,
        mode: "per_hospital",
        withheld: &["minimum_cell", "support"],
        output: [5; 32],
        receipt: b"signed",
        answer,
        told: &[],
    }
}

/// The files as kill -9 would leave them, opened again.
fn after_a_crash(folder: &Path) -> (tempfile::TempDir, Store) {
    let after = tempfile::tempdir().unwrap();
    for ending in ["", "-wal"] {
        let file = format!("{FILE}{ending}");
        std::fs::copy(folder.join(&file), after.path().join(&file)).unwrap();
    }
    let again = store(after.path());
    (after, again)
}

fn outcomes(store: &Store) -> Vec<(Kind, String)> {
    let entries = 0..store.size().unwrap();
    let entries = entries.map(|index| store.entry(index).unwrap().unwrap());
    entries.map(|entry| (entry.kind, entry.outcome)).collect()
}

#[test]
fn a_release_is_paid_recorded_and_answered_again_from_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(folder.path());
    let recorded = |store: &Store| store.recorded(&[1; 32], "s-1", &[2; 32]).unwrap();
    let ticket = first.reserve(&question()).unwrap();
    assert_eq!((first.spent("ana", DAY).unwrap(), recorded(&first)), (1, None));
    let index = first.commit(ticket, &outcome(Some(b"cells"))).unwrap();
    let (_folder, again) = after_a_crash(folder.path());
    assert_eq!(recorded(&again).as_deref(), Some(&b"cells"[..]));
    assert_eq!(again.recorded(&[1; 32], "s-2", &[2; 32]).unwrap(), None);
    assert_eq!(again.recorded(&[1; 32], "s-1", &[3; 32]).unwrap(), None);
    assert_eq!(again.spent("ana", DAY).unwrap(), 1);
    let entry = again.entry(index).unwrap().unwrap();
    assert_eq!((entry.kind, entry.request, entry.output), {
        (Kind::Release, Some([1; 32]), Some([5; 32]))
    });
    assert_eq!(entry.withheld, ["minimum_cell", "support"]);
    let row = again.releases(10).unwrap().remove(0);
    assert_eq!((row.asker.as_str(), row.entry, row.scope), ("ana", 0, Scope::PerHospital));
    assert_eq!(row.withheld, ["minimum_cell", "support"]);
}

#[test]
fn the_first_answer_to_a_question_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    for answer in [&b"first"[..], b"second"] {
        let ticket = store.reserve(&question()).unwrap();
        store.commit(ticket, &outcome(Some(answer))).unwrap();
    }
    let recorded = store.recorded(&[1; 32], "s-1", &[2; 32]).unwrap();
    assert_eq!(recorded.as_deref(), Some(&b"first"[..]));
    assert_eq!(store.releases(10).unwrap().len(), 2);
}

#[test]
fn a_sid_is_seen_once_whatever_became_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(folder.path());
    let ticket = first.reserve(&pooled(7)).unwrap();
    let seen = |store: &Store| matches!(store.reserve(&pooled(7)), Err(ReserveError::SidSeen));
    assert!(seen(&first), "while it is open");
    first.refund(ticket, NOW, "deadline").unwrap();
    assert!(seen(&first), "after a refund");
    assert_eq!(first.spent("ana", DAY).unwrap(), 0, "a refused question costs nothing");
    drop(first);
    assert!(seen(&store(folder.path())), "after a restart");
}

#[test]
fn an_allowance_is_of_one_asker_and_one_day() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let mut tickets: Vec<_> = (0..3).map(|_| store.reserve(&question()).unwrap()).collect();
    let refused = |store: &Store| {
        matches!(store.reserve(&question()), Err(ReserveError::Usage { allowance: 3 }))
    };
    assert!(refused(&store));
    store.commit(tickets.remove(0), &outcome(None)).unwrap();
    assert!(refused(&store), "what was released stays spent");
    let _ben = store.reserve(&Reservation { asker: "ben", ..question() }).unwrap();
    let _later = store.reserve(&Reservation { day: "2026-11-22", ..question() }).unwrap();
    store.refund(tickets.remove(0), NOW, "too_large").unwrap();
    let _again = store.reserve(&question()).unwrap();
    assert!(refused(&store));
    assert_eq!(store.spent("ana", DAY).unwrap(), 3);
    let none = Reservation { allowance: 0, asker: "cy", ..question() };
    assert!(matches!(store.reserve(&none), Err(ReserveError::Usage { .. })));
}

#[test]
fn what_a_crash_left_open_is_refunded_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(folder.path());
    let committed = first.reserve(&pooled(1)).unwrap();
    first.commit(committed, &outcome(None)).unwrap();
    let _open = first.reserve(&pooled(2)).unwrap();
    let (_folder, again) = after_a_crash(folder.path());
    assert_eq!(again.spent("ana", DAY).unwrap(), 1);
    assert_eq!(
        outcomes(&again),
        [(Kind::Release, "released".to_owned()), (Kind::Refund, "recovered".to_owned()),]
    );
    assert_eq!(again.entry(1).unwrap().unwrap().sid, Some([2; 32]));
    assert!(matches!(again.reserve(&pooled(2)), Err(ReserveError::SidSeen)));
    assert_eq!(again.releases(10).unwrap().len(), 1);
}

#[test]
fn a_dropped_ticket_loses_no_budget() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    for _ in 0..5 {
        drop(store.reserve(&question()).unwrap());
    }
    assert_eq!(store.spent("ana", DAY).unwrap(), 1, "all but the last are refunded");
    assert_eq!(outcomes(&store), vec![(Kind::Refund, "abandoned".to_owned()); 4]);
}

#[test]
fn a_commit_that_fails_leaves_nothing_and_is_refunded() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let ticket = store.reserve(&question()).unwrap();
    let wrong = Outcome { withheld: &["two words"], ..outcome(Some(b"cells")) };
    assert!(store.commit(ticket, &wrong).is_err());
    assert_eq!((store.size().unwrap(), store.releases(1).unwrap().len()), (0, 0));
    assert_eq!(store.recorded(&[1; 32], "s-1", &[2; 32]).unwrap(), None);
    let _next = store.reserve(&question()).unwrap();
    assert_eq!(outcomes(&store), [(Kind::Refund, "abandoned".to_owned())]);
    let long = "x".repeat(97);
    let unwritable = Reservation { snapshot: &long, ..question() };
    assert!(matches!(store.reserve(&unwritable), Err(ReserveError::Text(_))));
}

#[test]
fn a_ticket_settles_its_own_reservation_only() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (store(one.path()), store(two.path()));
    let _own = second.reserve(&question()).unwrap();
    let ticket = first.reserve(&question()).unwrap();
    let error = second.commit(ticket, &outcome(None)).unwrap_err();
    assert!(matches!(error.problem(), Problem::Settled), "{error}");
    assert_eq!(second.size().unwrap(), 0);
}

#[test]
fn recorded_answers_are_bounded_and_the_oldest_go_first() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let fill = "PRAGMA foreign_keys = OFF;
        INSERT INTO answer (reservation, request, snapshot, policy, bytes, bytes_upto)
        WITH RECURSIVE n (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n WHERE x < 10000)
        SELECT 100000 + x, randomblob(32), 's-1', randomblob(32), x'00', x FROM n";
    let other = Connection::open(store.path()).unwrap();
    other.execute_batch(fill).unwrap();
    let kept = || {
        let sql = "SELECT count(*), min(id), sum(length(bytes)) FROM answer";
        other.query_row(sql, [], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).unwrap()
    };
    assert_eq!(kept(), (MAX_ANSWERS, 1, 10_000));
    let ticket = store.reserve(&question()).unwrap();
    store.commit(ticket, &outcome(Some(b"new"))).unwrap();
    assert_eq!(kept(), (MAX_ANSWERS, 2, 10_002));
    assert!(store.recorded(&[1; 32], "s-1", &[2; 32]).unwrap().is_some());
    // As if the newest of them had been almost as large as all may be together.
    let grow = format!(
        "UPDATE answer SET bytes_upto = bytes_upto + {MAX_ANSWER_BYTES} - 3
                        WHERE id = (SELECT max(id) FROM answer)"
    );
    other.execute(&grow, []).unwrap();
    let ticket = store.reserve(&Reservation { request: [9; 32], ..question() }).unwrap();
    store.commit(ticket, &outcome(Some(b"newer"))).unwrap();
    assert_eq!(kept().0, MAX_ANSWERS + 1 - PRUNED, "bounded work for each release");
}

const PRUNED: i64 = 64;

#[test]
fn a_damaged_answer_is_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let ticket = store.reserve(&question()).unwrap();
    store.commit(ticket, &outcome(Some(b"cells"))).unwrap();
    let other = Connection::open(store.path()).unwrap();
    other.execute("UPDATE answer SET bytes = CAST('other' AS BLOB)", []).unwrap();
    let error = store.recorded(&[1; 32], "s-1", &[2; 32]).unwrap_err();
    assert!(matches!(error.problem(), Problem::Damaged(_)), "{error}");
}

#[test]
fn whatever_happens_the_budget_adds_up() {
    const STEPS: u32 = 400;
    let folder = tempfile::tempdir().unwrap();
    let mut current = store(folder.path());
    let (mut open, mut committed, mut state) = (Vec::new(), 0u64, 9u64);
    for step in 0..STEPS {
        // Numbers as in Knuth's MMIX; the high bits are the good ones.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match state >> 61 {
            0..=3 => match current.reserve(&Reservation { allowance: 40, ..question() }) {
                Ok(ticket) => open.push(ticket),
                Err(ReserveError::Usage { .. }) => {
                    assert_eq!(committed + open.len() as u64, 40, "{step}");
                }
                Err(other) => panic!("{step}: {other}"),
            },
            4 if !open.is_empty() => {
                current.commit(open.remove(0), &outcome(Some(b"cells"))).unwrap();
                committed += 1;
            }
            5 if !open.is_empty() => {
                current.refund(open.remove(0), NOW, "deadline").unwrap();
            }
            6 if state >> 58 & 7 == 0 => {
                open.clear();
                drop(current);
                current = store(folder.path());
            }
            _ => {}
        }
        let spent = current.spent("ana", DAY).unwrap();
        assert_eq!(spent, committed + open.len() as u64, "{step}");
    }
    assert!(committed > 10, "{committed}");
    assert_eq!(current.releases(STEPS).unwrap().len() as u64, committed);
}
