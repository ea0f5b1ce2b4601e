//! The walk at the coordinator, over every file of `testdata/policy`.

use std::path::{Path, PathBuf};

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
    let (planner, policy) = (planner(), Policy::default());
    let state = planner.context.state();
    let mut wrong = Vec::new();
    for (path, sql) in &files {
        let requests = planner.plan(sql, &policy).await.and_then(|q| q.requests("ana"));
        let requests = match requests {
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
    plan_query(state, &executable.sql).await.map(|_| ())
}

#[tokio::test]
async fn refused_questions_name_the_reason_and_the_clause() {
    let files = files("refuse");
    assert!(files.len() >= 60, "only {} files", files.len());
    let (planner, policy) = (planner(), Policy::default());
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
        assert_eq!(planner.plan(sql, &Policy::default()).await.unwrap().scope(), scope, "{sql}");
    }
}
