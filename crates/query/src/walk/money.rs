//! Which inputs of a measure are amounts of money, whatever the asker has made of them.
//!
//! A regional sum of money needs a rule that other sums do not: no hospital may dominate it. So
//! the rule follows the amounts through arithmetic, casts, defaults and the results of CASE. It
//! does not follow them into conditions: how many stays cost more than 10,000 is a count.
//!
//! Nothing else may be added to an amount, or stand in its place: ten million beside each cost would make
//! everybody's part look alike, and could be subtracted afterwards.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Expr;
use model::schema::ColumnType;

use super::Relation;
use super::literal::{Literal, literal, number};

/// Whether some amount of money is part of the value of `input`, over base columns of `relation`.
pub(crate) fn is_money(relation: &Relation, input: &Expr) -> bool {
    match input {
        Expr::Column(_) => {
            relation.base(input).is_some_and(|(_, column)| column.column_type == ColumnType::Money)
        }
        Expr::Case(case) => {
            let mut results =
                case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            results.any(|result| is_money(relation, result))
        }
        // What the grammar does not know yet carries on whatever stands in it.
        other => {
            let mut found = false;
            let walked = other.apply_children(|child| {
                found |= is_money(relation, child);
                Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            });
            found || walked.is_err()
        }
    }
}

/// Whether some of the parts of a sum or a choice are amounts of money, and others are neither that nor
/// zero.
pub(super) fn is_mixed<'a>(relation: &Relation, parts: impl IntoIterator<Item = &'a Expr>) -> bool {
    let (mut amounts, mut others) = (false, false);
    for part in parts {
        if is_money(relation, part) {
            amounts = true;
        } else {
            others |= !is_nothing(part);
        }
    }
    amounts && others
}

/// Zero or NULL, in whatever type.
fn is_nothing(part: &Expr) -> bool {
    match part {
        Expr::Cast(cast) => is_nothing(&cast.expr),
        _ => number(part) == Some(0.0) || literal(part) == Some(Literal::Null),
    }
}
