use super::*;
use crate::domain::DomainSpec;
use crate::question::Planner;
use privacy::policy::Allow;
use privacy::request::{RequestParts, Scope};
use privacy::sign::hex;
use privacy::{Claim, Domain, Policy, ReleaseRequest};

fn arguments(given: &[(&str, &str)]) -> Arguments {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn keep() -> String {
    bounds_argument(&[
        Bound { codes: vec!["GD19".into()], low: Some(100), high: Some(20_000) },
        Bound { codes: vec!["O'NEIL".into()], low: None, high: Some(500) },
    ])
}

#[tokio::test]
async fn shipped_packs_are_read_and_every_question_can_be_asked() {
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
            let planned = planner.plan(&sql, &Policy::answering()).await;
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

async fn request(sql: &str, claim: Option<Claim>) -> ReleaseRequest {
    let planner = Planner::new(64 << 20).unwrap();
    let question = planner.plan(sql, &Policy::answering()).await.unwrap();
    assert_eq!(question.scope(), Scope::PerHospital);
    question.requests("asker", &[]).unwrap().remove(0).claiming(claim)
}

#[tokio::test]
async fn a_node_believes_a_claim_only_when_its_own_question_is_the_same() {
    let packs = Packs::new().unwrap();
    let pack = Pack::named("drg-cost").unwrap();
    let mut policy = Policy::answering();
    policy.questions.allow = Allow::Packs;
    policy.questions.packs = vec![hex(&pack.hash())];
    let given = arguments(&[("period", "2024")]);
    let claim = |arguments: &Arguments| {
        let (question, arguments) = ("hospitals".to_owned(), arguments.clone());
        Some(Claim { pack: pack.hash(), question, arguments })
    };
    let sql = pack.sql("hospitals", &given).unwrap();
    let own = request(&sql, claim(&given)).await;
    let origin = packs.origin(&own, &policy).await;
    assert_eq!(origin, Some(pack.hash()));
    // Without a claim, with another question's claim, with other arguments, for other rows.
    let narrower = sql.replace("WHERE", "WHERE s.sex = 'F' AND");
    let more = sql.replace("count(*) AS stays", "count(*) AS stays, sum(s.self_paid) AS own");
    for (sql, claim) in [
        (&sql, None),
        (&sql, claim(&arguments(&[]))),
        (&narrower, claim(&given)),
        (&more, claim(&given)),
    ] {
        assert_eq!(packs.origin(&request(sql, claim).await, &policy).await, None, "{sql}");
    }
    // A pack that is not approved.
    policy.questions.packs = vec![hex(&Pack::named("payment").unwrap().hash())];
    assert_eq!(packs.origin(&own, &policy).await, None);
}

#[tokio::test]
async fn a_pooled_question_is_not_approved_for_one_hospital_nor_with_other_lists() {
    let packs = Packs::new().unwrap();
    let pack = Pack::named("drg-cost").unwrap();
    let mut policy = Policy::answering();
    policy.questions.allow = Allow::Packs;
    policy.questions.packs = vec![hex(&pack.hash())];
    let planner = Planner::new(64 << 20).unwrap();
    let sql = pack.sql("composition", &Arguments::new()).unwrap();
    let question = planner.plan(&sql, &Policy::answering()).await.unwrap();
    let codes = |text: &str| vec![text.to_owned()];
    let open = |text: &str| Domain::open(codes(text), true).unwrap();
    let closed = |text: &str| Domain::closed(codes(text)).unwrap();
    let claim = Claim {
        pack: pack.hash(),
        question: "composition".to_owned(),
        arguments: Arguments::new(),
    };
    for (domains, approved) in [
        (vec![open("GD19"), open("consumable")], true),
        // A place for nobody else would tell how many others there are.
        (vec![closed("GD19"), open("consumable")], false),
    ] {
        let made = question.requests("ana", std::slice::from_ref(&domains)).unwrap().remove(0);
        let request = made.claiming(Some(claim.clone()));
        assert_eq!(packs.origin(&request, &policy).await.is_some(), approved, "{domains:?}");
    }
    let pooled = question.requests("ana", &[vec![open("GD19"), open("consumable")]]).unwrap();
    let own = ReleaseRequest::try_from(RequestParts {
        scope: Scope::PerHospital,
        asker: "ana".to_owned(),
        relation_sql: pooled[0].relation_sql().to_owned(),
        dimensions: pooled[0].dimensions().to_vec(),
        domains: Vec::new(),
        inputs: pooled[0].inputs().to_vec(),
        measures: pooled[0].measures().to_vec(),
        supports: pooled[0].supports().to_vec(),
    });
    let own = own.unwrap().claiming(Some(claim));
    assert_eq!(packs.origin(&own, &policy).await, None, "each hospital's own composition");
}

#[tokio::test]
async fn cuts_of_the_askers_choice_need_a_pack_that_is_named() {
    let packs = Packs::new().unwrap();
    let pack = Pack::named("drg-cost").unwrap();
    let bound = Bound { codes: vec!["GD19".to_owned()], low: Some(1_000), high: Some(20_000) };
    let cut = arguments(&[("keep", &bounds_argument(&[bound]))]);
    let planner = Planner::new(64 << 20).unwrap();
    for (question, arguments, shipped) in
        [("groups", Arguments::new(), true), ("trimmed", cut, false)]
    {
        let sql = pack.sql(question, &arguments).unwrap();
        let planned = planner.plan(&sql, &Policy::answering()).await.unwrap();
        let codes = Domain::open(vec!["GD19".to_owned()], true).unwrap();
        let request = planned.requests("ana", &[vec![codes]]).unwrap().remove(0);
        let claim = Claim { pack: pack.hash(), question: question.to_owned(), arguments };
        let request = request.claiming(Some(claim));
        for (approved, expected) in
            [(privacy::policy::SHIPPED.to_owned(), shipped), (hex(&pack.hash()), true)]
        {
            let mut policy = Policy::default();
            policy.questions.packs = vec![approved];
            assert_eq!(packs.origin(&request, &policy).await.is_some(), expected, "{question}");
        }
    }
}

#[tokio::test]
async fn listings_are_of_approved_dimensions_only() {
    let packs = Packs::new().unwrap();
    let mut policy = Policy::answering();
    policy.questions.allow = Allow::Packs;
    policy.questions.packs = vec![hex(&Pack::named("payment").unwrap().hash())];
    let planner = Planner::new(64 << 20).unwrap();
    for (column, approved) in [("drg_code", true), ("dip_code", true), ("payer", false)] {
        let sql = format!("SELECT {column}, count(*) AS n FROM stay GROUP BY 1");
        let question = planner.plan(&sql, &Policy::answering()).await.unwrap();
        let specs = question.specs();
        let DomainSpec::Listed(listing) = &specs[0][0] else { panic!("{column} is listed") };
        let request = listing.discovery("code-lists", (10, 0), [0; 32]).unwrap();
        assert_eq!(packs.origin(&request, &policy).await.is_some(), approved, "{column}");
    }
}

/// A review found that an argument could open a place for the next one.
#[test]
fn what_is_filled_in_is_not_filled_again() {
    let pack = Pack::named("payment").unwrap();
    let bound = |codes: [&str; 2]| {
        let codes = codes.map(str::to_owned).to_vec();
        bounds_argument(&[Bound { codes, low: Some(0), high: None }])
    };
    let given: Arguments = [
        ("low".to_owned(), bound(["x{high}", "g"])),
        ("high".to_owned(), bound([" OR s.sex <> ", " AND s.age_years < 30 AND s.payer <> "])),
        ("review".to_owned(), bound(["{where}", "{measure}"])),
    ]
    .into();
    let sql = pack.sql("deviations", &given).unwrap();
    assert!(sql.contains("(s.hospital_tier = 'x{high}' AND s.drg_code = 'g'"), "{sql}");
    assert!(sql.contains("(s.hospital_tier = '{where}' AND s.drg_code = '{measure}'"), "{sql}");
    assert!(Pack::parse("name = \"a\"\nversion = 1\nprogram = \"a\"\npurpose = \"p\"\n[[question]]\nname = \"q\"\nsql = \"SELECT {x}\"").is_err());
}
