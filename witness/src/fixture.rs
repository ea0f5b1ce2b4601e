//! A witness with its files, and a test that plays coordinator and hospitals.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::StreamExt as _;
use model::HospitalId;
use model::moments::Scale;
use privacy::blind::{GuardSecret, RoundKey};
use privacy::conceal::{Receipt, guard_binding, seed_binding};
use privacy::domain::Domain;
use privacy::mask::Seed;
use privacy::open::Opened;
use privacy::partial::{PartialGroup, Support};
use privacy::policy::Pooled;
use privacy::request::RequestParts;
use privacy::reveal::Total;
use privacy::roster::{HospitalKeys, SignedRoster};
use privacy::seal::{SealKey, seal};
use privacy::sign::{Context, Signature, SigningKey};
use privacy::sketch::{Population, Sketch, Sketched};
use privacy::terms::Signatures;
use privacy::{
    Floor, Input, Measure, Offer, Partial, Policy, ReleaseRequest, Round, Scope, Shape, Terms,
    Veil, VeilKey, admit_round, conceal,
};
use proto::{
    OpenedAssembler, UploadProof, cells_part, cells_parts, encode_terms, encode_upload, v1,
};
use record::{Standing, StandingFiles, Store};
use service::clock::ManualClock;
use tokio_stream::iter;
use tonic::Status;
use v1::open_part::Part;
use zeroize::Zeroizing;

use crate::config::{Limits, Rules};
use crate::desk::Desk;
use crate::veil::HeldVeil;

/// Hospitals of the region: `h-0` to `h-6`.
pub(crate) const HOSPITALS: u8 = 7;
/// The rules of witness and hospitals.
pub(crate) const FLOOR: Floor = Floor { persons: 11, stays: 11, hospitals: 3, dominance_e4: 5_625 };
/// Life of a round.
pub(crate) const LIFE: Duration = Duration::from_secs(30);

pub(crate) const AUTHORITY: u8 = 9;
pub(crate) const COORDINATOR: u8 = 1;
pub(crate) const WITNESS: u8 = 2;

/// A witness in a folder of its own.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) desk: Arc<Desk>,
    pub(crate) hand: ManualClock,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) limits: Limits,
}

/// A countersigned round, as the coordinator holds it.
#[derive(Debug, Clone)]
pub(crate) struct Agreed {
    pub(crate) terms: Terms,
    pub(crate) signatures: Signatures,
    pub(crate) request: ReleaseRequest,
    pub(crate) round_key: RoundKey,
    guard_keys: Vec<Vec<u8>>,
}

/// What hospitals have uploaded.
#[derive(Debug, Clone)]
pub(crate) struct Collected {
    pub(crate) total: Total,
    pub(crate) proofs: Vec<UploadProof>,
}

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32])
}

pub(crate) fn hospital(number: u8) -> HospitalId {
    format!("h-{number}").parse().unwrap()
}

pub(crate) fn hospital_key(number: u8) -> SigningKey {
    key(100 + number)
}

fn keys_of(number: u8) -> (HospitalId, HospitalKeys) {
    let signing = hospital_key(number);
    let seal = SealKey::from_signing(&signing).public();
    (hospital(number), HospitalKeys { sign: signing.verify_key(), seal })
}

/// A roster with `hospitals` hospitals, signed by `authority`.
pub(crate) fn roster(authority: u8, version: u64, hospitals: u8, witness: u8) -> SignedRoster {
    let hospitals: BTreeMap<_, _> = (0..hospitals).map(keys_of).collect();
    let (a, b) = (key(COORDINATOR).verify_key(), key(witness).verify_key());
    SignedRoster::sign(&key(authority), "east", version, a, b, &hospitals)
}

/// The sum of a money column over the codes a, b and c.
pub(crate) fn sums_by_code() -> ReleaseRequest {
    let codes = ["a", "b", "c"].map(str::to_owned).to_vec();
    let parts = RequestParts {
        scope: Scope::Pooled,
        asker: "ana".to_owned(),
        relation_sql: "SELECT 1".to_owned(),
        dimensions: vec!["code".to_owned()],
        domains: vec![Domain::open(codes, true).unwrap()],
        inputs: vec![Input { scale: Scale::Decimal(4), bound: 1 << 40, money: true }],
        measures: vec![Measure::Rows, Measure::Sum(0)],
        supports: vec![0, 1],
    };
    parts.try_into().unwrap()
}

/// Persons in eight buckets, whose salt is the round's sid.
pub(crate) fn discovery(salt: [u8; 32]) -> ReleaseRequest {
    let parts = RequestParts {
        scope: Scope::Pooled,
        asker: "ana".to_owned(),
        relation_sql: "SELECT 2".to_owned(),
        dimensions: vec!["code".to_owned()],
        domains: vec![Domain::Buckets { bits: 3, level: 0, salt }],
        inputs: Vec::new(),
        measures: Vec::new(),
        supports: Vec::new(),
    };
    parts.try_into().unwrap()
}

