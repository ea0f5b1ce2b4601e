//! The cut: from a planned question to release requests and the plan above them.
//!
//! Every aggregate that sits directly on governed tables is taken out of the plan and becomes a
//! release request; a scan of its future result takes its place. What stays is executed by
//! DataFusion on released values. A plan in which some governed table remains would return rows,
//! and is refused.

mod aggregate;
mod inputs;
mod schemes;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DataFusionError};
use datafusion::datasource::empty::EmptyTable;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder};
use model::{Refusal, RefusalCode};
use privacy::Policy;
use privacy::request::{ReleaseRequest, RequestParts, Scope};
use privacy::sketch::Frame;

use crate::domain::{DomainSpec, spec_of};
use crate::finish::Final;
use crate::walk::{Flat, Outputs, Walk, check_request_plan, flatten, named};
use aggregate::Decomposed;
use inputs::Settled;
pub(crate) use inputs::is_honest_bound;

/// Most aggregates over rows in one question; each costs the hospitals one request.
const MAX_PARTS: usize = 8;

/// Prefix of the tables that hold released results; no governed table has it.
pub(crate) const PART_PREFIX: &str = "__cut_";

/// One release request and how its cells become columns.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// What each hospital is asked, but for its asker, scope and domains.
    pub request: RequestParts,
    /// What each dimension can be.
    pub specs: Vec<DomainSpec>,
    /// Columns of the result: dimensions, then aggregates.
    pub schema: SchemaRef,
    /// One per aggregate.
    pub finals: Vec<Final>,
    /// Where it stands among other requests.
    pub frame: Frame,
    /// Some condition or join narrows the rows.
    pub selective: bool,
    /// Each row is one stay.
    pub one_row_per_stay: bool,
    /// It uses groups of a grouper without saying of which scheme.
    pub mixes_schemes: bool,
}

/// A question, taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Cut {
    /// What hospitals are asked.
    pub parts: Vec<Part>,
    /// What is computed from the answers; scans tables `__cut_0`, `__cut_1`, ...
    pub above: LogicalPlan,
}

/// What the cut asks of the planner.
pub(crate) trait Planning {
    /// The types of a relation's dimensions and inputs, in this order.
    ///
    /// # Errors
    /// A [`Refusal`] when the analyser finds no types for them.
    fn types(
        &self,
        flat: &Flat,
        dimensions: &[Expr],
        inputs: &[Expr],
    ) -> Result<Vec<DataType>, Refusal>;

    /// The plan of canonical SQL, as a node makes it.
    ///
    /// # Errors
    /// A [`Refusal`], for SQL that this crate has written itself in no known case.
    fn plan(&self, sql: &str) -> Result<LogicalPlan, Refusal>;
}

/// Cuts a planned question.
///
/// # Errors
/// A [`Refusal`] when rows would leave a hospital, or when something below the cut is not allowed.
pub(crate) fn cut(
    plan: LogicalPlan,
    policy: &Policy,
    planning: &dyn Planning,
) -> Result<Cut, Refusal> {
    let first_output = plan.schema().fields().first().map_or("", |field| field.name()).to_owned();
    let mut parts = Vec::new();
    let replaced = plan.transform_down_with_subqueries(|node| match &node {
        LogicalPlan::Aggregate(aggregate) if is_over_rows(&aggregate.input) => {
            let part = make_part(aggregate, policy, planning).map_err(external)?;
            if parts.len() == MAX_PARTS {
                return Err(external(too_many_parts()));
            }
            let scan = placeholder(aggregate, &part, parts.len())?;
            parts.push(part);
            Ok(Transformed::new(scan, true, TreeNodeRecursion::Jump))
        }
        _ => Ok(Transformed::no(node)),
    });
    let replaced = replaced
        .and_then(|plan| {
            plan.data
                .transform_up_with_subqueries(|node| Ok(Transformed::yes(node.recompute_schema()?)))
        })
        .map_err(|error| crate::session::refuse_error(&error))?
        .data;
    check_above(&replaced, &first_output)?;
    if parts.is_empty() {
        return Err(Refusal::new(
            RefusalCode::RowOutput,
            first_output,
            "The question aggregates nothing.",
            "Ask for count, sum, avg, stddev ... of a governed table; see `consilium catalog`.",
        ));
    }
    Ok(Cut { parts, above: replaced })
}

