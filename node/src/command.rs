//! The command line of `consilium-node`: run, ingest, check, enroll, releases, inbox, approve, decline, budget, policy.
//!
//! Exit codes are those of [`service::command`]; bad source data is 65.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use privacy::Policy;
use privacy::policy::Allow;
use privacy::sign::hex;
use query::pack::Pack;
use record::{Standing, StandingFiles, Verdict};
use service::clock::day;
use service::command::{Check, Failure, finish, runtime, start_logging};
use service::output::{line, note};
use service::{Clock, Shutdown};

use crate::budget::{self, BudgetArguments};
use crate::config::Config;
use crate::enroll::{self, EnrollArguments};
use crate::holdings::{Holdings, read_policy};
use crate::inbox::{self, DecideArguments, InboxArguments, InboxError};
use crate::ingest::{self, Encoding, IngestError, IngestReport, IngestRequest, Phase};
use crate::releases::{self, ReleasesArguments};
use crate::server::{NodeError, bind, peer};
use crate::steward::Decisions;

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
    /// Make the hospital's keys and a request to the region's authority to be enrolled or renewed.
    Enroll(EnrollArguments),
    /// List what left this hospital, newest first.
    Releases(ReleasesArguments),
    /// List the questions that wait for the steward, last asked first.
    Inbox(InboxArguments),
    /// Approve questions that wait; they are answered when they are asked again.
    Approve(DecideArguments),
    /// Decline questions that wait, or that were approved.
    Decline(DecideArguments),
    /// Say what noisy answers have cost this year, by asker, and what is left.
    Budget(BudgetArguments),
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
    /// A DIP catalogue by which stays are coded; the one of the configuration when absent.
    #[arg(long, value_name = "FILE")]
    dip_list: Option<PathBuf>,
    /// utf-8 or gb18030; detected when absent.
    #[arg(long)]
    encoding: Option<Encoding>,
    /// Share of rows that should be accepted; the report says when it is missed.
    #[arg(long, default_value_t = ingest::DEFAULT_ACCURACY_FLOOR)]
    accuracy_floor: f64,
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
        Command::Enroll(arguments) => request_enrolment(&arguments),
        Command::Releases(arguments) => list_releases(&arguments),
        Command::Inbox(arguments) => list_inbox(&arguments),
        Command::Approve(arguments) => decide(&arguments, Verdict::Approved),
        Command::Decline(arguments) => decide(&arguments, Verdict::Declined),
        Command::Budget(arguments) => list_budget(&arguments),
        Command::Policy(arguments) => policy(&arguments),
    };
    finish("consilium-node", outcome)
}

fn load(path: &Path) -> Result<Config, Failure> {
    Config::load(path).map_err(|error| Failure::configuration(&error))
}

fn failure(error: &NodeError) -> Failure {
    match error {
        NodeError::Role(error) => error.into(),
        NodeError::Serve(error) => Failure::unavailable(error),
        error => Failure::configuration(error),
    }
}

fn serve(path: &Path) -> Result<(), Failure> {
    let config = load(path)?;
    start_logging(&config.log)?;
    let main = runtime(|builder| {
        builder.worker_threads(1);
    })?;
    let queries = runtime(|builder| {
        builder.worker_threads(config.engine.threads.max(1)).thread_name("query");
    })?;
    let outcome = main.block_on(async {
        let shutdown = Shutdown::on_signals().map_err(|error| Failure::unavailable(&error))?;
        let bound = bind(config, queries.handle().clone()).await.map_err(|e| failure(&e))?;
        bound.serve(shutdown).await.map_err(|error| failure(&error))
    });
    queries.shutdown_background();
    outcome
}

