//! Which bins of a histogram may be opened.
//!
//! A percentile is read off a histogram, and a bin of it is a cell: it needs the minimum of persons
//! and, in a regional sum, of hospitals. [`runs`] goes up the bins and ends a run as soon as what it
//! has gathered reaches the minimum; what is left over at the top joins the last run. Empty bins
//! are treated like all others: opening an emptiness as such would tell where the smallest or
//! largest value lies, and, beside a total, how many few there are. There is one exception, which
//! tells neither: nobody at all above a last run of a single bin.
//!
//! What a run says beyond its count: its last bin holds somebody, namely the person at whom the
//! minimum was reached, and fewer than the minimum lie below that bin.

/// What is known of one bin, or of adjacent ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Persons, each counted in one bin only; never more than there are.
    pub persons: u128,
    /// Hospitals with a row in the bin; of several bins, the most of any.
    pub hospitals: u128,
}

/// Bits of a tally in a cell: hospitals below persons.
const TALLY_BITS: u32 = 32;
/// Bits of hospitals in a tally; the rest is for persons, of whom each hospital counts at most
/// [`crate::policy::LARGEST_MINIMUM`].
const HOSPITAL_BITS: u32 = 11;
/// Tallies of one cell.
pub(crate) const TALLIES_PER_CELL: usize = 2;

impl Tally {
    /// The tally of bin `bin` in a cell that holds it and its neighbour.
    pub(crate) const fn from_cell(cell: u128, bin: usize) -> Self {
        let own = cell >> Self::shift(bin) & ((1 << TALLY_BITS) - 1);
        Self { persons: own >> HOSPITAL_BITS, hospitals: own & ((1 << HOSPITAL_BITS) - 1) }
    }

    /// What it adds to the cell.
    pub(crate) const fn to_cell(self, bin: usize) -> u128 {
        let most = (1 << (TALLY_BITS - HOSPITAL_BITS)) - 1;
        let persons = if self.persons < most { self.persons } else { most };
        (persons << HOSPITAL_BITS | self.hospitals) << Self::shift(bin)
    }

    /// Whether a cell holds tallies and nothing above them, none of more than `most`.
    pub(crate) fn are_within(cell: u128, most: Self) -> bool {
        let fits = |tally: Self| tally.persons <= most.persons && tally.hospitals <= most.hospitals;
        let above = cell >> (TALLY_BITS * 2);
        above == 0 && (0..TALLIES_PER_CELL).all(|bin| fits(Self::from_cell(cell, bin)))
    }

    const fn shift(bin: usize) -> u32 {
        if bin.is_multiple_of(TALLIES_PER_CELL) { 0 } else { TALLY_BITS }
    }

    const fn reaches(self, minimum: Self) -> bool {
        self.persons >= minimum.persons && self.hospitals >= minimum.hospitals
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self {
            persons: self.persons + other.persons,
            hospitals: self.hospitals.max(other.hospitals),
        }
    }
}

/// Merges adjacent bins: for each bin, whether a run ends after it. Every run reaches `minimum`, but
/// for one of nobody at the top; when nothing does, all bins are one run.
///
/// `tallies` are the sets of persons of which each run needs the minimum, each with as many bins. With
/// several of them the exception is not made: nobody in one set may be few in another.
#[must_use]
pub fn runs(tallies: &[Vec<Tally>], minimum: Tally) -> Vec<bool> {
    let bins = tallies.first().map_or(0, Vec::len);
    // A minimum of one protects nobody: every bin may be opened, and be empty.
    if minimum.persons <= 1 && minimum.hospitals <= 1 {
        return vec![true; bins];
    }
    let mut ends = vec![false; bins];
    let (mut run, mut last) = (vec![Tally::default(); tallies.len()], None);
    for index in 0..bins {
        for (run, tally) in run.iter_mut().zip(tallies) {
            *run = run.with(tally[index]);
        }
        if run.iter().all(|run| run.reaches(minimum)) {
            ends[index] = true;
            run.fill(Tally::default());
            last = Some(index);
        }
    }
    if let Some(end) = last {
        let is_single = end == 0 || ends[end - 1];
        let is_empty = matches!(run.as_slice(), [run] if run.hospitals == 0);
        ends[end] = is_single && is_empty;
    }
    if let Some(end) = ends.last_mut() {
        *end = true;
    }
    ends
}

#[cfg(test)]
mod tests;
