//! Offers that a node does not take part in, and what those it does take part in demand of it.

use zeroize::Zeroizing;

use super::*;
use crate::blind::GuardSecret;
use crate::domain::MAX_BUCKET_BITS;
use crate::fixture::{Fixture, costs_by, hospital, policy_of, request_of, roster_of};
use crate::request::RequestParts;
use crate::terms::Floor;

const FLOOR: Floor = Floor { persons: 11, stays: 12, hospitals: 3, dominance_e4: 5_625 };

fn fixture() -> Fixture {
    Fixture::new(costs_by(&["a", "b"]), 4, FLOOR, 1)
}

fn refused(fixture: &Fixture, offer: Result<Offer, Refusal>) -> (RefusalCode, String) {
    let refusal = offer.and_then(|offer| fixture.admit(offer, 0)).unwrap_err();
    (refusal.code, refusal.subject)
}

#[test]
fn an_honest_offer_is_admitted_under_the_strictest_of_all_rules() {
    let mut fixture = fixture();
    fixture.policy = policy_of(Floor { persons: 5, ..FLOOR });
    fixture.policy.pooled.local_minimum = 4;
    let round = fixture.round(2);
    assert_eq!(*round.sid(), fixture.terms.sid());
    assert_eq!((round.local_minimum, round.hospital.clone()), (4, hospital(2)));
    // Persons are counted up to what anybody's rule needs, not only to the hospital's own minimum.
    let thresholds = round.admitted().thresholds();
    assert_eq!((thresholds.persons, thresholds.stays, thresholds.persons_cap()), (11, 12, 12));
}

#[test]
fn an_altered_request_is_not_the_one_that_was_signed() {
    let fixture = fixture();
    let honest = fixture.request.clone();
    let parts = || RequestParts {
        scope: Scope::Pooled,
        asker: honest.asker().into(),
        relation_sql: honest.relation_sql().into(),
        dimensions: honest.dimensions().to_vec(),
        domains: honest.domains().to_vec(),
        inputs: honest.inputs().to_vec(),
        measures: honest.measures().to_vec(),
        supports: honest.supports().to_vec(),
    };
    let changes: [fn(&mut RequestParts); 9] = [
        |p| p.relation_sql.push_str(" WHERE stay.sex = 'F'"),
        |p| p.dimensions[0] = "d9".into(),
        |p| p.domains[0] = Domain::closed(vec!["a".into(), "x".into()]).unwrap(),
        |p| p.domains[0] = Domain::open(vec!["a".into()], true).unwrap(),
        |p| p.inputs[0].bound -= 1,
        |p| p.inputs[0].money = false,
        |p| p.inputs[0].scale = model::moments::Scale::Decimal(3),
        |p| p.measures[0] = crate::Measure::Rows,
        |p| p.supports[1] = 2,
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut altered = parts();
        change(&mut altered);
        let request = ReleaseRequest::try_from(altered).unwrap();
        let answer = refused(&fixture, Ok(Offer { request, ..fixture.offer().unwrap() }));
        assert_eq!(answer, (RefusalCode::Offer, "request".into()), "change {index}");
    }
    // Who asks is for the ledger; it decides no cell.
    let other = RequestParts { asker: "eve".into(), ..parts() };
    let request = ReleaseRequest::try_from(other).unwrap();
    assert!(fixture.admit(Offer { request, ..fixture.offer().unwrap() }, 0).is_ok());
}

#[test]
fn a_family_is_of_a_relation_whatever_is_added_up_and_however_it_is_labelled() {
    // Two rounds of one family must not be over nearly the same hospitals: the witness compares
    // families, so a coordinator must not be able to change them for nothing.
    let family = |codes: &[&str]| costs_by(codes).family();
    assert_eq!(family(&["a"]), family(&["a", "zz"]), "a code that nobody has");
    assert_ne!(costs_by(&["a"]).hash(), costs_by(&["a", "zz"]).hash());
    let rows = request_of(costs_by(&["a"]).domains().to_vec(), Vec::new(), Vec::new());
    assert_eq!(rows.family(), family(&["a"]), "other measures");
}

#[test]
fn keys_that_were_not_committed_to_are_refused() {
    let fixture = fixture();
    for byte in [0, 1, 31] {
        let mut key = *fixture.round_key.as_bytes();
        key[byte] ^= 1;
        let round_key = RoundKey::new(Zeroizing::new(key));
        let answer = refused(&fixture, Ok(Offer { round_key, ..fixture.offer().unwrap() }));
        assert_eq!(answer, (RefusalCode::Offer, "offer".into()));
    }
    assert!(
        RoundKey::from_slice(&[0; 31]).is_none() && GuardSecret::from_slice(&[0; 33]).is_none()
    );
}

#[test]
fn a_per_hospital_request_is_never_masked_and_a_pooled_one_never_in_the_clear() {
    let fixture = fixture();
    let parts = RequestParts {
        scope: Scope::PerHospital,
        asker: "ana".into(),
        relation_sql: String::new(),
        dimensions: vec!["d0".into()],
        domains: Vec::new(),
        inputs: Vec::new(),
        measures: Vec::new(),
        supports: Vec::new(),
    };
    let request = ReleaseRequest::try_from(parts).unwrap();
    let answer = refused(&fixture, Ok(Offer { request, ..fixture.offer().unwrap() }));
    assert_eq!(answer.0, RefusalCode::Offer);
    let refusal = admit(fixture.request.clone(), &Policy::answering(), Leave::None).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::Offer, "no silent fall-back");
}

