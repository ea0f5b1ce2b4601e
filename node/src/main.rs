//! `consilium-node`: a hospital's node.

use std::process::ExitCode;

fn main() -> ExitCode {
    node::command::main()
}
