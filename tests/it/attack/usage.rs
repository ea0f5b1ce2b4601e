//! Asking without end: the hospital counts each user's questions in its ledger, and forgets none
//! in a restart. A question that failed costs nothing, and one that was answered is not paid twice.

use futures::future::join_all;
use model::{RefusalCode, Role};
use privacy::Policy;
use proto::encode_request;
use query::question::Planner;
use record::ledger::ReleaseRow;
use tests::{Answer, Region, USER, ask, peer};
use tonic::{Code, Status};

use super::{SPREAD, hospital_under, refusal, spread_under, stays, visible};

/// Questions a day in these tests.
const ALLOWANCE: u64 = 3;
/// No stay is longer; conditions above it hold for all stays and make different questions.
const LONGEST_STAY: u32 = 26;

fn few_questions() -> Policy {
    let mut policy = Policy::answering();
    policy.usage.requests_per_day = ALLOWANCE;
    policy
}

/// A question by hospital of this number, about all stays.
fn own(number: u32) -> String {
    let days = LONGEST_STAY + number;
    format!("SELECT hospital_id, count(*) AS n FROM stay WHERE los_days < {days} GROUP BY 1")
}

/// A pooled question of this number, about all stays.
fn pooled(number: u32) -> String {
    format!("SELECT count(*) AS n FROM stay WHERE los_days < {}", LONGEST_STAY + number)
}

/// A question of this number that a millisecond is not enough to plan.
fn slow(number: u64) -> String {
    let codes: Vec<_> = (0..499).map(|code| format!("'{code}'")).collect();
    format!(
        "SELECT s.hospital_id, count(*) AS n FROM stay s \
         JOIN diagnosis a ON s.stay_key = a.stay_key JOIN diagnosis b ON s.stay_key = b.stay_key \
         WHERE s.los_days < {} AND s.drg_code IN ({}) GROUP BY 1",
        900 + number,
        codes.join(", ")
    )
}

fn code(outcome: Result<Answer, Status>) -> RefusalCode {
    refusal(outcome).code
}

/// What the hospital's ledger says that it released on behalf of `asker`.
fn released(region: &Region, hospital: &str, asker: &str) -> Vec<ReleaseRow> {
    let rows = region.site(hospital).releases().unwrap();
    rows.into_iter().filter(|row| row.asker == asker).collect()
}

