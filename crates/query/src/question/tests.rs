//! The walk at the coordinator, over every file of `testdata/policy`.

use std::path::{Path, PathBuf};

use model::RefusalCode;
use privacy::sketch::{Frame, Span};

use super::*;

fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/policy").join(folder);
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
        .collect();
    files.sort();
    files
}

fn planner() -> Planner {
    Planner::new(64 << 20).unwrap()
}

#[tokio::test]
async fn allowed_questions_become_requests_that_a_node_would_accept() {
    let files = files("allow");
    assert!(files.len() >= 40, "only {} files", files.len());
    let (planner, policy) = (planner(), Policy::answering());
    let state = planner.context.state();
    let mut wrong = Vec::new();
    for (path, sql) in &files {
        let question = planner.plan(sql, &policy).await;
        let requests = match question.and_then(|question| with_discoveries(&question)) {
            Ok(requests) => requests,
            Err(refusal) => {
                wrong.push(format!("{}: {refusal}", path.display()));
                continue;
            }
        };
        for request in requests {
            if let Err(refusal) = accept(&state, &policy, &request).await {
                let sql = request.relation_sql();
                wrong.push(format!("{}: {sql}: {refusal}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The requests of a question over small lists, and those that would discover longer ones.
fn with_discoveries(question: &Question) -> Result<Vec<ReleaseRequest>, Refusal> {
    let codes = || vec!["A".to_owned(), "B".to_owned()];
    let domains: Vec<Vec<_>> = question
        .specs()
        .iter()
        .map(|specs| specs.iter().map(|spec| spec.domain(codes())).collect())
        .collect::<Result<_, _>>()?;
    let mut requests = question.requests("ana", &domains)?;
    for spec in question.specs().into_iter().flatten() {
        if let DomainSpec::Listed(listing) = spec {
            requests.push(listing.discovery("ana", (12, 0), [1; 32])?);
        }
    }
    Ok(requests)
}

/// What a node does: plans the canonical SQL again, walks it by itself, writes what it executes.
async fn accept(
    state: &SessionState,
    policy: &Policy,
    request: &ReleaseRequest,
) -> Result<(), Refusal> {
    let (dimensions, inputs) = (request.dimensions().len(), request.inputs().len());
    let plan = plan_query(state, request.relation_sql()).await?;
    let relation = crate::walk::check_request_plan(&plan, policy, dimensions, inputs)?;
    let executable = relation.executable(request.measures())?;
    let money: Vec<_> = request.inputs().iter().map(|input| input.money).collect();
    assert_eq!(relation.money(), money, "{}", request.relation_sql());
    assert_eq!(executable.supports, request.supports(), "{}", request.relation_sql());
    plan_query(state, &executable.sql).await.map(|_| ())
}

/// Where a node sees the requests of a question stand.
async fn frames(sql: &str) -> Vec<Frame> {
    let (planner, policy) = (planner(), Policy::answering());
    let state = planner.context.state();
    let question = planner.plan(sql, &policy).await.unwrap();
    let mut frames = Vec::new();
    for request in with_discoveries(&question).unwrap() {
        let plan = plan_query(&state, request.relation_sql()).await.unwrap();
        let (dimensions, inputs) = (request.leading(), request.inputs().len());
        let relation = crate::walk::check_request_plan(&plan, &policy, dimensions, inputs).unwrap();
        frames.push(relation.frame().unwrap());
    }
    frames
}

#[tokio::test]
async fn questions_that_differ_by_stretches_alone_stand_in_one_set() {
    let of = async |condition: &str| {
        let sql = format!(
            "SELECT hospital_id, drg_code, sum(total_cost) AS c FROM stay WHERE {condition} GROUP BY 1, 2"
        );
        frames(&sql).await.swap_remove(0)
    };
    let month = async |from: &str, until: &str| {
        of(&format!("discharged_at >= '{from}' AND discharged_at < '{until}'")).await
    };
    let (first, second) =
        (month("2024-01-01", "2024-04-01").await, month("2024-04-01", "2024-07-01").await);
    let span = |frame: &Frame, column: &str| frame.spans.get(column).copied();
    // `date -u -d 2024-01-01 +%s`.
    let quarter = Span { from: 1_704_067_200, until: 1_711_929_600 };
    assert_eq!(span(&first, "stay.discharged_at"), Some(quarter));
    assert_eq!(span(&second, "stay.discharged_at").map(|span| span.from), Some(quarter.until));
    assert_eq!((first.base, &first.dimensions), (second.base, &second.dimensions));
    assert_eq!(
        first.dimensions,
        [None, Some("stay.drg_code".to_owned())],
        "all rows are this hospital's"
    );
    let key = |code: &str| [Some("h-1".to_owned()), Some(code.to_owned())];
    let group = |frame: &Frame, key: &[Option<String>]| frame.group(&frame.whole(), key);
    assert_eq!(group(&first, &key("A")), group(&first, &[None, key("A")[1].clone()]));
    // In other words.
    for same in [
        "'2024-01-01' <= discharged_at AND '2024-04-01' > discharged_at",
        "hospital_id IN ('h-1', 'h-2') AND discharged_at < '2024-04-01' AND discharged_at >= '2024-01-01'",
        "discharged_at < '2024-07-01' AND discharged_at >= '2024-01-01' AND discharged_at < '2024-04-01'",
    ] {
        assert_eq!(group(&of(same).await, &key("A")), group(&first, &key("A")), "{same}");
    }
    let ages = of("age_years >= 40 AND age_years < 60 AND sex = '1'").await;
    assert_eq!(span(&ages, "stay.age_years"), Some(Span { from: 40, until: 60 }));
    assert_eq!(ages.pins.get("stay.sex").map(String::as_str), Some("1"));
    assert_eq!(ages.base, first.base, "neither a stretch nor a code is part of the set");
    let nulls = of("age_years IS NULL").await;
    assert_eq!(span(&nulls, "stay.age_years"), Some(Span { from: Span::NULLS, until: i64::MAX }));
    // What is neither makes another set.
    for other in ["NOT (age_years >= 40)", "sex IN ('1', '2')", "sex = '1' OR died"] {
        assert_ne!(of(other).await.base, first.base, "{other}");
    }
    for (one, flag) in [("died", "true"), ("NOT died", "false"), ("died IS TRUE", "true")] {
        let flagged = of(one).await;
        assert_eq!(flagged.pins.get("stay.died").map(String::as_str), Some(flag), "{one}");
    }
    // Beyond what nanoseconds reach, and a day that is none of most years (`date -u -d 2104-03-01 +%s`).
    let far = of("discharged_at >= '2104-03-01' AND discharged_at < '2500-01-01'").await;
    let far_off = Span { from: 4_233_772_800, until: 16_725_225_600 };
    assert_eq!(span(&far, "stay.discharged_at"), Some(far_off));
    let two = of("sex = '1' AND sex = '2'").await;
    assert_eq!((two.pins.len(), two.base == first.base), (1, false));
}

#[tokio::test]
async fn refused_questions_name_the_reason_and_the_clause() {
    let files = files("refuse");
    assert!(files.len() >= 60, "only {} files", files.len());
    let (planner, policy) = (planner(), Policy::answering());
    let mut wrong = Vec::new();
    for (path, text) in &files {
        let (first, sql) = text.split_once('\n').unwrap();
        let expected = first.strip_prefix("-- ").unwrap();
        let outcome = match planner.plan(sql, &policy).await {
            Ok(_) => "allowed".to_owned(),
            Err(refusal) => {
                assert!(!refusal.reason.is_empty(), "{}", path.display());
                format!("{}: {}", refusal.code, refusal.subject)
            }
        };
        if outcome != expected {
            let name = path.file_name().unwrap().to_string_lossy();
            wrong.push(format!("{name}: expected {expected}, got {outcome}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_condition_on_hospitals_makes_a_question_per_hospital() {
    let planner = planner();
    for (sql, scope) in [
        ("SELECT count(*) FROM stay", Scope::Pooled),
        ("SELECT count(*) FROM stay WHERE hospital_tier = 'tertiary'", Scope::Pooled),
        ("SELECT count(*) FROM stay WHERE hospital_id = 'h-001'", Scope::PerHospital),
        ("SELECT hospital_id, count(*) FROM stay GROUP BY 1", Scope::PerHospital),
        ("SELECT sum(CASE WHEN hospital_id = 'a' THEN 1 ELSE 0 END) FROM stay", Scope::PerHospital),
    ] {
        assert_eq!(planner.plan(sql, &Policy::answering()).await.unwrap().scope(), scope, "{sql}");
    }
}

#[tokio::test]
async fn money_is_followed_through_everything_but_conditions() {
    let planner = planner();
    let state = planner.context.state();
    for (expression, expected) in [
        ("total_cost", true),
        ("fund_paid / 7.0", true),
        ("-self_paid", true),
        ("los_days * total_charge", true),
        ("cast(total_cost AS bigint)", true),
        ("cast(total_cost AS double)", true),
        ("ln(total_cost)", true),
        ("coalesce(total_cost, 0)", true),
        ("CASE WHEN sex = 'F' THEN los_days ELSE total_cost END", true),
        ("CASE WHEN sex = 'F' THEN cast(total_cost AS double) END", true),
        ("CASE WHEN sex = 'F' THEN 1 WHEN died THEN 2 * total_cost ELSE 0 END", true),
        ("abs(total_cost)", true),
        ("los_days", false),
        ("sqrt(icu_hours)", false),
        ("CASE WHEN total_cost >= 1000 THEN los_days ELSE 0 END", false),
        ("CASE total_cost WHEN 1000 THEN 1 ELSE 0 END", false),
        ("cast(died AS bigint)", false),
    ] {
        let sql = format!("SELECT hidden FROM (SELECT {expression} AS hidden FROM stay) AS t");
        let plan = plan_query(&state, &sql).await.unwrap();
        let flat = crate::walk::flatten(&plan).unwrap();
        let found = crate::walk::is_money(&flat.relation, &flat.outputs[0]);
        assert_eq!(found, expected, "{expression}");
    }
}

#[tokio::test]
async fn requests_say_which_inputs_are_money_and_how_many_sets_stand_behind_each_measure() {
    let planner = planner();
    let policy = Policy::answering();
    for (aggregates, money, supports) in [
        ("count(*), count(DISTINCT person_key), count(DISTINCT stay_key)", "", vec![0, 0, 0]),
        ("sum(total_cost)", "T", vec![4]),
        ("corr(total_cost, los_days)", "FT", vec![4]),
        ("sum(los_days), avg(ln(total_cost))", "FT", vec![4, 4]),
        ("sum(CASE WHEN total_cost >= 1000 THEN 1 ELSE 0 END)", "F", vec![4 + 2]),
        ("avg(total_cost) FILTER (WHERE sex = 'F')", "T", vec![4 + 2 * 2]),
        ("sum(coalesce(total_cost, 0))", "T", vec![4 + 2]),
        ("sum(cast(died AS bigint))", "F", vec![4 + 3]),
        ("count(*) FILTER (WHERE died)", "F", vec![4 + 2]),
        // One condition in both inputs tells rows apart once.
        (
            "corr(CASE WHEN died THEN 1 ELSE 0 END, CASE WHEN died THEN 5 ELSE 2 END)",
            "FF",
            vec![4 + 2],
        ),
        // Squares of a product are computed on doubles, in an input of their own.
        ("stddev(los_days * total_cost), sum(los_days * total_cost)", "TT", vec![4, 4]),
    ] {
        let sql = format!("SELECT {aggregates} FROM stay");
        let question = planner.plan(&sql, &policy).await.unwrap();
        let [request] = question.requests("ana", &[]).unwrap().try_into().unwrap();
        let flags: String =
            request.inputs().iter().map(|input| if input.money { 'T' } else { 'F' }).collect();
        assert_eq!((flags.as_str(), request.supports()), (money, &*supports), "{aggregates}");
    }
    let narrowed = "SELECT sum(cast(total_cost AS bigint)) FROM stay";
    assert_eq!(planner.plan(narrowed, &policy).await.unwrap_err().code, RefusalCode::Measure);
}

#[tokio::test]
async fn a_pooled_question_needs_its_domains_and_one_per_hospital_has_none() {
    let planner = planner();
    let policy = Policy::answering();
    let pooled = planner.plan("SELECT sex, count(*) FROM stay GROUP BY 1", &policy).await.unwrap();
    assert_eq!(pooled.requests("ana", &[]).unwrap_err().subject, "domains");
    let sexes = pooled.specs()[0][0].domain(vec!["F".into(), "M".into()]).unwrap();
    let [request] = pooled.requests("ana", &[vec![sexes.clone()]]).unwrap().try_into().unwrap();
    assert_eq!((request.cells(), request.domains()), (4, &[sexes.clone()][..]));
    let sql = "SELECT hospital_id, sex, count(*) FROM stay GROUP BY 1, 2";
    let named = planner.plan(sql, &policy).await.unwrap();
    let domains = vec![sexes.clone(), sexes];
    let [request] = named.requests("ana", &[domains]).unwrap().try_into().unwrap();
    assert!(request.domains().is_empty() && request.scope() == Scope::PerHospital);
}
