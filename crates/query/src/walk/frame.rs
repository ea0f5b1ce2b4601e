//! Where a request stands among others: which of its conditions cut a stretch out of an ordered column, which
//! fix a code, and which do neither.
//!
//! `discharged_at >= '2024-01-01' AND discharged_at < '2024-04-01' AND sex = '1'` is a stretch of
//! `stay.discharged_at` of the set with a pin on `stay.sex`; so is that group of the same stretch by sex.
//! Conditions on attributes of the hospital hold for all of its rows or for none, and stand apart.

use std::collections::BTreeMap;

use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use model::Refusal;
use model::schema::{Column, ColumnType, Grain, Kind};
use privacy::sha256;
use privacy::sketch::{Frame, Span};
use time::{Date, Month};

use super::condition::month_start;
use super::flatten::text;
use super::literal::{Literal, literal};
use super::{CheckedRequest, Relation};

/// What a condition is.
enum Part {
    /// The same for all rows.
    Local,
    /// A stretch of a column.
    Stretch(String, Span),
    /// One code of a column.
    Pin(String, String),
    /// Anything else.
    Other,
}

/// Whether conditions cut stretches out of the column, and its extent in the snapshot is looked at.
pub(crate) const fn is_ordered(column: &Column) -> bool {
    match column.grain {
        Grain::Month | Grain::AgeBand | Grain::Step(_) | Grain::Amount => true,
        Grain::Whole => !matches!(column.column_type, ColumnType::Text | ColumnType::Boolean),
        Grain::Code | Grain::None => false,
    }
}

/// Seconds from 1970 to the start of a month.
fn seconds(year: i32, month: u32) -> Option<i64> {
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let first = Date::from_calendar_date(year, month, 1).ok()?;
    Some(first.midnight().assume_utc().unix_timestamp())
}

/// A literal in the column's unit: seconds, or whole numbers. A time is the start of a month, or it was refused.
fn value(column: &Column, literal: &Literal) -> Option<i64> {
    match (column.column_type, literal) {
        (ColumnType::Timestamp, Literal::Text(text)) => match month_start(text)? {
            (year, month, true) => seconds(year, month),
            _ => None,
        },
        (ColumnType::Timestamp, _) => None,
        (_, literal) => literal.as_whole(),
    }
}

/// The values of which a comparison is true.
fn span(column: &Column, op: Operator, value: i64) -> Option<Span> {
    let after = || value.checked_add(1);
    let is_whole = column.column_type == ColumnType::Integer;
    let all = Span::VALUES;
    Some(match op {
        Operator::GtEq => Span { from: value, ..all },
        Operator::Lt => Span { until: value, ..all },
        Operator::Gt if is_whole => Span { from: after()?, ..all },
        Operator::LtEq if is_whole => Span { until: after()?, ..all },
        Operator::Eq if is_whole => Span { from: value, until: after()? },
        _ => return None,
    })
}

impl Relation {
    fn part(&self, filter: &Expr) -> Part {
        if self.is_local(filter) {
            return Part::Local;
        }
        self.stretch(filter).or_else(|| self.pin(filter)).unwrap_or(Part::Other)
    }

    /// True when every column of the expression is an attribute of the hospital.
    pub(super) fn is_local(&self, expr: &Expr) -> bool {
        let columns = expr.column_refs();
        let is_local = |column: &&datafusion::common::Column| {
            let base = self.base(&Expr::Column((**column).clone()));
            base.is_some_and(|(_, column)| column.kind == Kind::Local)
        };
        !columns.is_empty() && columns.iter().all(is_local)
    }

    /// A bare column's name within the relation.
    fn name(&self, expr: &Expr) -> Option<(String, &'static Column)> {
        let (_, column) = self.base(expr)?;
        let Expr::Column(named) = expr else { return None };
        Some((named.flat_name(), column))
    }