/// A group of `persons` persons with a stay each, all of the same cost.
pub(crate) fn group(label: &str, persons: u32, cost: i128) -> PartialGroup {
    let count = u64::from(persons);
    PartialGroup {
        key: vec![Some(label.to_owned())],
        rows: count,
        stays: count,
        persons: count,
        cells: vec![i128::from(count), i128::from(count), i128::from(count) * cost],
        supports: vec![Support::group(), [count].into_iter().collect()],
        bins: Vec::new(),
    }
}

/// A group of a discovery.
pub(crate) fn bucket(number: u32, persons: u64) -> PartialGroup {
    let (rows, stays) = (persons, persons);
    let key = vec![Some(number.to_string())];
    PartialGroup {
        key,
        rows,
        stays,
        persons,
        cells: Vec::new(),
        supports: Vec::new(),
        bins: Vec::new(),
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Some(Rules { floor: FLOOR, quorum: 3 }), Limits::default())
    }

    pub(crate) fn with(rules: Option<Rules>, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("signing.key"), key(WITNESS).to_text().as_str()).unwrap();
        let authority = key(AUTHORITY).verify_key().to_string();
        std::fs::write(at("authority.key.pub"), authority).unwrap();
        std::fs::write(at("roster.json"), roster(AUTHORITY, 1, HOSPITALS, WITNESS).to_bytes())
            .unwrap();
        let hand = ManualClock::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_249_800));
        let desk = open_desk(folder.path(), &hand, rules, limits);
        Self { desk, hand, folder, limits }
    }

    /// The witness after a crash: what was in memory only is gone.
    pub(crate) fn restart(&mut self) {
        let rules = self.desk.rules;
        // The record is one process's at a time, so the old one ends first.
        let gone = std::mem::replace(&mut self.desk, Self::new().desk);
        drop(gone);
        self.desk = open_desk(self.folder.path(), &self.hand, rules, self.limits);
    }

    /// Terms as the coordinator proposes them to the hospitals `h-0` to `h-(n-1)`.
    pub(crate) fn proposal(&self, request: &ReleaseRequest, nonce: u8, hospitals: u8) -> Terms {
        Terms {
            region: "east".to_owned(),
            nonce_a: [nonce; 32],
            nonce_b: [0; 32],
            request: request.hash(),
            family: request.family(),
            round_key: round_key(nonce).commitment(),
            veiled: [0; 32],
            witness_key: [0; 32],
            floor: FLOOR,
            roster: self.desk.standing.roster().unwrap().hash(),
            hospitals: (0..hospitals).map(hospital).collect(),
            shape: Shape::of(request).unwrap(),
            lifetime_ms: u32::try_from(LIFE.as_millis()).unwrap(),
            noise: None,
        }
    }

    pub(crate) async fn countersign(&self, terms: &Terms) -> Result<v1::Countersigned, Status> {
        let terms = Some(encode_terms(terms));
        self.desk.countersign(v1::Proposal { terms, roster: Vec::new() }).await
    }

    /// A round under these proposed terms, countersigned and signed.
    pub(crate) async fn agree(&self, request: &ReleaseRequest, mut terms: Terms) -> Agreed {
        let nonce = terms.nonce_a[0];
        let reply = self.countersign(&terms).await.unwrap();
        terms.nonce_b = reply.nonce_b.as_slice().try_into().unwrap();
        terms.witness_key = reply.witness_key.as_slice().try_into().unwrap();
        let witness = Signature::try_from(reply.signature.as_slice()).unwrap();
        let signatures = Signatures { coordinator: terms.sign(&key(COORDINATOR)), witness };
        let buckets = matches!(request.domains(), [Domain::Buckets { .. }]);
        let request = if buckets { discovery(terms.sid()) } else { request.clone() };
        let round_key = round_key(nonce);
        Agreed { terms, signatures, request, round_key, guard_keys: reply.guard_keys }
    }

    /// What the hospitals with these groups upload.
    pub(crate) fn collect<'a>(
        &self,
        agreed: &Agreed,
        parts: impl IntoIterator<Item = (u8, &'a [PartialGroup])>,
    ) -> Collected {
        let mut total = Total::new(&agreed.terms.shape);
        let mut proofs = Vec::new();
        for (number, groups) in parts {
            let (bytes, proof) = self.upload(agreed, number, groups);
            total.add(&bytes).unwrap();
            proofs.push(proof);
        }
        Collected { total, proofs }
    }

    /// A hospital's round: verified and admitted as a node does it.
    fn round(&self, agreed: &Agreed, number: u8) -> Round {
        let (terms, own) = (agreed.terms.clone(), hospital(number));
        let place = terms.hospitals.binary_search(&own).unwrap();
        let bound = guard_binding(&terms.roster, &own);
        let seal_key = SealKey::from_signing(&hospital_key(number));
        let secret = seal_key.open("guard", &bound, &agreed.guard_keys[place]).unwrap();
        let guard_key = GuardSecret::from_slice(&secret).unwrap().key(&terms.sid());
        let roster = self.desk.standing.roster().unwrap();
        let offer = Offer {
            request: agreed.request.clone(),
            terms: terms.vouched(&roster, &agreed.signatures).unwrap(),
            round_key: agreed.round_key.clone(),
            guard_key,
            veil: Veil {
                key: VeilKey::new(Zeroizing::new([70; 32])),
                extents: BTreeMap::new(),
                constants: BTreeMap::new(),
            },
        };
        let pooled = Pooled { local_minimum: 1, ..Pooled::default() };
        let noise = Some(privacy::Noise::default());
        let policy = Policy { pooled, noise, ..Policy::answering() };
        admit_round(offer, &policy, &own, privacy::Leave::None).unwrap()
    }

    fn upload(
        &self,
        agreed: &Agreed,
        number: u8,
        groups: &[PartialGroup],
    ) -> (Vec<u8>, UploadProof) {
        let round = self.round(agreed, number);
        let nobody = match agreed.terms.shape.sketched() {
            Sketched::Nothing => Population::Untold,
            _ => Population::Cells(vec![Sketch::default(); groups.len()]),
        };
        let partial = Partial::new(round.admitted().clone(), groups.to_vec(), nobody, 1_000, false);
        let (secret, own) = ([50 + number; 32], hospital(number));
        let concealed = conceal(partial, &round, &Seed::new(Zeroizing::new(secret))).unwrap();
        let bytes = concealed.entries().iter().flat_map(|cell| cell.to_le_bytes()).collect();
        let (sid, hash) = (agreed.terms.sid(), concealed.hash());
        let bound = seed_binding(&sid, &own, &hash);
        let random = Zeroizing::new([60 + number; 32]);
        let sealed = seal(&agreed.terms.witness_key, "seed", &bound, &secret, random).unwrap();
        let proof = proof(agreed, number, hash, sealed);
        (bytes, proof)
    }

    /// Opens with `header` and cells, in messages of the usual size.
    pub(crate) async fn open_parts(
        &self,
        parts: Vec<v1::OpenPart>,
        shape: &Shape,
    ) -> Result<(Opened, Option<Signature>), Status> {
        let mut stream = self.desk.open(iter(parts.into_iter().map(Ok))).await?;
        let mut assembler = OpenedAssembler::new(shape);
        while let Some(part) = stream.next().await {
            assembler.add(part?).unwrap();
        }
        Ok(assembler.finish().unwrap())
    }

    pub(crate) async fn open(
        &self,
        agreed: &Agreed,
        collected: &Collected,
    ) -> Result<(Opened, Option<Signature>), Status> {
        let shape = &agreed.terms.shape;
        let witnessed = collected.total.witnessed(shape);
        self.open_parts(open_parts(header(agreed, collected), witnessed), shape).await
    }

    /// Codes of the log's entries.
    pub(crate) fn outcomes(&self) -> Vec<String> {
        let size = self.desk.store.size().unwrap();
        let entry = |index| self.desk.store.entry(index).unwrap().unwrap();
        (0..size).map(|index| entry(index).outcome).collect()
    }
}

