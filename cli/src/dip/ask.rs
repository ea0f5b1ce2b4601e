//! The questions of a catalogue, and the cells in their answers.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use model::casemix::catalogue::{CatalogueRules, Cell, PartCell, catalogue};
use model::casemix::combination::Combination;
use model::casemix::money::parse_e4;

use query::pack::Arguments;

use super::{CatalogueArgs, CatalogueScope};
use crate::answer::{Answer, Cell as Value};
use crate::client::Client;
use crate::console::Console;
use crate::exit::Failure;
use crate::message::Message;
use crate::told::pack;

/// The pack of the catalogue.
const PACK: &str = "dip-catalogue";
/// Its question of every combination of the region, or its ancestor, with its costs.
const COMBINATIONS: &str = "combinations";
/// What groups may be split by: the name in the catalogue, and the pack's question.
const SPLITS: [(&str, &str); 2] =
    [("severity", "combinations_by_severity"), ("age", "combinations_by_age")];

/// Stays in no group, by year of discharge as far as it is known.
pub type Unplaced = BTreeMap<Option<u16>, u64>;

/// What was answered.
#[derive(Debug, Default)]
pub struct Answers {
    /// Cells that have a cost.
    pub cells: Vec<Cell>,
    /// Released stays without a combination or without a cost, by year; those of no year have none.
    pub unplaced: Unplaced,
    /// Cells of parts, by what they are parts of.
    pub parts: Vec<(&'static str, Vec<PartCell>)>,
}

/// Answers, and how they came about.
#[derive(Debug)]
pub struct Asked {
    /// The cells.
    pub answers: Answers,
    /// `pooled` or `per_hospital`.
    pub scope: String,
    /// Hospitals that answered.
    pub hospitals: u32,
    /// Share of stays in released cells.
    pub coverage: Option<f64>,
}

pub(super) async fn ask(
    client: &Client,
    args: &CatalogueArgs,
    rules: &CatalogueRules,
    console: Console,
) -> Result<Asked, Failure> {
    let first = question(client, COMBINATIONS, args, console).await?;
    let skip = hospital_columns(args.scope);
    let (cells, unplaced) = read_cells(&first, skip)?;
    let mut answers = Answers { cells, unplaced, parts: Vec::new() };
    let within = answers.within(args.period_years.as_ref(), rules);
    let varies = catalogue(&within, rules).is_ok_and(|made| made.wants_splits(rules));
    for (by, name) in SPLITS.into_iter().filter(|_| varies) {
        let answer = question(client, name, args, console).await?;
        answers.parts.push((by, read_parts(&answer, skip)?));
    }
    let release = first.release;
    Ok(Asked {
        answers,
        scope: release.scope,
        hospitals: release.hospitals.answered,
        coverage: release.stays_coverage,
    })
}

const fn hospital_columns(scope: CatalogueScope) -> usize {
    match scope {
        CatalogueScope::Pooled => 0,
        CatalogueScope::PerHospital => 1,
    }
}

async fn question(
    client: &Client,
    name: &str,
    args: &CatalogueArgs,
    console: Console,
) -> Result<Answer, Failure> {
    let name = match args.scope {
        CatalogueScope::Pooled => name.to_owned(),
        // The pack's questions of single hospitals have the same columns behind the hospital's.
        CatalogueScope::PerHospital => format!("hospital_{name}"),
    };
    let bar = console.bar(Message::Asking, Some(0));
    let told = |progress: &proto::v1::Progress| {
        bar.set_length(u64::from(progress.asked));
        bar.set_position(u64::from(progress.answered + progress.failed));
    };
    let none = Arguments::new();
    let asked = client.ask_pack(pack(PACK)?, &name, &none, Some(args.deadline), told);
    let answer = Box::pin(asked).await;
    bar.finish_and_clear();
    let answer = answer?;
    console.note(answer.release.summary(console));
    Ok(answer)
}

impl Answers {
    /// The years of the period; without one, the newest that have weights.
    fn years(
        &self,
        period: Option<&RangeInclusive<u16>>,
        rules: &CatalogueRules,
    ) -> RangeInclusive<u16> {
        let year = |cell: &Cell| Combination::of(&cell.combination).year;
        let years: BTreeSet<u16> = self.cells.iter().filter_map(year).collect();
        let newest = years.last().copied().unwrap_or(u16::MAX);
        let span = u16::try_from(rules.year_weights.len()).unwrap_or(u16::MAX);
        let weighed = newest.saturating_sub(span.saturating_sub(1))..=newest;
        period.cloned().unwrap_or(weighed)
    }