fn ingest_source(arguments: &IngestArguments) -> Result<(), Failure> {
    let config = load(&arguments.config)?;
    let dip_list = arguments.dip_list.as_ref().or(config.codes.dip.as_ref());
    let dip_list = dip_list.map(|path| ingest::DipList::read(path)).transpose();
    let dip_list = dip_list.map_err(|error| Failure::data(&error))?.map(Arc::new);
    let request = IngestRequest {
        dip_list,
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
        Err(error @ IngestError::Io { .. }) => Err(Failure::input_output(&error)),
        Err(error) => Err(Failure::data(&error)),
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
    if let Some(list) = &manifest.dip_list {
        line(&format!("dip list    {} {} ({})", list.name, list.version, list.hash));
    }
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

fn request_enrolment(arguments: &EnrollArguments) -> Result<(), Failure> {
    let config = load(&arguments.config)?;
    let next = enroll::run(arguments, &config).map_err(|error| {
        if enroll::is_input_output(&error) {
            Failure::input_output(&error)
        } else {
            Failure::configuration(&error)
        }
    })?;
    line(&next);
    Ok(())
}

fn list_releases(arguments: &ReleasesArguments) -> Result<(), Failure> {
    let config = load(&arguments.config)?;
    let lines =
        releases::list(&config.data_dir, arguments).map_err(|error| Failure::data(&error))?;
    for text in &lines {
        line(text);
    }
    Ok(())
}

fn inbox_failure(error: &InboxError) -> Failure {
    match error {
        InboxError::Write(_) => Failure::input_output(error),
        InboxError::Record(_) | InboxError::Decisions(_) => Failure::data(error),
        _ => Failure::usage(error),
    }
}

fn list_inbox(arguments: &InboxArguments) -> Result<(), Failure> {
    let config = load(&arguments.config)?;
    let lines = inbox::list(&config.data_dir, arguments, Clock::system().now());
    lines.map_err(|error| inbox_failure(&error))?.iter().for_each(|text| line(text));
    Ok(())
}

fn decide(arguments: &DecideArguments, verdict: Verdict) -> Result<(), Failure> {
    let config = load(&arguments.config)?;
    let now = Clock::system().now();
    let lines = inbox::decide(&config.data_dir, arguments, verdict, now);
    lines.map_err(|error| inbox_failure(&error))?.iter().for_each(|text| line(text));
    Ok(())
}

fn list_budget(arguments: &BudgetArguments) -> Result<(), Failure> {
    let config = load(&arguments.config)?;
    let policy = read_policy(&config.policy).map_err(|error| Failure::configuration(&error))?;
    let today = day(Clock::system().now());
    let year = arguments.year.as_deref().or_else(|| today.split('-').next()).unwrap_or_default();
    let lines = budget::list(&config.data_dir, policy.noise, year, arguments.format);
    lines.map_err(|error| Failure::data(&error))?.iter().for_each(|text| line(text));
    Ok(())
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

/// What the node answers by itself.
const fn asked(allow: Allow) -> &'static str {
    match allow {
        Allow::Any => {
            "whatever the other rules admit; who asks enough exact questions can solve them for one patient"
        }
        Allow::Packs => "those of approved packs, no others",
        Allow::Ask => "those of approved packs; the steward decides on others and on projects",
    }
}

/// Says which roster is in force; a problem when the hospital does not stand in it.
fn check_roster(config: &Config, check: &mut Check) {
    let files = StandingFiles {
        key: config.signing.key.clone(),
        roster: config.signing.roster.clone(),
        authority: config.signing.authority.clone(),
    };
    let standing = Standing::open(&files, &config.region);
    match standing.and_then(|standing| Ok((standing.key().verify_key(), standing.roster()?))) {
        Ok((own, roster)) => {
            let (version, hospitals) = (roster.version(), roster.hospitals().len());
            check.line("roster", &format_args!("version {version}, {hospitals} hospitals"));
            if roster.hospitals().get(&config.hospital.id).map(|keys| keys.sign) != Some(own) {
                check.problem(format!(
                    "{} does not hold the signing key in {} for {}; get the region's current \
                     roster, or enrol",
                    files.roster.display(),
                    files.key.display(),
                    config.hospital.id
                ));
            }
        }
        Err(error) => check.problem(error.to_string()),
    }
}

fn check(path: &Path) -> Result<(), Failure> {
    let config = load(path)?;
    let mut check = Check::default();
    check.line("hospital", &format_args!("{} ({})", config.hospital.id, config.hospital.tier));
    check.listen(&config.listen);
    match peer(&config) {
        Ok(expected) => {
            check.identity(&expected, &config.identity, &Clock::system());
            check.record(record::look_at(&config.data_dir, &expected));
        }
        Err(error) => check.problem(error.to_string()),
    }
    check_roster(&config, &mut check);
    match ingest::current(&config.data_dir) {
        Ok(Some((_, manifest))) => {
            let (id, stays) = (&manifest.snapshot_id, manifest.stays());
            check.line("snapshot", &format_args!("{id}, {stays} stays, {}", manifest.created_at));
            if manifest.hospital != config.hospital_record() {
                check.problem("the snapshot was made for other hospital attributes; ingest again");
            }
            if let Err(error) = Holdings::new(config.clone())
                .map_err(|error| error.to_string())
                .and_then(|holdings| holdings.open(&Policy::default()))
            {
                check.problem(error);
            }
        }
        Ok(None) => check.problem("there is no snapshot; run consilium-node ingest"),
        Err(error) => check.problem(error.to_string()),
    }
    match read_policy(&config.policy) {
        Ok(policy) => {
            let minimum = |value: Option<u32>| value.map_or("unset".to_owned(), |v| v.to_string());
            let (persons, stays) = (minimum(policy.minimum.persons), minimum(policy.minimum.stays));
            let text = format_args!("at least {persons} persons and {stays} stays a cell");
            check.line("policy", &text);
            check.line("questions", &asked(policy.questions.allow));
            let approved = Pack::shipped().iter().filter(|pack| policy.approves(&pack.hash()));
            let named = |pack: &Pack| {
                format!("{} {} ({})", pack.name(), pack.version(), &hex(&pack.hash())[..12])
            };
            let packs: Vec<_> = approved.map(named).collect();
            check.line("packs", &packs.join(", "));
            check.problems(policy.problems());
            if let Err(error) = Decisions::read(&config.data_dir) {
                check.problem(error);
            }
        }
        Err(error) => check.problem(error),
    }
    check.finish()
}
