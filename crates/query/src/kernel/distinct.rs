//! Which keys each group has seen, each once.

use roaring::RoaringBitmap;

/// A set of keys for each group; exact, and compressed, since a join makes many rows of one stay.
#[derive(Debug, Default)]
pub(super) struct Distinct(Vec<RoaringBitmap>);

impl Distinct {
    /// Makes room for so many groups; new ones are empty.
    pub(super) fn grow(&mut self, groups: usize) {
        self.0.resize_with(groups, RoaringBitmap::new);
    }

    /// Adds one row of each of `keys`, to the group that stands in its place.
    pub(super) fn add(&mut self, groups: &[u32], keys: &[u32]) {
        for (group, key) in groups.iter().zip(keys) {
            let seen = &mut self.0[*group as usize];
            // Tables are stored in the order of stays within a code, so most keys come ascending.
            if seen.try_push(*key).is_err() {
                seen.insert(*key);
            }
        }
    }

    /// Takes in what another partition has seen, whose groups stand at these `places` here.
    pub(super) fn merge(&mut self, other: Self, places: &[u32]) {
        for (seen, place) in other.0.into_iter().zip(places) {
            self.0[*place as usize] |= seen;
        }
    }

    /// How many keys a group has seen.
    pub(super) fn count(&self, group: usize) -> u64 {
        self.0.get(group).map_or(0, RoaringBitmap::len)
    }

    /// Every group with each of its keys, ascending.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        (0..).zip(&self.0).flat_map(|(group, keys)| keys.iter().map(move |key| (group, key)))
    }
}
