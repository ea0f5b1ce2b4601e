//! Who this party is to the others: its signing key, and the roster by which it knows them.
//!
//! The roster is a file signed by the region's authority. It is read again when it changes, and a
//! newer one that arrives with an offer takes its place on disk before it is used, so a party
//! never goes back to an older roster. A file that does not verify closes the party: there is no
//! roster then, and nothing is offered, countersigned or joined.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use privacy::roster::{Roster, RosterError, SignedRoster};
use privacy::seal::SealKey;
use privacy::sign::{KeyError, SigningKey, VerifyKey};

/// The files of a party's standing.
#[derive(Debug, Clone)]
pub struct StandingFiles {
    /// The party's signing key.
    pub key: PathBuf,
    /// The signed roster.
    pub roster: PathBuf,
    /// The authority's public key, in hex.
    pub authority: PathBuf,
}

/// A party's key and the roster that it holds.
#[derive(Debug)]
pub struct Standing {
    key: SigningKey,
    seal: SealKey,
    path: PathBuf,
    authority: VerifyKey,
    region: String,
    held: Mutex<Option<Held>>,
}

#[derive(Debug, Clone)]
struct Held {
    stamp: (SystemTime, u64),
    signed: Arc<SignedRoster>,
    roster: Arc<Roster>,
}

/// Why a party has no standing.
#[derive(Debug, thiserror::Error)]
pub enum StandingError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A key file does not hold a key.
    #[error("{path}: {source}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: KeyError,
    },
    /// The roster is not one that the authority signed for this region.
    #[error("{path}: {source}; get the region's current roster from its authority")]
    Roster {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: RosterError,
    },
    /// A roster that was offered is older than the one that is held.
    #[error("roster version {offered} is not newer than version {held}, which this party holds")]
    Older {
        /// The version that was offered.
        offered: u64,
        /// The version that is held.
        held: u64,
    },
}

fn read(path: &Path) -> Result<Vec<u8>, StandingError> {
    fs::read(path).map_err(|source| StandingError::File { path: path.to_owned(), source })
}

fn read_text(path: &Path) -> Result<String, StandingError> {
    fs::read_to_string(path).map_err(|source| StandingError::File { path: path.to_owned(), source })
}

impl Standing {
    /// Reads the files of a party of `region`.
    ///
    /// # Errors
    /// [`StandingError`], naming the file.
    pub fn open(files: &StandingFiles, region: &str) -> Result<Self, StandingError> {
        let key_error = |path: &PathBuf| {
            let path = path.clone();
            move |source| StandingError::Key { path, source }
        };
        let key = SigningKey::parse(&read_text(&files.key)?).map_err(key_error(&files.key))?;
        let authority = read_text(&files.authority)?;
        let standing = Self {
            seal: SealKey::from_signing(&key),
            key,
            path: files.roster.clone(),
            authority: authority.parse().map_err(key_error(&files.authority))?,
            region: region.to_owned(),
            held: Mutex::default(),
        };
        standing.roster()?;
        Ok(standing)
    }

    /// Signs in this party's name.
    #[must_use]
    pub const fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Opens what is sealed for this party.
    #[must_use]
    pub const fn seal(&self) -> &SealKey {
        &self.seal
    }

    /// The roster that this party holds now.
    ///
    /// # Errors
    /// [`StandingError`] when the file has changed and cannot be used.
    pub fn roster(&self) -> Result<Arc<Roster>, StandingError> {
        self.held().map(|held| held.roster)
    }

    /// The same, as it is sent to others.
    ///
    /// # Errors
    /// [`StandingError`] when the file has changed and cannot be used.
    pub fn signed_roster(&self) -> Result<Vec<u8>, StandingError> {
        self.held().map(|held| held.signed.to_bytes())
    }

    fn held(&self) -> Result<Held, StandingError> {
        let stamp = self.stamp()?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = held.as_ref().filter(|known| known.stamp == stamp) {
            return Ok(known.clone());
        }
        let signed = self.verified(&SignedRoster::parse(&read(&self.path)?), stamp)?;
        // A file that was put back must not undo what this process has seen.
        if let Some(known) = held.as_ref()
            && signed.roster.version() < known.roster.version()
        {
            let (offered, held) = (signed.roster.version(), known.roster.version());
            return Err(StandingError::Older { offered, held });
        }
        *held = Some(signed.clone());
        Ok(signed)
    }

