//! The command line, as clap reads it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::message::Lang;
use crate::{duration, exit, noise};

/// Ask a region of hospitals one question, and get one answer of released sums.
#[derive(Debug, Parser)]
#[command(
    name = "consilium",
    version,
    max_term_width = 100,
    long_about = "Ask a region of hospitals one question in SQL. Every hospital computes its own \
                  sums and releases those that its policy allows; no row ever leaves it. Data goes \
                  to stdout, everything else to stderr.",
    after_help = "See 'consilium help <command>' for examples, 'consilium --help' for exit codes.",
    after_long_help = exit::HELP
)]
pub struct Cli {
    /// Language of messages; taken from the locale when absent
    #[arg(long, global = true, value_enum)]
    pub lang: Option<Lang>,
    /// No progress and no summary on stderr
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// What is logged to stderr
    #[arg(long, global = true, hide = true, env = "CONSILIUM_LOG", default_value = "warn")]
    pub log: String,
    #[arg(long = "locale-all", global = true, hide = true, env = "LC_ALL")]
    locale_all: Option<String>,
    #[arg(long = "locale", global = true, hide = true, env = "LANG")]
    locale: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ask the region a question in SQL
    Query(QueryArgs),
    /// Compare disease groups and hospitals: the regional cost benchmark
    #[command(subcommand)]
    Benchmark(crate::benchmark::args::BenchmarkCommand),
    /// Fit a model of the region: cost, length of stay, deaths
    Fit(crate::fit::FitArgs),
    /// Show, compare and apply the region's models
    #[command(subcommand)]
    Model(crate::models::ModelCommand),
    /// Show what deviates, most money at stake first
    Alerts(crate::benchmark::args::AlertArgs),
    /// Divide a fund among hospitals by weights or points
    #[command(subcommand)]
    Payment(crate::payment::PaymentCommand),
    /// Show the packs of questions that hospitals can approve
    #[command(subcommand)]
    Pack(crate::pack::PackCommand),
    /// Make, join and show projects: who may ask what, for which purpose, until when
    #[command(subcommand)]
    Project(crate::project::ProjectCommand),
    /// Show what can be asked: tables, columns, conditions, codes
    Catalog(CatalogArgs),
    /// Show who takes part in the region
    Hospitals(HospitalsArgs),
    /// Make a region on this computer, ask it, and show what left the hospitals
    Demo(DemoArgs),
    /// Run a region's authority: invite, enrol, renew, revoke
    Region(crate::region::args::RegionArgs),
    /// Check or show the records of a region's parties, from their files
    #[command(subcommand)]
    Audit(crate::audit::args::AuditCommand),
    /// Make a region's DIP catalogue: core and mixed groups with their weights
    #[command(subcommand)]
    Dip(crate::dip::DipCommand),
    /// Measure what the federation costs, as ratios in one run
    Bench(BenchArgs),
    /// A node in a process of its own, for the benchmark
    #[command(hide = true)]
    ServeNode {
        /// The command line of `consilium-node`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<std::ffi::OsString>,
    },
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  consilium completions bash > \
                            ~/.local/share/bash-completion/completions/consilium")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Which region.
#[derive(Debug, Clone, Args)]
pub struct RegionArgs {
    /// Folder of the region: client.toml, certificates and key
    #[arg(long, value_name = "DIR", env = "CONSILIUM_REGION")]
    pub region: PathBuf,
}

/// `consilium query`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consilium query --region demo \"SELECT drg_code, count(*) AS stays, avg(total_cost) AS mean
    FROM stay GROUP BY drg_code ORDER BY stays DESC\"
  consilium query --region demo --file benchmark.sql --format csv --out benchmark.csv
  consilium query --region demo --explain \"SELECT count(*) FROM stay\"
  consilium query --region demo --noise=0.005 \"SELECT hospital_id, count(*) FROM stay GROUP BY 1\"
  echo 'SELECT count(*) FROM stay' | consilium query --region demo --format json -")]
pub struct QueryArgs {
    /// The region.
    #[command(flatten)]
    pub region: RegionArgs,
    /// The question; '-' reads it from stdin
    #[arg(value_name = "SQL", required_unless_present = "file", conflicts_with = "file")]
    pub sql: Option<String>,
    /// Read the question from a file
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Write the answer to a file instead of stdout
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Wait at most so long (500ms, 30s, 2m); late hospitals are listed as missing
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub deadline: Option<Duration>,
    /// Ask for cells with noise that costs so much of each hospital's yearly budget
    #[arg(long, value_name = "RHO", num_args = 0..=1, require_equals = true,
        default_missing_value = "0.005", value_parser = noise::parse)]
    pub noise: Option<u64>,
    /// Ask as a member of this project, under its budget
    #[arg(long, value_name = "NAME", env = "CONSILIUM_PROJECT")]
    pub project: Option<String>,
    /// Show what each hospital would receive, under which rules and at what cost, and ask nobody
    #[arg(long, visible_alias = "dry-run")]
    pub explain: bool,
}