#[test]
fn the_hospitals_own_rules_come_on_top_of_the_signatures() {
    let mut fixture = fixture();
    fixture.policy.scopes.pooled = false;
    assert_eq!(refused(&fixture, fixture.offer()).0, RefusalCode::Scope);
    fixture.policy = policy_of(Floor { persons: 20, ..FLOOR });
    assert_eq!(refused(&fixture, fixture.offer()), (RefusalCode::Offer, "floor".into()));
    fixture.policy = policy_of(FLOOR);
    fixture.policy.minimum.persons = None;
    assert_eq!(refused(&fixture, fixture.offer()).0, RefusalCode::PolicyUnset);
    fixture.policy = policy_of(FLOOR);
    fixture.policy.selectivity.persons = 0;
    assert_eq!(refused(&fixture, fixture.offer()).0, RefusalCode::PolicyUnset);
    fixture.policy = policy_of(FLOOR);
    let elsewhere = admit_round(
        fixture.offer().unwrap(),
        &fixture.policy,
        &"h-9999".parse().unwrap(),
        Leave::None,
    );
    assert_eq!(elsewhere.unwrap_err().subject, "hospitals");
}

#[test]
fn rosters_that_are_too_small_or_unknown_end_the_round() {
    let mut fixture = fixture();
    fixture.terms.hospitals.truncate(2);
    assert_eq!(refused(&fixture, fixture.offer()), (RefusalCode::Offer, "hospitals".into()));
    let mut fixture = self::fixture();
    let (newer, _) = roster_of(5);
    fixture.terms.roster = newer.hash();
    let answer = refused(&fixture, fixture.offer());
    assert_eq!(answer, (RefusalCode::RosterUnknown, "roster".into()));
}

#[test]
fn a_discovery_is_salted_with_its_own_sid() {
    let discovery = |salt| {
        let domain = Domain::Buckets { bits: MAX_BUCKET_BITS, level: 0, salt };
        request_of(vec![domain], Vec::new(), Vec::new())
    };
    // The hash that the terms are bound to does not depend on the salt, which is the sid.
    let fixture = Fixture::new(discovery([0; 32]), 4, FLOOR, 1);
    let offered =
        |salt| fixture.admit(Offer { request: discovery(salt), ..fixture.offer().unwrap() }, 0);
    assert!(offered(fixture.terms.sid()).is_ok());
    assert_eq!(fixture.request.salted(&fixture.terms.sid()), discovery(fixture.terms.sid()));
    for salt in [[0; 32], [7; 32], fixture.terms.nonce_a] {
        let refusal = offered(salt).unwrap_err();
        assert_eq!((refusal.code, refusal.subject.as_str()), (RefusalCode::Offer, "salt"));
    }
}

#[test]
fn a_steward_decides_on_one_question_of_one_asker() {
    let parts = |asker: &str, sql: &str| RequestParts {
        scope: Scope::PerHospital,
        asker: asker.into(),
        relation_sql: sql.into(),
        dimensions: vec!["d0".into()],
        domains: Vec::new(),
        inputs: Vec::new(),
        measures: Vec::new(),
        supports: Vec::new(),
    };
    let request = |asker: &str, sql: &str| ReleaseRequest::try_from(parts(asker, sql)).unwrap();
    let own = request("ana", "SELECT a");
    let mut policy = Policy::answering();
    let met =
        |policy: &Policy, leave| admit(own.clone(), policy, leave).map_err(|refusal| refusal.code);
    assert!(met(&policy, Leave::Declined).is_ok(), "nobody is asked");
    policy.questions.allow = Allow::Ask;
    policy.questions.packs = vec![crate::sign::hex(&[7; 32])];
    let refusal = admit(own.clone(), &policy, Leave::None).unwrap_err();
    assert_eq!((refusal.code, refusal.subject), (RefusalCode::Waiting, name_of(&own.question())));
    for other in [request("bob", "SELECT a"), request("ana", "SELECT b")] {
        let leave = Leave::Approved(other.question());
        assert_eq!(met(&policy, leave).unwrap_err(), RefusalCode::Waiting, "{other:?}");
    }
    assert_eq!(met(&policy, Leave::Pack([8; 32])).unwrap_err(), RefusalCode::Waiting);
    assert_eq!(met(&policy, Leave::Declined).unwrap_err(), RefusalCode::Declined);
    assert!(met(&policy, Leave::Pack([7; 32])).is_ok());
    let approved = Leave::Approved(own.question());
    assert!(met(&policy, approved).is_ok());
    policy.minimum.persons = None;
    assert_eq!(met(&policy, approved).unwrap_err(), RefusalCode::PolicyUnset, "rules stay rules");
    policy = Policy::answering();
    policy.questions.allow = Allow::Packs;
    assert_eq!(met(&policy, approved).unwrap_err(), RefusalCode::Pack);
}
