//! The whole service without its network, with the test in the coordinator's place.

mod afterwards;
mod noisy;

use futures::StreamExt as _;
use futures::stream;
use model::RefusalCode;
use privacy::Terms;
use privacy::conceal::seed_binding;
use privacy::discover::{NameKey, buckets_digest, names_digest, pack};
use privacy::reveal::reveal;
use privacy::seal::seal;
use privacy::sign::Context;
use privacy::terms::Signatures;
use proto::{encode_terms, encode_upload, v1};
use record::{Checkpoint, Entry, Kind, Store};
use service::status::refusal_of;
use tonic::{Code, Status};
use v1::open_part::Part;
use zeroize::Zeroizing;

use crate::config::{Limits, Rules};
use crate::fixture::*;

/// The code of a refusal, and its subject.
fn code<T>(outcome: Result<T, Status>) -> (RefusalCode, String) {
    let status = outcome.err().expect("a refusal");
    let refusal = refusal_of(&status).unwrap_or_else(|| panic!("no refusal: {status:?}"));
    (refusal.code, refusal.subject)
}

fn is(code: RefusalCode, subject: &str) -> (RefusalCode, String) {
    (code, subject.to_owned())
}

/// Five hospitals: `a` passes, `b` is one hospital's nearly alone, `c` has too few persons, and `d`,
/// the smallest of the others, is withheld beside it.
fn groups(number: u8) -> Vec<privacy::partial::PartialGroup> {
    let cost = if number == 0 { 40_000_000 } else { 100_000 };
    let few = group("c", u32::from(number % 2), 70_000);
    vec![group("a", 4, 250_000), group("b", 5, cost), few, group("d", 3, 90_000)]
}

async fn honest(world: &World, nonce: u8, hospitals: u8) -> (Agreed, Collected) {
    honest_under(world, world.proposal(&sums_by_code(), nonce, hospitals)).await
}

async fn honest_under(world: &World, terms: Terms) -> (Agreed, Collected) {
    let hospitals = u8::try_from(terms.hospitals.len()).unwrap();
    let agreed = world.agree(&sums_by_code(), terms).await;
    let held: Vec<_> = (0..hospitals).map(|n| (n, groups(n))).collect();
    let collected = world.collect(&agreed, held.iter().map(|(n, g)| (*n, g.as_slice())));
    (agreed, collected)
}

#[tokio::test]
async fn an_honest_round_opens_what_reaches_the_rules_and_nothing_else() {
    let world = World::new();
    let (agreed, collected) = honest(&world, 1, 5).await;
    let (opened, signature) = world.open(&agreed, &collected).await.unwrap();
    assert_eq!(signature, None, "a round with measures is no discovery");
    let Agreed { request, terms, round_key, .. } = &agreed;
    let combined = reveal(&collected.total, &opened, request, &terms.shape, round_key).unwrap();
    let named = |code: &str| combined.groups.get(&vec![Some(code.to_owned())]);
    let a = named("a").unwrap();
    assert_eq!((a.cells.as_slice(), a.withheld.as_slice()), {
        ([20, 20, 20 * 250_000].as_slice(), [false, false].as_slice())
    });
    assert_eq!(named("b").unwrap().withheld, [false, true], "one hospital has most of the money");
    assert!(named("c").is_none(), "two persons");
    assert!(named("d").is_none(), "with a total, it would tell c");
    assert_eq!((combined.withheld_cells, combined.withheld_measures), (2, 1));
    assert_eq!(world.outcomes(), ["opened"]);
    assert_eq!(world.desk.book().counts(), (0, 1), "keys and seeds are gone, the name is kept");
}

#[tokio::test]
async fn a_round_opens_once_also_after_a_restart() {
    let mut world = World::new();
    let (agreed, collected) = honest(&world, 1, 5).await;
    world.open(&agreed, &collected).await.unwrap();
    let replay = is(RefusalCode::Replay, "sid");
    assert_eq!(code(world.open(&agreed, &collected).await), replay);
    world.hand.advance(LIFE);
    world.desk.sweep();
    assert_eq!(code(world.open(&agreed, &collected).await), replay, "the record remembers");
    world.restart();
    assert_eq!(code(world.open(&agreed, &collected).await), replay);
    let (lost, uploads) = honest(&world, 2, 5).await;
    world.restart();
    let unknown = is(RefusalCode::Offer, "sid");
    assert_eq!(code(world.open(&lost, &uploads).await), unknown, "its keys died with the witness");
    assert_eq!(world.outcomes(), ["opened"]);
}

