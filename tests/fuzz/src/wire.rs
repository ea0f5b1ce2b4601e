//! Wire to request: everything that a node, the coordinator or the witness decodes from a peer.
//!
//! The first byte says which message the others are. Whatever is accepted keeps to the named limits, means
//! the same when it is encoded and decoded again, and passes for signed only if it was signed.

use std::sync::LazyLock;

use model::{HospitalId, RefusalCode};
use privacy::blind::GuardSecret;
use privacy::domain::MAX_CELLS;
use privacy::open::Opened;
use privacy::request::{MAX_DIMENSIONS, MAX_GROUPS, MAX_SQL_BYTES};
use privacy::reveal::{Total, reveal, reveal_noisy};
use privacy::shape::MAX_ENTRIES;
use privacy::{Combined, Leave, Noise, Offer, Policy, RoundNoise, Scope, Shape};
use proto::{
    Assembler, Message, OpenedAssembler, ReceivedOffer, add_cells, decode_claim, decode_offer,
    decode_request, decode_sid, decode_signature, decode_terms, decode_upload, encode_claim,
    encode_offer, encode_opened, encode_request, encode_terms, encode_upload, from_record,
    to_record, v1,
};
use query::question::{Planner, Question};
use zeroize::Zeroizing;

use crate::parties::{PER_HOSPITAL, Round, parties, planner, question, wait};
use crate::round::judged;

/// Most places of a domain that are named.
const PLACES_LOOKED_AT: usize = 64;
/// Cells that a stream of cells may have here.
const MOST_CELLS: usize = 1 << 12;

/// Decodes one message.
pub fn wire(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind {
        b'r' => request(bytes),
        b'c' => claim(bytes),
        b't' => terms(bytes, false),
        b'p' => terms(bytes, true),
        b'o' => offer(bytes),
        b'u' => upload(bytes),
        b'h' => header(bytes),
        b'n' => names(bytes),
        b'v' => cells(bytes),
        b'w' => opened(bytes),
        b'a' => release(bytes),
        b'j' => judged(bytes),
        _ => {}
    }
}

fn decoded<M: Message + Default>(bytes: &[u8]) -> Option<M> {
    M::decode(bytes).ok()
}

/// The messages of a stream, each behind its length.
fn stream<M: Message + Default>(mut bytes: &[u8]) -> Vec<M> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let Ok(message) = M::decode_length_delimited(&mut bytes) else { break };
        messages.push(message);
    }
    messages
}

fn request(bytes: &[u8]) {
    let Some(wire) = decoded::<v1::ReleaseRequest>(bytes) else { return };
    let deadline_ms = wire.deadline_ms;
    let Ok(request) = decode_request(wire) else { return };
    let again = decode_request(encode_request(&request, deadline_ms)).unwrap();
    assert_eq!(again, request);
    assert_eq!(again.hash(), request.hash());
    assert_eq!(again.question(), request.question());
    assert!(!request.asker().is_empty() && request.relation_sql().len() <= MAX_SQL_BYTES);
    assert!(request.dimensions().len() <= MAX_DIMENSIONS);
    assert!(request.cells() <= MAX_CELLS);
    for domain in request.domains() {
        let places = domain.size().min(PLACES_LOOKED_AT);
        assert!((0..places).all(|place| domain.code(place).is_some() || place == 0));
    }
    match request.scope() {
        Scope::Pooled => {
            if let Ok(shape) = Shape::of(&request) {
                assert!(shape.columns() * shape.cells() <= MAX_ENTRIES);
            }
        }
        Scope::PerHospital => {
            match privacy::admit(request.clone(), &Policy::answering(), Leave::None) {
                Ok(admitted) => {
                    assert_eq!(*admitted.request(), request);
                    assert!(request.rho_micro().is_none());
                }
                // The policy has no budget for noise.
                Err(refusal) => {
                    assert_eq!(refusal.code, RefusalCode::Budget, "{refusal:?}");
                    assert!(request.rho_micro().is_some());
                }
            }
        }
    }
}

