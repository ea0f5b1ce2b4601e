//! The key under which a coordinator hides names, as far as the witness may know it: by its hash.
//!
//! Under another key all groups are new ones, and what follows from earlier stretches would not be noticed. So the
//! first key that a coordinator uses is kept, in one line of a file beside the record, and another one is refused
//! for as long as the coordinator signs with the same key.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use model::{Refusal, RefusalCode};
use privacy::sign::{VerifyKey, hex, unhex32};

use crate::round::refuse;

/// The file's name.
const FILE: &str = "veil";

/// The key that is kept.
#[derive(Debug)]
pub(crate) struct HeldVeil {
    path: PathBuf,
    held: Mutex<Option<Held>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    coordinator: [u8; 32],
    key: [u8; 32],
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}", path = path.display())]
pub struct VeilFileError {
    path: PathBuf,
    source: io::Error,
}

/// Why a round is not opened.
#[derive(Debug)]
pub(crate) enum NotHeld {
    Other(Refusal),
    File(VeilFileError),
}

impl HeldVeil {
    /// Reads what is kept in the folder of the record.
    pub(crate) fn of(folder: &Path) -> Result<Self, VeilFileError> {
        let path = folder.join(FILE);
        let held = match fs::read_to_string(&path) {
            Ok(text) => Some(Held::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(VeilFileError { path, source }),
        };
        match held {
            Some(None) => {
                let text = "it is not the line that this witness wrote; restore it from a backup, or \
                            remove it, and stretches that were told before are forgotten";
                Err(VeilFileError {
                    path,
                    source: io::Error::new(io::ErrorKind::InvalidData, text),
                })
            }
            held => Ok(Self { path, held: Mutex::new(held.flatten()) }),
        }
    }

    /// Accepts the key that the coordinator used first, and keeps it before anything is opened under it.
    pub(crate) fn accept(&self, coordinator: VerifyKey, key: [u8; 32]) -> Result<(), NotHeld> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let offered = Held { coordinator: *coordinator.as_bytes(), key };
        match *held {
            Some(known) if known == offered => return Ok(()),
            Some(known) if known.coordinator == offered.coordinator => {
                return Err(NotHeld::Other(other_key()));
            }
            _ => {}
        }
        let file = |source| NotHeld::File(VeilFileError { path: self.path.clone(), source });
        self.write(offered).map_err(file)?;
        *held = Some(offered);
        Ok(())
    }

    fn write(&self, held: Held) -> io::Result<()> {
        let incoming = self.path.with_extension("incoming");
        let mut file = File::create(&incoming)?;
        writeln!(file, "{} {}", hex(&held.coordinator), hex(&held.key))?;
        file.sync_all()?;
        fs::rename(&incoming, &self.path)?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

impl Held {
    fn parse(text: &str) -> Option<Self> {
        let (coordinator, key) = text.trim_end().split_once(' ')?;
        Some(Self { coordinator: unhex32(coordinator)?, key: unhex32(key)? })
    }
}

fn other_key() -> Refusal {
    refuse(
        RefusalCode::Offer,
        "veiled.key",
        "The coordinator hides names under another key than before, so that what follows from earlier \
         answers could not be seen.",
        "The coordinator's operator restores its signing key; a new one comes with a new roster.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> VerifyKey {
        VerifyKey::from_bytes([byte; 32])
    }

    #[test]
    fn a_coordinator_keeps_to_its_first_key() {
        let folder = tempfile::tempdir().unwrap();
        for start in 0..2 {
            let held = HeldVeil::of(folder.path()).unwrap();
            held.accept(key(1), [5; 32]).unwrap();
            let Err(NotHeld::Other(refusal)) = held.accept(key(1), [6; 32]) else {
                panic!("another key was accepted at start {start}");
            };
            assert_eq!(refusal.subject, "veiled.key");
        }
        // A coordinator with another signing key, which only a new roster names, begins anew.
        let held = HeldVeil::of(folder.path()).unwrap();
        held.accept(key(2), [6; 32]).unwrap();
        HeldVeil::of(folder.path()).unwrap().accept(key(2), [6; 32]).unwrap();
    }

    #[test]
    fn a_damaged_file_is_named_and_nothing_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        for damage in ["", "00 11", "zz"] {
            fs::write(folder.path().join(FILE), damage).unwrap();
            let error = HeldVeil::of(folder.path()).unwrap_err().to_string();
            assert!(error.contains("veil") && error.contains("backup"), "{error}");
        }
    }
}
