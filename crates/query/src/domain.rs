//! What a dimension of a pooled question can be.
//!
//! A masked sum needs every hospital to lay out the same places, so before a pooled question is
//! asked the coordinator settles a public domain for each dimension. Where the expression itself
//! says which labels can occur (conditions, flags, CASE with literal results) the list is *closed*
//! and nobody has to be asked. Everything else is *listed*: by a published code list where there
//! is one, else by a discovery over the hospitals' rows, which this module words.
//!
//! Labels are written as the kernel writes them, by the kernel itself, so that a label of a list
//! and a label of a row never differ in form. NULL has a place of its own and is in no list.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use model::schema::{PERSON_KEY, STAY_KEY};
use model::{Refusal, RefusalCode};
use privacy::Domain;
use privacy::domain::{InvalidDomain, MAX_CODE_BYTES};
use privacy::request::{ReleaseRequest, RequestParts, Scope};

use crate::kernel::labels;
use crate::walk::{Form, Operand, Walk};

/// What one dimension can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DomainSpec {
    /// Exactly these labels, ascending, and NULL.
    Closed(Vec<String>),
    /// The values of a column, or of its prefix or calendar unit.
    Listed(Listing),
}

/// A dimension whose codes have to be listed by somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Canonical SQL of the expression, its column with its table: `left(stay.drg_code, 3)`. Equal
    /// keys have equal codes, in whatever question they occur.
    pub key: String,
    /// Table and column, when the expression is a bare column, for which a list may be published.
    pub column: Option<(&'static str, &'static str)>,
    /// The dimension is a text, so that codes outside the list can be named `OTHER`.
    pub text: bool,
    /// Levels of a hierarchical code; 0 for any other dimension.
    pub levels: u8,
    /// Canonical SQL of the relation that discovers the codes: the whole table, unfiltered.
    pub discovery_sql: String,
}

impl DomainSpec {
    /// The domain of this dimension with listed `codes`; a closed one needs none and ignores
    /// them. Codes that are too long for a list are left to `OTHER`.
    ///
    /// # Errors
    /// A [`Refusal`] when there are too many codes, or when a label of the question is too long.
    pub fn domain(&self, codes: Vec<String>) -> Result<Domain, Refusal> {
        let too_large = |instead: &'static str| {
            move |error: InvalidDomain| {
                let reason = format!("This cannot be grouped by, because {error}.");
                Refusal::new(RefusalCode::TooLarge, "GROUP BY", reason, instead)
            }
        };
        match self {
            Self::Closed(labels) => {
                Domain::closed(labels.clone()).map_err(too_large("Shorten its labels."))
            }
            Self::Listed(listing) => {
                let mut codes = codes;
                codes.retain(|code| code.len() <= MAX_CODE_BYTES);
                let instead = "Group by a prefix, or by fewer codes.";
                let domain = match listing.levels {
                    0 => Domain::open(codes, listing.text),
                    _ => Domain::hierarchical(codes, true),
                };
                domain.map_err(too_large(instead))
            }
        }
    }
}

impl DomainSpec {
    /// Whether `domain` is one that a coordinator makes for this dimension: the labels of a closed
    /// list, or any codes with a place for all others.
    pub(crate) fn admits(&self, domain: &Domain) -> bool {
        let outside = |domain: &Domain| match domain {
            Domain::Codes { outside, .. } => Some(*outside),
            Domain::Buckets { .. } | Domain::Numbered(_) => None,
        };
        match (self, self.domain(Vec::new())) {
            (Self::Closed(_), Ok(own)) => own == *domain,
            (Self::Listed(_), Ok(own)) => {
                outside(domain).is_some() && outside(&own) == outside(domain)
            }
            (_, Err(_)) => false,
        }
    }
}

impl Listing {
    /// The request of a discovery: persons in `2^bits` buckets of codes, hashed under `salt`, and
    /// nothing else. Of hierarchical codes the first `level` levels are hashed, 0 being all. Nodes
    /// insist on the round's sid as salt. The sid is known only when the terms of the round are; the request's hash, which they are bound to, does not depend on the salt.
    ///
    /// # Errors
    /// A [`Refusal`] when `asker` is not a name or there cannot be so many buckets.
    pub fn discovery(
        &self,
        asker: &str,
        (bits, level): (u8, u8),
        salt: [u8; 32],
    ) -> Result<ReleaseRequest, Refusal> {
        self.count(asker, Domain::Buckets { bits, level, salt })
    }

