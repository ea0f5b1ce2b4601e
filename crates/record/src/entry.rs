//! One entry of a log: what was decided, in hashes and codes.
//!
//! An entry has exactly one encoding, canonical JSON, so that its hash can be recomputed from its
//! parts. It guarantees that nothing but times, codes, names of snapshots and SHA-256 hashes gets
//! in: a text that could be SQL, a code of a code list or a sentence is refused.

use std::fmt;

use privacy::Scope;
use privacy::sign::{hex, unhex32};
use serde::{Deserialize, Serialize};

/// Version of the encoding.
const VERSION: u32 = 1;
/// Longest entry, in bytes.
pub const MAX_ENTRY_BYTES: usize = 4_096;
/// Longest time, code or snapshot name, in bytes.
const MAX_TEXT_BYTES: usize = 96;
/// Most rules that one entry can name.
const MAX_RULES: usize = 24;

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A question was offered or countersigned.
    Offer,
    /// A round was opened over a set of hospitals.
    Round,
    /// Cells, shares of them or an answer left this party.
    Release,
    /// Names of codes left this party, hidden and sealed, after a discovery.
    Names,
    /// A request was refused.
    Refusal,
    /// A reservation was given back; nothing was sent.
    Refund,
    /// The hospital's steward decided on a question.
    Decision,
}

/// An entry. Hashes are SHA-256, but for that of a masked upload, which is BLAKE3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// What it is about.
    pub kind: Kind,
    /// How it ended: a stable code such as `released`.
    pub outcome: String,
    /// Whose cells.
    pub scope: Option<Scope>,
    /// How they were protected: a code such as `masked`.
    pub mode: Option<String>,
    /// The round's single-use number.
    pub sid: Option<[u8; 32]>,
    /// The request.
    pub request: Option<[u8; 32]>,
    /// The family of requests within which rounds are compared.
    pub family: Option<[u8; 32]>,
    /// The policy in force.
    pub policy: Option<[u8; 32]>,
    /// The snapshot that was asked.
    pub snapshot: Option<String>,
    /// What left, or the set of hospitals of a round.
    pub output: Option<[u8; 32]>,
    /// Codes of the rules that withheld something.
    pub withheld: Vec<String>,
    /// The row that stands behind this entry.
    pub detail: Option<[u8; 32]>,
}

/// Why an entry is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// A text has characters that codes do not have.
    #[error("{field} has to be 1 to {MAX_TEXT_BYTES} characters of A-Z a-z 0-9 . : + _ -")]
    Text {
        /// Which part.
        field: &'static str,
    },
    /// It names too many rules.
    #[error("it names more than {MAX_RULES} rules")]
    TooManyRules,
    /// It is longer than an entry can be.
    #[error("it is longer than {MAX_ENTRY_BYTES} bytes")]
    TooLong,
    /// The bytes are not JSON of an entry.
    #[error("it cannot be read: {0}")]
    Json(String),
    /// The bytes say the same as an entry in another way.
    #[error("it is not in the one form that entries have")]
    NotCanonical,
}

/// The JSON form; the order of the fields is part of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Json {
    version: u32,
    at: String,
    kind: Kind,
    outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    family: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    withheld: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

// === impl Kind ===

impl Kind {
    /// The code in the JSON form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offer => "offer",
            Self::Round => "round",
            Self::Release => "release",
            Self::Names => "names",
            Self::Refusal => "refusal",
            Self::Refund => "refund",
            Self::Decision => "decision",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Entry ===

impl Entry {
    /// An entry with nothing but time, kind and outcome.
    #[must_use]
    pub fn new(at: &str, kind: Kind, outcome: &str) -> Self {
        Self {
            at: at.to_owned(),
            kind,
            outcome: outcome.to_owned(),
            scope: None,
            mode: None,
            sid: None,
            request: None,
            family: None,
            policy: None,
            snapshot: None,
            output: None,
            withheld: Vec::new(),
            detail: None,
        }
    }

    /// Its one encoding.
    ///
    /// # Errors
    /// [`EntryError`] when a part is not a code.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EntryError> {
        let json = Json::try_from(self)?;
        let bytes =
            serde_json::to_vec(&json).map_err(|error| EntryError::Json(error.to_string()))?;
        if bytes.len() > MAX_ENTRY_BYTES { Err(EntryError::TooLong) } else { Ok(bytes) }
    }

    /// The entry with this encoding.
    ///
    /// # Errors
    /// [`EntryError`] when the bytes are not the encoding of an entry.
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(EntryError::TooLong);
        }
        let json: Json =
            serde_json::from_slice(bytes).map_err(|error| EntryError::Json(error.to_string()))?;
        let entry = Self::try_from(json)?;
        if entry.to_bytes()? == bytes { Ok(entry) } else { Err(EntryError::NotCanonical) }
    }
}

impl TryFrom<&Entry> for Json {
    type Error = EntryError;

