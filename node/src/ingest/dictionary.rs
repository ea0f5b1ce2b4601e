//! The distinct texts of one column, numbered in order of first appearance.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};

use super::error::IngestError;

/// Most distinct values of a text column: more means a free text or an identifier in a code column.
const MAX_VALUES: usize = 1_000_000;
/// Entries of the table that is asked before the map; most columns have fewer values.
const RECENT: usize = 512;
/// FNV-1a (Fowler, Noll, Vo), 64 bits.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// Numbers texts. Used instead of an Arrow dictionary builder because it lives as long as the
/// ingest and hands out plain numbers, so that batches can be sorted and spilled without texts.
#[derive(Debug)]
pub(crate) struct Dictionary {
    values: Vec<Arc<str>>,
    hashes: Vec<u64>,
    codes: HashMap<Arc<str>, i32>,
    recent: Box<[i32; RECENT]>,
}

impl Default for Dictionary {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            hashes: Vec::new(),
            codes: HashMap::new(),
            recent: Box::new([-1; RECENT]),
        }
    }
}

impl Dictionary {
    /// The number of this text.
    pub(crate) fn code(&mut self, text: &str) -> Result<i32, IngestError> {
        let slot = slot(text.as_bytes());
        let recent = self.recent[slot];
        let known = usize::try_from(recent).ok().and_then(|code| self.values.get(code));
        if known.is_some_and(|known| **known == *text) {
            return Ok(recent);
        }
        let code = match self.codes.get(text) {
            Some(code) => *code,
            None => self.insert(text)?,
        };
        self.recent[slot] = code;
        Ok(code)
    }

    fn insert(&mut self, text: &str) -> Result<i32, IngestError> {
        let too_many = || IngestError::TooMany {
            what: "distinct values of a text column".to_owned(),
            limit: MAX_VALUES,
            way_out: "a governed column holds codes; leave free text and identifiers out of the \
                      mapping",
        };
        if self.values.len() >= MAX_VALUES {
            return Err(too_many());
        }
        let code = i32::try_from(self.values.len()).map_err(|_| too_many())?;
        let shared: Arc<str> = text.into();
        self.hashes.push(fnv(text.as_bytes()));
        self.values.push(Arc::clone(&shared));
        self.codes.insert(shared, code);
        Ok(code)
    }

    /// The text with this number.
    pub(crate) fn text(&self, code: i32) -> Option<&str> {
        usize::try_from(code).ok().and_then(|code| self.values.get(code)).map(AsRef::as_ref)
    }

    /// A hash of the text with this number that depends on the text only.
    pub(crate) fn hash(&self, code: i32) -> u64 {
        usize::try_from(code).ok().and_then(|code| self.hashes.get(code)).copied().unwrap_or(0)
    }

    /// For each number, its text's place among the sorted texts, from 1.
    pub(crate) fn ranks(&self) -> Vec<u32> {
        let mut order: Vec<(&str, usize)> =
            self.values.iter().enumerate().map(|(code, text)| (&**text, code)).collect();
        order.sort_unstable();
        let mut ranks = vec![0; order.len()];
        for (rank, (_, code)) in (1_u32..).zip(order) {
            ranks[code] = rank;
        }
        ranks
    }

    /// The texts in order of their numbers.
    pub(crate) fn array(&self) -> ArrayRef {
        Arc::new(self.values.iter().map(|text| Some(&**text)).collect::<StringArray>())
    }
}

/// Where a text is kept among the recent ones: length and a few bytes are enough.
fn slot(text: &[u8]) -> usize {
    let at = |position: usize| text.get(position).copied().map_or(0, usize::from);
    let last = text.len().wrapping_sub(1);
    (text.len() + at(0) + at(last) * 31 + at(last.wrapping_sub(1)) * 7 + at(text.len() / 2) * 13)
        % RECENT
}

/// The hash of bytes.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(FNV_OFFSET, |hash, byte| mix(hash, u64::from(*byte)))
}

/// Adds a number to a hash.
pub(crate) fn mix(hash: u64, value: u64) -> u64 {
    (hash ^ value).wrapping_mul(FNV_PRIME)
}
