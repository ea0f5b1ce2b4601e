//! The client's entry: parse, run, say how it ended.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match cli::args::Cli::try_parse() {
        Ok(cli) => cli::run::run(&cli),
        Err(error) => cli::run::usage(&error),
    }
}
