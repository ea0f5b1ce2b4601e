//! A global aggregate without GROUP BY skips the threshold.

use tests::Region;

use super::{Visible, hospital, spread, stays, visible};

const MEASURES: [&str; 3] =
    ["count(*)", "sum(total_cost)", "avg(los_days), count(DISTINCT person_key)"];

async fn ask(region: &Region, select: &str, drg: &str, tail: &str) -> Visible {
    let sql = format!("SELECT {select} FROM stay WHERE drg_code = '{drg}' {tail}");
    visible(&region.ask(&sql).await.unwrap())
}

fn is_nobody(handful: &Visible, nobody: &Visible) {
    assert_eq!(handful, nobody, "a handful looks like nobody");
    assert_eq!((handful.released, handful.withheld, handful.measures_withheld), (0, 0, 0));
    assert!(handful.rows.concat().iter().all(String::is_empty), "{handful:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_handful_is_as_if_it_were_not_there() {
    let region = hospital(stays(60, 5, |stay| stay.drg = "RARE")).await;
    for measure in MEASURES {
        let select = format!("hospital_id, {measure}");
        let ask = async |drg: &str| ask(&region, &select, drg, "GROUP BY 1").await;
        is_nobody(&ask("RARE").await, &ask("NONE").await);
        assert_eq!(ask("DA1").await.released, 1, "a large set is answered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_handful_of_the_region_is_as_if_it_were_not_there() {
    // Five of the region, and nineteen of each hospital: one fewer than may be asked for.
    let region = spread({
        let mut all = stays(165, 62, |stay| stay.drg = "MANY");
        all[..5].iter_mut().for_each(|stay| stay.drg = "RARE");
        all
    })
    .await;
    for measure in MEASURES {
        let ask = async |drg: &str| ask(&region, measure, drg, "").await;
        let nobody = ask("NONE").await;
        is_nobody(&ask("RARE").await, &nobody);
        is_nobody(&ask("MANY").await, &nobody);
        let many = ask("DA1").await;
        assert_eq!((many.released, many.bytes), (1, nobody.bytes), "uploads have one length");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_hospital_is_no_group_either() {
    for (region, sql, coverage) in [
        (
            hospital(stays(10, 0, |_| {})).await,
            "SELECT hospital_id, count(*) AS n, sum(total_cost) FROM stay GROUP BY 1",
            Some(0.0),
        ),
        (
            spread(stays(10, 0, |_| {})).await,
            "SELECT count(*) AS n, sum(total_cost) FROM stay",
            None,
        ),
    ] {
        let answer = region.ask(sql).await.unwrap();
        assert_eq!((answer.release.cells_released, answer.release.cells_withheld), (0, 1));
        assert_eq!(answer.release.stays_coverage, coverage);
        let shown = answer.rows().concat();
        assert!(shown.iter().all(|value| value.is_empty()), "{shown:?}");
        let known = region.hospitals().await.unwrap();
        assert!(known.iter().all(|one| one.stays.is_none()), "its size is not told: {known:?}");
    }
}
