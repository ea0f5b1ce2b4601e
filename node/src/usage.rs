//! How often each user has asked today; survives a restart.
//!
//! The count is written before the question is computed, so a crash can lose an answer, never a
//! count. One file a day, `usage/2026-11-21.json`; a file that cannot be read closes the node
//! rather than starting again from zero.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Users counted in one day; certificates bound it in practice.
const MAX_USERS: usize = 10_000;

/// The requests of one UTC day.
#[derive(Debug)]
pub(crate) struct Usage {
    folder: PathBuf,
    day: String,
    counts: BTreeMap<String, u64>,
}

impl Usage {
    /// The counts of `day` under `data_dir`.
    ///
    /// # Errors
    /// When the day's file exists but cannot be read.
    pub(crate) fn open(data_dir: &Path, day: &str) -> io::Result<Self> {
        let folder = data_dir.join("usage");
        fs::create_dir_all(&folder)?;
        let counts = read(&folder, day)?;
        Ok(Self { folder, day: day.to_owned(), counts })
    }

    /// How often `user` has asked on `day`.
    ///
    /// # Errors
    /// When a new day's file exists but cannot be read.
    pub(crate) fn asked(&mut self, user: &str, day: &str) -> io::Result<u64> {
        if self.day != day {
            self.counts = read(&self.folder, day)?;
            day.clone_into(&mut self.day);
        }
        Ok(self.counts.get(user).copied().unwrap_or(0))
    }

    /// Counts one more question of `user`, durably.
    ///
    /// # Errors
    /// When the file cannot be written; the question must then not be answered.
    pub(crate) fn record(&mut self, user: &str) -> io::Result<()> {
        if self.counts.len() >= MAX_USERS && !self.counts.contains_key(user) {
            return Err(io::Error::other("too many users in one day"));
        }
        *self.counts.entry(user.to_owned()).or_insert(0) += 1;
        let incoming = self.folder.join(".incoming");
        fs::write(&incoming, serde_json::to_vec(&self.counts)?)?;
        fs::rename(&incoming, self.folder.join(format!("{}.json", self.day)))
    }
}

fn read(folder: &Path, day: &str) -> io::Result<BTreeMap<String, u64>> {
    match fs::read(folder.join(format!("{day}.json"))) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_survive_a_restart_and_end_with_the_day() {
        let folder = tempfile::tempdir().unwrap();
        let mut usage = Usage::open(folder.path(), "2026-11-21").unwrap();
        usage.record("ana").unwrap();
        usage.record("ana").unwrap();
        let mut again = Usage::open(folder.path(), "2026-11-21").unwrap();
        assert_eq!(again.asked("ana", "2026-11-21").unwrap(), 2);
        assert_eq!(again.asked("ben", "2026-11-21").unwrap(), 0);
        assert_eq!(again.asked("ana", "2026-11-22").unwrap(), 0);
    }

    #[test]
    fn a_damaged_count_is_not_zero() {
        let folder = tempfile::tempdir().unwrap();
        Usage::open(folder.path(), "2026-11-21").unwrap().record("ana").unwrap();
        fs::write(folder.path().join("usage/2026-11-21.json"), "{").unwrap();
        assert!(Usage::open(folder.path(), "2026-11-21").is_err());
    }
}
