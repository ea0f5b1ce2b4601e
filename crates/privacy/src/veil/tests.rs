//! Tags say exactly what plain places say, and nothing in clear; a coordinator that tells the witness anything else
//! than the nodes is noticed.

use super::*;
use crate::conceal::conceal;
use crate::domain::Outside;
use crate::fixture::{Fixture, Row, blank, costs_by, groups_of, veil as no_extents};
use crate::partial::Partial;
use crate::terms::Floor;

const FLOOR: Floor = Floor { persons: 11, stays: 11, hospitals: 3, dominance_e4: 10_000 };
const MONTH: &str = "stay.discharged_at";
const CODES: [&str; 3] = ["a", "b", "c"];

fn key(byte: u8) -> VeilKey {
    VeilKey::new(Zeroizing::new([byte; 32]))
}

fn veil() -> Veil {
    let extents = [(MONTH.to_owned(), Extent { least: 100, most: 199, nulls: false })].into();
    Veil { key: key(1), extents, constants: BTreeMap::new() }
}

fn round_key(byte: u8) -> RoundKey {
    RoundKey::new(Zeroizing::new([byte; 32]))
}

fn frame(pins: &[(&str, &str)]) -> Frame {
    Frame {
        base: [7; 32],
        pins: pins.iter().map(|(c, l)| ((*c).to_owned(), (*l).to_owned())).collect(),
        dimensions: vec![Some("stay.drg_code".to_owned())],
        locals: Vec::new(),
        local_dimensions: Vec::new(),
        has_whole: true,
        spans: [(MONTH.to_owned(), Span { from: 120, until: i64::MAX })].into(),
        extents: BTreeMap::new(),
        constants: BTreeMap::new(),
        told_apart: Vec::new(),
    }
}

fn over(frame: &Frame, codes: &[&str], round: u8) -> Veiled {
    let request = costs_by(codes);
    let shape = Shape::of(&request).unwrap();
    veil().over(frame, &request, &shape, &round_key(round)).unwrap()
}

/// The tag of each code, wherever the round's order has put it.
fn by_code(veiled: &Veiled, codes: &[&str], round: u8) -> Vec<u128> {
    let order = round_key(round).order(veiled.tags.len());
    (0..codes.len()).map(|index| veiled.tags[order[index + 1] as usize]).collect()
}

#[test]
fn a_group_has_one_tag_in_all_rounds() {
    let (first, second) = (over(&frame(&[]), &CODES, 1), over(&frame(&[]), &["0", "b", "c"], 2));
    let tags = by_code(&first, &CODES, 1);
    assert_eq!(tags[1..], by_code(&second, &["0", "b", "c"], 2)[1..]);
    assert_ne!(tags[0], by_code(&second, &["0", "b", "c"], 2)[0]);
    // The group of a code is what a question about that code is about.
    let about_b = over(&frame(&[("stay.drg_code", "b")]), &CODES, 3);
    assert_eq!(about_b.whole, Some(tags[1]));
    assert_eq!(by_code(&about_b, &CODES, 3)[1], tags[1]);
    // And it is a group of what the groups are groups of.
    let [of, along] = about_b.cuts[0];
    assert_eq!((Some(of), Some(along)), (first.whole, first.along));
    // So two conditions are, in whichever order.
    let (one, two) = (("stay.sex", "1"), ("stay.drg_code", "b"));
    let by_sex = by_code(&over(&frame(&[one]), &CODES, 1), &CODES, 1);
    assert_eq!(over(&frame(&[one, two]), &CODES, 1).whole, Some(by_sex[1]));
    let mut all = [tags, by_sex, vec![first.whole.unwrap()]].concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 7, "and no two others have one");
}

