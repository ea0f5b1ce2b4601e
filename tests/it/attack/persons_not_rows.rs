//! Counting rows instead of persons: one person with thirty stays is one person.

use tests::fixture::Stay;

use super::{hospital, spread, stays};

/// Thirty stays of one person, who is another one in each hospital.
fn thirty_of_one() -> Vec<Stay> {
    stays(90, 30, |stay| {
        stay.drg = "DIAL";
        stay.person = "the same".to_owned();
    })
}

/// Thirty rows by a join: the fees of the stays.
fn by_class(head: &str, by: &str) -> String {
    format!(
        "SELECT {head} f.class, count(*) AS n FROM stay s JOIN fee f ON s.stay_key = f.stay_key \
         WHERE s.drg_code = 'DIAL' GROUP BY {by}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_stays_of_one_person_stay_inside() {
    let region = hospital(thirty_of_one()).await;
    let sql = "SELECT hospital_id, drg_code, count(*) AS n FROM stay GROUP BY 1, 2";
    let answer = region.ask(sql).await.unwrap();
    // The other group is withheld too: with a total, it would tell the thirty.
    assert_eq!((answer.rows().len(), answer.release.cells_withheld), (0, 2));
    let filtered = "SELECT hospital_id, count(*) AS n FROM stay WHERE drg_code = 'DIAL' GROUP BY 1";
    for sql in [filtered.to_owned(), by_class("s.hospital_id,", "1, 2")] {
        assert_eq!(region.ask(&sql).await.unwrap().release.cells_released, 0, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_stays_of_three_persons_are_no_sum_of_the_region() {
    let region = spread(thirty_of_one()).await;
    let answer = region.ask("SELECT drg_code, count(*) AS n FROM stay GROUP BY 1").await.unwrap();
    // The other group is withheld too: with a total, it would tell the thirty.
    assert_eq!((answer.rows().len(), answer.release.cells_withheld), (0, 2));
    let filtered = "SELECT count(*) AS n FROM stay WHERE drg_code = 'DIAL'";
    for sql in [filtered.to_owned(), by_class("", "1")] {
        assert_eq!(region.ask(&sql).await.unwrap().release.cells_released, 0, "{sql}");
    }
}
