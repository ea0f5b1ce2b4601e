//! The grammar of conditions: WHERE, CASE WHEN, FILTER and groupings by a condition.
//!
//! A condition compares one governed column (or its prefix, or its month) with literals that are
//! no finer than the column's grain allows. Conditions combine with AND, OR and NOT.

use datafusion::logical_expr::expr::{InList, InSubquery, Like};
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use model::schema::{Column, ColumnType, Grain, HOSPITAL_ID, Kind, STAY_KEY, Table};
use model::{Refusal, RefusalCode};
use privacy::policy::{CalendarUnit, Use};

use super::literal::{Literal, literal};
use super::{Walk, flatten, full_name};

/// Ages above this are never told apart.
const TOP_AGE: i64 = 90;

/// How a column is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is.
    Plain,
    /// Its first characters.
    Prefix(usize),
    /// `date_trunc`.
    Trunc(CalendarUnit),
    /// `date_part`, EXTRACT.
    Part(CalendarUnit),
}

/// A governed column in a condition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operand {
    /// The table.
    pub(crate) table: &'static Table,
    /// The column.
    pub(crate) column: &'static Column,
    /// How it is looked at.
    pub(crate) form: Form,
}

fn refuse_filter(subject: impl Into<String>, reason: &str, instead: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::Filter, subject, reason, instead)
}

fn calendar_unit(text: &str) -> Option<CalendarUnit> {
    match text.to_ascii_lowercase().as_str() {
        "month" => Some(CalendarUnit::Month),
        "quarter" => Some(CalendarUnit::Quarter),
        "year" => Some(CalendarUnit::Year),
        _ => None,
    }
}

/// Local time, in the text forms that SQL accepts, as (year, month, is the start of the month).
pub(super) fn month_start(text: &str) -> Option<(i32, u32, bool)> {
    let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, ""));
    let mut parts = date.split('-');
    let year: i32 = parts.next()?.parse().ok()?;
    let month: u32 = parts.next()?.parse().ok()?;
    let day: u32 = parts.next()?.parse().ok()?;
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let midnight = time.chars().all(|c| matches!(c, '0' | ':' | '.'));
    Some((year, month, day == 1 && midnight))
}

fn operator_text(op: Operator) -> String {
    op.to_string()
}

