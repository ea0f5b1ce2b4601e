use super::*;
use crate::FILE;
use crate::entry::{Entry, Kind};

const NOW: &str = "2026-11-21T08:30:00Z";

fn party(uri: &str) -> Peer {
    uri.parse().unwrap()
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32])
}

struct Pair {
    _folder: tempfile::TempDir,
    node: Store,
    witness: Store,
}

fn pair() -> Pair {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str, uri| {
        Store::open(&folder.path().join(name).join(FILE), &party(uri), NOW).unwrap()
    };
    let node = open("node", "spiffe://east/node/h-1");
    let witness = open("witness", "spiffe://east/witness/main");
    Pair { _folder: folder, node, witness }
}

fn append(store: &Store, outcomes: &[&str]) {
    for outcome in outcomes {
        store.append(&Entry::new(NOW, Kind::Refusal, outcome)).unwrap();
    }
}

/// What a node does: make a checkpoint, prove growth, have it cosigned, keep the cosignature.
fn show(pair: &Pair) -> Result<Checkpoint, CosignError> {
    let checkpoint = pair.node.checkpoint(&key(1)).unwrap();
    let known = pair.witness.accepted(pair.node.party()).unwrap().map_or(0, |c| c.size());
    let proof = pair.node.consistency(known, checkpoint.size()).unwrap_or_default();
    let shown = Shown { checkpoint: &checkpoint.to_bytes(), proof: &proof };
    let line = pair.witness.cosign(shown, &key(1).verify_key(), &key(2))?;
    let by = pair.witness.party();
    pair.node.add_cosignature(checkpoint.size(), &line, by, &key(2).verify_key()).unwrap();
    Ok(checkpoint)
}

#[test]
fn a_log_that_grows_is_cosigned_and_remembered() {
    let pair = pair();
    for outcomes in [&[][..], &["one"], &["two", "three"], &[], &["four", "five", "six"]] {
        append(&pair.node, outcomes);
        let checkpoint = show(&pair).unwrap();
        let accepted = pair.witness.accepted(pair.node.party()).unwrap().unwrap();
        assert_eq!(accepted.root(), checkpoint.root());
        assert_eq!(accepted.verify_by(pair.witness.party(), &key(2).verify_key()), Ok(()));
        let kept = pair.node.newest_checkpoint().unwrap().unwrap();
        assert_eq!(kept.cosigners(), ["spiffe://east/witness/main"]);
    }
    assert_eq!(pair.witness.size().unwrap(), 0, "cosigning writes no entry");
    // A receipt prefers a checkpoint that somebody else vouches for.
    append(&pair.node, &["seven"]);
    pair.node.checkpoint(&key(1)).unwrap();
    assert_eq!(pair.node.receipt(2).unwrap().unwrap().checkpoint.size(), 6);
    assert_eq!(pair.node.receipt(6).unwrap().unwrap().checkpoint.size(), 7);
}

#[test]
fn nothing_new_makes_no_new_checkpoint() {
    let pair = pair();
    append(&pair.node, &["one"]);
    let first = pair.node.checkpoint(&key(1)).unwrap();
    let second = pair.node.checkpoint(&key(1)).unwrap();
    assert_eq!(first, second);
    let count = pair.node.read(|transaction| {
        Ok(transaction.query_row("SELECT count(*) FROM checkpoint", [], |r| r.get::<_, i64>(0))?)
    });
    assert_eq!(count.unwrap(), 1);
}

#[test]
fn two_histories_are_named_and_the_first_stays() {
    let first = pair();
    append(&first.node, &["one", "two", "three"]);
    let honest = show(&first).unwrap();
    let cosign = |shown: &Checkpoint, proof: &[[u8; 32]]| {
        let shown = Shown { checkpoint: &shown.to_bytes(), proof };
        first.witness.cosign(shown, &key(1).verify_key(), &key(2))
    };
    for outcomes in [&["one", "other", "three"][..], &["one", "other", "three", "four"]] {
        let second = pair();
        append(&second.node, outcomes);
        let forked = second.node.checkpoint(&key(1)).unwrap();
        let proof = second.node.consistency(3, forked.size()).unwrap();
        let refused = cosign(&forked, &proof);
        assert!(matches!(refused, Err(CosignError::TwoHistories { accepted: 3, .. })));
        assert!(refused.unwrap_err().to_string().contains("two histories"));
    }
    let short = pair();
    append(&short.node, &["one", "two"]);
    let refused = cosign(&short.node.checkpoint(&key(1)).unwrap(), &[]);
    assert!(matches!(refused, Err(CosignError::Shorter { accepted: 3, size: 2, .. })));
    append(&first.node, &["four"]);
    let grown = first.node.checkpoint(&key(1)).unwrap();
    let refused = cosign(&grown, &[]);
    assert!(matches!(refused, Err(CosignError::TwoHistories { .. })), "without a proof");
    let accepted = first.witness.accepted(first.node.party()).unwrap().unwrap();
    assert_eq!((accepted.size(), accepted.root()), (3, honest.root()));
    show(&first).unwrap();
}

#[test]
fn only_the_owner_of_another_log_of_the_region_is_heard() {
    let pair = pair();
    append(&pair.node, &["one"]);
    let cosign = |bytes: &[u8], owner: u8| {
        let shown = Shown { checkpoint: bytes, proof: &[] };
        pair.witness.cosign(shown, &key(owner).verify_key(), &key(2))
    };
    let good = pair.node.checkpoint(&key(1)).unwrap();
    assert!(matches!(cosign(&good.to_bytes(), 3), Err(CosignError::Note(_))));
    assert!(matches!(cosign(b"nonsense", 1), Err(CosignError::Note(_))));
    for uri in ["spiffe://east/witness/main", "spiffe://west/node/h-1"] {
        let other = Checkpoint::sign(&party(uri), 1, [0; 32], &key(1)).unwrap();
        let refused = cosign(&other.to_bytes(), 1);
        assert!(matches!(refused, Err(CosignError::NotOther(_))), "{uri}");
    }
    assert!(pair.witness.accepted(pair.node.party()).unwrap().is_none());
}

#[test]
fn a_cosignature_belongs_to_a_checkpoint_and_a_party() {
    let pair = pair();
    append(&pair.node, &["one"]);
    let checkpoint = pair.node.checkpoint(&key(1)).unwrap();
    let witness = pair.witness.party();
    let line = checkpoint.cosignature(witness, &key(2)).unwrap();
    let add = |size, line: &[u8], seed| {
        pair.node.add_cosignature(size, line, witness, &key(seed).verify_key())
    };
    assert!(matches!(add(2, &line, 2), Err(CosignatureError::NoCheckpoint(2))));
    assert!(matches!(add(1, &line, 3), Err(CosignatureError::Note(_))));
    assert!(matches!(add(1, b"", 2), Err(CosignatureError::Note(_))));
    assert!(pair.node.newest_checkpoint().unwrap().unwrap().cosigners().is_empty());
    add(1, &line, 2).unwrap();
    assert_eq!(pair.node.newest_checkpoint().unwrap().unwrap().cosigners().len(), 1);
}