    /// The cells of the period.
    pub(super) fn within(
        &self,
        period: Option<&RangeInclusive<u16>>,
        rules: &CatalogueRules,
    ) -> Vec<Cell> {
        let years = self.years(period, rules);
        let year = |cell: &Cell| Combination::of(&cell.combination).year;
        let inside = |cell: &&Cell| year(cell).is_none_or(|year| years.contains(&year));
        self.cells.iter().filter(inside).cloned().collect()
    }

    /// Stays of the period, or of no year, that are in no group.
    pub(super) fn unplaced_within(
        &self,
        period: Option<&RangeInclusive<u16>>,
        rules: &CatalogueRules,
    ) -> u64 {
        let years = self.years(period, rules);
        let inside = |year: &Option<u16>| year.is_none_or(|year| years.contains(&year));
        self.unplaced.iter().filter(|(year, _)| inside(year)).map(|(_, stays)| stays).sum()
    }
}

/// The cells of an answer to the question of combinations, after so many columns before it; and the stays
/// that have no combination or no cost.
///
/// # Errors
/// [`Failure::Internal`] when it is an answer to something else.
pub fn read_cells(answer: &Answer, skip: usize) -> Result<(Vec<Cell>, Unplaced), Failure> {
    let (mut cells, mut unplaced) = (Vec::new(), Unplaced::new());
    each(answer, |row| {
        let [combination, stays, priced, cost, sd] = row.get(skip..)? else { return None };
        let (all, stays) = (whole(*stays)?, whole(*priced).unwrap_or(0));
        let year = match combination {
            Value::Text(combination) => Combination::of(combination).year,
            _ => None,
        };
        let mut left = all;
        if let (Value::Text(combination), Value::Text(cost)) = (combination, cost)
            && stays > 0
        {
            cells.push(cell(combination, stays, cost, *sd)?);
            left = all.saturating_sub(stays);
        }
        *unplaced.entry(year).or_default() += left;
        Some(())
    })?;
    Ok((cells, unplaced))
}

/// The cells of an answer by parts.
///
/// # Errors
/// [`Failure::Internal`] when it is an answer to something else.
pub fn read_parts(answer: &Answer, skip: usize) -> Result<Vec<PartCell>, Failure> {
    let mut parts = Vec::new();
    each(answer, |row| {
        let [combination, part, _, priced, cost, sd] = row.get(skip..)? else { return None };
        let (Value::Text(combination), Value::Text(part), Value::Text(cost)) =
            (combination, part, cost)
        else {
            return Some(());
        };
        let cell = cell(combination, whole(*priced)?, cost, *sd)?;
        parts.push(PartCell { part: age_group(part), cell });
        Some(())
    })?;
    Ok(parts)
}

fn cell(combination: &str, stays: u64, cost: &str, sd: Value<'_>) -> Option<Cell> {
    let combination = combination.to_owned();
    let sd = sd.number().filter(|_| stays > 1);
    Some(Cell { combination, stays, cost_e4: parse_e4(cost).ok()?, sd })
}

/// Five-year age bands are too narrow for payment: children, adults and the old are told apart.
/// Anything that is no five-year band stays as it is.
fn age_group(part: &str) -> String {
    let start = match part.split_once('-') {
        Some((start, end)) => {
            start.parse::<u16>().ok().filter(|start| start % 5 == 0 && end.parse() == Ok(start + 4))
        }
        None => part.strip_suffix('+').and_then(|start| start.parse().ok()),
    };
    match start {
        None => part.to_owned(),
        Some(0..=14) => "00-14".to_owned(),
        Some(15..=64) => "15-64".to_owned(),
        Some(_) => "65+".to_owned(),
    }
}

fn each(answer: &Answer, mut take: impl FnMut(&[Value<'_>]) -> Option<()>) -> Result<(), Failure> {
    let strange = || Failure::Internal("the answer has not the columns of its question".to_owned());
    for block in answer.blocks() {
        let block = block.map_err(|error| Failure::Internal(error.to_string()))?;
        for row in 0..block.rows() {
            take(&block.row(row).collect::<Vec<_>>()).ok_or_else(strange)?;
        }
    }
    Ok(())
}

fn whole(value: Value<'_>) -> Option<u64> {
    match value {
        Value::Integer(value) => u64::try_from(value).ok(),
        Value::Unsigned(value) => Some(value),
        Value::Text(text) => text.parse().ok(),
        Value::Null | Value::Boolean(_) | Value::Double(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_are_joined() {
        for (band, group) in [
            ("00-04", "00-14"),
            ("10-14", "00-14"),
            ("15-19", "15-64"),
            ("60-64", "15-64"),
            ("65-69", "65+"),
            ("90+", "65+"),
            ("18-29", "18-29"),
            ("mcc", "mcc"),
        ] {
            assert_eq!(age_group(band), group);
        }
    }
}
