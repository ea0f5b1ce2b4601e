//! A commission with valid keys offers what it must not: to nodes, and to the witness.

use std::collections::BTreeMap;

use model::{RefusalCode, Role};
use privacy::Policy;
use privacy::roster::{HospitalKeys, SignedRoster};
use privacy::sign::{Context, SigningKey};
use proto::{encode_terms, v1};
use record::Kind;
use tests::fixture::Stay;
use tests::{REGION, Region, RegionBuilder, peer};

use super::chair::{Agreed, Chair, entries, random};
use super::{is, refused, region};

const SQL: &str = "SELECT count(*) AS n, sum(total_cost) AS cost FROM stay";
const OTHER_SQL: &str =
    "SELECT count(*) AS n, sum(total_cost) AS cost FROM stay WHERE los_days < 9";
const ALL: [&str; 4] = ["h-1", "h-2", "h-3", "h-4"];
/// Minimum persons of the hospital `h-4`, stricter than everybody else's.
const STRICT: u32 = 20;

async fn four(describe: impl FnOnce(RegionBuilder) -> RegionBuilder) -> Region {
    region((0..4).map(|_| (0..40).map(Stay::plain).collect()), describe).await
}

/// Entries of one kind and one round at `h-1`.
fn noted(region: &Region, kind: Kind, sid: [u8; 32]) -> Vec<String> {
    let entries = entries(region, "nodes/h-1").into_iter();
    let of_round = entries.filter(|entry| entry.kind == kind && entry.sid == Some(sid));
    of_round.map(|entry| entry.outcome).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_is_joined_once() {
    let region = four(|builder| builder).await;
    let chair = Chair::of(&region);
    let request = chair.request(SQL).await;
    let agreed = chair.agree(&request, &ALL).await;
    let uploads = chair.collect(&agreed, &ALL).await;
    let replay = is(RefusalCode::Replay, "sid");
    assert_eq!(refused(chair.offer("h-1", agreed.offer("h-1")).await), replay);
    let sid = agreed.terms.sid();
    assert_eq!(noted(&region, Kind::Release, sid).len(), 1, "one row for one round");
    // Also after a restart: the ledger remembers.
    region.site("h-1").stop().await;
    region.site("h-1").start().await.unwrap();
    assert_eq!(refused(chair.offer("h-1", agreed.offer("h-1")).await), replay);
    assert_eq!(noted(&region, Kind::Release, sid).len(), 1);
    // The round itself is as good as it was.
    let combined = chair.finish(&agreed, &uploads).await.unwrap();
    assert_eq!(combined.groups[&Vec::new()].cells[0], 160);

    // The witness signs a proposal once, whatever else it says.
    let mut proposed = encode_terms(&agreed.terms);
    proposed.hospitals.pop();
    let again = chair.propose(proposed, Vec::new()).await;
    assert_eq!(refused(again), is(RefusalCode::Replay, "nonce_a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_was_altered_is_refused_and_noted() {
    type Change = fn(&mut v1::Terms);
    let region = four(|builder| builder).await;
    let chair = Chair::of(&region);
    let request = chair.request(SQL).await;
    let agreed = chair.agree(&request, &ALL).await;
    fn floor(terms: &mut v1::Terms) -> &mut v1::Floor {
        terms.floor.as_mut().unwrap()
    }
    let changes: [(Change, RefusalCode, &str); 14] = [
        (|t| t.nonce_a[0] ^= 1, RefusalCode::Offer, "coordinator"),
        (|t| t.nonce_b[31] ^= 1, RefusalCode::Offer, "coordinator"),
        (|t| t.request[0] ^= 1, RefusalCode::Offer, "coordinator"),
        (|t| t.family[0] ^= 1, RefusalCode::Offer, "coordinator"),
        (|t| t.round_key[0] ^= 1, RefusalCode::Offer, "coordinator"),
        (|t| t.witness_key[0] ^= 1, RefusalCode::Offer, "coordinator"),
        (|t| t.lifetime_ms += 1, RefusalCode::Offer, "coordinator"),
        (|t| floor(t).persons = 10, RefusalCode::Offer, "coordinator"),
        (|t| floor(t).stays = 12, RefusalCode::Offer, "coordinator"),
        (|t| floor(t).dominance_e4 = 10_000, RefusalCode::Offer, "coordinator"),
        (|t| drop(t.hospitals.pop()), RefusalCode::Offer, "coordinator"),
        (
            |t| t.shape.as_mut().unwrap().measures[0].supports += 1,
            RefusalCode::Offer,
            "coordinator",
        ),
        (|t| t.region = "west".to_owned(), RefusalCode::Offer, "region"),
        (|t| t.roster[0] ^= 1, RefusalCode::RosterUnknown, "roster"),
    ];
    for (number, (change, code, subject)) in changes.into_iter().enumerate() {
        let mut offer = agreed.offer("h-1");
        change(offer.terms.as_mut().unwrap());
        assert_eq!(refused(chair.offer("h-1", offer).await), is(code, subject), "{number}");
    }

    // What is not in the terms is bound to them.
    let other = chair.agree(&chair.request(OTHER_SQL).await, &ALL).await;
    let of_neighbour = agreed.offer("h-2").guard_key;
    let of_other = v1::Offer { guard_key: of_neighbour, ..other.offer("h-1") };
    type Exchange = fn(&mut v1::Offer, &v1::Offer);
    let exchanges: [(Exchange, &str); 3] = [
        (|mine, other| mine.request.clone_from(&other.request), "request"),
        (|mine, other| mine.round_key.clone_from(&other.round_key), "offer"),
        (|mine, other| mine.guard_key.clone_from(&other.guard_key), "guard_key"),
    ];
    for (exchange, subject) in exchanges {
        let mut offer = agreed.offer("h-1");
        exchange(&mut offer, &of_other);
        let refusal = refused(chair.offer("h-1", offer).await);
        assert_eq!(refusal, is(RefusalCode::Offer, subject), "{subject}");
    }
    let sid = agreed.terms.sid();
    assert_eq!(noted(&region, Kind::Refusal, sid), ["offer"; 3], "of this very round");
    assert_eq!(noted(&region, Kind::Release, sid), [""; 0]);
    let refusals = entries(&region, "nodes/h-1");
    assert_eq!(refusals.iter().filter(|entry| entry.kind == Kind::Refusal).count(), 17);
    // After all of it the honest offer is taken: refusals use nothing up.
    chair.offer("h-1", agreed.offer("h-1")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn both_authorities_have_to_sign() {
    let region = four(|builder| builder).await;
    let chair = Chair::of(&region);
    let agreed = chair.agree(&chair.request(SQL).await, &ALL).await;
    let stranger = SigningKey::from_seed(random());
    let by = |key: &SigningKey| agreed.terms.sign(key).as_bytes().to_vec();
    let (own, foreign) = (by(&chair.key), by(&stranger));
    // Signed by the right party, but as something else than an offer.
    let elsewhere = chair.key.sign(Context::Receipt, &agreed.terms.sid()).as_bytes().to_vec();
    for (signature, code, subject) in [
        (&foreign, RefusalCode::Offer, None),
        (&elsewhere, RefusalCode::Offer, None),
        (&vec![0; 64], RefusalCode::Offer, None),
        (&Vec::new(), RefusalCode::Request, Some("signature")),
    ] {
        let forged = v1::Offer { coordinator_signature: signature.clone(), ..agreed.offer("h-1") };
        let expected = is(code, subject.unwrap_or("coordinator"));
        assert_eq!(refused(chair.offer("h-1", forged).await), expected);
        let forged = v1::Offer { witness_signature: signature.clone(), ..agreed.offer("h-1") };
        let expected = is(code, subject.unwrap_or("witness"));
        assert_eq!(refused(chair.offer("h-1", forged).await), expected);
    }
    // The commission signs in both places.
    let alone = v1::Offer { witness_signature: own, ..agreed.offer("h-1") };
    assert_eq!(refused(chair.offer("h-1", alone).await), is(RefusalCode::Offer, "witness"));
    chair.offer("h-1", agreed.offer("h-1")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn hospitals_cannot_be_invented() {
    let region = four(|builder| builder).await;
    let chair = Chair::of(&region);
    let request = chair.request(SQL).await;
    let before = std::fs::read(region.site("h-1").folder().join("roster.json")).unwrap();
    // A roster of h-1 and two hospitals whose keys the commission holds, signed by itself: their
    // parts would be known, and the sum would be that of h-1.
    let mut padded: BTreeMap<_, _> = chair.roster.hospitals().clone();
    padded.retain(|id, _| id.as_str() == "h-1");
    for id in ["h-8", "h-9"] {
        let sign = SigningKey::from_seed(random()).verify_key();
        let keys = HospitalKeys { sign, seal: random() };
        padded.insert(id.parse().unwrap(), keys);
    }
    let (a, b) = (chair.roster.coordinator(), chair.roster.witness());
    let version = chair.roster.version() + 1;
    let padded = SignedRoster::sign(&chair.key, REGION, version, a, b, &padded);
    let hash = padded.verify(&chair.key.verify_key(), REGION).unwrap().hash();
    let invented = ["h-1", "h-8", "h-9"].map(|id| id.parse().unwrap());

    let agreed = chair.conspire(&request, |terms| {
        terms.roster = hash;
        terms.hospitals = invented.to_vec();
    });
    let terms = encode_terms(&agreed.terms);
    let unknown = is(RefusalCode::RosterUnknown, "roster");
    let forged = is(RefusalCode::Offer, "roster");
    assert_eq!(refused(chair.propose(terms.clone(), Vec::new()).await), unknown);
    assert_eq!(refused(chair.propose(terms, padded.to_bytes()).await), forged);
    assert_eq!(refused(chair.offer("h-1", agreed.offer("h-1")).await), unknown);
    let offer = v1::Offer { roster: padded.to_bytes(), ..agreed.offer("h-1") };
    assert_eq!(refused(chair.offer("h-1", offer).await), forged);

    // The same names under the true roster, where nobody has them.
    let agreed = chair.conspire(&request, |terms| terms.hospitals = invented.to_vec());
    let nobody = is(RefusalCode::Offer, "hospitals");
    assert_eq!(refused(chair.propose(encode_terms(&agreed.terms), Vec::new()).await), nobody);
    assert_eq!(refused(chair.offer("h-1", agreed.offer("h-1")).await), nobody);
    // One hospital three times is not three.
    let agreed = chair.conspire(&request, |terms| {
        terms.hospitals = vec!["h-1".parse().unwrap(); 3];
    });
    assert_eq!(refused(chair.propose(encode_terms(&agreed.terms), Vec::new()).await), nobody);
    assert_eq!(refused(chair.offer("h-1", agreed.offer("h-1")).await), nobody);
    let after = std::fs::read(region.site("h-1").folder().join("roster.json")).unwrap();
    assert_eq!(before, after);
}

/// What the witness and the hospital `h-1` answer to terms that both authorities would sign.
async fn both_refuse(chair: &Chair<'_>, agreed: &Agreed) -> [(RefusalCode, String); 2] {
    let witness = chair.propose(encode_terms(&agreed.terms), Vec::new()).await;
    [refused(witness), refused(chair.offer("h-1", agreed.offer("h-1")).await)]
}

#[tokio::test(flavor = "multi_thread")]
async fn even_both_authorities_together_keep_to_what_hospitals_demand() {
    let mut strict = Policy::answering();
    strict.minimum.persons = Some(STRICT);
    let region = four(|builder| builder.policy_of("h-4", strict)).await;
    let chair = Chair::of(&region);
    let request = chair.request(SQL).await;
    // The control: conspiring over three, with nothing amiss, gets an upload.
    chair.offer("h-1", { chair.conspire(&request, |_| {}) }.offer("h-1")).await.unwrap();

    let two = chair.conspire(&request, |terms| terms.hospitals.truncate(2));
    let refusals = both_refuse(&chair, &two).await;
    assert_eq!(
        refusals,
        [is(RefusalCode::Offer, "hospitals"), is(RefusalCode::Offer, "hospitals")]
    );
    type Change = fn(&mut privacy::Floor);
    let changes: [(Change, &str); 5] = [
        (|floor| floor.persons = 10, "floor.persons"),
        (|floor| floor.stays = 10, "floor.stays"),
        (|floor| floor.hospitals = 2, "floor.hospitals"),
        (|floor| floor.dominance_e4 = 5_626, "floor.dominance_e4"),
        (|floor| floor.persons = 0, "floor"),
    ];
    for (change, subject) in changes {
        let low = chair.conspire(&request, |terms| change(&mut terms.floor));
        let expected = [is(RefusalCode::Offer, subject), is(RefusalCode::Offer, "floor")];
        assert_eq!(both_refuse(&chair, &low).await, expected);
    }
    let without = chair.conspire(&request, |terms| {
        terms.hospitals = ["h-2", "h-3", "h-4"].map(|id| id.parse().unwrap()).to_vec();
    });
    let refusal = refused(chair.offer("h-1", without.offer("h-1")).await);
    assert_eq!(refusal.0, RefusalCode::Offer, "not its round: {refusal:?}");

    // The witness's own rules are kept, and h-4 demands more.
    let agreed = chair.agree(&request, &ALL).await;
    chair.collect(&agreed, &ALL[..3]).await;
    let refusal = refused(chair.offer("h-4", agreed.offer("h-4")).await);
    assert_eq!(refusal, is(RefusalCode::Offer, "floor"));
    // The honest coordinator asks with the strictest floor, and all four take part.
    let answer = region.ask(SQL).await.unwrap();
    assert_eq!((answer.missing(), &*answer.rows()[0][0]), (Vec::new(), "160"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_coordinator_speaks_to_node_and_witness() {
    let region = four(|builder| builder).await;
    let chair = Chair::of(&region);
    let agreed = chair.agree(&chair.request(SQL).await, &ALL).await;
    for who in [peer(Role::User, "ana"), peer(Role::Node, "h-2"), peer(Role::Witness, "main")] {
        let mut node = region.node_client_as("h-1", &who).unwrap();
        let status = node.join(agreed.offer("h-1")).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::PermissionDenied, "{who}");
        let mut witness = region.witness_client_as(&who).unwrap();
        let status = witness.unite(v1::UniteRequest::default()).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::PermissionDenied, "{who}");
    }
}
