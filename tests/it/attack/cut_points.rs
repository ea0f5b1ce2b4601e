//! The same condition inside a measure, cut a little differently: each sum is about many, and what lies between the
//! cuts is about a few. A hospital remembers those whom a measure tells apart as it remembers groups.

use privacy::Policy;
use tests::Region;
use tests::fixture::Stay;

use super::{hospital_under, refusal, stays};
use model::RefusalCode;

/// Three stays of some twenty thousand beside a hundred that cost half as much, and a hundred that cost twice.
fn world() -> Vec<Stay> {
    let mut all = stays(203, 0, |_| ());
    for (number, stay) in (0..).zip(&mut all) {
        stay.cost_cents = match number {
            0..3 => 2_020_000 + number,
            3..103 => 1_000_000 + number,
            _ => 4_000_000 + number,
        };
    }
    all
}

async fn region() -> Region {
    hospital_under(Policy::answering(), world()).await
}

/// The values of the only row; `None` for one that is withheld.
async fn values(region: &Region, measures: &str, condition: &str) -> Vec<Option<String>> {
    let sql = format!("SELECT {measures}, hospital_id FROM stay {condition} GROUP BY hospital_id");
    let mut row = region.ask(&sql).await.unwrap().rows().swap_remove(0);
    row.pop();
    row.into_iter().map(|value| (!value.is_empty()).then_some(value)).collect()
}

const BELOW: &str = "sum(total_cost) FILTER (WHERE total_cost < 20000)";
const ABOVE: &str = "sum(total_cost) FILTER (WHERE total_cost < 20500)";

#[tokio::test(flavor = "multi_thread")]
async fn two_cuts_with_a_few_in_between_are_not_both_told() {
    for (first, second) in [
        (BELOW, ABOVE),
        (ABOVE, BELOW),
        ("count(*) FILTER (WHERE total_cost < 20000)", ABOVE),
        (BELOW, "sum(CASE WHEN total_cost < 20500 THEN 1 ELSE 2 END)"),
        (BELOW, "avg(total_cost) FILTER (WHERE total_cost >= 20500)"),
    ] {
        let region = region().await;
        assert!(values(&region, first, "").await[0].is_some(), "{first}");
        assert_eq!(values(&region, second, "").await, [None], "{second} after {first}");
        assert!(values(&region, first, "").await[0].is_some(), "{first} again");
        // In one question.
        let region = self::region().await;
        let both = values(&region, &format!("{first} AS a, {second} AS b"), "").await;
        assert!(both[0].is_some() && both[1].is_none(), "{first}, {second}: {both:?}");
    }
    // As a condition of the question, before and after.
    let cheap = "WHERE total_cost < 20500";
    let region = region().await;
    assert!(values(&region, BELOW, "").await[0].is_some());
    let sql = format!("SELECT hospital_id, count(*) AS n FROM stay {cheap} GROUP BY 1");
    assert_eq!(refusal(region.ask(&sql).await).code, RefusalCode::Differencing);
    let region = self::region().await;
    assert!(values(&region, "count(*)", cheap).await[0].is_some());
    assert_eq!(values(&region, BELOW, "").await, [None]);
    // Cuts with many in between are.
    let region = self::region().await;
    for cut in ["total_cost < 20000", "total_cost < 45000", "total_cost >= 20000"] {
        let measure = format!("sum(total_cost) FILTER (WHERE {cut})");
        assert!(values(&region, &measure, "").await[0].is_some(), "{cut}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deaths_of_a_year_and_of_three_quarters_do_not_tell_those_of_the_fourth() {
    let mut all = stays(240, 0, |_| ());
    for (number, stay) in (0u32..).zip(&mut all) {
        let (quarter, within) = (number / 60, number % 60);
        stay.month = u8::try_from(3 * quarter + 1 + within % 3).unwrap();
        stay.los_days = 1;
        stay.died = within < if quarter == 3 { 4 } else { 20 };
    }
    let region = hospital_under(Policy::answering(), all).await;
    let deaths = "count(*) AS n, sum(CAST(died AS INT)) AS deaths";
    let quarter = |from: &str, until: &str| {
        format!("WHERE discharged_at >= '{from}' AND discharged_at < '{until}'")
    };
    let told = async |condition: &str| {
        let row = values(&region, deaths, condition).await;
        row.into_iter().map(|value| value.unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!(told("").await, ["240", "64"]);
    assert_eq!(told(&quarter("2024-01-01", "2024-04-01")).await, ["60", "20"]);
    assert_eq!(told(&quarter("2024-04-01", "2024-07-01")).await, ["60", "20"]);
    assert_eq!(told(&quarter("2024-07-01", "2024-10-01")).await, ["60", ""]);
    assert_eq!(told(&quarter("2024-10-01", "2025-01-01")).await, ["60", ""]);
}
