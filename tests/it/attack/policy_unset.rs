//! A threshold that is off when unset: here it is closed.

use model::RefusalCode;
use privacy::Policy;

use super::{hospital_under, stays};

#[tokio::test(flavor = "multi_thread")]
async fn an_unset_or_senseless_minimum_closes_the_node() {
    let region = hospital_under(Policy::default(), stays(60, 0, |_| {})).await;
    let site = region.site("h-1");
    let sql = "SELECT count(*) AS n FROM stay";
    for (persons, stays, selectivity) in [
        (None, Some(11), 20),
        (Some(11), None, 20),
        (None, None, 20),
        (Some(0), Some(11), 20),
        (Some(11), Some(0), 20),
        (Some(11), Some(11), 0),
        (Some(100_000), Some(11), 20),
    ] {
        let mut policy = Policy::default();
        (policy.minimum.persons, policy.minimum.stays) = (persons, stays);
        policy.selectivity.persons = selectivity;
        site.set_policy(&policy).unwrap();
        let status = region.ask(sql).await.unwrap_err();
        let refusal = service::status::refusal_of(&status).unwrap();
        assert_eq!(refusal.code, RefusalCode::PolicyUnset, "{persons:?} {stays:?} {selectivity}");
        assert_eq!(region.hospitals().await.unwrap()[0].stays, None, "nor is its size told");
    }
}