#[tokio::test]
async fn a_round_ends_with_its_life_and_a_nonce_is_countersigned_once() {
    let world = World::new();
    let (agreed, collected) = honest(&world, 1, 5).await;
    let again = world.countersign(&world.proposal(&sums_by_code(), 1, 5)).await;
    assert_eq!(code(again), is(RefusalCode::Replay, "nonce_a"));
    world.hand.advance(LIFE);
    let late = world.open(&agreed, &collected).await;
    assert_eq!(code(late), is(RefusalCode::Offer, "sid"));
    world.desk.sweep();
    assert_eq!(world.desk.book().counts(), (0, 0), "nothing is left of it");
    assert!(world.outcomes().is_empty());
}

#[tokio::test]
async fn proposals_keep_to_the_witness_s_own_rules() {
    let world = World::new();
    let good = world.proposal(&sums_by_code(), 1, 5);
    type Change = fn(&mut Terms);
    let cases: [(Change, &str); 11] = [
        (|t| t.floor.persons = 10, "floor.persons"),
        (|t| t.floor.stays = 10, "floor.stays"),
        (|t| t.floor.hospitals = 2, "floor.hospitals"),
        (|t| t.floor.dominance_e4 = 5_626, "floor.dominance_e4"),
        (|t| t.floor.persons = 0, "floor"),
        (|t| t.lifetime_ms = 0, "lifetime"),
        (|t| t.lifetime_ms = 600_001, "lifetime"),
        (|t| t.region = "west".to_owned(), "region"),
        (|t| t.hospitals[4] = "h-99".parse().unwrap(), "hospitals"),
        (|t| t.hospitals.swap(0, 1), "hospitals"),
        (|t| t.hospitals.truncate(2), "hospitals"),
    ];
    for (change, subject) in cases {
        let mut terms = good.clone();
        change(&mut terms);
        assert_eq!(code(world.countersign(&terms).await), is(RefusalCode::Offer, subject));
    }
    let wrong = Terms { roster: [0; 32], ..good.clone() };
    assert_eq!(code(world.countersign(&wrong).await), is(RefusalCode::RosterUnknown, "roster"));
    let nothing = world.desk.countersign(v1::Proposal::default()).await;
    assert_eq!(code(nothing), is(RefusalCode::Request, "terms"));
    world.countersign(&good).await.unwrap();

    let rules = Some(Rules { floor: FLOOR, quorum: 5 });
    let limits = Limits { max_lifetime_ms: 29_999, ..Limits::default() };
    let strict = World::with(rules, limits);
    let few = strict.countersign(&good_of(&strict, 4)).await;
    assert_eq!(code(few), is(RefusalCode::Quorum, "hospitals"));
    let long = strict.countersign(&good_of(&strict, 5)).await;
    assert_eq!(code(long), is(RefusalCode::Offer, "lifetime"));
    let closed = World::with(None, Limits::default());
    let refused = closed.countersign(&good_of(&closed, 5)).await;
    assert_eq!(code(refused), is(RefusalCode::PolicyUnset, "rules"));
}

fn good_of(world: &World, hospitals: u8) -> Terms {
    world.proposal(&sums_by_code(), 1, hospitals)
}

#[tokio::test]
async fn a_newer_roster_is_taken_over_only_from_the_authority() {
    let world = World::new();
    let offered = |signed: &privacy::roster::SignedRoster, nonce: u8| {
        let hash = signed.verify(&key(AUTHORITY).verify_key(), "east").map(|r| r.hash());
        let mut terms = world.proposal(&sums_by_code(), nonce, 6);
        terms.roster = hash.unwrap_or([1; 32]);
        let proposal =
            v1::Proposal { terms: Some(encode_terms(&terms)), roster: signed.to_bytes() };
        let desk = std::sync::Arc::clone(&world.desk);
        async move { desk.countersign(proposal).await }
    };
    for (signed, expected) in [
        (roster(8, 2, 6, WITNESS), RefusalCode::Offer),
        (roster(AUTHORITY, 1, 6, WITNESS), RefusalCode::RosterUnknown),
        (roster(AUTHORITY, 0, 6, WITNESS), RefusalCode::RosterUnknown),
    ] {
        assert_eq!(code(offered(&signed, 1).await), is(expected, "roster"));
    }
    let newer = roster(AUTHORITY, 2, 6, WITNESS);
    offered(&newer, 2).await.unwrap();
    let kept = std::fs::read(world.folder.path().join("roster.json")).unwrap();
    assert_eq!(kept, newer.to_bytes(), "it is stored");
    let foreign = roster(AUTHORITY, 3, 6, 55);
    let refused = offered(&foreign, 3).await;
    assert_eq!(code(refused), is(RefusalCode::RosterUnknown, "roster"), "another witness's key");
}

