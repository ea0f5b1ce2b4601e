//! `consilium benchmark oe`: what each hospital has observed against what a model of the region
//! expects of its stays (F13). Hospitals apply the model themselves; two sums leave each.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use learn::card::Card;
use model::casemix::standardised::{Band, Ratio, Sums};
use model::glm::Family;
use proto::v1::{ExpectResponse, Expected};
use serde_json::{Value, json};
use service::clock::rfc3339;

use super::{decimals, money};
use crate::args::{ListFormat, RegionArgs};
use crate::client::Client;
use crate::duration;
use crate::exit::Failure;
use crate::message::{Lang, Message};
use crate::report::funnel;
use crate::run::Context;
use crate::sheet::{Align, Sheet, grouped};

/// `consilium benchmark oe`.
#[derive(Debug, Clone, Args)]
pub struct OeArgs {
    /// The model that says what is expected
    #[arg(long, value_name = "NAME")]
    pub model: String,
    /// What the model must be of: an error when it is of something else
    #[arg(long, value_enum)]
    pub outcome: Option<Outcome>,
    /// The region.
    #[command(flatten)]
    pub region: RegionArgs,
    /// Form of what goes to stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
    /// Also write CSV, JSON and a report with a funnel plot in each language into this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Wait at most so long (500ms, 30s, 2m)
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub deadline: Option<Duration>,
}

/// An outcome on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Outcome {
    /// Died in hospital
    #[value(name = "died")]
    Died,
    /// Accounted cost
    #[value(name = "total_cost")]
    TotalCost,
    /// Length of stay
    #[value(name = "los_days")]
    LosDays,
}

impl Outcome {
    const fn column(self) -> &'static str {
        match self {
            Self::Died => "died",
            Self::TotalCost => "total_cost",
            Self::LosDays => "los_days",
        }
    }
}

/// One hospital, finished.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The hospital.
    pub hospital: String,
    /// Its tier.
    pub tier: String,
    /// Stays under the model.
    pub stays: u64,
    /// Sums, unless they are withheld.
    pub sums: Option<Sums>,
    /// The ratio, where something is expected.
    pub ratio: Option<Ratio>,
}

/// All hospitals under one model.
#[derive(Debug, Clone)]
pub struct Standings {
    /// Name of the region.
    pub region: String,
    /// The model.
    pub card: Card,
    /// Hospitals, highest ratio first, those without one last.
    pub hospitals: Vec<Standing>,
    /// Who is missing, and why.
    pub missing: Vec<(String, String)>,
    /// Whether the outcome is a number of events.
    pub counts: bool,
}

/// Asks, finishes, prints.
///
/// # Errors
/// Every kind of [`Failure`].
pub async fn run(args: &OeArgs, context: &Context) -> Result<(), Failure> {
    let client = Client::open(&args.region.region, &context.clock)?;
    let card = client.model(&args.model).await?;
    if let Some(outcome) = args.outcome.filter(|outcome| outcome.column() != card.design.response) {
        return Err(Failure::Usage(format!(
            "the model {} is of {}, not of {}",
            card.name,
            card.design.response,
            outcome.column()
        )));
    }
    let bar = context.console.bar(Message::Asking, None);
    let told = client.expect(&args.model, args.deadline).await;
    bar.finish_and_clear();
    let standings = Standings::new(client.region(), card, &told?)?;
    if let Some(folder) = &args.out {
        standings.save(folder, context)?;
    }
    let text = match args.format {
        ListFormat::Json => format!("{:#}\n", standings.value()),
        ListFormat::Table => standings.table(context),
    };
    context.console.data(|out| out.write_all(text.as_bytes()))
}

impl Standings {
    /// Finishes what hospitals have told.
    ///
    /// # Errors
    /// [`Failure::Data`] when the card is not usable.
    pub fn new(region: &str, card: Card, told: &ExpectResponse) -> Result<Self, Failure> {
        let (family, _) = card.law().map_err(|error| Failure::Data(error.to_string()))?;
        let counts = matches!(family, Family::Binomial | Family::Poisson);
        let dispersion = card.fit.dispersion;
        let standing = |one: &Expected| {
            let sums = one.observed.zip(one.expected).zip(one.variance);
            let sums = sums.map(|((observed, expected), variance)| Sums {
                observed,
                expected,
                variance: variance * dispersion,
            });
            Standing {
                hospital: one.hospital.clone(),
                tier: one.tier.clone(),
                stays: one.stays,
                ratio: sums.and_then(|sums| Ratio::of(&sums, counts)),
                sums,
            }
        };
        let mut hospitals: Vec<_> = told.hospitals.iter().map(standing).collect();
        let order = |one: &Standing| one.ratio.map_or(f64::NEG_INFINITY, |ratio| ratio.ratio);
        hospitals.sort_by(|a, b| order(b).total_cmp(&order(a)).then(a.hospital.cmp(&b.hospital)));
        let missing =
            told.missing.iter().map(|one| (one.hospital.clone(), one.reason.clone())).collect();
        Ok(Self { region: region.to_owned(), card, hospitals, missing, counts })
    }