impl Walk<'_> {
    /// Checks one condition.
    pub(super) fn condition(&self, expr: &Expr) -> Result<(), Refusal> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
                self.condition(left)?;
                self.condition(right)
            }
            Expr::Not(inner)
            | Expr::IsTrue(inner)
            | Expr::IsFalse(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsNotFalse(inner) => self.condition(inner),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => self.comparison(left, *op, right),
            Expr::Between(between) => self.between(between),
            Expr::InList(list) => self.in_list(list),
            Expr::Like(like) => self.like(like),
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => {
                let operand = self.operand(inner)?;
                self.may_filter(&operand)
            }
            Expr::InSubquery(semi) => self.semi_join(semi),
            Expr::Literal(..) if literal(expr) == Some(Literal::Boolean) => Ok(()),
            Expr::Column(_) => {
                let operand = self.operand(expr)?;
                self.may_filter(&operand)?;
                if operand.column.column_type == ColumnType::Boolean {
                    Ok(())
                } else {
                    let name = full_name(operand.table, operand.column);
                    Err(refuse_filter(name, "The column is not a condition.", "Compare it."))
                }
            }
            other => Err(self.refuse_expression(other)),
        }
    }

    fn refuse_expression(&self, expr: &Expr) -> Refusal {
        let text = expr.to_string();
        let subject: String = text.chars().take(60).collect();
        for column in expr.column_refs() {
            if let Some((table, column)) = self.base(&Expr::Column(column.clone()))
                && column.kind == Kind::Id
            {
                return refuse_identity(table, column);
            }
        }
        refuse_filter(
            subject,
            "A condition compares one column with literals.",
            "Possible: =, <>, <, >=, IN, LIKE 'prefix%', IS NULL, left(code, n), \
             date_trunc('month', t), and AND, OR, NOT of these.",
        )
    }

    /// Reads a governed column, its prefix or its calendar unit.
    ///
    /// # Errors
    /// A [`Refusal`] when the expression is none of these.
    pub(crate) fn operand(&self, expr: &Expr) -> Result<Operand, Refusal> {
        if let Some((table, column)) = self.base(expr) {
            return Ok(Operand { table, column, form: Form::Plain });
        }
        let Expr::ScalarFunction(call) = expr else { return Err(self.refuse_expression(expr)) };
        let literals: Vec<_> = call.args.iter().map(literal).collect();
        let base = |index: usize| call.args.get(index).and_then(|arg| self.base(arg));
        let found = match (call.func.name(), literals.as_slice()) {
            ("left", [None, Some(Literal::Whole(n))]) => {
                base(0).zip(usize::try_from(*n).ok().map(Form::Prefix))
            }
            ("substr", [None, Some(Literal::Whole(1)), Some(Literal::Whole(n))]) => {
                base(0).zip(usize::try_from(*n).ok().map(Form::Prefix))
            }
            ("date_trunc", [Some(Literal::Text(unit)), None]) => {
                base(1).zip(calendar_unit(unit).map(Form::Trunc))
            }
            ("date_part", [Some(Literal::Text(unit)), None]) => {
                base(1).zip(calendar_unit(unit).map(Form::Part))
            }
            _ => None,
        };
        match found {
            Some(((table, column), form)) => {
                let operand = Operand { table, column, form };
                self.check_form(&operand)?;
                Ok(operand)
            }
            None => Err(self.refuse_call(call.func.name(), expr)),
        }
    }

    fn refuse_call(&self, name: &str, expr: &Expr) -> Refusal {
        let instead = match name {
            "date_trunc" | "date_part" => {
                format!("Use the unit '{}' or coarser.", self.policy.granularity.time.as_str())
            }
            "left" | "substr" => "Use left(code_column, number).".to_owned(),
            _ => "Possible: left(code, n), date_trunc(unit, t), extract(unit from t).".to_owned(),
        };
        let refusal = self.refuse_expression(expr);
        if refusal.code == RefusalCode::Identity {
            return refusal;
        }
        Refusal::new(
            RefusalCode::Function,
            format!("{name}()"),
            "The function is not possible here.",
            instead,
        )
    }

    fn check_form(&self, operand: &Operand) -> Result<(), Refusal> {
        let Operand { table, column, form } = *operand;
        let name = full_name(table, column);
        match form {
            Form::Plain => Ok(()),
            Form::Prefix(n) if column.prefixes.contains(&n) => Ok(()),
            Form::Prefix(_) if column.kind == Kind::Id => Err(refuse_identity(table, column)),
            Form::Prefix(_) => {
                let instead = if column.prefixes.is_empty() {
                    "Use the whole code.".to_owned()
                } else {
                    format!("Prefixes of {:?} characters are possible.", column.prefixes)
                };
                let reason = "The column has no prefix of this length.";
                Err(Refusal::new(RefusalCode::Granularity, name, reason, instead))
            }
            Form::Trunc(_) | Form::Part(_) if !column.is_calendar() => Err(refuse_filter(
                name,
                "The column is not a time.",
                "Use admitted_at or discharged_at.",
            )),
            Form::Trunc(unit) | Form::Part(unit) if unit < self.policy.granularity.time => {
                let coarsest = self.policy.granularity.time.as_str();
                Err(Refusal::new(
                    RefusalCode::Granularity,
                    name,
                    format!("Times are not told more finely than by {coarsest}."),
                    format!("Use '{coarsest}'."),
                ))
            }
            Form::Trunc(_) | Form::Part(_) => Ok(()),
        }
    }

    fn may_filter(&self, operand: &Operand) -> Result<(), Refusal> {
        let Operand { table, column, .. } = *operand;
        if column.kind == Kind::Id {
            return Err(refuse_identity(table, column));
        }
        if column.is_filterable() && self.policy.allows_column(table.name, column.name, Use::Filter)
        {
            return Ok(());
        }
        let name = full_name(table, column);
        Err(refuse_filter(name, "The column may not be filtered.", "See `consilium catalog`."))
    }

    fn comparison(&self, left: &Expr, op: Operator, right: &Expr) -> Result<(), Refusal> {
        let (operand, op, value) = match (literal(left), literal(right)) {
            (None, Some(value)) => (self.operand(left)?, Some(op), value),
            (Some(value), None) => (self.operand(right)?, op.swap(), value),
            _ => {
                let both = left.clone().eq(right.clone());
                return Err(self.refuse_expression(&both));
            }
        };
        self.may_filter(&operand)?;
        let known = [
            Operator::Eq,
            Operator::NotEq,
            Operator::Lt,
            Operator::LtEq,
            Operator::Gt,
            Operator::GtEq,
        ];
        match op {
            Some(op) if known.contains(&op) => self.compare(&operand, op, &value),
            _ => {
                let name = full_name(operand.table, operand.column);
                Err(refuse_filter(name, "The operator is not possible.", "Use =, <>, < or >=."))
            }
        }
    }

    /// One comparison of an operand with a literal, by the column's grain.
    fn compare(&self, operand: &Operand, op: Operator, value: &Literal) -> Result<(), Refusal> {
        if *value == Literal::Null {
            let name = full_name(operand.table, operand.column);
            return Err(refuse_filter(name, "NULL is not compared.", "Use IS NULL."));
        }
        match (operand.form, operand.column.grain) {
            (Form::Prefix(_) | Form::Part(_), _) | (Form::Plain, Grain::Code | Grain::Whole) => {
                self.compare_whole(operand, value)
            }
            (Form::Trunc(_), _) => self.at_month_start(operand, value),
            (Form::Plain, Grain::Month) => {
                self.half_open(operand, op, "a time")?;
                self.at_month_start(operand, value)
            }
            (Form::Plain, Grain::AgeBand) => {
                self.on_step(operand, op, value, i64::from(self.policy.granularity.age_years))
            }
            (Form::Plain, Grain::Step(step)) => self.on_step(operand, op, value, step),
            (Form::Plain, Grain::Amount) => {
                self.half_open(operand, op, "an amount")?;
                let step = i64::from(self.policy.granularity.money);
                if value.as_whole().is_some_and(|v| v % step == 0) {
                    return Ok(());
                }
                Err(self.too_fine(operand, &format!("multiples of {step}")))
            }
            (Form::Plain, Grain::None) => Err(refuse_identity(operand.table, operand.column)),
        }
    }

    fn compare_whole(&self, operand: &Operand, value: &Literal) -> Result<(), Refusal> {
        let numeric = !matches!(operand.column.column_type, ColumnType::Text | ColumnType::Boolean)
            && !matches!(operand.form, Form::Prefix(_));
        if numeric && value.as_whole().is_none() {
            return Err(self.too_fine(operand, "whole numbers"));
        }
        Ok(())
    }

    fn too_fine(&self, operand: &Operand, allowed: &str) -> Refusal {
        Refusal::new(
            RefusalCode::Granularity,
            full_name(operand.table, operand.column),
            "The literal is finer than the column may be cut.",
            format!("Compare with {allowed}."),
        )
    }

    fn half_open(&self, operand: &Operand, op: Operator, what: &str) -> Result<(), Refusal> {
        if matches!(op, Operator::Lt | Operator::GtEq) {
            return Ok(());
        }
        Err(Refusal::new(
            RefusalCode::Granularity,
            format!("{} {}", full_name(operand.table, operand.column), operator_text(op)),
            format!("A condition on {what} that could single out one person is not possible."),
            "Use >= and <.",
        ))
    }

    fn at_month_start(&self, operand: &Operand, value: &Literal) -> Result<(), Refusal> {
        let unit = self.policy.granularity.time;
        let months = match unit {
            CalendarUnit::Month => 1,
            CalendarUnit::Quarter => 3,
            CalendarUnit::Year => 12,
        };
        let text = if let Literal::Text(text) = value { text.as_str() } else { "" };
        match month_start(text) {
            Some((_, month, true)) if (month - 1) % months == 0 => Ok(()),
            _ => Err(self.too_fine(
                operand,
                &format!("the first day of a {}, such as '2024-01-01'", unit.as_str()),
            )),
        }
    }

    /// Whole numbers in bands: a lower bound `v` or upper bound `v` must lie on a step.
    fn on_step(
        &self,
        operand: &Operand,
        op: Operator,
        value: &Literal,
        step: i64,
    ) -> Result<(), Refusal> {
        let edge = value.as_whole().and_then(|v| match op {
            Operator::Lt | Operator::GtEq => Some(v),
            Operator::LtEq | Operator::Gt => v.checked_add(1),
            _ => None,
        });
        let top = if operand.column.grain == Grain::AgeBand { TOP_AGE } else { i64::MAX };
        match edge {
            Some(edge) if edge % step == 0 && edge <= top => Ok(()),
            _ => Err(self.too_fine(
                operand,
                &format!("bands of {step}, such as >= {} AND < {}", 4 * step, 6 * step),
            )),
        }
    }

    fn between(&self, between: &Between) -> Result<(), Refusal> {
        let operand = self.operand(&between.expr)?;
        self.may_filter(&operand)?;
        let (Some(low), Some(high)) = (literal(&between.low), literal(&between.high)) else {
            return Err(self.refuse_expression(&between.expr));
        };
        self.compare(&operand, Operator::GtEq, &low)?;
        self.compare(&operand, Operator::LtEq, &high)
    }

    fn in_list(&self, list: &InList) -> Result<(), Refusal> {
        let operand = self.operand(&list.expr)?;
        self.may_filter(&operand)?;
        for item in &list.list {
            match literal(item) {
                Some(Literal::Null) | None => return Err(self.refuse_expression(item)),
                Some(value) => self.compare(&operand, Operator::Eq, &value)?,
            }
        }
        Ok(())
    }

    fn like(&self, like: &Like) -> Result<(), Refusal> {
        let operand = self.operand(&like.expr)?;
        self.may_filter(&operand)?;
        let name = full_name(operand.table, operand.column);
        let is_code =
            operand.column.grain == Grain::Code && operand.column.column_type == ColumnType::Text;
        match literal(&like.pattern) {
            Some(Literal::Text(pattern)) if is_code && !like.case_insensitive => {
                let prefix = pattern.strip_suffix('%').unwrap_or(&pattern);
                if prefix.contains(['%', '_', '\\']) || like.escape_char.is_some() {
                    let reason = "Only a prefix can be matched.";
                    return Err(refuse_filter(name, reason, "Write LIKE 'prefix%'."));
                }
                Ok(())
            }
            _ => Err(refuse_filter(name, "LIKE is for codes.", "Write code LIKE 'prefix%'.")),
        }
    }

    /// `stay_key IN (SELECT stay_key FROM ... WHERE ...)`: stays that have some row.
    fn semi_join(&self, semi: &InSubquery) -> Result<(), Refusal> {
        let is_stay_key = |base: Option<(&'static Table, &'static Column)>| {
            base.is_some_and(|(_, column)| column.name == STAY_KEY)
        };
        let refuse = || {
            Refusal::new(
                RefusalCode::Join,
                "IN (SELECT ...)",
                "A subquery in a condition selects stays only.",
                "Write stay_key IN (SELECT stay_key FROM ... WHERE ...).",
            )
        };
        if !is_stay_key(self.base(&semi.expr)) {
            return Err(refuse());
        }
        let inner = flatten(&semi.subquery.subquery)?;
        let walk = Walk::new(&inner.relation, self.policy);
        match inner.outputs.as_slice() {
            [one] if is_stay_key(walk.base(one)) => {}
            _ => return Err(refuse()),
        }
        // A hospital named in here would escape the scope that the outer columns imply.
        if inner.relation.filters.iter().any(|filter| walk.mentions(filter, HOSPITAL_ID)) {
            return Err(refuse_filter(
                "stay.hospital_id",
                "A subquery may not name hospitals.",
                "Put the condition on hospital_id into the outer WHERE.",
            ));
        }
        walk.check_literals(inner.relation.filters.iter())?;
        inner.relation.filters.iter().try_for_each(|filter| walk.condition(filter))
    }
}

/// The refusal of an identity column.
pub(super) fn refuse_identity(table: &Table, column: &Column) -> Refusal {
    Refusal::new(
        RefusalCode::Identity,
        full_name(table, column),
        "The column identifies a person or a stay.",
        "It may stand in COUNT(DISTINCT ...) and in JOIN ... USING (stay_key) only.",
    )
}
