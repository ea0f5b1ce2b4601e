//! Literals: what a condition may compare with, and how long conditions may be.

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use model::{Refusal, RefusalCode};

use super::Walk;

/// A literal as the rules see it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    /// A text.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// Any other number.
    Number(f64),
    /// TRUE, FALSE.
    Boolean,
    /// NULL.
    Null,
}

impl Literal {
    /// The whole number that this literal is, if it is one (`500.0` is 500).
    pub(super) fn as_whole(&self) -> Option<i64> {
        use num_traits::ToPrimitive;
        match self {
            Self::Whole(value) => Some(*value),
            Self::Number(value) if value.fract() == 0.0 => value.to_i64(),
            _ => None,
        }
    }
}

/// The number that a literal is.
pub(crate) fn number(expr: &Expr) -> Option<f64> {
    use num_traits::ToPrimitive;
    match literal(expr)? {
        Literal::Whole(value) => value.to_f64(),
        Literal::Number(value) => Some(value),
        _ => None,
    }
}

/// Reads a literal, also one with a sign or a type: `-5`, `DATE '2024-01-01'`.
pub(super) fn literal(expr: &Expr) -> Option<Literal> {
    match expr {
        Expr::Literal(value, _) => scalar(value),
        Expr::Negative(inner) => match literal(inner)? {
            Literal::Whole(value) => Some(Literal::Whole(value.checked_neg()?)),
            Literal::Number(value) => Some(Literal::Number(-value)),
            _ => None,
        },
        Expr::Cast(cast) => literal(&cast.expr).filter(|inner| matches!(inner, Literal::Text(_))),
        _ => None,
    }
}

fn scalar(value: &ScalarValue) -> Option<Literal> {
    use num_traits::ToPrimitive;
    Some(match value {
        ScalarValue::Null => Literal::Null,
        ScalarValue::Boolean(Some(_)) => Literal::Boolean,
        ScalarValue::Utf8(Some(text))
        | ScalarValue::LargeUtf8(Some(text))
        | ScalarValue::Utf8View(Some(text)) => Literal::Text(text.clone()),
        ScalarValue::Int8(Some(v)) => Literal::Whole(i64::from(*v)),
        ScalarValue::Int16(Some(v)) => Literal::Whole(i64::from(*v)),
        ScalarValue::Int32(Some(v)) => Literal::Whole(i64::from(*v)),
        ScalarValue::Int64(Some(v)) => Literal::Whole(*v),
        ScalarValue::UInt8(Some(v)) => Literal::Whole(i64::from(*v)),
        ScalarValue::UInt16(Some(v)) => Literal::Whole(i64::from(*v)),
        ScalarValue::UInt32(Some(v)) => Literal::Whole(i64::from(*v)),
        ScalarValue::UInt64(Some(v)) => Literal::Whole(i64::try_from(*v).ok()?),
        ScalarValue::Float32(Some(v)) => Literal::Number(f64::from(*v)),
        ScalarValue::Float64(Some(v)) => Literal::Number(*v),
        ScalarValue::Decimal128(Some(v), _, scale) => {
            Literal::Number(v.to_f64()? / 10f64.powi(i32::from(*scale)))
        }
        _ => return None,
    })
}

fn is_connective(expr: &Expr) -> Option<Operator> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op: op @ (Operator::And | Operator::Or), .. }) => Some(*op),
        _ => None,
    }
}

/// Whether an expression is deeper than `room` levels; chains of AND or OR count once.
fn is_deeper(expr: &Expr, parent: Option<Operator>, room: usize) -> bool {
    let own = is_connective(expr);
    let step = usize::from(own.is_none() || own != parent);
    let Some(room) = room.checked_sub(step) else { return true };
    let mut deeper = false;
    let _ = expr.apply_children(|child| {
        deeper |= is_deeper(child, own, room);
        Ok(if deeper { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    deeper
}

impl Walk<'_> {
    /// Checks number, length and depth of everything that the asker wrote.
    pub(super) fn check_literals<'e>(
        &self,
        expressions: impl Iterator<Item = &'e Expr>,
    ) -> Result<(), Refusal> {
        let limits = &self.policy.literals;
        let refuse = |subject: String, reason: String, instead: &str| {
            Err(Refusal::new(RefusalCode::Bounds, subject, reason, instead))
        };
        let mut count = 0usize;
        for expr in expressions {
            if is_deeper(expr, None, limits.max_depth) {
                let reason = format!("An expression is nested deeper than {}.", limits.max_depth);
                return refuse("expression".into(), reason, "Simplify it.");
            }
            let mut longest = 0;
            let _ = expr.apply(|node| {
                let Expr::Literal(value, _) = node else { return Ok(TreeNodeRecursion::Continue) };
                count += 1;
                if let Some(Literal::Text(text)) = scalar(value) {
                    longest = longest.max(text.chars().count());
                }
                Ok(TreeNodeRecursion::Continue)
            });
            if longest > limits.max_text_chars {
                let limit = limits.max_text_chars;
                let reason = format!("A text literal has more than {limit} characters.");
                return refuse(format!("text of {longest} characters"), reason, "Shorten it.");
            }
        }
        if count > limits.max_count {
            let reason = format!("A question has at most {} literals.", limits.max_count);
            return refuse(format!("{count} literals"), reason, "Use a prefix or a range.");
        }
        Ok(())
    }
}