    /// The request that counts persons at listed places and nothing else; rows that stand at none
    /// are left out of it.
    ///
    /// # Errors
    /// A [`Refusal`] when `asker` is not a name or there are too many codes.
    pub fn confirmation(&self, asker: &str, codes: Vec<String>) -> Result<ReleaseRequest, Refusal> {
        let domain = Domain::hierarchical(codes, false).map_err(|error| {
            let reason = format!("This cannot be grouped by, because {error}.");
            Refusal::new(RefusalCode::TooLarge, "GROUP BY", reason, "Group by fewer codes.")
        })?;
        self.count(asker, domain)
    }

    fn count(&self, asker: &str, domain: Domain) -> Result<ReleaseRequest, Refusal> {
        ReleaseRequest::try_from(RequestParts {
            scope: Scope::Pooled,
            asker: asker.to_owned(),
            relation_sql: self.discovery_sql.clone(),
            dimensions: vec![self.key.clone()],
            domains: vec![domain],
            inputs: Vec::new(),
            measures: Vec::new(),
            supports: Vec::new(),
        })
    }

    fn of(operand: &Operand, text: bool) -> Self {
        let Operand { table, column, form } = *operand;
        let (table, name) = (table.name, column.name);
        // Written out here instead of unparsed: two spellings of one expression have one key, and
        // the key outlives a change of the engine.
        let key = match form {
            Form::Plain => format!("{table}.{name}"),
            Form::Prefix(characters) => format!("left({table}.{name}, {characters})"),
            Form::Trunc(unit) => format!("date_trunc('{}', {table}.{name})", unit.as_str()),
            Form::Part(unit) => format!("date_part('{}', {table}.{name})", unit.as_str()),
        };
        let identity =
            format!("{table}.{PERSON_KEY} AS {PERSON_KEY}, {table}.{STAY_KEY} AS {STAY_KEY}");
        Self {
            discovery_sql: format!("SELECT {key} AS d0, {identity} FROM {table}"),
            key,
            levels: if form == Form::Plain { column.levels } else { 0 },
            column: (form == Form::Plain).then_some((table, column.name)),
            text,
        }
    }
}

/// What a dimension can be that passed the walk; `data_type` is the type of its groups.
///
/// # Errors
/// A [`Refusal`] when a literal has no value of that type.
pub(crate) fn spec_of(
    walk: &Walk<'_>,
    dimension: &Expr,
    data_type: &DataType,
) -> Result<DomainSpec, Refusal> {
    match dimension {
        Expr::Case(case) => {
            let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            closed(results.map(AsRef::as_ref), data_type)
        }
        Expr::Literal(..) => closed([dimension].into_iter(), data_type),
        _ if *data_type == DataType::Boolean => {
            Ok(DomainSpec::Closed(["false", "true"].map(str::to_owned).to_vec()))
        }
        _ => {
            let operand = walk.operand(dimension)?;
            Ok(DomainSpec::Listed(Listing::of(&operand, *data_type == DataType::Utf8)))
        }
    }
}

/// The labels of literal results, after the conversion that the engine gives all of them.
fn closed<'e>(
    results: impl Iterator<Item = &'e Expr>,
    data_type: &DataType,
) -> Result<DomainSpec, Refusal> {
    let mut all = Vec::new();
    for result in results {
        let array = constant(result)
            .and_then(|value| value.cast_to(data_type).ok())
            .and_then(|value| value.to_array().ok());
        let label = array.and_then(|array| labels(&array).ok()).ok_or_else(|| {
            let subject: String = result.to_string().chars().take(60).collect();
            let reason = format!("The literal has no value of type {data_type}.");
            Refusal::new(RefusalCode::Grouping, subject, reason, "Write THEN 'label'.")
        })?;
        all.extend(label.into_iter().flatten());
    }
    all.sort_unstable();
    all.dedup();
    Ok(DomainSpec::Closed(all))
}

/// The value of a literal, also of one with a sign or a type.
fn constant(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        Expr::Negative(inner) => constant(inner)?.arithmetic_negate().ok(),
        Expr::Cast(cast) => constant(&cast.expr)?.cast_to(cast.field.data_type()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
