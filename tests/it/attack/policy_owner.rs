//! A policy supplied by the requester: an open coordinator opens no hospital.

use privacy::Policy;
use tests::HospitalSource;
use tests::Region;
use tests::fixture;

use super::stays;

#[tokio::test(flavor = "multi_thread")]
async fn the_hospitals_own_policy_decides() {
    let mut open = Policy::default();
    (open.minimum.persons, open.minimum.stays) = (Some(1), Some(1));
    open.selectivity.persons = 1;
    let mut shy = Policy::default();
    shy.scopes.per_hospital = false;
    shy.columns.denied = vec!["stay.payer".to_owned()];
    let folder = tempfile::tempdir().unwrap();
    let hospitals = ["h-1", "h-2"].map(|id| {
        let few = stays(40, 5, |stay| stay.drg = "RARE");
        HospitalSource::small(id, fixture::write(folder.path(), id, few))
    });
    let builder = Region::builder().hospitals(hospitals).policy(open).policy_of("h-2", shy);
    let region = builder.start().await.unwrap();
    let sql = "SELECT drg_code, count(*) AS n FROM stay GROUP BY 1 ORDER BY 1";
    let answer = region.ask(sql).await.unwrap();
    assert_eq!(answer.rows(), [["DA1", "70"], ["RARE", "5"]], "five of h-1, none of h-2");
    for (sql, reason) in [
        ("SELECT hospital_id, count(*) AS n FROM stay GROUP BY 1", "refused: scope"),
        ("SELECT payer, count(*) AS n FROM stay GROUP BY 1", "refused: grouping"),
        ("SELECT count(*) AS n FROM stay WHERE payer = 'UEBMI'", "refused: filter"),
    ] {
        let answer = region.ask(sql).await.unwrap();
        assert_eq!(answer.missing(), [("h-2", reason)], "{sql}");
        assert_eq!(answer.release.hospitals_answered, 1);
    }
}