fn external(refusal: Refusal) -> DataFusionError {
    DataFusionError::External(Box::new(refusal))
}

fn too_many_parts() -> Refusal {
    let reason = format!("A question has at most {MAX_PARTS} aggregates over rows.");
    Refusal::new(RefusalCode::TooLarge, "SELECT", reason, "Ask in several questions.")
}

fn is_over_rows(plan: &LogicalPlan) -> bool {
    scans_rows(plan) && !contains(plan, |node| matches!(node, LogicalPlan::Aggregate(_)))
}

fn scans_rows(plan: &LogicalPlan) -> bool {
    contains(plan, |node| match node {
        LogicalPlan::TableScan(scan) => model::schema::table(scan.table_name.table()).is_some(),
        _ => false,
    })
}

fn contains(plan: &LogicalPlan, wanted: impl Fn(&LogicalPlan) -> bool) -> bool {
    plan.exists(|node| Ok(wanted(node))).unwrap_or(true)
}

fn make_part(
    aggregate: &Aggregate,
    policy: &Policy,
    planning: &dyn Planning,
) -> Result<Part, Refusal> {
    let flat = flatten(&aggregate.input)?;
    let dimensions = dimensions_of(aggregate, &flat)?;
    let mut decomposed = Decomposed::default();
    let mut finals = Vec::new();
    for expr in &aggregate.aggr_expr {
        finals.push(decomposed.add(expr, &flat, &aggregate.input)?);
    }
    let identity = flat.relation.identity().map(|[a, b]| vec![a, b]).unwrap_or_default();
    let walk = Walk::new(&flat.relation, policy);
    let raw = decomposed.inputs();
    let outputs = Outputs { dimensions: &dimensions, inputs: &raw, identity: &identity };
    let checked = walk.check(&outputs)?;
    let output_types = planning.types(&flat, &dimensions, &raw)?;
    let (dimension_types, input_types) = output_types.split_at(dimensions.len());
    let settled = decomposed.settle(&flat.relation, input_types)?;
    let finals = finals
        .into_iter()
        .map(|pending| settled.finish(pending, &flat.relation))
        .collect::<Result<Vec<_>, Refusal>>()?;
    let schema = part_schema(aggregate, dimension_types, &finals)?;
    let fields = schema.fields().iter();
    let specs = dimensions.iter().zip(fields).map(|(dimension, field)| {
        // The part's schema has the types that groups are written in.
        spec_of(&walk, dimension, field.data_type())
    });
    let specs = specs.collect::<Result<Vec<_>, Refusal>>()?;
    let sql = flat.relation.to_sql(&named(&dimensions, &settled.expressions, &identity))?;
    let (supports, frame) = as_asked(&sql, dimensions.len(), &settled, policy, planning)?;
    let names = (0..dimensions.len()).map(|i| aggregate.schema.field(i).name().clone());
    let request = RequestParts {
        scope: checked.scope,
        asker: "-".to_owned(),
        relation_sql: sql,
        dimensions: names.collect(),
        domains: Vec::new(),
        inputs: settled.inputs,
        measures: settled.measures,
        supports,
    };
    // Domains come later; everything else can be refused now.
    ReleaseRequest::try_from(RequestParts { scope: Scope::PerHospital, ..request.clone() })?;
    Ok(Part {
        request,
        specs,
        schema,
        finals,
        frame,
        selective: checked.selective,
        one_row_per_stay: checked.one_row_per_stay,
        mixes_schemes: schemes::are_mixed(&flat, &dimensions, &raw),
    })
}

fn dimensions_of(aggregate: &Aggregate, flat: &Flat) -> Result<Vec<Expr>, Refusal> {
    let each = aggregate.group_expr.iter().map(|expr| {
        if let Expr::GroupingSet(_) = expr {
            return Err(Refusal::new(
                RefusalCode::Clause,
                "GROUPING SETS",
                "ROLLUP, CUBE and GROUPING SETS are not possible over rows.",
                "Ask for each grouping, and unite the results with UNION ALL.",
            ));
        }
        flat.resolve(expr, &aggregate.input)
    });
    each.collect()
}

