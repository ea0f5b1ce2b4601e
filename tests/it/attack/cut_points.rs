//! The same condition inside a measure, cut a little differently: each sum is about many, and what lies between the
//! cuts is about a few. A hospital remembers those whom a measure tells apart as it remembers groups.

use model::RefusalCode;
use privacy::Policy;
use tests::Region;
use tests::fixture::Stay;

use super::{hospital_under, refusal, stays};

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
    // Beside another aggregate that makes it a question of each hospital's.
    let region = self::region().await;
    for (cut, expected) in [("20000", true), ("20500", false)] {
        let sql = format!(
            "WITH h AS (SELECT hospital_id, count(*) AS n FROM stay GROUP BY 1), \
             c AS (SELECT hospital_county, sum(total_cost) FILTER (WHERE total_cost < {cut}) AS s \
             FROM stay GROUP BY 1) SELECT c.s, h.n FROM h CROSS JOIN c"
        );
        let rows = region.ask(&sql).await.unwrap().rows();
        assert_eq!(!rows[0][0].is_empty(), expected, "{cut}");
    }
    // As a condition of the question, before and after.
    let cheap = "WHERE total_cost < 20500";
    let region = self::region().await;
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
    deaths([20, 20, 20, 4], "64").await;
    // What is told to be nobody is a part of the year too.
    deaths([20, 0, 20, 4], "44").await;
}

/// So many died in each quarter.
async fn deaths(died: [u32; 4], year: &str) {
    let mut all = stays(240, 0, |_| ());
    for (number, stay) in (0u32..).zip(&mut all) {
        let (quarter, within) = (number / 60, number % 60);
        stay.month = u8::try_from(3 * quarter + 1 + within % 3).unwrap();
        stay.los_days = 1;
        stay.died = within < died[quarter as usize];
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
    assert_eq!(told("").await, ["240", year]);
    assert_eq!(told(&quarter("2024-01-01", "2024-04-01")).await, ["60", "20"]);
    let second = died[1].to_string();
    assert_eq!(told(&quarter("2024-04-01", "2024-07-01")).await, ["60", &second]);
    assert_eq!(told(&quarter("2024-07-01", "2024-10-01")).await, ["60", ""]);
    assert_eq!(told(&quarter("2024-10-01", "2025-01-01")).await, ["60", ""]);
}
