//! Hospitals whose stewards decide on each question: it waits, is approved or declined, and every
//! decision is in the hospital's log.

use std::process::{Command, Output};

use model::RefusalCode;
use privacy::Policy;
use privacy::policy::Allow;
use record::{Archive, FILE, Kind};
use serde_json::Value;
use tests::fixture::{self, Stay};
use tests::{HospitalSource, Region};

use crate::client::{consilium, user_folder};

const EXE: &str = env!("CARGO_BIN_EXE_consilium_process");
const POOLED: &str = "SELECT sex, count(*) AS n FROM stay GROUP BY 1";
const BY_HOSPITAL: &str = "SELECT hospital_id, count(*) AS n FROM stay GROUP BY 1";
/// Three more than answer at first: rounds over nearly the same hospitals are not both opened.
pub(crate) const ALL: [&str; 6] = ["h-1", "h-2", "h-3", "h-4", "h-5", "h-6"];

/// A region whose hospitals ask their stewards, and the program of a user of it.
pub(crate) struct Desk {
    _folder: tempfile::TempDir,
    pub(crate) region: Region,
    pub(crate) user: String,
}

impl Desk {
    async fn open() -> Self {
        Self::under(Policy::default()).await
    }

    pub(crate) async fn under(policy: Policy) -> Self {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(policy.questions.allow, Allow::Ask, "who is new asks");
        let stays = |id| fixture::write(folder.path(), id, (0..30).map(Stay::plain));
        let hospitals = ALL.map(|id| HospitalSource::small(id, stays(id)));
        let region = Region::builder().policy(policy).hospitals(hospitals).start().await.unwrap();
        let user = user_folder(&region, folder.path()).to_str().unwrap().to_owned();
        Self { _folder: folder, region, user }
    }

    async fn query(&self, sql: &str) -> Output {
        consilium(&["query", "--region", &self.user, sql, "--format", "json"]).await
    }

