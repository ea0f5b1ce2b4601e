//! A question from SQL to answer, as the coordinator sees it.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema};
use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::MemTable;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use datafusion::physical_plan::collect;
use datafusion::prelude::SessionContext;
use futures::executor::block_on;
use futures::future::BoxFuture;
use model::{Refusal, RefusalCode};
use privacy::request::{ReleaseRequest, RequestParts, Scope, StepParts, family_of};
use privacy::sketch::Frame;
use privacy::{Combined, Domain, Fitting, Measure, Policy};

use crate::cut::{Cut, PART_PREFIX, Part, Planning, cut, scope_of};
use crate::domain::DomainSpec;
use crate::finish::{Final, FinalKind, FinishError, finish};
use crate::session::{plan_query, planner, refuse_error};
use crate::spread;
use crate::walk::{Flat, named};

pub use crate::spread::Spread;

/// Longest SQL of a question, in bytes.
pub const MAX_QUESTION_BYTES: usize = 64 * 1024;

/// Plans questions over the governed tables and finishes their answers.
#[derive(Clone)]
pub struct Planner {
    context: SessionContext,
}

impl std::fmt::Debug for Planner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Planner").finish_non_exhaustive()
    }
}

/// A question that passed the walk: what hospitals are asked, and what happens above.
#[derive(Debug, Clone)]
pub struct Question {
    cut: Cut,
    /// Columns of the only part, when nothing else happens above the cut.
    renaming: Option<Vec<usize>>,
}

/// One request, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Canonical SQL of the relation; `m0`, `m1`, ... are the inputs.
    pub relation_sql: String,
    /// What is grouped by.
    pub dimensions: Vec<String>,
    /// What is added up, in terms of the inputs.
    pub measures: Vec<String>,
    /// Cells per group.
    pub width: usize,
    /// Some condition or join narrows the rows.
    pub selective: bool,
    /// Each row of the relation is one stay.
    pub one_row_per_stay: bool,
}

/// How exact the percentiles of one aggregate are.
#[derive(Debug, Clone, PartialEq)]
pub struct Approximation {
    /// The aggregate, as SQL names it.
    pub aggregate: String,
    /// Groups that have a percentile.
    pub groups: u64,
    /// Those whose percentile is exact.
    pub exact: u64,
    /// Groups that have none: nobody has a value, or too few lie beyond the percentile.
    pub untold: u64,
    /// The true percentile of no group is further away than this, in the column's unit.
    pub largest_error: f64,
    /// The same as a share of the percentile.
    pub largest_relative_error: f64,
}

impl Approximation {
    fn of(one: &Final, combined: &Combined) -> Option<Self> {
        let FinalKind::Percentile(_) = one.kind else { return None };
        let mut approximation = Self {
            aggregate: one.name.clone(),
            groups: 0,
            exact: 0,
            untold: 0,
            largest_error: 0.0,
            largest_relative_error: 0.0,
        };
        for group in combined.groups.values() {
            let Some(found) = one.percentile(group) else {
                approximation.untold += 1;
                continue;
            };
            let error = found.error();
            approximation.groups += 1;
            if error > 0.0 {
                let relative = error / found.value.abs();
                approximation.largest_error = approximation.largest_error.max(error);
                approximation.largest_relative_error =
                    approximation.largest_relative_error.max(relative);
            } else {
                approximation.exact += 1;
            }
        }
        Some(approximation)
    }
}

/// The planner could not be set up, or an answer could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// A released value does not fit its type.
    #[error(transparent)]
    Finish(#[from] FinishError),
    /// The part above the cut failed, for example by a division by zero in released values.
    #[error("the expressions above the aggregates failed: {0}")]
    Above(String),
}

impl Planner {
    /// A planner whose own work is bounded to `memory_bytes`.
    ///
    /// # Errors
    /// [`AnswerError::Above`] when the engine's runtime cannot be set up.
    pub fn new(memory_bytes: usize) -> Result<Self, AnswerError> {
        let runtime: Arc<RuntimeEnv> = RuntimeEnvBuilder::new()
            .with_memory_limit(memory_bytes, 1.0)
            .build_arc()
            .map_err(|error| AnswerError::Above(error.strip_backtrace()))?;
        Ok(Self { context: planner(runtime) })
    }

