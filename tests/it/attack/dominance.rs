//! Sums of money that are nearly one patient's.

use model::RefusalCode;
use tests::Region;
use tests::fixture::Stay;

use super::{hospital, refusal, stays};

/// 90 stays, of which thirty are in each of three groups; the first `few` of the first group cost a
/// hundred times what the others do.
fn dear(few: u32) -> Vec<Stay> {
    let mut all = stays(90, 0, |_| ());
    for (number, stay) in (0..).zip(&mut all) {
        stay.drg = ["DA1", "DB1", "DC1"][number as usize / 30];
        stay.cost_cents = if number < few { 100_000_000 } else { 1_000_000 };
    }
    all
}

const BY_DRG: &str = "SELECT hospital_id, drg_code, count(*) AS n, sum(total_cost) AS cost FROM stay \
                      GROUP BY 1, 2 ORDER BY 2";

async fn rows(region: &Region, sql: &str) -> Vec<Vec<String>> {
    region.ask(sql).await.unwrap().rows()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_patients_cost_is_not_read_off_a_sum() {
    let region = hospital(dear(1)).await;
    let answer = region.ask(BY_DRG).await.unwrap();
    let told: Vec<_> = answer.rows().into_iter().map(|row| row[1..].to_vec()).collect();
    // One patient has 77 % of the 129 units of DA1, and the next one 1 unit: that passes. Of two
    // patients below it does not.
    assert_eq!(told[0][2], "1290000.0000", "{told:?}");
    for (few, withheld) in [(2, 1), (3, 0)] {
        let region = hospital(dear(few)).await;
        let answer = region.ask(BY_DRG).await.unwrap();
        let told = answer.rows();
        let hidden = told.iter().filter(|row| row[3].is_empty()).count();
        // Each number of stays is told; a withheld sum takes the smallest one with which it is hidden.
        assert_eq!(told.len(), 3, "{told:?}");
        assert_eq!(hidden > 0, withheld > 0, "{few}: {told:?}");
        assert!(hidden != 1, "the sum over all would tell it: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_that_leaves_one_dear_patient_is_not_told() {
    // Thirty stays, of which one costs nearly everything: in whatever way they are asked for.
    let mut all = dear(0);
    all[0].cost_cents = 1_000_000_000;
    let region = hospital(all).await;
    let asked = [
        "SELECT hospital_id, sum(total_cost) AS x FROM stay WHERE drg_code = 'DA1' GROUP BY 1",
        "SELECT hospital_id, avg(total_cost) AS x FROM stay WHERE drg_code = 'DA1' GROUP BY 1",
        "SELECT hospital_id, stddev(total_cost) AS x FROM stay WHERE drg_code = 'DA1' GROUP BY 1",
        "SELECT hospital_id, sum(total_cost) FILTER (WHERE drg_code = 'DA1') AS x FROM stay GROUP BY 1",
        "SELECT hospital_id, sum(CASE WHEN drg_code = 'DA1' THEN total_cost ELSE 0 END) AS x FROM stay \
         GROUP BY 1",
        "SELECT hospital_id, sum(total_cost * 2) AS x FROM stay WHERE drg_code = 'DA1' GROUP BY 1",
    ];
    for sql in asked {
        assert_eq!(rows(&region, sql).await, [["h-1", ""]], "{sql}");
    }
    // Nor under something that makes everybody's part look alike.
    for measure in [
        "sum(total_cost + 10000000)",
        "sum(10000000 - total_cost)",
        "sum(total_cost + los_days * 10000000)",
        "sum(CASE WHEN drg_code = 'DA1' THEN total_cost ELSE 10000000 END)",
        "sum(coalesce(total_cost, 10000000))",
    ] {
        let sql = format!("SELECT hospital_id, {measure} AS x FROM stay GROUP BY 1");
        let refusal = refusal(region.ask(&sql).await);
        assert_eq!(refusal.code, RefusalCode::Measure, "{sql}");
    }
    // The other groups, and lengths of stay of this one, are nobody's secret.
    let days = "SELECT hospital_id, avg(los_days) AS x FROM stay WHERE drg_code = 'DA1' GROUP BY 1";
    assert_ne!(rows(&region, days).await[0][1], "");
    let other =
        "SELECT hospital_id, sum(total_cost) AS x FROM stay WHERE drg_code = 'DB1' GROUP BY 1";
    assert_eq!(rows(&region, other).await, [["h-1", "300000.0000"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_stays_of_one_patient_are_one_patients() {
    let whole = "SELECT hospital_id, sum(total_cost) AS x FROM stay GROUP BY 1";
    // Twelve patients at the common price. One has 40 of 51 stays, which is 80 % with the next, and the rest is
    // a quarter of the largest; or 59 of 70, which is 86 %.
    for (all, own, told) in [(51, 40, "510000.0000"), (70, 59, "")] {
        let mut all = stays(all, own, |stay| stay.person = "the same".to_owned());
        all.iter_mut().for_each(|stay| stay.cost_cents = 1_000_000);
        assert_eq!(rows(&hospital(all).await, whole).await[0][1], told);
    }
}