    /// A command of a hospital's steward, beside the serving node.
    pub(crate) async fn steward(&self, hospital: &str, command: &str, words: &[&str]) -> Output {
        let config = self.region.site(hospital).config_path();
        let mut all = vec!["node".to_owned(), command.to_owned(), "--config".to_owned()];
        all.push(config.to_str().unwrap().to_owned());
        all.extend(words.iter().map(|word| (*word).to_owned()));
        let run = move || Command::new(EXE).args(all).output().unwrap();
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    pub(crate) async fn inbox(&self, hospital: &str, words: &[&str]) -> Vec<Value> {
        let output =
            self.steward(hospital, "inbox", &[&["--format", "json"], words].concat()).await;
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        found["questions"].as_array().unwrap().clone()
    }

    /// Decides on everything that waits.
    pub(crate) async fn decide(&self, hospital: &str, command: &str, words: &[&str]) {
        for question in self.inbox(hospital, &[]).await {
            let name = question["question"].as_str().unwrap().to_owned();
            let output = self.steward(hospital, command, &[&[name.as_str()], words].concat()).await;
            assert_eq!(output.status.code(), Some(0), "{output:?}");
        }
    }

    fn decisions(&self, hospital: &str) -> Vec<String> {
        let file = self.region.site(hospital).folder().join("data").join(FILE);
        let entries = Archive::open(&file).unwrap().entries(1_000).unwrap();
        let decisions = entries.into_iter().filter(|(_, entry)| entry.kind == Kind::Decision);
        decisions.map(|(_, entry)| entry.outcome).collect()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_waits_for_each_steward_and_is_answered_by_those_who_approve() {
    let desk = Desk::open().await;
    assert!(desk.inbox("h-1", &[]).await.is_empty());
    let waits = desk.query(POOLED).await;
    assert_eq!((waits.status.code(), waits.stdout.len()), (Some(75), 0), "{waits:?}");
    assert!(text(&waits.stderr).starts_with("Waiting [waiting]"), "{}", text(&waits.stderr));

    // Which codes the column has is asked first, in the coordinator's own name and once for everybody.
    let codes = desk.inbox("h-1", &[]).await;
    assert_eq!((codes.len(), &codes[0]["asker"]), (1, &"code-lists".into()));
    assert!(text(&waits.stderr).contains("search for codes"), "{}", text(&waits.stderr));
    for hospital in ALL {
        desk.decide(hospital, "approve", &[]).await;
    }
    let waits = desk.query(POOLED).await;
    assert_eq!((waits.status.code(), waits.stdout.len()), (Some(75), 0), "{waits:?}");

    let inbox = desk.inbox("h-1", &[]).await;
    assert_eq!(inbox.len(), 1);
    assert_eq!((&inbox[0]["asker"], &inbox[0]["scope"]), (&"ana".into(), &"pooled".into()));
    assert!(inbox[0]["relation"].as_str().unwrap().contains("sex"), "{inbox:?}");
    let name = &inbox[0]["question"].as_str().unwrap()[..32];
    assert!(text(&waits.stderr).contains(name), "the asker and the steward use one name");
    assert!(text(&desk.steward("h-1", "inbox", &[]).await.stdout).contains(name));
    assert_eq!(desk.decisions("h-1"), ["approved"], "of the codes");

    // Two approvals are too few for a regional sum; three are enough, and the others are missing.
    desk.decide("h-1", "approve", &[]).await;
    desk.decide("h-2", "approve", &["--until", "9999-12-31"]).await;
    assert_eq!(desk.query(POOLED).await.status.code(), Some(75));
    desk.decide("h-3", "approve", &["--why", "for the benchmark"]).await;
    let answered = desk.query(POOLED).await;
    assert_eq!(answered.status.code(), Some(0), "{}", text(&answered.stderr));
    let answer: Value = serde_json::from_slice(&answered.stdout).unwrap();
    assert_eq!(answer["release"]["hospitals"]["missing"][0]["hospital"], "h-4", "{answer}");
    assert_eq!(
        answer["release"]["hospitals"]["missing"][0]["reason"], "refused: waiting",
        "{answer}"
    );
    assert_eq!(desk.decisions("h-1"), ["approved"; 2], "once, however often it is asked");

    // Asked by somebody else, or with another condition, it is another question.
    let mut other = desk.region.user("bob").unwrap();
    let question =
        proto::v1::Question { sql: POOLED.to_owned(), deadline_ms: 0, ..Default::default() };
    let mut events = other.ask(question).await.unwrap().into_inner();
    let status = loop {
        match events.message().await {
            Ok(event) => assert!(event.is_some(), "an answer"),
            Err(status) => break status,
        }
    };
    assert_eq!(service::status::refusal_of(&status).unwrap().code, RefusalCode::Waiting);
    let filtered = "SELECT sex, count(*) AS n FROM stay WHERE los_days > 3 GROUP BY 1";
    assert_eq!(desk.query(filtered).await.status.code(), Some(75));
    assert_eq!(desk.inbox("h-1", &[]).await.len(), 2);
    assert_eq!(desk.inbox("h-1", &["--all"]).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_steward_can_change_their_mind_and_a_damaged_file_approves_nothing() {
    let desk = Desk::open().await;
    assert_eq!(desk.query(BY_HOSPITAL).await.status.code(), Some(75));
    let name = desk.inbox("h-1", &[]).await[0]["question"].as_str().unwrap().to_owned();
    for (words, code) in [
        (&["h-1"][..], 64),
        (&["zzzzzzzzzz"], 64),
        (&[&name[..31]], 64),
        (&[&name[..32], "--until", "2026-02-30"], 64),
        (&[&name[..32], "--until", "1999-12-31"], 64),
        (&[], 2),
    ] {
        let output = desk.steward("h-1", "approve", words).await;
        assert_eq!(output.status.code(), Some(code), "{words:?} {}", text(&output.stderr));
    }
    for hospital in ALL {
        desk.decide(hospital, "decline", &[]).await;
    }
    let declined = desk.query(BY_HOSPITAL).await;
    assert_eq!(declined.status.code(), Some(77), "{}", text(&declined.stderr));
    assert!(text(&declined.stderr).contains("declined"), "{}", text(&declined.stderr));

    let approved = desk.steward("h-1", "approve", &[&name[..32].to_uppercase()]).await;
    assert_eq!(approved.status.code(), Some(0), "{}", text(&approved.stderr));
    let answered = desk.query(BY_HOSPITAL).await;
    let answer: Value = serde_json::from_slice(&answered.stdout).unwrap();
    assert_eq!(answer["rows"].as_array().unwrap().len(), 1, "{answer}");
    assert_eq!(desk.decisions("h-1"), ["declined", "approved"]);
    // It outlives the node.
    desk.region.site("h-1").stop().await;
    desk.region.site("h-1").start().await.unwrap();
    assert_eq!(desk.query(BY_HOSPITAL).await.status.code(), Some(0));

    let file = desk.region.site("h-1").folder().join("data/decisions.jsonl");
    let mut decisions = std::fs::read_to_string(&file).unwrap();
    decisions.push_str("{\"at\":\n");
    std::fs::write(&file, decisions).unwrap();
    assert_eq!(desk.query(BY_HOSPITAL).await.status.code(), Some(75), "it waits again");
    let output = desk.steward("h-1", "inbox", &[]).await;
    assert_eq!(output.status.code(), Some(65));
    assert!(text(&output.stderr).contains("line 3"), "{}", text(&output.stderr));
}
