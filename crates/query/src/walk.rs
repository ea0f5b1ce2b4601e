//! The policy walk: what may stand below an aggregate, default-deny.
//!
//! Both sides run it: the coordinator for early feedback, the node because it trusts nobody. It
//! reads the plan as the SQL planner made it, before any optimiser rule: [`flatten`] turns it into
//! base tables, declared joins and expressions over base columns, refusing every plan node it does
//! not know; [`condition`] and [`output`] then match each expression against a small grammar.
//! What is not in the grammar is refused, so a new SQL feature is closed until someone opens it.
//!
//! Rules: identity columns only in declared joins and as the two identity outputs; filters,
//! groupings and measures only on columns that the data model and the policy both open; literals
//! no finer than the policy's granularity. Non-smooth functions of a measure (`abs`, `round`,
//! `floor`, integer division, comparisons outside CASE) are refused because a series of sums over
//! them reveals single values.

mod branches;
mod condition;
mod flatten;
mod frame;
mod literal;
mod money;
mod output;
mod overflow;

use branches::{Branch, Branching, combinations, of_measure};
pub(crate) use condition::{Form, Operand};
pub(crate) use flatten::{Flat, Relation, flatten};
pub(crate) use frame::is_ordered;
pub(crate) use literal::number;
pub(crate) use money::is_money;
pub(crate) use output::Outputs;

use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{Expr, LogicalPlan};
use model::schema::bins::{AGE_STEP, AMOUNT_STEP};
use model::schema::{Column, Grain, HOSPITAL_ID, Table};
use model::{Refusal, RefusalCode};
use privacy::policy::{Granularity, Use};
use privacy::request::Scope;
use privacy::{Measure, Policy};

use crate::bounds::magnitude;
use crate::kernel::VALUE_SETS;

/// A relation that passed the walk. Only [`Walk::check`] makes one.
#[derive(Debug)]
pub(crate) struct Checked {
    /// The scope that its columns imply.
    pub scope: Scope,
    /// Some condition or join narrows the rows.
    pub selective: bool,
    /// Each row is one stay.
    pub one_row_per_stay: bool,
}

/// A request's relation that passed the walk, in flat form.
#[derive(Debug)]
pub(crate) struct CheckedRequest {
    /// What the walk found.
    pub checked: Checked,
    relation: Relation,
    dimensions: Vec<Expr>,
    inputs: Vec<Expr>,
    identity: Vec<Expr>,
}

/// What a node executes: the relation with branch columns between inputs and identity.
#[derive(Debug)]
pub(crate) struct Executable {
    /// SQL written from the flat form.
    pub sql: String,
    /// Number of branch columns.
    pub branches: usize,
    /// For each measure, its branch columns and how many values each has.
    pub branches_of: Vec<Vec<(usize, usize)>>,
    /// For each measure, the sets of persons that the kernel counts behind it.
    pub supports: Vec<u32>,
    /// For each measure, what tells rows apart in it; empty where nothing does.
    pub told_apart: Vec<String>,
}

/// The sets of persons that the kernel counts behind `measure`.
///
/// # Errors
/// A [`Refusal`] when there are more than [`of_measure`] admits.
fn supports_of(measure: Measure, branches: &[Branch]) -> Result<u32, Refusal> {
    if measure.inputs() == (None, None) {
        return Ok(0);
    }
    let combinations = if branches.is_empty() { 0 } else { combinations(branches)? };
    // A few hundred at most.
    Ok(u32::try_from(VALUE_SETS + combinations).unwrap_or(u32::MAX))
}

impl CheckedRequest {
    /// For each input, whether it is an amount of money.
    pub(crate) fn money(&self) -> Vec<bool> {
        self.inputs.iter().map(|input| is_money(&self.relation, input)).collect()
    }

    /// For each input, the largest magnitude that its expression can have, in its own unit.
    pub(crate) fn magnitudes(&self) -> Vec<Option<f64>> {
        self.inputs.iter().map(|input| magnitude(&self.relation, input)).collect()
    }

    /// Whether every output is a column and nothing else.
    pub(crate) fn is_bare(&self) -> bool {
        let mut outputs = self.dimensions.iter().chain(&self.inputs);
        outputs.all(|output| self.relation.base(output).is_some())
    }