    fn stretch(&self, filter: &Expr) -> Option<Part> {
        // Of several rows of a stay some may be in a stretch, and then stretches do not part the stays.
        let ordered = |expr: &Expr| {
            let (table, _) = self.base(expr)?;
            self.name(expr).filter(|(_, column)| is_ordered(column) && table.one_row_per_stay)
        };
        let (name, found) = match filter {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let (expr, op, other) = match (literal(left), literal(right)) {
                    (None, Some(value)) => (left, *op, value),
                    (Some(value), None) => (right, op.swap()?, value),
                    _ => return None,
                };
                let (name, column) = ordered(expr)?;
                (name, span(column, op, value(column, &other)?)?)
            }
            Expr::Between(Between { expr, negated: false, low, high }) => {
                let (name, column) = ordered(expr)?;
                let end = |expr: &Expr, op| span(column, op, value(column, &literal(expr)?)?);
                (name, end(low, Operator::GtEq)?.and(end(high, Operator::LtEq)?))
            }
            Expr::IsNull(inner) => (ordered(inner)?.0, Span { from: Span::NULLS, until: i64::MAX }),
            Expr::IsNotNull(inner) => (ordered(inner)?.0, Span::VALUES),
            _ => return None,
        };
        Some(Part::Stretch(name, found))
    }

    fn pin(&self, filter: &Expr) -> Option<Part> {
        let flag = |expr: &Expr, value: bool| {
            let (name, column) = self.name(expr)?;
            let is_flag = column.column_type == ColumnType::Boolean;
            is_flag.then(|| Part::Pin(name, value.to_string()))
        };
        let (expr, value) = match filter {
            Expr::Column(_) => return flag(filter, true),
            Expr::IsTrue(inner) => return flag(inner, true),
            Expr::Not(inner) | Expr::IsFalse(inner) => return flag(inner, false),
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
                match (literal(left), literal(right)) {
                    (None, Some(value)) => (left, value),
                    (Some(value), None) => (right, value),
                    _ => return None,
                }
            }
            Expr::InList(InList { expr, list, negated: false }) => match list.as_slice() {
                [one] => (expr, literal(one)?),
                _ => return None,
            },
            _ => return None,
        };
        let Literal::Text(value) = value else { return None };
        let (name, column) = self.name(expr)?;
        (column.column_type == ColumnType::Text).then_some(Part::Pin(name, value))
    }
}

impl CheckedRequest {
    /// Where the request stands; neither the extents of its columns nor what measures tell apart is known here.
    ///
    /// # Errors
    /// A [`Refusal`] when an expression has no SQL form.
    pub(crate) fn frame(&self) -> Result<Frame, Refusal> {
        let (mut others, mut locals) = (Vec::new(), Vec::new());
        let (mut pins, mut spans) = (BTreeMap::new(), BTreeMap::new());
        for filter in &self.relation.filters {
            match self.relation.part(filter) {
                Part::Local => locals.push(text(filter)?),
                Part::Stretch(column, span) => {
                    let known = spans.entry(column).or_insert(Span::ALL);
                    *known = known.and(span);
                }
                // Two codes at once are nobody's.
                Part::Pin(column, _) if pins.contains_key(&column) => others.push(text(filter)?),
                Part::Pin(column, code) => _ = pins.insert(column, code),
                Part::Other => others.push(text(filter)?),
            }
        }
        others.extend(self.relation.tables.iter().map(|table| format!("FROM {}", table.alias)));
        others.sort_unstable();
        others.dedup();
        let dimension = |expr: &Expr| match self.relation.name(expr) {
            Some((_, column)) if column.kind == Kind::Local => Ok(None),
            None if expr.column_refs().is_empty() => Ok(None),
            Some((name, _)) => Ok(Some(name)),
            None => text(expr).map(Some),
        };
        let dimensions = self.dimensions.iter().map(dimension).collect::<Result<_, Refusal>>()?;
        let local = |expr: &Expr| {
            let (name, column) = self.relation.name(expr)?;
            (column.kind == Kind::Local).then_some(name)
        };
        let local_dimensions = self.dimensions.iter().map(local).collect();
        locals.sort_unstable();
        locals.dedup();
        let base = sha256(others.join("\n").as_bytes());
        // After a join the whole counts a stay once for each group, so it is not what stands there.
        let has_whole = self.checked.one_row_per_stay;
        let (extents, constants, told_apart) = Default::default();
        Ok(Frame {
            base,
            pins,
            dimensions,
            locals,
            local_dimensions,
            has_whole,
            spans,
            extents,
            constants,
            told_apart,
        })
    }
}
