use std::path::Path;

use privacy::Scope;

use super::*;
use crate::ledger::NoiseCost;
use crate::{FILE, Outcome, Ticket};

const NOW: &str = "2026-11-21T08:30:00Z";
const DAY: &str = "2026-06-15";

fn store(folder: &Path) -> Store {
    let party: model::Peer = "spiffe://east/node/h-1".parse().unwrap();
    Store::open(&folder.join(FILE), &party, NOW).unwrap()
}

/// A question of a project of three questions and ten millionths a year, beside ample budgets.
fn asks<'a>(name: &'a str, day: &'a str, rho_micro: Option<u64>) -> Reservation<'a> {
    let cost =
        |rho_micro| NoiseCost { rho_micro, user_year_micro: 1_000, hospital_year_micro: 1_000 };
    Reservation {
        at: NOW,
        asker: "ana",
        day,
        allowance: 1_000,
        request: [1; 32],
        snapshot: "s-1",
        policy: [2; 32],
        sid: None,
        scope: Scope::PerHospital,
        noise: rho_micro.map(cost),
        project: Some(ProjectCost { name, questions: 3, rho_year_micro: 10 }),
    }
}

fn commit(store: &Store, ticket: Ticket) {
    let outcome = Outcome {
        at: NOW,
        mode: "clear",
        withheld: &[],
        output: [5; 32],
        receipt: b"",
        answer: None,
        told: &[],
    };
    store.commit(ticket, &outcome).unwrap();
}

/// `None` when it is paid for, else whether the noise does not last.
fn refused(outcome: Result<Ticket, ReserveError>) -> Option<bool> {
    match outcome {
        Ok(_) => None,
        Err(ReserveError::Project { is_noise }) => Some(is_noise),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_project_has_its_questions_once_and_its_noise_every_year() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let first = store.reserve(&asks("costs", DAY, Some(7))).unwrap();
    assert_eq!(refused(store.reserve(&asks("costs", DAY, Some(4)))), Some(true));
    commit(&store, store.reserve(&asks("costs", DAY, Some(3))).unwrap());
    commit(&store, store.reserve(&asks("costs", "2027-01-01", Some(10))).unwrap());
    assert_eq!(refused(store.reserve(&asks("costs", "2027-01-02", None))), Some(false));
    // Another project, or none, has not used it.
    commit(&store, store.reserve(&asks("other", DAY, Some(10))).unwrap());
    commit(
        &store,
        store.reserve(&Reservation { project: None, ..asks("", DAY, Some(1)) }).unwrap(),
    );
    // What is given back can be used again.
    store.refund(first, NOW, "deadline").unwrap();
    let used = store.project_spent("costs", "2026").unwrap();
    assert_eq!(used, ProjectSpent { questions: 2, rho_year_micro: 3 });
    commit(&store, store.reserve(&asks("costs", DAY, Some(7))).unwrap());
    assert_eq!(store.project_spent("costs", "2027").unwrap().rho_year_micro, 10);
    assert_eq!(store.project_spent("none", "2026").unwrap(), ProjectSpent::default());
}

#[test]
fn questions_at_once_and_a_crash_overspend_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let taken: Vec<bool> = std::thread::scope(|scope| {
        let ask = || {
            let ticket = store.reserve(&asks("costs", DAY, None));
            ticket.map(|ticket| commit(&store, ticket)).is_ok()
        };
        let threads: Vec<_> = (0..20).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 3);
}

#[test]
fn what_a_crash_cut_off_comes_back_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(folder.path());
    commit(&first, first.reserve(&asks("costs", DAY, Some(2))).unwrap());
    for rho in [3, 5] {
        // Neither committed nor given back: what a crash leaves.
        std::mem::forget(first.reserve(&asks("costs", DAY, Some(rho))).unwrap());
    }
    assert_eq!(refused(first.reserve(&asks("costs", DAY, None))), Some(false));
    drop(first);
    let again = store(folder.path());
    let used = again.project_spent("costs", "2026").unwrap();
    assert_eq!(used, ProjectSpent { questions: 1, rho_year_micro: 2 });
    assert_eq!(refused(again.reserve(&asks("costs", DAY, Some(9)))), Some(true));
    assert_eq!(refused(again.reserve(&asks("costs", DAY, Some(8)))), None);
}
