//! Relations of which each person contributes a bounded number of rows, for answers with noise.

use datafusion::common::DataFusionError;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Expr, ExprFunctionExt as _, LogicalPlan, LogicalPlanBuilder, lit};

/// The rows of `plan` whose last columns are `person_key` and `stay_key`: of each person the first `rows` by
/// the latter, which is a keyed hash and says nothing of the stay.
pub(super) fn bounded(plan: LogicalPlan, rows: u32) -> Result<LogicalPlan, DataFusionError> {
    let columns = plan.schema().columns();
    let [.., person, stay] = columns.as_slice() else {
        return Err(DataFusionError::Plan("the relation names no persons".to_owned()));
    };
    let nth = row_number()
        .partition_by(vec![Expr::Column(person.clone())])
        .order_by(vec![Expr::Column(stay.clone()).sort(true, false)])
        .build()?
        .alias("nth_of_person");
    let numbered = LogicalPlanBuilder::from(plan).window([nth.clone()])?;
    let nth = numbered.schema().columns().pop().map(Expr::Column);
    let nth = nth.ok_or_else(|| DataFusionError::Plan("the rows have no number".to_owned()))?;
    let kept = numbered.filter(nth.lt_eq(lit(u64::from(rows))))?;
    kept.project(columns.into_iter().map(Expr::Column))?.build()
}