pub(super) async fn restart(region: &Region, hospital: &str) {
    region.site(hospital).restart().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_allowance_is_per_user_and_survives_a_restart() {
    let region = hospital_under(few_questions(), stays(60, 0, |_| {})).await;
    for number in 0..2 {
        region.ask(&own(number)).await.unwrap();
    }
    restart(&region, "h-1").await;
    region.ask(&own(2)).await.unwrap();
    assert_eq!(code(region.ask(&own(3)).await), RefusalCode::Usage);
    restart(&region, "h-1").await;
    assert_eq!(code(region.ask(&own(3)).await), RefusalCode::Usage);
    let ben = region.user("ben").unwrap();
    ask(ben, &own(3), None).await.unwrap();
    let count = |asker: &str| released(&region, "h-1", asker).len();
    assert_eq!((count(USER), count("ben")), (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_question_of_the_same_data_costs_nothing() {
    let region = hospital_under(few_questions(), stays(60, 0, |_| {})).await;
    let first = region.ask(&own(0)).await.unwrap();
    for _ in 0..ALLOWANCE {
        region.ask(&own(0)).await.unwrap();
    }
    restart(&region, "h-1").await;
    for number in 1..3 {
        region.ask(&own(number)).await.unwrap();
    }
    assert_eq!(code(region.ask(&own(3)).await), RefusalCode::Usage);
    // With nothing left, the record still answers: the same bits, whoever asks.
    let again = region.ask(&own(0)).await.unwrap();
    assert_eq!((&first.batches, visible(&first)), (&again.batches, visible(&again)));
    let ben = ask(region.user("ben").unwrap(), &own(0), None).await.unwrap();
    assert_eq!(visible(&first), visible(&ben));
    assert_eq!(released(&region, "h-1", USER).len(), 3);
    assert_eq!(released(&region, "h-1", "ben"), []);
    // Under another policy it is another question, and none is left.
    let mut other = few_questions();
    other.minimum.persons = Some(12);
    region.site("h-1").set_policy(&other).unwrap();
    assert_eq!(code(region.ask(&own(0)).await), RefusalCode::Usage);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_fails_is_given_back() {
    let region = hospital_under(few_questions(), stays(60, 0, |_| {})).await;
    let mut shy = few_questions();
    shy.columns.denied = vec!["stay.payer".to_owned()];
    region.site("h-1").set_policy(&shy).unwrap();
    // The coordinator lets it pass; the node finds out when it plans, which is after it was paid.
    let denied = "SELECT hospital_id, payer, count(*) AS n FROM stay GROUP BY 1, 2";
    let planner = Planner::new(16 << 20).unwrap();
    let mut node = region.node_client_as("h-1", &peer(Role::Coordinator, "main")).unwrap();
    for number in 0..=ALLOWANCE {
        assert_eq!(code(region.ask(denied).await), RefusalCode::Grouping);
        let question = planner.plan(&slow(number), &Policy::answering()).await.unwrap();
        let late = encode_request(&question.requests(USER, &[]).unwrap()[0], 1);
        let status = node.release(late).await.map(|_| ()).unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    }
    assert_eq!(released(&region, "h-1", USER), []);
    for number in 0..3 {
        region.ask(&own(number)).await.unwrap();
    }
    assert_eq!(code(region.ask(&own(3)).await), RefusalCode::Usage);
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_at_the_same_time_are_not_paid_from_the_same_allowance() {
    let region = hospital_under(few_questions(), stays(60, 0, |_| {})).await;
    let each = (0..12).map(own).collect::<Vec<_>>();
    let outcomes = join_all(each.iter().map(|sql| region.ask(sql))).await;
    let (answered, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(answered.len(), 3);
    assert!(refused.into_iter().all(|outcome| code(outcome) == RefusalCode::Usage));
    assert_eq!(released(&region, "h-1", USER).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_masked_round_is_paid_by_its_asker_in_every_hospital() {
    let region = spread_under(few_questions(), stays(60, 0, |_| {})).await;
    let mut shy = few_questions();
    shy.columns.denied = vec!["stay.payer".to_owned()];
    for site in region.sites() {
        site.set_policy(&shy).unwrap();
    }
    // Refused by all: given back. Discoveries are paid by nobody who asks.
    for _ in 0..=ALLOWANCE {
        let denied = "SELECT count(*) AS n FROM stay WHERE payer = 'UEBMI'";
        assert_eq!(code(region.ask(denied).await), RefusalCode::Filter);
    }
    let listed = "SELECT drg_code, count(*) AS n FROM stay GROUP BY 1";
    region.ask(listed).await.unwrap();
    // A masked round leaves nothing that could be repeated: the same question is a new round.
    region.ask(listed).await.unwrap();
    restart(&region, "h-2").await;
    region.ask(&pooled(0)).await.unwrap();
    for sql in [listed.to_owned(), pooled(1), own(1)] {
        assert_eq!(code(region.ask(&sql).await), RefusalCode::Usage, "{sql}");
    }
    ask(region.user("ben").unwrap(), &pooled(1), None).await.unwrap();
    for id in SPREAD {
        let rows = released(&region, id, USER);
        assert_eq!(rows.len(), 3, "{rows:?}");
        assert!(rows.iter().all(|row| row.mode == "masked" && row.sid.is_some()), "{rows:?}");
        assert_eq!(released(&region, id, "ben").len(), 1);
        assert_eq!(released(&region, id, "code-lists").len(), 1);
    }
}
