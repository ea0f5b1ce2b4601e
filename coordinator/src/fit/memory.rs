//! Levels that were found for an earlier fit.
//!
//! Whoever asks for models over the same stays one after the other asks for the same levels each time,
//! with one masked round for each factor. So what was found is kept with the snapshots that the fit was
//! over, and a fit of the same person under the same project begins with it. Its first step shows whether
//! hospitals and snapshots are still these; where they are not, the levels are asked for anew.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::HospitalId;
use privacy::Floor;

use super::levels::Found;

/// Findings that are kept; the one that was used longest ago makes room.
const MAX_KEPT: usize = 64;

/// What the levels of a fit depend on, beside hospitals and snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// What is told to one person was not asked for by another, whose leave may be another.
    pub(super) user: String,
    /// Hash of the project.
    pub(super) project: Option<[u8; 32]>,
    /// The questions by which levels are found.
    pub(super) questions: Vec<String>,
    /// The hospitals' snapshots as far as the coordinator knows, by which code lists are found.
    pub(super) stamp: String,
    /// Reference levels that the formula names.
    pub(super) references: Vec<(String, String)>,
    /// What every sum reaches.
    pub(super) floor: Floor,
}

/// What was found, and over which snapshots.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    pub(super) found: Found,
    pub(super) snapshots: BTreeMap<HospitalId, String>,
}

/// What was found for earlier fits.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<VecDeque<(Key, Remembered)>>);

impl Memory {
    fn kept(&self) -> MutexGuard<'_, VecDeque<(Key, Remembered)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn recall(&self, key: &Key) -> Option<Remembered> {
        let mut kept = self.kept();
        let index = kept.iter().position(|(known, _)| known == key)?;
        let entry = kept.remove(index)?;
        let remembered = entry.1.clone();
        kept.push_back(entry);
        Some(remembered)
    }

    pub(super) fn remember(&self, key: Key, remembered: Remembered) {
        let mut kept = self.kept();
        kept.retain(|(known, _)| *known != key);
        if kept.len() >= MAX_KEPT {
            kept.pop_front();
        }
        kept.push_back((key, remembered));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(user: &str) -> Key {
        let floor = Floor { persons: 1, stays: 1, hospitals: 1, dominance_e4: 1 };
        Key {
            user: user.to_owned(),
            project: None,
            questions: vec!["SELECT 1".to_owned()],
            stamp: "h-1 a".to_owned(),
            references: Vec::new(),
            floor,
        }
    }

    fn remembered(stays: u64) -> Remembered {
        let mut found = Found::default();
        found.stays = stays;
        Remembered { found, snapshots: BTreeMap::new() }
    }

    #[test]
    fn levels_are_for_who_asked_for_them_and_the_oldest_make_room() {
        let memory = Memory::default();
        memory.remember(key("ana"), remembered(1));
        memory.remember(key("ana"), remembered(2));
        assert_eq!(memory.recall(&key("ana")).unwrap().found.stays, 2);
        assert!(memory.recall(&key("bo")).is_none());
        let within = Key { project: Some([1; 32]), ..key("ana") };
        assert!(memory.recall(&within).is_none());
        let ingested = Key { stamp: "h-1 b".to_owned(), ..key("ana") };
        assert!(memory.recall(&ingested).is_none(), "code lists may be others");
        let stricter = Floor { persons: 2, ..key("ana").floor };
        assert!(memory.recall(&Key { floor: stricter, ..key("ana") }).is_none());
        for user in 1..MAX_KEPT {
            memory.remember(key(&user.to_string()), remembered(3));
        }
        assert!(memory.recall(&key("ana")).is_some());
        memory.remember(key("bo"), remembered(4));
        assert!(memory.recall(&key("1")).is_none(), "used longest ago");
        assert!(memory.recall(&key("ana")).is_some());
    }
}
