//! Where code lists that were found are kept over a restart.
//!
//! Another discovery over the same rows draws other buckets, and may list a rare code that the first
//! one did not: the difference of two answers would be one small group. So a list is kept as long as
//! the snapshots over which it was found, also when the coordinator starts again. A file that cannot
//! be read is a list that has to be found again, no more.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A list and the snapshots over which it was found; another snapshot may hold other codes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) stamp: String,
    pub(crate) codes: Vec<String>,
}

/// The file of found lists.
#[derive(Debug, Clone)]
pub(crate) struct Shelf(PathBuf);

impl Shelf {
    /// The shelf in a data folder.
    pub(crate) fn of(data_dir: &Path) -> Self {
        Self(data_dir.join("code_lists.json"))
    }

    /// What lies there.
    pub(crate) fn load(&self) -> HashMap<String, Found> {
        let text = match fs::read(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return HashMap::new(),
            Err(error) => {
                tracing::warn!(file = %self.0.display(), %error, "code lists cannot be read");
                return HashMap::new();
            }
        };
        serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!(file = %self.0.display(), %error, "code lists cannot be read");
            HashMap::new()
        })
    }

    /// Puts `lists` in the place of what lay there.
    pub(crate) fn save(&self, lists: &HashMap<String, Found>) {
        let partial = self.0.with_extension("incoming");
        let write = || {
            fs::write(&partial, serde_json::to_vec(lists)?)?;
            fs::rename(&partial, &self.0)
        };
        if let Err(error) = write() {
            tracing::warn!(file = %self.0.display(), %error, "code lists cannot be kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_lie_there_after_a_restart_and_damage_is_no_list() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::of(folder.path());
        assert_eq!(shelf.load(), HashMap::new());
        let found = Found { stamp: "h-1 s".to_owned(), codes: vec!["阑尾".to_owned()] };
        let lists = HashMap::from([("stay.code".to_owned(), found)]);
        shelf.save(&lists);
        assert_eq!(Shelf::of(folder.path()).load(), lists);
        fs::write(folder.path().join("code_lists.json"), b"{").unwrap();
        assert_eq!(shelf.load(), HashMap::new());
        shelf.save(&lists);
        assert_eq!(shelf.load(), lists);
    }
}
