//! Asking without end: the hospital counts each user's questions, and forgets none in a restart.

use model::RefusalCode;
use privacy::Policy;
use tests::ask;

use super::{hospital_under, stays};

#[tokio::test(flavor = "multi_thread")]
async fn the_allowance_is_per_user_and_survives_a_restart() {
    let mut policy = Policy::default();
    policy.usage.requests_per_day = 3;
    let region = hospital_under(policy, stays(60, 0, |_| {})).await;
    let sql = "SELECT count(*) AS n FROM stay";
    for _ in 0..2 {
        region.ask(sql).await.unwrap();
    }
    region.site("h-1").stop().await;
    region.site("h-1").start().await.unwrap();
    region.ask(sql).await.unwrap();
    let status = region.ask(sql).await.unwrap_err();
    let refusal = service::status::refusal_of(&status).unwrap();
    assert_eq!(refusal.code, RefusalCode::Usage, "{status:?}");
    ask(region.user("ben").unwrap(), sql, None).await.unwrap();
}
