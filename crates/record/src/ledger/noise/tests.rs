use std::path::Path;

use privacy::Scope;

use super::*;
use crate::{FILE, Outcome, Ticket};

const NOW: &str = "2026-11-21T08:30:00Z";

fn store(folder: &Path) -> Store {
    let party: model::Peer = "spiffe://east/node/h-1".parse().unwrap();
    Store::open(&folder.join(FILE), &party, NOW).unwrap()
}

/// A question of `rho` millionths on `day`, of 100 for its asker and 250 for everybody.
fn asks(asker: &'static str, day: &'static str, rho_micro: u64) -> Reservation<'static> {
    Reservation {
        at: NOW,
        asker,
        day,
        allowance: 1_000_000,
        request: [1; 32],
        snapshot: "s-1",
        policy: [2; 32],
        sid: None,
        scope: Scope::PerHospital,
        noise: Some(NoiseCost { rho_micro, user_year_micro: 100, hospital_year_micro: 250 }),
        project: None,
    }
}

fn commit(store: &Store, ticket: Ticket) {
    let outcome = Outcome {
        at: NOW,
        mode: "noisy",
        withheld: &[],
        output: [5; 32],
        receipt: b"",
        answer: None,
        told: &[],
    };
    store.commit(ticket, &outcome).unwrap();
}

fn is_own(outcome: Result<Ticket, ReserveError>) -> Option<bool> {
    match outcome {
        Ok(_) => None,
        Err(ReserveError::Budget { is_own }) => Some(is_own),
        Err(other) => panic!("{other}"),
    }
}

fn spent_in(store: &Store, year: &str) -> u64 {
    store.noise_spent(year).unwrap().iter().map(|one| one.rho_micro).sum()
}

#[test]
fn a_budget_is_of_one_asker_and_of_everybody_and_of_one_year() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let first = store.reserve(&asks("ana", "2026-01-01", 60)).unwrap();
    assert_eq!(is_own(store.reserve(&asks("ana", "2026-12-31", 41))), Some(true));
    let second = store.reserve(&asks("ana", "2026-12-31", 40)).unwrap();
    commit(&store, second);
    assert_eq!(is_own(store.reserve(&asks("ana", "2026-06-15", 1))), Some(true));
    // The years before and after are others.
    for day in ["2025-12-31", "2027-01-01"] {
        commit(&store, store.reserve(&asks("ana", day, 100)).unwrap());
    }
    store.refund(first, NOW, "deadline").unwrap();
    commit(&store, store.reserve(&asks("ana", "2026-06-15", 60)).unwrap());
    for asker in ["ben", "cy"] {
        let most = if asker == "ben" { 100 } else { 50 };
        commit(&store, store.reserve(&asks(asker, "2026-06-15", most)).unwrap());
    }
    assert_eq!(is_own(store.reserve(&asks("cy", "2026-06-15", 1))), Some(false));
    // Exact questions cost nothing.
    let exact = Reservation { noise: None, ..asks("cy", "2026-06-15", 1) };
    commit(&store, store.reserve(&exact).unwrap());
    let spent = store.noise_spent("2026").unwrap();
    let spent: Vec<_> =
        spent.iter().map(|one| (one.asker.as_str(), one.questions, one.rho_micro)).collect();
    assert_eq!(spent, [("ana", 2, 100), ("ben", 1, 100), ("cy", 1, 50)]);
    let archive = Archive::open(&folder.path().join(FILE)).unwrap();
    assert_eq!(archive.noise_spent("2026").unwrap().len(), 3);
    assert_eq!((spent_in(&store, "2025"), spent_in(&store, "2024")), (100, 0));
}

#[test]
fn many_at_once_spend_what_there_is_and_no_millionth_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let answered: u64 = std::thread::scope(|scope| {
        let ask = |number: u64| {
            let store = &store;
            let asker = ["ana", "ben", "cy"][(number % 3) as usize];
            scope.spawn(move || match store.reserve(&asks(asker, "2026-06-15", 7)) {
                // Some give back what they have, and spend it after all.
                Ok(ticket) if number.is_multiple_of(5) => {
                    store.refund(ticket, NOW, "deadline").unwrap();
                    0
                }
                Ok(ticket) => {
                    commit(store, ticket);
                    7
                }
                Err(ReserveError::Budget { .. }) => 0,
                Err(other) => panic!("{other}"),
            })
        };
        let threads: Vec<_> = (0..100).map(ask).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let spent = spent_in(&store, "2026");
    assert_eq!(spent, answered);
    // 14 questions each are 98 of 100, and 35 together 245 of 250.
    assert!(spent <= 245, "{spent}");
    while store.reserve(&asks("ana", "2026-06-15", 1)).is_ok_and(|ticket| {
        commit(&store, ticket);
        true
    }) {}
    let spent = store.noise_spent("2026").unwrap();
    assert!(spent.iter().all(|one| one.rho_micro <= 100), "{spent:?}");
}

/// The file as kill -9 would leave it at any point, opened again.
fn after_a_crash(folder: &Path) -> u64 {
    let after = tempfile::tempdir().unwrap();
    for ending in ["", "-wal"] {
        let file = format!("{FILE}{ending}");
        if folder.join(&file).exists() {
            std::fs::copy(folder.join(&file), after.path().join(&file)).unwrap();
        }
    }
    let again = store(after.path());
    let spent = spent_in(&again, "2026");
    let _ = again.reserve(&asks("dan", "2026-06-15", 250 - spent.min(249))).is_ok();
    assert!(spent_in(&again, "2026") <= 250);
    spent
}

#[test]
fn a_crash_gives_back_what_was_not_sent_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let mut sent = 0;
    for (number, asker) in (0u64..).zip(["ana", "ben", "ana", "cy", "ben", "ana", "cy", "ana"]) {
        let Ok(ticket) = store.reserve(&asks(asker, "2026-06-15", 20 + number)) else { continue };
        assert_eq!(after_a_crash(folder.path()), sent, "reserved, and nothing was sent");
        if number % 3 == 2 {
            store.refund(ticket, NOW, "deadline").unwrap();
        } else {
            commit(&store, ticket);
            sent += 20 + number;
        }
        assert_eq!(after_a_crash(folder.path()), sent);
    }
    assert!(sent > 100);
}
