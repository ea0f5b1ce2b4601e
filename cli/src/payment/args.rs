//! The command line of payment.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use model::Period;
use model::casemix::money::parse_cents;
use model::casemix::payment::Scheme;

use crate::args::{Format, RegionArgs};
use crate::benchmark::args::Cost;
use crate::duration;

/// `consilium payment`.
#[derive(Debug, Subcommand)]
pub enum PaymentCommand {
    /// Divide a fund among hospitals, and beside it the same fund under other rules
    #[command(after_help = "\
Examples:
  consilium payment simulate --region demo --fund 250000000 --method drg-rate
  consilium payment simulate --region demo --fund 250000000 --method drg-points \\
    --parameters 2025.toml --against 2026.toml --format json
  consilium payment simulate --region demo --fund 250000000 --method dip-points \\
    --catalogue dip.json --period 2024 --reference-period 2023

A complete file of rules is printed by: consilium payment rules")]
    Simulate(Box<SimulateArgs>),
    /// Print the shipped rules: a complete file of every threshold, multiple and coefficient
    #[command(after_help = "Example:\n  consilium payment rules > rules.toml")]
    Rules,
}

/// `consilium payment simulate`.
#[derive(Debug, Clone, Args)]
pub struct SimulateArgs {
    /// The region.
    #[command(flatten)]
    pub region: RegionArgs,
    /// What is divided, in the region's currency, with at most two decimals
    #[arg(long, value_name = "AMOUNT", value_parser = fund)]
    pub fund: i128,
    /// How it is divided
    #[arg(long, value_enum)]
    pub method: Method,
    /// Rules, a dated TOML file; the shipped ones when absent
    #[arg(long, value_name = "FILE")]
    pub parameters: Option<PathBuf>,
    /// Other rules, for a shadow run whose difference is shown
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// Scores of a DIP catalogue instead of weights of the period
    #[arg(long, value_name = "FILE")]
    pub catalogue: Option<PathBuf>,
    /// Only stays discharged then: 2024, 2024Q1, 2024-03, 2022..2024
    #[arg(long, value_name = "PERIOD", value_parser = Period::from_str)]
    pub period: Option<Period>,
    /// Whose means decide which cases deviate; the same stays when absent
    #[arg(long, value_name = "PERIOD", value_parser = Period::from_str)]
    pub reference_period: Option<Period>,
    /// Only groups of this grouper, as name@version; needed where hospitals use several
    #[arg(long, value_name = "SCHEME")]
    pub scheme: Option<String>,
    /// Which amount weights and deviations are made from
    #[arg(long, value_enum, default_value_t)]
    pub cost: Cost,
    /// Wait at most so long for each question (500ms, 30s, 2m)
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub deadline: Option<Duration>,
    /// Form of the settlement; csv has a line for each hospital and group
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Write to a file instead of stdout
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// How a fund is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// DRG: relative weights times a base rate (F6)
    DrgRate,
    /// DRG: points times a point value (F7)
    DrgPoints,
    /// DIP: scores times a point value, of a pool that is the fund over the reimbursement ratio (F11)
    DipPoints,
}

impl Method {
    /// The formula.
    #[must_use]
    pub const fn scheme(self) -> Scheme {
        match self {
            Self::DrgRate => Scheme::DrgRate,
            Self::DrgPoints => Scheme::DrgPoints,
            Self::DipPoints => Scheme::DipPoints,
        }
    }

    /// The word on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DrgRate => "drg-rate",
            Self::DrgPoints => "drg-points",
            Self::DipPoints => "dip-points",
        }
    }

    /// The column of groups.
    #[must_use]
    pub const fn group(self) -> &'static str {
        match self {
            Self::DrgRate | Self::DrgPoints => "drg_code",
            Self::DipPoints => "dip_code",
        }
    }
}

fn fund(text: &str) -> Result<i128, String> {
    let cents = parse_cents(text).map_err(|error| error.to_string())?;
    if cents <= 0 { Err("a fund is more than 0".to_owned()) } else { Ok(cents) }
}
