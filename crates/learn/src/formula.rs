//! The formula language: `total_cost ~ age_band + sex + log(los_days) + age_years:severity`.
//!
//! A response, `~`, and terms joined by `+`. A term is a column, `log(x)`, `sqrt(x)`, `x^2`, `x^3`,
//! `C(x)` for a number or flag that stands for groups, `C(x, "level")` to name the reference level,
//! an interaction `a:b`, or `a*b` for `a + b + a:b`. `offset(...)` adds a number to the linear
//! predictor with coefficient 1. There is always an intercept.

mod parse;

use model::glm::Transform;
use model::schema::{ColumnType, Table, table};

/// Longest formula, in bytes.
pub const MAX_FORMULA_BYTES: usize = 4_096;
/// Most terms, those that `*` stands for each counted; each is a column of the design or more.
pub const MAX_TERMS: usize = privacy::step::MAX_COLUMNS;

/// A column of stays in a formula.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variable {
    /// It stands for groups.
    Factor(String),
    /// It is a number, after a transform.
    Number(String, Transform),
}

/// What is modelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A number.
    Number(String, Transform),
    /// A flag: whether it is set.
    Event(String),
}

/// A parsed formula, every name checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Formula {
    /// What is modelled.
    pub outcome: Outcome,
    /// Terms but for the intercept; variables of each ascending.
    pub terms: Vec<Vec<Variable>>,
    /// Added to the linear predictor.
    pub offset: Option<(String, Transform)>,
    /// Reference levels that the formula names.
    pub references: Vec<(String, String)>,
}

/// A formula that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("formula, character {place}: {reason}")]
pub struct FormulaError {
    /// Where, counted in characters from 1.
    pub place: usize,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl Formula {
    /// Parses a formula over the columns of stays.
    ///
    /// # Errors
    /// [`FormulaError`] with the place.
    pub fn parse(text: &str) -> Result<Self, FormulaError> {
        parse::Parser::new(text)?.formula()
    }

    /// Columns that stand for groups, in the order of their first use; the response's is not among
    /// them.
    #[must_use]
    pub fn factors(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for variable in self.terms.iter().flatten() {
            if let Variable::Factor(name) = variable
                && !names.contains(&name.as_str())
            {
                names.push(name);
            }
        }
        names
    }

    /// Columns that are numbers, in the order of their first use, the response first.
    #[must_use]
    pub fn numbers(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        let outcome = match &self.outcome {
            Outcome::Number(name, _) => Some(name),
            Outcome::Event(_) => None,
        };
        let in_terms = self.terms.iter().flatten().filter_map(|variable| match variable {
            Variable::Number(name, _) => Some(name),
            Variable::Factor(_) => None,
        });
        let all = outcome.into_iter().chain(in_terms).chain(self.offset.iter().map(|(n, _)| n));
        for name in all {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }

    /// The response as the formula writes it.
    #[must_use]
    pub fn response(&self) -> String {
        match &self.outcome {
            Outcome::Number(name, transform) => transform.written(name),
            Outcome::Event(name) => name.clone(),
        }
    }

    /// The column that is modelled.
    #[must_use]
    pub fn outcome_column(&self) -> &str {
        match &self.outcome {
            Outcome::Number(name, _) | Outcome::Event(name) => name,
        }
    }
}

/// What a bare column is in a formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    Number,
    Factor,
    Flag,
}

/// The table that models are about.
fn stays() -> Option<&'static Table> {
    table("stay")
}

/// The nature of a column; the text says why it has none.
fn nature(name: &str) -> Result<Nature, String> {
    let known = stays().ok_or("the data model has no stays")?;
    let Some(column) = known.column(name) else {
        let near = known.columns.iter().map(|column| column.name);
        let near = near
            .max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
        return Err(format!(
            "stays have no column {name}; nearest: {}. `consilium catalog` lists them",
            near.unwrap_or_default()
        ));
    };
    match column.column_type {
        ColumnType::Key => Err(format!("{name} identifies stays and can be in no model")),
        ColumnType::Timestamp => Err(format!("{name} is a time and can be in no model")),
        ColumnType::Boolean => Ok(Nature::Flag),
        ColumnType::Text => Ok(Nature::Factor),
        ColumnType::Integer | ColumnType::Float | ColumnType::Money => Ok(Nature::Number),
    }
}

#[cfg(test)]
mod tests;
