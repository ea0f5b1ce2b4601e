use super::*;
use crate::question::Planner;
use futures::executor::block_on;
use privacy::policy::Allow;
use privacy::request::Scope;
use privacy::sign::hex;
use privacy::{Claim, Policy, ReleaseRequest};

fn arguments(given: &[(&str, &str)]) -> Arguments {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn keep() -> String {
    bounds_argument(&[
        Bound { codes: vec!["GD19".into()], low: Some(100), high: Some(20_000) },
        Bound { codes: vec!["O'NEIL".into()], low: None, high: Some(500) },
    ])
}

#[test]
fn shipped_packs_are_read_and_every_question_can_be_asked() {
    assert_eq!(Pack::shipped().len(), SHIPPED.len());
    let planner = Planner::new(64 << 20).unwrap();
    let tiered = bounds_argument(&[Bound {
        codes: vec!["tertiary".into(), "GD19".into()],
        low: Some(0),
        high: Some(1_000),
    }]);
    for pack in Pack::shipped() {
        let mut given = Arguments::new();
        for (name, value) in [
            ("period", "2024Q1"),
            ("scheme", "CHS-DRG@1"),
            ("keep", &keep()),
            ("low", &tiered),
            ("high", &tiered),
            ("review", &tiered),
        ] {
            if pack.parameter(name).is_some() {
                given.insert(name.to_owned(), value.to_owned());
            }
        }
        for question in pack.questions() {
            let sql = pack.sql(question, &given).unwrap();
            let planned = block_on(planner.plan(&sql, &Policy::default()));
            assert!(planned.is_ok(), "{}/{question}: {sql}\n{planned:?}", pack.name());
        }
        assert!(!pack.purpose().is_empty() && pack.program().starts_with(pack.name()));
    }
}

#[test]
fn arguments_become_columns_bounds_and_quoted_codes() {
    let pack = Pack::named("drg-cost").unwrap();
    let given =
        arguments(&[("period", "2024Q1"), ("tier", "x' OR 1=1 --"), ("measure", "total_charge")]);
    let sql = pack.sql("hospitals", &given).unwrap();
    assert!(sql.contains("sum(s.total_charge)") && !sql.contains("total_cost"), "{sql}");
    assert!(sql.contains(
        "WHERE s.discharged_at >= TIMESTAMP '2024-01-01 00:00:00' AND s.discharged_at < TIMESTAMP \
         '2024-04-01 00:00:00' AND s.hospital_tier = 'x'' OR 1=1 --' GROUP BY"
    ), "{sql}");
    let sql = pack.sql("trimmed", &arguments(&[("keep", &keep())])).unwrap();
    assert!(sql.contains(
        "FILTER (WHERE ((s.drg_code = 'GD19' AND s.total_cost >= 100 AND s.total_cost < 20000) OR \
         (s.drg_code = 'O''NEIL' AND s.total_cost < 500))) AS kept"
    ), "{sql}");
    for (question, given, says) in [
        ("groups", arguments(&[("measure", "fund_paid")]), "one of total_cost, total_charge"),
        ("groups", arguments(&[("period", "soon")]), "2024Q1"),
        ("groups", arguments(&[("perid", "2024")]), "there is no such parameter"),
        ("groups", arguments(&[("tier", "a\u{7}")]), "printable"),
        ("trimmed", arguments(&[]), "this question needs it"),
        ("trimmed", arguments(&[("keep", "[]")]), "1 to 1000 rows"),
        ("trimmed", arguments(&[("keep", "[[[\"a\",\"b\"],1,2]]")]), "[codes], low, high"),
        ("trimmed", arguments(&[("keep", "[[[\"a\"],1.5,2]]")]), "[codes], low, high"),
        ("group", arguments(&[]), "it has groups, hospitals"),
    ] {
        let error = pack.sql(question, &given).unwrap_err().to_string();
        assert!(error.contains(says), "{question}: {error}");
    }
    assert!(Pack::parse("name = 1").unwrap_err().to_string().contains("line 1"));
}

fn request(sql: &str, claim: Option<Claim>) -> ReleaseRequest {
    let planner = Planner::new(64 << 20).unwrap();
    let question = block_on(planner.plan(sql, &Policy::default())).unwrap();
    assert_eq!(question.scope(), Scope::PerHospital);
    question.requests("asker", &[]).unwrap().remove(0).claiming(claim)
}

#[test]
fn a_node_believes_a_claim_only_when_its_own_question_is_the_same() {
    let packs = Packs::new().unwrap();
    let pack = Pack::named("drg-cost").unwrap();
    let mut policy = Policy::default();
    policy.questions.allow = Allow::Packs;
    policy.questions.packs = vec![hex(&pack.hash())];
    let given = arguments(&[("period", "2024")]);
    let claim = |arguments: &Arguments| {
        Some(Claim {
            pack: pack.hash(),
            question: "hospitals".into(),
            arguments: arguments.clone(),
        })
    };
    let sql = pack.sql("hospitals", &given).unwrap();
    let origin =
        |request: &ReleaseRequest, policy: &Policy| block_on(packs.origin(request, policy));
    assert_eq!(
        origin(&request(&sql, claim(&given)), &policy).map(|from| from.0),
        Some(pack.hash())
    );
    // Without a claim, with another question's claim, with other arguments, for other rows.
    assert_eq!(origin(&request(&sql, None), &policy), None);
    assert_eq!(origin(&request(&sql, claim(&arguments(&[]))), &policy), None);
    let narrower = sql.replace("WHERE", "WHERE s.sex = 'F' AND");
    assert_eq!(origin(&request(&narrower, claim(&given)), &policy), None);
    let more = sql.replace("count(*) AS stays", "count(*) AS stays, sum(s.self_paid) AS own");
    assert_eq!(origin(&request(&more, claim(&given)), &policy), None);
    // A pack that is not approved.
    policy.questions.packs = vec![hex(&Pack::named("payment").unwrap().hash())];
    assert_eq!(origin(&request(&sql, claim(&given)), &policy), None);
}
