//! EXPLAIN ANALYZE row counts: plans are not shown, and what is explained depends on no data.

use model::RefusalCode;
use proto::v1::Question;

use super::{hospital, stays};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_explained_that_depends_on_data() {
    let few = hospital(stays(40, 12, |stay| stay.payer = "URBMI")).await;
    let many = hospital(stays(400, 300, |stay| stay.payer = "URBMI")).await;
    for sql in ["EXPLAIN SELECT count(*) FROM stay", "EXPLAIN ANALYZE SELECT count(*) FROM stay"] {
        let status = few.ask(sql).await.unwrap_err();
        let refusal = service::status::refusal_of(&status).unwrap();
        assert_eq!(refusal.code, RefusalCode::Statement);
    }
    let sql = "SELECT payer, avg(total_cost) AS c FROM stay WHERE drg_code = 'DA1' GROUP BY 1 \
               HAVING count(*) > 50 ORDER BY c";
    let question = || Question { sql: sql.to_owned(), deadline_ms: 0 };
    let first = few.client().explain(question()).await.unwrap().into_inner();
    let second = many.client().explain(question()).await.unwrap().into_inner();
    assert_eq!(first, second);
    assert!(first.requests[0].relation_sql.contains("DA1") && first.requests[0].selective);
}
