//! SQL to policy: what analysts write, what a coordinator sends as a relation, and what a hospital writes
//! as its policy.
//!
//! Whatever is accepted means the same each time, tells only what is added up, and is accepted by a node
//! under the same policy, which also computes it over a few stays.

use std::sync::{Arc, LazyLock};

use learn::formula::Formula;
use model::{Refusal, RefusalCode};
use privacy::measure::Input;
use privacy::request::RequestParts;
use privacy::{Combined, Leave, Measure, Policy, ReleaseRequest, Scope};
use query::engine::{ComputeError, Engine};
use query::question::{Planner, Question};

use crate::hospital::engine;
use crate::parties::{POOLED, planner, wait};

/// Longest text that is planned here; the bounds on longer ones have tests.
const MOST_BYTES: usize = 4 << 10;

static PLANNER: LazyLock<Planner> = LazyLock::new(planner);
static DEFAULT: LazyLock<Arc<Engine>> = LazyLock::new(|| engine(Policy::answering()));

/// Reads one text; the first byte says what it is.
pub fn policy(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= MOST_BYTES) else {
        return;
    };
    match kind {
        b'q' => question(text),
        b'n' => relation(text),
        b'p' => of_hospital(text),
        b'f' => formula(text),
        _ => {}
    }
}

/// A question, from its text to the cells of a hospital.
fn question(sql: &str) {
    let policy = DEFAULT.policy();
    let first = wait(PLANNER.plan(sql, policy));
    let second = wait(PLANNER.plan(sql, policy));
    let (first, second) = match (first, second) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(first), Err(second)) => return assert_eq!(first, second, "two refusals"),
        (first, second) => panic!("once {first:?}, once {second:?}"),
    };
    assert_eq!((first.explain(), first.above()), (second.explain(), second.above()));
    for requested in requests(&first) {
        assert!(first.asks(&requested) && second.asks(&requested));
        assert!(!tells_rows(&requested), "{sql}");
        hospital_agrees(&requested);
    }
    above(&first, sql);
}

/// The requests of a question, over code lists of a few codes.
fn requests(question: &Question) -> Vec<ReleaseRequest> {
    let codes = ["039", "2024-03-01T00:00:00", "F", "I10"].map(str::to_owned);
    let domains = question.specs().into_iter().map(|specs| {
        let each = specs.iter().map(|spec| spec.domain(codes.to_vec()));
        each.collect::<Result<Vec<_>, Refusal>>()
    });
    let Ok(domains) = domains.collect::<Result<Vec<_>, _>>() else { return Vec::new() };
    question.requests("ana", &domains).unwrap_or_default()
}

/// Every measure is a number of rows or a sum over them, and there is none whose width is not known.
fn tells_rows(request: &ReleaseRequest) -> bool {
    let width: usize = request.measures().iter().map(|measure| measure.width()).sum();
    width != request.width() || request.supports().len() != request.measures().len()
}

/// The hospital's own walk finds nothing to refuse in what the coordinator has accepted.
fn hospital_agrees(request: &ReleaseRequest) {
    let parts = RequestParts {
        // Masked rounds take the same way, behind two more signatures.
        scope: Scope::PerHospital,
        asker: request.asker().to_owned(),
        relation_sql: request.relation_sql().to_owned(),
        dimensions: request.dimensions().to_vec(),
        domains: Vec::new(),
        inputs: request.inputs().to_vec(),
        measures: request.measures().to_vec(),
        supports: request.supports().to_vec(),
    };
    let request = ReleaseRequest::try_from(parts).unwrap();
    let admitted = privacy::admit(request.clone(), DEFAULT.policy(), Leave::None).unwrap();
    match wait(DEFAULT.compute(admitted)) {
        // Sums that overflow a type, or rows beyond a cap, depend on the stays.
        Ok(_) | Err(ComputeError::Engine(_)) => {}
        Err(ComputeError::Refused(refusal)) => {
            let sql = request.relation_sql();
            assert_eq!(
                refusal.code,
                RefusalCode::TooLarge,
                "the hospital refuses {sql}: {refusal}"
            );
        }
    }
    let shown = query::readable(request.relation_sql()).unwrap();
    assert_eq!(query::readable(&shown).as_ref(), Some(&shown), "a steward reads what is meant");
}

/// What the coordinator does with the answers scans nothing but them, and an answer without groups is
/// one that it can finish or refuse.
fn above(question: &Question, sql: &str) {
    // The words may also stand in a text of the question's.
    if !sql.contains("TableScan") {
        for line in question.above().lines().filter(|line| line.contains("TableScan: ")) {
            assert!(line.contains("TableScan: __cut_"), "{line}");
        }
    }
    let nothing = vec![Combined::default(); question.explain().len()];
    let _ = wait(PLANNER.answer(question, &nothing));
    assert!(question.approximations(&nothing).iter().all(|one| one.groups == 0));
}

/// A relation as a coordinator of ill will could send it: nobody has planned it before.
fn relation(text: &str) {
    let (head, sql) = text.split_at_checked(1).unwrap_or(("", text));
    // Both numbers in one digit: groups in threes, inputs in ones.
    let head = head.parse::<usize>().unwrap_or(0);
    let (dimensions, inputs) = (head / 3, head % 3);
    let input = Input { scale: model::moments::Scale::Decimal(0), bound: 3_660, money: false };
    let parts = RequestParts {
        scope: Scope::PerHospital,
        asker: "ana".to_owned(),
        relation_sql: sql.to_owned(),
        dimensions: (0..dimensions).map(|index| format!("d{index}")).collect(),
        domains: Vec::new(),
        inputs: vec![input; inputs],
        measures: vec![Measure::Rows],
        supports: vec![0],
    };
    let request = ReleaseRequest::try_from(parts).unwrap();
    let compute = || {
        let admitted = privacy::admit(request.clone(), DEFAULT.policy(), Leave::None).unwrap();
        wait(DEFAULT.compute(admitted))
    };
    match compute() {
        Err(ComputeError::Engine(_)) => {}
        // What is kept of the first time must not change the second.
        Err(ComputeError::Refused(first)) => {
            let second = compute().err().map(|error| error.to_string());
            assert_eq!(second, Some(first.to_string()));
        }
        Ok(_) => assert!(query::readable(sql).is_some(), "a steward could not read {sql}"),
    }
}

/// A hospital's policy: what has no problem has one meaning, and questions can be planned under it.
fn of_hospital(text: &str) {
    let Ok(policy) = toml::from_str::<Policy>(text) else { return };
    let problems = policy.problems();
    let written = toml::to_string(&policy).unwrap();
    let again: Policy = toml::from_str(&written).unwrap();
    assert_eq!((again.problems(), &again), (problems.clone(), &policy));
    let _ = wait(PLANNER.plan(POOLED, &policy));
    if problems.is_empty() {
        let minima = (policy.minimum.persons, policy.minimum.stays);
        assert!(minima.0.is_some_and(|n| n > 0) && minima.1.is_some_and(|n| n > 0));
        assert!(privacy::Floor::of(&policy).is_some_and(privacy::Floor::is_sane));
    }
}

/// A model's formula.
fn formula(text: &str) {
    let Ok(formula) = Formula::parse(text) else { return };
    assert_eq!(Formula::parse(text).as_ref(), Ok(&formula));
    let columns = model::schema::table("stay").unwrap();
    let mut names = formula.factors().into_iter().chain(formula.numbers());
    assert!(names.all(|name| columns.column(name).is_some()), "{text}");
}
