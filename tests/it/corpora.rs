//! What fuzzing has found worth keeping goes through its target once more, without a fuzzer.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// Kept inputs of all targets, in bytes; more is for minimising.
const MOST_BYTES: u64 = 1 << 20;
/// Kept inputs of all targets.
const MOST_FILES: usize = 1_500;

/// The kept inputs of a target.
fn kept(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|_| panic!("{}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{target} has no corpus");
    files
}

fn replay(name: &str) {
    let (_, target) = fuzz::TARGETS.into_iter().find(|(known, _)| *known == name).unwrap();
    for file in kept(name) {
        let input = std::fs::read(&file).unwrap();
        assert!(catch_unwind(|| target(&input)).is_ok(), "{}", file.display());
    }
}

#[test]
fn wire() {
    replay("wire");
}

#[test]
fn policy() {
    replay("policy");
}

#[test]
fn receipts() {
    replay("receipts");
}

#[test]
fn logs() {
    replay("logs");
}

#[test]
fn corpora_are_small_and_each_is_of_a_target() {
    let files: Vec<_> = fuzz::TARGETS.iter().flat_map(|(name, _)| kept(name)).collect();
    let bytes: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(files.len() <= MOST_FILES && bytes <= MOST_BYTES, "{} files, {bytes} B", files.len());
    let folders = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus"));
    assert_eq!(folders.unwrap().count(), fuzz::TARGETS.len());
}
