//! `consilium benchmark`: the regional cost benchmark, and one hospital in it.
//!
//! The questions are those of the pack `drg-cost`, so hospitals that have approved it answer
//! without looking at each; the tables are finished here, by the program that the pack names, from
//! released cells only. What was withheld is empty in every form, never zero.

pub mod args;
pub mod ask;
mod hospital;
mod json;
pub mod oe;
mod sheet;
mod table;

use std::path::Path;
use std::time::{Duration, Instant};

use model::casemix::benchmark::Benchmark;
use model::casemix::drg_cost::{Cells, Finished, finish};
use model::casemix::parameters::Parameters;
use model::casemix::trim::Method;
use num_traits::ToPrimitive as _;
use service::clock::rfc3339;

pub(crate) use hospital::{components, components_value};
pub(crate) use table::{decimals, money, percent};

use self::args::{BenchmarkCommand, DrgArgs, Selection};
use self::ask::{Asked, Asking};
use crate::args::Format;
use crate::client::Client;
use crate::exit::Failure;
use crate::message::{Lang, Message};
use crate::rules::rules;
use crate::run::Context;
use crate::told::Told;

/// A finished benchmark, and how it came about.
#[derive(Debug, Clone)]
pub struct Regional {
    /// The tables.
    pub benchmark: Benchmark,
    /// What deviates.
    pub finished: Finished,
    /// What hospitals released.
    pub asked: Asked,
    /// The rules that were in force.
    pub rules: Parameters,
    /// From the first question to the last answer.
    pub elapsed: Duration,
}

/// `consilium benchmark drg` and `hospital`.
///
/// # Errors
/// Every kind of [`Failure`].
pub async fn run(command: &BenchmarkCommand, context: &Context) -> Result<(), Failure> {
    match command {
        BenchmarkCommand::Drg(args) => drg(args, context).await,
        BenchmarkCommand::Hospital(args) => hospital::run(args, context).await,
        BenchmarkCommand::Oe(args) => oe::run(args, context).await,
    }
}

async fn drg(args: &DrgArgs, context: &Context) -> Result<(), Failure> {
    if !args.format.is_text() && context.console.shows_stdout() {
        let reason = "a terminal cannot show this format; send stdout to a file, or write all tables \
                      with --out DIR";
        return Err(Failure::Usage(reason.to_owned()));
    }
    let rules = rules(args.selection.parameters.as_deref())?;
    let client = Client::open(&args.region.region, &context.clock)?;
    let bar = context.console.bar(Message::Asking, None);
    let regional = ask(&client, &args.selection, args.trim, rules, context).await;
    bar.finish_and_clear();
    let regional = regional?;
    if let Some(folder) = &args.out {
        regional.save(folder, context)?;
    }
    regional.deliver(args.format, context)
}

/// Asks the region and finishes the benchmark.
///
/// # Errors
/// What the client meets; [`Failure::Data`] when nothing that was asked for is there.
pub async fn ask(
    client: &Client,
    selection: &Selection,
    trim: Method,
    rules: Parameters,
    context: &Context,
) -> Result<Regional, Failure> {
    let started: Instant = context.clock.monotonic();
    let asked = Asking { client, selection }.benchmark(trim, &rules).await?;
    let elapsed = context.clock.monotonic().duration_since(started);
    let finished = finish(&asked.cells, &asked.setting, &rules);
    let benchmark = tables(client.region(), selection, trim, &asked, &finished, &rules);
    Ok(Regional { benchmark, finished, asked, rules, elapsed })
}

fn tables(
    region: &str,
    selection: &Selection,
    trim: Method,
    asked: &Asked,
    finished: &Finished,
    rules: &Parameters,
) -> Benchmark {
    let told = |question: &str| {
        let name = format!("{}/{question}", ask::DRG_COST);
        asked.told.iter().find(move |told| told.question == name).map(|told| &told.release)
    };
    let (groups, hospitals) = (told("groups"), told("hospitals"));
    let coverage = |release: Option<&crate::answer::Release>| release?.stays_coverage;
    let withheld =
        |release: Option<&crate::answer::Release>| release.map_or(0, |told| told.cells.withheld);
    Benchmark {
        region: region.to_owned(),
        scheme: asked.scheme.clone(),
        period: selection.period.as_ref().map(ToString::to_string).unwrap_or_default(),
        tier: selection.tier.clone().unwrap_or_default(),
        measure: selection.cost.as_str().to_owned(),
        trim: trim.as_str().to_owned(),
        parameters: rules.label(),
        hospitals_answered: groups
            .map_or((0, 0), |told| (told.hospitals.answered.into(), told.hospitals.asked.into())),
        coverage: (coverage(groups), coverage(hospitals)),
        withheld: (withheld(groups), withheld(hospitals)),
        groups: finished.groups.clone(),
        hospitals: finished.hospitals.clone(),
    }
}

