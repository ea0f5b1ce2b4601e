//! Levels of factors that earlier fits found, so that the next model of the same stays need not ask again.
//!
//! They are good for what they were found over: the same snapshots of the same hospitals, the same questions of the
//! same user in the same project, the same floor. A fit that begins with them and meets other snapshots in its first
//! step asks anew. What is kept is what the questions told, before a step merged anything.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use privacy::{Floor, Project};

use super::levels::Found;
use crate::round::Snapshots;

/// Fits whose levels are kept.
const MOST: usize = 64;

/// What levels depend on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) user: String,
    pub(super) project: Option<Project>,
    /// The questions that tell them.
    pub(super) questions: Vec<String>,
    /// The reference levels that the formula names.
    pub(super) references: Vec<(String, String)>,
    /// The snapshots that the region holds, as far as hospitals have told.
    pub(super) stamp: String,
    pub(super) floor: Floor,
}

/// Levels, and whose snapshots they are of.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    pub(super) found: Found,
    pub(super) over: Snapshots,
}

/// What earlier fits found, the latest last.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<VecDeque<(Key, Remembered)>>);

impl Memory {
    /// What was found under this key.
    pub(super) fn recall(&self, key: &Key) -> Option<Remembered> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(known, _)| known == key).map(|(_, found)| found.clone())
    }

    /// Keeps what was found, in the place of what was found under the same key before.
    pub(super) fn keep(&self, key: Key, remembered: Remembered) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != key);
        if kept.len() >= MOST {
            kept.pop_front();
        }
        kept.push_back((key, remembered));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(questions: usize) -> Key {
        Key {
            user: "ana".to_owned(),
            project: None,
            questions: vec!["SELECT".to_owned(); questions],
            references: Vec::new(),
            stamp: String::new(),
            floor: Floor { persons: 11, stays: 11, hospitals: 3, dominance_e4: 7_000 },
        }
    }

    fn remembered(stays: u64) -> Remembered {
        let mut found = Found::default();
        found.stays = stays;
        Remembered { found, over: Snapshots::new() }
    }

    #[test]
    fn the_oldest_goes_and_another_key_finds_nothing() {
        let memory = Memory::default();
        for one in 0..=MOST {
            memory.keep(key(one), remembered(1));
        }
        memory.keep(key(5), remembered(2));
        let stays = |key| memory.recall(&key).map(|one| one.found.stays);
        assert_eq!([stays(key(0)), stays(key(1)), stays(key(5))], [None, Some(1), Some(2)]);
        assert_eq!(stays(Key { user: "bo".to_owned(), ..key(5) }), None);
        assert_eq!(stays(Key { stamp: "h-1 other".to_owned(), ..key(5) }), None);
        let floor = Floor { persons: 30, ..key(5).floor };
        assert_eq!(stays(Key { floor, ..key(5) }), None);
        assert_eq!(memory.0.lock().unwrap().len(), MOST);
    }
}