/// `consilium catalog`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consilium catalog --region demo
  consilium catalog --region demo stay
  consilium catalog --region demo --format json stay")]
pub struct CatalogArgs {
    /// The region.
    #[command(flatten)]
    pub region: RegionArgs,
    /// Only this table
    pub table: Option<String>,
    /// Form of the list
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
}

/// `consilium hospitals`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  consilium hospitals --region demo")]
pub struct HospitalsArgs {
    /// The region.
    #[command(flatten)]
    pub region: RegionArgs,
    /// Form of the list
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
}

/// `consilium demo`.
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Examples:
  consilium demo --once
  consilium demo --dir region --hospitals 20 --stays 200000
  consilium demo --once --source discharges.csv.gz --mapping sparcs \\
    --split-by Permanent.Facility.Id --policy open

Certificates of a demonstration last 90 days and are renewed by a start after 60; 'consilium region'
works on the folder as on any authority's. A folder that was made earlier is used again, with
its ports, as long as the options agree.")]
pub struct DemoArgs {
    /// Folder of the region; a temporary one when absent
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Hospitals to make up [default: 12]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=200))]
    pub hospitals: Option<u16>,
    /// Stays to make up, over all hospitals [default: 60000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub stays: Option<u64>,
    /// Same seed, same data [default: 1]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(..=1 << 62))]
    pub seed: Option<u64>,
    /// Years over which made-up stays are spread, the last being 2024 [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10))]
    pub years: Option<u16>,
    /// Divide each made-up group into so many, for a region with many groups [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=50))]
    pub subgroups: Option<u16>,
    /// Make hospitals of a tier alike: none dearer than others, and nothing wrong anywhere
    #[arg(long)]
    pub alike: bool,
    /// Use a real CSV file, plain or gzip, instead of made-up data
    #[arg(long, value_name = "FILE", requires_all = ["mapping", "split_by"],
        conflicts_with_all = ["hospitals", "stays", "seed", "years", "subgroups", "alike"])]
    pub source: Option<PathBuf>,
    /// How to read the file: a shipped mapping (sparcs, synthetic) or a folder
    #[arg(long, value_name = "NAME|DIR", requires = "source")]
    pub mapping: Option<String>,
    /// One hospital for each value of this column
    #[arg(long, value_name = "COLUMN", requires = "source")]
    pub split_by: Option<String>,
    /// Policy of every node: a file, 'demo', 'default' (a new hospital's: its steward decides on what is
    /// in no pack), or 'open' (every minimum 1: shows the machinery, protects nobody)
    #[arg(long, value_name = "FILE|demo|default|open")]
    pub policy: Option<String>,
    /// Ask this instead of the benchmark
    #[arg(long, value_name = "SQL")]
    pub sql: Option<String>,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// End after the answer instead of serving on
    #[arg(long)]
    pub once: bool,
}

/// `consilium bench`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consilium bench --stays 10000000 --hospitals 10 --repeat 7 --format json
  consilium bench --scope per-hospital --no-simulation
  consilium bench --pack --stays 5000000 --hospitals 100 --subgroups 12
  consilium bench --pack --source discharges.csv.gz --mapping sparcs --split-by Permanent.Facility.Id")]
