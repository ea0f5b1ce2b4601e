//! `consilium-node inbox`, `approve` and `decline`: the steward's side of questions that wait.
//!
//! They read the record and write the file of decisions, so they may run beside a serving node, which takes
//! a decision into account with the next question.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use model::text::printable;
use privacy::admit::name_of;
use privacy::sign::hex;
use record::inbox::WaitingRow;
use record::{Archive, FILE, Matter, RecordError, Verdict};
use serde_json::json;
use service::clock::{day, rfc3339};

use crate::releases::Format;
use crate::steward::{Decisions, Written, add, is_day};

/// `consilium-node inbox`.
#[derive(Debug, Args)]
pub(crate) struct InboxArguments {
    /// The node's configuration file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Show questions that are decided as well.
    #[arg(long)]
    pub(crate) all: bool,
    /// For people, or one JSON document.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// `consilium-node approve` and `decline`.
#[derive(Debug, Args)]
pub(crate) struct DecideArguments {
    /// The node's configuration file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Names of questions, as `consilium-node inbox` prints them.
    #[arg(required = true, value_name = "QUESTION")]
    pub(crate) questions: Vec<String>,
    /// The last day of an approval, such as 2026-12-31 (UTC); for good when absent.
    #[arg(long, value_name = "DAY")]
    pub(crate) until: Option<String>,
    /// Who decides.
    #[arg(long, value_name = "NAME", env = "USER", default_value = "unknown")]
    pub(crate) by: String,
    /// A note of your own.
    #[arg(long, value_name = "TEXT")]
    pub(crate) why: Option<String>,
}

/// Why a steward's command ends without its result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InboxError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("{0}")]
    Decisions(String),
    #[error("no question is called {0}; consilium-node inbox --all lists their whole names")]
    Unknown(String),
    #[error("--until {0} is no day such as 2026-12-31")]
    Day(String),
    #[error("--until {0} is over already")]
    Past(String),
    #[error("writing the decision: {0}")]
    Write(#[from] std::io::Error),
}

fn waiting(data_dir: &Path) -> Result<Vec<WaitingRow>, RecordError> {
    let file = data_dir.join(FILE);
    if file.exists() { Archive::open(&file)?.waiting() } else { Ok(Vec::new()) }
}

/// The lines to print.
///
/// # Errors
/// [`InboxError`].
pub(crate) fn list(
    data_dir: &Path,
    arguments: &InboxArguments,
    now: SystemTime,
) -> Result<Vec<String>, InboxError> {
    let decisions = Decisions::read(data_dir).map_err(InboxError::Decisions)?;
    let today = day(now);
    let state = |row: &WaitingRow| {
        decisions.about(&row.question, &today).map_or("waiting", |found| found.verdict.as_str())
    };
    let mut rows = waiting(data_dir)?;
    rows.retain(|row| arguments.all || state(row) == "waiting");
    Ok(match arguments.format {
        Format::Json => vec![as_json(&rows, state)],
        Format::Table if rows.is_empty() => vec!["nothing waits".to_owned()],
        Format::Table => rows.iter().flat_map(|row| for_people(row, state(row))).collect(),
    })
}

fn as_json(rows: &[WaitingRow], state: impl Fn(&WaitingRow) -> &'static str) -> String {
    let question = |row: &WaitingRow| {
        json!({
            "kind": row.matter.as_str(),
            "question": hex(&row.question),
            "state": state(row),
            "asker": row.asker,
            "scope": row.scope.as_str(),
            "relation": row.relation,
            "measures": row.measures,
            "first": row.first,
            "last": row.last,
            "times": row.times,
        })
    };
    format!("{:#}", json!({ "questions": rows.iter().map(question).collect::<Vec<_>>() }))
}

/// What came over the network is made printable: a terminal obeys escapes.
fn for_people(row: &WaitingRow, state: &str) -> Vec<String> {
    let name = name_of(&row.question);
    let times = if row.times == 1 { String::new() } else { format!(", {} times", row.times) };
    let mut lines = vec![format!("{name}  {state}"), format!("    last asked {}{times}", row.last)];
    lines.extend(content(row));
    lines
}

/// Who asks for what.
fn content(row: &WaitingRow) -> Vec<String> {
    if row.matter == Matter::Project {
        let mut lines = vec![format!("    project:  {}", printable(&row.measures))];
        lines.extend(row.relation.lines().map(|line| format!("    {}", printable(line))));
        return lines;
    }
    vec![
        format!("    who:      {}, {}", printable(&row.asker), row.scope.as_str()),
        format!("    rows of:  {}", printable(&row.relation)),
        format!("    first asked for: {}", printable(&row.measures)),
    ]
}

/// Decides on each question, and says so.
///
/// # Errors
/// [`InboxError`]; nothing is decided then.
pub(crate) fn decide(
    data_dir: &Path,
    arguments: &DecideArguments,
    verdict: Verdict,
    now: SystemTime,
) -> Result<Vec<String>, InboxError> {
    if let Some(until) = &arguments.until {
        if !is_day(until) {
            return Err(InboxError::Day(until.clone()));
        }
        if *until < day(now) {
            return Err(InboxError::Past(until.clone()));
        }
    }
    // A file that is damaged would make this decision void.
    let decisions = Decisions::read(data_dir).map_err(InboxError::Decisions)?;
    let rows = waiting(data_dir)?;
    let (mut lines, mut said) = (Vec::new(), Vec::new());
    for name in &arguments.questions {
        let (question, row) = find(&rows, &decisions, name)?;
        let until = arguments.until.as_ref().map(|until| format!(" until {until}"));
        said.push(format!(
            "{} {}{}",
            verdict.as_str(),
            name_of(&question),
            until.unwrap_or_default()
        ));
        said.extend(row.iter().flat_map(|row| content(row)));
        lines.push(Written {
            at: rfc3339(now),
            question: hex(&question),
            decision: verdict,
            until: arguments.until.clone(),
            by: arguments.by.clone(),
            why: arguments.why.clone(),
        });
    }
    add(data_dir, &lines)?;
    Decisions::read(data_dir).map_err(InboxError::Decisions)?;
    Ok(said)
}

/// The question of this name: one that waits, or one that was decided on and is kept no more.
fn find<'a>(
    rows: &'a [WaitingRow],
    decisions: &Decisions,
    name: &str,
) -> Result<([u8; 32], Option<&'a WaitingRow>), InboxError> {
    let wanted = name.to_ascii_lowercase();
    let is_called = |question: &[u8; 32]| name_of(question) == wanted || hex(question) == wanted;
    let row = rows.iter().find(|row| is_called(&row.question));
    let decided = || decisions.questions().find(|question| is_called(question)).copied();
    let question = row.map(|row| row.question).or_else(decided);
    question.map(|question| (question, row)).ok_or_else(|| InboxError::Unknown(printable(name)))
}
