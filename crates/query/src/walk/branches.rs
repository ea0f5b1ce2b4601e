//! Conditions inside a measure, made visible to the gate.
//!
//! `sum(CASE WHEN c THEN 1 ELSE 2 END)` is a sum over everybody, and yet together with the number
//! of rows it tells how many meet `c`. So every way in which a measure tells rows apart becomes a
//! *branch column*: which WHEN of a CASE a row took, a flag's value, and, where there is any of
//! these, whether each nullable column is there. The kernel counts persons in each *combination*
//! of a measure's branches, and the gate withholds the measure when some combination has too few.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{BinaryExpr, Expr};
use model::schema::ColumnType;
use model::{Refusal, RefusalCode};

use super::Relation;

/// Most combinations of the branches of one measure.
const MAX_COMBINATIONS: usize = 256;

/// A column of small whole numbers, `0..values`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Branch {
    /// Which branch a row is in.
    pub expr: Expr,
    /// How many there are.
    pub values: usize,
}

/// What one input tells apart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Branching {
    conditions: Vec<Branch>,
    absences: Vec<Branch>,
    defaults: bool,
}

fn number(value: usize) -> Expr {
    Expr::Literal(ScalarValue::Int64(i64::try_from(value).ok()), None)
}

/// `CASE WHEN condition THEN 1 ELSE 0 END`.
fn two_ways(condition: Expr) -> Branch {
    let when_then_expr = vec![(condition.into(), number(1).into())];
    let case = Case { expr: None, when_then_expr, else_expr: Some(number(0).into()) };
    Branch { expr: Expr::Case(case), values: 2 }
}

impl Branching {
    /// What `input`, over base columns of `relation`, tells apart.
    pub(crate) fn of(relation: &Relation, input: &Expr) -> Self {
        let mut branching = Self::default();
        branching.visit(relation, input);
        branching
    }

    fn visit(&mut self, relation: &Relation, expr: &Expr) {
        match expr {
            Expr::Case(case) => {
                self.conditions.push(which(case));
                for result in
                    case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr)
                {
                    self.visit(relation, result);
                }
            }
            Expr::Column(_) => self.visit_column(relation, expr),
            Expr::ScalarFunction(call) => {
                self.defaults |= call.func.name() == "coalesce";
                for arg in &call.args {
                    self.visit(relation, arg);
                }
                // A logarithm of zero or less is absent, whatever the column's own NULLs.
                if let ("ln" | "sqrt", [arg]) = (call.func.name(), call.args.as_slice()) {
                    self.absences.push(two_ways(arg.clone().gt(number(0))));
                }
            }
            Expr::BinaryExpr(BinaryExpr { left, right, .. }) => {
                self.visit(relation, left);
                self.visit(relation, right);
            }
            Expr::Negative(inner) => self.visit(relation, inner),
            Expr::Cast(cast) => self.visit(relation, &cast.expr),
            _ => {}
        }
    }

    fn visit_column(&mut self, relation: &Relation, expr: &Expr) {
        let Some((_, column)) = relation.base(expr) else { return };
        if column.column_type == ColumnType::Boolean {
            let yes = (expr.clone().is_true().into(), number(1).into());
            let unknown = (expr.clone().is_null().into(), number(2).into());
            let else_expr = Some(number(0).into());
            let case = Case { expr: None, when_then_expr: vec![yes, unknown], else_expr };
            self.conditions.push(Branch { expr: Expr::Case(case), values: 3 });
        } else if !column.required {
            self.absences.push(two_ways(expr.clone().is_null()));
        }
    }
}

/// Which WHEN of a CASE a row takes: 1, 2, ...; 0 is ELSE.
fn which(case: &Case) -> Branch {
    let whens = case.when_then_expr.iter().enumerate();
    let when_then_expr = whens.map(|(i, (when, _))| (when.clone(), number(i + 1).into())).collect();
    let else_expr = Some(number(0).into());
    let numbered = Case { expr: case.expr.clone(), when_then_expr, else_expr };
    Branch { expr: Expr::Case(numbered), values: case.when_then_expr.len() + 1 }
}

/// The branch columns of a measure over `inputs`; none when it tells no rows apart.
///
/// # Errors
/// A [`Refusal`] when they have more than [`MAX_COMBINATIONS`] combinations.
pub(crate) fn of_measure(inputs: &[&Branching]) -> Result<Vec<Branch>, Refusal> {
    let tells_apart = inputs.iter().any(|one| one.defaults || !one.conditions.is_empty());
    if !tells_apart {
        return Ok(Vec::new());
    }
    let mut branches: Vec<Branch> = Vec::new();
    for branch in inputs.iter().flat_map(|one| one.conditions.iter().chain(&one.absences)) {
        if !branches.contains(branch) {
            branches.push(branch.clone());
        }
    }
    combinations(&branches)?;
    Ok(branches)
}

/// In how many ways branches combine.
///
/// # Errors
/// A [`Refusal`] when they have more than [`MAX_COMBINATIONS`] combinations.
pub(crate) fn combinations(branches: &[Branch]) -> Result<usize, Refusal> {
    let product = branches.iter().try_fold(1usize, |all, one| all.checked_mul(one.values));
    let admitted = product.filter(|product| *product <= MAX_COMBINATIONS);
    admitted.ok_or_else(|| {
        Refusal::new(
            RefusalCode::TooLarge,
            "CASE",
            format!("An aggregate tells rows apart in more than {MAX_COMBINATIONS} ways."),
            "Group by the condition, or ask in several aggregates.",
        )
    })
}
