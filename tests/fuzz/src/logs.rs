//! Logs and what else a party keeps: entries, proofs, decisions, populations, and whole files.
//!
//! Bytes that were damaged or written by somebody else are an error or a finding, never a way to go on with
//! something else; what can be read has one form.

use std::sync::LazyLock;

use node::steward::Decisions;
use privacy::roster::Roster;
use privacy::sketch::{Known, Place, Role, SKETCH_BYTES, Sketch, Told};
use record::audit::verify;
use record::log::{leaf_hash, verify_consistency, verify_inclusion};
use record::{Archive, Entry, FILE, Store};

use crate::parties::parties;
use crate::records::{records, tampered};

/// Bytes that one patch writes over, at most.
const PATCH_BYTES: usize = 40;
/// Most patches of one file.
const MOST_PATCHES: usize = 16;

/// Reads bytes as they are stored; the first one says of which kind.
pub fn logs(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind {
        b'e' => entry(bytes),
        b'i' => inclusion(bytes),
        b'c' => consistency(bytes),
        b'd' => std::str::from_utf8(bytes).map_or((), decisions),
        b'p' => place(bytes),
        b's' => sketch(bytes),
        b'0'..=b'2' => audited(usize::from(kind - b'0'), bytes, false),
        b'3'..=b'5' => audited(usize::from(kind - b'3'), bytes, true),
        b'o' => reopened(bytes),
        _ => {}
    }
}

fn entry(bytes: &[u8]) {
    let Ok(entry) = Entry::parse(bytes) else { return };
    assert_eq!(entry.to_bytes().as_deref(), Ok(bytes), "an entry has one form");
    let is_sentence = |text: &str| text.contains(char::is_whitespace);
    assert!(!is_sentence(&entry.outcome) && !entry.withheld.iter().any(|rule| is_sentence(rule)));
}

/// A number of eight bytes, and what follows.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*number), rest))
}

/// A proof that an entry is in the log of the hospital. It proves what is so and nothing else.
fn inclusion(bytes: &[u8]) {
    let Some((index, bytes)) = number(bytes) else { return };
    let Some((size, bytes)) = number(bytes) else { return };
    let (proof, rest) = bytes.as_chunks::<32>();
    let records = records();
    let at = |place: u64| usize::try_from(place).ok();
    let leaf = leaf_hash(rest);
    let root = at(size).and_then(|size| records.roots.get(size)).unwrap_or(&records.roots[1]);
    if verify_inclusion(proof, size, root, index, &leaf).is_ok() {
        let entry = at(index).and_then(|index| records.entries.get(index)).unwrap();
        assert_eq!(entry.to_bytes().as_deref(), Ok(rest), "something else is proved to be there");
    }
    // Any root at all, as a checkpoint of a stranger could have it.
    if let Some((root, proof)) = proof.split_first() {
        let _ = verify_inclusion(proof, size, root, index, &leaf);
    }
}

/// A proof that one log begins with another.
fn consistency(bytes: &[u8]) {
    let Some((old, bytes)) = number(bytes) else { return };
    let Some((new, bytes)) = number(bytes) else { return };
    let (proof, _) = bytes.as_chunks::<32>();
    let Some(([old_root, new_root], proof)) = proof.split_first_chunk() else { return };
    let claimed = verify_consistency(proof, (new, new_root), (old, old_root));
    if claimed.is_ok() {
        assert!(old <= new && (old < new || old_root == new_root));
        let roots = &records().roots;
        let root = |size: u64| usize::try_from(size).ok().and_then(|size| roots.get(size));
        // What continues to the hospital's log began as it.
        if root(new) == Some(new_root) {
            assert_eq!(root(old), Some(old_root), "another beginning is proved");
        }
    }
}

