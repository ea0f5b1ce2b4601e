//! Terms that are not exactly those that both authorities signed, and offers below a policy.

use super::*;
use crate::fixture::{Fixture, costs_by, hospital, hospital_key, policy_of, roster_of};
use crate::measure::Measure;
use crate::policy::Minimum;

const FLOOR: Floor = Floor { persons: 11, stays: 12, hospitals: 3, dominance_e4: 5_625 };

fn fixture() -> Fixture {
    Fixture::new(costs_by(&["a", "b"]), 5, FLOOR, 1)
}

type Change = (&'static str, fn(&mut Terms));

/// One change for every field, and for every number inside.
const CHANGES: [Change; 30] = [
    ("region", |t| t.region = "west".into()),
    ("nonce_a", |t| t.nonce_a[31] ^= 1),
    ("nonce_b", |t| t.nonce_b[0] ^= 1),
    ("the nonces exchanged", |t| std::mem::swap(&mut t.nonce_a, &mut t.nonce_b)),
    ("request", |t| t.request[0] ^= 1),
    ("family", |t| t.family[0] ^= 1),
    ("request and family exchanged", |t| std::mem::swap(&mut t.request, &mut t.family)),
    ("round_key", |t| t.round_key[0] ^= 1),
    ("veiled", |t| t.veiled[0] ^= 1),
    ("witness_key", |t| t.witness_key[0] ^= 1),
    ("floor.persons", |t| t.floor.persons -= 1),
    ("floor.stays", |t| t.floor.stays -= 1),
    ("floor.persons and stays exchanged", |t| {
        std::mem::swap(&mut t.floor.persons, &mut t.floor.stays);
    }),
    ("floor.hospitals", |t| t.floor.hospitals -= 1),
    ("floor.dominance_e4", |t| t.floor.dominance_e4 += 1),
    ("roster", |t| t.roster[0] ^= 1),
    ("one hospital less", |t| t.hospitals.truncate(4)),
    ("one hospital more", |t| t.hospitals.push(hospital(5))),
    ("another hospital", |t| t.hospitals[4] = hospital(7)),
    ("another number of cells", |t| reshape(t, 1, |_| ())),
    ("other supports", |t| reshape(t, 0, |m| m[1].supports -= 1)),
    ("other sums of money", |t| reshape(t, 0, |m| m[1].money -= 1)),
    ("other widths", |t| reshape(t, 0, |m| m[1].width -= 1)),
    ("lifetime_ms", |t| t.lifetime_ms += 1),
    ("noise", |t| t.noise = Some(noise(&[18, 0]))),
    ("other noise", |t| t.noise = Some(noise(&[18, 1]))),
    ("noise at another cost", |t| t.noise = Some(RoundNoise { rho_micro: 2, ..noise(&[18, 0]) })),
    ("of more rows", |t| t.noise = Some(RoundNoise { rows_per_person: 2, ..noise(&[18, 0]) })),
    ("of more money", |t| t.noise = Some(RoundNoise { money: 2, ..noise(&[18, 0]) })),
    ("of larger numbers", |t| t.noise = Some(RoundNoise { number: 2, ..noise(&[18, 0]) })),
];

fn noise(deviations: &[u128]) -> RoundNoise {
    let deviations = deviations.to_vec();
    RoundNoise { rho_micro: 1, rows_per_person: 1, money: 1, number: 1, deviations }
}

fn reshape(terms: &mut Terms, more_cells: usize, change: fn(&mut Vec<MeasureShape>)) {
    let mut measures = terms.shape.measures().to_vec();
    change(&mut measures);
    let sketched = terms.shape.sketched();
    terms.shape = Shape::new(terms.shape.cells() + more_cells, measures, sketched).unwrap();
}

#[test]
fn every_term_is_under_both_signatures() {
    let fixture = fixture();
    let signatures = fixture.signatures();
    assert_eq!(fixture.terms.verify(&fixture.roster, &signatures), Ok(fixture.terms.sid()));
    let mut sids = vec![fixture.terms.sid()];
    for (what, change) in CHANGES {
        let mut terms = fixture.terms.clone();
        change(&mut terms);
        assert_ne!(terms, fixture.terms, "{what}");
        let refusal = terms.verify(&fixture.roster, &signatures).unwrap_err();
        assert_eq!((refusal.code, refusal.subject.as_str()), (RefusalCode::Offer, "coordinator"));
        // The witness's signature alone is one over everything, too.
        let coordinator = terms.sign(&fixture.coordinator);
        let half = Signatures { coordinator, ..signatures };
        let refusal = terms.verify(&fixture.roster, &half).unwrap_err();
        assert_eq!(refusal.subject, "witness", "{what}");
        sids.push(terms.sid());
    }
    sids.sort_unstable();
    sids.dedup();
    assert_eq!(sids.len(), CHANGES.len() + 1, "no two of these rounds have one name");
}

#[test]
fn no_field_is_forgotten_by_the_changes_above() {
    // Adding a term without binding it must not compile unnoticed: every field is named here.
    let Terms {
        region: _,
        nonce_a: _,
        nonce_b: _,
        request: _,
        family: _,
        round_key: _,
        veiled: _,
        witness_key: _,
        floor: Floor { persons: _, stays: _, hospitals: _, dominance_e4: _ },
        roster: _,
        hospitals: _,
        shape: _,
        lifetime_ms: _,
        noise,
    } = fixture().terms;
    if let Some(noise) = noise {
        let RoundNoise { rho_micro: _, rows_per_person: _, money: _, number: _, deviations: _ } =
            noise;
    }
    let names: Vec<&str> = CHANGES.iter().map(|(what, _)| *what).collect();
    for field in [
        "region",
        "nonce_a",
        "nonce_b",
        "request",
        "family",
        "round_key",
        "witness_key",
        "floor.persons",
        "floor.stays",
        "floor.hospitals",
        "floor.dominance_e4",
        "veiled",
        "roster",
        "lifetime_ms",
        "noise",
    ] {
        assert!(names.contains(&field), "{field}");
    }
}

#[test]
fn missing_forged_and_swapped_signatures_are_refused() {
    let fixture = fixture();
    let Signatures { coordinator, witness } = fixture.signatures();
    let nothing = Signature::try_from([0u8; 64].as_slice()).unwrap();
    let of = |key: &SigningKey| fixture.terms.sign(key);
    let in_context = |context| fixture.witness.sign(context, &fixture.terms.sid());
    let cases = [
        ("coordinator", nothing, witness),
        ("witness", coordinator, nothing),
        ("coordinator", witness, coordinator),
        ("witness", coordinator, coordinator),
        ("coordinator", witness, witness),
        ("witness", coordinator, of(&fixture.authority)),
        ("witness", coordinator, of(&hospital_key(0))),
        ("coordinator", of(&hospital_key(0)), witness),
        ("witness", coordinator, in_context(Context::Receipt)),
        ("witness", coordinator, in_context(Context::Checkpoint)),
        ("witness", coordinator, in_context(Context::Buckets)),
    ];
    for (subject, coordinator, witness) in cases {
        let signatures = Signatures { coordinator, witness };
        let refusal = fixture.terms.verify(&fixture.roster, &signatures).unwrap_err();
        assert_eq!((refusal.code, refusal.subject.as_str()), (RefusalCode::Offer, subject));
    }
    for bit in 0..512 {
        let mut damaged = *witness.as_bytes();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let witness = Signature::try_from(damaged.as_slice()).unwrap();
        let signatures = Signatures { coordinator, witness };
        assert!(fixture.terms.verify(&fixture.roster, &signatures).is_err(), "bit {bit}");
    }
}

#[test]
fn the_same_nonces_and_terms_are_the_same_sid() {
    // What a node's ledger refuses the second time: a replay cannot have another name.
    assert_eq!(fixture().terms.sid(), fixture().terms.sid());
    let other_nonces = Fixture::new(costs_by(&["a", "b"]), 5, FLOOR, 2);
    assert_ne!(fixture().terms.sid(), other_nonces.terms.sid());
}

#[test]
fn what_no_honest_round_has_is_refused_by_everybody() {
    let fixture = fixture();
    assert_eq!(fixture.terms.check(&fixture.roster), Ok(()));
    let cases: [Change; 16] = [
        ("region", |t| t.region = "west".into()),
        ("hospitals", |t| t.hospitals.truncate(2)),
        ("hospitals", |t| t.hospitals.clear()),
        ("hospitals", |t| t.hospitals.reverse()),
        ("hospitals", |t| t.hospitals[1] = t.hospitals[0].clone()),
        ("hospitals", |t| t.hospitals.push(hospital(5))),
        ("hospitals", |t| t.hospitals[0] = "invented".parse().unwrap()),
        ("floor", |t| t.floor.persons = 0),
        ("floor", |t| t.floor.stays = 0),
        ("floor", |t| t.floor.hospitals = 0),
        ("floor", |t| t.floor.dominance_e4 = 0),
        ("floor", |t| t.floor.dominance_e4 = 10_001),
        ("floor", |t| t.floor.persons = LARGEST_MINIMUM + 1),
        ("lifetime", |t| t.lifetime_ms = 0),
        ("lifetime", |t| t.lifetime_ms = MAX_LIFETIME_MS + 1),
        ("roster", |t| t.roster[9] ^= 1),
    ];
    for (subject, change) in cases {
        let mut terms = fixture.terms.clone();
        change(&mut terms);
        let refusal = terms.check(&fixture.roster).unwrap_err();
        assert_eq!(refusal.subject, subject);
        let unknown = refusal.code == RefusalCode::RosterUnknown;
        assert_eq!(unknown, subject == "roster");
    }
}

#[test]
fn invented_hospitals_do_not_fill_up_a_roster() {
    // Two real hospitals and three of the coordinator's own: it signs a roster that names them,
    // and offers a round under it. The authority has not vouched for that roster, so no node holds
    // it; under the roster that nodes do hold, the invented ones are unknown.
    let mut fixture = fixture();
    let (padded, _) = roster_of(8);
    fixture.terms.hospitals = (0..8).map(hospital).collect();
    fixture.terms.roster = padded.hash();
    let refusal = fixture.terms.check(&fixture.roster).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::RosterUnknown);
    fixture.terms.roster = fixture.roster.hash();
    let refusal = fixture.terms.check(&fixture.roster).unwrap_err();
    assert_eq!((refusal.code, refusal.subject.as_str()), (RefusalCode::Offer, "hospitals"));
}

