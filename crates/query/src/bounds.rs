//! How large a measure's input can be, from the columns' public bounds: interval arithmetic.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use num_traits::ToPrimitive;

use crate::walk::Relation;

/// Largest magnitude of `expr` in its own unit; `None` when no bound can be derived.
pub(crate) fn magnitude(relation: &Relation, expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Column(_) => {
            let (_, column) = relation.base(expr)?;
            let (low, high) = column.bounds.unwrap_or((0, 1));
            low.unsigned_abs().max(high.unsigned_abs()).to_f64()
        }
        Expr::Literal(value, _) => scalar(value),
        Expr::Negative(inner) => magnitude(relation, inner),
        Expr::Cast(cast) => magnitude(relation, &cast.expr),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (a, b) = (magnitude(relation, left)?, magnitude(relation, right)?);
            match op {
                Operator::Plus | Operator::Minus => Some(a + b),
                Operator::Multiply => Some(a * b),
                Operator::Divide if b > 0.0 => Some(a / b),
                _ => None,
            }
        }
        Expr::Case(case) => {
            let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            results
                .map(|result| magnitude(relation, result))
                .try_fold(0.0, |m, r| Some(f64::max(m, r?)))
        }
        Expr::ScalarFunction(call) => match call.func.name() {
            // |ln x| for the smallest positive amount, 10^-4, up to the largest double.
            "ln" => Some(800.0),
            "sqrt" => magnitude(relation, call.args.first()?).map(f64::sqrt),
            "coalesce" => {
                let each = call.args.iter().map(|arg| magnitude(relation, arg));
                each.into_iter().try_fold(0.0, |m, r| Some(f64::max(m, r?)))
            }
            _ => None,
        },
        _ => None,
    }
}

fn scalar(value: &ScalarValue) -> Option<f64> {
    match value {
        ScalarValue::Null => Some(0.0),
        ScalarValue::Int64(Some(v)) => v.unsigned_abs().to_f64(),
        ScalarValue::Float64(Some(v)) if v.is_finite() => Some(v.abs()),
        ScalarValue::Decimal128(Some(v), _, scale) => {
            Some(v.unsigned_abs().to_f64()? / 10f64.powi(i32::from(*scale)))
        }
        ScalarValue::Int64(None) | ScalarValue::Float64(None) => Some(0.0),
        _ => None,
    }
}