pub struct BenchArgs {
    /// Ask for regional sums under masks, or for each hospital's own cells
    #[arg(long, value_enum, default_value_t)]
    pub scope: BenchScope,
    /// Stays to make up, over all hospitals
    #[arg(long, value_name = "N", default_value_t = 1_000_000,
        value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    pub stays: u64,
    /// Hospitals to make up; fewer than three are never pooled
    #[arg(long, value_name = "N", default_value_t = 10,
        value_parser = clap::value_parser!(u16).range(3..=200))]
    pub hospitals: u16,
    /// Measure the whole regional benchmark instead of single questions
    #[arg(long)]
    pub pack: bool,
    /// Measure fitting this model instead of single questions
    #[arg(long, value_name = "FORMULA", conflicts_with = "pack")]
    pub fit: Option<String>,
    /// Family of the model
    #[arg(long, value_enum, default_value = "gamma", requires = "fit")]
    pub family: crate::fit::FamilyName,
    /// With --fit: boosted trees, so many
    #[arg(long, value_name = "N", requires = "fit")]
    pub trees: Option<u32>,
    /// With --trees: levels of splits
    #[arg(long, value_name = "D", requires = "trees", default_value_t = 4)]
    pub depth: u32,
    /// Measure comparing with earlier answers, on one hospital with all stays
    #[arg(long, conflicts_with_all = ["pack", "fit", "source"])]
    pub guard: bool,
    /// Every minimum is one, so that nothing is withheld
    #[arg(long)]
    pub open: bool,
    /// Divide each made-up group into so many
    #[arg(long, value_name = "N", default_value_t = 1, requires = "pack",
        value_parser = clap::value_parser!(u16).range(1..=50))]
    pub subgroups: u16,
    /// Measure on a real CSV file instead of made-up data
    #[arg(long, value_name = "FILE", requires_all = ["mapping", "split_by"])]
    pub source: Option<PathBuf>,
    /// How to read the file: a shipped mapping (sparcs, synthetic) or a folder
    #[arg(long, value_name = "NAME|DIR", requires = "source")]
    pub mapping: Option<String>,
    /// One hospital for each value of this column
    #[arg(long, value_name = "COLUMN", requires = "source")]
    pub split_by: Option<String>,
    /// Counted runs of each question
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub repeat: usize,
    /// Counted rounds of the latency measurement
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub latency_repeat: usize,
    /// Folder that keeps the regions for the next run; a temporary one when absent
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Leave out the node with all stays in a process of its own
    #[arg(long)]
    pub no_memory: bool,
    /// Leave out the masks alone and the simulated round of 300 hospitals
    #[arg(long)]
    pub no_simulation: bool,
    /// Cells of the simulated round
    #[arg(long, value_name = "N", default_value_t = 100_000, conflicts_with = "no_simulation",
        value_parser = clap::value_parser!(u32).range(100..=200_000))]
    pub cells: u32,
    /// Form of the report
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
}

/// Whose cells the benchmark's questions open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum BenchScope {
    /// Regional sums, masked
    #[default]
    Pooled,
    /// Each hospital's own
    PerHospital,
}

/// Form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people, numbers rounded
    #[default]
    Table,
    /// Columns, rows and how the answer came about; stable
    Json,
    /// RFC 4180
    Csv,
    /// Apache Parquet
    Parquet,
    /// Arrow IPC file
    Arrow,
}

/// Form of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ListFormat {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

// === impl Format ===

impl Format {
    /// Whether a terminal can show it.
    #[must_use]
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Table | Self::Json | Self::Csv)
    }
}

// === impl Cli ===

impl Cli {
    /// The language asked for, else the locale's.
    #[must_use]
    pub fn language(&self) -> Lang {
        let locale = [&self.locale_all, &self.locale];
        let locale = locale.into_iter().flatten().find(|text| !text.is_empty());
        self.lang.or_else(|| locale.map(|text| Lang::of_locale(text))).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(parse("consilium query --region r -").is_ok());
        assert!(parse("consilium query --region r --file a.sql").is_ok());
        assert!(parse("consilium bench --scope per-hospital --cells 20000").is_ok());
        for bad in [
            "consilium query --region r",
            "consilium query --region r --file a.sql x",
            "consilium query --region r --deadline 30 x",
            "consilium demo --source a.csv",
            "consilium demo --hospitals 0",
            "consilium bench --hospitals 2",
            "consilium bench --cells 20000 --no-simulation",
            "consilium demo --source a --mapping sparcs --split-by c --stays 5",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let zh = parse("consilium --lang zh demo --once").unwrap();
        assert_eq!(zh.language(), Lang::Zh);
        let zh = parse("consilium demo --once --locale-all zh_CN.UTF-8").unwrap();
        assert_eq!(zh.language(), Lang::Zh);
    }
}