    /// Plans and cuts `sql` under the region's `policy`.
    ///
    /// # Errors
    /// A [`Refusal`] that names the column or clause and what is possible instead.
    pub fn plan<'a>(
        &'a self,
        sql: &'a str,
        policy: &'a Policy,
    ) -> BoxFuture<'a, Result<Question, Refusal>> {
        Box::pin(self.plan_unboxed(sql, policy))
    }

    async fn plan_unboxed(&self, sql: &str, policy: &Policy) -> Result<Question, Refusal> {
        if sql.len() > MAX_QUESTION_BYTES {
            return Err(Refusal::new(
                RefusalCode::Bounds,
                "SQL",
                format!("A question is longer than {MAX_QUESTION_BYTES} bytes."),
                "Shorten its lists.",
            ));
        }
        let state = self.context.state();
        let plan = plan_query(&state, sql).await?;
        let cut = cut(plan, policy, &Session(&state))?;
        // Types above the cut are settled by the analyser; a mistake there is the asker's.
        analyse(&state, cut.above.clone())?;
        let renaming = renaming(&cut);
        Ok(Question { cut, renaming })
    }

    /// Computes the answer from what hospitals released: one [`Combined`] per request.
    ///
    /// # Errors
    /// [`AnswerError`] when released values do not fit or an expression above the cut fails.
    pub fn answer<'a>(
        &'a self,
        question: &'a Question,
        combined: &'a [Combined],
    ) -> BoxFuture<'a, Result<Vec<RecordBatch>, AnswerError>> {
        Box::pin(self.answer_unboxed(question, combined))
    }

    /// The same for noisy cells: each number is followed by its standard deviation where the question only
    /// picks and names aggregates. `spreads` has one for each request.
    ///
    /// # Errors
    /// As [`Planner::answer`].
    pub fn answer_noisy<'a>(
        &'a self,
        question: &'a Question,
        combined: &'a [Combined],
        spreads: &'a [Spread],
    ) -> BoxFuture<'a, Result<Vec<RecordBatch>, AnswerError>> {
        let ([part], [only], [spread], Some(picked)) =
            (question.cut.parts.as_slice(), combined, spreads, &question.renaming)
        else {
            return self.answer(question, combined);
        };
        let columns = spread::columns(part, only, spread);
        let names = question.cut.above.schema().as_arrow();
        let batch = columns.and_then(|columns| spread::rename(&columns, picked, names));
        Box::pin(std::future::ready(batch.map(|batch| vec![batch]).map_err(AnswerError::from)))
    }

    async fn answer_unboxed(
        &self,
        question: &Question,
        combined: &[Combined],
    ) -> Result<Vec<RecordBatch>, AnswerError> {
        if let ([part], [combined], Some(columns)) =
            (question.cut.parts.as_slice(), combined, &question.renaming)
        {
            let batch = finish(combined, &part.finals, &part.schema)?;
            return Ok(vec![rename(&batch, columns, question)?]);
        }
        let mut tables = Vec::new();
        for (part, combined) in question.cut.parts.iter().zip(combined) {
            let batch = finish(combined, &part.finals, &part.schema)?;
            let table =
                MemTable::try_new(Arc::clone(&part.schema), vec![vec![batch]]).map_err(above)?;
            tables.push(provider_as_source(Arc::new(table)));
        }
        let plan = question.cut.above.clone().transform_up_with_subqueries(|node| match node {
            LogicalPlan::TableScan(scan) => {
                let index = scan.table_name.table().strip_prefix(PART_PREFIX);
                let source =
                    index.and_then(|i| i.parse::<usize>().ok()).and_then(|i| tables.get(i));
                Ok(match source {
                    Some(source) => Transformed::yes(LogicalPlan::TableScan(TableScan {
                        source: Arc::clone(source),
                        ..scan
                    })),
                    None => Transformed::no(LogicalPlan::TableScan(scan)),
                })
            }
            other => Ok(Transformed::no(other)),
        });
        let state = self.context.state();
        let plan = plan.map_err(above)?.data;
        let physical = state.create_physical_plan(&plan).await.map_err(above)?;
        let schema = physical.schema();
        let batches = collect(physical, state.task_ctx()).await.map_err(above)?;
        if batches.is_empty() { Ok(vec![RecordBatch::new_empty(schema)]) } else { Ok(batches) }
    }
}

