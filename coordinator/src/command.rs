//! The command line of `consilium-coordinator`: run, check.
//!
//! Exit codes are those of sysexits: 0 done, 69 cannot listen or serve, 78 configuration.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use service::{Clock, Shutdown, TlsIdentity, telemetry};

use crate::config::Config;
use crate::output::{line, note};
use crate::server::{CoordinatorError, bind};

const UNAVAILABLE: u8 = 69;
const CONFIGURATION: u8 = 78;

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

type Failure = (u8, String);

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
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, text)) => {
            note(&format!("consilium-coordinator: {text}"));
            ExitCode::from(code)
        }
    }
}

fn configuration(error: &dyn std::fmt::Display) -> Failure {
    (CONFIGURATION, error.to_string())
}

fn unavailable(error: &dyn std::fmt::Display) -> Failure {
    (UNAVAILABLE, error.to_string())
}

fn serve(path: &Path) -> Result<(), Failure> {
    let config = Config::load(path).map_err(|error| configuration(&error))?;
    telemetry::init(config.log.filter.as_deref(), config.log.format)
        .map_err(|error| configuration(&error))?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().build().map_err(|error| unavailable(&error))?;
    runtime.block_on(async {
        let shutdown = Shutdown::on_signals().map_err(|error| unavailable(&error))?;
        let bound = bind(config).await.map_err(|error| match error {
            CoordinatorError::Listen { .. } | CoordinatorError::Serve(_) => unavailable(&error),
            _ => configuration(&error),
        })?;
        bound.serve(shutdown).await.map_err(|error| unavailable(&error))
    })
}

fn check(path: &Path) -> Result<(), Failure> {
    let config = Config::load(path).map_err(|error| configuration(&error))?;
    let mut problems = Vec::new();
    line(&format!("region      {}", config.region));
    line(&format!("listen      {}", config.listen));
    line(&format!("hospitals   {}", config.hospitals.len()));
    match TlsIdentity::load(&config.identity, &Clock::system()) {
        Ok(identity) => {
            let until = service::clock::rfc3339(identity.not_after());
            line(&format!("identity    {} until {until}", identity.peer()));
        }
        Err(error) => problems.push(error.to_string()),
    }
    if config.hospitals.is_empty() {
        problems.push("no [[hospital]] is listed, so nothing can be asked".to_owned());
    }
    if let Some(path) = &config.policy {
        match service::config::load::<privacy::Policy>(path) {
            Ok(policy) => problems.extend(policy.problems()),
            Err(error) => problems.push(error.to_string()),
        }
    }
    for problem in &problems {
        line(&format!("problem     {problem}"));
    }
    if problems.is_empty() {
        line("ready");
        return Ok(());
    }
    Err((CONFIGURATION, format!("{} problems", problems.len())))
}
