//! Running a mapping: SELECT statements over the raw columns of one source.
//!
//! A hospital's export is mapped to the governed tables by SQL files, so that the people who know
//! the export can read and change the mapping. This module owns the engine's part: it admits only
//! a single SELECT, gives it nothing but the table `source` and pure functions (no files, no DDL,
//! no table functions), says which source columns are needed, and streams the result.
//!
//! Guarantees: memory does not grow with the source; [`in_order`] keeps the order of the source for
//! row-wise statements; [`together`] reads the source once for all row-wise statements, however
//! many `UNION ALL` branches they have. Statements that are not row-wise (GROUP BY, joins, windows)
//! are run too, with one pass over the source for each scan.
//! Left out: what the columns mean. Typing and rejecting rows is the caller's business.

mod session;
mod tap;

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::common::{Column, DataFusionError, SchemaError};
use datafusion::execution::context::SessionContext;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, execute_stream};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use self::tap::Tap;

/// How many of a source's columns a message about a missing column suggests.
const MAX_SUGGESTIONS: usize = 5;

/// One pass over the source: batches of the asked columns, in the asked order.
pub type Pass = BoxStream<'static, Result<RecordBatch, ArrowError>>;

/// A table that can be read from the start any number of times.
pub trait Source: fmt::Debug + Send + Sync {
    /// All columns.
    fn schema(&self) -> SchemaRef;
    /// Starts a pass over the columns at these positions (ascending, no repeats).
    fn open(&self, columns: &[usize]) -> Pass;
}

/// One SQL file of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Name for messages, such as `stay.sql`.
    pub file: String,
    /// One SELECT over `source`.
    pub sql: String,
}

/// Why a mapping cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// The text is not SQL, or the engine cannot plan it.
    #[error("{file}: {message}\n  in: {sql}")]
    Sql {
        /// Which file.
        file: String,
        /// Its SQL.
        sql: String,
        /// What the engine says.
        message: String,
    },
    /// The text is something else than one SELECT.
    #[error(
        "{file}: a mapping file holds exactly one SELECT over the table \"source\"\n  in: {sql}"
    )]
    NotOneSelect {
        /// Which file.
        file: String,
        /// Its SQL.
        sql: String,
    },
    /// A column that the source does not have.
    #[error(
        "{file}: the source has no column {column}; nearest: {}\n  in: {sql}",
        .nearest.join(", ")
    )]
    UnknownColumn {
        /// Which file.
        file: String,
        /// Its SQL.
        sql: String,
        /// The missing column.
        column: String,
        /// The most similar column names of the source, best first, quoted for SQL.
        nearest: Vec<String>,
    },
    /// The statement failed while running, or the source could not be read.
    #[error("{file}: {message}")]
    Run {
        /// Which file.
        file: String,
        /// What the engine or the source says.
        message: String,
    },
}

/// A batch, and the position of the statement that made it.
pub type Mapped = Result<(usize, RecordBatch), MappingError>;

/// Plans every statement against the source's columns and returns the columns each produces.
///
/// # Errors
/// The first statement that is not a single SELECT, or cannot be planned.
pub async fn check(
    statements: &[Statement],
    source: &Arc<dyn Source>,
) -> Result<Vec<SchemaRef>, MappingError> {
    let mut schemas = Vec::with_capacity(statements.len());
    for statement in statements {
        let planned = plan(statement, source).await?;
        schemas.push(planned.physical.schema());
    }
    Ok(schemas)
}

/// Runs one statement with its partitions one after the other: for a row-wise statement the rows
/// come in the order of the source, so the result is the same every time.
///
/// # Errors
/// As [`check`].
pub async fn in_order(
    statement: &Statement,
    source: &Arc<dyn Source>,
) -> Result<BoxStream<'static, Mapped>, MappingError> {
    let planned = plan(statement, source).await?;
    planned.tap.alone();
    let context = planned.context.task_ctx();
    let file = statement.file.clone();
    let partitions = planned.physical.output_partitioning().partition_count();
    let physical = planned.physical;
    let stream = futures::stream::iter(0..partitions)
        .map(move |partition| physical.execute(partition, Arc::clone(&context)))
        .try_flatten()
        .map(move |batch| batch.map(|batch| (0, batch)).map_err(|error| run_error(&file, &error)));
    Ok(stream.boxed())
}

