//! The only place that prints: results on standard output, everything else on standard error.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the output module")]

/// One line of a result.
pub(crate) fn line(text: &str) {
    println!("{text}");
}

/// One line for the operator.
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}
