//! A threshold that is off when unset: here it is closed.

use model::RefusalCode;
use privacy::Policy;

use super::{hospital, refusal, spread, stays};

/// Minimum persons, minimum stays, selectivity: unset or senseless, one way or another.
const UNUSABLE: [(Option<u32>, Option<u32>, u32); 7] = [
    (None, Some(11), 20),
    (Some(11), None, 20),
    (None, None, 20),
    (Some(0), Some(11), 20),
    (Some(11), Some(0), 20),
    (Some(11), Some(11), 0),
    (Some(100_000), Some(11), 20),
];
const BY_HOSPITAL: &str = "SELECT hospital_id, count(*) AS n FROM stay GROUP BY 1";
const POOLED: &str = "SELECT count(*) AS n FROM stay";

fn policy((persons, stays, selectivity): (Option<u32>, Option<u32>, u32)) -> Policy {
    let mut policy = Policy::answering();
    (policy.minimum.persons, policy.minimum.stays) = (persons, stays);
    policy.selectivity.persons = selectivity;
    policy
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unset_or_senseless_minimum_closes_the_node() {
    let region = hospital(stays(60, 0, |_| {})).await;
    for unusable in UNUSABLE {
        region.site("h-1").set_policy(&policy(unusable)).unwrap();
        let code = refusal(region.ask(BY_HOSPITAL).await).code;
        assert_eq!(code, RefusalCode::PolicyUnset, "{unusable:?}");
        assert_eq!(region.hospitals().await.unwrap()[0].stays, None, "nor is its size told");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_node_is_in_no_sum() {
    let region = spread(stays(60, 0, |_| {})).await;
    assert_eq!(region.ask(POOLED).await.unwrap().rows(), [["60"]]);
    for unusable in UNUSABLE {
        for site in region.sites() {
            site.set_policy(&policy(unusable)).unwrap();
        }
        let code = refusal(region.ask(POOLED).await).code;
        assert_eq!(code, RefusalCode::PolicyUnset, "{unusable:?}");
    }
    // One closed node is enough: of two hospitals there is no sum.
    for site in &region.sites()[1..] {
        site.set_policy(&Policy::answering()).unwrap();
    }
    assert_eq!(refusal(region.ask(POOLED).await).code, RefusalCode::PolicyUnset);
    let answer = region.ask(BY_HOSPITAL).await.unwrap();
    assert_eq!(answer.rows(), [["h-2", "20"], ["h-3", "20"]]);
    assert_eq!(answer.missing(), [("h-1", "refused: policy_unset")]);
    region.sites()[0].set_policy(&Policy::answering()).unwrap();
    assert_eq!(region.ask(POOLED).await.unwrap().rows(), [["60"]], "without a restart");
}
