//! The command line of `consilium-node`: run, ingest, check, policy.
//!
//! Exit codes are those of sysexits: 0 done, 65 bad source data, 69 cannot listen or serve,
//! 74 input or output failed, 78 configuration.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use privacy::Policy;
use service::{Clock, Shutdown, TlsIdentity, telemetry};

use crate::config::Config;
use crate::holdings::read_policy;
use crate::ingest::{self, Encoding, IngestError, IngestReport, IngestRequest, Phase};
use crate::output::{line, note};
use crate::server::{NodeError, bind};

const DATA: u8 = 65;
const UNAVAILABLE: u8 = 69;
const INPUT_OUTPUT: u8 = 74;
const CONFIGURATION: u8 = 78;

/// A hospital's node: keeps the records, answers with cells.
#[derive(Debug, Parser)]
#[command(name = "consilium-node", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer the region's coordinator until SIGTERM.
    Run(ConfigFile),
    /// Turn a source file into the snapshot in force.
    Ingest(IngestArguments),
    /// Say what is in force and what is wrong; exit 78 if anything is.
    Check(ConfigFile),
    /// Print the effective policy, or with --default the one for a new hospital.
    Policy(PolicyArguments),
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The node's configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct PolicyArguments {
    /// The node's configuration file.
    #[arg(long, value_name = "FILE", required_unless_present = "default")]
    config: Option<PathBuf>,
    /// Print the default policy.
    #[arg(long)]
    default: bool,
}

#[derive(Debug, Args)]
struct IngestArguments {
    /// The node's configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// A CSV file, plain or gzip, UTF-8 or GB18030.
    #[arg(long, value_name = "FILE")]
    source: PathBuf,
    /// A shipped mapping (sparcs, synthetic) or a folder of SQL files.
    #[arg(long, value_name = "NAME|DIR")]
    mapping: String,
    /// utf-8 or gb18030; detected when absent.
    #[arg(long)]
    encoding: Option<Encoding>,
    /// Share of rows that should be accepted; the report says when it is missed.
    #[arg(long, default_value_t = ingest::DEFAULT_ACCURACY_FLOOR)]
    accuracy_floor: f64,
}

struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    fn configuration(error: &dyn std::fmt::Display) -> Self {
        Self { code: CONFIGURATION, text: error.to_string() }
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    run(Arguments::parse())
}

/// Runs a command line given as words, the first being the program's name.
#[must_use]
pub fn main_from(words: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    run(Arguments::parse_from(words))
}

fn run(arguments: Arguments) -> ExitCode {
    let outcome = match arguments.command {
        Command::Run(file) => serve(&file.config),
        Command::Ingest(arguments) => ingest_source(&arguments),
        Command::Check(file) => check(&file.config),
        Command::Policy(arguments) => policy(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            note(&format!("consilium-node: {}", failure.text));
            ExitCode::from(failure.code)
        }
    }
}

fn load(path: &Path) -> Result<Config, Failure> {
    Config::load(path).map_err(|error| Failure::configuration(&error))
}

fn serve(path: &Path) -> Result<(), Failure> {
    let config = load(path)?;
    telemetry::init(config.log.filter.as_deref(), config.log.format)
        .map_err(|error| Failure::configuration(&error))?;
    let unavailable =
        |error: &dyn std::fmt::Display| Failure { code: UNAVAILABLE, text: error.to_string() };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let main = runtime.worker_threads(1).enable_all().build().map_err(|e| unavailable(&e))?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let threads = config.engine.threads.max(1);
    let queries = runtime
        .worker_threads(threads)
        .thread_name("query")
        .enable_all()
        .build()
        .map_err(|e| unavailable(&e))?;
    let outcome = main.block_on(async {
        let shutdown = Shutdown::on_signals().map_err(|e| unavailable(&e))?;
        let bound = bind(config, queries.handle().clone()).await.map_err(|error| match error {
            NodeError::Listen { .. } | NodeError::Serve(_) => unavailable(&error),
            _ => Failure::configuration(&error),
        })?;
        bound.serve(shutdown).await.map_err(|error| unavailable(&error))
    });
    queries.shutdown_background();
    outcome
}

fn ingest_source(arguments: &IngestArguments) -> Result<(), Failure> {
    let config = load(&arguments.config)?;
    let request = IngestRequest {
        source: arguments.source.clone(),
        mapping: arguments.mapping.clone(),
        hospital: config.hospital_record(),
        data_dir: config.data_dir.clone(),
        key_file: config.keys.hmac.clone(),
        encoding: arguments.encoding,
        accuracy_floor: arguments.accuracy_floor,
        now: Clock::system().now(),
        threads: config.engine.threads,
    };
    let mut last = None;
    let report = ingest::run(&request, &mut |progress| {
        if last != Some(progress.phase) {
            last = Some(progress.phase);
            note(&phase_text(progress.phase));
        }
    });
    match report {
        Ok(report) => {
            print_report(&report);
            Ok(())
        }
        Err(error) => Err(Failure { code: ingest_code(&error), text: error.to_string() }),
    }
}

