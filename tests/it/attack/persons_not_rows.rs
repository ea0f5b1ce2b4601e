//! Counting rows instead of persons: one person with thirty stays is one person.

use super::{hospital, stays};

#[tokio::test(flavor = "multi_thread")]
async fn thirty_stays_of_one_person_stay_inside() {
    let region = hospital(stays(90, 30, |stay| {
        stay.drg = "DIAL";
        stay.person = "the same".to_owned();
    }))
    .await;
    let answer = region.ask("SELECT drg_code, count(*) AS n FROM stay GROUP BY 1").await.unwrap();
    assert_eq!(answer.rows(), [["DA1", "60"]]);
    assert_eq!(answer.release.cells_withheld, 1);
    let sql = "SELECT count(*) AS n FROM stay WHERE drg_code = 'DIAL'";
    assert_eq!(region.ask(sql).await.unwrap().release.cells_released, 0);
    // Thirty rows by a join: the fees of fifteen stays of one person.
    let sql = "SELECT f.class, count(*) AS n FROM stay s JOIN fee f ON s.stay_key = f.stay_key \
               WHERE s.drg_code = 'DIAL' GROUP BY 1";
    assert_eq!(region.ask(sql).await.unwrap().release.cells_released, 0);
}
