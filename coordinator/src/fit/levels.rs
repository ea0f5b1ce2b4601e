//! The levels of a model's factors: what an ordinary question about each of them tells.
//!
//! A level is one that passes the gate with its number of stays and the sum of the response, so a
//! model has no level whose mean could not have been asked for.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use futures::future::join_all;
use learn::design::Levels;
use learn::formula::Outcome;
use model::schema::{ColumnType, table};
use num_traits::ToPrimitive as _;
use privacy::Domain;
use privacy::domain::OTHER;
use tokio::sync::mpsc;

use super::order::Order;
use super::roster::Roster;
use super::{Fitter, refuse, unit};
use crate::ask::{Answer, AskError};
use crate::lists::LeftOut;
use crate::round::Snapshots;

/// What was found.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    /// Levels of each factor.
    pub(super) levels: BTreeMap<String, Levels>,
    /// Codes of each factor that have no level of their own.
    pub(super) merged: BTreeMap<String, Vec<String>>,
    /// Stays of the fit's rows, as far as they are told.
    pub(super) stays: u64,
    /// What a response under an identity link is divided by.
    pub(super) unit: f64,
    /// Stays of each level that is told: column and level.
    sizes: BTreeMap<(String, String), u64>,
    /// Mean response of each level that is told: column and level.
    pub(super) means: BTreeMap<(String, String), f64>,
}

/// One row of an answer about a factor.
struct Row {
    label: String,
    stays: u64,
    /// Whether the response's sum is told.
    told: bool,
    /// Its mean.
    mean: Option<f64>,
}

/// What the answer to one question told.
struct Told {
    batches: Vec<RecordBatch>,
    /// The codes that its only dimension can have.
    domain: Option<Domain>,
    /// Whether nothing was withheld.
    is_complete: bool,
    /// Whose snapshots it is over, and who is missing in it.
    over: (Snapshots, LeftOut),
}

/// The questions about the levels of each factor, and behind them the one about all stays.
pub(super) fn questions(order: &Order) -> Vec<String> {
    let (response, mean) = match &order.formula.outcome {
        Outcome::Event(name) => {
            let events = format!("sum(CASE WHEN {name} THEN 1 ELSE 0 END)");
            (events.clone(), events)
        }
        Outcome::Number(name, _) => (format!("sum({name})"), format!("avg({name})")),
    };
    let filter = order.filter();
    let of_factor = |factor: &str| {
        format!(
            "SELECT {factor}, count(*) AS stays, {response} AS response FROM stay{filter} GROUP BY \
             {factor}"
        )
    };
    let whole = format!("SELECT count(*) AS stays, {mean} AS response FROM stay{filter}");
    order.formula.factors().into_iter().map(of_factor).chain([whole]).collect()
}

/// Asks for the levels of the factors, and for the size of the fit where no answer about a factor tells it. All
/// of it is over one roster; what has changed meanwhile, otherwise.
pub(super) async fn find(
    fitter: &Fitter<'_>,
    roster: &mut Roster,
) -> Result<Result<Found, String>, AskError> {
    let factors = fitter.order.formula.factors();
    let questions = questions(fitter.order);
    let (of_factors, whole) = questions.split_at(factors.len());
    // At the same time: one waits for the slowest hospital once.
    let asked = join_all(of_factors.iter().map(|sql| ask(fitter, sql, roster))).await;
    let mut answers = asked.into_iter().collect::<Result<Vec<_>, _>>()?;
    if let Some(why) = roster.changed_in(answers.iter_mut().map(Told::take_over).collect()) {
        return Ok(Err(why));
    }
    let mut found = Found { unit: 1.0, ..Found::default() };
    let complete = answers.iter().find(|told| told.is_complete);
    let (stays, response) = match (complete, whole) {
        (None, [sql]) => {
            let mut told = ask(fitter, sql, roster).await?;
            if let Some(why) = roster.changed_in(vec![told.take_over()]) {
                return Ok(Err(why));
            }
            let batch = told.batches.first().filter(|batch| batch.num_rows() > 0);
            let Some(batch) = batch else { return Err(too_few()) };
            let first =
                |column| Ok::<_, AskError>(numbers(batch, column)?.first().copied().flatten());
            (first(0)?, first(1)?)
        }
        (Some(told), _) => told.whole()?,
        _ => return Err(too_few()),
    };
    found.stays = stays.map_or(0, whole_number);
    found.unit = unit(response);
    for (factor, told) in factors.into_iter().zip(&answers) {
        found.add(fitter, factor, &told.batches, told.domain.as_ref())?;
    }
    Ok(Ok(found))
}