/// How many sets of persons stand behind each measure, and where the request stands, found as a node finds it: from
/// the canonical SQL. Two conditions that differ in the question and not in that text are one branch.
fn as_asked(
    sql: &str,
    dimensions: usize,
    settled: &Settled,
    policy: &Policy,
    planning: &dyn Planning,
) -> Result<(Vec<u32>, Frame), Refusal> {
    let plan = planning.plan(sql)?;
    let request = check_request_plan(&plan, policy, dimensions, settled.inputs.len())?;
    request.check_binning(&settled.measures, policy)?;
    Ok((request.executable(&settled.measures)?.supports, request.frame()?))
}

fn part_schema(
    aggregate: &Aggregate,
    dimension_types: &[DataType],
    finals: &[Final],
) -> Result<SchemaRef, Refusal> {
    let mut fields = Vec::new();
    for (index, data_type) in dimension_types.iter().enumerate() {
        let plain = match data_type {
            DataType::Dictionary(_, value) => value.as_ref().clone(),
            DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
            other => other.clone(),
        };
        if !crate::kernel::is_groupable_type(&plain) {
            let name = aggregate.schema.field(index).name();
            let reason = format!("A value of type {plain} cannot be grouped by.");
            return Err(Refusal::new(RefusalCode::Grouping, name, reason, ""));
        }
        fields.push(Field::new(format!("c{index}"), plain, true));
    }
    for (index, one) in finals.iter().enumerate() {
        let name = format!("c{}", dimension_types.len() + index);
        fields.push(Field::new(name, one.data_type.clone(), true));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// A scan of the part's future result under the names that the aggregate had.
fn placeholder(
    aggregate: &Aggregate,
    part: &Part,
    index: usize,
) -> Result<LogicalPlan, DataFusionError> {
    let name = format!("{PART_PREFIX}{index}");
    let source = provider_as_source(Arc::new(EmptyTable::new(Arc::clone(&part.schema))));
    let renamed = aggregate.schema.iter().enumerate().map(|(i, (qualifier, field))| {
        let column = Expr::Column(Column::new(Some(name.clone()), format!("c{i}")));
        column.alias_qualified(qualifier.cloned(), field.name())
    });
    LogicalPlanBuilder::scan(name.clone(), source, None)?.project(renamed)?.build()
}

fn check_above(plan: &LogicalPlan, first_output: &str) -> Result<(), Refusal> {
    let mut refusal = None;
    let _ = plan.apply_with_subqueries(|node| {
        refusal = match node {
            LogicalPlan::Aggregate(aggregate) if scans_rows(&aggregate.input) => {
                Some(Refusal::new(
                    RefusalCode::Clause,
                    "aggregate",
                    "Rows may not be joined with aggregated results.",
                    "Aggregate first, then join the aggregates.",
                ))
            }
            LogicalPlan::TableScan(scan) if !scan.table_name.table().starts_with(PART_PREFIX) => {
                Some(Refusal::new(
                    RefusalCode::RowOutput,
                    first_output,
                    format!("The question would return rows of {}.", scan.table_name.table()),
                    "Aggregate: SELECT drg_code, count(*), avg(total_cost) FROM stay GROUP BY \
                     drg_code.",
                ))
            }
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Join(_)
            | LogicalPlan::Union(_)
            | LogicalPlan::TableScan(_)
            | LogicalPlan::EmptyRelation(_)
            | LogicalPlan::Subquery(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Values(_)
            | LogicalPlan::Distinct(_) => None,
            other => {
                let name = other.display().to_string();
                let name = name.split([':', ' ']).next().unwrap_or("plan").to_owned();
                Some(Refusal::new(RefusalCode::Clause, name, "The clause is not possible.", ""))
            }
        };
        Ok(if refusal.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    refusal.map_or(Ok(()), Err)
}

/// Whether any part names hospitals; then the question is per-hospital.
pub(crate) fn scope_of(parts: &[Part]) -> Scope {
    if parts.iter().any(|part| part.request.scope == Scope::PerHospital) {
        Scope::PerHospital
    } else {
        Scope::Pooled
    }
}
