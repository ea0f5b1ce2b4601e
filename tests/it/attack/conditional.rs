//! Checking a column's total but not its categories: FILTER, CASE and flags that single out few,
//! or all but few.

use super::{hospital, stays};

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_inside_a_measure_is_a_group_too() {
    let region = hospital(stays(60, 3, |stay| {
        stay.payer = "RARE";
        stay.died = true;
    }))
    .await;
    for measure in [
        "count(*) FILTER (WHERE payer = 'RARE')",
        "count(*) FILTER (WHERE payer <> 'RARE')",
        "count(*) FILTER (WHERE NOT (payer = 'RARE'))",
        "sum(CASE WHEN payer = 'RARE' THEN 1 ELSE 0 END)",
        "sum(CASE WHEN payer = 'RARE' THEN 0 ELSE 1 END)",
        "sum(CASE WHEN payer = 'RARE' THEN total_cost END)",
        "sum(CASE WHEN payer <> 'RARE' THEN total_cost END)",
        "avg(total_cost) FILTER (WHERE payer = 'RARE')",
        "sum(CAST(died AS INT))",
        "avg(CAST(died AS DOUBLE))",
        "stddev(CASE WHEN died THEN los_days ELSE 0 END)",
    ] {
        for sql in [
            format!("SELECT {measure} AS v FROM stay"),
            format!("SELECT {measure} AS v, drg_code FROM stay GROUP BY 2"),
        ] {
            let answer = region.ask(&sql).await.unwrap();
            let rows = answer.rows();
            assert_eq!((rows.len(), &*rows[0][0]), (1, ""), "{sql}");
            assert_eq!(answer.release.measures_withheld, 1, "{sql}");
        }
    }
}

/// The same handful, hidden behind a value that is never zero or absent: each of these, less what
/// is known of all stays, is the number or the cost of three persons.
#[tokio::test(flavor = "multi_thread")]
async fn a_condition_mixed_with_a_value_hides_nobody() {
    let region = hospital(stays(60, 3, |stay| {
        stay.payer = "RARE";
        stay.died = true;
        stay.cost_cents = 0;
    }))
    .await;
    let mut leaks = Vec::new();
    for measure in [
        "sum(CASE WHEN payer = 'RARE' THEN 1 ELSE 2 END)",
        "avg(CASE WHEN payer = 'RARE' THEN los_days ELSE los_days + 1 END)",
        "sum(los_days + CASE WHEN payer = 'RARE' THEN 1 ELSE 0 END)",
        "sum(CASE WHEN payer = 'RARE' THEN 2 ELSE 1 END * los_days)",
        "sum(CAST(died AS INT) + 1)",
        "sum(coalesce(CASE WHEN payer = 'RARE' THEN 7 END, 1))",
        "sum(-(CASE WHEN payer = 'RARE' THEN 7 ELSE 1 END))",
        "regr_avgx(los_days, CASE WHEN payer = 'RARE' THEN 1 ELSE 0 END)",
        "regr_sxy(los_days, CASE WHEN payer = 'RARE' THEN 1 ELSE 0 END)",
        "covar_pop(CASE WHEN payer = 'RARE' THEN 1 ELSE 0 END, los_days)",
        "regr_avgx(los_days, CAST(died AS INT))",
        "count(ln(total_cost))",
        "sum(ln(total_cost))",
    ] {
        let sql = format!("SELECT {measure} AS v FROM stay");
        // A refusal is as good as a withheld value.
        let Ok(answer) = region.ask(&sql).await else { continue };
        let shown = answer.rows()[0][0].clone();
        if !shown.is_empty() {
            leaks.push(format!("{measure} = {shown}"));
        }
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_with_enough_on_both_sides_is_answered() {
    let region = hospital(stays(60, 20, |stay| stay.payer = "URBMI")).await;
    let sql = "SELECT count(*) FILTER (WHERE payer = 'URBMI') AS n, count(*) AS all FROM stay";
    assert_eq!(region.ask(sql).await.unwrap().rows(), [["20", "60"]]);
}
