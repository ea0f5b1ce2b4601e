//! Comparability: a group's code means something within its grouper scheme and version only.

use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use model::schema::DRG_SCHEME;

use crate::walk::Flat;

/// Columns whose codes belong to a grouper scheme.
const GROUPED: &[&str] = &["drg_code", "adrg_code", "mdc_code"];

/// Whether the part uses groups of a grouper without saying of which scheme.
pub(super) fn are_mixed(flat: &Flat, dimensions: &[Expr], inputs: &[Expr]) -> bool {
    let relation = &flat.relation;
    let names = |expr: &Expr, wanted: &[&str]| {
        expr.column_refs().into_iter().any(|column| {
            let base = relation.base(&Expr::Column(column.clone()));
            base.is_some_and(|(_, column)| wanted.contains(&column.name))
        })
    };
    let is_fixed = |filter: &Expr| match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            let literal = |expr: &Expr| matches!(expr, Expr::Literal(..));
            (names(left, &[DRG_SCHEME]) && literal(right))
                || (names(right, &[DRG_SCHEME]) && literal(left))
        }
        _ => false,
    };
    let apart = dimensions.iter().any(|dimension| names(dimension, &[DRG_SCHEME]));
    let mut everything = relation.filters.iter().chain(dimensions).chain(inputs);
    everything.any(|expr| names(expr, GROUPED)) && !apart && !relation.filters.iter().any(is_fixed)
}