fn claim(bytes: &[u8]) {
    let Some(wire) = decoded(bytes) else { return };
    let Ok(claim) = decode_claim(wire) else { return };
    assert_eq!(decode_claim(encode_claim(&claim)).unwrap(), claim);
}

fn terms(bytes: &[u8], proposed: bool) {
    let Some(wire) = decoded(bytes) else { return };
    let Ok(terms) = decode_terms(wire, proposed) else { return };
    let again = decode_terms(encode_terms(&terms), proposed).unwrap();
    assert_eq!(again, terms);
    assert_eq!(again.sid(), terms.sid());
    assert!(terms.shape.columns() * terms.shape.cells() <= MAX_ENTRIES);
    let _ = terms.check(&parties().roster);
}

fn offer(bytes: &[u8]) {
    let Some(wire) = decoded(bytes) else { return };
    let Ok(offer) = decode_offer(wire) else { return };
    let ReceivedOffer { request, terms, signatures, round_key, sealed_guard_key, veil, .. } =
        &offer;
    let deadline_ms = offer.deadline_ms;
    let (keys, sealed) = ((round_key, veil), sealed_guard_key);
    let wire = encode_offer(terms, signatures, request, keys, sealed, deadline_ms);
    let again = decode_offer(wire).unwrap();
    assert_eq!(again.veil.extents, veil.extents);
    assert_eq!((&again.request, &again.terms), (request, terms));
    assert_eq!((again.signatures, again.deadline_ms), (*signatures, deadline_ms));
    assert_eq!(again.round_key.as_bytes(), round_key.as_bytes());
    assert_eq!(again.sealed_guard_key, *sealed_guard_key);
    admit(offer);
}

/// What a node does with an offer. Only the one that both authorities signed gets anywhere.
fn admit(offer: ReceivedOffer) {
    let parties = parties();
    let ReceivedOffer { request, terms, signatures, round_key, roster, veil, .. } = offer;
    if let Some(Ok(roster)) = roster.map(|one| one.verify(&parties.authority, "east")) {
        assert_eq!(roster, parties.roster);
    }
    let Ok(terms) = terms.vouched(&parties.roster, &signatures) else { return };
    assert_eq!(terms.terms(), &parties.round.terms, "somebody else's terms pass for signed");
    let guard_key = GuardSecret::new(Zeroizing::new([1; 32])).key(terms.sid());
    let offer = Offer { request, terms, round_key, guard_key, veil };
    let own: HospitalId = "h-1".parse().unwrap();
    if let Ok(round) = privacy::admit_round(offer, &Policy::answering(), &own, Leave::None) {
        assert_eq!(round.admitted().request().hash(), parties.round.request.hash());
    }
}

fn upload(bytes: &[u8]) {
    let Some(wire) = decoded(bytes) else { return };
    let Ok(upload) = decode_upload(wire) else { return };
    assert_eq!(decode_upload(encode_upload(&upload)).unwrap(), upload);
}

/// What opens a round at the witness.
fn header(bytes: &[u8]) {
    let Some(header) = decoded::<v1::OpenHeader>(bytes) else { return };
    let parsed = decode_sid(&header.sid).and_then(|sid| {
        decode_signature(&header.signature)?;
        let uploads: Result<Vec<_>, _> = header.uploads.into_iter().map(decode_upload).collect();
        Ok((sid, uploads?))
    });
    let Ok((_, uploads)) = parsed else { return };
    assert!(uploads.iter().all(|upload| !upload.hospital.as_str().is_empty()));
}

