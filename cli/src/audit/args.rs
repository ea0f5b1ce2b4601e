//! The arguments of `consilium audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use privacy::sign::VerifyKey;

use crate::args::ListFormat;

/// What to do with the records.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check all records against themselves, the roster and each other; exit 65 if one is wrong
    #[command(after_help = "\
Examples:
  consilium audit verify --dir demo
  consilium audit verify --dir copies --roster roster.json --authority 5f2b...

Copy record.db together with record.db-wal when the party is running: newer entries are there.")]
    Verify(VerifyArgs),
    /// List the entries of the records
    #[command(after_help = "\
Examples:
  consilium audit show --dir demo --party witness
  consilium audit show --dir demo --party h-001 --format json")]
    Show(ShowArgs),
}

/// `consilium audit verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Folder in which the records are, at any depth
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// The region's roster; give older ones too when keys or hospitals have changed
    /// [default: roster.json in DIR]
    #[arg(long, value_name = "FILE")]
    pub roster: Vec<PathBuf>,
    /// Public key of the region's authority [default: from authority.key.pub in DIR]
    #[arg(long, value_name = "HEXKEY")]
    pub authority: Option<VerifyKey>,
    /// Form of the report
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
}

/// `consilium audit show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Folder in which the records are, at any depth
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Only this party: a hospital, a role, or a whole name such as spiffe://demo/node/h-001
    #[arg(long, value_name = "NAME")]
    pub party: Option<String>,
    /// Newest entries of each party
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub limit: u32,
    /// Form of the list
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
}
