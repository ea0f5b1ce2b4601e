//! The only place where roles print: results on standard output, everything else on standard
//! error. Logs are not output; they go through [`crate::telemetry`].
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the output module")]

/// One line of a result.
pub fn line(text: &str) {
    println!("{text}");
}

/// One line for the operator.
pub fn note(text: &str) {
    eprintln!("{text}");
}
