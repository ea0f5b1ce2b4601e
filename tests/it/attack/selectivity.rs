//! Narrow sets that are large enough for a cell but too small to be asked for.

use tests::fixture::Stay;

use super::{hospital, spread, stays, visible};

/// What stands behind `SELECT`, narrowed to a payer in one way or another.
const NARROWED: [&str; 7] = [
    "FROM stay s WHERE payer = '{}'",
    "FROM stay s WHERE payer = '{}' OR hospital_tier = 'nowhere'",
    "FROM stay s WHERE hospital_county = 'East' AND payer = '{}'",
    "FROM (SELECT * FROM stay WHERE payer = '{}') s",
    "FROM stay s JOIN diagnosis d ON s.stay_key = d.stay_key WHERE s.payer = '{}'",
    "FROM stay s WHERE stay_key IN (SELECT stay_key FROM stay WHERE payer = '{}')",
    "FROM stay s JOIN (SELECT stay_key FROM stay WHERE payer = '{}') t USING (stay_key)",
];

/// `few` of `count` stays with another payer.
fn payers(count: u32, few: u32) -> Vec<Stay> {
    stays(count, few, |stay| {
        stay.payer = "RARE";
        stay.diagnosis = "C91";
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_below_the_floor_contributes_nothing_however_it_is_narrowed() {
    let region = hospital(payers(60, 15)).await;
    let sql = "SELECT hospital_id, payer, count(*) AS n FROM stay GROUP BY 1, 2";
    let whole = region.ask(sql).await.unwrap().rows();
    assert!(whole.contains(&["h-1", "RARE", "15"].map(str::to_owned).to_vec()), "a cell of 15");
    for rest in NARROWED {
        let ask = async |payer: &str| {
            let rest = rest.replace("{}", payer);
            let sql = format!("SELECT s.hospital_id, count(*) AS n {rest} GROUP BY 1");
            visible(&region.ask(&sql).await.unwrap())
        };
        let (narrow, nobody) = (ask("RARE").await, ask("NONE").await);
        assert_eq!(narrow, nobody, "{rest}");
        assert_eq!((narrow.released, narrow.withheld), (0, 0), "{rest}");
        assert_eq!(ask("UEBMI").await.rows, [["h-1", "45"]], "{rest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_floor_holds_in_each_hospital_of_a_sum() {
    // Nineteen in each are one too few; the region has 57 of them.
    let region = spread(payers(180, 57)).await;
    let whole = region.ask("SELECT payer, count(*) AS n FROM stay GROUP BY 1").await.unwrap();
    assert!(whole.rows().contains(&["RARE", "57"].map(str::to_owned).to_vec()), "a cell of 57");
    for rest in NARROWED {
        let ask = async |payer: &str| {
            let sql = format!("SELECT count(*) AS n {}", rest.replace("{}", payer));
            visible(&region.ask(&sql).await.unwrap())
        };
        let (narrow, nobody) = (ask("RARE").await, ask("NONE").await);
        assert_eq!(narrow, nobody, "{rest}");
        assert_eq!((narrow.released, narrow.withheld), (0, 0), "{rest}");
        let wide = ask("UEBMI").await;
        assert_eq!(wide.rows, [["123"]], "{rest}");
        assert_eq!(wide.bytes, nobody.bytes, "uploads have one length");
    }
}
