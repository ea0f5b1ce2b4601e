//! What happens after a round was opened: names are united, logs are cosigned.

use super::*;

async fn agree_discovery(world: &World, nonce: u8) -> Agreed {
    let request = discovery([0; 32]);
    world.agree(&request, world.proposal(&request, nonce, 4)).await
}

/// A discovery over hospitals 0..4, opened; buckets 2 and 5 pass, 7 does not.
async fn discovered(world: &World, nonce: u8) -> (Agreed, Vec<u32>, privacy::sign::Signature) {
    let agreed = agree_discovery(world, nonce).await;
    let held: Vec<_> =
        (0..4u8).map(|n| (n, vec![bucket(2, 5), bucket(5, 6), bucket(7, 1)])).collect();
    let collected = world.collect(&agreed, held.iter().map(|(n, g)| (*n, g.as_slice())));
    let (opened, signature) = world.open(&agreed, &collected).await.unwrap();
    (agreed, opened.places, signature.unwrap())
}

fn list(agreed: &Agreed, number: u8, codes: &[&str]) -> v1::SealedNames {
    let names = pack(&NameKey::new(&agreed.round_key).unwrap(), codes.iter().copied()).unwrap();
    let bound = seed_binding(&agreed.terms.sid(), &hospital(number), &[0; 32]);
    let random = Zeroizing::new([90 + number; 32]);
    let sealed = seal(&agreed.terms.witness_key, "names", &bound, &names, random).unwrap();
    let signed = names_digest(&agreed.terms.sid(), &sealed);
    let signature = hospital_key(number).sign(Context::Names, &signed).as_bytes().to_vec();
    v1::SealedNames { hospital: hospital(number).to_string(), sealed, signature }
}

fn lists(agreed: &Agreed) -> Vec<v1::SealedNames> {
    let codes: [&[&str]; 4] = [&["A01", "B02"], &["B02"], &[], &["C03"]];
    (0u8..).zip(codes).map(|(number, codes)| list(agreed, number, codes)).collect()
}

#[tokio::test]
async fn a_discovery_names_the_union_once() {
    let world = World::new();
    let (agreed, places, signature) = discovered(&world, 1).await;
    assert_eq!(places.len(), 2, "two buckets pass");
    let sid = agreed.terms.sid();
    let witness = key(WITNESS).verify_key();
    let digest = buckets_digest(&sid, &places);
    witness.verify(Context::Buckets, &digest, &signature).unwrap();
    let request = v1::UniteRequest { sid: sid.to_vec(), lists: lists(&agreed) };
    let union = world.desk.unite(request.clone()).await.unwrap().names;
    let names = NameKey::new(&agreed.round_key).unwrap();
    let mut read: Vec<_> = union.iter().map(|name| names.read(name).unwrap()).collect();
    read.sort();
    assert_eq!(read, ["A01", "B02", "C03"]);
    assert!(union.is_sorted(), "the order says nothing about whose they are");
    assert_eq!(code(world.desk.unite(request).await), is(RefusalCode::Replay, "sid"));
    assert_eq!(world.outcomes(), ["opened", "united"]);
    assert_eq!(world.desk.book().counts(), (0, 1));
}

