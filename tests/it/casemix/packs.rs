//! Hospitals that answer approved packs only: the benchmark needs nobody's attention, and nothing
//! else gets an answer, whatever it says it is.

use model::RefusalCode;
use privacy::policy::Allow;
use privacy::sign::hex;
use privacy::{Claim, Policy};
use proto::{encode_claim, v1};
use query::pack::{Arguments, Pack};
use tests::fixture::{self, Stay};
use tests::{HospitalSource, Region};

use super::json;
use crate::client::user_folder;

/// Hospitals that answer questions of these packs only.
async fn region(folder: &std::path::Path, packs: &[&str]) -> Region {
    let mut policy = Policy::answering();
    policy.questions.allow = Allow::Packs;
    policy.questions.packs =
        packs.iter().map(|name| hex(&Pack::named(name).unwrap().hash())).collect();
    let hospitals = ["h-1", "h-2", "h-3"]
        .map(|id| HospitalSource::small(id, fixture::write(folder, id, (0..40).map(Stay::plain))));
    Region::builder().policy(policy).hospitals(hospitals).start().await.unwrap()
}

/// Asks `sql` and says that it is `question` of `pack` with `arguments`.
async fn claim(
    region: &Region,
    sql: &str,
    pack: &Pack,
    question: &str,
    arguments: &Arguments,
) -> Result<(), RefusalCode> {
    let claim =
        Claim { pack: pack.hash(), question: question.to_owned(), arguments: arguments.clone() };
    let pack = Some(encode_claim(&claim));
    let question =
        v1::Question { sql: sql.to_owned(), deadline_ms: 20_000, pack, ..Default::default() };
    let mut events = region.client().ask(question).await.unwrap().into_inner();
    loop {
        match events.message().await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(status) => return Err(service::status::refusal_of(&status).unwrap().code),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_pack_is_answered_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let region = region(folder.path(), &["drg-cost"]).await;
    let user = user_folder(&region, folder.path());
    let user = user.to_str().unwrap();
    let found = json(&["benchmark", "drg", "--region", user, "--format", "json"]).await;
    assert_eq!(
        (&found["groups"][0]["drg_code"], &found["groups"][0]["stays"]),
        (&"DA1".into(), &120.into())
    );
    assert_eq!(found["hospitals"].as_array().unwrap().len(), 3);
    let trimmed = ["benchmark", "drg", "--region", user, "--format", "json", "--trim", "iqr"];
    assert_eq!(json(&trimmed).await["groups"][0]["stays"], 120);

    let pack = Pack::named("drg-cost").unwrap();
    let none = Arguments::new();
    let groups = pack.sql("groups", &none).unwrap();
    assert_eq!(claim(&region, &groups, pack, "groups", &none).await, Ok(()));
    // The same question without saying so, under another name, of a pack that is not approved.
    let plain = region.ask(&groups).await.unwrap_err();
    assert_eq!(service::status::refusal_of(&plain).unwrap().code, RefusalCode::Pack);
    let refused = Err(RefusalCode::Pack);
    assert_eq!(claim(&region, &groups, pack, "hospitals", &none).await, refused);
    let payment = Pack::named("payment").unwrap();
    let volumes = payment.sql("volumes", &none).unwrap();
    assert_eq!(claim(&region, &volumes, payment, "volumes", &none).await, refused);
    // Other rows, other sums, and the hospital's own cells of it.
    for sql in [
        groups.replace("FROM stay s ", "FROM stay s WHERE s.sex = 'F' "),
        groups.replace("count(*) AS stays", "count(*) AS stays, sum(s.self_paid) AS own"),
        groups
            .replace("SELECT s.drg_code", "SELECT s.payer")
            .replace("GROUP BY s.drg_code", "GROUP BY s.payer"),
        "SELECT hospital_id, sum(self_paid) AS own FROM stay GROUP BY hospital_id".to_owned(),
    ] {
        assert_eq!(claim(&region, &sql, pack, "groups", &none).await, refused, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_approved_pack_a_hospital_answers_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let region = region(folder.path(), &["alerts"]).await;
    for sql in ["SELECT count(*) FROM stay", "SELECT hospital_id, count(*) FROM stay GROUP BY 1"] {
        let status = region.ask(sql).await.unwrap_err();
        let refusal = service::status::refusal_of(&status).unwrap();
        assert_eq!(refusal.code, RefusalCode::Pack);
        assert!(refusal.instead.contains("consilium pack list"), "{refusal}");
    }
}
