//! The records of a hospital, a coordinator and a witness, as they lie on disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use model::HospitalId;
use privacy::Scope;
use privacy::sign::SigningKey;
use privacy::sketch::{Extent, Frame, Mark, Place, Role, Sketch, Span, Told};
use record::cosign::Shown;
use record::{
    Decision, Entry, FILE, Kind, Matter, Outcome, Receipt, Reservation, Round, Store, Verdict,
    Waiting,
};

use crate::parties::key;

const NOW: &str = "2026-11-21T08:30:00Z";
const DAY: &str = "2026-11-21";
/// A line of `decisions.jsonl`, about question 0101...
pub(crate) const DECIDED: &str = "{\"at\":\"2026-11-21T08:30:00Z\",\"question\":\"\
     0101010101010101010101010101010101010101010101010101010101010101\",\
     \"decision\":\"approved\",\"until\":\"2026-12-31\",\"by\":\"mei\",\"why\":\"ethics 12/26\"}";

/// What lies on disk, and what is true of the hospital's log.
#[derive(Debug)]
pub(crate) struct Records {
    /// The hospital's file, the coordinator's and the witness's.
    pub(crate) files: [Vec<u8>; 3],
    /// The hospital's log.
    pub(crate) entries: Vec<Entry>,
    /// A receipt for each of its entries.
    pub(crate) receipts: Vec<Receipt>,
    /// Roots of its log by size, from 0.
    pub(crate) roots: Vec<[u8; 32]>,
    /// Proofs that its first entries are the beginning of more of them.
    pub(crate) continuations: Vec<(u64, u64, Vec<[u8; 32]>)>,
}

pub(crate) fn records() -> &'static Records {
    static RECORDS: LazyLock<Records> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str, uri: &str, number: u8| {
            let store =
                Store::open(&folder.path().join(name).join(FILE), &uri.parse().unwrap(), NOW);
            Member { store: store.unwrap(), key: key(number) }
        };
        let node = open("node", "spiffe://east/node/h-1", 11);
        let coordinator = open("coordinator", "spiffe://east/coordinator/main", 2);
        let witness = open("witness", "spiffe://east/witness/main", 3);
        release(&node.store);
        node.show(&witness);
        wait_and_decide(&node.store);
        rounds(&coordinator.store, &witness.store);
        node.show(&coordinator);
        coordinator.show(&witness);
        witness.show(&coordinator);
        let size = node.store.size().unwrap();
        let receipt = |index| node.store.receipt(index).unwrap().unwrap();
        let receipts: Vec<_> = (0..size).map(receipt).collect();
        let continuations = [(0, size), (1, 2), (2, size), (size, size)];
        let continuations = continuations.map(|(old, new)| {
            let proof = node.store.consistency(old, new).unwrap();
            (old, new, proof)
        });
        let entries = receipts.iter().map(|receipt| receipt.entry.clone()).collect();
        let roots = (0..=size).map(|size| node.store.tree_hash(size).unwrap()).collect();
        // A file is whole when it is closed.
        let paths = [node, coordinator, witness].map(|one| one.store.path().to_owned());
        let files = paths.map(|path| std::fs::read(path).unwrap());
        Records { files, entries, receipts, roots, continuations: continuations.to_vec() }
    });
    &RECORDS
}

/// A party.
struct Member {
    store: Store,
    key: SigningKey,
}

impl Member {
    /// Has its log cosigned by `other`.
    fn show(&self, other: &Self) {
        let known = other.store.accepted(self.store.party()).unwrap();
        let known = known.map_or(0, |checkpoint| checkpoint.size());
        let (checkpoint, proof) = self.store.show(&self.key, known).unwrap();
        let shown = Shown { checkpoint: &checkpoint.to_bytes(), proof: &proof };
        let line = other.store.cosign(shown, &self.key.verify_key(), &other.key).unwrap();
        let key = other.key.verify_key();
        self.store.add_cosignature(checkpoint.size(), &line, other.store.party(), &key).unwrap();
    }
}

/// Where a population of one month stands.
pub(crate) fn month(number: u8) -> Place {
    let month = Span { from: i64::from(number), until: i64::from(number) + 1 };
    let column = || "stay.discharged_at".to_owned();
    Frame {
        base: [number; 32],
        pins: BTreeMap::new(),
        dimensions: Vec::new(),
        locals: Vec::new(),
        local_dimensions: Vec::new(),
        has_whole: true,
        spans: BTreeMap::from([(column(), month)]),
        extents: BTreeMap::from([(column(), Extent { least: 0, most: 9, nulls: true })]),
        constants: BTreeMap::new(),
        told_apart: Vec::new(),
    }
    .whole()
}

fn told(number: u8) -> [Told; 1] {
    let mut sketch = Sketch::default();
    sketch.add(Mark::of(&[number; 16], &[number + 1; 16]));
    [Told::new(sketch, Role::Whole)]
}

/// Questions that were answered, masked and in the clear, and one that was given back.
fn release(node: &Store) {
    for number in 1..=4 {
        let sid = (number % 2 == 0).then_some([number; 32]);
        let reservation = Reservation {
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
        };
        let ticket = node.reserve(&reservation).unwrap();
        if number == 4 {
            node.refund(ticket, NOW, "too_large").unwrap();
            continue;
        }
        let answer: Option<&[u8]> = sid.is_none().then_some(b"cells of this hospital");
        let outcome = Outcome {
            at: NOW,
            mode: if sid.is_some() { "masked" } else { "clear" },
            withheld: &["minimum"],
            output: privacy::sha256(answer.unwrap_or_default()),
            receipt: &[],
            answer,
            told: &told(number),
        };
        node.commit(ticket, &outcome).unwrap();
    }
}

fn wait_and_decide(node: &Store) {
    let waiting = Waiting {
        matter: Matter::Question,
        question: [1; 32],
        asker: "ana",
        scope: Scope::Pooled,
        relation: "SELECT stay.drg_code AS d0 FROM stay",
        measures: "count",
        at: NOW,
    };
    node.wait(&waiting).unwrap();
    let decision = Decision { question: [1; 32], verdict: Verdict::Approved, line: DECIDED };
    assert!(node.decide(NOW, &decision).unwrap());
}

/// A round that the coordinator answered and the witness opened.
fn rounds(coordinator: &Store, witness: &Store) {
    let hospitals: Vec<HospitalId> =
        ["h-1", "h-2", "h-3"].iter().map(|id| id.parse().unwrap()).collect();
    let (sid, told) = ([2; 32], told(2));
    for party in [witness, coordinator] {
        let round =
            Round { at: NOW, day: DAY, sid, family: [7; 32], hospitals: &hospitals, told: &told };
        party.open_round(&round).unwrap();
    }
    let release = Entry { sid: Some(sid), ..Entry::new(NOW, Kind::Release, "answered") };
    coordinator.append(&release).unwrap();
}

/// Writes a party's file to `folder`, with some bytes written over.
pub(crate) fn tampered(file: &[u8], folder: &Path, patches: &[(usize, &[u8])]) -> PathBuf {
    let mut bytes = file.to_vec();
    for (offset, patch) in patches {
        let at = offset % bytes.len();
        let end = (at + patch.len()).min(bytes.len());
        bytes[at..end].copy_from_slice(&patch[..end - at]);
    }
    std::fs::create_dir_all(folder).unwrap();
    let copy = folder.join(FILE);
    std::fs::write(&copy, bytes).unwrap();
    copy
}
