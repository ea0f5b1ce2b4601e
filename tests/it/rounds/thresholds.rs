//! Which groups and sums appear: rare in every hospital and not in the region, too few hospitals,
//! one hospital with most of the money.

use privacy::Policy;
use tests::fixture::Stay;

use super::{region, stays, together};

const COUNTS: &str = "SELECT drg_code, count(*) AS n FROM stay GROUP BY drg_code ORDER BY drg_code";
const COSTS: &str = "SELECT drg_code, count(*) AS n, sum(total_cost) AS cost FROM stay \
                     GROUP BY drg_code ORDER BY drg_code";

fn group(count: u32, drg: &'static str, cents: i64) -> Vec<Stay> {
    stays(count, |stay| (stay.drg, stay.cost_cents) = (drg, cents))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hospital_decides_whether_its_small_groups_count() {
    let data = || (0..4).map(|_| together([group(20, "DA1", 100_000), group(5, "RB2", 100_000)]));
    let small = region(data(), |builder| builder).await;
    assert_eq!(small.ask(COUNTS).await.unwrap().rows(), [["DA1", "80"], ["RB2", "20"]]);
    // One hospital leaves its five out. After what was told with them, that would be their difference.
    let mut strict = Policy::answering();
    strict.pooled.local_minimum = 11;
    small.site("h-2").set_policy(&strict).unwrap();
    assert!(small.ask(COUNTS).await.unwrap_err().message().contains("nearly the same patients"));
    let small = region(data(), |builder| builder.policy_of("h-2", strict.clone())).await;
    assert_eq!(small.ask(COUNTS).await.unwrap().rows(), [["DA1", "80"], ["RB2", "15"]]);
    // When all do, the group is not there, and its code is never named.
    let large = region(data(), |builder| builder.policy(strict)).await;
    let answer = large.ask(COUNTS).await.unwrap();
    assert_eq!(answer.rows(), [["DA1", "80"]]);
    assert_eq!(answer.release.cells_withheld, 0, "nobody's persons reached the sum");
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_two_hospitals_and_money_of_one_are_withheld() {
    // AA1 is everywhere. BB2 is in two hospitals. CC3 has nine tenths of its cost in h-1; DD4 has
    // seven tenths there, which is below the rule of about three quarters. AA0, the smallest group, is
    // withheld beside BB2, whose sums over two hospitals would follow from a total.
    let data = (0..4).map(|hospital| {
        let two = if hospital < 2 { 30 } else { 0 };
        let (most, more) = if hospital == 0 { (2_700_000, 700_000) } else { (100_000, 100_000) };
        together([
            group(8, "AA0", 100_000),
            group(20, "AA1", 100_000),
            group(two, "BB2", 100_000),
            group(20, "CC3", most),
            group(20, "DD4", more),
        ])
    });
    let region = region(data, |builder| builder).await;
    let answer = region.ask(COSTS).await.unwrap();
    let expected = [
        ["AA1", "80", "80000.0000"],
        // Shown, without its cost.
        ["CC3", "80", ""],
        ["DD4", "80", "200000.0000"],
    ];
    assert_eq!(answer.rows(), expected);
    let release = &answer.release;
    assert_eq!((release.cells_released, release.cells_withheld), (3, 2), "{release:?}");
    assert_eq!(release.measures_withheld, 1, "{release:?}");
    // The count alone is nobody's cost.
    assert_eq!(
        region.ask(COUNTS).await.unwrap().rows(),
        [["AA1", "80"], ["CC3", "80"], ["DD4", "80"]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_when_a_list_was_found_is_left_out_and_named() {
    // RB2 has eleven stays in three hospitals, nine of them in h-1. CA2, the smallest other group, is
    // withheld beside what remains of it.
    let data = (0..6).map(|hospital| {
        let rare = [9, 1, 1, 0, 0, 0][hospital];
        let others = [group(20, "DA1", 100_000), group(4, "CA2", 100_000)];
        together([others.concat(), group(rare, "RB2", 100_000)])
    });
    let region = region(data, |builder| builder).await;
    region.site("h-1").stop().await;
    let answer = region.ask(COUNTS).await.unwrap();
    assert_eq!(answer.rows(), [["DA1", "100"]]);
    assert_eq!(answer.missing(), [("h-1", "unreachable")]);
    region.site("h-1").start().await.unwrap();
    // Another question by the same codes: the list does not know RB2, and h-1's nine are not
    // counted under another name.
    let answer = region.ask(COSTS).await.unwrap();
    assert_eq!(answer.rows(), [["DA1", "100", "100000.0000"]]);
    assert_eq!(answer.missing(), [("h-1", "held_back")]);
    assert!(answer.release.stays_coverage.unwrap() < 0.9, "{:?}", answer.release);
}