#[tokio::test]
async fn open_rounds_are_bounded() {
    let limits = Limits { max_open_rounds: 2, ..Limits::default() };
    let world = World::with(Some(Rules { floor: FLOOR, quorum: 3 }), limits);
    let (agreed, collected) = honest(&world, 1, 3).await;
    world.countersign(&world.proposal(&sums_by_code(), 2, 3)).await.unwrap();
    let third = world.proposal(&sums_by_code(), 3, 3);
    let full = world.countersign(&third).await.unwrap_err();
    assert_eq!(full.code(), Code::ResourceExhausted);
    world.open(&agreed, &collected).await.unwrap();
    world.countersign(&third).await.unwrap();
    let fourth = world.proposal(&sums_by_code(), 4, 3);
    world.countersign(&fourth).await.unwrap_err();
    world.hand.advance(LIFE);
    world.countersign(&fourth).await.unwrap();
}

#[tokio::test]
async fn a_header_that_is_not_in_order_ends_the_round() {
    let world = World::new();
    type Change = fn(&Agreed, &mut v1::OpenHeader);
    let cases: [(Change, RefusalCode, &str); 9] = [
        (|a, h| h.signature = forged(a).as_bytes().to_vec(), RefusalCode::Offer, "coordinator"),
        (|_, h| h.signature.clear(), RefusalCode::Request, "signature"),
        (|_, h| h.uploads.truncate(2), RefusalCode::Quorum, "hospitals"),
        (|_, h| h.uploads.swap(0, 1), RefusalCode::Request, "uploads"),
        (|_, h| h.uploads[1] = h.uploads[0].clone(), RefusalCode::Request, "uploads"),
        (|_, h| h.uploads.push(h.uploads[0].clone()), RefusalCode::Request, "uploads"),
        (|_, h| h.uploads[1].hash[0] ^= 1, RefusalCode::Offer, "receipt"),
        (
            // Another hospital's proof under this one's name.
            |_, h| h.uploads[1] = v1::Upload { hospital: "h-1".into(), ..h.uploads[2].clone() },
            RefusalCode::Offer,
            "receipt",
        ),
        (
            // Signed by the hospital, but sealed for another round.
            |a, h| {
                let bound = seed_binding(&[0; 32], &hospital(1), &[3; 32]);
                let random = Zeroizing::new([8; 32]);
                let key = &a.terms.witness_key;
                let sealed = seal(key, "seed", &bound, &[5; 32], random).unwrap();
                h.uploads[1] = encode_upload(&proof(a, 1, [3; 32], sealed));
            },
            RefusalCode::Offer,
            "sealed_seed",
        ),
    ];
    for (nonce, (change, expected, subject)) in (1u8..).zip(cases) {
        let (agreed, collected) = honest(&world, nonce, 5).await;
        let shape = &agreed.terms.shape;
        let mut header = header(&agreed, &collected);
        change(&agreed, &mut header);
        let parts = open_parts(header, collected.total.witnessed(shape));
        assert_eq!(code(world.open_parts(parts, shape).await), is(expected, subject));
        let again = world.open(&agreed, &collected).await;
        assert_eq!(code(again), is(RefusalCode::Replay, "sid"), "no second attempt");
        assert_eq!(world.outcomes().last().unwrap(), expected.as_str());
    }
    assert!(!world.outcomes().contains(&"opened".to_owned()));
}

#[tokio::test]
async fn a_hospital_outside_the_round_has_no_upload_in_it() {
    let world = World::new();
    let whole = world.agree(&sums_by_code(), good_of(&world, 6)).await;
    let five = world.agree(&sums_by_code(), world.proposal(&sums_by_code(), 2, 5)).await;
    let held = groups(1);
    let sixth = world.collect(&whole, [(5, held.as_slice())]).proofs.remove(0);
    let parts = [0, 1, 2].map(|n| (n, held.as_slice()));
    let mut collected = world.collect(&five, parts);
    collected.proofs.push(sixth);
    assert_eq!(code(world.open(&five, &collected).await), is(RefusalCode::Request, "uploads"));
}

#[tokio::test]
async fn sums_that_are_not_the_hospitals_own_are_never_opened() {
    let world = World::new();
    type Change = fn(&mut Vec<u128>);
    let cases: [Change; 5] = [
        |s| s[0] = s[0].wrapping_add(7),
        |s| s.swap(0, 1),
        |s| s[5] = s[5].wrapping_add(1 << 127),
        |s| s.fill(0),
        |s| {
            let last = s.len() - 1;
            s[last] = s[last].wrapping_sub(1);
        },
    ];
    for (nonce, change) in (1u8..).zip(cases) {
        let (agreed, collected) = honest(&world, nonce, 5).await;
        let shape = &agreed.terms.shape;
        let mut sums = collected.total.witnessed(shape).to_vec();
        change(&mut sums);
        let parts = open_parts(header(&agreed, &collected), &sums);
        let outcome = world.open_parts(parts, shape).await;
        assert_eq!(code(outcome), is(RefusalCode::Request, "cells"), "case {nonce}");
        assert_eq!(world.outcomes().len(), usize::from(nonce));
        assert_eq!(world.outcomes().last().unwrap(), "tampered");
    }
}