/// A steward's decisions.
fn decisions(text: &str) {
    let Ok(decisions) = Decisions::parse(text) else { return };
    assert_eq!(decisions.questions().count(), text.lines().count());
    for question in decisions.questions() {
        let before = decisions.about(question, "0000-00-00").unwrap();
        let line = text.lines().rfind(|line| *line == before.line);
        assert!(line.is_some(), "a decision stands in a line");
        let after = decisions.about(question, "9999-99-99");
        assert!(after.is_none_or(|after| after == before));
    }
}

/// Where a population stands, as it is kept.
fn place(bytes: &[u8]) {
    let Some(place) = Place::from_bytes(bytes) else { return };
    assert_eq!(Place::from_bytes(&place.to_bytes()), Some(place.clone()));
    let (sketch, mut known) = (Sketch::default(), Known::default());
    assert!(!known.would_follow(&place, &sketch, 10), "nothing is known yet");
    known.learn(&[Told::new(sketch, Role::Cell).at(Some(place.clone()))]);
    assert!(!known.would_follow(&place, &Sketch::default(), 10), "what was told may be told again");
}

/// A population, as it is kept.
fn sketch(bytes: &[u8]) {
    let Some(sketch) = Sketch::from_bytes(bytes) else { return };
    assert_eq!(bytes.len(), SKETCH_BYTES);
    assert_eq!(sketch.to_bytes(), bytes);
    assert_eq!(Sketch::from_cells(sketch.to_cells()), sketch);
    let nothing = sketch.without(&sketch);
    assert!(nothing == Sketch::default() && sketch.apart(&nothing, 5) <= 6);
}

/// Places and bytes that are written over a file there: two bytes of place, one of length, the bytes.
fn patches(mut bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let mut patches = Vec::new();
    while let Some(([high, low, length], rest)) = bytes.split_first_chunk() {
        // Files are some hundred kilobytes, so places are four bytes apart.
        let place = usize::from(u16::from_be_bytes([*high, *low])) * 4 + usize::from(length >> 6);
        let length = (usize::from(*length) % PATCH_BYTES).min(rest.len());
        patches.push((place, &rest[..length]));
        bytes = &rest[length..];
        if patches.len() == MOST_PATCHES {
            break;
        }
    }
    patches
}

/// One of the region's files, tampered with, before an auditor: by itself, or beside the others.
fn audited(which: usize, bytes: &[u8], beside: bool) {
    static ROSTER: LazyLock<[Roster; 1]> = LazyLock::new(|| [parties().roster.clone()]);
    let folder = tempfile::tempdir().unwrap();
    let patches = patches(bytes);
    let write = |index: usize| {
        let own: &[_] = if index == which { &patches } else { &[] };
        tampered(&records().files[index], &folder.path().join(index.to_string()), own)
    };
    let file = write(which);
    let others = (0..records().files.len()).filter(|index| beside && *index != which);
    let files: Vec<_> = std::iter::once(file.clone()).chain(others.map(write)).collect();
    let report = verify(&files, &*ROSTER);
    let is_whole = patches.iter().all(|(_, patch)| patch.is_empty());
    assert!(!is_whole || report.findings.is_empty(), "{:?}", report.findings);
    assert!(report.findings.len() <= 1_000 && report.parties.len() <= files.len());
    if let Ok(archive) = Archive::open(&file) {
        let _ = (archive.waiting(), archive.releases(100), archive.entries(100), archive.size());
    }
}

/// The hospital's own file, damaged, when its node starts.
fn reopened(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let file = tampered(&records().files[0], folder.path(), &patches(bytes));
    let own = "spiffe://east/node/h-1".parse().unwrap();
    let Ok(store) = Store::open(&file, &own, "2026-11-22T08:30:00Z") else { return };
    assert_eq!(store.party(), &own);
    assert_eq!(file.file_name().and_then(|name| name.to_str()), Some(FILE));
    let _ = (store.spent("ana", "2026-11-21"), store.receipt(0), store.newest_checkpoint());
    let _ = store.survivor_sets(&[7; 32]);
}