impl Regional {
    /// Released cells.
    #[must_use]
    pub const fn cells(&self) -> &Cells {
        &self.asked.cells
    }

    /// How each answer came about.
    #[must_use]
    pub fn told(&self) -> &[Told] {
        &self.asked.told
    }

    /// How it came about when fees were asked for too, as the JSON forms say it.
    #[must_use]
    pub fn release_with_fees(&self, told: &Told) -> serde_json::Value {
        json::with_fees(self, told)
    }

    /// Writes to stdout.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn deliver(&self, format: Format, context: &Context) -> Result<(), Failure> {
        let console = context.console;
        match format {
            Format::Table => {
                let text = table::render(self, console);
                console.data(|out| out.write_all(text.as_bytes()))
            }
            Format::Json => {
                let text = json::text(self);
                console.data(|out| out.write_all(text.as_bytes()))
            }
            Format::Csv | Format::Parquet | Format::Arrow => {
                sheet::groups(self)?.deliver(format, None, console)
            }
        }?;
        console.note(self.summary(context));
        if self.benchmark.trim != Method::None.as_str() {
            let trimmed = self.benchmark.groups.iter().filter(|row| row.trimmed_stays.is_some());
            let (trimmed, all) = (trimmed.count(), self.benchmark.groups.len());
            console.note(console.text(Message::Trimmed, &[&self.benchmark.trim, &trimmed, &all]));
        }
        Ok(())
    }

    /// Writes every form into `folder`: two tables as CSV and Parquet, JSON, a report in each
    /// language.
    ///
    /// # Errors
    /// [`Failure::Output`] naming the file.
    pub fn save(&self, folder: &Path, context: &Context) -> Result<(), Failure> {
        let console = context.console;
        std::fs::create_dir_all(folder).map_err(Failure::output(folder))?;
        for (name, table) in
            [("groups", sheet::groups(self)?), ("hospitals", sheet::hospitals(self)?)]
        {
            for (format, end) in [(Format::Csv, "csv"), (Format::Parquet, "parquet")] {
                let path = folder.join(format!("{name}.{end}"));
                table.deliver(format, Some(&path), console)?;
            }
        }
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(Failure::output(&path))
        };
        write("benchmark.json", json::text(self))?;
        let made_at = rfc3339(context.clock.now());
        for (lang, name) in [(Lang::En, "report.en.html"), (Lang::Zh, "report.zh.html")] {
            write(name, crate::report::html(&self.benchmark, lang, &made_at))?;
        }
        console.note(console.text(Message::ReportSaved, &[&folder.display()]));
        Ok(())
    }

    /// Share of the region's weight that lies in released cells of hospitals: what is rare in a
    /// hospital is withheld there, and what is rare is often heavy.
    #[must_use]
    pub fn weight_coverage(&self) -> Option<f64> {
        let told = self.benchmark.hospitals.iter().filter_map(|row| row.total_weight);
        let groups = self.benchmark.groups.iter();
        let all = groups.filter_map(|row| Some(row.relative_weight? * row.stays.to_f64()?));
        let (told, all) = (told.sum::<f64>(), all.sum::<f64>());
        (all > 0.0).then(|| told / all)
    }

    /// Rounds, bytes, time and coverage in one line.
    fn summary(&self, context: &Context) -> String {
        let rounds: u32 = self.told().iter().map(|told| told.release.rounds).sum();
        let bytes: u64 = self.told().iter().map(|told| told.release.bytes_received).sum();
        let bytes = crate::sheet::grouped(bytes);
        let (console, coverage) = (context.console, self.benchmark.coverage);
        let parts: [&dyn std::fmt::Display; 6] = [
            &rounds,
            &bytes,
            &self.elapsed.as_millis(),
            &percent(coverage.0),
            &percent(coverage.1),
            &percent(self.weight_coverage()),
        ];
        console.text(Message::Rounds, &parts)
    }
}
