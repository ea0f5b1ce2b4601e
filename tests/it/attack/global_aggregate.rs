//! A global aggregate without GROUP BY skips the threshold.

use super::{hospital, stays, visible};

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_handful_is_as_if_it_were_not_there() {
    let region = hospital(stays(60, 5, |stay| stay.drg = "RARE")).await;
    for measure in ["count(*)", "sum(total_cost)", "avg(los_days), count(DISTINCT person_key)"] {
        let ask = async |drg: &str| {
            let sql = format!("SELECT {measure} FROM stay WHERE drg_code = '{drg}'");
            visible(&region.ask(&sql).await.unwrap())
        };
        let handful = ask("RARE").await;
        assert_eq!(handful, ask("NONE").await, "a handful looks like nobody");
        assert_eq!((handful.1[0], handful.1[1]), (0, 0));
        assert!(!format!("{:?}", handful.0).contains('5'), "{handful:?}");
        assert_eq!(ask("DA1").await.1[0], 1, "a large set is answered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_hospital_is_no_group_either() {
    let region = hospital(stays(10, 0, |_| {})).await;
    let answer = region.ask("SELECT count(*) AS n, sum(total_cost) FROM stay").await.unwrap();
    assert_eq!((answer.release.cells_released, answer.release.cells_withheld), (0, 1));
    let shown = answer.rows().concat();
    assert!(shown.iter().all(|value| value.is_empty()), "{shown:?}");
    let known = region.hospitals().await.unwrap();
    assert_eq!(known[0].stays, None, "its size is not told");
}
