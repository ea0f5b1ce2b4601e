//! Relations of which each person contributes a bounded number of rows, for answers with noise.
//!
//! Which rows are kept of a person follows from that person's rows alone: they are put into one order by
//! everything in them, so rows that tie are the same. Were one of several taken as they come, somebody else's rows
//! could decide which, and the answer would move by more than one person's part.

use datafusion::common::DataFusionError;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Expr, ExprFunctionExt as _, LogicalPlan, LogicalPlanBuilder, lit};

/// The rows of `plan` whose last columns are `person_key` and `stay_key`: of each person the first `rows`, by
/// stay, in the order in which they are stored (by month and group, and then as the source has them), and then by all
/// other columns.
pub(super) fn bounded(plan: LogicalPlan, rows: u32) -> Result<LogicalPlan, DataFusionError> {
    let columns = plan.schema().columns();
    let [others @ .., person, stay] = columns.as_slice() else {
        return Err(DataFusionError::Plan("the relation names no persons".to_owned()));
    };
    let nth = row_number()
        .partition_by(vec![Expr::Column(person.clone())])
        .order_by(
            std::iter::once(stay)
                .chain(others)
                .map(|column| Expr::Column(column.clone()).sort(true, false))
                .collect(),
        )
        .build()?
        .alias("nth_of_person");
    let numbered = LogicalPlanBuilder::from(plan).window([nth.clone()])?;
    let nth = numbered.schema().columns().pop().map(Expr::Column);
    let nth = nth.ok_or_else(|| DataFusionError::Plan("the rows have no number".to_owned()))?;
    let kept = numbered.filter(nth.lt_eq(lit(u64::from(rows))))?;
    kept.project(columns.into_iter().map(Expr::Column))?.build()
}
