//! A small region at rest, for the tests of the audit: three nodes, a coordinator, a witness.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use model::HospitalId;
use privacy::Scope;
use privacy::roster::{HospitalKeys, Roster, SignedRoster};
use privacy::sign::SigningKey;
use privacy::sketch::{Mark, Role, Sketch, Told};
use rusqlite::Connection;

use super::{Finding, verify};
use crate::cosign::Shown;
use crate::entry::{Entry, Kind};
use crate::ledger::{Outcome, Reservation};
use crate::rounds::Round;
use crate::{FILE, Store};

pub(super) const NOW: &str = "2026-11-21T08:30:00Z";
pub(super) const DAY: &str = "2026-11-21";
pub(super) const HOSPITALS: u8 = 3;

pub(super) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32])
}

pub(super) fn hospital(number: u8) -> String {
    format!("h-{number}")
}

pub(super) fn roster() -> Roster {
    let keys = |n| HospitalKeys { sign: key(10 + n).verify_key(), seal: [n; 32] };
    let hospitals: BTreeMap<HospitalId, _> =
        (0..HOSPITALS).map(|n| (hospital(n).parse().unwrap(), keys(n))).collect();
    let (a, b) = (key(1).verify_key(), key(2).verify_key());
    let signed = SignedRoster::sign(&key(9), "east", 1, a, b, &hospitals);
    signed.verify(&key(9).verify_key(), "east").unwrap()
}

/// A party with its file and key.
pub(super) struct Member {
    pub(super) store: Store,
    pub(super) key: SigningKey,
}

impl Member {
    pub(super) fn open(folder: &Path, uri: &str, seed: u8) -> Self {
        let store = Store::open(&folder.join(FILE), &uri.parse().unwrap(), NOW).unwrap();
        Self { store, key: key(seed) }
    }

    /// Has its log cosigned by `other`.
    pub(super) fn show(&self, other: &Self) {
        let checkpoint = self.store.checkpoint(&self.key).unwrap();
        let known = other.store.accepted(self.store.party()).unwrap();
        let known = known.map_or(0, |checkpoint| checkpoint.size());
        let proof = self.store.consistency(known, checkpoint.size()).unwrap();
        let shown = Shown { checkpoint: &checkpoint.to_bytes(), proof: &proof };
        let line = other.store.cosign(shown, &self.key.verify_key(), &other.key).unwrap();
        let (size, by) = (checkpoint.size(), other.store.party());
        self.store.add_cosignature(size, &line, by, &other.key.verify_key()).unwrap();
    }
}

/// Three nodes, a coordinator and a witness.
pub(super) struct Region {
    pub(super) coordinator: Member,
    pub(super) witness: Member,
    pub(super) nodes: Vec<Member>,
}

impl Region {
    pub(super) fn open(root: &Path) -> Self {
        let node = |number| {
            let folder = root.join("nodes").join(hospital(number)).join("data");
            Member::open(&folder, &format!("spiffe://east/node/h-{number}"), 10 + number)
        };
        Self {
            coordinator: Member::open(
                &root.join("coordinator"),
                "spiffe://east/coordinator/main",
                1,
            ),
            witness: Member::open(&root.join("witness"), "spiffe://east/witness/main", 2),
            nodes: (0..HOSPITALS).map(node).collect(),
        }
    }

    /// A pooled question, from the uploads to the answer.
    pub(super) fn pooled(&self, number: u8) {
        let sid = [number; 32];
        for node in &self.nodes {
            let ticket = node.store.reserve(&reservation(number, Some(sid))).unwrap();
            node.store.commit(ticket, &outcome(None)).unwrap();
        }
        let hospitals: Vec<HospitalId> =
            (0..HOSPITALS).map(|n| hospital(n).parse().unwrap()).collect();
        for party in [&self.witness, &self.coordinator] {
            let family = [7; 32];
            let told = told(number);
            let round =
                Round { at: NOW, day: DAY, sid, family, hospitals: &hospitals, told: &told };
            party.store.open_round(&round).unwrap();
        }
        let release = Entry { sid: Some(sid), ..Entry::new(NOW, Kind::Release, "answered") };
        self.coordinator.store.append(&release).unwrap();
    }

    /// A question by hospital, and one that is given back.
    pub(super) fn by_hospital(&self, number: u8) {
        for node in &self.nodes {
            let ticket = node.store.reserve(&reservation(number, None)).unwrap();
            let told = told(number);
            let outcome = Outcome { told: &told, ..outcome(Some(b"cells of this hospital")) };
            node.store.commit(ticket, &outcome).unwrap();
            let ticket = node.store.reserve(&reservation(number + 1, None)).unwrap();
            node.store.refund(ticket, NOW, "too_large").unwrap();
        }
    }

    pub(super) fn cosign(&self) {
        for node in &self.nodes {
            node.show(&self.coordinator);
            node.show(&self.witness);
        }
        self.coordinator.show(&self.witness);
        self.witness.show(&self.coordinator);
    }
}

pub(super) fn reservation(number: u8, sid: Option<[u8; 32]>) -> Reservation<'static> {
    Reservation {
        at: NOW,
        asker: "ana",
        day: DAY,
        allowance: 1_000,
        request: [number; 32],
        snapshot: "s-1",
        policy: [2; 32],
        sid,
        scope: if sid.is_some() { Scope::Pooled } else { Scope::PerHospital },
        noise: None,
        project: None,
    }
}

/// Somebody's population.
fn told(number: u8) -> [Told; 1] {
    let mut sketch = Sketch::default();
    sketch.add(Mark::of(&[number; 16], &[number + 1; 16]));
    [Told::new(sketch, Role::Whole)]
}

pub(super) fn outcome(answer: Option<&'static [u8]>) -> Outcome<'static> {
    let withheld = &["minimum_cell"];
    Outcome {
        at: NOW,
        mode: "masked",
        withheld,
        output: [5; 32],
        receipt: b"signed",
        answer,
        told: &[],
    }
}

/// A region that has answered a few questions and is at rest; made once and copied.
pub(super) fn region() -> tempfile::TempDir {
    static MADE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let region = Region::open(folder.path());
        for number in 0..4 {
            region.pooled(number);
            region.by_hospital(100 + 2 * number);
            region.cosign();
        }
        folder
    });
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in files(made.path()).iter().zip(files(folder.path())) {
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    }
    folder
}

pub(super) fn files(root: &Path) -> Vec<PathBuf> {
    let nodes = (0..HOSPITALS).map(|n| root.join("nodes").join(hospital(n)).join("data"));
    let authorities = ["coordinator", "witness"].map(|name| root.join(name));
    authorities.into_iter().chain(nodes).map(|folder| folder.join(FILE)).collect()
}

/// The file of hospital h-0, which most tests alter.
pub(super) fn node_file(root: &Path) -> PathBuf {
    root.join("nodes/h-0/data").join(FILE)
}

/// What is found wrong in the region.
pub(super) fn findings(root: &Path) -> Vec<Finding> {
    verify(&files(root), &[roster()]).findings
}

/// Changes a file behind its party's back.
pub(super) fn alter(file: &Path, sql: &str) {
    let connection = Connection::open(file).unwrap();
    connection.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).unwrap();
}
