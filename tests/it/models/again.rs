//! What an earlier fit found of levels is used again for the same stays, and for nothing else.

use cli::client::Client;
use proto::v1::FitRequest;
use service::Clock;
use tests::fixture::{self, Stay};
use tests::{HospitalSource, Region, open_policy};

use crate::client::user_folder;

/// Stays of a hospital: four groups, and costs that differ.
fn stays(hospital: u32, groups: [&'static str; 4]) -> impl Iterator<Item = Stay> {
    (0..240).map(move |number| {
        let plain = Stay::plain(number + 1_000 * hospital);
        let mixed = (number + 97 * hospital).wrapping_mul(2_654_435_761) >> 9;
        let drg = groups[(mixed % 4) as usize];
        let cost = 200_000 + 50_000 * i64::from(mixed % 4) + i64::from(mixed % 70_000);
        Stay { drg, los_days: 1 + mixed % 9, cost_cents: cost, ..plain }
    })
}

const GROUPS: [&str; 4] = ["DA1", "DB1", "DC1", "DD1"];

fn request(formula: &str) -> FitRequest {
    FitRequest { formula: formula.into(), family: "gamma".into(), ..FitRequest::default() }
}

/// Rounds that a hospital took part in.
fn rounds(region: &Region) -> usize {
    tokio::task::block_in_place(|| region.site("h-0").releases()).unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_are_asked_for_once_for_the_same_stays() {
    let folder = tempfile::tempdir().unwrap();
    let hospitals = (0..3).map(|hospital| {
        let id = format!("h-{hospital}");
        let source = fixture::write(folder.path(), &id, stays(hospital, GROUPS));
        HospitalSource::small(&id, source)
    });
    let builder = Region::builder().hospitals(hospitals).policy(open_policy());
    let region = builder.start().await.unwrap();
    let user = user_folder(&region, folder.path());
    let client = Client::open(&user, &Clock::system()).unwrap();
    let fit = async |formula: &str| {
        let before = rounds(&region);
        let card = client.fit(request(formula), None, |_| ()).await.unwrap();
        // Beside the steps, what was asked to find levels.
        (rounds(&region) - before - card.provenance.rounds.len(), card)
    };
    let (asked, first) = fit("total_cost ~ drg_code + sex").await;
    assert!(asked >= 2, "{asked}");
    let (asked, again) = fit("total_cost ~ drg_code + sex").await;
    assert_eq!(asked, 0, "the levels are known");
    assert_eq!(again.coefficients, first.coefficients);
    assert_eq!(again.fit, first.fit);
    assert_eq!(again.provenance.selected_stays, first.provenance.selected_stays);
    // Another model of the same factors, response and stays.
    let (asked, _) = fit("log(total_cost) ~ drg_code*sex").await;
    assert_eq!(asked, 0);
    // Of other stays, or about another reference, nothing is known.
    let (asked, _) = fit("total_cost ~ drg_code + sex + log(los_days)").await;
    assert!(asked >= 2);
    let (asked, _) = fit("total_cost ~ C(drg_code, \"DB1\") + sex").await;
    assert!(asked >= 2);

    // A hospital has new data, with a group that it did not have.
    let groups = ["DA1", "DB1", "DC1", "DE1"];
    let source = fixture::write(folder.path(), "h-1-new", stays(1, groups));
    let ingest = || region.site("h-1").ingest(&source, &fixture::mapping());
    tokio::task::block_in_place(ingest).unwrap();
    let (asked, anew) = fit("total_cost ~ drg_code + sex").await;
    assert!(asked >= 2, "{asked}");
    assert_ne!(anew.provenance.snapshots, first.provenance.snapshots);
    // What only one hospital has is no level of its own.
    let has_others =
        |card: &learn::card::Card| card.coefficients.iter().any(|one| one.name == "drg_code=OTHER");
    assert_eq!([has_others(&first), has_others(&anew)], [false, true]);
}
