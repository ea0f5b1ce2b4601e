//! Rounds without the signatures that make one.

use model::{RefusalCode, Role};
use privacy::ReleaseRequest;
use privacy::sign::Context;
use proto::{decode_request, encode_terms, v1};
use tests::peer;

use super::rogue::{Rogue, VICTIM, random32};
use super::{fine, masked, met, region, released};

/// The coordinator plays the witness: a key of its own, to open every seed, and its signature.
fn without_the_witness(
    rogue: &Rogue,
    request: &ReleaseRequest,
    good: &v1::Offer,
) -> Vec<(&'static str, v1::Offer)> {
    let mut alone = rogue.proposal(request);
    (alone.nonce_b, alone.witness_key) = (random32(), random32());
    let own = rogue.sign(&alone.sid());
    let signatures = [own.clone(), good.witness_signature.clone(), vec![0; 64]];
    let offer = |signature| v1::Offer {
        terms: Some(encode_terms(&alone)),
        coordinator_signature: own.clone(),
        witness_signature: signature,
        ..good.clone()
    };
    let what = "of a round that the witness has never seen";
    signatures.map(|signature| (what, offer(signature))).into()
}

/// The right signatures over keys that are not this hospital's or the round's, or over no masked request.
fn with_other_keys(good: &v1::Offer, foreign: &[u8]) -> Vec<(&'static str, v1::Offer)> {
    let guarded = |guard_key: Vec<u8>| v1::Offer { guard_key, ..good.clone() };
    let own_cells = v1::Offer { request: Some(fine()), ..good.clone() };
    vec![
        ("the guard key of another hospital", guarded(foreign.to_vec())),
        ("no guard key", guarded(Vec::new())),
        ("another round key", v1::Offer { round_key: vec![8; 32], ..good.clone() }),
        ("a request of the hospital's own cells", own_cells),
    ]
}

/// The coordinator's certificate opens the connection, and nothing else: a round without the
/// witness's own signature is no round, whatever stands in its place.
#[tokio::test(flavor = "multi_thread")]
async fn rounds_that_the_witness_has_not_signed_are_refused() {
    let (_folder, region) = region().await;
    let mut rogue = Rogue::of(&region);
    let request = decode_request(masked(fine())).unwrap();
    let agreed = rogue.agree(&request).await;
    let good = rogue.encode(&agreed, &request);
    let other = rogue.agree(&request).await;
    let sid = agreed.terms.sid();
    let pki = region.pki();
    let by = |role: Role, name: &str| {
        pki.signing_key(&peer(role, name)).unwrap().sign(Context::Offer, &sid).as_bytes().to_vec()
    };
    let with = |change: &dyn Fn(&mut v1::Offer)| {
        let mut offer = good.clone();
        change(&mut offer);
        offer
    };
    let forged = |signature: Vec<u8>| with(&|offer| offer.witness_signature = signature.clone());
    let mut offers = vec![
        ("zeros", forged(vec![0; 64])),
        ("the coordinator's", forged(good.coordinator_signature.clone())),
        ("a hospital's", forged(by(Role::Node, "h-2"))),
        ("the victim's", forged(by(Role::Node, VICTIM))),
        ("the roster authority's", {
            let signature = pki.roster_key().unwrap().sign(Context::Offer, &sid);
            forged(signature.as_bytes().to_vec())
        }),
        ("the witness's of another round", forged(other.signatures.witness.as_bytes().to_vec())),
        ("the witness's of a receipt", {
            let key = pki.signing_key(&peer(Role::Witness, "main")).unwrap();
            forged(key.sign(Context::Receipt, &sid).as_bytes().to_vec())
        }),
        (
            "the witness's twice",
            with(&|offer| {
                offer.coordinator_signature.clone_from(&offer.witness_signature);
            }),
        ),
        (
            "both, exchanged",
            with(&|offer| {
                std::mem::swap(&mut offer.coordinator_signature, &mut offer.witness_signature);
            }),
        ),
    ];
    offers.extend(without_the_witness(&rogue, &request, &good));
    let mut wrong = Vec::new();
    for (what, offer) in offers {
        wrong.extend(met(RefusalCode::Offer, what, rogue.join(offer).await, Vec::len));
    }
    for (what, offer) in [
        ("none", forged(Vec::new())),
        ("half of one", forged(good.witness_signature[..32].to_vec())),
        ("no terms", with(&|offer| offer.terms = None)),
        ("no request", with(&|offer| offer.request = None)),
        ("no round key", with(&|offer| offer.round_key.clear())),
    ] {
        wrong.extend(met(RefusalCode::Request, what, rogue.join(offer).await, Vec::len));
    }
    for (what, offer) in with_other_keys(&good, &agreed.guard_keys[1]) {
        wrong.extend(met(RefusalCode::Offer, what, rogue.join(offer).await, Vec::len));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(released(&region).is_empty());
    rogue.join(good).await.unwrap();
    assert_eq!(released(&region), ["masked"], "the same round with its signatures is joined");
}
