//! The command line of `consilium-witness`: run, check.
//!
//! Exit codes are those of [`service::command`].

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use service::command::{Check, Failure, finish, runtime, start_logging};
use service::{Clock, Shutdown};

use crate::config::Config;
use crate::server::{WitnessError, bind, peer, standing};

/// Threads that compute or wait for the disk; more requests than these wait.
const BLOCKING_THREADS: usize = 16;

/// The second authority's witness: without it, no masked sum is opened.
#[derive(Debug, Parser)]
#[command(name = "consilium-witness", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer the region's coordinator until SIGTERM.
    Run(ConfigFile),
    /// Say what is in force and what is wrong; exit 78 if anything is.
    Check(ConfigFile),
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The witness's configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    run(&Arguments::parse())
}

/// Runs a command line given as words, the first being the program's name.
#[must_use]
pub fn main_from(words: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    run(&Arguments::parse_from(words))
}

fn run(arguments: &Arguments) -> ExitCode {
    let outcome = match &arguments.command {
        Command::Run(file) => serve(&file.config),
        Command::Check(file) => check(&file.config),
    };
    finish("consilium-witness", outcome)
}

fn load(path: &Path) -> Result<Config, Failure> {
    Config::load(path).map_err(|error| Failure::configuration(&error))
}

fn failure(error: &WitnessError) -> Failure {
    match error {
        WitnessError::Role(error) => error.into(),
        WitnessError::Serve(error) => Failure::unavailable(error),
        error => Failure::configuration(error),
    }
}

fn serve(path: &Path) -> Result<(), Failure> {
    let config = load(path)?;
    start_logging(&config.log)?;
    let runtime = runtime(|builder| {
        builder.max_blocking_threads(BLOCKING_THREADS);
    })?;
    runtime.block_on(async {
        let shutdown = Shutdown::on_signals().map_err(|error| Failure::unavailable(&error))?;
        let bound = bind(config).await.map_err(|error| failure(&error))?;
        bound.serve(shutdown).await.map_err(|error| failure(&error))
    })
}

fn check(path: &Path) -> Result<(), Failure> {
    let config = load(path)?;
    let mut check = Check::default();
    check.line("region", &config.region);
    check.listen(&config.listen);
    match peer(&config.region) {
        Ok(expected) => {
            check.identity(&expected, &config.identity, &Clock::system());
            check.record(record::look_at(&config.data_dir, &expected));
        }
        Err(error) => check.problem(error.to_string()),
    }
    let held =
        standing(&config).and_then(|standing| standing.roster().map_err(WitnessError::Standing));
    match held {
        Ok(roster) => {
            let (version, hospitals) = (roster.version(), roster.hospitals().len());
            check.line("roster", &format_args!("version {version}, {hospitals} hospitals"));
        }
        Err(error) => check.problem(error.to_string()),
    }
    if let Some(rules) = config.rules.in_force() {
        let floor = rules.floor;
        let (persons, stays, hospitals) = (floor.persons, floor.stays, floor.hospitals);
        check.line(
            "rules",
            &format_args!(
                "a group of at least {persons} persons, {stays} stays, {hospitals} hospitals"
            ),
        );
        check
            .line("", &format_args!("a hospital's dominance at most {}/10000", floor.dominance_e4));
        check.line("", &format_args!("sums of at least {} hospitals", rules.quorum));
    }
    check.problems(config.rules.problems());
    check.problems(config.limits.problems());
    check.finish()
}
