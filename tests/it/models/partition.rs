//! Any partition gives the same bits, and a hospital that is lost leaves no mixture behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cli::client::Client;
use proto::v1::FitRequest;
use serde_json::Value;
use service::Clock;
use tests::fixture::{self, Stay};
use tests::{HospitalSource, Region, open_policy};

use super::json;
use crate::client::user_folder;

const STAYS: u32 = 1_200;

/// Stays with two factors, an event and costs that differ.
fn stay(number: u32) -> Stay {
    let plain = Stay::plain(number);
    let mixed = number.wrapping_mul(2_654_435_761) >> 7;
    let drg = ["DA1", "DB1", "DC1", "DD1"][usize::try_from(mixed % 4).unwrap()];
    let los = 1 + mixed / 4 % 12;
    let cost = 100_000
        + 37_000 * i64::from(los)
        + 91_000 * i64::from(mixed % 4)
        + i64::from(mixed / 64 % 90_000);
    Stay { drg, los_days: los, cost_cents: cost, ..plain }
}

/// The stays dealt to `parts` hospitals.
fn hospitals(folder: &Path, parts: u32) -> Vec<HospitalSource> {
    let each = (0..parts).map(|part| {
        let id = format!("h-{part:03}");
        let own = (0..STAYS).filter(|number| number * 7 % parts == part).map(stay);
        let source: PathBuf = fixture::write(folder, &format!("{parts}-{id}"), own);
        HospitalSource::small(&id, source)
    });
    each.collect()
}

async fn region(folder: &Path, hospitals: Vec<HospitalSource>) -> Region {
    let folder = folder.join(hospitals.len().to_string());
    std::fs::create_dir_all(folder).unwrap();
    Region::builder().hospitals(hospitals).policy(open_policy()).proxied().start().await.unwrap()
}

/// A card without what depends on who took part.
fn essence(card: &Value) -> Value {
    let mut card = card.clone();
    for field in ["provenance", "created_at", "name"] {
        card.as_object_mut().unwrap().remove(field);
    }
    card
}

#[tokio::test(flavor = "multi_thread")]
async fn any_partition_gives_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let mut known: Option<Vec<Value>> = None;
    for parts in [3, 8, 50] {
        let own = folder.path().join(parts.to_string());
        std::fs::create_dir_all(&own).unwrap();
        let region = region(&own, hospitals(&own, parts)).await;
        let user = user_folder(&region, &own);
        let user = user.to_str().unwrap();
        let mut cards = Vec::new();
        for (formula, family) in [
            ("total_cost ~ drg_code + log(los_days)", "gamma"),
            ("total_cost ~ drg_code*sex + los_days", "gaussian"),
            ("los_days ~ drg_code", "negative-binomial"),
            ("total_cost ~ drg_code + sex + los_days", "gamma --trees 3 --depth 3"),
        ] {
            let base = ["fit", formula, "--region", user, "--format", "json", "--family"];
            let words: Vec<&str> = base.into_iter().chain(family.split(' ')).collect();
            cards.push(essence(&json(&words).await));
        }
        match &known {
            None => known = Some(cards),
            Some(known) => assert_eq!(*known, cards, "{parts} hospitals"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hospital_that_is_lost_in_the_middle_leaves_no_mixture() {
    let folder = tempfile::tempdir().unwrap();
    let whole = region(folder.path(), hospitals(folder.path(), 9)).await;
    let user = user_folder(&whole, folder.path());
    let client = Client::open(&user, &Clock::system()).unwrap();
    let request = FitRequest {
        formula: "los_days ~ C(drg_code, \"DA1\") + sex".into(),
        family: "negative-binomial".into(),
        ..FitRequest::default()
    };
    let mut told = Vec::new();
    let fitted = client.fit(request.clone(), None, |progress| {
        if progress.steps == 1 && told.is_empty() {
            whole.site("h-004").proxy().cut();
        }
        told.push(progress.restarted.clone());
    });
    let card = fitted.await.unwrap();
    assert!(told.iter().any(|why| why.contains("h-004")), "{told:?}");
    assert!(card.provenance.restarts >= 1);
    assert_eq!(card.provenance.left_out["h-004"], "unreachable");
    // One hospital alone is never the difference of two sums.
    let survivors = card.provenance.snapshots.len();
    assert!((3..=6).contains(&survivors), "{:?}", card.provenance);
    let sums = card.provenance.rounds.len();
    assert_eq!(sums, usize::try_from(card.fit.steps).unwrap(), "the rounds of one fit");

    // The same as if the others had never been there.
    let again = tempfile::tempdir().unwrap();
    let kept = hospitals(again.path(), 9)
        .into_iter()
        .filter(|one| card.provenance.snapshots.contains_key(&one.id));
    let alone = region(again.path(), kept.collect()).await;
    let user = user_folder(&alone, again.path());
    let client = Client::open(&user, &Clock::system()).unwrap();
    let fresh = client.fit(request, None, |_| ()).await.unwrap();
    let value = |card| essence(&serde_json::to_value(card).unwrap());
    assert_eq!(value(&card), value(&fresh));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hospital_that_hangs_does_not_take_the_time_of_the_whole_fit() {
    let folder = tempfile::tempdir().unwrap();
    let builder = Region::builder().hospitals(hospitals(folder.path(), 6)).policy(open_policy());
    let region = builder.deadline(Duration::from_secs(4)).proxied().start().await.unwrap();
    let user = user_folder(&region, folder.path());
    let client = Client::open(&user, &Clock::system()).unwrap();
    let request = FitRequest {
        formula: "total_cost ~ drg_code".into(),
        family: "gamma".into(),
        ..FitRequest::default()
    };
    let mut stalled = false;
    // A fit's own deadline is an hour; a question's is what ends the wait.
    let fitted = client.fit(request, None, |progress| {
        if progress.steps == 1 && !stalled {
            region.site("h-004").proxy().stall();
            stalled = true;
        }
    });
    let card = tokio::time::timeout(Duration::from_secs(300), fitted).await.unwrap().unwrap();
    assert!(stalled);
    assert_eq!(card.provenance.left_out["h-004"], "deadline");
    assert!(card.provenance.restarts >= 1);
}
