//! What a relation may select: dimensions, inputs of measures, and the two identity columns.

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, Operator};
use model::schema::{Column, ColumnType, Kind, PERSON_KEY, STAY_KEY, Table};
use model::{Refusal, RefusalCode};
use privacy::policy::Use;

use super::condition::{Form, Operand, refuse_identity};
use super::literal::{Literal, literal};
use super::money::is_mixed;
use super::{Walk, full_name};

/// The selected expressions, all over base columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outputs<'a> {
    /// What is grouped by.
    pub dimensions: &'a [Expr],
    /// What is added up.
    pub inputs: &'a [Expr],
    /// `person_key`, `stay_key`.
    pub identity: &'a [Expr],
}

const fn is_comparison(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

fn is_condition(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op, .. }) => {
            is_comparison(*op) || matches!(op, Operator::And | Operator::Or)
        }
        Expr::Not(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::Between(_)
        | Expr::InList(_)
        | Expr::Like(_) => true,
        _ => false,
    }
}

fn grouping_hint(column: &Column) -> String {
    match column.name {
        "los_days" => "Group by los_band.".into(),
        "age_years" | "age_days" => "Group by age_band.".into(),
        _ if column.is_calendar() => format!("Group by date_trunc('month', {}).", column.name),
        _ if column.kind == Kind::Number => {
            format!("Group by bands: CASE WHEN {} < ... THEN '...' ... END.", column.name)
        }
        _ => "See `consilium catalog` for what can be grouped.".into(),
    }
}

impl Walk<'_> {
    /// Checks all outputs.
    pub(super) fn outputs(&self, outputs: &Outputs<'_>) -> Result<(), Refusal> {
        for dimension in outputs.dimensions {
            self.dimension(dimension)?;
        }
        for input in outputs.inputs {
            self.input(input)?;
            self.holds(input)?;
        }
        let names: Vec<_> = outputs.identity.iter().map(|expr| self.base(expr)).collect();
        match names.as_slice() {
            [Some((_, person)), Some((_, stay))]
                if person.name == PERSON_KEY && stay.name == STAY_KEY =>
            {
                Ok(())
            }
            _ => Err(Refusal::new(
                RefusalCode::Request,
                "identity",
                "A relation ends with person_key and stay_key of one table.",
                "",
            )),
        }
    }

    fn dimension(&self, expr: &Expr) -> Result<(), Refusal> {
        match expr {
            Expr::Case(case) => self.banding(case),
            Expr::Literal(..) => Ok(()),
            _ if is_condition(expr) => self.condition(expr),
            Expr::Column(_) | Expr::ScalarFunction(_) => {
                let operand = self.operand(expr).map_err(|refusal| {
                    if refusal.code == RefusalCode::Filter {
                        refuse_grouping(expr)
                    } else {
                        refusal
                    }
                })?;
                self.may_group(&operand)
            }
            other => Err(refuse_grouping(other)),
        }
    }

    fn may_group(&self, operand: &Operand) -> Result<(), Refusal> {
        let Operand { table, column, form } = *operand;
        if column.kind == Kind::Id {
            return Err(refuse_identity(table, column));
        }
        let possible = match form {
            Form::Plain => column.is_groupable(),
            Form::Prefix(_) => !column.prefixes.is_empty(),
            Form::Trunc(_) | Form::Part(_) => column.is_calendar(),
        };
        if possible && self.policy.allows_column(table.name, column.name, Use::Group) {
            return Ok(());
        }
        Err(Refusal::new(
            RefusalCode::Grouping,
            full_name(table, column),
            "The column has no code list, so it cannot be grouped by.",
            grouping_hint(column),
        ))
    }

    /// `CASE WHEN condition THEN 'label' ... END` as a dimension.
    fn banding(&self, case: &Case) -> Result<(), Refusal> {
        self.case_conditions(case)?;
        let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
        for result in results {
            if literal(result).is_none() {
                return Err(Refusal::new(
                    RefusalCode::Grouping,
                    "CASE",
                    "A CASE that is grouped by has literal results.",
                    "Write THEN 'label'.",
                ));
            }
        }
        Ok(())
    }

    fn case_conditions(&self, case: &Case) -> Result<(), Refusal> {
        for (when, _) in &case.when_then_expr {
            match &case.expr {
                None => self.condition(when)?,
                Some(subject) => self.condition(&subject.as_ref().clone().eq((**when).clone()))?,
            }
        }
        Ok(())
    }

    /// Checks an input of a measure.
    fn input(&self, expr: &Expr) -> Result<(), Refusal> {
        match expr {
            Expr::Column(_) => self.measured_column(expr),
            Expr::Literal(..) => match literal(expr) {
                Some(Literal::Text(_)) | None => Err(refuse_measure(expr)),
                Some(_) => Ok(()),
            },
            Expr::Negative(inner) => self.input(inner),
            Expr::Cast(cast) => self.cast(cast),
            Expr::Case(case) => self.conditional_input(case),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => self.arithmetic(left, *op, right),
            Expr::ScalarFunction(call) => self.function(call.func.name(), &call.args),
            other => Err(refuse_measure(other)),
        }
    }

    fn measured_column(&self, expr: &Expr) -> Result<(), Refusal> {
        let Some((table, column)) = self.base(expr) else { return Err(refuse_measure(expr)) };
        if column.kind == Kind::Id {
            return Err(refuse_identity(table, column));
        }
        if column.is_measurable()
            && self.policy.allows_column(table.name, column.name, Use::Measure)
        {
            return Ok(());
        }
        Err(Refusal::new(
            RefusalCode::Measure,
            full_name(table, column),
            "The column is not a number that may be added up.",
            "Count it, group by it, or see `consilium catalog`.",
        ))
    }

    fn conditional_input(&self, case: &Case) -> Result<(), Refusal> {
        self.case_conditions(case)?;
        let results = || case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
        for result in results() {
            self.input(result)?;
        }
        self.unmixed(results().map(AsRef::as_ref))
    }

    /// Nothing but amounts beside amounts.
    fn unmixed<'e>(&self, parts: impl IntoIterator<Item = &'e Expr>) -> Result<(), Refusal> {
        if !is_mixed(self.relation, parts) {
            return Ok(());
        }
        Err(Refusal::new(
            RefusalCode::Measure,
            "+ - CASE coalesce",
            "Something else than money stands beside an amount of money, which would hide whose the amounts \
             are.",
            "Add it to the aggregated result; in CASE and coalesce use 0 or NULL.",
        ))
    }

    /// Casts that keep every value: to DOUBLE, to a wide DECIMAL, and flags to numbers.
    fn cast(&self, cast: &Cast) -> Result<(), Refusal> {
        let flag = self
            .base(&cast.expr)
            .is_some_and(|(_, column)| column.column_type == ColumnType::Boolean);
        let target = cast.field.data_type();
        let keeps = match target {
            DataType::Float64 => true,
            DataType::Decimal128(precision, scale) => {
                *scale >= 4 && i16::from(*precision) - i16::from(*scale) >= 12
            }
            DataType::Int32 | DataType::Int64 => flag || is_integral(self, &cast.expr),
            _ => false,
        };
        if keeps {
            return self.input(&cast.expr);
        }
        Err(Refusal::new(
            RefusalCode::Measure,
            format!("CAST AS {target}"),
            "A cast that rounds or narrows may not stand in a measure.",
            "Cast to DOUBLE, or round the aggregated result.",
        ))
    }

    fn arithmetic(&self, left: &Expr, op: Operator, right: &Expr) -> Result<(), Refusal> {
        match op {
            Operator::Multiply => {
                self.input(left)?;
                self.input(right)
            }
            Operator::Plus | Operator::Minus => {
                self.input(left)?;
                self.input(right)?;
                self.unmixed([left, right])
            }
            Operator::Divide => {
                let divisor = match literal(right) {
                    Some(Literal::Whole(0)) | None => None,
                    Some(Literal::Whole(_)) if is_integral(self, left) => None,
                    Some(Literal::Number(value)) if value.abs() < f64::MIN_POSITIVE => None,
                    Some(value) => Some(value),
                };
                if divisor.is_none() {
                    return Err(Refusal::new(
                        RefusalCode::Measure,
                        "/",
                        "A measure is divided by a literal other than zero, without rounding.",
                        "Divide the sums: sum(a) / sum(b); or by a literal such as 7.0.",
                    ));
                }
                self.input(left)
            }
            other if is_comparison(other) => Err(Refusal::new(
                RefusalCode::Measure,
                other.to_string(),
                "A comparison is not a number.",
                "Write CASE WHEN ... THEN 1 ELSE 0 END, or count(*) FILTER (WHERE ...).",
            )),
            other => Err(Refusal::new(
                RefusalCode::Measure,
                other.to_string(),
                "The operator may not stand in a measure.",
                "Possible: +, -, *, and / by a literal.",
            )),
        }
    }

    fn function(&self, name: &str, args: &[Expr]) -> Result<(), Refusal> {
        match (name, args) {
            ("ln" | "sqrt", [column]) if self.base(column).is_some() => self.input(column),
            ("ln" | "sqrt", [_]) => Err(Refusal::new(
                RefusalCode::Measure,
                format!("{name}()"),
                "The function is applied to a bare column only.",
                format!("Write {name}(total_cost)."),
            )),
            ("coalesce", [first, second]) if literal(second).is_some() => {
                self.input(first)?;
                self.input(second)?;
                self.unmixed(args)
            }
            _ => Err(Refusal::new(
                RefusalCode::Function,
                format!("{name}()"),
                "The function may not stand in a measure.",
                "Possible: + - * /, CASE, coalesce(x, 0), ln(column), sqrt(column); apply others \
                 to the aggregated result.",
            )),
        }
    }
}