    fn try_from(entry: &Entry) -> Result<Self, EntryError> {
        let hash = |hash: &Option<[u8; 32]>| hash.as_ref().map(|bytes| hex(bytes));
        let optional = |field, text: &Option<String>| {
            text.as_deref().map(|text| code(field, text)).transpose()
        };
        if entry.withheld.len() > MAX_RULES {
            return Err(EntryError::TooManyRules);
        }
        let withheld = entry.withheld.iter().map(|rule| code("withheld", rule));
        Ok(Self {
            version: VERSION,
            at: code("at", &entry.at)?,
            kind: entry.kind,
            outcome: code("outcome", &entry.outcome)?,
            scope: entry.scope.map(|scope| scope.as_str().to_owned()),
            mode: optional("mode", &entry.mode)?,
            sid: hash(&entry.sid),
            request: hash(&entry.request),
            family: hash(&entry.family),
            policy: hash(&entry.policy),
            snapshot: optional("snapshot", &entry.snapshot)?,
            output: hash(&entry.output),
            withheld: withheld.collect::<Result<_, _>>()?,
            detail: hash(&entry.detail),
        })
    }
}

impl TryFrom<Json> for Entry {
    type Error = EntryError;

    fn try_from(json: Json) -> Result<Self, EntryError> {
        let unread = |reason: &str| EntryError::Json(reason.to_owned());
        let hash = |text: Option<String>| {
            let bytes = text.map(|text| unhex32(&text).ok_or_else(|| unread("a hash is none")));
            bytes.transpose()
        };
        if json.version != VERSION {
            return Err(unread("its version is unknown"));
        }
        let scope = json.scope.map(|text| scope(&text).ok_or_else(|| unread("unknown scope")));
        Ok(Self {
            at: json.at,
            kind: json.kind,
            outcome: json.outcome,
            scope: scope.transpose()?,
            mode: json.mode,
            sid: hash(json.sid)?,
            request: hash(json.request)?,
            family: hash(json.family)?,
            policy: hash(json.policy)?,
            snapshot: json.snapshot,
            output: hash(json.output)?,
            withheld: json.withheld,
            detail: hash(json.detail)?,
        })
    }
}

/// The scope with this code.
pub(crate) fn scope(code: &str) -> Option<Scope> {
    [Scope::Pooled, Scope::PerHospital].into_iter().find(|scope| scope.as_str() == code)
}

/// Checks that a text is a code, a time or a name.
pub(crate) fn code(field: &'static str, text: &str) -> Result<String, EntryError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || ".:+_-".contains(c);
    let good = !text.is_empty() && text.len() <= MAX_TEXT_BYTES && text.chars().all(fits);
    if good { Ok(text.to_owned()) } else { Err(EntryError::Text { field }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_one_form() {
        let entry = Entry {
            scope: Some(Scope::Pooled),
            sid: Some([1; 32]),
            snapshot: Some("s-1".to_owned()),
            withheld: vec!["minimum".to_owned()],
            ..Entry::new("2026-11-21T08:30:00Z", Kind::Release, "released")
        };
        let bytes = entry.to_bytes().unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let sid = "01".repeat(32);
        assert_eq!(
            text,
            format!(
                "{{\"version\":1,\"at\":\"2026-11-21T08:30:00Z\",\"kind\":\"release\",\
                 \"outcome\":\"released\",\"scope\":\"pooled\",\"sid\":\"{sid}\",\
                 \"snapshot\":\"s-1\",\"withheld\":[\"minimum\"]}}"
            )
        );
        assert_eq!(Entry::parse(&bytes), Ok(entry));
        for (from, to) in [
            ("{\"version\":1,", "{\"version\": 1,"),
            ("\"scope\":\"pooled\",", "\"scope\":\"pooled\",\"mode\":null,"),
            (&sid, &"0A".repeat(32)),
            ("released", "re\\u006ceased"),
        ] {
            let other = text.replacen(from, to, 1);
            assert_eq!(Entry::parse(other.as_bytes()), Err(EntryError::NotCanonical), "{other}");
        }
        for (from, to) in [
            ("\"version\":1", "\"version\":2"),
            ("pooled", "everything"),
            ("\"at\"", "\"when\""),
            (&sid, "01"),
        ] {
            let other = text.replacen(from, to, 1);
            assert!(matches!(Entry::parse(other.as_bytes()), Err(EntryError::Json(_))), "{other}");
        }
    }

    #[test]
    fn sentences_and_sql_are_no_codes() {
        let now = "2026-11-21T08:30:00Z";
        for outcome in ["", "SELECT 1", "drg = '039'", "阑尾炎", &"x".repeat(97), "a\nb"] {
            let entry = Entry::new(now, Kind::Refusal, outcome);
            assert_eq!(entry.to_bytes(), Err(EntryError::Text { field: "outcome" }), "{outcome}");
        }
        let rules = vec!["minimum".to_owned(); MAX_RULES + 1];
        let entry = Entry { withheld: rules, ..Entry::new(now, Kind::Release, "released") };
        assert_eq!(entry.to_bytes(), Err(EntryError::TooManyRules));
    }
}
