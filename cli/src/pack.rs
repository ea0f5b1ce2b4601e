//! `consilium pack`: the packs of questions that ship with the platform, and their hashes.

use clap::Subcommand;
use privacy::sign::hex;
use query::pack::Pack;
use serde_json::json;

use crate::args::ListFormat;
use crate::exit::Failure;
use crate::message::Message;
use crate::run::Context;
use crate::sheet::{Align, Sheet};

/// `consilium pack`.
#[derive(Debug, Subcommand)]
pub enum PackCommand {
    /// Names, versions and content hashes, as a hospital's policy approves them
    #[command(after_help = "Example:\n  consilium pack list")]
    List {
        /// Form of the list
        #[arg(long, value_enum, default_value_t)]
        format: ListFormat,
    },
    /// The text of a pack: what its questions are, word for word
    #[command(after_help = "\
Examples:
  consilium pack show drg-cost
  consilium pack show drg-cost | sha256sum     # the content hash")]
    Show {
        /// The pack.
        name: String,
    },
}

/// Lists or shows.
///
/// # Errors
/// [`Failure::Usage`] for a pack that does not exist, [`Failure::Output`].
pub fn run(command: &PackCommand, context: &Context) -> Result<(), Failure> {
    let text = match command {
        PackCommand::List { format: ListFormat::Json } => as_json(),
        PackCommand::List { format: ListFormat::Table } => as_table(context),
        PackCommand::Show { name } => match Pack::named(name) {
            Some(pack) => pack.text().to_owned(),
            None => {
                let known: Vec<_> = Pack::shipped().iter().map(Pack::name).collect();
                let known = known.join(", ");
                return Err(Failure::Usage(format!(
                    "there is no pack \"{name}\"; there are {known}"
                )));
            }
        },
    };
    context.console.data(|out| out.write_all(text.as_bytes()))
}

fn as_json() -> String {
    let one = |pack: &Pack| {
        json!({
            "name": pack.name(),
            "version": pack.version(),
            "hash": hex(&pack.hash()),
            "program": pack.program(),
            "purpose": pack.purpose(),
            "questions": pack.questions().collect::<Vec<_>>(),
        })
    };
    format!("{:#}\n", json!({ "packs": Pack::shipped().iter().map(one).collect::<Vec<_>>() }))
}

fn as_table(context: &Context) -> String {
    let lang = context.console.lang();
    let headings = [Message::PackName, Message::PackVersion, Message::PackHash];
    let mut sheet = Sheet::new(headings.map(|heading| (heading.text(lang), Align::Left)));
    for pack in Pack::shipped() {
        sheet.row([pack.name().to_owned(), pack.version().to_string(), hex(&pack.hash())]);
    }
    format!("{}\n", sheet.render())
}
