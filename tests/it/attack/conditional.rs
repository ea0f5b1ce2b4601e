//! Checking a column's total but not its categories: FILTER, CASE and flags that single out few,
//! or all but few.

use model::RefusalCode;

use super::{hospital, refusal, spread, stays};

/// Each is, or together with the number of stays tells, how many are in the condition.
const ONE_SIDED: [&str; 11] = [
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
];

/// The same handful, hidden behind a value that is never zero or absent: each of these, less what
/// is known of all stays, is the number or the cost of a few persons.
const MIXED: [&str; 13] = [
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
];

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_inside_a_measure_is_a_group_too() {
    // Ten is one short of enough, in the hospital and in the region.
    let few = || {
        stays(60, 10, |stay| {
            stay.payer = "RARE";
            stay.died = true;
        })
    };
    let (one, region) = (hospital(few()).await, spread(few()).await);
    for measure in ONE_SIDED {
        for (place, sql) in [
            (&one, format!("SELECT {measure} AS v, hospital_id FROM stay GROUP BY 2")),
            (&one, format!("SELECT {measure} AS v, hospital_id, drg_code FROM stay GROUP BY 2, 3")),
            (&region, format!("SELECT {measure} AS v FROM stay")),
            (&region, format!("SELECT {measure} AS v, drg_code FROM stay GROUP BY 2")),
        ] {
            let answer = place.ask(&sql).await.unwrap();
            let rows = answer.rows();
            assert_eq!((rows.len(), &*rows[0][0]), (1, ""), "{sql}");
            assert_eq!(answer.release.measures_withheld, 1, "{sql}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_mixed_with_a_value_hides_nobody() {
    let few = || {
        stays(60, 10, |stay| {
            stay.payer = "RARE";
            stay.died = true;
            stay.cost_cents = 0;
        })
    };
    let (one, region) = (hospital(few()).await, spread(few()).await);
    let mut leaks = Vec::new();
    for measure in MIXED {
        for (place, sql) in [
            (&one, format!("SELECT {measure} AS v, hospital_id FROM stay GROUP BY 2")),
            (&region, format!("SELECT {measure} AS v FROM stay")),
        ] {
            match place.ask(&sql).await {
                // A refusal of the question itself is as good as a withheld value.
                Err(status) => {
                    let refusal = refusal(Err(status));
                    let of_the_round = [RefusalCode::Offer, RefusalCode::Quorum];
                    assert!(!of_the_round.contains(&refusal.code), "{sql}: {refusal}");
                }
                Ok(answer) => {
                    let shown = answer.rows()[0][0].clone();
                    leaks.extend((!shown.is_empty()).then(|| format!("{sql} = {shown}")));
                }
            }
        }
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_with_enough_on_both_sides_is_answered() {
    let enough = || stays(60, 20, |stay| stay.payer = "URBMI");
    let (one, region) = (hospital(enough()).await, spread(enough()).await);
    let select = "count(*) FILTER (WHERE payer = 'URBMI') AS n, count(*) AS all";
    let by_hospital = format!("SELECT {select}, hospital_id FROM stay GROUP BY 3");
    assert_eq!(one.ask(&by_hospital).await.unwrap().rows(), [["20", "60", "h-1"]]);
    // Seven are too few for a hospital to tell, and a part of enough for the region.
    let parts = region.ask(&by_hospital).await.unwrap();
    assert_eq!(parts.rows(), [["", "20", "h-1"], ["", "20", "h-2"], ["", "20", "h-3"]]);
    assert_eq!(parts.release.measures_withheld, 3);
    let answer = region.ask(&format!("SELECT {select} FROM stay")).await.unwrap();
    assert_eq!(answer.rows(), [["20", "60"]]);
    assert_eq!(answer.release.measures_withheld, 0);
}
