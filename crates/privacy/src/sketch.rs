//! Who is in a population, in a form that adds up: what finds pairs of populations that differ by
//! a few persons.
//!
//! Two sums, each about many, differ by what the persons contribute who are in one population and
//! not in the other; when these are few, subtracting tells about these few (Denning, Denning and
//! Schwartz, *ACM TODS* 4 (1979) 76). A [`Sketch`] stands for a population without naming anybody:
//! [`COUNTERS`] counters modulo 2^22. Each person belongs to one counter and each stay has a weight
//! other than zero, both decided by HMACs under the hospital's key; each stay adds its weight to the
//! counter of its person, once, however many rows a join makes of it.
//!
//! * Sketches add up, over groups and over hospitals, so they travel under masks like any sum.
//! * Populations that differ by `d` persons have at most `d` unlike counters. So no pair that
//!   differs by 1 to `most` persons looks farther apart than `most`. It can look *alike* only when
//!   all differences cancel: with probability 2^-22 for one person, and the weights are secret.
//! * Of more persons some share a counter, as in linear counting (Whang, Vander-Zanden and Taylor,
//!   *ACM TODS* 15 (1990) 208), so a pair that differs by somewhat more than `most` may be taken
//!   for one that is too close. With `most` = 10 this happens to 59 of 100 pairs that differ by 11
//!   persons, to 8 that differ by 13, and to one in a thousand that differs by 16.
//!
//! Who holds many sketches learns which populations are alike, and of one with fewer than about a
//! hundred persons, roughly how many there are: no more than counts tell, and nothing of what they
//! are about.

mod frame;
mod guard;
mod known;
mod places;
mod range;
mod rest;
mod rows;

use std::num::NonZeroU32;

use crate::request::ReleaseRequest;

pub(crate) use frame::{Cut, Spans};
pub use frame::{Extent, Frame, Place, Span};
pub use guard::{Differenced, Role, Told, keep_apart};
pub use known::Known;
pub(crate) use places::Places;
pub(crate) use rest::Group;
pub use rows::{Sketches, Unmarked};

/// Counters of a sketch.
pub const COUNTERS: usize = 66;
/// Columns of a masked upload that carry a sketch, three counters each.
pub const SKETCH_COLUMNS: usize = COUNTERS / LANES;
/// Bytes of a sketch at rest.
pub const SKETCH_BYTES: usize = COUNTERS * COUNTER_BYTES;
/// Counters in one cell of an upload.
const LANES: usize = 3;
/// Bits between them: 22 of the counter, 10 for what at most 2^10 hospitals add up to.
const LANE_BITS: u32 = 32;
const COUNTER_BITS: u32 = 22;
const COUNTER_BYTES: usize = 3;
const COUNTER: u32 = (1 << COUNTER_BITS) - 1;

/// Bytes of an HMAC that stands for a person or a stay.
pub const MARK_BYTES: usize = 16;

/// A population. The empty one is the default.
#[derive(Clone, PartialEq, Eq)]
pub struct Sketch([u32; COUNTERS]);

/// What a row of a stay adds, and to which counter: that of its person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(NonZeroU32);

/// Whose population a masked upload describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sketched {
    /// None: a listing tells only which places pass, and noise needs no comparison.
    Nothing,
    /// That of each cell.
    Cells,
    /// That of the request as a whole: sums of models, whose places are about the same rows.
    Whole,
}

/// The populations behind what a node has computed.
#[derive(Debug, Clone)]
pub enum Population {
    /// None, see [`Sketched::Nothing`].
    Untold,
    /// One for each group, in their order.
    Cells(Vec<Sketch>),
    /// That of all rows.
    Whole(Box<Sketch>),
}

impl Sketched {
    /// What `request` calls for.
    #[must_use]
    pub fn of(request: &ReleaseRequest) -> Self {
        match request.fitting() {
            Some(_) => Self::Whole,
            None if request.is_listing() || request.rho_micro().is_some() => Self::Nothing,
            None => Self::Cells,
        }
    }
}

impl Population {
    /// The sketches of so many groups, where each has one, and that of the whole; `None` when they are not
    /// what is called for: then nothing at all may be told.
    pub(crate) fn sketches(
        self,
        sketched: Sketched,
        groups: usize,
    ) -> Option<(Vec<Sketch>, Sketch)> {
        match (sketched, self) {
            (Sketched::Nothing, Self::Untold) => Some((Vec::new(), Sketch::default())),
            (Sketched::Cells, Self::Cells(each)) if each.len() == groups => {
                let whole = Sketch::sum(&each);
                Some((each, whole))
            }
            (Sketched::Whole, Self::Whole(whole)) => Some((Vec::new(), *whole)),
            _ => None,
        }
    }
}

impl Default for Sketch {
    fn default() -> Self {
        Self([0; COUNTERS])
    }
}

impl std::hash::Hash for Sketch {
    /// A linear hash of all counters, each with an odd factor of its own: hashing each byte of many would take
    /// longer than comparing them.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(mixed(&self.0, &FACTORS));
    }
}

/// An odd factor of 64 bits for each counter, none a small multiple of another (the mixing of SplitMix64; Steele,
/// Lea and Flood, OOPSLA 2014).
const FACTORS: [u64; COUNTERS] = {
    let mut factors = [0; COUNTERS];
    let mut place = 0;
    while place < COUNTERS {
        let mut word = 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(place as u64 + 1);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        factors[place] = word ^ (word >> 31) | 1;
        place += 1;
    }
    factors
};

