//! A mapping's text columns become typed columns; rows that do not fit are marked, one by one.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int32Array, StringArray,
    TimestampSecondArray, new_null_array,
};
use arrow::datatypes::DataType;
use model::schema::{Column, ColumnType, MONEY_PRECISION, MONEY_SCALE};

use super::dictionary::Dictionary;
use super::error::IngestError;
use super::parse::{self, MAX_TEXT_CHARS, MONEY_UNIT};
use super::quarantine::{Fault, Rule, ValueClass};

/// The rows of a batch that failed, each with its first reason.
#[derive(Debug)]
pub(crate) struct Faults {
    ok: Vec<bool>,
    list: Vec<(usize, &'static str, Fault)>,
}

impl Faults {
    pub(crate) fn new(rows: usize) -> Self {
        Self { ok: vec![true; rows], list: Vec::new() }
    }

    pub(crate) fn is_ok(&self, row: usize) -> bool {
        self.ok[row]
    }

    /// Marks a row; only its first fault is kept.
    pub(crate) fn mark(&mut self, row: usize, column: &'static str, fault: Fault) {
        if std::mem::replace(&mut self.ok[row], false) {
            self.list.push((row, column, fault));
        }
    }

    /// Drops a row without a report.
    pub(crate) fn drop_silently(&mut self, row: usize) {
        self.ok[row] = false;
    }

    pub(crate) fn list(&self) -> &[(usize, &'static str, Fault)] {
        &self.list
    }

    /// Which rows are kept; `None` when all are.
    pub(crate) fn kept(&self) -> Option<BooleanArray> {
        self.ok.contains(&false).then(|| BooleanArray::from(self.ok.clone()))
    }
}

/// The type in which a column is sorted and spilled: as stored, but texts as numbers.
pub(crate) fn working_type(column_type: ColumnType) -> DataType {
    match column_type {
        ColumnType::Text => DataType::Int32,
        other => query::catalog::arrow_type(other),
    }
}

/// Parses one column.
pub(crate) fn typed(
    column: &'static Column,
    texts: &StringArray,
    dictionary: &mut Dictionary,
    faults: &mut Faults,
) -> Result<ArrayRef, IngestError> {
    if column.required && texts.null_count() > 0 {
        for row in (0..texts.len()).filter(|row| texts.is_null(*row)) {
            faults.mark(row, column.name, (Rule::Missing, ValueClass::Empty));
        }
    }
    if texts.null_count() == texts.len() {
        return Ok(new_null_array(&working_type(column.column_type), texts.len()));
    }
    let mut cells = Cells { column, texts, faults };
    Ok(match column.column_type {
        ColumnType::Text => cells.text(dictionary)?,
        ColumnType::Boolean => Arc::new(cells.map::<bool, BooleanArray>(parse::boolean)),
        ColumnType::Integer | ColumnType::Key => {
            Arc::new(cells.map::<i32, Int32Array>(|text| integer(column, text)))
        }
        ColumnType::Float => Arc::new(cells.map::<f64, Float64Array>(|text| float(column, text))),
        ColumnType::Money => {
            let amounts = cells.map::<i128, Decimal128Array>(|text| money(column, text));
            let typed = amounts.with_precision_and_scale(MONEY_PRECISION, MONEY_SCALE);
            Arc::new(typed.map_err(IngestError::write)?)
        }
        ColumnType::Timestamp => Arc::new(cells.map::<i64, TimestampSecondArray>(parse::timestamp)),
    })
}

struct Cells<'a> {
    column: &'static Column,
    texts: &'a StringArray,
    faults: &'a mut Faults,
}

impl Cells<'_> {
    fn map<T, A: FromIterator<Option<T>>>(
        &mut self,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> A {
        let Self { column, texts, faults } = self;
        let cells = texts.iter().enumerate().map(|(row, text)| match parse(text?) {
            Ok(value) => Some(value),
            Err(fault) => {
                faults.mark(row, column.name, fault);
                None
            }
        });
        cells.collect()
    }

    fn text(&mut self, dictionary: &mut Dictionary) -> Result<ArrayRef, IngestError> {
        let mut codes: Vec<Option<i32>> = Vec::with_capacity(self.texts.len());
        for (row, text) in self.texts.iter().enumerate() {
            let Some(text) = text else {
                codes.push(None);
                continue;
            };
            // A character has at least one byte, so short texts need no counting.
            if text.len() > MAX_TEXT_CHARS && text.chars().count() > MAX_TEXT_CHARS {
                let count = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
                let fault = (Rule::TextTooLong, ValueClass::Text(count));
                self.faults.mark(row, self.column.name, fault);
                codes.push(None);
                continue;
            }
            let code = dictionary.code(text).map_err(|error| named(error, self.column.name))?;
            codes.push(Some(code));
        }
        Ok(Arc::new(Int32Array::from(codes)))
    }
}

fn named(error: IngestError, column: &str) -> IngestError {
    match error {
        IngestError::TooMany { what, limit, way_out } => {
            IngestError::TooMany { what: format!("{what} ({column})"), limit, way_out }
        }
        other => other,
    }
}

fn integer(column: &Column, text: &str) -> Result<i32, Fault> {
    let value = parse::integer(text)?;
    bounded(column, value, 1)?;
    i32::try_from(value).map_err(|_| (Rule::OutOfBounds, ValueClass::AboveBound))
}

fn money(column: &Column, text: &str) -> Result<i128, Fault> {
    let value = parse::money(text)?;
    bounded(column, value, MONEY_UNIT)?;
    Ok(i128::from(value))
}

fn float(column: &Column, text: &str) -> Result<f64, Fault> {
    let value = parse::float(text)?;
    // Compared as whole numbers on the far side of the value, so no bound is rounded.
    let (low, high) = (value.floor(), value.ceil());
    let outside = column.bounds.and_then(|(min, max)| {
        let bound = |whole: i64| i32::try_from(whole).map_or(f64::MAX, f64::from);
        if low < bound(min) {
            Some(if value < 0.0 { ValueClass::NegativeNumber } else { ValueClass::BelowBound })
        } else {
            (high > bound(max)).then_some(ValueClass::AboveBound)
        }
    });
    outside.map_or(Ok(value), |class| Err((Rule::OutOfBounds, class)))
}

fn bounded(column: &Column, value: i64, unit: i64) -> Result<(), Fault> {
    let Some((min, max)) = column.bounds else { return Ok(()) };
    let class = if value < min.saturating_mul(unit) {
        if value < 0 && min >= 0 { ValueClass::NegativeNumber } else { ValueClass::BelowBound }
    } else if value > max.saturating_mul(unit) {
        ValueClass::AboveBound
    } else {
        return Ok(());
    };
    Err((Rule::OutOfBounds, class))
}