/// Runs all statements, reading the source once for all that are row-wise. Order is not kept.
///
/// # Errors
/// As [`check`].
pub async fn together(
    statements: &[Statement],
    source: &Arc<dyn Source>,
) -> Result<BoxStream<'static, Mapped>, MappingError> {
    let mut plans = Vec::with_capacity(statements.len());
    for statement in statements {
        plans.push(plan(statement, source).await?);
    }
    let shared: Vec<&Tap> = plans.iter().filter(|p| p.row_wise).map(|p| &*p.tap).collect();
    tap::share(&shared, source);
    for planned in plans.iter().filter(|p| !p.row_wise) {
        planned.tap.alone();
    }
    let mut streams = Vec::with_capacity(plans.len());
    for (position, (planned, statement)) in plans.into_iter().zip(statements).enumerate() {
        let file = statement.file.clone();
        let stream = execute_stream(planned.physical, planned.context.task_ctx())
            .map_err(|error| run_error(&file, &error))?;
        let stream = stream.map(move |batch| {
            batch.map(|batch| (position, batch)).map_err(|error| run_error(&file, &error))
        });
        streams.push(stream.boxed());
    }
    Ok(futures::stream::select_all(streams).boxed())
}

struct Planned {
    context: SessionContext,
    physical: Arc<dyn ExecutionPlan>,
    tap: Arc<Tap>,
    row_wise: bool,
}

/// Boxed, so that planning is compiled once and not in every crate that runs a mapping.
fn plan<'a>(
    statement: &'a Statement,
    source: &'a Arc<dyn Source>,
) -> BoxFuture<'a, Result<Planned, MappingError>> {
    Box::pin(plan_unboxed(statement, source))
}

async fn plan_unboxed(
    statement: &Statement,
    source: &Arc<dyn Source>,
) -> Result<Planned, MappingError> {
    let tap = Arc::new(Tap::new(Arc::clone(source)));
    let sql_error = |error: &DataFusionError| plan_error(statement, source, error);
    let context = session::open(&tap).map_err(|error| sql_error(&error))?;
    let parsed = session::parse(statement)?;
    let state = context.state();
    let logical = state.statement_to_plan(parsed).await.map_err(|error| sql_error(&error))?;
    session::verify(&logical).map_err(|error| sql_error(&error))?;
    let optimised = state.optimize(&logical).map_err(|error| sql_error(&error))?;
    let use_of_source = session::examine(&optimised, source.schema().fields().len());
    tap.set_use(use_of_source.scans, use_of_source.columns);
    let physical = state.create_physical_plan(&logical).await.map_err(|error| sql_error(&error))?;
    Ok(Planned { context, physical, tap, row_wise: use_of_source.row_wise })
}

fn run_error(file: &str, error: &DataFusionError) -> MappingError {
    let message = match error.find_root() {
        DataFusionError::ArrowError(inner, _) => match &**inner {
            ArrowError::ExternalError(cause) => cause.to_string(),
            other => other.to_string(),
        },
        other => other.strip_backtrace(),
    };
    MappingError::Run { file: file.to_owned(), message }
}

fn plan_error(
    statement: &Statement,
    source: &Arc<dyn Source>,
    error: &DataFusionError,
) -> MappingError {
    let Statement { file, sql } = statement.clone();
    match missing_column(error) {
        Some(column) => {
            let schema = source.schema();
            let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            let nearest = nearest(&column.name, &names).iter().map(|n| quoted(n)).collect();
            MappingError::UnknownColumn { file, sql, column: quoted(&column.name), nearest }
        }
        None => MappingError::Sql { file, sql, message: error.strip_backtrace() },
    }
}

fn missing_column(error: &DataFusionError) -> Option<Column> {
    match error {
        DataFusionError::SchemaError(inner, _) => match &**inner {
            SchemaError::FieldNotFound { field, .. } => Some((**field).clone()),
            _ => None,
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            missing_column(inner)
        }
        DataFusionError::Collection(errors) => errors.iter().find_map(missing_column),
        _ => None,
    }
}

/// The names most similar to `wanted`, best first, without regard to case and punctuation.
#[must_use]
pub fn nearest(wanted: &str, names: &[&str]) -> Vec<String> {
    let plain = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let wanted = plain(wanted);
    let score = |name: &str| {
        let name = plain(name);
        let within = !wanted.is_empty() && (name.contains(&wanted) || wanted.contains(&name));
        strsim::jaro_winkler(&wanted, &name) + if within { 1.0 } else { 0.0 }
    };
    let mut scored: Vec<(f64, &str)> = names.iter().map(|name| (score(name), *name)).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.into_iter().take(MAX_SUGGESTIONS).map(|(_, name)| name.to_owned()).collect()
}

/// A name as SQL needs it: quoted unless it is lower-case letters, digits and underscores.
fn quoted(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if plain && starts_well {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

#[cfg(test)]
mod tests;
