//! The command line of benchmarks and alerts.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use model::Period;
use model::casemix::trim::Method;

use crate::args::{Format, ListFormat, RegionArgs};
use crate::duration;

/// `consilium benchmark`.
#[derive(Debug, Subcommand)]
pub enum BenchmarkCommand {
    /// Disease groups and hospitals of the region: weights, percentiles, indices, composition
    #[command(after_help = "\
Examples:
  consilium benchmark drg --region demo
  consilium benchmark drg --region demo --period 2024Q1 --tier tertiary --cost charge
  consilium benchmark drg --region demo --format json > benchmark.json
  consilium benchmark drg --region demo --out report     # CSV, Parquet, JSON, HTML in both languages")]
    Drg(DrgArgs),
    /// One hospital against its tier: where its cost differs, by how much, and why
    #[command(after_help = "\
Examples:
  consilium benchmark hospital h-003 --region demo
  consilium benchmark hospital h-003 --region demo --format json")]
    Hospital(HospitalArgs),
    /// What each hospital has observed against what a model expects of its stays
    #[command(after_help = "\
Examples:
  consilium benchmark oe --model deaths-2024 --region demo
  consilium benchmark oe --model cost-2024 --outcome total_cost --region demo --out report")]
    Oe(super::oe::OeArgs),
}

/// What is compared.
#[derive(Debug, Clone, Default, Args)]
pub struct Selection {
    /// Only stays discharged then: 2024, 2024Q1, 2024-03, 2022..2024
    #[arg(long, value_name = "PERIOD", value_parser = Period::from_str)]
    pub period: Option<Period>,
    /// Only hospitals of this tier
    #[arg(long, value_name = "TIER")]
    pub tier: Option<String>,
    /// Only groups of this grouper, as name@version; needed where hospitals use several
    #[arg(long, value_name = "SCHEME")]
    pub scheme: Option<String>,
    /// Which amount is compared
    #[arg(long, value_enum, default_value_t)]
    pub cost: Cost,
    /// Rules of the formulas, a dated TOML file; the shipped ones when absent
    #[arg(long, value_name = "FILE")]
    pub parameters: Option<PathBuf>,
    /// Wait at most so long for each question (500ms, 30s, 2m)
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub deadline: Option<Duration>,
}

/// `consilium benchmark drg`.
#[derive(Debug, Clone, Args)]
pub struct DrgArgs {
    /// The region.
    #[command(flatten)]
    pub region: RegionArgs,
    /// What is compared.
    #[command(flatten)]
    pub selection: Selection,
    /// Leave stays of extreme cost out: none, multiple, quantile, log-sd, iqr
    #[arg(long, value_name = "METHOD", default_value = "none", value_parser = Method::from_str)]
    pub trim: Method,
    /// Form of what goes to stdout; csv, parquet and arrow hold the group table
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Also write all tables and the report into this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// `consilium benchmark hospital`.
#[derive(Debug, Clone, Args)]
pub struct HospitalArgs {
    /// The hospital
    #[arg(value_name = "ID")]
    pub hospital: String,
    /// The region.
    #[command(flatten)]
    pub region: RegionArgs,
    /// What is compared.
    #[command(flatten)]
    pub selection: Selection,
    /// Form of what goes to stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
}

/// `consilium alerts`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  consilium alerts --region demo
  consilium alerts --region demo --period 2024Q1 --parameters rules.toml --format json")]
pub struct AlertArgs {
    /// The region.
    #[command(flatten)]
    pub region: RegionArgs,
    /// What is compared.
    #[command(flatten)]
    pub selection: Selection,
    /// Form of what goes to stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
}

/// Which amount of a stay is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Cost {
    /// Accounted cost
    #[default]
    Cost,
    /// Billed charge
    Charge,
}

impl Cost {
    /// The column of the governed table.
    #[must_use]
    pub const fn column(self) -> &'static str {
        match self {
            Self::Cost => "total_cost",
            Self::Charge => "total_charge",
        }
    }

    /// The word on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cost => "cost",
            Self::Charge => "charge",
        }
    }
}
