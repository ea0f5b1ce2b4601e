//! A coordinator that would have the witness compare with nothing: it tells the hospitals where cells stand, and
//! the witness something else, or everything under another key.

use model::RefusalCode;
use privacy::blind::RoundKey;
use privacy::{Terms, Veil, VeilKey};
use proto::v1;
use tests::Region;
use tests::fixture::Stay;

use super::chair::{Agreed, Chair, Uploads, random, total};
use super::{is, refused, region};

const SQL: &str = "SELECT sum(total_cost) AS cost, count(*) AS n FROM stay \
                   WHERE discharged_at >= '2024-01-01' AND discharged_at < '2025-01-01'";
const ALL: [&str; 3] = ["h-1", "h-2", "h-3"];

async fn three() -> Region {
    region((0..3).map(|_| (0..40).map(Stay::plain).collect()), |builder| builder).await
}

async fn collected(chair: &Chair<'_>) -> (Agreed, Uploads) {
    let agreed = chair.agree(&chair.request(SQL).await, &ALL).await;
    let uploads = chair.collect(&agreed, &ALL).await;
    (agreed, uploads)
}

#[tokio::test(flavor = "multi_thread")]
async fn hospitals_take_part_only_where_they_find_the_cells_themselves() {
    let region = three().await;
    let chair = Chair::of(&region);
    let request = chair.request(SQL).await;
    let elsewhere = chair.request("SELECT count(*) AS n FROM stay").await;
    for nothing in [false, true] {
        let round_key = RoundKey::from_slice(&random()).unwrap();
        let told = chair.veiled(&elsewhere, &round_key).filter(|_| !nothing);
        let veiled = told.map_or([0; 32], |veiled| veiled.hash());
        let terms = Terms { veiled, ..chair.terms(&request, &round_key, &ALL) };
        let agreed = chair.agree_on(&request, terms, round_key).await;
        let outcome = chair.offer("h-1", agreed.offer("h-1")).await;
        assert_eq!(refused(outcome), is(RefusalCode::Offer, "veiled"), "nothing: {nothing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_witness_is_told_what_the_hospitals_were_told() {
    let region = three().await;
    let chair = Chair::of(&region);
    type Change = fn(&mut v1::Veiled, &mut Vec<u128>);
    let changes: [Change; 4] = [
        |veiled, _| veiled.spans.clear(),
        |veiled, _| veiled.spans[0].asked_from += 1,
        |veiled, _| veiled.whole[0] ^= 1,
        |_, sums| *sums.last_mut().unwrap() ^= 1,
    ];
    for change in changes {
        let (agreed, uploads) = collected(&chair).await;
        let (mut header, shape) = (agreed.header(&uploads), &agreed.terms.shape);
        let mut sums = agreed.witnessed(&total(shape, &uploads));
        change(header.veiled.as_mut().unwrap(), &mut sums);
        let outcome = chair.open(shape, header, &sums).await;
        assert_eq!(refused(outcome), is(RefusalCode::Offer, "veiled"));
    }
    let (agreed, uploads) = collected(&chair).await;
    let header = v1::OpenHeader { veiled: None, ..agreed.header(&uploads) };
    let sums = agreed.witnessed(&total(&agreed.terms.shape, &uploads));
    let outcome = chair.open(&agreed.terms.shape, header, &sums).await;
    assert_eq!(refused(outcome), is(RefusalCode::Offer, "veiled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_witness_keeps_to_the_first_key_also_after_a_restart() {
    let region = three().await;
    let chair = Chair::of(&region);
    let (agreed, uploads) = collected(&chair).await;
    chair.finish(&agreed, &uploads).await.unwrap();
    for restart in [false, true] {
        if restart {
            region.stop_witness().await;
            region.start_witness(None).await.unwrap();
        }
        let key = VeilKey::from_slice(&random()).unwrap();
        let other = chair.under(Veil { key, ..chair.veil() });
        let (agreed, uploads) = collected(&other).await;
        let outcome = other.finish(&agreed, &uploads).await;
        assert_eq!(refused(outcome), is(RefusalCode::Offer, "veiled.key"), "restart: {restart}");
        // The first one is as good as before.
        let (agreed, uploads) = collected(&chair).await;
        chair.finish(&agreed, &uploads).await.unwrap();
    }
}
