//! Narrow sets that are large enough for a cell but too small to be asked for.

use super::{hospital, stays, visible};

#[tokio::test(flavor = "multi_thread")]
async fn a_set_below_the_floor_contributes_nothing_however_it_is_narrowed() {
    let region = hospital(stays(60, 15, |stay| {
        stay.payer = "RARE";
        stay.diagnosis = "C91";
    }))
    .await;
    let whole = region.ask("SELECT payer, count(*) AS n FROM stay GROUP BY 1").await.unwrap();
    assert!(whole.rows().contains(&vec!["RARE".to_owned(), "15".to_owned()]), "a cell of 15");
    for rest in [
        "FROM stay s WHERE payer = '{}'",
        "FROM stay s WHERE payer = '{}' OR hospital_tier = 'nowhere'",
        "FROM stay s WHERE hospital_county = 'East' AND payer = '{}'",
        "FROM (SELECT * FROM stay WHERE payer = '{}') s",
        "FROM stay s JOIN diagnosis d ON s.stay_key = d.stay_key WHERE s.payer = '{}'",
        "FROM stay s WHERE stay_key IN (SELECT stay_key FROM stay WHERE payer = '{}')",
        "FROM stay s JOIN (SELECT stay_key FROM stay WHERE payer = '{}') t USING (stay_key)",
    ] {
        let ask = async |payer: &str| {
            let sql = format!("SELECT count(*) AS n {}", rest.replace("{}", payer));
            visible(&region.ask(&sql).await.unwrap())
        };
        let (narrow, nobody) = (ask("RARE").await, ask("NONE").await);
        assert_eq!(narrow, nobody, "{rest}");
        assert_eq!(narrow.1[0], 0, "{rest}");
        assert_eq!(ask("UEBMI").await.0, [["45"]], "{rest}");
    }
}