#[test]
fn terms_are_for_one_request_and_its_form() {
    let fixture = fixture();
    let bind = |terms: &Terms| terms.bind(&fixture.request, &fixture.policy, &hospital(0));
    assert_eq!(bind(&fixture.terms), Ok(()));
    for (what, change) in CHANGES {
        let mut terms = fixture.terms.clone();
        change(&mut terms);
        let subject = match what {
            "request"
            | "family"
            | "request and family exchanged"
            | "another number of cells"
            | "other supports"
            | "other sums of money"
            | "other widths" => "request",
            what if what.starts_with("floor") => "floor",
            // These are under the signatures and not a matter of the request.
            _ => continue,
        };
        assert_eq!(bind(&terms).unwrap_err().subject, subject, "{what}");
    }
    for other in [
        costs_by(&["a", "c"]),
        costs_by(&["a"]),
        crate::fixture::request_of(
            fixture.request.domains().to_vec(),
            fixture.request.inputs().to_vec(),
            vec![Measure::Persons, Measure::Squares(0)],
        ),
    ] {
        let refusal = fixture.terms.bind(&other, &fixture.policy, &hospital(0)).unwrap_err();
        assert_eq!((refusal.code, refusal.subject.as_str()), (RefusalCode::Offer, "request"));
    }
    let stranger = hospital(6);
    let refusal = fixture.terms.bind(&fixture.request, &fixture.policy, &stranger).unwrap_err();
    assert_eq!(refusal.subject, "hospitals", "an offer to somebody else");
}

