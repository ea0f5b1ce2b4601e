//! Parameters of packs: what may be filled in, and what becomes of it.

use model::Period;
use serde::Deserialize;

/// Longest code that may be filled in, in characters; the policies' own bound comes on top.
const MAX_CODE_CHARS: usize = 80;
/// Most rows of bounds in one question.
const MAX_BOUNDS: usize = 1_000;

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// One column of `one_of`; the first one unless told otherwise.
    Column,
    /// Whole months of `column`, which become a condition.
    Period,
    /// A code that `column` must equal, which becomes a condition.
    Code,
    /// For each of some codes of `columns`, bounds of `bounded`: a condition in the question's text.
    Bounds,
}

/// A parameter of a pack.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) kind: Kind,
    #[serde(default)]
    one_of: Vec<String>,
    #[serde(default)]
    column: String,
    #[serde(default)]
    columns: Vec<String>,
    #[serde(default)]
    bounded: String,
}

/// Rows of one group whose value lies between two bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// One code for each column of the parameter.
    pub codes: Vec<String>,
    /// The value is at least this, in whole units.
    pub low: Option<i64>,
    /// The value is below this, in whole units.
    pub high: Option<i64>,
}

/// Bounds as an argument: JSON, `[[["GD19"],100,20000],...]`.
#[must_use]
pub fn bounds_argument(bounds: &[Bound]) -> String {
    let rows = bounds.iter().map(|bound| serde_json::json!([bound.codes, bound.low, bound.high]));
    serde_json::Value::Array(rows.collect()).to_string()
}

fn quoted(code: &str) -> Result<String, String> {
    let is_plain = !code.chars().any(char::is_control) && code.chars().count() <= MAX_CODE_CHARS;
    if !is_plain {
        return Err(format!("a code has at most {MAX_CODE_CHARS} printable characters"));
    }
    Ok(format!("'{}'", code.replace('\'', "''")))
}

impl Parameter {
    /// The columns that it can stand for.
    pub(super) fn choices(&self) -> &[String] {
        &self.one_of
    }

    /// What stands in the SQL for the argument `given`; `column` resolves names such as
    /// `{measure}`. `None` when nothing was given and there is no default.
    ///
    /// # Errors
    /// What is wrong with the argument, for people.
    pub(super) fn render(
        &self,
        given: Option<&str>,
        column: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<String>, String> {
        match (self.kind, given) {
            (Kind::Column, None) => Ok(self.one_of.first().cloned()),
            (Kind::Column, Some(given)) if self.one_of.iter().any(|one| one == given) => {
                Ok(Some(given.to_owned()))
            }
            (Kind::Column, Some(_)) => Err(format!("one of {}", self.one_of.join(", "))),
            (_, None) => Ok(None),
            (Kind::Period, Some(given)) => {
                let period: Period = given.parse().map_err(|error| format!("{error}"))?;
                Ok(Some(format!(
                    "s.{0} >= TIMESTAMP '{1} 00:00:00' AND s.{0} < TIMESTAMP '{2} 00:00:00'",
                    self.column, period.from, period.until
                )))
            }
            (Kind::Code, Some(given)) => {
                Ok(Some(format!("s.{} = {}", self.column, quoted(given)?)))
            }
            (Kind::Bounds, Some(given)) => self.bounds(given, column).map(Some),
        }
    }

    fn bounds(
        &self,
        given: &str,
        column: &dyn Fn(&str) -> Option<String>,
    ) -> Result<String, String> {
        let wrong = || "bounds are a JSON list of [[codes], low, high]".to_owned();
        let rows: Vec<(Vec<String>, Option<i64>, Option<i64>)> =
            serde_json::from_str(given).map_err(|error| format!("{}: {error}", wrong()))?;
        if rows.is_empty() || rows.len() > MAX_BOUNDS {
            return Err(format!("1 to {MAX_BOUNDS} rows of bounds"));
        }
        let columns: Option<Vec<_>> = self.columns.iter().map(|name| column(name)).collect();
        let (columns, bounded) = columns.zip(column(&self.bounded)).ok_or_else(wrong)?;
        let mut either = Vec::new();
        for (codes, low, high) in rows {
            if codes.len() != columns.len() || (low, high) == (None, None) {
                return Err(wrong());
            }
            let mut all = Vec::new();
            for (column, code) in columns.iter().zip(&codes) {
                all.push(format!("s.{column} = {}", quoted(code)?));
            }
            all.extend(low.map(|low| format!("s.{bounded} >= {low}")));
            all.extend(high.map(|high| format!("s.{bounded} < {high}")));
            either.push(format!("({})", all.join(" AND ")));
        }
        Ok(any_of(&either))
    }
}

/// A balanced tree of ORs, so that its depth stays within a policy's bound.
fn any_of(conditions: &[String]) -> String {
    match conditions {
        [] => String::new(),
        [one] => one.clone(),
        several => {
            let (left, right) = several.split_at(several.len() / 2);
            format!("({} OR {})", any_of(left), any_of(right))
        }
    }
}
