//! Receipts, and every other file that somebody else wrote: checkpoints, rosters, models, lists of codes,
//! packs, rules, manifests.
//!
//! What is not in order is an error. What a signature vouches for is what was signed, whatever else was
//! changed; what is accepted reads back as the same.

use std::sync::LazyLock;

use learn::card::Card;
use learn::predict::{Predictor, Row};
use model::casemix::catalogue::DipList;
use model::casemix::parameters::Parameters;
use model::manifest::Manifest;
use privacy::Policy;
use privacy::roster::SignedRoster;
use query::pack::{Arguments, Pack};
use query::question::Planner;
use record::{Checkpoint, Receipt};

use crate::parties::{key, parties, planner, wait};
use crate::records::records;

/// Questions of one pack that are planned here.
const MOST_QUESTIONS: usize = 4;

/// Reads one file; the first byte says of which kind.
pub fn receipts(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind {
        b'r' => receipt(bytes),
        b'k' => checkpoint(bytes),
        b's' => roster(bytes),
        b'm' => model(bytes),
        b'd' => dip_list(bytes),
        b'i' => manifest(bytes),
        b'p' => std::str::from_utf8(bytes).map_or((), pack),
        b'u' => std::str::from_utf8(bytes).map_or((), rules),
        _ => {}
    }
}

fn receipt(bytes: &[u8]) {
    let Ok(receipt) = Receipt::parse(bytes) else { return };
    let written = receipt.to_json().unwrap();
    assert_eq!(Receipt::parse(written.as_bytes()).as_ref(), Ok(&receipt));
    let Ok(owner) = receipt.verify(&key(11).verify_key()) else { return };
    // Whatever was changed, it shows an entry that is in that log, at its place.
    assert_eq!(owner.to_string(), "spiffe://east/node/h-1");
    assert_eq!(
        records().entries.get(usize::try_from(receipt.index).unwrap()),
        Some(&receipt.entry)
    );
    assert_genuine(&receipt.checkpoint);
}

fn assert_genuine(checkpoint: &Checkpoint) {
    let root = records().roots.get(usize::try_from(checkpoint.size()).unwrap());
    assert_eq!(root, Some(checkpoint.root()), "a forged checkpoint verifies");
}

fn checkpoint(bytes: &[u8]) {
    let Ok(checkpoint) = Checkpoint::parse(bytes) else { return };
    assert_eq!(checkpoint.to_bytes(), bytes, "a note has one form");
    if checkpoint.verify(&key(11).verify_key()).is_ok() {
        assert_genuine(&checkpoint);
    }
    // The last line of a note is a signature, which may be anybody's.
    let line = bytes.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut genuine = records().receipts[0].checkpoint.clone();
    let witness = "spiffe://east/witness/main".parse().unwrap();
    let before = genuine.clone();
    let added = genuine.add_cosignature(line, &witness, &key(3).verify_key());
    let verifies = genuine.verify_by(&witness, &key(3).verify_key()).is_ok();
    assert!(if added.is_ok() { verifies } else { genuine == before });
}

fn roster(bytes: &[u8]) {
    let Ok(roster) = SignedRoster::parse(bytes) else { return };
    assert_eq!(SignedRoster::parse(&roster.to_bytes()).as_ref(), Ok(&roster));
    if let Ok(verified) = roster.verify(&parties().authority, "east") {
        assert_eq!(verified, parties().roster);
    }
}

/// A model card, from its text to a prediction.
fn model(bytes: &[u8]) {
    let Ok(card) = serde_json::from_slice::<Card>(bytes) else { return };
    let written = serde_json::to_vec(&card).unwrap();
    assert_eq!(serde_json::from_slice::<Card>(&written).unwrap(), card);
    let _ = card.totals();
    let Ok(predictor) = Predictor::new(&card) else { return };
    let numbers = card.design.numbers.len();
    for value in [f64::NAN, -1.0, 0.0, 7.0, f64::MAX] {
        let first = card.design.factors.iter().map(|one| one.levels.first().map(String::as_str));
        let factors: Vec<_> = first.collect();
        let row = Row { factors: &factors, numbers: &vec![value; numbers] };
        assert!(predictor.mean(&row).is_none_or(f64::is_finite));
        let unknown = vec![Some("no such level"); factors.len()];
        let _ = predictor.mean(&Row { factors: &unknown, ..row });
    }
}

/// A list of codes, as a node takes it.
fn dip_list(bytes: &[u8]) {
    let Ok(list) = serde_json::from_slice::<DipList>(bytes) else { return };
    if list.check().is_err() {
        return;
    }
    let written = serde_json::to_vec(&list).unwrap();
    let again: DipList = serde_json::from_slice(&written).unwrap();
    assert_eq!(again.check(), Ok(()));
    assert_eq!(again.hashed(), list.hashed(), "every reader reads what was hashed");
    assert_eq!((again.record(), again.codes()), (list.record(), list.codes()));
}

fn manifest(bytes: &[u8]) {
    let Ok(manifest) = serde_json::from_slice::<Manifest>(bytes) else { return };
    let written = serde_json::to_vec(&manifest).unwrap();
    assert_eq!(serde_json::from_slice::<Manifest>(&written).unwrap(), manifest);
    let _ = (manifest.stays(), manifest.quality.accuracy());
}

/// A pack and its questions, with arguments for whatever it asks for.
fn pack(text: &str) {
    static PLANNER: LazyLock<Planner> = LazyLock::new(planner);
    let Ok(pack) = Pack::parse(text) else { return };
    assert_eq!((pack.hash(), pack.text()), (privacy::sha256(text.as_bytes()), text));
    let given = [
        ("period", "2024Q1"),
        ("hospital", "h-1' OR {measure} --"),
        ("bounds", "[[[\"GD19\"],100,20000],[[\"it's\"],null,7]]"),
    ];
    for question in pack.questions().take(MOST_QUESTIONS) {
        let bare = pack.sql(question, &Arguments::new());
        let all: Arguments =
            given.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let one = |(name, value): &(&str, &str)| [((*name).to_owned(), (*value).to_owned())].into();
        let several = given.iter().map(one).chain([all]);
        let made = several.filter_map(|arguments| pack.sql(question, &arguments).ok());
        for sql in made.chain(bare.ok()) {
            let _ = wait(PLANNER.plan(&sql, &Policy::answering()));
        }
    }
}

/// A region's thresholds and coefficients.
fn rules(text: &str) {
    match Parameters::parse(text) {
        Ok(rules) => assert_eq!(Parameters::parse(text), Ok(rules)),
        Err(error) => {
            assert!((1..=text.lines().count().max(1) + 1).contains(&error.line), "{error}")
        }
    }
}