fn open_desk(
    folder: &std::path::Path,
    hand: &ManualClock,
    rules: Option<Rules>,
    limits: Limits,
) -> Arc<Desk> {
    let files = StandingFiles {
        key: folder.join("signing.key"),
        roster: folder.join("roster.json"),
        authority: folder.join("authority.key.pub"),
    };
    let standing = Standing::open(&files, "east").unwrap();
    let party = "spiffe://east/witness/main".parse().unwrap();
    let store = Store::open(&folder.join(record::FILE), &party, "2026-11-21T08:30:00Z").unwrap();
    let veil = HeldVeil::of(folder).unwrap();
    Arc::new(Desk::new(standing, store, rules, limits, veil, hand.clock()).unwrap())
}

pub(crate) fn round_key(nonce: u8) -> RoundKey {
    RoundKey::new(Zeroizing::new([nonce ^ 0x5a; 32]))
}

/// What a hospital vouches for.
pub(crate) fn proof(agreed: &Agreed, number: u8, hash: [u8; 32], sealed: Vec<u8>) -> UploadProof {
    let (sid, request) = (agreed.terms.sid(), agreed.terms.request);
    let receipt = Receipt::of(sid, request, hash, &sealed);
    let receipt = receipt.sign(&hospital_key(number));
    UploadProof { hospital: hospital(number), sealed_seed: sealed, receipt, hash }
}

pub(crate) fn header(agreed: &Agreed, collected: &Collected) -> v1::OpenHeader {
    v1::OpenHeader {
        sid: agreed.terms.sid().to_vec(),
        signature: agreed.signatures.coordinator.as_bytes().to_vec(),
        uploads: collected.proofs.iter().map(encode_upload).collect(),
        veiled: None,
    }
}

pub(crate) fn open_parts(header: v1::OpenHeader, witnessed: &[u128]) -> Vec<v1::OpenPart> {
    let cells = (0..cells_parts(witnessed.len())).map(|n| Part::Cells(cells_part(witnessed, n)));
    let parts = [Part::Header(header)].into_iter().chain(cells);
    parts.map(|part| v1::OpenPart { part: Some(part) }).collect()
}

/// A signature over a round by somebody else.
pub(crate) fn forged(agreed: &Agreed) -> Signature {
    key(77).sign(Context::Offer, &agreed.terms.sid())
}
