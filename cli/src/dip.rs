//! `consilium dip catalogue`: a region's DIP catalogue from one ordinary question.
//!
//! Combinations that are too rare to be opened are in the same answer under their ancestors, so the
//! answer has every stay once and nothing has to be subtracted from anything. More is asked only
//! where a group varies so much that it may be split. What is asked pooled is masked; hospitals' own
//! cells are asked for only when told so.

mod ask;
mod write;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use model::casemix::catalogue::{CatalogueRules, DipList, DipMade, catalogue};
use time::format_description::well_known::Rfc3339;

pub use ask::{Answers, Asked, Unplaced, read_cells, read_parts};
pub use write::json;

use crate::args::RegionArgs;
use crate::client::Client;
use crate::duration;
use crate::exit::Failure;
use crate::rules::rules;
use crate::run::Context;

/// `consilium dip`.
#[derive(Debug, Subcommand)]
pub enum DipCommand {
    /// Make the catalogue of a period
    Catalogue(CatalogueArgs),
}

/// `consilium dip catalogue`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consilium dip catalogue --region demo
  consilium dip catalogue --region demo --period-years 2022..2024 --version 2025 --out dip.json
  consilium-node ingest --config node.toml --source export.csv --mapping hqms --dip-list dip.json

The question is answered by every hospital at once and takes a code list of combinations, which is
found under masks the first time; give it time with --deadline in a large region.")]
pub struct CatalogueArgs {
    /// The region.
    #[command(flatten)]
    pub region: RegionArgs,
    /// Years of discharge, FIRST..LAST or one year; the newest that have weights when absent
    #[arg(long, value_name = "YEARS", value_parser = period)]
    pub period_years: Option<RangeInclusive<u16>>,
    /// Ask for regional sums under masks, or for each hospital's own cells (fewer than three
    /// hospitals are never pooled)
    #[arg(long, value_enum, default_value_t)]
    pub scope: CatalogueScope,
    /// Rules of the formulas, a dated TOML file; the shipped ones when absent
    #[arg(long, value_name = "FILE")]
    pub parameters: Option<PathBuf>,
    /// Name of the list
    #[arg(long, value_name = "NAME", default_value = "dip")]
    pub name: String,
    /// Version of the list; its years when absent
    #[arg(long, value_name = "NAME")]
    pub version: Option<String>,
    /// Form of what is printed
    #[arg(long, value_enum, default_value_t)]
    pub format: CatalogueFormat,
    /// Write the code list, which is JSON, to a file too
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Wait at most so long (500ms, 30s, 10m) for each question
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "5m")]
    pub deadline: Duration,
}

/// Whose cells a catalogue is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum CatalogueScope {
    /// Regional sums, masked
    #[default]
    Pooled,
    /// Each hospital's own
    PerHospital,
}

/// Form of a catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum CatalogueFormat {
    /// For people
    #[default]
    Table,
    /// The code list
    Json,
    /// One line a group, RFC 4180
    Csv,
}

/// Runs the command.
///
/// # Errors
/// Every kind of [`Failure`].
pub async fn run(command: &DipCommand, context: &Context) -> Result<(), Failure> {
    let DipCommand::Catalogue(args) = command;
    let rules = rules(args.parameters.as_deref())?.catalogue;
    let client = Client::open(&args.region.region, &context.clock)?;
    let asked = ask::ask(&client, args, &rules, context.console).await?;
    let mut list = make(&asked.answers, args, &rules)?;
    let now = time::OffsetDateTime::from(context.clock.now());
    list.made = Some(DipMade {
        at: now.format(&Rfc3339).map_err(|error| Failure::Internal(error.to_string()))?,
        scope: asked.scope,
        hospitals: asked.hospitals,
        coverage: asked.coverage,
    });
    if let Some(path) = &args.out {
        let text = json(&list)?;
        std::fs::write(path, text).map_err(Failure::output(path))?;
    }
    write::print(&list, args.format, context.console)
}

/// The list of what was answered.
///
/// # Errors
/// [`Failure::Data`] when there is no catalogue of it.
pub fn make(
    answers: &Answers,
    args: &CatalogueArgs,
    rules: &CatalogueRules,
) -> Result<DipList, Failure> {
    let cells = answers.within(args.period_years.as_ref(), rules);
    if answers.cells.is_empty() {
        let reason = "no stay was released with a combination and a cost; a hospital whose snapshot \
                      is older than its node has to ingest its source again";
        return Err(Failure::Data(reason.to_owned()));
    }
    let made = catalogue(&cells, rules);
    let mut made = made.map_err(|error| {
        Failure::Data(format!("there is no catalogue: {error}; see --period-years"))
    })?;
    made.unplaced += answers.unplaced_within(args.period_years.as_ref(), rules);
    for (by, parts) in &answers.parts {
        made.split(by, parts, rules);
    }
    let (first, last) = (made.years.first(), made.years.last());
    let version = args.version.clone().unwrap_or_else(|| match (first, last) {
        (Some((first, _)), Some((last, _))) if first != last => format!("{first}-{last}"),
        (Some((year, _)), _) => year.to_string(),
        _ => String::new(),
    });
    let mut list = DipList::of(&made, &args.name, &version);
    let hashed = serde_json::to_vec(&list.hashed());
    let hashed = hashed.map_err(|error| Failure::Internal(error.to_string()))?;
    list.hash = privacy::sha256(&hashed).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(list)
}

/// `2022..2024`, or one year.
fn period(text: &str) -> Result<RangeInclusive<u16>, String> {
    let wrong = || format!("{text} is not FIRST..LAST, such as 2022..2024, or one year");
    let year =
        |text: &str| text.trim_start_matches('=').parse::<u16>().ok().filter(|year| *year >= 1900);
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let range = year(first).zip(year(last)).map(|(first, last)| first..=last);
    range.filter(|range| !range.is_empty()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_read() {
        assert_eq!(period("2022..2024"), Ok(2022..=2024));
        assert_eq!(period("2024"), Ok(2024..=2024));
        for bad in ["", "2024..2022", "22..24", "a", "2022-2024"] {
            assert!(period(bad).is_err(), "{bad}");
        }
    }
}
