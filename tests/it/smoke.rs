//! The smallest region answers.

use tests::fixture::{self, Stay};
use tests::{HospitalSource, Region};

#[tokio::test(flavor = "multi_thread")]
async fn two_hospitals_answer_one_question() {
    let folder = tempfile::tempdir().unwrap();
    let source = |name: &str| fixture::write(folder.path(), name, (0..40).map(Stay::plain));
    let region = Region::builder()
        .hospitals(["h-1", "h-2"].map(|id| HospitalSource::small(id, source(id))))
        .start()
        .await
        .unwrap();
    let answer = region.ask("SELECT drg_code, count(*) AS n FROM stay GROUP BY 1").await.unwrap();
    assert_eq!(answer.batches.len(), 1, "{:?}", answer.release);
    assert_eq!(answer.release.hospitals_answered, 2);
    assert_eq!(region.snapshot_folders().unwrap().len(), 2);
}