#[test]
fn a_floor_below_the_hospitals_own_policy_is_refused_rule_by_rule() {
    let fixture = fixture();
    let stricter = [
        Floor { persons: 12, ..FLOOR },
        Floor { stays: 13, ..FLOOR },
        Floor { hospitals: 4, ..FLOOR },
        Floor { dominance_e4: 5_624, ..FLOOR },
    ];
    let bind = |policy: &Policy| fixture.terms.bind(&fixture.request, policy, &hospital(0));
    for demanded in stricter {
        let refusal = bind(&policy_of(demanded)).unwrap_err();
        assert_eq!((refusal.code, refusal.subject.as_str()), (RefusalCode::Offer, "floor"));
        assert!(!refusal.instead.is_empty(), "there is a way out");
        assert!(!FLOOR.covers(demanded) && FLOOR.max(demanded).covers(demanded));
    }
    let weaker = Floor { persons: 5, stays: 5, hospitals: 1, dominance_e4: 10_000 };
    assert_eq!(bind(&policy_of(weaker)), Ok(()), "a stricter floor than demanded is welcome");
}

#[test]
fn a_policy_without_minima_closes_the_node() {
    let fixture = fixture();
    for minimum in [
        Minimum { persons: None, stays: Some(1) },
        Minimum { persons: Some(1), stays: None },
        Minimum { persons: Some(0), stays: Some(1) },
        Minimum { persons: Some(1), stays: Some(LARGEST_MINIMUM + 1) },
    ] {
        let policy = Policy { minimum, ..policy_of(FLOOR) };
        let refusal = fixture.terms.bind(&fixture.request, &policy, &hospital(0)).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::PolicyUnset);
    }
    let mut policy = policy_of(FLOOR);
    policy.pooled.hospitals = 0;
    let refusal = fixture.terms.bind(&fixture.request, &policy, &hospital(0)).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::PolicyUnset, "zero hospitals are not a rule");
}

#[test]
fn a_question_too_large_to_be_masked_is_refused_with_a_way_out() {
    let fixture = fixture();
    let codes: Vec<String> = (0..1 << 19).map(|code| format!("{code:07}")).collect();
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    let large = costs_by(&codes);
    let refusal = fixture.terms.bind(&large, &fixture.policy, &hospital(0)).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::TooLarge);
    assert!(!refusal.instead.is_empty());
}
