use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use clap::Parser as _;
use model::HospitalId;
use privacy::roster::{HospitalKeys, SignedRoster};
use privacy::sign::SigningKey;
use record::cosign::Shown;
use record::{Entry, FILE, Kind, Store};

use super::*;
use crate::args::{Cli, Command};
use crate::console::Console;
use crate::message::Lang;

const NOW: &str = "2026-11-21T08:30:00Z";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32])
}

/// A region folder with the records of a node and the witness, and the keys to check them with.
fn region() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let open = |place: &str, uri: &str| {
        Store::open(&root.join(place).join(FILE), &uri.parse().unwrap(), NOW).unwrap()
    };
    let node = open("nodes/h-001/data", "spiffe://east/node/h-001");
    let witness = open("witness", "spiffe://east/witness/main");
    for outcome in ["usage", "minimum", "replay"] {
        node.append(&Entry::new(NOW, Kind::Refusal, outcome)).unwrap();
    }
    let checkpoint = node.checkpoint(&key(3)).unwrap();
    let shown = Shown { checkpoint: &checkpoint.to_bytes(), proof: &[] };
    let line = witness.cosign(shown, &key(3).verify_key(), &key(2)).unwrap();
    node.add_cosignature(3, &line, witness.party(), &key(2).verify_key()).unwrap();
    let hospital = HospitalKeys { sign: key(3).verify_key(), seal: [3; 32] };
    let hospitals: BTreeMap<HospitalId, _> = [("h-001".parse().unwrap(), hospital)].into();
    let (a, b) = (key(1).verify_key(), key(2).verify_key());
    let roster = SignedRoster::sign(&key(9), "east", 1, a, b, &hospitals);
    fs::write(root.join("roster.json"), roster.to_bytes()).unwrap();
    fs::write(root.join("authority.key.pub"), format!("{}\n", key(9).verify_key())).unwrap();
    folder
}

/// The exit code of a command line.
fn code(root: &Path, words: &str) -> u8 {
    let dir = root.display().to_string();
    let words = format!("consilium audit {words}");
    let mut words: Vec<_> = words.split(' ').collect();
    words.extend(["--dir", &dir]);
    let cli = Cli::try_parse_from(words).unwrap();
    let Command::Audit(command) = &cli.command else { panic!("it is an audit") };
    let clock = service::Clock::system();
    let context = Context { console: Console::new(Lang::En, true), clock };
    run(command, &context).map_or_else(|failure| failure.code(), |()| 0)
}

/// Changes the first of these bytes in the record of the node.
fn tamper(root: &Path, text: &str) {
    let file = root.join("nodes/h-001/data").join(FILE);
    let mut bytes = fs::read(&file).unwrap();
    let found = bytes.windows(text.len()).position(|window| window == text.as_bytes());
    bytes[found.unwrap()] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn a_region_in_order_ends_well_and_one_that_was_tampered_with_does_not() {
    let folder = region();
    let root = folder.path();
    for words in ["verify", "verify --format json", "show", "show --party h-001 --format json"] {
        assert_eq!(code(root, words), 0, "{words}");
    }
    assert_eq!(code(root, "show --party h-9"), 64);
    tamper(root, "minimum");
    assert_eq!(code(root, "verify"), 65);
    assert_eq!(code(root, "verify --format json"), 65);
}

#[test]
fn keys_come_from_the_folder_or_the_command_line_and_have_to_fit() {
    let folder = region();
    let root = folder.path();
    let other = format!("verify --authority {}", key(8).verify_key());
    assert_eq!(code(root, &other), 65, "the roster is not by that authority");
    fs::rename(root.join("roster.json"), root.join("copy.json")).unwrap();
    fs::remove_file(root.join("authority.key.pub")).unwrap();
    assert_eq!(code(root, "verify"), 78);
    let given = format!("--authority {}", key(9).verify_key());
    assert_eq!(code(root, &format!("verify {given}")), 78);
    let roster = root.join("copy.json");
    assert_eq!(code(root, &format!("verify {given} --roster {}", roster.display())), 0);
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(code(empty.path(), "verify"), 78);
    assert_eq!(code(&root.join("nowhere"), "show"), 78);
}
