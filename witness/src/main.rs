//! `consilium-witness`: the second authority's witness.

use std::process::ExitCode;

fn main() -> ExitCode {
    witness::command::main()
}
