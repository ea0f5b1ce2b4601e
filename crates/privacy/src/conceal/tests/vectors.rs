//! The published round: what a second implementation computes, byte for byte.

use std::collections::BTreeMap;

use model::HospitalId;
use model::moments::Scale;
use zeroize::Zeroizing;

use super::*;
use crate::admit::{Offer, admit_round};
use crate::blind::{GuardKey, GuardSecret, RoundKey};
use crate::domain::{Domain, Outside};
use crate::measure::{Input, Measure};
use crate::policy::Policy;
use crate::request::{ReleaseRequest, RequestParts, Scope};
use crate::roster::{HospitalKeys, Roster, SignedRoster};
use crate::sign::{SigningKey, hex};
use crate::sketch::{Extent, Frame, MARK_BYTES, Mark, Population, Sketch, Span};
use crate::terms::{Floor, Signatures, Terms};
use crate::veil::{Veil, VeilKey, Veiled};

/// Made by `testdata/round.py`, which shares no code with this crate.
const PUBLISHED: &str = include_str!("../../../testdata/round.txt");

fn key(byte: u8) -> SigningKey {
    SigningKey::from_seed([byte; 32])
}

fn hospitals() -> [HospitalId; 3] {
    ["h-1", "h-2", "h-3"].map(|name| name.parse().unwrap())
}

/// The fields of every line of this kind.
fn published(kind: &str) -> Vec<Vec<&'static str>> {
    let lines = PUBLISHED.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    lines.filter(|fields| fields[0] == kind).map(|fields| fields[1..].to_vec()).collect()
}

fn request() -> ReleaseRequest {
    let list = |codes: [&str; 2], outside| Domain::Codes {
        codes: codes.map(Into::into).to_vec(),
        outside,
    };
    let input = |digits, bound, money| Input { scale: Scale::Decimal(digits), bound, money };
    let parts = RequestParts {
        scope: Scope::Pooled,
        asker: "ana".into(),
        relation_sql: "SELECT stay.drg_code AS d0, stay.sex AS d1 FROM stay".into(),
        dimensions: vec!["drg_code".into(), "sex".into()],
        domains: vec![list(["A01", "B02"], Outside::Named), list(["F", "M"], Outside::None)],
        inputs: vec![
            input(4, 1_000_000_000_000, true),
            input(0, 400, false),
            input(2, 1 << 60, true),
            input(0, 5, false),
        ],
        measures: vec![
            Measure::Rows,
            Measure::Squares(0),
            Measure::Products(0, 1),
            Measure::Sum(2),
            Measure::Histogram(3, 7),
        ],
        supports: vec![0, 3, 4, 3, 2],
    };
    ReleaseRequest::try_from(parts).unwrap()
}

fn roster() -> Roster {
    let keys = (0x11..).zip(0x21..);
    let keys =
        keys.map(|(sign, seal)| HospitalKeys { sign: key(sign).verify_key(), seal: [seal; 32] });
    let (a, b) = (key(2).verify_key(), key(3).verify_key());
    let hospitals = hospitals().into_iter().zip(keys).collect();
    let signed = SignedRoster::sign(&key(1), "east", 1, a, b, &hospitals);
    signed.verify(&key(1).verify_key(), "east").unwrap()
}

fn round_key() -> RoundKey {
    RoundKey::new(Zeroizing::new([0x31; 32]))
}

fn guard_key() -> GuardKey {
    GuardSecret::new(Zeroizing::new([0x32; 32])).key(&terms().sid())
}

fn frame() -> Frame {
    let span = Span { from: 1_704_067_200, until: 1_711_929_600 };
    Frame {
        base: [0x34; 32],
        pins: [("stay.payer".into(), "UEBMI".into())].into(),
        dimensions: vec![Some("stay.drg_code".into()), Some("stay.sex".into())],
        locals: Vec::new(),
        local_dimensions: Vec::new(),
        has_whole: true,
        spans: [("stay.discharged_at".into(), span)].into(),
        extents: BTreeMap::new(),
        constants: BTreeMap::new(),
        told_apart: Vec::new(),
    }
}

fn veil() -> Veil {
    let extent = Extent { least: 1_706_745_600, most: 1_800_000_000, nulls: false };
    let extents = [("stay.discharged_at".into(), extent)].into();
    let constants = BTreeMap::new();
    Veil { key: VeilKey::new(Zeroizing::new([0x33; 32])), extents, constants }
}

fn veiled(request: &ReleaseRequest) -> Veiled {
    veil().over(&frame(), request, &Shape::of(request).unwrap(), &round_key()).unwrap()
}

fn terms() -> Terms {
    let request = request();
    Terms {
        region: "east".into(),
        nonce_a: [0x41; 32],
        nonce_b: [0x42; 32],
        request: request.hash(),
        family: request.family(),
        round_key: round_key().commitment(),
        veiled: veiled(&request).hash(),
        noise: None,
        witness_key: [0x43; 32],
        floor: Floor { persons: 11, stays: 11, hospitals: 3, dominance_e4: 5_625 },
        roster: roster().hash(),
        hospitals: hospitals().to_vec(),
        shape: Shape::of(&request).unwrap(),
        lifetime_ms: 60_000,
    }
}

fn signatures() -> Signatures {
    Signatures { coordinator: terms().sign(&key(2)), witness: terms().sign(&key(3)) }
}

fn numbers<T: std::str::FromStr>(text: &str) -> Vec<T> {
    text.split(',').filter_map(|number| number.parse().ok()).collect()
}

