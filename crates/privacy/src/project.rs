//! A project: people, a purpose and a budget that a hospital's steward accepts once, in the place of deciding on
//! each of their questions.
//!
//! Each question names its project and carries the whole definition; its hash is what the steward has accepted,
//! so nothing in it can change behind the steward's back. All other rules apply to its questions as to
//! any. How much of the budget is used, the node's ledger knows, by the project's name: a later version of a
//! project does not begin with a new one.

use std::collections::BTreeSet;

use model::peer::is_segment;
use model::text::is_hidden;
use model::{Refusal, RefusalCode};

use crate::admit::name_of;
use crate::canonical::Writer;
use crate::request::{ReleaseRequest, Scope};

/// Longest name, in bytes.
const MAX_NAME: usize = 64;
/// Longest purpose, in characters.
const MAX_PURPOSE: usize = 500;
/// Most members.
const MAX_MEMBERS: usize = 64;
/// Largest budget of questions.
const MAX_QUESTIONS: u64 = 1_000_000;
/// Largest budget of noise: a thousand units of ρ, which protect nobody.
const MAX_RHO_MICRO: u64 = 1_000_000_000;

/// In whose name a coordinator searches for codes; each search comes before somebody's question.
pub const CODE_LISTS: &str = "code-lists";

/// How a project's questions are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Exactly.
    Exact,
    /// With noise.
    Noise {
        /// What its questions may cost a hospital in a calendar year, in millionths of ρ.
        rho_year_micro: u64,
    },
}

/// What a steward accepts, as its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectParts {
    /// What the region calls it.
    pub name: String,
    /// What it is for, in words.
    pub purpose: String,
    /// Who has made it.
    pub owner: String,
    /// Who may ask.
    pub members: BTreeSet<String>,
    /// Whether regional sums may be asked for.
    pub pooled: bool,
    /// Whether hospitals' own cells may be asked for.
    pub per_hospital: bool,
    /// Exactly or with noise.
    pub mode: Mode,
    /// Most questions that a hospital answers, over the project's life.
    pub questions: u64,
    /// Its last UTC day: year, month and day as one number, 20261231.
    pub until: u32,
}

/// A day as people write it: 2026-12-31.
#[must_use]
pub fn day_text(day: u32) -> String {
    format!("{:04}-{:02}-{:02}", day / 10_000, day / 100 % 100, day % 100)
}

/// A well-formed project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project(ProjectParts);

fn wrong(subject: &str, reason: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::Project, subject, reason, "")
}

/// Whether a project can be called so; the coordinator names a file by it.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(fits)
}

/// Whether people can read all of it in one line: nothing that moves a cursor or turns the direction of
/// writing, and no gap that would begin a line of its own.
fn is_plain(text: &str) -> bool {
    let is_gap = |c: char| c.is_whitespace() && c != ' ';
    !text.trim().is_empty()
        && !text.contains("  ")
        && !text.chars().any(|c| is_hidden(c) || is_gap(c))
}

/// Whether a number is a day of the calendar.
const fn is_day(day: u32) -> bool {
    let (year, month, day) = (day / 10_000, day / 100 % 100, day % 100);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    year <= 9_999 && 1 <= day && day <= last
}

impl TryFrom<ProjectParts> for Project {
    type Error = Refusal;

    fn try_from(parts: ProjectParts) -> Result<Self, Refusal> {
        if !is_name(&parts.name) {
            return Err(wrong(
                "name",
                format!("A project is called by 1 to {MAX_NAME} small letters, digits, - and _."),
            ));
        }
        if parts.purpose.chars().count() > MAX_PURPOSE || !is_plain(&parts.purpose) {
            let reason = format!("A project says its purpose in 1 to {MAX_PURPOSE} characters.");
            return Err(wrong("purpose", reason));
        }
        let are_named =
            is_segment(&parts.owner) && parts.members.iter().all(|name| is_segment(name));
        if !(1..=MAX_MEMBERS).contains(&parts.members.len()) || !are_named {
            let reason = format!(
                "A project has 1 to {MAX_MEMBERS} members, by the names in their certificates."
            );
            return Err(wrong("members", reason));
        }
        if !parts.pooled && !parts.per_hospital {
            return Err(wrong("scopes", "A project asks for pooled or per-hospital cells."));
        }
        if !(1..=MAX_QUESTIONS).contains(&parts.questions) {
            let reason = format!("A project has a budget of 1 to {MAX_QUESTIONS} questions.");
            return Err(wrong("questions", reason));
        }
        let rho = match parts.mode {
            Mode::Exact => 1,
            Mode::Noise { rho_year_micro } => rho_year_micro,
        };
        if !(1..=MAX_RHO_MICRO).contains(&rho) {
            return Err(wrong("noise", "A project's noise costs more than 0 and at most 1000."));
        }
        if !is_day(parts.until) {
            return Err(wrong("until", "A project ends on a day such as 2026-12-31."));
        }
        Ok(Self(parts))
    }
}

impl Project {
    /// Its parts.
    #[must_use]
    pub const fn parts(&self) -> &ProjectParts {
        &self.0
    }