/// Recognises a plan above the cut that only picks and names columns: most questions. The engine
/// would give the same answer, a few milliseconds later.
fn renaming(cut: &Cut) -> Option<Vec<usize>> {
    let mut plan = &cut.above;
    let mut picked: Option<Vec<usize>> = None;
    while let LogicalPlan::Projection(projection) = plan {
        let column = |expr: &Expr| match expr.clone().unalias_nested().data {
            Expr::Column(column) => projection.input.schema().index_of_column(&column).ok(),
            _ => None,
        };
        let here = projection.expr.iter().map(column).collect::<Option<Vec<_>>>()?;
        picked = Some(match picked {
            None => here,
            Some(outer) => outer.iter().map(|&index| here[index]).collect(),
        });
        plan = &projection.input;
    }
    let scan = matches!(plan, LogicalPlan::TableScan(scan) if scan.projection.is_none());
    picked.filter(|_| scan && cut.parts.len() == 1)
}

fn rename(
    batch: &RecordBatch,
    columns: &[usize],
    question: &Question,
) -> Result<RecordBatch, AnswerError> {
    let picked = batch.project(columns).map_err(FinishError::from)?;
    let given = picked.schema();
    let names = question.cut.above.schema().fields().iter();
    let fields: Vec<_> = names
        .zip(given.fields())
        .map(|(name, field)| field.as_ref().clone().with_name(name.name()))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let rows = RecordBatchOptions::new().with_row_count(Some(picked.num_rows()));
    let renamed = RecordBatch::try_new_with_options(schema, picked.columns().to_vec(), &rows);
    Ok(renamed.map_err(FinishError::from)?)
}

#[allow(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn above(error: datafusion::common::DataFusionError) -> AnswerError {
    let text = error.strip_backtrace();
    AnswerError::Above(text.lines().next().unwrap_or_default().to_owned())
}

fn analyse(state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan, Refusal> {
    let analysed = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {});
    analysed.map_err(|error| refuse_error(&error))
}

/// The planner's session, as the cut sees it.
struct Session<'a>(&'a SessionState);

impl Planning for Session<'_> {
    fn types(
        &self,
        flat: &Flat,
        dimensions: &[Expr],
        inputs: &[Expr],
    ) -> Result<Vec<DataType>, Refusal> {
        let sql = flat.relation.to_sql(&named(dimensions, inputs, &[]))?;
        if dimensions.is_empty() && inputs.is_empty() {
            return Ok(Vec::new());
        }
        let analysed = analyse(self.0, self.plan(&sql)?)?;
        Ok(analysed.schema().fields().iter().map(|field| field.data_type().clone()).collect())
    }

    fn plan(&self, sql: &str) -> Result<LogicalPlan, Refusal> {
        // Planning over registered tables never waits: their providers are in memory.
        block_on(plan_query(self.0, sql))
    }
}

fn describe(measure: Measure) -> String {
    match measure {
        Measure::Rows => "rows".to_owned(),
        Measure::Persons => "distinct persons".to_owned(),
        Measure::Stays => "distinct stays".to_owned(),
        Measure::Contributors => "hospitals".to_owned(),
        Measure::Count(x) => format!("count of m{x}"),
        Measure::Sum(x) => format!("count and sum of m{x}"),
        Measure::Squares(x) => format!("count, sum and sum of squares of m{x}"),
        Measure::Histogram(x, bins) => format!("rows by {bins} bins of m{x}"),
        Measure::Step | Measure::Gradients(..) => "a sum of a model's step".to_owned(),
        Measure::Products(x, y) => format!("count, sums, squares and product of m{x}, m{y}"),
    }
}

impl Question {
    /// Whose cells the question opens.
    #[must_use]
    pub fn scope(&self) -> Scope {
        scope_of(&self.cut.parts)
    }

    /// What each dimension of each request can be; pooled requests need domains made from these.
    #[must_use]
    pub fn specs(&self) -> Vec<&[DomainSpec]> {
        self.cut.parts.iter().map(|part| part.specs.as_slice()).collect()
    }

    /// The requests that every hospital receives, on behalf of `asker`. In pooled scope, `domains`
    /// has one list for each request with one domain for each of its [`Question::specs`]; a
    /// question per hospital has none, and ignores them.
    ///
    /// # Errors
    /// A [`Refusal`] when `asker` is not a name, or when domains are missing or too large.
    pub fn requests(
        &self,
        asker: &str,
        domains: &[Vec<Domain>],
    ) -> Result<Vec<ReleaseRequest>, Refusal> {
        let scope = self.scope();
        let each = self.cut.parts.iter().enumerate().map(|(index, part)| {
            let own = domains.get(index).filter(|_| scope == Scope::Pooled);
            ReleaseRequest::try_from(RequestParts {
                scope,
                asker: asker.to_owned(),
                domains: own.cloned().unwrap_or_default(),
                ..part.request.clone()
            })
        });
        each.collect()
    }