const fn ingest_code(error: &IngestError) -> u8 {
    match error {
        IngestError::Io { .. } => INPUT_OUTPUT,
        _ => DATA,
    }
}

fn phase_text(phase: Phase) -> String {
    match phase {
        Phase::Opening => "looking at the source".to_owned(),
        Phase::Stays => "reading stays".to_owned(),
        Phase::Others => "reading diagnoses, procedures and fees".to_owned(),
        Phase::Writing(table) => format!("writing {table}"),
        Phase::Done => "in force".to_owned(),
    }
}

fn print_report(report: &IngestReport) {
    let manifest = &report.manifest;
    let how = if manifest.source.encoding_detected { "detected" } else { "declared" };
    if report.already {
        line("this source is in force already; nothing was done");
    }
    line(&format!("snapshot    {}", manifest.snapshot_id));
    line(&format!("encoding    {} ({how})", manifest.source.encoding));
    for (name, table) in &manifest.tables {
        line(&format!("{name:<11} {} rows", table.rows));
    }
    line(&format!("persons     {}", manifest.persons));
    let person = Some(&report.notes.person_id).filter(|text| !text.is_empty());
    for text in person.into_iter().chain(&report.notes.notes) {
        line(&format!("note        {text}"));
    }
    let quality = &manifest.quality;
    line(&format!(
        "quality     {} rows read, {} in quarantine, accuracy {:.4}",
        quality.read, quality.quarantined, report.accuracy
    ));
    for (rule, rows) in &quality.by_rule {
        line(&format!("            {rule}: {rows}"));
    }
    if let Some(path) = &report.quarantine {
        line(&format!("quarantine  {}", path.display()));
    }
    if report.below_floor {
        note("the accuracy is below the floor; look at the quarantine file");
    }
}

fn policy(arguments: &PolicyArguments) -> Result<(), Failure> {
    let policy = match &arguments.config {
        Some(path) if !arguments.default => {
            read_policy(&load(path)?.policy).map_err(|error| Failure::configuration(&error))?
        }
        _ => Policy::default(),
    };
    let text = toml::to_string(&policy).map_err(|error| Failure::configuration(&error))?;
    line(text.trim_end());
    for problem in policy.problems() {
        note(&format!("problem: {problem}"));
    }
    Ok(())
}

fn check(path: &Path) -> Result<(), Failure> {
    let config = load(path)?;
    let clock = Clock::system();
    let mut problems = Vec::new();
    line(&format!("hospital    {} ({})", config.hospital.id, config.hospital.tier));
    line(&format!("listen      {}", config.listen));
    match TlsIdentity::load(&config.identity, &clock) {
        Ok(identity) => {
            let until = service::clock::rfc3339(identity.not_after());
            line(&format!("identity    {} until {until}", identity.peer()));
            let own = (identity.peer().region(), identity.peer().name());
            if own != (config.region.as_str(), config.hospital.id.as_str()) {
                problems.push("the certificate names another party".to_owned());
            }
        }
        Err(error) => problems.push(error.to_string()),
    }
    match ingest::current(&config.data_dir) {
        Ok(Some((_, manifest))) => {
            let (id, stays) = (&manifest.snapshot_id, manifest.stays());
            line(&format!("snapshot    {id}, {stays} stays, {}", manifest.created_at));
            if manifest.hospital != config.hospital_record() {
                problems.push(
                    "the snapshot was made for other hospital attributes; ingest again".into(),
                );
            }
        }
        Ok(None) => problems.push("there is no snapshot; run consilium-node ingest".to_owned()),
        Err(error) => problems.push(error.to_string()),
    }
    match read_policy(&config.policy) {
        Ok(policy) => {
            let minimum = |value: Option<u32>| value.map_or("unset".to_owned(), |v| v.to_string());
            line(&format!(
                "policy      at least {} persons and {} stays a cell",
                minimum(policy.minimum.persons),
                minimum(policy.minimum.stays)
            ));
            problems.extend(policy.problems());
        }
        Err(error) => problems.push(error),
    }
    for problem in &problems {
        line(&format!("problem     {problem}"));
    }
    if problems.is_empty() {
        line("ready");
        return Ok(());
    }
    Err(Failure { code: CONFIGURATION, text: format!("{} problems", problems.len()) })
}
