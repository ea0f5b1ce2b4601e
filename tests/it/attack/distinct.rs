//! COUNT(DISTINCT) split wrongly: over joins and partitions a person is one.

use super::{hospital, spread, stays};

#[tokio::test(flavor = "multi_thread")]
async fn persons_are_counted_once_however_many_rows_they_have() {
    const PERSONS: u32 = 63;
    let twice = || {
        let mut all = stays(PERSONS, 0, |_| {});
        // A multiple of three: both stays of a person are in one hospital.
        all.extend(stays(PERSONS, PERSONS, |stay| {
            stay.stay.push_str("-again");
            stay.diagnosis_2 = "E11";
        }));
        all
    };
    let sql = |head: &str, tail: &str| {
        format!(
            "SELECT {head} count(*) AS rows, count(DISTINCT s.person_key) AS persons, \
             count(DISTINCT s.stay_key) AS stays \
             FROM stay s JOIN diagnosis d ON s.stay_key = d.stay_key {tail}"
        )
    };
    let by_hospital = sql("s.hospital_id,", "GROUP BY 1");
    let answer = hospital(twice()).await.ask(&by_hospital).await.unwrap();
    assert_eq!(answer.rows(), [["h-1", "189", "63", "126"]]);
    let region = spread(twice()).await;
    let answer = region.ask(&by_hospital).await.unwrap();
    let parts = ["h-1", "h-2", "h-3"].map(|id| [id, "63", "21", "42"]);
    assert_eq!(answer.rows(), parts);
    let answer = region.ask(&sql("", "")).await.unwrap();
    assert_eq!(answer.rows(), [["189", "63", "126"]]);
}
