//! Levels of factors are asked for once, as long as nobody's data change.

use std::path::{Path, PathBuf};

use cli::client::Client;
use learn::card::Card;
use proto::v1::FitRequest;
use service::Clock;
use tests::fixture::{self, Stay};
use tests::{HospitalSource, Region, open_policy};

use crate::client::user_folder;

const HOSPITALS: u32 = 4;

fn stay(number: u32) -> Stay {
    let mixed = number.wrapping_mul(2_654_435_761) >> 7;
    let drg = ["DA1", "DB1", "DC1"][usize::try_from(mixed % 3).unwrap()];
    Stay { drg, los_days: 1 + mixed / 3 % 9, ..Stay::plain(number) }
}

/// Stays of a hospital, some of them of a group that others do not have.
fn stays(hospital: u32, rare: u32) -> Vec<Stay> {
    let own = (0..200).map(|number| stay(HOSPITALS * number + hospital));
    let other = (0..rare).map(|n| Stay { drg: "DX1", ..stay(10_000 + HOSPITALS * n + hospital) });
    own.chain(other).collect()
}

fn source(folder: &Path, hospital: u32, rare: u32) -> PathBuf {
    fixture::write(folder, &format!("h-{hospital}-{rare}"), stays(hospital, rare))
}

async fn region(folder: &Path, rare: u32) -> Region {
    let hospitals = (0..HOSPITALS).map(|hospital| {
        let rare = if hospital < 3 { rare } else { 0 };
        HospitalSource::small(&format!("h-{hospital}"), source(folder, hospital, rare))
    });
    let hospitals: Vec<_> = hospitals.collect();
    Region::builder().hospitals(hospitals).policy(open_policy()).start().await.unwrap()
}

fn client(region: &Region, folder: &Path) -> Client {
    Client::open(&user_folder(region, folder), &Clock::system()).unwrap()
}

/// A model, and how many sums `h-0` has released for it.
async fn fit(region: &Region, client: &Client, formula: &str) -> (Card, usize) {
    let family = "poisson".to_owned();
    let request = FitRequest { formula: formula.to_owned(), family, ..FitRequest::default() };
    let before = region.site("h-0").releases().unwrap().len();
    let card = client.fit(request, None, |_| ()).await.unwrap();
    (card, region.site("h-0").releases().unwrap().len() - before)
}

fn coefficients(card: &Card) -> Vec<(&str, u64)> {
    card.coefficients.iter().map(|one| (one.name.as_str(), one.estimate.to_bits())).collect()
}

fn has(card: &Card, name: &str) -> bool {
    card.coefficients.iter().any(|one| one.name == name)
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_are_asked_for_once_for_the_same_stays() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let region = region(folder, 0).await;
    let client = client(&region, folder);
    let formula = "los_days ~ drg_code + sex";
    let (first, asked) = fit(&region, &client, formula).await;
    let steps = |card: &Card| usize::try_from(card.fit.steps).unwrap();
    // All stays, and two factors; the list of codes beside.
    assert!(asked >= steps(&first) + 3, "{asked} in {} steps", steps(&first));
    let (again, asked) = fit(&region, &client, formula).await;
    assert_eq!((asked, again.provenance.restarts), (steps(&again), 0));
    assert_eq!(coefficients(&again), coefficients(&first));
    let (other, asked) = fit(&region, &client, "los_days ~ drg_code*sex").await;
    assert_eq!(asked, steps(&other), "another model of the same stays");
    let (fewer, asked) = fit(&region, &client, "los_days ~ drg_code").await;
    assert!(asked > steps(&fewer), "who has no sex is in this one");

    // Three hospitals ingest a group that was not there.
    for hospital in 0..3 {
        let (site, source) =
            (region.sites()[hospital as usize].clone(), source(folder, hospital, 20));
        let ingest = move || site.ingest(&source, &fixture::mapping()).unwrap();
        tokio::task::spawn_blocking(ingest).await.unwrap();
        region.sites()[hospital as usize].restart().await.unwrap();
    }
    let (stale, asked) = fit(&region, &client, formula).await;
    assert!(asked > steps(&stale) + 3, "{asked} in {} steps", steps(&stale));
    assert_eq!((stale.provenance.restarts, stale.fit.stays), (0, first.fit.stays + 60));
    // Until the coordinator has heard of the group, it is one of the others; then it is not remembered so.
    client.hospitals().await.unwrap();
    let (grown, _) = fit(&region, &client, formula).await;
    assert!(has(&grown, "drg_code=DX1") && !has(&grown, "drg_code=OTHER"));
    let apart = tempfile::tempdir().unwrap();
    let fresh = self::region(apart.path(), 20).await;
    let (fresh, _) = fit(&fresh, &self::client(&fresh, apart.path()), formula).await;
    assert_eq!(coefficients(&grown), coefficients(&fresh));
}
