//! Rounds with noise: nothing is judged, everything has noise, and no round is drawn for twice.

use privacy::noise::regional::MAX_DRAWS;
use privacy::reveal::reveal_noisy;
use privacy::{Combined, Noise, RoundNoise, Shape, Sketched};

use super::*;

const RHO: u64 = 5_000;

fn proposal(world: &World, nonce: u8) -> (privacy::ReleaseRequest, Terms) {
    let request = sums_by_code().with_noise(Some(RHO));
    let noise = Some(RoundNoise::of(Noise::default(), RHO, &request));
    let terms = Terms { noise, ..world.proposal(&request, nonce, 5) };
    (request, terms)
}

async fn noisy(world: &World, nonce: u8) -> (Agreed, Collected) {
    let (request, terms) = proposal(world, nonce);
    let agreed = world.agree(&request, terms).await;
    let held: Vec<_> = (0..5).map(|n| (n, groups(n))).collect();
    let collected = world.collect(&agreed, held.iter().map(|(n, g)| (*n, g.as_slice())));
    (agreed, collected)
}

async fn told(world: &World, nonce: u8) -> Combined {
    let (agreed, collected) = noisy(world, nonce).await;
    let (opened, signature) = world.open(&agreed, &collected).await.unwrap();
    assert!(signature.is_none() && opened.remainder.is_none());
    assert_eq!((opened.withheld_groups, opened.withheld_measures), (0, 0), "nothing is judged");
    let (shape, key) = (&agreed.terms.shape, &agreed.round_key);
    let noise = (agreed.terms.noise.as_ref().unwrap(), 0);
    reveal_noisy(&collected.total, &opened, &agreed.request, shape, key, noise).unwrap()
}

#[tokio::test]
async fn each_round_is_opened_once_with_a_draw_of_its_own() {
    let world = World::new();
    let mut heard = Vec::new();
    for nonce in 1..=8 {
        let combined = told(&world, nonce).await;
        let group = &combined.groups[&vec![Some("a".to_owned())]];
        // Twenty stays of 25 each; a deviation of 18 and, in units of 10^-4, 17.3 times 100,000.
        assert!(group.rows < 20 + 6 * 18, "{group:?}");
        assert!((group.cells[2] - 5_000_000).abs() < 6 * 17_320_508_076, "{group:?}");
        heard.push(group.clone());
    }
    heard.dedup();
    assert_eq!(heard.len(), 8, "eight draws");

    let (agreed, collected) = noisy(&world, 9).await;
    assert!(world.open(&agreed, &collected).await.is_ok());
    let again = code(world.open(&agreed, &collected).await);
    assert_eq!(again, is(RefusalCode::Replay, "sid"), "who could ask twice could average");
    assert_eq!(world.outcomes().last().map(String::as_str), Some("opened"));
}

#[tokio::test]
async fn terms_whose_noise_does_not_fit_are_not_countersigned() {
    let world = World::new();
    let refused = async |change: fn(&mut Terms)| {
        let (_, mut terms) = proposal(&world, 1);
        change(&mut terms);
        code(world.countersign(&terms).await)
    };
    let noise = |terms: &mut Terms| terms.noise.take().unwrap();
    for change in [
        (|t: &mut Terms| t.noise.as_mut().unwrap().deviations.truncate(2)) as fn(&mut Terms),
        |t| t.noise.as_mut().unwrap().deviations[0] = 0,
        |t| t.noise.as_mut().unwrap().rho_micro = 0,
        |t| t.shape = Shape::of(&sums_by_code()).unwrap(),
    ] {
        assert_eq!(refused(change).await, is(RefusalCode::Offer, "noise"));
    }
    let (_, mut terms) = proposal(&world, 2);
    let kept = noise(&mut terms);
    let measures = terms.shape.measures().to_vec();
    terms.shape = Shape::new(MAX_DRAWS, measures, Sketched::Nothing).unwrap();
    terms.noise = Some(kept);
    assert_eq!(code(world.countersign(&terms).await), is(RefusalCode::TooLarge, "--noise"));
}
