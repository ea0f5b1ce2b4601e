//! What the hospital's steward has decided, one question at a time.
//!
//! Decisions stand in a file of the data folder, a line of JSON each; the last one about a question holds.
//! `consilium-node approve` and `decline` add lines, the node only reads. A file that cannot be read decides
//! nothing: every question waits.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use privacy::sign::unhex32;
use record::Verdict;
use serde::{Deserialize, Serialize};
use time::Date;
use time::macros::format_description;

/// The file's name in the data folder.
pub(crate) const DECISIONS: &str = "decisions.jsonl";

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Written {
    /// When, RFC 3339 in UTC.
    pub(crate) at: String,
    /// The question's hash, in hex.
    pub(crate) question: String,
    /// What was decided.
    pub(crate) decision: Verdict,
    /// The last UTC day of an approval, `2026-12-31`; for good when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
    /// Who decided, as the steward's computer calls them.
    pub(crate) by: String,
    /// The steward's own note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

/// The whole file.
#[derive(Debug, Clone, Default)]
pub struct Decisions(Vec<(String, [u8; 32], Written)>);

/// A decision that holds today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// How the steward decided.
    pub verdict: Verdict,
    /// The line in which it stands.
    pub line: String,
}

/// Where the file is. It is small and read for each question that has to be decided on: what a steward
/// has just written, or mended, holds at once.
#[derive(Debug)]
pub(crate) struct Steward {
    data_dir: PathBuf,
}

impl Decisions {
    /// Reads the file in `data_dir`; none is no decision.
    ///
    /// # Errors
    /// What is wrong, naming file and line.
    pub(crate) fn read(data_dir: &Path) -> Result<Self, String> {
        let path = data_dir.join(DECISIONS);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).map_err(|why| format!("{}, {why}", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// What is wrong, naming the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut decisions = Vec::new();
        for (number, text) in (1..).zip(text.lines()) {
            let wrong = |why: String| format!("line {number}: {why}; mend or remove it");
            let line: Written =
                serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
            let question = unhex32(&line.question)
                .ok_or_else(|| wrong("question is no hash of 64 hex digits".to_owned()))?;
            if line.until.as_deref().is_some_and(|until| !is_day(until)) {
                return Err(wrong("until is no day such as 2026-12-31".to_owned()));
            }
            decisions.push((text.to_owned(), question, line));
        }
        Ok(Self(decisions))
    }

    /// The questions that were ever decided on.
    pub fn questions(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.0.iter().map(|(_, question, _)| question)
    }

    /// The last decision about `question`, unless it has run out before `today`.
    #[must_use]
    pub fn about(&self, question: &[u8; 32], today: &str) -> Option<Decided> {
        let (text, _, line) = self.0.iter().rev().find(|(_, about, _)| about == question)?;
        let has_ended = line.until.as_deref().is_some_and(|until| until < today);
        (!has_ended).then(|| Decided { verdict: line.decision, line: text.clone() })
    }
}

/// Whether this is a day of the calendar, such as `2026-12-31`.
pub(crate) fn is_day(text: &str) -> bool {
    let form = format_description!("[year]-[month]-[day]");
    // The form alone takes a sign before the year.
    text.len() == "2026-12-31".len() && Date::parse(text, form).is_ok()
}

/// Adds decisions to the file in `data_dir`, all or none; they are on disk when this returns.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn add(data_dir: &Path, lines: &[Written]) -> io::Result<()> {
    let path = data_dir.join(DECISIONS);
    let is_whole = fs::read(&path).map_or(true, |text| text.last().is_none_or(|b| *b == b'\n'));
    // Somebody may have mended the file and left its last line without an end.
    let mut text = if is_whole { String::new() } else { "\n".to_owned() };
    for line in lines {
        text.push_str(&serde_json::to_string(line).map_err(io::Error::other)?);
        text.push('\n');
    }
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    // One write, so that lines of two stewards do not mix.
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    File::open(data_dir)?.sync_all()
}