#[tokio::test]
async fn names_are_united_over_exactly_the_hospitals_that_were_opened() {
    let world = World::new();
    type Change = fn(&Agreed, &mut Vec<v1::SealedNames>);
    let cases: [(Change, RefusalCode); 8] = [
        (|_, lists| lists[1].signature.clear(), RefusalCode::Offer),
        (
            // A list that the coordinator made in the hospital's place.
            |a, lists| {
                let empty = v1::SealedNames { hospital: "h-2".into(), ..list(a, 2, &[]) };
                let signed = names_digest(&a.terms.sid(), &empty.sealed);
                let forged = key(COORDINATOR).sign(Context::Names, &signed);
                lists[2] = v1::SealedNames { signature: forged.as_bytes().to_vec(), ..empty };
            },
            RefusalCode::Offer,
        ),
        (|_, lists| drop(lists.pop()), RefusalCode::Quorum),
        (|_, lists| lists.push(lists[0].clone()), RefusalCode::Quorum),
        (|a, lists| lists.push(list(a, 5, &["D04"])), RefusalCode::Quorum),
        (|_, lists| lists[1].sealed = lists[0].sealed.clone(), RefusalCode::Offer),
        (|_, lists| lists[1].sealed[40] ^= 1, RefusalCode::Offer),
        (|_, lists| lists[1].sealed.clear(), RefusalCode::Offer),
    ];
    for (nonce, (change, expected)) in (1u8..).zip(cases) {
        let (agreed, ..) = discovered(&world, nonce).await;
        let mut lists = lists(&agreed);
        change(&agreed, &mut lists);
        let request = v1::UniteRequest { sid: agreed.terms.sid().to_vec(), lists };
        assert_eq!(code(world.desk.unite(request).await), is(expected, "lists"));
        assert_eq!(world.outcomes().last().unwrap(), expected.as_str());
    }
    // Not before it is opened, not after its life, and not for a round with measures.
    let agreed = agree_discovery(&world, 20).await;
    let early = v1::UniteRequest { sid: agreed.terms.sid().to_vec(), lists: lists(&agreed) };
    assert_eq!(code(world.desk.unite(early).await), is(RefusalCode::Offer, "sid"));
    let (agreed, ..) = discovered(&world, 21).await;
    world.hand.advance(LIFE);
    let late = v1::UniteRequest { sid: agreed.terms.sid().to_vec(), lists: lists(&agreed) };
    assert_eq!(code(world.desk.unite(late).await), is(RefusalCode::Offer, "sid"));
    let (agreed, collected) = honest(&world, 22, 5).await;
    world.open(&agreed, &collected).await.unwrap();
    let none = v1::UniteRequest { sid: agreed.terms.sid().to_vec(), lists: Vec::new() };
    assert_eq!(code(world.desk.unite(none).await), is(RefusalCode::Replay, "sid"));
}

#[tokio::test]
async fn a_coordinator_that_stalls_holds_a_place_no_longer_than_its_round_lives() {
    let limits = Limits { max_concurrent: 1, ..Limits::default() };
    let world = World::with(Some(Rules { floor: FLOOR, quorum: 3 }), limits);
    let mut short = world.proposal(&sums_by_code(), 1, 5);
    short.lifetime_ms = 100;
    let (stalling, uploads) = honest_under(&world, short).await;
    let (agreed, collected) = honest(&world, 2, 5).await;
    let header = v1::OpenPart { part: Some(Part::Header(header(&stalling, &uploads))) };
    let silent = stream::iter([Ok(header)]).chain(stream::pending());
    let (stalled, waiting) =
        futures::join!(world.desk.open(silent), world.open(&agreed, &collected));
    assert_eq!(stalled.err().unwrap().code(), Code::DeadlineExceeded);
    waiting.unwrap();
    let mut outcomes = world.outcomes();
    outcomes.sort();
    assert_eq!(outcomes, ["failed", "opened"]);
    assert_eq!(world.desk.openings.available_permits(), 1);
}