    /// For each input, the column whose bins a histogram of it has.
    pub(crate) fn binned(&self) -> Vec<Option<&'static Column>> {
        let column = |expr: &Expr| self.relation.base(binned(expr)?).map(|(_, column)| column);
        self.inputs.iter().map(column).collect()
    }

    /// For each input, the column whose values it is, or some of them, each at most once.
    pub(crate) fn summed(&self) -> Vec<Option<(&'static Table, &'static Column)>> {
        let column = |expr: &Expr| {
            let found = self.relation.base(binned(expr)?)?;
            let mut others = self.relation.tables.iter().map(|one| one.table);
            // A table that has several rows of a stay would repeat the values of another.
            let own = others.position(|table| std::ptr::eq(table, found.0))?;
            let mut others = self.relation.tables.iter().enumerate();
            let once = others.all(|(index, one)| index == own || one.table.one_row_per_stay);
            once.then_some(found)
        };
        self.inputs.iter().map(column).collect()
    }

    /// A histogram is of a bare column, as [`binned`] finds it, that conditions may cut as finely.
    ///
    /// # Errors
    /// A [`Refusal`] that names the column.
    pub(crate) fn check_binning(
        &self,
        measures: &[Measure],
        policy: &Policy,
    ) -> Result<(), Refusal> {
        for measure in measures {
            let Measure::Histogram(x, _) = *measure else { continue };
            let expr = self.inputs.get(x).and_then(binned);
            let found = expr.and_then(|expr| self.relation.base(expr));
            let (table, column) = found.ok_or_else(|| refuse_binning("histogram"))?;
            may_bin(table, column, policy)?;
        }
        Ok(())
    }

    /// Adds the branch columns that the gate needs for `measures`.
    ///
    /// # Errors
    /// A [`Refusal`] when a measure tells rows apart in too many ways.
    pub(crate) fn executable(&self, measures: &[Measure]) -> Result<Executable, Refusal> {
        let each = self.inputs.iter().map(|input| Branching::of(&self.relation, input));
        let branching: Vec<_> = each.collect();
        let mut columns: Vec<Branch> = Vec::new();
        let mut branches_of = Vec::new();
        let (mut supports, mut told_apart) = (Vec::new(), Vec::new());
        for measure in measures {
            let (x, y) = measure.inputs();
            let inputs = x.into_iter().chain(y).filter_map(|index| branching.get(index));
            let branches = of_measure(&inputs.collect::<Vec<_>>())?;
            supports.push(supports_of(*measure, &branches)?);
            let texts = branches.iter().map(|branch| flatten::text(&branch.expr));
            told_apart.push(texts.collect::<Result<Vec<_>, _>>()?.join("\n"));
            let mut own = Vec::new();
            for branch in branches {
                let values = branch.values;
                let known = columns.iter().position(|column| *column == branch);
                own.push((known.unwrap_or(columns.len()), values));
                if known.is_none() {
                    columns.push(branch);
                }
            }
            branches_of.push(own);
        }
        let mut outputs = named(&self.dimensions, &self.inputs, &[]);
        let branches = columns.into_iter().enumerate();
        outputs.extend(branches.map(|(index, branch)| (format!("b{index}"), branch.expr)));
        let branches = outputs.len() - self.dimensions.len() - self.inputs.len();
        outputs.extend(named(&[], &[], &self.identity));
        let sql = self.relation.to_sql(&outputs)?;
        Ok(Executable { sql, branches, branches_of, supports, told_apart })
    }
}

/// The column whose values are counted in bins: the input itself, or the THEN of its only WHEN. The
/// bins of a column are the same in every question. Those of an expression over it would not be:
/// `x + 1` moves them by one, and two such histograms tell who lies in between.
pub(crate) fn binned(input: &Expr) -> Option<&Expr> {
    match input {
        Expr::Column(_) => Some(input),
        Expr::Case(case) => match case.when_then_expr.as_slice() {
            [(_, then)] if case.expr.is_none() && case.else_expr.is_none() => {
                Some(then.as_ref()).filter(|then| matches!(then, Expr::Column(_)))
            }
            _ => None,
        },
        _ => None,
    }
}

/// A histogram tells what counts under conditions would tell, so it needs what they need.
pub(crate) fn may_bin(table: &Table, column: &Column, policy: &Policy) -> Result<(), Refusal> {
    let Granularity { age_years, money, .. } = policy.granularity;
    let is_fine_enough = match column.grain {
        Grain::AgeBand => AGE_STEP % i64::from(age_years.max(1)) == 0,
        Grain::Amount => AMOUNT_STEP % i64::from(money.max(1)) == 0,
        _ => true,
    };
    let allowed = policy.allows_column(table.name, column.name, Use::Filter);
    if allowed && is_fine_enough && column.bin_edges().is_some() {
        return Ok(());
    }
    Err(Refusal::new(
        RefusalCode::Aggregate,
        full_name(table, column),
        "The column has no percentiles: its bins would be finer than conditions on it may be.",
        "Use avg and stddev.",
    ))
}

/// What an asker is told whose percentile is not of a column.
pub(crate) fn refuse_binning(name: &str) -> Refusal {
    Refusal::new(
        RefusalCode::Aggregate,
        format!("{name}()"),
        "A percentile is of a column: the bins of an expression would move with it.",
        "Write approx_median(total_cost), with FILTER (WHERE ...) if need be.",
    )
}