#[tokio::test]
async fn a_list_without_one_of_the_hospitals_is_noticed() {
    let world = World::new();
    let (agreed, mut collected) = honest(&world, 1, 5).await;
    collected.proofs.remove(3);
    assert_eq!(code(world.open(&agreed, &collected).await), is(RefusalCode::Request, "cells"));
    assert_eq!(world.outcomes(), ["tampered"], "nothing was opened");
}

#[tokio::test]
async fn streams_of_another_form_are_refused() {
    let world = World::new();
    let malformed = |nonce: u8, change: fn(&mut Vec<v1::OpenPart>)| {
        let world = &world;
        async move {
            let (agreed, collected) = honest(world, nonce, 5).await;
            let shape = &agreed.terms.shape;
            let witnessed = collected.total.witnessed(shape);
            let mut parts = open_parts(header(&agreed, &collected), witnessed);
            change(&mut parts);
            code(world.open_parts(parts, shape).await)
        }
    };
    let shorten: fn(&mut Vec<v1::OpenPart>) = |parts| {
        let Some(Part::Cells(cells)) = &mut parts[1].part else { panic!("cells") };
        cells.cells.truncate(16);
    };
    assert_eq!(malformed(1, shorten).await, is(RefusalCode::Request, "cells"));
    let longer: fn(&mut Vec<v1::OpenPart>) = |parts| {
        let cells = v1::Cells { cells: vec![0; 16] };
        parts.push(v1::OpenPart { part: Some(Part::Cells(cells)) });
    };
    assert_eq!(malformed(2, longer).await, is(RefusalCode::Request, "cells"));
    let torn: fn(&mut Vec<v1::OpenPart>) = |parts| {
        let cells = v1::Cells { cells: vec![0; 15] };
        parts.insert(1, v1::OpenPart { part: Some(Part::Cells(cells)) });
    };
    assert_eq!(malformed(3, torn).await, is(RefusalCode::Request, "cells"));
    let empty: fn(&mut Vec<v1::OpenPart>) = |parts| {
        parts.push(v1::OpenPart { part: Some(Part::Cells(v1::Cells::default())) });
    };
    assert_eq!(malformed(4, empty).await, is(RefusalCode::Request, "parts"));
    let twice: fn(&mut Vec<v1::OpenPart>) = |parts| parts.push(parts[0].clone());
    assert_eq!(malformed(5, twice).await, is(RefusalCode::Request, "parts"));
    let headless: fn(&mut Vec<v1::OpenPart>) = |parts| drop(parts.remove(0));
    assert_eq!(malformed(6, headless).await, is(RefusalCode::Request, "parts"));
    let foreign: fn(&mut Vec<v1::OpenPart>) = |parts| {
        let Some(Part::Header(header)) = &mut parts[0].part else { panic!("a header") };
        header.sid = vec![7; 32];
    };
    assert_eq!(malformed(7, foreign).await, is(RefusalCode::Offer, "sid"));
    let broken = stream::iter([Err(Status::cancelled("gone"))]);
    let status = world.desk.open(broken).await.err().unwrap();
    assert_eq!(status.code(), Code::Cancelled);
}

#[tokio::test]
async fn almost_the_same_hospitals_are_refused_before_anything_is_opened() {
    let world = World::new();
    let (agreed, collected) = honest(&world, 1, 7).await;
    world.open(&agreed, &collected).await.unwrap();
    for (nonce, hospitals, apart) in [(2, 6, 1), (3, 5, 2)] {
        let (agreed, collected) = honest(&world, nonce, hospitals).await;
        let status = world.open(&agreed, &collected).await.unwrap_err();
        let refusal = refusal_of(&status).unwrap();
        assert_eq!(refusal.code, RefusalCode::Quorum);
        assert!(refusal.reason.contains(&format!("differ by {apart}")), "{}", refusal.reason);
        assert!(refusal.instead.contains("same hospitals"), "{}", refusal.instead);
    }
    for (nonce, hospitals) in [(4, 7), (5, 4)] {
        let (agreed, collected) = honest(&world, nonce, hospitals).await;
        world.open(&agreed, &collected).await.unwrap();
    }
    assert_eq!(world.outcomes(), ["opened", "quorum", "quorum", "opened", "opened"]);
}
