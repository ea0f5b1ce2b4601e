//! EXPLAIN ANALYZE row counts: plans are not shown, and what is explained depends on no data.

use model::RefusalCode;
use proto::v1::{Explanation, Question};
use tests::Region;

use super::{hospital, refusal, spread, stays};

async fn explain(region: &Region, select: &str) -> Explanation {
    let sql = format!(
        "SELECT {select}, avg(total_cost) AS c FROM stay WHERE drg_code = 'DA1' GROUP BY {select} \
         HAVING count(*) > 50 ORDER BY c"
    );
    let question = Question { sql, deadline_ms: 0, ..Question::default() };
    region.client().explain(question).await.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_explained_that_depends_on_data() {
    let few = hospital(stays(40, 12, |stay| stay.payer = "URBMI")).await;
    let many = hospital(stays(400, 300, |stay| stay.payer = "URBMI")).await;
    for sql in ["EXPLAIN SELECT count(*) FROM stay", "EXPLAIN ANALYZE SELECT count(*) FROM stay"] {
        assert_eq!(refusal(few.ask(sql).await).code, RefusalCode::Statement);
    }
    let first = explain(&few, "hospital_id, payer").await;
    assert_eq!(first, explain(&many, "hospital_id, payer").await);
    assert!(first.requests[0].relation_sql.contains("DA1") && first.requests[0].selective);
    assert_eq!(first.scope, "per_hospital");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_masked_question_costs_what_its_public_lists_cost() {
    let few = spread(stays(60, 12, |stay| stay.payer = "URBMI")).await;
    let many = spread(stays(600, 400, |stay| stay.payer = "URBMI")).await;
    let unlisted = explain(&few, "payer").await;
    assert_eq!(unlisted, explain(&many, "payer").await);
    assert_eq!((&*unlisted.scope, unlisted.estimated_bytes), ("pooled", None));
    for region in [&few, &many] {
        let answer = region.ask("SELECT payer, count(*) AS n FROM stay GROUP BY 1").await.unwrap();
        assert_eq!(answer.rows().len(), 2, "twelve of the region are listed");
    }
    let listed = explain(&few, "payer").await;
    assert_eq!(listed, explain(&many, "payer").await);
    assert!(listed.estimated_bytes.is_some(), "{listed:?}");
    assert_eq!(listed.requests, unlisted.requests);
}