    /// What the region calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// SHA-256 of all of it: what a steward accepts.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let ProjectParts { name, purpose, owner, members, pooled, per_hospital, mode, .. } =
            &self.0;
        let ProjectParts { questions, until, .. } = &self.0;
        let mut writer = Writer::new("consilium/project/v1");
        writer.text(name);
        writer.text(purpose);
        writer.text(owner);
        writer.number(members.len() as u64);
        members.iter().for_each(|member| writer.text(member));
        writer.number(u64::from(*pooled));
        writer.number(u64::from(*per_hospital));
        match mode {
            Mode::Exact => writer.text("exact"),
            Mode::Noise { rho_year_micro } => {
                writer.text("noise");
                writer.number(*rho_year_micro);
            }
        }
        writer.number(*questions);
        writer.number(u64::from(*until));
        writer.hash()
    }

    /// What a steward reads: labels and texts.
    #[must_use]
    pub fn terms(&self) -> [(&'static str, String); 6] {
        let ProjectParts { purpose, owner, members, pooled, per_hospital, mode, .. } = &self.0;
        let ProjectParts { questions, until, .. } = &self.0;
        let scopes = match (pooled, per_hospital) {
            (true, true) => "regional sums and hospitals' own cells",
            (true, false) => "regional sums",
            _ => "hospitals' own cells",
        };
        let answers = match mode {
            Mode::Exact => format!(
                "{scopes}, exact: any question about any patients, models, trees and searches for codes"
            ),
            Mode::Noise { rho_year_micro } => {
                let (units, micro) = (rho_year_micro / 1_000_000, rho_year_micro % 1_000_000);
                let listed =
                    if *pooled { "; which codes enough patients have is told exactly" } else { "" };
                format!(
                    "{scopes}, with noise that costs at most {units}.{micro:06} of rho a year{listed}"
                )
            }
        };
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        [
            ("owner", owner.clone()),
            ("members", members.join(", ")),
            ("answers", answers),
            ("questions", format!("at most {questions}")),
            ("until", day_text(*until)),
            ("purpose", purpose.clone()),
        ]
    }

    /// Whether `request` is one of its questions on the UTC day `today`, a number such as 20261231.
    ///
    /// A search for codes has the coordinator as its asker, comes before any member's question and tells the
    /// codes of those that the minimum lets pass; it is within a project that asks for regional sums.
    ///
    /// # Errors
    /// A [`Refusal`] with code `project` that says what is not.
    pub fn covers(&self, request: &ReleaseRequest, today: u32) -> Result<(), Refusal> {
        let ProjectParts { name, members, pooled, per_hospital, mode, until, .. } = &self.0;
        let refuse = |reason: String, instead: &str| {
            Err(Refusal::new(RefusalCode::Project, name.as_str(), reason, instead))
        };
        if today > *until {
            let ended = "Make a new one: consilium project create.";
            return refuse("The project is over.".to_owned(), ended);
        }
        let is_search = request.is_listing() && request.asker() == CODE_LISTS;
        if !is_search && !members.contains(request.asker()) {
            let join = "Ask to be one: consilium project join.";
            return refuse("The asker is no member of the project.".to_owned(), join);
        }
        let is_within = match request.scope() {
            Scope::Pooled => *pooled,
            Scope::PerHospital => *per_hospital,
        };
        if !is_within {
            let reason = format!("The project asks for no {} cells.", request.scope().as_str());
            return refuse(reason, "A project says which when it is created.");
        }
        match (mode, request.rho_micro()) {
            (Mode::Exact, Some(_)) => {
                refuse("The project's answers are exact.".to_owned(), "Ask without --noise.")
            }
            (Mode::Noise { .. }, None) if !is_search => {
                refuse("The project's answers have noise.".to_owned(), "Ask with --noise.")
            }
            _ => Ok(()),
        }
    }

    /// What an asker is told while the steward has not decided.
    #[must_use]
    pub fn waits(&self) -> Refusal {
        Refusal::new(
            RefusalCode::Waiting,
            name_of(&self.hash()),
            "The hospital's steward decides on the project; it waits in the inbox.",
            "Ask again when it is accepted: consilium-node approve, with this name.",
        )
    }

    /// What an asker is told when the steward said no.
    #[must_use]
    pub fn declined(&self) -> Refusal {
        Refusal::new(
            RefusalCode::Declined,
            self.name(),
            "The hospital's steward has declined the project.",
            "Ask the steward why.",
        )
    }

    /// What an asker is told when a budget is used up: of questions, or with a `year`, of that year's noise.
    #[must_use]
    pub fn used_up(&self, year: Option<&str>) -> Refusal {
        let (reason, instead) = match year {
            None => (
                format!("The project's {} questions are used up.", self.0.questions),
                "Make a new one: consilium project create.".to_owned(),
            ),
            Some(year) => (
                format!("The project's noise budget of {year} does not last for this question."),
                year.parse::<u32>().map_or_else(
                    |_| String::new(),
                    |year| format!("It renews on {}-01-01 UTC.", year + 1),
                ),
            ),
        };
        Refusal::new(RefusalCode::Budget, self.name(), reason, instead)
    }
}

#[cfg(test)]
mod tests;
