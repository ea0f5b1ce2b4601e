//! Where the records are, and the keys to check them with.

use std::fs;
use std::path::{Path, PathBuf};

use privacy::roster::{Roster, RosterError, SignedRoster};
use privacy::sign::VerifyKey;
use record::{Archive, FILE};

use super::args::VerifyArgs;
use crate::exit::Failure;

/// The roster in a region folder.
const ROSTER: &str = "roster.json";
/// The public key of the region's authority in a region folder.
const AUTHORITY: &str = "authority.key.pub";
/// Deepest folder below the one given, and most entries looked at: a region folder has a few
/// hundred, and somebody may point at a whole disk.
const MAX_DEPTH: usize = 8;
const MAX_ENTRIES: usize = 1_000_000;

/// All records under `dir`, in the order of their paths. Links are not followed.
///
/// # Errors
/// [`Failure::Configuration`] when the folder cannot be read or holds none.
pub(super) fn find(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut folders = vec![(dir.to_owned(), 0)];
    let mut looked_at = 0usize;
    while let Some((folder, depth)) = folders.pop() {
        let unread = |error: std::io::Error| {
            Failure::Configuration(format!("cannot look into {}: {error}", folder.display()))
        };
        for entry in fs::read_dir(&folder).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            looked_at += 1;
            if looked_at > MAX_ENTRIES {
                let reason = format!("{} holds too many files; is it a region?", dir.display());
                return Err(Failure::Configuration(reason));
            }
            let kind = entry.file_type().map_err(unread)?;
            if kind.is_dir() && depth < MAX_DEPTH {
                folders.push((entry.path(), depth + 1));
            } else if kind.is_file() && entry.file_name() == FILE {
                found.push(entry.path());
            }
        }
    }
    if found.is_empty() {
        let reason = format!(
            "there is no {FILE} under {}; give the folder of a region, or of copied records",
            dir.display()
        );
        return Err(Failure::Configuration(reason));
    }
    found.sort();
    Ok(found)
}

/// The rosters, verified with the authority's key for the region of the records.
///
/// # Errors
/// [`Failure::Configuration`] when a file is missing, [`Failure::Data`] when one does not verify.
pub(super) fn rosters(args: &VerifyArgs, records: &[PathBuf]) -> Result<Vec<Roster>, Failure> {
    // The first record that can be read names the region; if none can, no key is needed to say so.
    let Some(region) = records.iter().find_map(|record| Archive::open(record).ok()) else {
        return Ok(Vec::new());
    };
    let region = region.party().region().to_owned();
    let authority = authority(args)?;
    let files =
        if args.roster.is_empty() { vec![args.dir.join(ROSTER)] } else { args.roster.clone() };
    let verified = |file: &PathBuf| {
        let bytes = fs::read(file).map_err(|error| {
            let reason = format!("cannot read the roster {}: {error}", file.display());
            Failure::Configuration(format!("{reason}; name one with --roster"))
        })?;
        let wrong = |error: RosterError| Failure::Data(format!("{}: {error}", file.display()));
        SignedRoster::parse(&bytes)
            .and_then(|roster| roster.verify(&authority, &region))
            .map_err(wrong)
    };
    files.iter().map(verified).collect()
}

fn authority(args: &VerifyArgs) -> Result<VerifyKey, Failure> {
    if let Some(key) = args.authority {
        return Ok(key);
    }
    let file = args.dir.join(AUTHORITY);
    let wrong = |reason: String| {
        let file = file.display();
        Failure::Configuration(format!("{file}: {reason}; give the key with --authority"))
    };
    let text = fs::read_to_string(&file).map_err(|error| wrong(error.to_string()))?;
    text.parse().map_err(|error: privacy::sign::KeyError| wrong(error.to_string()))
}
