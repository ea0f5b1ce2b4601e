//! Suppressed shown as 0: a small group is no row at all, and it is counted.

use tests::Region;
use tests::fixture::Stay;

use super::{hospital, spread, stays};

const BY_HOSPITAL: &str = "SELECT hospital_id, drg_code, count(*) AS n, sum(total_cost) AS c \
                           FROM stay GROUP BY 1, 2";
const POOLED: &str = "SELECT drg_code, count(*) AS n, sum(total_cost) AS c FROM stay GROUP BY 1";
const SHOWN: [[&str; 3]; 1] = [["DA1", "50", "52325.0000"]];

/// Ten of a group that is too small, and twelve of one that has to hide it: a total would tell the first.
fn few() -> Vec<Stay> {
    let mut all = stays(72, 22, |stay| stay.drg = "SOME");
    all[..10].iter_mut().for_each(|stay| stay.drg = "RARE");
    all
}

async fn catalog_codes(region: &Region) -> Vec<String> {
    let catalog = region.client().catalog(proto::v1::CatalogRequest {}).await.unwrap().into_inner();
    let columns = catalog.tables.into_iter().flat_map(|table| table.columns);
    columns.flat_map(|column| column.codes).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withheld_group_is_absent_and_counted() {
    let region = hospital(few()).await;
    let answer = region.ask(BY_HOSPITAL).await.unwrap();
    let rows: Vec<_> = answer.rows().into_iter().map(|row| row[1..].to_vec()).collect();
    assert_eq!(rows, SHOWN);
    assert_eq!((answer.release.cells_released, answer.release.cells_withheld), (1, 2));
    assert_eq!(answer.release.stays_coverage, Some(50.0 / 72.0));
    // Nor is its code in the catalogue.
    let listed = catalog_codes(&region).await;
    assert!(listed.iter().any(|code| *code == "DA1"), "{listed:?}");
    assert!(!listed.iter().any(|code| *code == "RARE"), "{listed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withheld_group_of_the_region_is_absent_and_counted() {
    let region = spread(few()).await;
    let answer = region.ask(POOLED).await.unwrap();
    assert_eq!(answer.rows(), SHOWN);
    assert_eq!((answer.release.cells_released, answer.release.cells_withheld), (1, 2));
    assert_eq!(answer.release.stays_coverage, Some(50.0 / 72.0));

    let answer = region.ask(BY_HOSPITAL).await.unwrap();
    assert!(answer.rows().is_empty(), "the seven or eight of two groups are too few in each");
    assert_eq!((answer.release.cells_released, answer.release.cells_withheld), (0, 9));
    let listed = catalog_codes(&region).await;
    assert!(listed.iter().any(|code| *code == "DA1"), "{listed:?}");
    assert!(!listed.iter().any(|code| ["RARE", "SOME"].contains(&code.as_str())), "{listed:?}");
}