/// Names the outputs of a relation: `d0..`, `m0..`, `person_key`, `stay_key`.
pub(crate) fn named(
    dimensions: &[Expr],
    inputs: &[Expr],
    identity: &[Expr],
) -> Vec<(String, Expr)> {
    let numbered = |prefix: &'static str, list: &[Expr]| {
        let each = list.iter().enumerate();
        each.map(move |(i, expr)| (format!("{prefix}{i}"), expr.clone())).collect::<Vec<_>>()
    };
    let mut all = numbered("d", dimensions);
    all.extend(numbered("m", inputs));
    let keys = ["person_key", "stay_key"].map(str::to_owned);
    all.extend(keys.into_iter().zip(identity.iter().cloned()));
    all
}

/// The walk over one relation under one policy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk<'a> {
    relation: &'a Relation,
    policy: &'a Policy,
}

/// Whether a `plan` of this text is read as the text again, when it is flattened and written once more: then what
/// runs is what was checked, and no text in it was read as something else on the way.
///
/// # Errors
/// A [`Refusal`] when the plan cannot be flattened or written.
pub(crate) fn is_read_as(plan: &LogicalPlan, sql: &str) -> Result<bool, Refusal> {
    let Flat { relation, outputs } = flatten(plan)?;
    let names = plan.schema().fields().iter().map(|field| field.name().clone());
    Ok(relation.to_sql(&names.zip(outputs).collect::<Vec<_>>())? == sql)
}

/// Flattens and checks the relation of a release request, as a node receives it: `dimensions`
/// outputs, `inputs` outputs, then `person_key` and `stay_key`.
pub(crate) fn check_request_plan(
    plan: &LogicalPlan,
    policy: &Policy,
    dimensions: usize,
    inputs: usize,
) -> Result<CheckedRequest, Refusal> {
    let mut flat = flatten(plan)?;
    if flat.outputs.len() != dimensions + inputs + 2 {
        return Err(Refusal::new(
            RefusalCode::Request,
            "relation",
            "The relation has not the columns that its request declares.",
            "",
        ));
    }
    let identity = flat.outputs.split_off(dimensions + inputs);
    let inputs = flat.outputs.split_off(dimensions);
    let dimensions = flat.outputs;
    let walk = Walk::new(&flat.relation, policy);
    let outputs = Outputs { dimensions: &dimensions, inputs: &inputs, identity: &identity };
    let checked = walk.check(&outputs)?;
    Ok(CheckedRequest { checked, relation: flat.relation, dimensions, inputs, identity })
}

impl<'a> Walk<'a> {
    pub(crate) const fn new(relation: &'a Relation, policy: &'a Policy) -> Self {
        Self { relation, policy }
    }

    /// Checks every expression of the relation.
    ///
    /// # Errors
    /// The first [`Refusal`] met.
    pub(crate) fn check(&self, outputs: &Outputs<'_>) -> Result<Checked, Refusal> {
        let everything =
            || self.relation.filters.iter().chain(outputs.dimensions).chain(outputs.inputs);
        self.check_literals(everything())?;
        for filter in &self.relation.filters {
            self.condition(filter)?;
        }
        self.outputs(outputs)?;
        for output in outputs.dimensions.iter().chain(outputs.inputs) {
            if output.exists(|node| Ok(matches!(node, Expr::InSubquery(_)))).unwrap_or(true) {
                return Err(Refusal::new(
                    RefusalCode::Join,
                    "IN (SELECT ...)",
                    "A subquery selects stays in WHERE only.",
                    "Move the condition into WHERE.",
                ));
            }
        }
        let names_hospitals = everything().any(|expr| self.mentions(expr, HOSPITAL_ID));
        let narrows = self.relation.filters.iter().any(|filter| !self.relation.is_local(filter));
        let single = matches!(self.relation.tables.as_slice(), [one] if one.table.one_row_per_stay);
        Ok(Checked {
            scope: if names_hospitals { Scope::PerHospital } else { Scope::Pooled },
            selective: narrows || self.relation.tables.len() > 1,
            one_row_per_stay: single,
        })
    }

    /// The governed column behind a resolved expression, if it is a bare column.
    pub(crate) fn base(&self, expr: &Expr) -> Option<(&'static Table, &'static Column)> {
        self.relation.base(expr)
    }

    fn mentions(&self, expr: &Expr, name: &str) -> bool {
        expr.column_refs().iter().any(|column| column.name == name)
    }
}

/// `table.column` for texts.
pub(crate) fn full_name(table: &Table, column: &Column) -> String {
    format!("{}.{}", table.name, column.name)
}