/// Counters in one number. Unlike ones may have the same, so equal numbers are a hint and never a proof.
fn mixed(counters: &[u32], factors: &[u64]) -> u64 {
    let products = counters.iter().zip(factors);
    let sum = products.fold(0u64, |sum, (counter, factor)| {
        sum.wrapping_add(factor.wrapping_mul(u64::from(*counter)))
    });
    sum ^ sum >> 32
}

impl std::fmt::Debug for Sketch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sketch({} counters)", self.counters_in_use())
    }
}

impl Mark {
    /// Of the stay with the HMAC `stay` of the person with the HMAC `person`.
    #[must_use]
    pub fn of(person: &[u8; MARK_BYTES], stay: &[u8; MARK_BYTES]) -> Self {
        // The upper 64 uniform bits, scaled to the number of counters.
        let scaled = (u128::from_be_bytes(*person) >> 64) * COUNTERS as u128;
        let counter = u32::try_from(scaled >> 64).unwrap_or(0);
        let [a, b, c, d, ..] = *stay;
        // Zero would make the stay invisible.
        let weight = NonZeroU32::new(u32::from_be_bytes([a, b, c, d]) & COUNTER);
        Self(weight.unwrap_or(NonZeroU32::MIN) | counter << COUNTER_BITS)
    }

    const fn counter(self) -> usize {
        (self.0.get() >> COUNTER_BITS) as usize
    }

    const fn weight(self) -> u32 {
        self.0.get() & COUNTER
    }
}

impl Sketch {
    /// Adds a row.
    pub fn add(&mut self, mark: Mark) {
        if let Some(sum) = self.0.get_mut(mark.counter()) {
            *sum = (*sum + mark.weight()) & COUNTER;
        }
    }

    /// Adds the rows of a population that shares none with this one.
    pub fn merge(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(&other.0) {
            *sum = (*sum + more) & COUNTER;
        }
    }

    /// The population of all `parts` together, which share no rows.
    pub(crate) fn sum(parts: &[Self]) -> Self {
        let mut whole = Self::default();
        parts.iter().for_each(|part| whole.merge(part));
        whole
    }

    /// This population without the rows of `part`.
    #[must_use]
    pub fn without(&self, part: &Self) -> Self {
        let mut rest = self.clone();
        for (sum, less) in rest.0.iter_mut().zip(&part.0) {
            *sum = sum.wrapping_sub(*less) & COUNTER;
        }
        rest
    }

    /// Unlike counters, counted up to `most + 1`: 0 when both are the same population, at most the
    /// number of persons by which they differ.
    #[must_use]
    pub fn apart(&self, other: &Self, most: usize) -> usize {
        let unlike = self.0.iter().zip(&other.0).filter(|(one, other)| one != other);
        unlike.take(most.saturating_add(1)).count()
    }

    /// Whether both differ, and perhaps by no more than `most` persons.
    #[must_use]
    pub fn is_near(&self, other: &Self, most: usize) -> bool {
        (1..=most).contains(&self.apart(other, most))
    }

    /// Whether certainly so many persons are in it, or for larger numbers, half as many as there are counters:
    /// each counter in use is at least one person's.
    #[must_use]
    pub fn has_at_least(&self, persons: u32) -> bool {
        self.counters_in_use() >= (persons as usize).min(COUNTERS / 2)
    }

    fn counters_in_use(&self) -> usize {
        self.0.iter().filter(|counter| **counter != 0).count()
    }

    /// As cells of an upload.
    #[must_use]
    pub fn to_cells(&self) -> [u128; SKETCH_COLUMNS] {
        let mut cells = [0u128; SKETCH_COLUMNS];
        for (cell, lanes) in cells.iter_mut().zip(self.0.chunks(LANES)) {
            let join = |sum: u128, lane: &u32| (sum << LANE_BITS) | u128::from(*lane);
            *cell = lanes.iter().rev().fold(0, join);
        }
        cells
    }

    /// From cells of an upload, or their sums over hospitals.
    #[must_use]
    pub fn from_cells(cells: impl IntoIterator<Item = u128>) -> Self {
        let mut sketch = Self::default();
        for (lanes, cell) in sketch.0.chunks_mut(LANES).zip(cells) {
            let shifts = (0..).step_by(LANE_BITS as usize);
            for (lane, shift) in lanes.iter_mut().zip(shifts) {
                *lane = u32::try_from((cell >> shift) & u128::from(COUNTER)).unwrap_or(0);
            }
        }
        sketch
    }

    /// Whether a sum over so many `hospitals` can be what `cell` says.
    #[must_use]
    pub fn is_possible(cell: u128, hospitals: u128) -> bool {
        let lane = |index: usize| (cell >> (index * LANE_BITS as usize)) & u128::from(u32::MAX);
        let most = hospitals * u128::from(COUNTER);
        cell >> (LANES * LANE_BITS as usize) == 0 && (0..LANES).all(|index| lane(index) <= most)
    }

    /// As it is kept.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; SKETCH_BYTES] {
        let mut bytes = [0; SKETCH_BYTES];
        for (place, counter) in bytes.chunks_mut(COUNTER_BYTES).zip(&self.0) {
            place.copy_from_slice(&counter.to_le_bytes()[..COUNTER_BYTES]);
        }
        bytes
    }

    /// Reads what was kept; `None` when it is something else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut sketch = Self::default();
        if bytes.len() != SKETCH_BYTES {
            return None;
        }
        for (counter, place) in sketch.0.iter_mut().zip(bytes.chunks_exact(COUNTER_BYTES)) {
            *counter = u32::from_le_bytes([place[0], place[1], place[2], 0]);
        }
        sketch.0.iter().all(|counter| *counter <= COUNTER).then_some(sketch)
    }
}

#[cfg(test)]
mod tests;