impl Steward {
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned() }
    }

    /// The decision about `question` that holds on the UTC day `today`.
    pub(crate) fn about(&self, question: &[u8; 32], today: &str) -> Option<Decided> {
        let decisions = Decisions::read(&self.data_dir).unwrap_or_else(|error| {
            tracing::error!(error, "the steward's decisions cannot be used; every question waits");
            Decisions::default()
        });
        decisions.about(question, today)
    }
}

#[cfg(test)]
mod tests {
    use privacy::sign::hex;

    use super::*;

    const TODAY: &str = "2026-11-23";

    fn line(question: u8, decision: Verdict, until: Option<&str>) -> Written {
        Written {
            at: "2026-11-23T08:30:00Z".to_owned(),
            question: hex(&[question; 32]),
            decision,
            until: until.map(str::to_owned),
            by: "mei".to_owned(),
            why: None,
        }
    }

    fn verdict(folder: &Path, question: u8) -> Option<Verdict> {
        let decisions = Decisions::read(folder).unwrap();
        decisions.about(&[question; 32], TODAY).map(|found| found.verdict)
    }

    #[test]
    fn the_last_decision_holds_until_its_day() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(verdict(folder.path(), 1), None);
        for (question, choice, until) in [
            (1, Verdict::Declined, None),
            (1, Verdict::Approved, Some(TODAY)),
            (2, Verdict::Approved, Some("2026-11-22")),
            (3, Verdict::Declined, None),
        ] {
            add(folder.path(), &[line(question, choice, until)]).unwrap();
        }
        assert_eq!(verdict(folder.path(), 1), Some(Verdict::Approved), "the last day counts");
        assert_eq!(verdict(folder.path(), 2), None, "it ended yesterday");
        assert_eq!(verdict(folder.path(), 3), Some(Verdict::Declined));
        assert_eq!(verdict(folder.path(), 4), None);
    }

    #[test]
    fn a_damaged_line_is_named_and_approves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        add(folder.path(), &[line(1, Verdict::Approved, None)]).unwrap();
        let steward = Steward::new(folder.path());
        assert!(steward.about(&[1; 32], TODAY).is_some());
        let good = serde_json::to_string(&line(1, Verdict::Approved, None)).unwrap();
        for (bad, what) in [
            (&good[..40], "EOF"),
            (&good.replace("01", "0")[..], "64 hex digits"),
            (&good.replace("\"by\"", "\"until\":\"2026-02-30\",\"by\""), "2026-12-31"),
            (&good.replace("\"by\"", "\"maybe\":1,\"by\""), "maybe"),
        ] {
            fs::write(folder.path().join(DECISIONS), format!("{good}\n{bad}\n")).unwrap();
            let error = Decisions::read(folder.path()).unwrap_err();
            assert!(error.contains("line 2") && error.contains(what), "{error}");
            assert_eq!(steward.about(&[1; 32], TODAY), None, "{what}");
        }
    }

    #[test]
    fn a_last_line_without_an_end_does_not_spoil_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let first = serde_json::to_string(&line(1, Verdict::Approved, None)).unwrap();
        fs::write(folder.path().join(DECISIONS), first).unwrap();
        let more = [line(2, Verdict::Approved, None), line(1, Verdict::Declined, None)];
        add(folder.path(), &more).unwrap();
        assert_eq!(verdict(folder.path(), 1), Some(Verdict::Declined));
        assert_eq!(verdict(folder.path(), 2), Some(Verdict::Approved));
        assert_eq!(Decisions::read(folder.path()).unwrap().questions().count(), 3);
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for good in ["2024-02-29", "2026-12-31", "2000-02-29"] {
            assert!(is_day(good), "{good}");
        }
        for bad in ["2026-02-29", "1900-02-29", "2026-13-01", "2026-00-01", "2026-1-01", "today"] {
            assert!(!is_day(bad), "{bad}");
        }
    }
}
