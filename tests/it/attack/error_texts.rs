//! Error texts that depend on data: what fails, fails alike whatever the rows hold.

use tests::Region;
use tonic::Status;

use super::{hospital, spread, stays, visible};

/// What is computed of which stays, and cannot be.
const FAILS: [(&str, &str); 9] = [
    ("max(total_cost)", ""),
    ("sum(total_cost / los_days)", ""),
    ("sum(1 / (total_cost - 99999999.99))", ""),
    ("sum(CAST(total_cost AS SMALLINT))", ""),
    ("sum(total_cost * total_cost * total_cost * total_cost)", ""),
    ("count(*)", "WHERE 1 / (los_days - 1) > 0"),
    // Limits of types that the asker moves to where one row is beyond them.
    ("sum(CAST(total_cost * 200000 AS DECIMAL(16, 4)))", ""),
    ("sum(los_days * los_days * los_days)", ""),
    ("sum(total_cost * total_cost * total_cost * total_cost / 1e30)", ""),
];

async fn said(region: &Region, sql: &str) -> (tonic::Code, String) {
    let status: Status = region.ask(sql).await.unwrap_err();
    (status.code(), status.message().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_looks_the_same_whatever_the_data() {
    let plain = || stays(60, 0, |_| {});
    let odd = || stays(60, 1, |stay| stay.cost_cents = 9_999_999_999);
    let one = [hospital(plain()).await, hospital(odd()).await];
    let three = [spread(plain()).await, spread(odd()).await];
    for (value, rest) in FAILS {
        let by_hospital = format!("SELECT hospital_id, {value} FROM stay {rest} GROUP BY 1");
        assert_eq!(said(&one[0], &by_hospital).await, said(&one[1], &by_hospital).await, "{value}");
        let pooled = format!("SELECT {value} FROM stay {rest}");
        assert_eq!(said(&three[0], &pooled).await, said(&three[1], &pooled).await, "{value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_few_have_looks_like_a_code_that_nobody_has() {
    let few = || stays(60, 4, |stay| stay.diagnosis = "C91");
    for (region, select) in [
        (hospital(few()).await, "hospital_id, sex"),
        // The list of `sex` is found by the first question and known to the second.
        (spread(few()).await, "sex"),
    ] {
        region
            .ask(&format!("SELECT {select}, count(*) FROM stay GROUP BY {select}"))
            .await
            .unwrap();
        for condition in ["principal_diagnosis = '{}'", "left(principal_diagnosis, 3) = '{}'"] {
            let ask = async |code: &str| {
                let condition = condition.replace("{}", code);
                let sql = format!(
                    "SELECT {select}, count(*) FROM stay WHERE {condition} GROUP BY {select}"
                );
                visible(&region.ask(&sql).await.unwrap())
            };
            let handful = ask("C91").await;
            assert_eq!(handful, ask("C92").await, "{select}: {condition}");
            assert_eq!((handful.released, handful.withheld), (0, 0));
        }
    }
}
