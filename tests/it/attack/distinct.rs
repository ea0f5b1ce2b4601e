//! COUNT(DISTINCT) split wrongly: over joins and partitions a person is one.

use super::{hospital, stays};

#[tokio::test(flavor = "multi_thread")]
async fn persons_are_counted_once_however_many_rows_they_have() {
    let mut all = stays(40, 0, |_| {});
    all.extend(stays(40, 40, |stay| {
        stay.stay.push_str("-again");
        stay.diagnosis_2 = "E11";
    }));
    let region = hospital(all).await;
    let sql = "SELECT count(*) AS rows, count(DISTINCT s.person_key) AS persons, \
               count(DISTINCT s.stay_key) AS stays \
               FROM stay s JOIN diagnosis d ON s.stay_key = d.stay_key";
    assert_eq!(region.ask(sql).await.unwrap().rows(), [["120", "40", "80"]]);
}