#[tokio::test]
async fn logs_of_others_are_cosigned_while_they_only_grow() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let (node, own) = ("spiffe://east/node/h-1".parse().unwrap(), hospital_key(1));
    let at = "2026-11-21T08:30:00Z";
    let store = Store::open(&folder.path().join(record::FILE), &node, at).unwrap();
    let shown = |old_size: u64| {
        let checkpoint = store.checkpoint(&own).unwrap();
        let proof = store.consistency(old_size.min(checkpoint.size()), checkpoint.size()).unwrap();
        let note = String::from_utf8(checkpoint.to_bytes()).unwrap();
        let consistency = proof.iter().map(|hash| hash.to_vec()).collect();
        (checkpoint.size(), v1::CosignRequest { note, old_size, consistency })
    };
    let append = |outcome| store.append(&Entry::new(at, Kind::Release, outcome)).unwrap();
    append("one");
    let (size, first) = shown(0);
    let reply = world.desk.cosign(first.clone()).await.unwrap();
    assert_eq!((reply.accepted_size, size), (1, 1));
    let witness = "spiffe://east/witness/main".parse().unwrap();
    let verify = key(WITNESS).verify_key();
    store.add_cosignature(size, &reply.line, &witness, &verify).unwrap();
    append("two");
    let (_, unaware) = shown(0);
    let hint = world.desk.cosign(unaware).await.unwrap();
    assert_eq!((hint.line.is_empty(), hint.accepted_size), (true, 1), "where to begin");
    let (_, second) = shown(1);
    assert_eq!(world.desk.cosign(second.clone()).await.unwrap().accepted_size, 2);

    // Another history of the same length, a shorter one, a stranger's and no note at all.
    let other = tempfile::tempdir().unwrap();
    let rewritten = Store::open(&other.path().join(record::FILE), &node, at).unwrap();
    rewritten.append(&Entry::new(at, Kind::Release, "three")).unwrap();
    let note =
        |store: &Store| String::from_utf8(store.checkpoint(&own).unwrap().to_bytes()).unwrap();
    let cut = v1::CosignRequest { old_size: 2, note: note(&rewritten), consistency: Vec::new() };
    let refused = [cut.clone(), {
        rewritten.append(&Entry::new(at, Kind::Release, "four")).unwrap();
        v1::CosignRequest { note: note(&rewritten), ..cut.clone() }
    }];
    for (request, words) in refused.into_iter().zip(["shows a log of 1", "two histories"]) {
        let status = world.desk.cosign(request).await.unwrap_err();
        let refusal = refusal_of(&status).unwrap();
        assert!(refusal.reason.contains(words), "{}", refusal.reason);
    }
    let stranger = Checkpoint::sign(&"spiffe://east/node/h-99".parse().unwrap(), 1, [0; 32], &own);
    let stranger = String::from_utf8(stranger.unwrap().to_bytes()).unwrap();
    for note in [stranger, "nothing".to_owned()] {
        let request = v1::CosignRequest { note, ..v1::CosignRequest::default() };
        assert_eq!(code(world.desk.cosign(request).await), is(RefusalCode::Request, "note"));
    }
    let long = v1::CosignRequest { consistency: vec![vec![0; 32]; 65], ..second };
    assert_eq!(code(world.desk.cosign(long).await), is(RefusalCode::Request, "note"));
}

#[tokio::test]
async fn the_witness_s_own_log_is_shown_and_keeps_the_coordinator_s_cosignature() {
    let world = World::new();
    for nonce in 1..=2 {
        let (agreed, collected) = honest(&world, nonce, 5).await;
        world.open(&agreed, &collected).await.unwrap();
    }
    let shown = world.desk.checkpoint(v1::CheckpointRequest { old_size: 1 }).await.unwrap();
    let checkpoint = Checkpoint::parse(shown.note.as_bytes()).unwrap();
    checkpoint.verify(&key(WITNESS).verify_key()).unwrap();
    assert_eq!((checkpoint.size(), shown.consistency.len()), (2, 1));
    let coordinator = "spiffe://east/coordinator/main".parse().unwrap();
    let line = |signer| checkpoint.cosignature(&coordinator, &key(signer)).unwrap();
    let note = |size, peer: &str, line| {
        let line = v1::CosignatureLine { peer: peer.to_owned(), line };
        v1::CosignedNote { size, lines: vec![line] }
    };
    let peer = coordinator.to_string();
    let refused = [
        note(2, &peer, line(77)),
        note(1, &peer, line(COORDINATOR)),
        note(2, "spiffe://east/node/h-1", line(COORDINATOR)),
    ];
    for wrong in refused {
        assert_eq!(code(world.desk.cosigned(wrong).await), is(RefusalCode::Request, "note"));
    }
    world.desk.cosigned(note(2, &peer, line(COORDINATOR))).await.unwrap();
    let kept = world.desk.store.newest_checkpoint().unwrap().unwrap();
    assert_eq!(kept.cosigners(), [peer.as_str()]);
}

#[tokio::test]
async fn both_signatures_are_needed_and_verify_at_a_node() {
    let world = World::new();
    let (agreed, _) = honest(&world, 1, 5).await;
    let roster = world.desk.standing.roster().unwrap();
    assert_eq!(agreed.terms.verify(&roster, &agreed.signatures), Ok(agreed.terms.sid()));
    let swapped = Signatures {
        coordinator: agreed.signatures.witness,
        witness: agreed.signatures.coordinator,
    };
    assert!(agreed.terms.verify(&roster, &swapped).is_err());
}
