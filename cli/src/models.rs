//! `consilium model`: the region's models, and what is done with one.

mod compare;
mod list;
mod predict;
pub mod show;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use learn::card::Card;

use crate::args::{ListFormat, RegionArgs};
use crate::client::Client;
use crate::exit::Failure;
use crate::run::Context;

/// `consilium model`.
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// The region's models, newest first
    #[command(after_help = "Example:\n  consilium model list --region demo")]
    List(ListArgs),
    /// One model: coefficients, how well it fits, where it comes from
    #[command(after_help = "\
Examples:
  consilium model show cost-2024 --region demo
  consilium model show cost-2024 --region demo --format json > cost-2024.json")]
    Show(ShowArgs),
    /// Two models beside each other
    #[command(after_help = "Example:\n  consilium model compare cost-2023 cost-2024 --region demo")]
    Compare(CompareArgs),
    /// Apply a model to a local file
    #[command(after_help = "\
Examples:
  consilium model predict cost-2024 stays.csv --region demo > scored.csv
  consilium model predict --card cost-2024.json stays.parquet --out scored.parquet

The file has one column for each column of the model, by its name in the common data model. The column
`predicted` is added: the mean of the response as the formula has it. Rows that lack a value get none,
nor do those with a level that the model does not know, unless it has the level OTHER.")]
    Predict(PredictArgs),
}

/// `consilium model list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The region.
    #[command(flatten)]
    pub region: RegionArgs,
    /// Form of the list
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
}

/// `consilium model show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The model
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The region.
    #[command(flatten)]
    pub region: RegionArgs,
    /// Form of the model; json is the model card
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
}

/// `consilium model compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// One model
    #[arg(value_name = "NAME")]
    pub first: String,
    /// The other
    #[arg(value_name = "NAME")]
    pub second: String,
    /// The region.
    #[command(flatten)]
    pub region: RegionArgs,
    /// Form of the comparison
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
}

/// `consilium model predict`.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// The model, in the region; not with --card
    #[arg(value_name = "NAME", num_args = 1..=2, required = true)]
    pub words: Vec<String>,
    /// Folder of the region: client.toml, certificates and key
    #[arg(long, value_name = "DIR", env = "CONSILIUM_REGION")]
    pub region: Option<PathBuf>,
    /// A model card that was saved as JSON
    #[arg(long, value_name = "FILE")]
    pub card: Option<PathBuf>,
    /// Write here instead of stdout; Parquet is read and written as files
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Runs a command about models.
///
/// # Errors
/// Every kind of [`Failure`].
pub async fn run(command: &ModelCommand, context: &Context) -> Result<(), Failure> {
    let open = |region: &RegionArgs| Client::open(&region.region, &context.clock);
    match command {
        ModelCommand::List(args) => {
            let models = open(&args.region)?.models().await?;
            list::print(&models, args.format, context)
        }
        ModelCommand::Show(args) => {
            let card = open(&args.region)?.model(&args.name).await?;
            let text = match args.format {
                ListFormat::Json => show::json(&card)?,
                ListFormat::Table => show::table(&card, context.console),
            };
            context.console.data(|out| out.write_all(text.as_bytes()))?;
            show::note(&card, context.console);
            Ok(())
        }
        ModelCommand::Compare(args) => {
            let client = open(&args.region)?;
            let (first, second) =
                (client.model(&args.first).await?, client.model(&args.second).await?);
            compare::print(&first, &second, args.format, context)
        }
        ModelCommand::Predict(args) => {
            let (card, file) = chosen(args, context).await?;
            predict::run(&card, &file, args.out.as_deref(), context)
        }
    }
}

/// The card and the file of a prediction.
async fn chosen(args: &PredictArgs, context: &Context) -> Result<(Card, PathBuf), Failure> {
    match (&args.card, args.words.as_slice(), &args.region) {
        (Some(path), [file], _) => {
            let named = |reason: String| Failure::Data(format!("{}: {reason}", path.display()));
            let text = std::fs::read(path).map_err(|error| named(error.to_string()))?;
            let card = serde_json::from_slice(&text);
            Ok((card.map_err(|error| named(error.to_string()))?, PathBuf::from(file)))
        }
        (None, [name, file], Some(region)) => {
            let client = Client::open(region, &context.clock)?;
            Ok((client.model(name).await?, PathBuf::from(file)))
        }
        (None, [_, _], None) => Err(Failure::Usage(
            "name the region with --region, or a saved model with --card".to_owned(),
        )),
        _ => Err(Failure::Usage("give a model and a file, or --card and a file".to_owned())),
    }
}
