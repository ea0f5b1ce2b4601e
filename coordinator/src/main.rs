//! `consilium-coordinator`: the commission's coordinator.

use std::process::ExitCode;

fn main() -> ExitCode {
    coordinator::command::main()
}