    /// The request of a step of fitting a model over this question's rows: what it groups by are the
    /// step's leading columns, what it adds up its inputs.
    ///
    /// # Errors
    /// A [`Refusal`] when the question is no such one or the step does not fit it.
    pub fn step(
        &self,
        asker: &str,
        scope: Scope,
        fitting: impl Into<Fitting>,
    ) -> Result<ReleaseRequest, Refusal> {
        let [part] = self.cut.parts.as_slice() else {
            return Err(Refusal::new(
                RefusalCode::Model,
                "--where",
                "The condition is not one condition on stays.",
                "Write it as it would stand behind WHERE, without GROUP BY or further queries.",
            ));
        };
        let parts = StepParts {
            scope,
            asker: asker.to_owned(),
            relation_sql: part.request.relation_sql.clone(),
            inputs: part.request.inputs.clone(),
            fitting: fitting.into(),
        };
        ReleaseRequest::try_from(parts)
    }

    /// Where each request stands among others, in whatever snapshot.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.cut.parts.iter().map(|part| &part.frame)
    }

    /// The family of each request: rounds of one must not be over nearly the same hospitals.
    pub fn families(&self) -> impl Iterator<Item = [u8; 32]> {
        let each = self.cut.parts.iter().map(|part| &part.request.relation_sql);
        each.map(|relation| family_of(self.scope(), relation))
    }

    /// How many columns the only request groups by and adds up; `None` when there are several
    /// requests.
    #[must_use]
    pub fn width(&self) -> Option<(usize, usize)> {
        match self.cut.parts.as_slice() {
            [part] => Some((part.request.dimensions.len(), part.request.inputs.len())),
            _ => None,
        }
    }

    /// Whether `request` is one of this question's: the same scope, rows, groups and sums. Which codes
    /// a list has is for the coordinator to say; what becomes of all others is not.
    #[must_use]
    pub fn asks(&self, request: &ReleaseRequest) -> bool {
        self.scope() == request.scope() && self.cut.parts.iter().any(|part| is_part(part, request))
    }

    /// The measures of each request.
    #[must_use]
    pub fn measures(&self) -> Vec<&[Measure]> {
        self.cut.parts.iter().map(|part| part.request.measures.as_slice()).collect()
    }

    /// How exact each percentile is, given what was released.
    #[must_use]
    pub fn approximations(&self, combined: &[Combined]) -> Vec<Approximation> {
        let parts = self.cut.parts.iter().zip(combined);
        let each = parts.flat_map(|(part, combined)| {
            part.finals.iter().filter_map(|one| Approximation::of(one, combined))
        });
        each.collect()
    }

    /// Whether groups of one grouper scheme could be added up or compared with groups of another:
    /// some part uses them and neither fixes their scheme nor keeps schemes apart.
    #[must_use]
    pub fn mixes_schemes(&self) -> bool {
        self.cut.parts.iter().any(|part| part.mixes_schemes)
    }

    /// Whether some request reads this column.
    #[must_use]
    pub fn uses(&self, column: &str) -> bool {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut parts = self.cut.parts.iter();
        parts
            .any(|part| part.request.relation_sql.split(|c| !is_word(c)).any(|word| word == column))
    }

    /// What each request asks for, for people.
    #[must_use]
    pub fn explain(&self) -> Vec<Explained> {
        let each = self.cut.parts.iter().map(|part| Explained {
            relation_sql: part.request.relation_sql.clone(),
            dimensions: part.request.dimensions.clone(),
            measures: part.request.measures.iter().map(|measure| describe(*measure)).collect(),
            width: part.request.measures.iter().map(|measure| measure.width()).sum(),
            selective: part.selective,
            one_row_per_stay: part.one_row_per_stay,
        });
        each.collect()
    }

    /// The plan that runs on released values, for people.
    #[must_use]
    pub fn above(&self) -> String {
        self.cut.above.display_indent().to_string()
    }
}

/// Whether a request is this part of its question.
fn is_part(part: &Part, request: &ReleaseRequest) -> bool {
    let own = &part.request;
    let domains = request.domains();
    let alike = |(spec, domain): (&DomainSpec, &Domain)| spec.admits(domain);
    own.relation_sql == request.relation_sql()
        && own.dimensions == request.dimensions()
        && own.inputs == request.inputs()
        && own.measures == request.measures()
        && (domains.is_empty() || domains.len() == part.specs.len())
        && part.specs.iter().zip(domains).all(alike)
}

#[cfg(test)]
mod tests;
