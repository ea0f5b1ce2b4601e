//! Refused is not broken: a refusal is a value with a stable code, made for the person who asks.
//!
//! A refusal's text depends on the question and on public rules only, never on data.

use std::fmt;

macro_rules! refusal_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)+) => {
        /// The stable code of a refusal. Scripts may rely on the text of [`RefusalCode::as_str`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum RefusalCode { $($(#[$doc])* $name,)+ }

        impl RefusalCode {
            /// Every code, for documentation and for decoding.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code as it stands in answers, logs and tests.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }
        }
    };
}

refusal_codes! {
    /// The text is not one SQL query.
    Syntax = "syntax",
    /// A table, column or function that the catalogue does not have.
    UnknownName = "unknown_name",
    /// DDL, DML, EXPLAIN, SET and every other statement that is not a query.
    Statement = "statement",
    /// Rows, or a row-level column, would leave a hospital.
    RowOutput = "row_output",
    /// An aggregate whose value is some row's value, or that cannot be added up.
    Aggregate = "aggregate",
    /// An identity column outside COUNT(DISTINCT) and declared joins.
    Identity = "identity",
    /// Grouping by something without a code list.
    Grouping = "grouping",
    /// A condition on a column that may not be filtered, or of a form that is not permitted.
    Filter = "filter",
    /// A measure over a column that may not be measured.
    Measure = "measure",
    /// A literal finer than the policy's granularity.
    Granularity = "granularity",
    /// A literal, list, depth or text beyond the policy's bounds.
    Bounds = "bounds",
    /// A function outside the allow-list.
    Function = "function",
    /// A join that the data model does not declare.
    Join = "join",
    /// A clause that may not stand below the aggregate.
    Clause = "clause",
    /// The sums could overflow, or the answer would have too many cells.
    TooLarge = "too_large",
    /// The hospital's policy does not allow this scope.
    Scope = "scope",
    /// The hospital has not set a minimum; the node releases nothing.
    PolicyUnset = "policy_unset",
    /// The allowance of questions a day is used up.
    Usage = "usage",
    /// The noise budget of the year is used up, or one question would take too much of it.
    Budget = "budget",
    /// A masked round whose terms, signatures or hospitals are not in order.
    Offer = "offer",
    /// A masked round bound to a roster that this party does not hold.
    RosterUnknown = "roster_unknown",
    /// A round that was seen before.
    Replay = "replay",
    /// Too few hospitals for a masked sum, or too nearly those of an earlier one.
    Quorum = "quorum",
    /// The hospital answers questions of approved packs only, and this is none.
    Pack = "pack",
    /// The hospital's steward has not decided on this question yet.
    Waiting = "waiting",
    /// The hospital's steward has declined this question.
    Declined = "declined",
    /// The project is over, or this is none of its questions.
    Project = "project",
    /// Groups of unlike grouper schemes would be added up or compared.
    Scheme = "scheme",
    /// A model that a rule or a hospital does not admit, or that cannot be fitted.
    Model = "model",
    /// The population differs by too few persons from that of an earlier question.
    Differencing = "differencing",
    /// A message that no correct coordinator sends.
    Request = "request",
}

impl std::str::FromStr for RefusalCode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(())
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a question gets no answer, and what would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable code.
    pub code: RefusalCode,
    /// The column, function or clause at fault, as the asker wrote it.
    pub subject: String,
    /// One sentence: what is not allowed.
    pub reason: String,
    /// One sentence: what is possible instead; empty when nothing is.
    pub instead: String,
}

impl Refusal {
    /// A refusal of `subject` for `reason`, with the way out in `instead`.
    #[must_use]
    pub fn new(
        code: RefusalCode,
        subject: impl Into<String>,
        reason: impl Into<String>,
        instead: impl Into<String>,
    ) -> Self {
        Self { code, subject: subject.into(), reason: reason.into(), instead: instead.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}: {}]", self.reason, self.code, self.subject)?;
        if !self.instead.is_empty() {
            write!(f, " {}", self.instead)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_round_trip() {
        for code in RefusalCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
        assert_eq!("no_such_code".parse::<RefusalCode>(), Err(()));
    }
}