#[test]
fn all_codes_beside_a_list_are_one_population_of_that_list() {
    let frame = frame(&[]);
    let other = |codes: &[&str]| {
        let codes: Vec<String> = codes.iter().map(|code| (*code).to_owned()).collect();
        let last = codes.len() + 1;
        let domain = Domain::Codes { codes, outside: Outside::Named };
        let tags = veil().tags(&frame, 5, &[domain], &round_key(1));
        tags[round_key(1).order(tags.len())[last] as usize]
    };
    assert_eq!(other(&CODES), other(&CODES));
    assert_ne!(other(&CODES), other(&["a", "b"]));
    // A code that is called like them is itself.
    assert_ne!(other(&CODES), veil().key.label("stay.drg_code", Some(OTHER)));
    let after_a_join = Frame { has_whole: false, ..frame };
    assert_eq!(over(&after_a_join, &CODES, 1).whole, None);
}

#[test]
fn what_all_rows_have_is_no_condition_and_what_hospitals_have_is_one() {
    let plain = over(&frame(&[]), &CODES, 1);
    let scheme = frame(&[("stay.drg_scheme", "G@1")]);
    assert_ne!(over(&scheme, &CODES, 1).whole, plain.whole);
    let constants = BTreeMap::from([("stay.drg_scheme".to_owned(), "G@1".to_owned())]);
    let request = costs_by(&CODES);
    let shape = Shape::of(&request).unwrap();
    let knowing = Veil { constants, ..veil() };
    let under = |frame: &Frame| knowing.over(frame, &request, &shape, &round_key(1)).unwrap();
    assert_eq!(under(&scheme), plain);
    assert_ne!(under(&frame(&[("stay.drg_scheme", "G@2")])).whole, plain.whole);
    // Of a region's rows only some are of tertiary hospitals.
    let tier = Frame { locals: vec!["tier = 'tertiary'".to_owned()], ..frame(&[]) };
    assert_ne!(over(&tier, &CODES, 1).whole, plain.whole);
    let by_tier = Frame {
        dimensions: vec![None],
        local_dimensions: vec![Some("stay.hospital_tier".to_owned())],
        ..frame(&[])
    };
    let tags = over(&by_tier, &CODES, 1).tags;
    assert_eq!(tags.iter().collect::<std::collections::BTreeSet<_>>().len(), tags.len());
}

#[test]
fn of_two_dimensions_of_one_column_cells_of_one_code_are_that_code() {
    let twice = Frame { dimensions: vec![Some("stay.drg_code".into()); 2], ..frame(&[]) };
    let domain = || Domain::closed(CODES.map(Into::into).to_vec()).unwrap();
    let (veil, round) = (veil(), round_key(1));
    let tags = veil.tags(&twice, 5, &[domain(), domain()], &round);
    let once = veil.tags(&frame(&[]), 5, &[domain()], &round);
    let (orders, order) = (round.order(16), round.order(4));
    for code in 0..4 {
        assert_eq!(tags[orders[code * 4 + code] as usize], once[order[code] as usize]);
    }
}

#[test]
fn nothing_is_told_in_clear_but_ends_of_stretches() {
    let veiled = over(&frame(&[("stay.payer", "UEBMI")]), &CODES, 1);
    let shown = format!("{veiled:?}{:?}", veil().key);
    for name in ["discharged", "UEBMI", "payer", "drg"] {
        assert!(!shown.contains(name), "{name} in {shown}");
    }
    let (asked, there) = veiled.spans.values().next().unwrap();
    assert_eq!((asked.from, asked.until, there.from, there.until), (120, i64::MAX, 120, 200));
    // Another key gives other names for everything.
    let request = costs_by(&CODES);
    let shape = Shape::of(&request).unwrap();
    let other = Veil { key: key(2), ..veil() };
    let other = other.over(&frame(&[]), &request, &shape, &round_key(1)).unwrap();
    let same = over(&frame(&[]), &CODES, 1);
    assert_ne!((other.key, other.whole), (same.key, same.whole));
    assert!(other.tags.iter().all(|tag| !same.tags.contains(tag)));
    assert!(other.spans.keys().all(|column| !same.spans.contains_key(column)));
}

