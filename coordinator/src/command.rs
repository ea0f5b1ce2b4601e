//! The command line of `consilium-coordinator`: run, check.
//!
//! Exit codes are those of [`service::command`].

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use model::{Peer, Role};
use service::command::{Check, Failure, finish, runtime, start_logging};
use service::{Clock, Shutdown};

use crate::config::Config;
use crate::server::{CoordinatorError, bind, policy, standing};

/// The commission's coordinator: asks hospitals for cells and adds them up.
#[derive(Debug, Parser)]
#[command(name = "consilium-coordinator", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer analysts until SIGTERM.
    Run(ConfigFile),
    /// Say what is in force and what is wrong; exit 78 if anything is.
    Check(ConfigFile),
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The coordinator's configuration file.
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
    finish("consilium-coordinator", outcome)
}

fn load(path: &Path) -> Result<Config, Failure> {
    Config::load(path).map_err(|error| Failure::configuration(&error))
}

fn failure(error: &CoordinatorError) -> Failure {
    match error {
        CoordinatorError::Role(error) => error.into(),
        CoordinatorError::Serve(error) => Failure::unavailable(error),
        error => Failure::configuration(error),
    }
}

fn serve(path: &Path) -> Result<(), Failure> {
    let config = load(path)?;
    start_logging(&config.log)?;
    runtime(|_| ())?.block_on(async {
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
    check.line("hospitals", &config.hospitals.len());
    match Peer::new(&config.region, Role::Coordinator, "main") {
        Ok(expected) => {
            check.identity(&expected, &config.identity, &Clock::system());
            check.record(record::look_at(&config.data_dir, &expected));
        }
        Err(error) => check.problem(error.to_string()),
    }
    check.line("witness", &config.witness.address);
    let held = standing(&config)
        .and_then(|standing| standing.roster().map_err(CoordinatorError::Standing));
    match held {
        Ok(roster) => {
            let (version, hospitals) = (roster.version(), roster.hospitals().len());
            check.line("roster", &format_args!("version {version}, {hospitals} hospitals"));
            check.problems(
                config
                    .hospitals
                    .iter()
                    .filter(|hospital| !roster.hospitals().contains_key(&hospital.id))
                    .map(|hospital| format!("the roster does not know hospital {}", hospital.id)),
            );
        }
        Err(error) => check.problem(error.to_string()),
    }
    match crate::codes::read(&config.code_sources()) {
        Ok(_) => check.line("code lists", &config.code_lists.len()),
        Err(error) => check.problem(error.to_string()),
    }
    if config.hospitals.is_empty() {
        check.problem("no [[hospital]] is listed, so nothing can be asked");
    }
    match policy(&config) {
        Ok(policy) => {
            if privacy::Floor::of(&policy).is_none() {
                check.problem(CoordinatorError::NoMinimum.to_string());
            }
            check.problems(policy.problems());
        }
        Err(error) => check.problem(error.to_string()),
    }
    check.finish()
}
