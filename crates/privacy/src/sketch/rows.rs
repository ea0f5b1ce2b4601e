//! Sketches of many groups while rows are added to them: the loop that sees every row.

use super::{COUNTER, COUNTERS, Mark, Sketch};

/// One population for each group.
#[derive(Debug, Clone, Default)]
pub struct Sketches(Vec<u32>);

/// A row of a stay that has no mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unmarked;

impl Sketches {
    /// Makes room for so many groups; new ones are empty.
    pub fn resize(&mut self, groups: usize) {
        self.0.resize(groups * COUNTERS, 0);
    }

    /// Adds rows: each is of a group and a stay, by its number.
    ///
    /// # Errors
    /// [`Unmarked`] when a number has no mark.
    pub fn add(
        &mut self,
        rows: impl IntoIterator<Item = (u32, u32)>,
        marks: &[Option<Mark>],
    ) -> Result<(), Unmarked> {
        let (sums, []) = self.0.as_chunks_mut::<COUNTERS>() else { return Err(Unmarked) };
        for (group, stay) in rows {
            let mark = marks.get(stay as usize).copied().flatten().ok_or(Unmarked)?;
            let sum = sums.get_mut(group as usize).and_then(|sums| sums.get_mut(mark.counter()));
            if let Some(sum) = sum {
                // 2^22 divides 2^32, so the lower bits are right without reducing each time.
                *sum = sum.wrapping_add(mark.weight());
            }
        }
        Ok(())
    }

    /// Adds the groups of `other`, which stand at these `places` here; both share no rows.
    pub fn merge(&mut self, other: &Self, places: &[u32]) {
        for (more, place) in other.0.chunks_exact(COUNTERS).zip(places) {
            let start = *place as usize * COUNTERS;
            let sums = self.0.iter_mut().skip(start);
            sums.zip(more).for_each(|(sum, more)| *sum = sum.wrapping_add(*more));
        }
    }

    /// The populations, in the order of the groups.
    pub fn each(&self) -> impl Iterator<Item = Sketch> + '_ {
        self.0.chunks_exact(COUNTERS).map(|sums| {
            let mut sketch = Sketch::default();
            sketch.0.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum & COUNTER);
            sketch
        })
    }
}
