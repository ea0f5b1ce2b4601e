//! Projects: accepted once by each hospital's steward, they answer their members' questions within their
//! budget, and nobody else's.

use std::process::Output;

use model::{RefusalCode, Role};
use privacy::{Noise, Policy};
use proto::v1;
use serde_json::Value;
use tests::{peer, put};
use tonic::Status;

use crate::bypass::fine;
use crate::client::consilium;
use crate::steward::{ALL, Desk, text};

const BY_SEX: &str = "SELECT sex, count(*) AS n FROM stay GROUP BY 1";
const POOLED: &str = "SELECT count(*) AS n FROM stay";
const BY_HOSPITAL: &str = "SELECT hospital_id, count(*) AS n FROM stay GROUP BY 1";
/// Where somebody asks about one month, so that no question is a repetition.
const MONTHS: [&str; 3] = ["2024-02", "2024-03", "2024-04"];

impl Desk {
    async fn project(&self, words: &[&str]) -> Value {
        let common = ["--region", &self.user, "--format", "json"];
        let output = consilium(&[&["project"][..], words, &common].concat()).await;
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    async fn asks(&self, project: &str, words: &[&str]) -> Output {
        let common = ["query", "--project", project, "--region", &self.user, "--format", "json"];
        consilium(&[&common[..], words].concat()).await
    }

    /// How `user` is answered, who has no program of their own here.
    async fn answers(&self, user: &str, project: &str, sql: &str) -> Result<usize, RefusalCode> {
        let question = v1::Question {
            sql: sql.to_owned(),
            project: project.to_owned(),
            ..v1::Question::default()
        };
        let answer = put(self.region.user(user).unwrap(), question).await;
        let code = |status: Status| service::status::refusal_of(&status).unwrap().code;
        answer.map(|answer| answer.rows().len()).map_err(code)
    }
}

fn states(report: &Value, version: usize) -> Vec<&str> {
    let hospitals = report["versions"][version]["hospitals"].as_array().unwrap();
    hospitals.iter().map(|at| at["state"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_an_accepted_project_are_answered_and_nobody_else() {
    let desk = Desk::under(Policy::default()).await;
    let words = ["create", "costs", "--purpose", "Costs of appendectomy", "--until", "9999-12-31"];
    let made = desk.project(&[&words[..], &["--questions", "4", "--member", "bob"]].concat()).await;
    assert_eq!(made["owner"], "ana");
    assert_eq!(states(&made, 0), ["waiting"; 6]);
    // Stewards know of it, by the name that its owner reads, before anybody asks.
    let inbox = desk.inbox("h-1", &[]).await;
    assert_eq!((inbox.len(), &inbox[0]["kind"]), (1, &"project".into()));
    let id = made["versions"][0]["id"].as_str().unwrap();
    assert!(inbox[0]["question"].as_str().unwrap().starts_with(id), "{inbox:?}");
    assert!(inbox[0]["relation"].as_str().unwrap().contains("members: ana, bob"), "{inbox:?}");
    let waits = desk.asks("costs", &[BY_SEX]).await;
    assert_eq!((waits.status.code(), waits.stdout.len()), (Some(75), 0), "{waits:?}");
    assert_eq!(desk.inbox("h-1", &[]).await.len(), 1, "the project waits, not each question");

    for hospital in &ALL[..3] {
        desk.decide(hospital, "approve", &[]).await;
    }
    desk.decide("h-4", "decline", &[]).await;
    let answered = desk.asks("costs", &[BY_SEX]).await;
    assert_eq!(answered.status.code(), Some(0), "{}", text(&answered.stderr));
    let answer: Value = serde_json::from_slice(&answered.stdout).unwrap();
    let missing = &answer["release"]["hospitals"]["missing"];
    let reasons: Vec<_> = missing.as_array().unwrap().iter().map(|m| &m["reason"]).collect();
    assert_eq!(reasons, ["refused: declined", "refused: waiting", "refused: waiting"]);
    assert_eq!(desk.answers("bob", "costs", POOLED).await, Ok(1));

    // Nobody else, nothing else, and nothing without the project.
    assert_eq!(desk.answers("cy", "costs", POOLED).await, Err(RefusalCode::Project));
    assert_eq!(desk.answers("ana", "csots", POOLED).await, Err(RefusalCode::Project));
    assert_eq!(desk.answers("ana", "costs", BY_HOSPITAL).await, Err(RefusalCode::Project));
    assert_eq!(desk.answers("ana", "", BY_HOSPITAL).await, Err(RefusalCode::Waiting));
    let noisy = desk.asks("costs", &["--noise", BY_HOSPITAL]).await;
    assert_eq!(noisy.status.code(), Some(77), "{}", text(&noisy.stderr));

    // The search for codes and two questions are three of four.
    let shown = desk.project(&["show", "costs"]).await;
    let expected = ["accepted", "accepted", "accepted", "declined", "waiting", "waiting"];
    assert_eq!(states(&shown, 0), expected);
    assert_eq!(shown["versions"][0]["hospitals"][0]["questions"], 3, "{shown}");
    assert_eq!(desk.answers("ana", "costs", POOLED).await, Ok(1));
    assert_eq!(desk.answers("ana", "costs", POOLED).await, Err(RefusalCode::Budget));
    let table = consilium(&["project", "show", "costs", "--region", &desk.user]).await;
    assert!(text(&table.stdout).contains("waiting for the steward"), "{}", text(&table.stdout));
}

/// A coordinator that lies about a project gets nothing from a node: the definition is what was accepted, and
/// the node looks at all of it itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_checks_each_question_against_what_its_steward_accepted() {
    let desk = Desk::under(Policy::default()).await;
    let words = ["create", "costs", "--purpose", "Costs", "--until", "9999-12-31"];
    desk.project(&[&words[..], &["--scope", "per-hospital", "--questions", "2"]].concat()).await;
    desk.decide("h-1", "approve", &[]).await;
    let accepted = v1::Project {
        name: "costs".to_owned(),
        purpose: "Costs".to_owned(),
        owner: "ana".to_owned(),
        members: vec!["ana".to_owned()],
        pooled: false,
        per_hospital: true,
        rho_year_micro: None,
        questions: 2,
        until: 99_991_231,
    };
    let coordinator = peer(Role::Coordinator, "main");
    let node = desk.region.node_client_as("h-1", &coordinator).unwrap();
    let asks = async |asker: &str, project: Option<v1::Project>| {
        let asker = asker.to_owned();
        let request = v1::ReleaseRequest { asker, project, ..fine() };
        let refused = node.clone().release(request).await.err();
        refused.map(|status| service::status::refusal_of(&status).unwrap().code)
    };
    let own = || Some(accepted.clone());
    let changed = |change: fn(&mut v1::Project)| {
        let mut other = accepted.clone();
        change(&mut other);
        Some(other)
    };
    use RefusalCode::{Declined, Project, Request, Waiting};
    assert_eq!(asks("cy", own()).await, Some(Project));
    assert_eq!(asks("code-lists", own()).await, Some(Project), "it searches for no codes");
    assert_eq!(asks("ana", None).await, Some(Waiting));
    assert_eq!(asks("ana", changed(|p| p.questions = 3)).await, Some(Waiting));
    assert_eq!(asks("cy", changed(|p| p.members.push("cy".to_owned()))).await, Some(Waiting));
    assert_eq!(asks("ana", changed(|p| p.until = 20_200_101)).await, Some(Project));
    assert_eq!(asks("ana", changed(|p| p.until = 20_260_230)).await, Some(Project));
    assert_eq!(asks("ana", changed(|p| p.members.push("ana".to_owned()))).await, Some(Request));
    // A question that the steward declines is declined in a project as well; others are answered.
    for question in desk.inbox("h-1", &[]).await {
        if question["kind"] == "question" {
            let name = question["question"].as_str().unwrap();
            let declined = desk.steward("h-1", "decline", &[name]).await;
            assert_eq!(declined.status.code(), Some(0), "{declined:?}");
        }
    }
    assert_eq!(asks("ana", own()).await, Some(Declined));
    let other = v1::ReleaseRequest {
        asker: "ana".to_owned(),
        project: own(),
        measures: fine().measures[..1].to_vec(),
        supports: vec![0],
        inputs: Vec::new(),
        relation_sql: fine().relation_sql.replace("stay.total_cost AS m0, ", ""),
        ..fine()
    };
    assert!(node.clone().release(other).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_waits_for_the_owner_and_for_every_steward_and_disturbs_nobody() {
    let desk = Desk::under(Policy::default()).await;
    let words = ["create", "costs", "--purpose", "Costs", "--until", "9999-12-31"];
    desk.project(&[&words[..], &["--scope", "per-hospital"]].concat()).await;
    for hospital in ALL {
        desk.decide(hospital, "approve", &[]).await;
    }
    assert_eq!(desk.answers("ana", "costs", BY_HOSPITAL).await, Ok(6));
    let mut bob = desk.region.user("bob").unwrap();
    let name = || v1::ProjectRequest { name: "costs".to_owned() };
    assert_eq!(bob.join_project(name()).await.unwrap().into_inner().asking, ["bob"]);
    let own =
        v1::AdmitRequest { name: "costs".to_owned(), member: "bob".to_owned(), decline: false };
    let refused = bob.admit_member(own).await.unwrap_err();
    assert_eq!(service::status::refusal_of(&refused).unwrap().code, RefusalCode::Project);
    assert_eq!(desk.answers("bob", "costs", BY_HOSPITAL).await, Err(RefusalCode::Project));
    assert!(desk.inbox("h-1", &[]).await.is_empty(), "the owner decides first");

    let admitted = desk.project(&["admit", "costs", "bob"]).await;
    assert_eq!(
        (states(&admitted, 0), states(&admitted, 1)),
        (vec!["accepted"; 6], vec!["waiting"; 6])
    );
    assert_eq!(desk.answers("bob", "costs", BY_HOSPITAL).await, Err(RefusalCode::Waiting));
    assert_eq!(desk.answers("ana", "costs", BY_HOSPITAL).await, Ok(6));
    for hospital in &ALL[..2] {
        desk.decide(hospital, "approve", &[]).await;
    }
    assert_eq!(desk.answers("bob", "costs", BY_HOSPITAL).await, Ok(2));
    let list = desk.project(&["list"]).await;
    assert_eq!(list["projects"][0]["members"], serde_json::json!(["ana", "bob"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_has_a_noise_budget_of_its_own() {
    let policy = Policy { noise: Some(Noise::default()), ..Policy::default() };
    let desk = Desk::under(policy).await;
    let words = ["create", "press", "--purpose", "Counts", "--until", "9999-12-31"];
    desk.project(&[&words[..], &["--noise=0.01", "--scope", "per-hospital"]].concat()).await;
    for hospital in ALL {
        desk.decide(hospital, "approve", &[]).await;
    }
    let month = |month: &str| {
        format!(
            "SELECT hospital_id, count(*) AS n FROM stay WHERE discharged_at >= '{month}-01' \
             GROUP BY 1"
        )
    };
    let exact = desk.asks("press", &[&month("2024-01")]).await;
    assert_eq!(exact.status.code(), Some(77), "its answers have noise");
    let mut codes = Vec::new();
    for text in MONTHS {
        codes.push(desk.asks("press", &["--noise=0.005", &month(text)]).await);
    }
    let ends: Vec<_> = codes.iter().map(|output| output.status.code()).collect();
    assert_eq!(ends, [Some(0), Some(0), Some(77)], "{}", text(&codes[2].stderr));
    assert!(text(&codes[2].stderr).contains("The project's noise budget"), "{:?}", codes[2]);
    // The budget is the project's: outside of it its members have more.
    let words = ["query", "--noise=0.005", &month(MONTHS[2]), "--region", &desk.user];
    assert_eq!(consilium(&words).await.status.code(), Some(0));
    let shown = desk.project(&["show", "press"]).await;
    assert_eq!(shown["versions"][0]["hospitals"][0]["rho_year_micro"], 10_000, "{shown}");
}

/// Regional sums with noise, for members who need nobody's leave but the project's: which codes there are is found
/// exactly, as stewards have read, and everything else has noise.
#[tokio::test(flavor = "multi_thread")]
async fn a_project_asks_for_regional_sums_with_noise() {
    let policy = Policy { noise: Some(Noise::default()), ..Policy::default() };
    let desk = Desk::under(policy).await;
    let words = ["create", "press", "--purpose", "Counts", "--until", "9999-12-31"];
    desk.project(&[&words[..], &["--noise=0.015"]].concat()).await;
    let inbox = desk.inbox("h-1", &[]).await;
    let terms = inbox[0]["relation"].as_str().unwrap();
    assert!(terms.contains("regional sums, with noise that costs at most 0.015000"), "{terms}");
    assert!(terms.contains("which codes enough patients have is told exactly"), "{terms}");
    for hospital in &ALL[..4] {
        desk.decide(hospital, "approve", &[]).await;
    }
    let hospitals = async |words: &[&str]| {
        let answered = desk.asks("press", words).await;
        let answer: Value = serde_json::from_slice(&answered.stdout).unwrap();
        answer["release"]["hospitals"]["answered"].clone()
    };
    // Who accepts it later is in the same question then.
    let all = ["--noise=0.005", "SELECT count(*) AS n FROM stay"];
    assert_eq!(hospitals(&all).await, 4);
    for hospital in &ALL[4..] {
        desk.decide(hospital, "approve", &[]).await;
    }
    assert_eq!(hospitals(&all).await, 6);
    let exact = desk.asks("press", &[BY_SEX]).await;
    assert_eq!(exact.status.code(), Some(77), "its answers have noise");
    let drg = "SELECT drg_code, count(*) AS n FROM stay GROUP BY 1";
    let answered = desk.asks("press", &["--noise=0.005", drg]).await;
    assert_eq!(answered.status.code(), Some(0), "{}", text(&answered.stderr));
    let answer: Value = serde_json::from_slice(&answered.stdout).unwrap();
    assert_eq!(answer["release"]["mode"], "noisy", "{answer}");
    assert_eq!(answer["release"]["scope"], "pooled");
    let shown = desk.project(&["show", "press"]).await;
    let hospital = &shown["versions"][0]["hospitals"][0];
    assert_eq!((&hospital["rho_year_micro"], &hospital["questions"]), (&15_000.into(), &4.into()));
}