fn groups(hospital: &HospitalId) -> Vec<PartialGroup> {
    let code = |code: &str| (code != "-").then(|| code.to_owned());
    let group = |fields: &Vec<&str>| PartialGroup {
        key: vec![code(fields[1]), code(fields[2])],
        rows: fields[3].parse().unwrap(),
        stays: fields[4].parse().unwrap(),
        persons: fields[5].parse().unwrap(),
        cells: numbers(fields[6]),
        supports: fields[7].split('/').map(|sets| numbers(sets).into_iter().collect()).collect(),
        bins: numbers(fields[8]),
    };
    published("group").iter().filter(|fields| fields[0] == hospital.as_str()).map(group).collect()
}

/// Row `i` is of person `i` modulo the number of persons, and a stay of its own.
fn sketches(hospital: &HospitalId) -> Vec<Sketch> {
    let hmac = |text: String| -> [u8; MARK_BYTES] {
        let hash = crate::canonical::sha256(text.as_bytes());
        std::array::from_fn(|index| hash[index])
    };
    let sketch = |fields: &Vec<&str>| {
        let (code, persons) = (fields[1], fields[5].parse::<u32>().unwrap());
        let mut sketch = Sketch::default();
        for row in 0..fields[3].parse::<u32>().unwrap() {
            let person = hmac(format!("person {hospital} {code} {}", row % persons));
            let stay = hmac(format!("stay {hospital} {code} {row}"));
            sketch.add(Mark::of(&person, &stay));
        }
        sketch
    };
    published("group").iter().filter(|f| f[0] == hospital.as_str()).map(sketch).collect()
}

fn upload(hospital: &HospitalId, seed: u8) -> Concealed {
    let offer = Offer {
        request: request(),
        terms: terms().vouched(&roster(), &signatures()).unwrap(),
        round_key: round_key(),
        guard_key: guard_key(),
        veil: veil(),
    };
    let round = admit_round(offer, &Policy::answering(), hospital, crate::Leave::None).unwrap();
    let (groups, population) = (groups(hospital), Population::Cells(sketches(hospital)));
    let partial = Partial::new(round.admitted().clone(), groups, population, 1_000, false);
    let partial = partial.framed(frame());
    conceal(partial, &round, &Seed::new(Zeroizing::new([seed; 32]))).unwrap()
}

#[test]
fn hashes_names_and_signatures_are_the_published_ones() {
    let terms = terms();
    assert_eq!(published("request"), [[hex(&terms.request)]]);
    assert_eq!(published("family"), [[hex(&terms.family)]]);
    assert_eq!(published("roster"), [[hex(&terms.roster)]]);
    assert_eq!(published("veiled"), [[hex(&terms.veiled)]]);
    assert_eq!(published("sid"), [[hex(&terms.sid())]]);
    let Signatures { coordinator, witness } = signatures();
    let expected =
        [["coordinator", &hex(coordinator.as_bytes())], ["witness", &hex(witness.as_bytes())]];
    assert_eq!(published("signature"), expected);
}

#[test]
fn order_and_coefficients_are_the_published_ones() {
    let shape = terms().shape;
    let sizes = [shape.guards(), shape.columns()].map(|size| size.to_string());
    assert_eq!(published("columns"), [sizes]);
    let order: Vec<String> = round_key().order(12).iter().map(ToString::to_string).collect();
    assert_eq!(published("order"), [order]);
    let guard = guard_key().coefficients(shape.guards());
    let values = round_key().coefficients(shape.columns() - shape.guards() - 1);
    let line = |kind: &'static str| {
        move |(index, coefficient): (usize, u128)| {
            [kind.to_owned(), index.to_string(), hex(&coefficient.to_le_bytes())]
        }
    };
    let lines = guard.into_iter().enumerate().map(line("guard"));
    let lines: Vec<_> = lines.chain(values.into_iter().enumerate().map(line("value"))).collect();
    assert_eq!(published("coefficient"), lines);
}

#[test]
fn tags_are_the_published_ones() {
    let veiled = veiled(&request());
    let tags = veiled.whole.into_iter().chain(veiled.tags).map(|tag| format!("{tag:032x}"));
    assert_eq!(published("tags"), [tags.collect::<Vec<_>>()]);
}

#[test]
fn uploads_receipts_and_bindings_are_the_published_ones() {
    let sid = terms().sid();
    let (mut uploads, mut entries) = (Vec::new(), Vec::new());
    let (mut receipts, mut bindings) = (Vec::new(), Vec::new());
    for ((hospital, seed), signer) in hospitals().iter().zip(0x51..).zip(0x11..) {
        let upload = upload(hospital, seed);
        let name = hospital.to_string();
        uploads.push([name.clone(), hex(&upload.hash())]);
        for index in [0, upload.entries().len() - 1] {
            let entry = hex(&upload.entries()[index].to_le_bytes());
            entries.push([name.clone(), index.to_string(), entry]);
        }
        let sealed = crate::canonical::sha256(name.as_bytes());
        let receipt = Receipt { sid, request: request().hash(), upload: upload.hash(), sealed };
        let signature = hex(receipt.sign(&key(signer)).as_bytes());
        receipts.push([name.clone(), hex(&receipt.bytes()), signature]);
        let seed = seed_binding(&sid, hospital, &upload.hash());
        bindings.push([name, hex(&seed), hex(&guard_binding(&roster().hash(), hospital))]);
    }
    assert_eq!(published("upload"), uploads);
    assert_eq!(published("entry"), entries);
    assert_eq!(published("receipt"), receipts);
    assert_eq!(published("binding"), bindings);
}
