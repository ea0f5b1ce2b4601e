//! The real programs as one process for tests: the first word says which.

use std::ffi::{OsStr, OsString};
use std::iter::once;
use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let program = words.next();
    let line = |name: &str| once(OsString::from(name)).chain(words);
    match program.as_deref().and_then(OsStr::to_str) {
        Some("node") => node::command::main_from(line("consilium-node")),
        Some("coordinator") => coordinator::command::main_from(line("consilium-coordinator")),
        Some("witness") => witness::command::main_from(line("consilium-witness")),
        Some("cli") => match cli::args::Cli::try_parse_from(line("consilium")) {
            Ok(cli) => cli::run::run(&cli),
            Err(error) => cli::run::usage(&error),
        },
        _ => ExitCode::from(64),
    }
}