#[test]
fn the_hash_covers_every_part() {
    let veiled = over(&frame(&[]), &CODES, 1);
    let mut changed = vec![veiled.clone(); 7];
    changed[0].key[0] ^= 1;
    changed[1].whole = None;
    changed[2].tags.swap(0, 1);
    changed[3].spans.clear();
    changed[4].spans.values_mut().for_each(|(_, there)| there.until += 1);
    changed[5].cuts.push([1, 2]);
    changed[6].along = None;
    let mut hashes: Vec<_> = changed.iter().chain([&veiled]).map(Veiled::hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 8);
}

/// A round whose terms say that its cells stand as `told`, and a hospital that finds them at `own`.
fn upload(told: Option<&Frame>, own: Option<Frame>, veil: Veil) -> Result<(), Refusal> {
    let mut fixture = Fixture::new(costs_by(&CODES), 3, FLOOR, 1);
    let (request, shape) = (fixture.request.clone(), fixture.terms.shape.clone());
    let veiled = told.and_then(|frame| veil.over(frame, &request, &shape, &fixture.round_key));
    fixture.terms.veiled = veiled.map_or([0; 32], |veiled| veiled.hash());
    let mut offer = fixture.offer().unwrap();
    offer.veil = veil;
    let round = fixture.admit(offer, 0).unwrap();
    let row = |person| Row { person, codes: vec![Some("a".into())], values: vec![Some(1)] };
    let groups = groups_of(&[row(1), row(2)], &fixture.request);
    let nobody = blank(&round, groups.len());
    let partial = Partial::new(round.admitted().clone(), groups, nobody, 1_000, false);
    let partial = match own {
        Some(frame) => partial.framed(frame),
        None => partial,
    };
    conceal(partial, &round, &fixture.seed(0)).map(|_| ())
}

#[test]
fn a_hospital_takes_part_only_where_the_witness_is_told_what_it_finds_itself() {
    let here = frame(&[]);
    assert_eq!(upload(Some(&here), Some(here.clone()), veil()), Ok(()));
    let subject = |told: Option<&Frame>, own| upload(told, own, veil()).unwrap_err().subject;
    // Another condition, another stretch, another column of a dimension, none at all.
    let mut elsewhere = vec![frame(&[("stay.sex", "1")]); 3];
    elsewhere[1].spans.clear();
    elsewhere[2].dimensions = vec![Some("stay.sex".to_owned())];
    for other in &elsewhere {
        assert_eq!(subject(Some(other), Some(here.clone())), "veiled");
    }
    assert_eq!(subject(None, Some(here.clone())), "veiled");
    assert_eq!(subject(Some(&here), None), "veiled");
    // Under another key than the offer's.
    let other = Veil { key: key(2), ..veil() };
    let request = costs_by(&CODES);
    let shape = Shape::of(&request).unwrap();
    let round = round_key(1);
    let hashes = [veil(), other].map(|veil| veil.over(&here, &request, &shape, &round));
    assert_ne!(hashes[0], hashes[1]);
}

#[test]
fn a_hospital_whose_data_lie_elsewhere_says_so() {
    let extent = |least, most, nulls| [(MONTH.to_owned(), Extent { least, most, nulls })].into();
    let own = |least, most, nulls| Frame { extents: extent(least, most, nulls), ..frame(&[]) };
    let here = frame(&[]);
    let outcome = |own| upload(Some(&here), Some(own), veil());
    assert_eq!(outcome(own(100, 199, false)), Ok(()));
    assert_eq!(outcome(own(120, 150, false)), Ok(()));
    for (least, most, nulls) in [(99, 150, false), (120, 200, false), (120, 150, true)] {
        assert_eq!(outcome(own(least, most, nulls)).unwrap_err().subject, EXTENTS);
    }
    // What the coordinator does not speak of, or the hospital does not have, decides nothing.
    assert_eq!(upload(Some(&here), Some(own(1, 9, true)), no_extents()), Ok(()));
}
