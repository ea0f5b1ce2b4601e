//! No row can make a measure fail: whether a sum is computed or an error comes back would tell that somebody
//! has a value beyond a limit of the asker's choice, before any rule has looked at it.
//!
//! The engine checks whole numbers and decimals for overflow, and casts that do not fit, row by row. So every step of
//! an expression is bounded here, from the columns' public bounds ([`magnitude`]), and an expression of which
//! some step could be too large is refused, whatever the rows hold. Doubles do not fail; they are only not
//! turned back into decimals or whole numbers, which infinities and NaN would make fail.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, Operator};
use model::schema::ColumnType;
use model::{Refusal, RefusalCode};

use super::Walk;
use crate::bounds::magnitude;

/// Decimal digits that a step may need; the type holds one more.
const DIGITS: i32 = 37;
/// Digits that a division of decimals adds behind the point.
const DIVISION_DIGITS: i32 = 4;

/// The type of a step, as far as its limits go; the order is that in which types give way to one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Number {
    Narrow,
    Wide,
    /// With so many digits behind the point.
    Decimal(i32),
    Double,
}

impl Number {
    /// Largest magnitude that it holds.
    fn limit(self) -> f64 {
        match self {
            Self::Narrow => f64::from(i32::MAX),
            // 2^63, of which doubles are a few hundred apart.
            Self::Wide => 9.2e18,
            Self::Decimal(scale) => 10f64.powi(DIGITS - scale),
            Self::Double => f64::INFINITY,
        }
    }

    const fn scale(self) -> i32 {
        match self {
            Self::Decimal(scale) => scale,
            _ => 0,
        }
    }
}

impl Walk<'_> {
    /// Whether every step of `expr` holds whatever rows give it.
    pub(super) fn holds(&self, expr: &Expr) -> Result<(), Refusal> {
        match self.number(expr) {
            Some(_) => Ok(()),
            None => Err(Refusal::new(
                RefusalCode::Measure,
                expr.to_string().chars().take(60).collect::<String>(),
                "Some row could exceed what the types of this expression hold, and no question may fail because \
                 of a row.",
                "Cast a column to DOUBLE before calculating with it: CAST(total_cost AS DOUBLE) * ...",
            )),
        }
    }

    /// The type of a step; `None` when it, or one below it, could fail.
    fn number(&self, expr: &Expr) -> Option<Number> {
        let found = match expr {
            Expr::Column(_) => match self.base(expr)?.1.column_type {
                ColumnType::Money => Number::Decimal(model::schema::MONEY_SCALE.into()),
                _ => Number::Narrow,
            },
            Expr::Literal(ScalarValue::Decimal128(_, _, scale), _) => {
                Number::Decimal((*scale).into())
            }
            Expr::Literal(ScalarValue::Float64(_), _) => Number::Double,
            Expr::Literal(ScalarValue::Null, _) => Number::Narrow,
            Expr::Literal(..) => Number::Wide,
            Expr::Negative(inner) => self.number(inner)?,
            Expr::Cast(cast) => self.converted(cast)?,
            Expr::Case(case) => {
                let results = case.when_then_expr.iter().map(|(_, then)| then);
                self.widest(results.chain(&case.else_expr).map(AsRef::as_ref))?
            }
            Expr::ScalarFunction(call) if call.func.name() == "coalesce" => {
                self.widest(call.args.iter())?
            }
            Expr::ScalarFunction(call) => {
                self.widest(call.args.iter())?;
                Number::Double
            }
            Expr::BinaryExpr(operation) => self.calculated(operation)?,
            _ => return None,
        };
        let holds = found == Number::Double
            || magnitude(self.relation, expr).is_some_and(|largest| largest <= found.limit());
        holds.then_some(found)
    }

    fn widest<'e>(&self, parts: impl Iterator<Item = &'e Expr>) -> Option<Number> {
        let mut widest = Number::Narrow;
        for part in parts {
            widest = widest.max(self.number(part)?);
        }
        Some(widest)
    }

    fn converted(&self, cast: &Cast) -> Option<Number> {
        // A flag is no number before it is cast, and 0 or 1 then.
        let inner = match self.base(&cast.expr) {
            Some((_, column)) if column.column_type == ColumnType::Boolean => Number::Narrow,
            _ => self.number(&cast.expr)?,
        };
        let target = match cast.field.data_type() {
            DataType::Float64 => return Some(Number::Double),
            DataType::Int32 => Number::Narrow,
            DataType::Int64 => Number::Wide,
            DataType::Decimal128(precision, scale) => {
                let whole = i32::from(*precision) - i32::from(*scale);
                let largest = magnitude(self.relation, &cast.expr)?;
                // Rounding may add one to the last digit.
                if largest >= 10f64.powi(whole) - 1.0 {
                    return None;
                }
                Number::Decimal((*scale).into())
            }
            _ => return None,
        };
        (inner != Number::Double).then_some(target)
    }

    fn calculated(&self, operation: &BinaryExpr) -> Option<Number> {
        let BinaryExpr { left, op, right } = operation;
        let (a, b) = (self.number(left)?, self.number(right)?);
        let widest = a.max(b);
        Some(match (op, widest) {
            (_, Number::Double) => Number::Double,
            (Operator::Multiply, Number::Decimal(_)) => Number::Decimal(a.scale() + b.scale()),
            (Operator::Divide, Number::Decimal(_)) => {
                // The dividend is first brought to the scale of the result and of the divisor.
                let scale = a.scale() + b.scale() + DIVISION_DIGITS;
                let dividend = Number::Decimal(scale).limit();
                if magnitude(self.relation, left)? > dividend {
                    return None;
                }
                Number::Decimal(a.scale() + DIVISION_DIGITS)
            }
            _ => widest,
        })
    }
}
