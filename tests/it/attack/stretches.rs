//! A year and three of its quarters: each is about many, any two differ by many, and together they tell what the
//! fourth withheld. So does an open end beside a closed one.

use model::RefusalCode;
use privacy::Policy;
use tests::Region;
use tests::fixture::Stay;

use super::usage::restart;
use super::{hospital_under, refusal, stays};

/// Four stays of the first group in the last quarter, sixty of each group in any other.
const FEW: u32 = 4;

fn world() -> Vec<Stay> {
    let mut all = stays(12 * 60 - (60 - FEW), 0, |_| ());
    for (number, stay) in (0u32..).zip(&mut all) {
        // The first group's last quarter comes last and is cut off.
        let (group, quarter) = (["DA1", "DB1", "DC1"], number / 180);
        stay.drg = if quarter < 3 { group[number as usize % 3] } else { "DB1" };
        if quarter == 3 && number >= 540 + 120 {
            stay.drg = "DA1";
        } else if quarter == 3 && number % 2 == 0 {
            stay.drg = "DC1";
        }
        stay.month = u8::try_from(3 * quarter + 1 + number % 3).unwrap();
        stay.los_days = 1;
    }
    all
}

/// Groups that are told of the stays that meet a condition.
async fn told(region: &Region, condition: &str) -> Vec<String> {
    let sql = format!(
        "SELECT hospital_id, drg_code, count(*) AS n, sum(total_cost) AS cost FROM stay {condition} \
         GROUP BY 1, 2"
    );
    let mut groups: Vec<String> =
        region.ask(&sql).await.unwrap().rows().into_iter().map(|row| row[1].clone()).collect();
    groups.sort_unstable();
    groups
}

fn between(from: u32, until: u32) -> String {
    let end = |month: u32| format!("{}-{:02}-01", 2024 + (month - 1) / 12, (month - 1) % 12 + 1);
    format!("WHERE discharged_at >= '{}' AND discharged_at < '{}'", end(from), end(until))
}

const ALL: [&str; 3] = ["DA1", "DB1", "DC1"];
const OTHERS: [&str; 2] = ["DB1", "DC1"];

#[tokio::test(flavor = "multi_thread")]
async fn a_year_and_three_quarters_do_not_tell_the_fourth() {
    // However the year is said: as its twelve months, as all that there is, or as what began before its end.
    let since = "WHERE discharged_at < '2025-01-01'".to_owned();
    for year in [between(1, 13), String::new(), since] {
        let region = hospital_under(Policy::answering(), world()).await;
        assert_eq!(told(&region, &year).await, ALL);
        assert_eq!(told(&region, &between(1, 4)).await, ALL);
        assert_eq!(told(&region, &between(4, 7)).await, ALL);
        // What was told is known after a restart too.
        restart(&region, "h-1").await;
        assert_eq!(told(&region, &between(7, 10)).await, OTHERS, "{year}");
        // The same by a condition on the group instead of GROUP BY.
        for one in ["drg_code = 'DA1'", "'DA1' = drg_code", "drg_code IN ('DA1')"] {
            let one = format!("{} AND {one}", between(7, 10));
            let sql =
                format!("SELECT hospital_id, sum(total_cost) AS cost FROM stay {one} GROUP BY 1");
            assert_eq!(refusal(region.ask(&sql).await).code, RefusalCode::Differencing);
        }
        // Beside a condition that everybody meets, and a group that all are in.
        for (condition, group) in [(" AND age_years >= 0", ""), ("", ", 'x'")] {
            let sql = format!(
                "SELECT hospital_id, drg_code{group}, count(*) AS n FROM stay {}{condition} \
                 GROUP BY hospital_id, drg_code{group}",
                between(7, 10)
            );
            match region.ask(&sql).await {
                Ok(answer) => assert!(answer.rows().iter().all(|row| row[1] != "DA1"), "{sql}"),
                error => assert_eq!(refusal(error).code, RefusalCode::Differencing, "{sql}"),
            }
        }
        // What was told before may be told again.
        assert_eq!(told(&region, &between(4, 7)).await, ALL);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quarters_do_not_tell_the_rest_of_a_year_either() {
    let region = hospital_under(Policy::answering(), world()).await;
    for from in [1, 4, 7] {
        assert_eq!(told(&region, &between(from, from + 3)).await, ALL);
    }
    assert_eq!(told(&region, &between(1, 13)).await, OTHERS);
    // Of half a year nothing can be told: with the other groups, of which everything follows by now, its total
    // would tell of the first one.
    assert_eq!(told(&region, &between(7, 13)).await, [] as [&str; 0]);
    assert_eq!(told(&region, "").await, OTHERS);
}

#[tokio::test(flavor = "multi_thread")]
async fn quarters_that_are_all_large_tell_the_year() {
    let mut all = world();
    all.retain(|stay| stay.month <= 9);
    let region = hospital_under(Policy::answering(), all).await;
    for from in [1, 4, 7] {
        assert_eq!(told(&region, &between(from, from + 3)).await, ALL);
    }
    assert_eq!(told(&region, &between(1, 13)).await, ALL);
    assert_eq!(told(&region, "").await, ALL);
}
