//! Rows that were not accepted, and why: position and rule, never the value.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use model::manifest::Quality;

use super::error::IngestError;
use super::snapshot;

/// Entries that are kept one by one; further ones are only counted.
const MAX_ENTRIES: usize = 1_000_000;

/// Which rule a row broke. The names are stable: operators filter by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Another number of fields than the header.
    FieldCount,
    /// Bytes that are not text in the file's encoding.
    NotText,
    /// A required value is absent.
    Missing,
    /// Not a number (for a whole number: has a fraction).
    NotANumber,
    /// More digits than the column stores.
    TooManyDigits,
    /// Outside the column's bounds.
    OutOfBounds,
    /// Not a date or time that exists.
    NotATime,
    /// Not a truth value.
    NotABoolean,
    /// Text of more than 200 characters.
    TextTooLong,
    /// A stay id that an earlier row already has.
    DuplicateStay,
    /// Belongs to a stay that was not accepted.
    Orphan,
    /// Discharged before admitted.
    DischargeBeforeAdmission,
    /// Length of stay does not follow from the dates.
    LosDisagrees,
}

impl Rule {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FieldCount => "field_count",
            Self::NotText => "not_text",
            Self::Missing => "missing",
            Self::NotANumber => "not_a_number",
            Self::TooManyDigits => "too_many_digits",
            Self::OutOfBounds => "out_of_bounds",
            Self::NotATime => "not_a_time",
            Self::NotABoolean => "not_a_boolean",
            Self::TextTooLong => "text_too_long",
            Self::DuplicateStay => "duplicate_stay",
            Self::Orphan => "orphan",
            Self::DischargeBeforeAdmission => "discharge_before_admission",
            Self::LosDisagrees => "los_disagrees",
        }
    }
}

/// What kind of value broke the rule; says nothing about the value itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ValueClass {
    /// No value.
    Empty,
    /// Text of so many characters.
    Text(u32),
    /// A number below zero where none is allowed.
    NegativeNumber,
    /// A number above the upper bound.
    AboveBound,
    /// A number below the lower bound.
    BelowBound,
    /// A number that has digits after the point, or too many.
    Fraction,
    /// A number with too many digits before the point.
    LongNumber,
    /// A row of so many fields.
    Fields(u32),
    /// Bytes that are not text.
    Bytes,
    /// A well-formed value that contradicts another.
    Contradiction,
    /// A key seen before, or not seen.
    Key,
}

impl fmt::Display for ValueClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            Self::Text(n) => write!(f, "text, {n} characters"),
            Self::NegativeNumber => f.write_str("negative number"),
            Self::AboveBound => f.write_str("number above bound"),
            Self::BelowBound => f.write_str("number below bound"),
            Self::Fraction => f.write_str("number with a fraction"),
            Self::LongNumber => f.write_str("number with many digits"),
            Self::Fields(n) => write!(f, "{n} fields"),
            Self::Bytes => f.write_str("unreadable bytes"),
            Self::Contradiction => f.write_str("contradicts another column"),
            Self::Key => f.write_str("key"),
        }
    }
}

/// Why one cell failed.
pub(crate) type Fault = (Rule, ValueClass);

/// One row in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// Physical line in the source.
    pub(crate) line: u64,
    /// Governed table, or `source` for rows that were never mapped.
    pub(crate) table: &'static str,
    /// Governed column, or empty.
    pub(crate) column: &'static str,
    pub(crate) rule: Rule,
    pub(crate) class: ValueClass,
}

/// Everything rejected in one ingest.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    entries: Vec<Entry>,
    by_rule: BTreeMap<Rule, u64>,
}

impl Quarantine {
    pub(crate) fn add(&mut self, entry: Entry) {
        *self.by_rule.entry(entry.rule).or_default() += 1;
        if self.entries.len() < MAX_ENTRIES {
            self.entries.push(entry);
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.by_rule.values().sum()
    }

    /// The most frequent rule, for a message.
    pub(crate) fn most(&self) -> String {
        let most = self.by_rule.iter().max_by_key(|(_, count)| **count);
        most.map_or("none", |(rule, _)| rule.as_str()).to_owned()
    }

    pub(crate) fn quality(&self, read: u64, accepted: u64) -> Quality {
        let by_rule = self.by_rule.iter().map(|(r, n)| (r.as_str().to_owned(), *n)).collect();
        Quality { read, accepted, quarantined: self.total(), by_rule }
    }

    /// Writes `<folder>/<name>.csv` in order of lines; nothing when nothing was rejected.
    pub(crate) fn write(
        mut self,
        folder: &Path,
        name: &str,
    ) -> Result<Option<PathBuf>, IngestError> {
        if self.entries.is_empty() {
            return Ok(None);
        }
        self.entries.sort_unstable();
        fs::create_dir_all(folder).map_err(IngestError::io("create", folder))?;
        let path = folder.join(format!("{name}.csv"));
        let partial = folder.join(format!(".{name}.partial"));
        let io = |error: csv::Error| IngestError::Io {
            action: "write",
            path: partial.clone(),
            source: error.into(),
        };
        let mut writer = csv::Writer::from_path(&partial).map_err(io)?;
        writer.write_record(["line", "table", "column", "rule", "value"]).map_err(io)?;
        for e in &self.entries {
            let (line, class) = (e.line.to_string(), e.class.to_string());
            let row = [line.as_str(), e.table, e.column, e.rule.as_str(), class.as_str()];
            writer.write_record(row).map_err(io)?;
        }
        let mut file: File =
            writer.into_inner().map_err(|e| IngestError::io("write", &partial)(e.into_error()))?;
        file.flush().and_then(|()| file.sync_all()).map_err(IngestError::io("write", &partial))?;
        fs::rename(&partial, &path).map_err(IngestError::io("write", &path))?;
        snapshot::sync_folder(folder)?;
        Ok(Some(path))
    }
}