/// Names of codes: at the witness, who unites hidden names, and at the coordinator, who reads them.
fn names(bytes: &[u8]) {
    let Some(wire) = decoded::<v1::UniteRequest>(bytes) else { return };
    let lists = wire.lists.iter().map(|list| list.sealed.as_slice());
    let Ok(union) = privacy::discover::unite(lists) else { return };
    let key = privacy::discover::NameKey::new(&parties().round.key).unwrap();
    for code in union.iter().filter_map(|hidden| key.read(hidden).ok()) {
        assert!(union.contains(&key.hide(&code).unwrap()), "a name has one hidden form");
    }
}

fn cells(bytes: &[u8]) {
    let mut vector = Vec::new();
    for part in stream::<v1::Cells>(bytes) {
        let before = vector.len();
        let added = add_cells(&mut vector, &part, MOST_CELLS).is_ok();
        assert_eq!(vector.len() - before, if added { part.cells.len() / 16 } else { 0 });
        assert!(vector.len() <= MOST_CELLS);
    }
}

/// What the witness opens, as the coordinator puts it together and reads it.
fn opened(bytes: &[u8]) {
    static NOTHING: LazyLock<Total> = LazyLock::new(|| Total::new(&parties().round.terms.shape));
    let Round { terms, request, key, .. } = &parties().round;
    let mut assembler = OpenedAssembler::new(&terms.shape);
    for part in stream(bytes) {
        if assembler.add(part).is_err() {
            return;
        }
    }
    let Ok((opened, signature)) = assembler.finish() else { return };
    let mut second = OpenedAssembler::new(&terms.shape);
    encode_opened(&opened, signature.as_ref()).for_each(|part| second.add(part).unwrap());
    let again: (Opened, _) = second.finish().unwrap();
    assert_eq!(again, (opened, signature));
    // Nobody uploaded anything here, so what is opened has no sum; it may be refused, and no more.
    if let Ok(combined) = reveal(&NOTHING, &again.0, request, &terms.shape, key) {
        assert!(combined.groups.len() <= terms.shape.cells());
    }
    // The same of a question with noise.
    let request = request.clone().with_noise(Some(5_000));
    let shape = Shape::of(&request).unwrap();
    let nothing = Total::new(&shape);
    let noise = RoundNoise::of(Noise::default(), 5_000, &request);
    if let Ok(combined) = reveal_noisy(&nothing, &again.0, &request, &shape, key, (&noise, 0)) {
        assert!(combined.groups.len() <= shape.cells());
        assert_eq!(combined.withheld_cells, 0);
    }
}

/// Somebody who asked hospitals for their own cells.
struct Asker {
    planner: Planner,
    question: Question,
}

/// One hospital's own release, as the coordinator puts it together, adds it up and finishes it.
fn release(bytes: &[u8]) {
    static ASKER: LazyLock<Asker> =
        LazyLock::new(|| Asker { planner: planner(), question: question(PER_HOSPITAL) });
    let Ok(chunks) = from_record(bytes) else { return };
    assert_eq!(from_record(&to_record(&chunks)).unwrap(), chunks);
    let asked = ASKER.question.requests("ana", &[]).unwrap().remove(0);
    let mut assembler = Assembler::new(&asked);
    for chunk in chunks {
        if assembler.add(chunk).is_err() {
            return;
        }
    }
    let Ok(received) = assembler.finish() else { return };
    assert!(received.groups.len() <= MAX_GROUPS);
    let groups = received.groups.len();
    let mut combined = Combined::default();
    if combined.add(received, asked.measures()).is_err() {
        return;
    }
    assert!(combined.groups.len() <= groups);
    // Cells that no honest hospital has are an error, or numbers like any others.
    let combined = [combined];
    let batches = wait(ASKER.planner.answer(&ASKER.question, &combined));
    if let Ok(batches) = batches {
        let rows: usize = batches.iter().map(|batch| batch.num_rows()).sum();
        assert_eq!(rows, combined[0].groups.len());
        assert!(ASKER.question.approximations(&combined).iter().all(|one| one.exact <= one.groups));
    }
}