    fn stamp(&self) -> Result<(SystemTime, u64), StandingError> {
        let file = |source| StandingError::File { path: self.path.clone(), source };
        let found = fs::metadata(&self.path).map_err(file)?;
        Ok((found.modified().map_err(file)?, found.len()))
    }

    fn verified(
        &self,
        signed: &Result<SignedRoster, RosterError>,
        stamp: (SystemTime, u64),
    ) -> Result<Held, StandingError> {
        let fail = |source| StandingError::Roster { path: self.path.clone(), source };
        let signed = signed.clone().map_err(fail)?;
        let roster = signed.verify(&self.authority, &self.region).map_err(fail)?;
        Ok(Held { stamp, signed: Arc::new(signed), roster: Arc::new(roster) })
    }

    /// Takes over a newer roster that arrived with an offer.
    ///
    /// # Errors
    /// [`StandingError`] when it does not verify, is not newer, or cannot be written.
    pub fn accept(&self, signed: &SignedRoster) -> Result<Arc<Roster>, StandingError> {
        let current = self.held()?;
        let offered = self.verified(&Ok(signed.clone()), current.stamp)?;
        if offered.roster.hash() == current.roster.hash() {
            return Ok(current.roster);
        }
        let (new, held) = (offered.roster.version(), current.roster.version());
        if new <= held {
            return Err(StandingError::Older { offered: new, held });
        }
        self.replace(&signed.to_bytes())
            .map_err(|source| StandingError::File { path: self.path.clone(), source })?;
        self.roster()
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let mut incoming = self.path.as_os_str().to_owned();
        incoming.push(".incoming");
        let mut file = File::create(&incoming)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&incoming, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use privacy::roster::HospitalKeys;

    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed([seed; 32])
    }

    fn roster(authority: u8, version: u64, hospitals: u8) -> SignedRoster {
        let hospital = |n: u8| {
            let keys = HospitalKeys { sign: key(100 + n).verify_key(), seal: [n; 32] };
            (format!("h-{n}").parse().unwrap(), keys)
        };
        let hospitals: BTreeMap<_, _> = (0..hospitals).map(hospital).collect();
        let (a, b) = (key(1).verify_key(), key(2).verify_key());
        SignedRoster::sign(&key(authority), "east", version, a, b, &hospitals)
    }

    fn standing(folder: &Path) -> Standing {
        let files = StandingFiles {
            key: folder.join("signing.key"),
            roster: folder.join("roster.json"),
            authority: folder.join("authority.key.pub"),
        };
        fs::write(&files.key, key(1).to_text().as_str()).unwrap();
        fs::write(&files.authority, format!("{}\n", key(9).verify_key())).unwrap();
        fs::write(&files.roster, roster(9, 5, 3).to_bytes()).unwrap();
        Standing::open(&files, "east").unwrap()
    }

    #[test]
    fn a_newer_roster_takes_over_and_an_older_or_forged_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let standing = standing(folder.path());
        assert_eq!(standing.roster().unwrap().version(), 5);
        let accept = |signed: &SignedRoster| standing.accept(signed);
        assert!(matches!(accept(&roster(9, 4, 4)), Err(StandingError::Older { .. })));
        assert!(matches!(accept(&roster(9, 5, 4)), Err(StandingError::Older { .. })));
        assert!(matches!(accept(&roster(8, 6, 4)), Err(StandingError::Roster { .. })));
        assert_eq!(accept(&roster(9, 5, 3)).unwrap().version(), 5, "the same is no news");
        assert_eq!(accept(&roster(9, 6, 4)).unwrap().hospitals().len(), 4);
        let written = fs::read(folder.path().join("roster.json")).unwrap();
        assert_eq!(SignedRoster::parse(&written).unwrap(), roster(9, 6, 4));
    }

    #[test]
    fn a_file_that_was_damaged_or_put_back_closes_the_party() {
        let folder = tempfile::tempdir().unwrap();
        let standing = standing(folder.path());
        let path = folder.path().join("roster.json");
        fs::write(&path, "{}\n").unwrap();
        let text = standing.roster().unwrap_err().to_string();
        assert!(text.contains("roster.json") && text.contains("authority"), "{text}");
        fs::write(&path, roster(9, 4, 9).to_bytes()).unwrap();
        assert!(matches!(standing.roster(), Err(StandingError::Older { .. })));
    }
}
