//! `consilium audit`: checks and shows the records that a region's parties keep.
//!
//! It works on files: in the folder of a demonstration region, running or not, or on copies that
//! parties hand to an auditor. It asks nobody and changes nothing. What can be wrong, and what
//! cannot be seen from files, is said in `record::audit`.

pub mod args;
mod files;
mod show;
mod verify;

use crate::exit::Failure;
use crate::run::Context;
use args::AuditCommand;

/// Verifies or shows.
///
/// # Errors
/// [`Failure::Data`] when something is wrong with a record, [`Failure::Configuration`] when there
/// are no records or keys to check them with.
pub fn run(command: &AuditCommand, context: &Context) -> Result<(), Failure> {
    match command {
        AuditCommand::Verify(args) => verify::run(args, context.console),
        AuditCommand::Show(args) => show::run(args, context.console),
    }
}

#[cfg(test)]
mod tests;