fn too_few() -> AskError {
    let reason = "Too few patients or hospitals stand behind the fit as a whole, or nobody does.";
    refuse("--where", reason)
}

/// The answer to an ordinary question.
async fn ask(fitter: &Fitter<'_>, sql: &str, roster: &Roster) -> Result<Told, AskError> {
    let question = fitter.plan(sql).await?;
    let clock = &fitter.state.clock;
    let left = fitter.question_end().saturating_duration_since(clock.monotonic());
    let (silent, _) = mpsc::channel(1);
    let answer = fitter.asker(roster).ask(&question, fitter.who, left, &silent).await?;
    let known = fitter.state.lists.known_domains(&question).await;
    let domain = known.and_then(|parts| parts.into_iter().flatten().next());
    let Answer { batches, provenance, mut over, absent } = answer;
    let is_complete = provenance.cells_withheld == 0 && provenance.measures_withheld == 0;
    Ok(Told { batches, domain, is_complete, over: (over.pop().unwrap_or_default(), absent) })
}

impl Told {
    fn take_over(&mut self) -> (Snapshots, LeftOut) {
        std::mem::take(&mut self.over)
    }

    /// All stays, and the mean of the response, where nothing was withheld.
    fn whole(&self) -> Result<(Option<f64>, Option<f64>), AskError> {
        let (mut stays, mut response) = (0.0, 0.0);
        for batch in &self.batches {
            stays += numbers(batch, 1)?.into_iter().flatten().sum::<f64>();
            response += numbers(batch, 2)?.into_iter().flatten().sum::<f64>();
        }
        if stays > 0.0 { Ok((Some(stays), Some(response / stays))) } else { Err(too_few()) }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn broken(error: arrow::error::ArrowError) -> AskError {
    AskError::Internal(format!("reading levels: {error}"))
}

fn numbers(batch: &RecordBatch, column: usize) -> Result<Vec<Option<f64>>, AskError> {
    let doubles = cast(batch.column(column), &DataType::Float64).map_err(broken)?;
    Ok(doubles.as_primitive::<Float64Type>().iter().collect())
}

fn whole_number(value: f64) -> u64 {
    value.to_u64().unwrap_or(0)
}

impl Found {
    fn add(
        &mut self,
        fitter: &Fitter<'_>,
        factor: &str,
        batches: &[RecordBatch],
        domain: Option<&Domain>,
    ) -> Result<(), AskError> {
        let (mut rows, mut seen) = (Vec::new(), 0);
        for batch in batches {
            let labels = cast(batch.column(0), &DataType::Utf8).map_err(broken)?;
            let (stays, told) = (numbers(batch, 1)?, batch.column(2));
            let sums = numbers(batch, 2)?;
            for (index, label) in labels.as_string::<i32>().iter().enumerate() {
                let stays = stays.get(index).copied().flatten().map_or(0, whole_number);
                seen += stays;
                let Some(label) = label else { continue };
                let mean = sums.get(index).copied().flatten();
                let mean = mean.zip(stays.to_f64()).map(|(sum, stays)| sum / stays);
                rows.push(Row { label: label.to_owned(), stays, told: told.is_valid(index), mean });
            }
        }
        let text = table("stay")
            .and_then(|table| table.column(factor))
            .is_some_and(|column| column.column_type == ColumnType::Text);
        let mut kept: Vec<&Row> =
            rows.iter().filter(|row| row.told && row.label != OTHER).collect();
        kept.sort_by(|a, b| a.label.cmp(&b.label));
        let mut names: Vec<String> = kept.iter().map(|row| row.label.clone()).collect();
        let codes = match domain {
            Some(Domain::Codes { codes, .. }) => codes.clone(),
            _ => rows.iter().map(|row| row.label.clone()).collect(),
        };
        let merged = codes.into_iter().filter(|code| !names.contains(code) && code != OTHER);
        let merged: Vec<String> = merged.collect();
        let rest = rows.iter().find(|row| row.label == OTHER);
        // What has no level of its own is a level together, when that is large enough: the first
        // step tells.
        let is_left = seen < self.stays || rows.iter().any(|row| !row.told);
        if text && (rest.is_some() || is_left) {
            names.push(OTHER.to_owned());
        }
        let references = &fitter.order.formula.references;
        let named = references.iter().find(|(column, _)| column == factor).map(|(_, level)| level);
        let largest = kept.iter().rev().max_by_key(|row| row.stays).map(|row| &row.label);
        let reference = match named {
            Some(level) if names.contains(level) => level.clone(),
            Some(level) => {
                let known = names.join(", ");
                let reason =
                    format!("{factor} has no level {level} with enough patients; it has: {known}.");
                return Err(refuse(factor, reason));
            }
            None => largest.cloned().unwrap_or_default(),
        };
        for row in &rows {
            let key = (factor.to_owned(), row.label.clone());
            self.sizes.insert(key.clone(), row.stays);
            self.means.extend(row.mean.map(|mean| (key, mean)));
        }
        self.levels.insert(factor.to_owned(), Levels { names, reference, text });
        self.merged.insert(factor.to_owned(), merged);
        Ok(())
    }

    /// Merges levels that a step has found to be too small: `columns` names them, `factor=level`. Where
    /// `OTHER` itself is too small, the smallest level joins it: stays that were left out would be the
    /// difference to a question about all. False when nothing can be merged.
    pub(super) fn merge(&mut self, columns: &[String]) -> bool {
        let mut changed = false;
        for (factor, levels) in &mut self.levels {
            let is_rare = |level: &String| columns.contains(&format!("{factor}={level}"));
            let mut rare: Vec<String> =
                levels.names.iter().filter(|level| is_rare(level)).cloned().collect();
            let merged = self.merged.entry(factor.clone()).or_default();
            let other_is_rare = rare.iter().any(|level| level == OTHER);
            rare.retain(|level| *level != levels.reference && level != OTHER);
            if other_is_rare && rare.is_empty() {
                let size = |level: &&String| self.sizes.get(&(factor.clone(), (*level).clone()));
                let kept = levels.names.iter();
                let kept = kept.filter(|level| **level != levels.reference && *level != OTHER);
                rare.extend(kept.min_by_key(size).cloned());
            }
            changed |= !rare.is_empty();
            levels.names.retain(|level| !rare.contains(level));
            if levels.text && !rare.is_empty() && !levels.has_other() {
                levels.names.push(OTHER.to_owned());
            }
            merged.extend(rare);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Found {
        let names = ["a", "b", "c", "d", OTHER].map(str::to_owned).to_vec();
        let size = |(level, stays): (&str, u64)| (("drg_code".to_owned(), level.to_owned()), stays);
        let sizes = [("a", 90), ("b", 12), ("c", 20), ("d", 30)].map(size).into();
        let levels = Levels { names, reference: "a".to_owned(), text: true };
        let levels = BTreeMap::from([("drg_code".to_owned(), levels)]);
        Found { levels, sizes, ..Found::default() }
    }

    #[test]
    fn rare_levels_join_the_others_and_so_does_the_smallest_where_these_are_rare() {
        let mut found = found();
        assert!(found.merge(&["drg_code=b".to_owned()]));
        assert_eq!(found.levels["drg_code"].names, ["a", "c", "d", OTHER]);
        assert_eq!(found.merged["drg_code"], ["b"]);
        assert!(found.merge(&["drg_code=OTHER".to_owned()]));
        assert_eq!(found.levels["drg_code"].names, ["a", "d", OTHER], "c has fewer stays");
        assert!(found.merge(&["drg_code=OTHER".to_owned()]));
        assert_eq!(found.levels["drg_code"].names, ["a", OTHER]);
        assert_eq!(found.merged["drg_code"], ["b", "c", "d"]);
        assert!(!found.merge(&["drg_code=OTHER".to_owned()]), "nobody is left out");
        assert!(!found.merge(&["sex=M:drg_code=a".to_owned(), "(Intercept)".to_owned()]));
    }
}
