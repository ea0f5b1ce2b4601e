//! A policy supplied by the requester: an open coordinator and an open witness open no hospital.

use privacy::Policy;
use tests::fixture;
use tests::{HospitalSource, Region, open_policy};

use super::stays;

const BY_HOSPITAL: &str =
    "SELECT hospital_id, drg_code, count(*) AS n FROM stay GROUP BY 1, 2 ORDER BY 1, 2";
const POOLED: &str = "SELECT drg_code, count(*) AS n FROM stay GROUP BY 1 ORDER BY 1";

/// Four hospitals with two stays each of a rare group. All are open, as coordinator and witness
/// are, but for these.
async fn region(others: &[(&str, Policy)]) -> Region {
    let folder = tempfile::tempdir().unwrap();
    let hospitals = ["h-1", "h-2", "h-3", "h-4"].map(|id| {
        let few = stays(40, 2, |stay| stay.drg = "RARE");
        HospitalSource::small(id, fixture::write(folder.path(), id, few))
    });
    let mut builder = Region::builder().hospitals(hospitals).policy(open_policy());
    for (id, policy) in others {
        builder = builder.policy_of(id, policy.clone());
    }
    builder.start().await.unwrap()
}

fn shy() -> Policy {
    let mut shy = Policy::answering();
    shy.columns.denied = vec!["stay.payer".to_owned()];
    shy
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hospitals_own_policy_decides() {
    let mut closed = open_policy();
    closed.scopes.per_hospital = false;
    let mut alone = open_policy();
    alone.scopes.pooled = false;
    let region = region(&[("h-2", shy()), ("h-3", closed), ("h-4", alone)]).await;
    let answer = region.ask(BY_HOSPITAL).await.unwrap();
    let rows = answer.rows();
    let expected =
        [["h-1", "DA1", "38"], ["h-1", "RARE", "2"], ["h-4", "DA1", "38"], ["h-4", "RARE", "2"]];
    assert_eq!(
        rows, expected,
        "the two of h-2 are too few for h-2, and its others would tell them"
    );
    assert_eq!(answer.missing(), [("h-3", "refused: scope")]);
    for (sql, reason) in [
        ("SELECT hospital_id, payer, count(*) AS n FROM stay GROUP BY 1, 2", "refused: grouping"),
        (
            "SELECT hospital_id, count(*) AS n FROM stay WHERE payer = 'UEBMI' GROUP BY 1",
            "refused: filter",
        ),
    ] {
        let answer = region.ask(sql).await.unwrap();
        assert_eq!(answer.missing(), [("h-2", reason), ("h-3", "refused: scope")], "{sql}");
        assert_eq!(answer.release.hospitals_answered, 2);
    }
    // In sums it is h-4 that stays away, and nobody's open policy makes up for it.
    let answer = region.ask("SELECT count(*) AS n FROM stay").await.unwrap();
    assert_eq!(answer.rows(), [["120"]]);
    assert_eq!(answer.missing(), [("h-4", "refused: scope")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_strictest_policy_decides_on_sums() {
    let region = region(&[("h-2", shy())]).await;
    let answer = region.ask(POOLED).await.unwrap();
    assert!(
        answer.rows().is_empty(),
        "eight of a group are too few for h-2, and the other tells them"
    );
    assert_eq!((answer.missing(), answer.release.cells_withheld), (vec![], 2));
    for (sql, reason) in [
        ("SELECT payer, count(*) AS n FROM stay GROUP BY 1", "refused: grouping"),
        ("SELECT count(*) AS n FROM stay WHERE payer = 'UEBMI'", "refused: filter"),
    ] {
        let answer = region.ask(sql).await.unwrap();
        assert_eq!(answer.missing(), [("h-2", reason)], "{sql}");
        assert_eq!(answer.release.hospitals_answered, 3);
        assert_eq!(answer.rows().concat().last().unwrap(), "120", "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_becomes_stricter_is_kept_to_at_once() {
    let region = region(&[]).await;
    let rare = |rows: &[Vec<String>]| rows.iter().any(|row| row[0] == "RARE");
    let answer = region.ask(POOLED).await.unwrap();
    assert!(rare(&answer.rows()) && answer.missing().is_empty(), "{answer:?}");
    region.site("h-2").set_policy(&Policy::answering()).unwrap();
    // The coordinator may not have heard of it yet; then h-2 does not join.
    let sql = POOLED.replace("FROM stay", "FROM stay WHERE los_days < 900");
    let answer = region.ask(&sql).await.unwrap();
    match answer.missing().as_slice() {
        [] => assert!(!rare(&answer.rows()), "{answer:?}"),
        missing => assert_eq!(missing, [("h-2", "refused: offer")]),
    }
    region.hospitals().await.unwrap();
    let sql = POOLED.replace("FROM stay", "FROM stay WHERE los_days < 901");
    let answer = region.ask(&sql).await.unwrap();
    assert_eq!((answer.missing(), answer.rows().len()), (vec![], 0), "{answer:?}");
    assert!(!rare(&answer.rows()));
}
