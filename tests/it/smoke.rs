//! The smallest regions answer: two hospitals one by one, three also together.

use model::RefusalCode;
use tests::fixture::{self, Stay};
use tests::{HospitalSource, Region};

const BY_HOSPITAL: &str = "SELECT hospital_id, drg_code, count(*) AS n FROM stay GROUP BY 1, 2";
const POOLED: &str = "SELECT drg_code, count(*) AS n FROM stay GROUP BY 1";

async fn region(ids: &[&str]) -> Region {
    let folder = tempfile::tempdir().unwrap();
    let source = |name: &str| fixture::write(folder.path(), name, (0..40).map(Stay::plain));
    let hospitals = ids.iter().map(|id| HospitalSource::small(id, source(id)));
    Region::builder().hospitals(hospitals).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hospitals_answer_under_masks() {
    let region = region(&["h-1", "h-2", "h-3"]).await;
    let answer = region.ask(POOLED).await.unwrap();
    assert_eq!(answer.rows(), [["DA1", "120"]]);
    let release = &answer.release;
    assert_eq!((&*release.scope, &*release.mode), ("pooled", "masked"));
    assert_eq!((release.hospitals_answered, release.cells_released), (3, 1));
    assert_eq!((release.rounds, release.sids.len()), (1, 1));
    assert_eq!(region.snapshot_folders().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hospitals_answer_each_for_itself_only() {
    let region = region(&["h-1", "h-2"]).await;
    let answer = region.ask(BY_HOSPITAL).await.unwrap();
    assert_eq!(answer.rows(), [["h-1", "DA1", "40"], ["h-2", "DA1", "40"]]);
    let release = &answer.release;
    assert_eq!((&*release.scope, &*release.mode), ("per_hospital", "clear"));
    assert_eq!((release.hospitals_answered, release.cells_released), (2, 2));
    assert!(release.sids.is_empty());
    // Of two, each could subtract itself; there is no clear sum to fall back to.
    let status = region.ask(POOLED).await.unwrap_err();
    let refusal = service::status::refusal_of(&status).unwrap();
    assert_eq!(refusal.code, RefusalCode::Quorum, "{refusal}");
}
