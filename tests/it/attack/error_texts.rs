//! Error texts that depend on data: what fails, fails alike whatever the rows hold.

use tonic::Status;

use super::{hospital, stays, visible};

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_looks_the_same_whatever_the_data() {
    let plain = hospital(stays(60, 0, |_| {})).await;
    let odd = hospital(stays(60, 1, |stay| stay.cost_cents = 9_999_999_999)).await;
    let fails = [
        "SELECT max(total_cost) FROM stay",
        "SELECT sum(total_cost / los_days) FROM stay",
        "SELECT sum(1 / (total_cost - 99999999.99)) FROM stay",
        "SELECT sum(CAST(total_cost AS SMALLINT)) FROM stay",
        "SELECT sum(total_cost * total_cost * total_cost * total_cost) FROM stay",
        "SELECT count(*) FROM stay WHERE 1 / (los_days - 1) > 0",
    ];
    for sql in fails {
        let said = |status: Status| (status.code(), status.message().to_owned());
        let first = said(plain.ask(sql).await.unwrap_err());
        let second = said(odd.ask(sql).await.unwrap_err());
        assert_eq!(first, second, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_few_have_looks_like_a_code_that_nobody_has() {
    let region = hospital(stays(60, 4, |stay| stay.diagnosis = "C91")).await;
    for condition in ["principal_diagnosis = '{}'", "left(principal_diagnosis, 3) = '{}'"] {
        let ask = async |code: &str| {
            let condition = condition.replace("{}", code);
            let sql = format!("SELECT sex, count(*) AS n FROM stay WHERE {condition} GROUP BY 1");
            visible(&region.ask(&sql).await.unwrap())
        };
        assert_eq!(ask("C91").await, ask("C92").await);
    }
}
