//! The command line of `consilium region`.

use std::path::PathBuf;
use std::time::Duration;

use certs::Subject;
use clap::{Args, Subcommand};

use crate::args::ListFormat;

/// Nothing that an authority signs lasts longer.
const LONGEST: Duration = Duration::from_secs(3_650 * 24 * 60 * 60);

/// `consilium region`.
#[derive(Debug, Args)]
#[command(after_help = "\
A hospital's way into a region:
  authority   consilium region init --dir region --region east
  authority   consilium region invite --dir region node/h-051        (tell the token)
  hospital    consilium-node enroll --config node.toml --token - --out request.json
  authority   consilium region enroll --dir region request.json --out h-051
  hospital    put the files of h-051 where node.toml names them

Coordinator, witness and users make their request with 'consilium region request'.")]
pub struct RegionArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: RegionCommand,
}

/// What an authority and its applicants do.
#[derive(Debug, Subcommand)]
pub enum RegionCommand {
    /// Make the authority of a new region: keys, an empty roster, an empty revocation list
    Init(InitArgs),
    /// Print a one-time token with which one party may enrol
    Invite(InviteArgs),
    /// Make a party's keys and its request to the authority (nodes: consilium-node enroll)
    Request(RequestArgs),
    /// Enrol the maker of a request: certificate and roster
    Enroll(EnrollArgs),
    /// Give an enrolled party a new certificate
    Renew(RenewArgs),
    /// End a party's part in the region: revocation list and roster
    Revoke(RevokeArgs),
    /// Sign the revocation list anew; an expired one closes every door
    Crl(FolderArgs),
    /// Verify the roster and show whose keys it holds
    Roster(ShowArgs),
    /// Show who is enrolled, until when, and what is revoked
    Show(ShowArgs),
}

/// The authority's folder.
#[derive(Debug, Args)]
pub struct FolderArgs {
    /// Folder of the region's authority
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
}

/// `consilium region init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The folder.
    #[command(flatten)]
    pub folder: FolderArgs,
    /// Name of the region, as it will stand in certificates
    #[arg(long, value_name = "NAME")]
    pub region: String,
    /// How long a certificate lasts (90s, 30m, 24h, 7d)
    #[arg(long, value_name = "LIFE", value_parser = life, default_value = "24h")]
    pub leaf: Duration,
    /// How long a revocation list lasts
    #[arg(long, value_name = "LIFE", value_parser = life, default_value = "7d")]
    pub crl: Duration,
}

/// `consilium region invite`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  consilium region invite --dir region node/h-051 --valid 48h")]
pub struct InviteArgs {
    /// The folder.
    #[command(flatten)]
    pub folder: FolderArgs,
    /// Whom: node/HOSPITAL, coordinator/main, witness/main or user/NAME
    pub party: Subject,
    /// How long the token may be used
    #[arg(long, value_name = "LIFE", value_parser = life, default_value = "24h")]
    pub valid: Duration,
}

/// `consilium region request`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  consilium region request --dir keys --peer user/ana --token - --out request.json")]
pub struct RequestArgs {
    /// Folder of the party's keys; those that are missing are made
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Who asks: coordinator/main, witness/main, user/NAME or node/HOSPITAL
    #[arg(long, value_name = "PARTY")]
    pub peer: Subject,
    /// The one-time token; '-' reads it from stdin, out of sight of other users
    #[arg(long, value_name = "TOKEN", required_unless_present = "renew")]
    pub token: Option<String>,
    /// Ask for a new certificate with the keys that are there; takes no token
    #[arg(long, conflicts_with = "token")]
    pub renew: bool,
    /// Where the request goes
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `consilium region enroll`.
#[derive(Debug, Args)]
pub struct EnrollArgs {
    /// The folder.
    #[command(flatten)]
    pub folder: FolderArgs,
    /// The applicant's request
    pub request: PathBuf,
    /// Folder for what the applicant gets: certificate, authority, roster, revocation list
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
}

/// `consilium region renew`.
#[derive(Debug, Args)]
pub struct RenewArgs {
    /// The folder.
    #[command(flatten)]
    pub folder: FolderArgs,
    /// The party's request, made with --renew
    pub request: PathBuf,
    /// As for enroll; without it the certificate goes to stdout
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}

/// `consilium region revoke`.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// The folder.
    #[command(flatten)]
    pub folder: FolderArgs,
    /// Whom
    pub party: Subject,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

/// `consilium region show` and `roster`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The folder.
    #[command(flatten)]
    pub folder: FolderArgs,
    /// Form of the list
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
}

/// Reads `<whole number><s|m|h|d>`, from a second to ten years.
fn life(text: &str) -> Result<Duration, String> {
    let expected = || format!("\"{text}\" is not a duration such as 30m, 24h or 7d (up to 3650d)");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(expected)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| expected())?;
    let unit_s = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(expected()),
    };
    let life = number.checked_mul(unit_s).map(Duration::from_secs);
    life.filter(|life| !life.is_zero() && *life <= LONGEST).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_a_whole_number_and_a_unit() {
        for (text, seconds) in [("90s", 90), ("30m", 1_800), ("24h", 86_400), ("7d", 604_800)] {
            assert_eq!(life(text), Ok(Duration::from_secs(seconds)));
        }
        for bad in ["", "24", "h", "0h", "-1h", "1.5h", "1w", "3651d", "99999999999999999999d"] {
            assert!(life(bad).is_err(), "{bad} must not be accepted");
        }
    }
}
