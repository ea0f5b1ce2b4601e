//! A release request: what a coordinator asks a hospital to add up. Parsed once, at the border.

use model::{Refusal, RefusalCode};

use crate::measure::{Input, MAX_INPUTS, MAX_MEASURES, Measure};

/// Version of the request's meaning; a node refuses any other.
pub const REQUEST_VERSION: u32 = 1;
/// Longest canonical SQL of a relation, in bytes.
pub const MAX_SQL_BYTES: usize = 64 * 1024;
/// Most dimensions of one request.
pub const MAX_DIMENSIONS: usize = 8;
/// Most groups that one hospital may release for one request.
pub const MAX_GROUPS: usize = 1 << 20;

/// Whose cells a question opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Regional sums only.
    Pooled,
    /// Each hospital's own cells, because the question names hospitals.
    PerHospital,
}

impl Scope {
    /// The name used in policies and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pooled => "pooled",
            Self::PerHospital => "per_hospital",
        }
    }
}

/// A well-formed request. Its SQL is still untrusted: the node plans and walks it itself.
///
/// The relation's output columns are, in order: one per dimension, one per input, `person_key`,
/// `stay_key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRequest {
    scope: Scope,
    asker: String,
    relation_sql: String,
    dimensions: Vec<String>,
    inputs: Vec<Input>,
    measures: Vec<Measure>,
}

/// The parts of a request, before they are checked against each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestParts {
    /// Whose cells are asked for.
    pub scope: Scope,
    /// The user on whose behalf the coordinator asks; for the usage rule and the record.
    pub asker: String,
    /// Canonical SQL of the row-level relation.
    pub relation_sql: String,
    /// Names of the dimensions.
    pub dimensions: Vec<String>,
    /// Inputs of the measures.
    pub inputs: Vec<Input>,
    /// What is added up.
    pub measures: Vec<Measure>,
}

fn malformed(subject: &str, reason: &str) -> Refusal {
    Refusal::new(RefusalCode::Request, subject, reason, "")
}

fn too_large(subject: &str, reason: impl Into<String>, instead: &str) -> Refusal {
    Refusal::new(RefusalCode::TooLarge, subject, reason, instead)
}

impl TryFrom<RequestParts> for ReleaseRequest {
    type Error = Refusal;

    fn try_from(parts: RequestParts) -> Result<Self, Refusal> {
        if parts.asker.is_empty() || parts.asker.len() > 64 {
            return Err(malformed("asker", "A request names its asker in 1 to 64 bytes."));
        }
        if parts.relation_sql.len() > MAX_SQL_BYTES {
            let reason = format!("The relation's SQL is longer than {MAX_SQL_BYTES} bytes.");
            return Err(Refusal::new(
                RefusalCode::Bounds,
                "relation",
                reason,
                "Shorten its lists.",
            ));
        }
        if parts.dimensions.len() > MAX_DIMENSIONS {
            let reason = format!("A question has at most {MAX_DIMENSIONS} dimensions.");
            return Err(too_large("GROUP BY", reason, "Group by fewer columns."));
        }
        if parts.inputs.len() > MAX_INPUTS || parts.measures.len() > MAX_MEASURES {
            let reason = format!("A question has at most {MAX_MEASURES} different aggregates.");
            return Err(too_large("SELECT", reason, "Ask in several questions."));
        }
        for measure in &parts.measures {
            measure.check(&parts.inputs).map_err(|overflow| {
                too_large("aggregate", format!("In this aggregate {overflow}."), "")
            })?;
        }
        Ok(Self {
            scope: parts.scope,
            asker: parts.asker,
            relation_sql: parts.relation_sql,
            dimensions: parts.dimensions,
            inputs: parts.inputs,
            measures: parts.measures,
        })
    }
}

impl ReleaseRequest {
    /// Whose cells are asked for.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// On whose behalf.
    #[must_use]
    pub fn asker(&self) -> &str {
        &self.asker
    }

    /// The relation's SQL, untrusted.
    #[must_use]
    pub fn relation_sql(&self) -> &str {
        &self.relation_sql
    }

    /// Names of the dimensions.
    #[must_use]
    pub fn dimensions(&self) -> &[String] {
        &self.dimensions
    }

    /// Inputs of the measures.
    #[must_use]
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// What is added up.
    #[must_use]
    pub fn measures(&self) -> &[Measure] {
        &self.measures
    }

    /// Cells per group over all measures.
    #[must_use]
    pub fn width(&self) -> usize {
        self.measures.iter().map(|measure| measure.width()).sum()
    }
}
