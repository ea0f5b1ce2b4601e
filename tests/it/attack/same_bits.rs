//! Fresh noise for the same question: the same question on the same snapshot has one answer.

use super::{hospital, stays, visible};

#[tokio::test(flavor = "multi_thread")]
async fn the_same_question_has_the_same_bits() {
    let region = hospital(stays(300, 100, |stay| stay.drg = "DB2")).await;
    let sql = "SELECT drg_code, sex, avg(total_cost) AS m, stddev(total_cost) AS s, \
               corr(total_cost, los_days) AS r FROM stay GROUP BY 1, 2 ORDER BY 1, 2";
    let first = region.ask(sql).await.unwrap();
    region.site("h-1").stop().await;
    region.site("h-1").start().await.unwrap();
    for _ in 0..3 {
        let again = region.ask(sql).await.unwrap();
        assert_eq!((&first.batches, visible(&first)), (&again.batches, visible(&again)));
        assert_ne!(first.release.id, again.release.id);
    }
}