    fn value(&self) -> Value {
        let one = |standing: &Standing| {
            let (sums, ratio) = (standing.sums, standing.ratio);
            json!({
                "hospital_id": standing.hospital,
                "tier": standing.tier,
                "stays": sums.map(|_| standing.stays),
                "observed": sums.map(|sums| sums.observed),
                "expected": sums.map(|sums| sums.expected),
                "ratio": ratio.map(|ratio| ratio.ratio),
                "lower": ratio.map(|ratio| ratio.lower),
                "upper": ratio.map(|ratio| ratio.upper),
                "z": ratio.map(|ratio| ratio.z),
                "band": ratio.map(|ratio| band(ratio.band())),
                "indirect": ratio.map(|ratio| ratio.ratio * self.card.fit.response_mean),
            })
        };
        let missing = self.missing.iter();
        let missing: Vec<_> =
            missing.map(|(id, why)| json!({ "hospital": id, "reason": why })).collect();
        json!({
            "model": self.card.name,
            "response": self.card.design.response,
            "formula": self.card.formula,
            "family": self.card.family,
            "regional_mean": self.card.fit.response_mean,
            "limits": if self.counts { "exact Poisson" } else { "normal" },
            "hospitals": self.hospitals.iter().map(one).collect::<Vec<_>>(),
            "missing": missing,
        })
    }

    fn table(&self, context: &Context) -> String {
        let lang = context.console.lang();
        let headings = [
            (Message::Hospital, Align::Left),
            (Message::Tier, Align::Left),
            (Message::Stays, Align::Right),
            (Message::Observed, Align::Right),
            (Message::ExpectedSum, Align::Right),
            (Message::Ratio, Align::Right),
            (Message::Limits, Align::Right),
            (Message::ZValue, Align::Right),
            (Message::Position, Align::Left),
        ];
        let headings = headings.iter().map(|(message, align)| (message.text(lang), *align));
        let mut sheet = Sheet::new(headings);
        for standing in &self.hospitals {
            let amount = |value: Option<f64>| match value.is_some_and(|value| value >= 10_000.0) {
                true => money(value),
                false => decimals(value, 1),
            };
            let (sums, ratio) = (standing.sums, standing.ratio);
            sheet.row([
                standing.hospital.clone(),
                standing.tier.clone(),
                sums.map_or_else(|| "-".to_owned(), |_| grouped(standing.stays)),
                amount(sums.map(|sums| sums.observed)),
                amount(sums.map(|sums| sums.expected)),
                decimals(ratio.map(|ratio| ratio.ratio), 3),
                ratio.map_or_else(String::new, |r| format!("{:.3} .. {:.3}", r.lower, r.upper)),
                decimals(ratio.map(|ratio| ratio.z), 1),
                ratio.map_or_else(String::new, |r| position(r.band()).text(lang).to_owned()),
            ]);
        }
        let title: [&dyn std::fmt::Display; 3] =
            [&self.card.design.response, &self.card.name, &self.card.formula];
        let mut text = context.console.text(Message::OeTitle, &title);
        text.push('\n');
        text.push_str(&sheet.render());
        text.push('\n');
        for (hospital, reason) in &self.missing {
            text.push_str(&context.console.text(Message::Missing, &[hospital, reason]));
            text.push('\n');
        }
        text
    }

    /// CSV, JSON and a report in each language.
    fn save(&self, folder: &Path, context: &Context) -> Result<(), Failure> {
        std::fs::create_dir_all(folder).map_err(Failure::output(folder))?;
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(Failure::output(&path))
        };
        write("oe.json", format!("{:#}\n", self.value()))?;
        write("oe.csv", self.csv()?)?;
        let made_at = rfc3339(context.clock.now());
        for (lang, name) in [(Lang::En, "oe.en.html"), (Lang::Zh, "oe.zh.html")] {
            write(name, funnel::html(self, lang, &made_at))?;
        }
        context.console.note(context.console.text(Message::ReportSaved, &[&folder.display()]));
        Ok(())
    }

    fn csv(&self) -> Result<String, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::Internal(format!("writing: {error}"));
        let mut writer = csv::Writer::from_writer(Vec::new());
        let header = [
            "hospital_id",
            "tier",
            "stays",
            "observed",
            "expected",
            "ratio",
            "lower",
            "upper",
            "z",
        ];
        writer.write_record(header).map_err(|error| failed(&error))?;
        for standing in &self.hospitals {
            let number = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
            let (sums, ratio) = (standing.sums, standing.ratio);
            let row = [
                standing.hospital.clone(),
                standing.tier.clone(),
                sums.map(|_| standing.stays.to_string()).unwrap_or_default(),
                number(sums.map(|sums| sums.observed)),
                number(sums.map(|sums| sums.expected)),
                number(ratio.map(|ratio| ratio.ratio)),
                number(ratio.map(|ratio| ratio.lower)),
                number(ratio.map(|ratio| ratio.upper)),
                number(ratio.map(|ratio| ratio.z)),
            ];
            writer.write_record(row).map_err(|error| failed(&error))?;
        }
        let bytes = writer.into_inner().map_err(|error| failed(&error))?;
        String::from_utf8(bytes).map_err(|error| failed(&error))
    }
}

const fn band(band: Band) -> &'static str {
    match band {
        Band::Within => "within",
        Band::High => "high",
        Band::VeryHigh => "very_high",
        Band::Low => "low",
        Band::VeryLow => "very_low",
    }
}

const fn position(band: Band) -> Message {
    match band {
        Band::Within => Message::WithinLimits,
        Band::High => Message::AboveLimit,
        Band::VeryHigh => Message::FarAbove,
        Band::Low => Message::BelowLimit,
        Band::VeryLow => Message::FarBelow,
    }
}