fn is_integral(walk: &Walk<'_>, expr: &Expr) -> bool {
    let integer_type =
        |column: &Column| matches!(column.column_type, ColumnType::Integer | ColumnType::Boolean);
    match expr {
        Expr::Column(_) => walk
            .base(expr)
            .is_some_and(|(_, column): (&'static Table, &'static Column)| integer_type(column)),
        Expr::Literal(..) => matches!(literal(expr), Some(Literal::Whole(_))),
        Expr::Negative(inner) => is_integral(walk, inner),
        Expr::Cast(cast) => cast.field.data_type().is_integer(),
        Expr::BinaryExpr(BinaryExpr { left, right, .. }) => {
            is_integral(walk, left) && is_integral(walk, right)
        }
        Expr::Case(case) => {
            let mut results =
                case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            results.all(|result| is_integral(walk, result))
        }
        Expr::ScalarFunction(call) => {
            call.func.name() == "coalesce" && call.args.iter().all(|arg| is_integral(walk, arg))
        }
        _ => false,
    }
}

fn refuse_measure(expr: &Expr) -> Refusal {
    let subject: String = expr.to_string().chars().take(60).collect();
    Refusal::new(
        RefusalCode::Measure,
        subject,
        "The expression is not a measure.",
        "Possible: columns, literals, + - * /, CASE.",
    )
}

fn refuse_grouping(expr: &Expr) -> Refusal {
    let subject: String = expr.to_string().chars().take(60).collect();
    Refusal::new(
        RefusalCode::Grouping,
        subject,
        "The expression has no code list, so it cannot be grouped by.",
        "Possible: columns of kind dim, left(code, n), date_trunc('month', t), CASE with literals.",
    )
}
