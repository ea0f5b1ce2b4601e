//! Suppressed shown as 0: a small group is no row at all, and it is counted.

use super::{hospital, stays};

#[tokio::test(flavor = "multi_thread")]
async fn a_withheld_group_is_absent_and_counted() {
    let region = hospital(stays(60, 10, |stay| stay.drg = "RARE")).await;
    let sql = "SELECT drg_code, count(*) AS n, sum(total_cost) AS c FROM stay GROUP BY 1";
    let answer = region.ask(sql).await.unwrap();
    let codes: Vec<_> = answer.rows().into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(codes, ["DA1"]);
    assert_eq!((answer.release.cells_released, answer.release.cells_withheld), (1, 1));
    assert_eq!(answer.release.stays_coverage, Some(50.0 / 60.0));
    // Nor is its code in the catalogue.
    let catalog = region.client().catalog(proto::v1::CatalogRequest {}).await.unwrap().into_inner();
    let columns = catalog.tables.iter().flat_map(|table| &table.columns);
    let listed: Vec<_> = columns.flat_map(|column| &column.codes).collect();
    assert!(listed.iter().any(|code| *code == "DA1"), "{listed:?}");
    assert!(!listed.iter().any(|code| *code == "RARE"), "{listed:?}");
}
