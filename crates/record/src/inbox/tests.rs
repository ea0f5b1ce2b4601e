use std::path::Path;

use model::Peer;

use super::*;
use crate::FILE;

const NOW: &str = "2026-11-23T08:30:00Z";
const LATER: &str = "2026-11-23T09:30:00Z";

fn store(folder: &Path) -> Store {
    let party: Peer = "spiffe://east/node/h-1".parse().unwrap();
    Store::open(&folder.join(FILE), &party, NOW).unwrap()
}

fn question(number: u32) -> [u8; 32] {
    sha256(&number.to_be_bytes())
}

fn waiting(number: u32, at: &str) -> Waiting<'_> {
    Waiting {
        matter: Matter::Question,
        question: question(number),
        asker: if number == 0 { "bob" } else { "ana" },
        scope: Scope::PerHospital,
        relation: "SELECT stay_key FROM stay",
        measures: "rows",
        at,
    }
}

#[test]
fn a_question_waits_once_and_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.wait(&waiting(1, NOW)).unwrap();
    store.wait(&waiting(2, NOW)).unwrap();
    store.wait(&waiting(1, LATER)).unwrap();
    let rows = Archive::open(store.path()).unwrap().waiting().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].question, rows[0].times), (question(1), 2));
    assert_eq!((rows[0].first.as_str(), rows[0].last.as_str()), (NOW, LATER));
    assert_eq!(rows[0].relation, "SELECT stay_key FROM stay");
    assert_eq!(store.size().unwrap(), 0, "nothing was decided yet");
}

#[test]
fn a_project_is_kept_once_however_often_somebody_looks_at_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    for at in [NOW, LATER] {
        store.wait(&Waiting { matter: Matter::Project, ..waiting(1, at) }).unwrap();
    }
    let rows = Archive::open(store.path()).unwrap().waiting().unwrap();
    assert_eq!((rows.len(), rows[0].times, rows[0].matter), (1, 1, Matter::Project));
    assert_eq!(rows[0].last, NOW);
}

#[test]
fn whoever_floods_the_inbox_pushes_out_their_own_questions() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    for number in 0..u32::try_from(MAX_WAITING).unwrap() + 5 {
        let at = format!("2026-11-23T08:{:02}:{:02}Z", number / 60, number % 60);
        store.wait(&waiting(number, &at)).unwrap();
    }
    let rows = Archive::open(store.path()).unwrap().waiting().unwrap();
    assert_eq!(rows.len(), MAX_WAITING);
    assert!(rows.iter().any(|row| row.question == question(0)), "asked first, by somebody else");
    assert!((1..=5).all(|number| rows.iter().all(|row| row.question != question(number))));
}

#[test]
fn a_decision_is_logged_when_it_differs_from_the_last_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let line = r#"{"question":"01","decision":"approved"}"#;
    let decision = Decision { question: question(1), verdict: Verdict::Approved, line };
    assert!(store.decide(NOW, &decision).unwrap());
    assert!(!store.decide(LATER, &decision).unwrap(), "the same line");
    let declined = Decision { verdict: Verdict::Declined, line: "another", ..decision };
    assert!(store.decide(LATER, &declined).unwrap());
    assert!(store.decide(LATER, &decision).unwrap(), "the file was put back: the log says so");
    let entries: Vec<_> = (0..3).map(|index| store.entry(index).unwrap().unwrap()).collect();
    assert_eq!(entries[0].kind, Kind::Decision);
    let outcomes: Vec<_> = entries.iter().map(|entry| entry.outcome.as_str()).collect();
    assert_eq!(outcomes, ["approved", "declined", "approved"]);
    assert_eq!(entries[0].request, Some(question(1)));
}
