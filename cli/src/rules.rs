//! The file of rules that a command is given: every threshold, multiple and coefficient, dated.

use std::path::Path;

use model::casemix::parameters::Parameters;

use crate::exit::Failure;

/// The rules of a file, or the shipped ones.
///
/// # Errors
/// [`Failure::Data`] naming file, line and field.
pub fn rules(path: Option<&Path>) -> Result<Parameters, Failure> {
    let Some(path) = path else { return Ok(Parameters::default()) };
    let wrong =
        |error: &dyn std::fmt::Display| Failure::Data(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    Parameters::parse(&text).map_err(|error| wrong(&error))
}
