//! The records of all parties of a region, read while it runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use privacy::roster::{Roster, SignedRoster};
use privacy::sign::{hex, unhex32};
use record::audit::{self, PartyReport};
use record::{Archive, Entry, FILE, Kind};
use service::clock::rfc3339;
use tests::{Answer, REGION, Region, USER, now};

use super::case::{AtAuthority, AtNode, Case};
use super::{HOSPITALS, VICTIM};

const COORDINATOR: &str = "coordinator";
const WITNESS: &str = "witness";

/// One party's record.
#[derive(Debug)]
struct Book {
    entries: Vec<Entry>,
    /// Reservations that are neither committed nor given back.
    open: u64,
    /// Releases of today in the name of the user who asks.
    paid: u64,
}

/// The records of all parties; nodes by the hospital's id.
#[derive(Debug)]
pub(super) struct Books(BTreeMap<&'static str, Book>);

impl Books {
    /// Reads all records. They pass the audit, each by itself and against each other.
    pub(super) fn read(region: &Region) -> Self {
        let nodes = HOSPITALS.map(|(id, _)| (id, node_file(region, id)));
        let folder = region.folder();
        let authorities =
            [COORDINATOR, WITNESS].map(|party| (party, folder.join(party).join("data").join(FILE)));
        let (names, files): (Vec<_>, Vec<_>) = nodes.into_iter().chain(authorities).unzip();
        let report = audit::verify(&files, &[roster(region)]);
        assert_eq!(report.findings, [], "the audit");
        let books = files.iter().zip(&report.parties).map(|(file, party)| read(file, party));
        Self(names.into_iter().zip(books).collect())
    }

    fn entries(&self, party: &str, kind: Kind) -> impl Iterator<Item = &Entry> {
        self.0[party].entries.iter().filter(move |entry| entry.kind == kind)
    }

    fn of_round(&self, party: &str, kind: Kind, sid: [u8; 32]) -> usize {
        self.entries(party, kind).filter(|entry| entry.sid == Some(sid)).count()
    }

    /// Releases on record.
    pub(super) fn releases(&self, party: &str) -> usize {
        self.entries(party, Kind::Release).count()
    }

    /// Questions of today that the asker has paid for.
    pub(super) fn paid(&self, party: &str) -> u64 {
        self.0[party].paid
    }

    /// What was added to `earlier`. Nothing else has changed.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let added = self.0.iter().map(|(party, book)| {
            let before = &earlier.0[party];
            let (kept, added) = book.entries.split_at(before.entries.len());
            assert_eq!(kept, before.entries, "{party}");
            (*party, Book { entries: added.to_vec(), ..*book })
        });
        Self(added.collect())
    }

    /// The numbers of the rounds that the witness has opened.
    pub(super) fn rounds_at_the_witness(&self) -> impl Iterator<Item = [u8; 32]> {
        self.entries(WITNESS, Kind::Round).map(|entry| entry.sid.unwrap())
    }

    /// What is new is what the crash may leave, and no more.
    pub(super) fn agree_with(&self, case: &Case, point: &str) {
        let left = &case.left;
        for (id, _) in HOSPITALS {
            let found = (self.releases(id), self.entries(id, Kind::Refund).count());
            match left.victim.filter(|_| id == VICTIM) {
                Some(AtNode::Nothing) => assert_eq!(found, (0, 0), "{point}"),
                Some(AtNode::Reserved) => assert_eq!(found, (0, 1), "{point}"),
                Some(AtNode::Released) => assert_eq!(found, (1, 0), "{point}"),
                None => assert!(left.releases.contains(&found.0), "{point} at {id}: {found:?}"),
            }
        }
        let at = |party| AtAuthority {
            rounds: self.entries(party, Kind::Round).count(),
            releases: self.releases(party),
        };
        assert_eq!(at(COORDINATOR), left.coordinator, "{point}: coordinator");
        assert_eq!(at(WITNESS), left.witness, "{point}: witness");
    }

    /// Whoever is in an answer has it on record, once, under the number of its round.
    pub(super) fn hold_the_rounds_of(&self, answer: &Answer) {
        let missing = answer.missing();
        for sid in &answer.release.sids {
            let sid = unhex32(sid).unwrap();
            for (id, _) in HOSPITALS {
                if !missing.iter().any(|(gone, _)| *gone == id) {
                    assert_eq!(self.of_round(id, Kind::Release, sid), 1, "{id}");
                }
            }
            assert_eq!(self.of_round(COORDINATOR, Kind::Release, sid), 1);
            assert_eq!(self.of_round(COORDINATOR, Kind::Round, sid), 1);
            assert_eq!(self.of_round(WITNESS, Kind::Round, sid), 1);
        }
    }

    /// No reservation is open, no number was used twice, and no round was opened that hospitals do
    /// not have on record.
    pub(super) fn are_in_order(&self) {
        for (id, _) in HOSPITALS {
            assert_eq!(self.0[id].open, 0, "{id}");
            let mut settled = BTreeMap::new();
            for entry in &self.0[id].entries {
                if let (Kind::Release | Kind::Refund, Some(sid)) = (entry.kind, entry.sid) {
                    let earlier = settled.insert(sid, entry.kind);
                    assert_eq!(earlier, None, "{id}: {} twice", hex(&sid));
                }
            }
        }
        for party in [COORDINATOR, WITNESS] {
            for sid in self.entries(party, Kind::Round).map(|entry| entry.sid.unwrap()) {
                assert_eq!(self.of_round(party, Kind::Round, sid), 1, "{party}: {}", hex(&sid));
                assert!(self.of_round(party, Kind::Release, sid) <= 1, "{party}: {}", hex(&sid));
                assert_eq!(self.of_round(COORDINATOR, Kind::Round, sid), 1, "{}", hex(&sid));
                let has_it = |id: &&str| self.of_round(id, Kind::Release, sid) == 1;
                let on_record = HOSPITALS.iter().map(|(id, _)| id).filter(|id| has_it(id)).count();
                assert!(on_record >= HOSPITALS.len() - 1, "{party}: {}", hex(&sid));
            }
        }
    }
}

/// Reservations that are open at a node, which may be down.
pub(super) fn open_at(region: &Region, hospital: &str) -> u64 {
    let report = audit::verify(&[node_file(region, hospital)], &[roster(region)]);
    assert_eq!(report.findings, [], "the audit");
    report.parties[0].open
}

fn node_file(region: &Region, hospital: &str) -> PathBuf {
    region.site(hospital).folder().join("data").join(FILE)
}

fn read(file: &Path, party: &PartyReport) -> Book {
    let archive = Archive::open(file).unwrap();
    let entries = archive.entries(u32::MAX).unwrap();
    let entries = entries.into_iter().map(|(_, entry)| entry).collect();
    let today = rfc3339(now()).split('T').next().unwrap_or_default().to_owned();
    let releases = archive.releases(u32::MAX).unwrap();
    let own = releases.iter().filter(|row| row.asker == USER && row.at.starts_with(&today));
    Book { entries, open: party.open, paid: own.count() as u64 }
}

fn roster(region: &Region) -> Roster {
    let file = |name: &str| std::fs::read(region.pki().folder().join(name)).unwrap();
    let authority = String::from_utf8(file("authority.key.pub")).unwrap().parse().unwrap();
    let signed = SignedRoster::parse(&file("roster.json")).unwrap();
    signed.verify(&authority, REGION).unwrap()
}
