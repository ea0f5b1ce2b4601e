use super::*;
use crate::digest::sha256;
use crate::entry::Kind;
use privacy::sign::hex;

const NOW: &str = "2026-11-21T08:30:00Z";

/// RFC 6962, section 2.1, as it is written: the hash of a list of leaves.
fn merkle(leaves: &[Vec<u8>]) -> [u8; 32] {
    match leaves {
        [] => sha256(b""),
        [leaf] => sha256(&[&[0u8], leaf.as_slice()].concat()),
        _ => {
            let mut left = 1;
            while left * 2 < leaves.len() {
                left *= 2;
            }
            let (left, right) = leaves.split_at(left);
            sha256(&[&[1u8], merkle(left).as_slice(), merkle(right).as_slice()].concat())
        }
    }
}

fn store(folder: &std::path::Path) -> Store {
    let party = "spiffe://east/node/h-1".parse().unwrap();
    Store::open(&folder.join(crate::FILE), &party, NOW).unwrap()
}

#[test]
fn roots_and_proofs_are_those_of_rfc_6962() {
    const ENTRIES: u8 = 21;
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let mut leaves = Vec::new();
    for number in 0..ENTRIES {
        let entry =
            Entry { request: Some([number; 32]), ..Entry::new(NOW, Kind::Refusal, "usage") };
        assert_eq!(store.append(&entry).unwrap(), u64::from(number));
        leaves.push(entry.to_bytes().unwrap());
    }
    let size = u64::from(ENTRIES);
    let root = |size: u64| merkle(&leaves[..usize::try_from(size).unwrap()]);
    for size in 0..=size {
        assert_eq!(store.tree_hash(size).unwrap(), root(size), "{size}");
        for index in 0..size {
            let proof = store.inclusion(index, size).unwrap();
            let leaf = leaf_hash(&leaves[usize::try_from(index).unwrap()]);
            let verify =
                |proof: &[_], index| verify_inclusion(proof, size, &root(size), index, &leaf);
            assert_eq!(verify(&proof, index), Ok(()));
            assert_eq!(verify(&proof, (index + 1) % (size + 1)), Err(InvalidProof));
            let longer = [proof.as_slice(), &[[0; 32]]].concat();
            assert_eq!(verify(&longer, index), Err(InvalidProof));
        }
        for old in 0..=size {
            let proof = store.consistency(old, size).unwrap();
            let (new, before) = (root(size), root(old));
            assert_eq!(verify_consistency(&proof, (size, &new), (old, &before)), Ok(()));
            let other = verify_consistency(&proof, (size, &new), (old, &[9; 32]));
            assert_eq!(other, Err(InvalidProof));
            let other = verify_consistency(&proof, (size, &[9; 32]), (old, &before));
            assert!(other.is_err() || old == 0, "everything begins with nothing");
        }
    }
    assert!(store.tree_hash(size + 1).is_err());
    assert!(store.inclusion(size, size).is_err());
    assert!(store.consistency(1, size + 1).is_err());
    assert_eq!(store.entry(size).unwrap(), None);
}

#[test]
fn a_leaf_is_hashed_as_certificate_transparency_does() {
    // The hash of an empty leaf, from the reference vectors of RFC 6962.
    let empty = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
    assert_eq!(hex(&leaf_hash(b"")), empty);
}

#[test]
fn proofs_from_strangers_are_bounded() {
    let long = vec![[0; 32]; MAX_PROOF_HASHES + 1];
    assert_eq!(verify_inclusion(&long, 5, &[0; 32], 1, &[0; 32]), Err(InvalidProof));
    assert_eq!(verify_consistency(&long, (5, &[0; 32]), (2, &[0; 32])), Err(InvalidProof));
    for size in [u64::MAX, 1 << 63] {
        assert_eq!(verify_inclusion(&[], size, &[0; 32], size - 1, &[0; 32]), Err(InvalidProof));
        let grown = verify_consistency(&[], (size, &[0; 32]), (size - 1, &[0; 32]));
        assert_eq!(grown, Err(InvalidProof));
    }
    assert_eq!(verify_consistency(&[], (3, &[0; 32]), (4, &[0; 32])), Err(InvalidProof));
    assert_eq!(verify_inclusion(&[], 0, &[0; 32], 0, &[0; 32]), Err(InvalidProof));
}

#[test]
fn an_entry_that_is_none_is_not_appended() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    assert!(store.append(&Entry::new(NOW, Kind::Refusal, "a sentence")).is_err());
    assert_eq!(store.size().unwrap(), 0);
}
