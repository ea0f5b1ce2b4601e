//! Fresh noise for the same question: the same question on the same snapshot has one answer.

use std::collections::BTreeSet;

use super::{hospital, spread, stays, visible};

#[tokio::test(flavor = "multi_thread")]
async fn the_same_question_has_the_same_bits() {
    let many = || stays(300, 100, |stay| stay.drg = "DB2");
    for (region, by) in [
        (hospital(many()).await, "hospital_id, drg_code, sex"),
        // Masks are fresh in every round; they are gone from the answer.
        (spread(many()).await, "drg_code, sex"),
    ] {
        let sql = format!(
            "SELECT {by}, avg(total_cost) AS m, stddev(total_cost) AS s, \
             corr(total_cost, los_days) AS r FROM stay GROUP BY {by} ORDER BY {by}"
        );
        let first = region.ask(&sql).await.unwrap();
        assert_eq!((first.rows().len(), first.release.measures_withheld), (4, 0));
        region.site("h-1").stop().await;
        region.site("h-1").start().await.unwrap();
        let mut names: BTreeSet<_> = first.release.sids.iter().cloned().collect();
        for times in 2..=4 {
            let again = region.ask(&sql).await.unwrap();
            assert_eq!((&first.batches, visible(&first)), (&again.batches, visible(&again)));
            assert_ne!(first.release.id, again.release.id);
            names.extend(again.release.sids);
            assert_eq!(names.len(), first.release.sids.len() * times, "a round has its own name");
        }
    }
}
