//! The witness's part: what may be opened, decided on unlabelled counts.
//!
//! The witness is given the sums of the witnessed columns over the hospitals that took part, takes
//! their masks away and sees, for each cell of an unknown group: persons and stays up to the
//! threshold, contributing hospitals, sets of persons behind each measure, and money sums in a
//! unit that it cannot know. A group passes with the floor's persons, stays and hospitals; a
//! measure passes when also every set is empty or reaches the minimum, and no hospital dominates
//! its money: Σx² ≤ share · (Σx)². The bins of a histogram are merged until they reach the floor,
//! by their persons and hospitals ([`runs`]). Of passing cells only, it returns the sums of the masks, which
//! depend on the verdict and on nothing else that a hospital holds.
//!
//! What it can know of money, how exact the rule of dominance is under the blinding, and why
//! guards are held against bounds before they are believed, is derived in [`mod@crate::blind`].
//!
//! *Differencing.* A cell whose population differs from one that was told before by fewer persons than
//! the minimum does not pass, and a request whose whole population does so is not opened at all,
//! nor one that with an earlier whole and an earlier cell leaves so few ([`mod@crate::sketch`]).
//!
//! *Stretches.* Where the cells stand among others it is told under names that it cannot read
//! ([`mod@crate::veil`]). A cell does not pass when with earlier stretches of its group it would tell of fewer, and
//! more groups are withheld when the total less those that pass would.
//!
//! *Complementary suppression.* When the groups that do not pass are together too few to be told, they
//! would follow from a total and the groups that do; so the smallest of these is withheld as well,
//! until the withheld are enough. So it is when some of the withheld were told before. All that is
//! withheld is remembered as one population, so that no part of it is told later without enough others.
//!
//! The number of rows beside all passing groups is told when the withheld groups together reach
//! the floor: their persons and stays added up (who is in two groups counts twice), and at least
//! one of them with enough hospitals. It is never the number of a single group.
//!
//! Left to the caller: at least [`crate::roster::FEWEST_HOSPITALS`] hospitals, whose receipts are
//! theirs, in a round that was not opened before and is not too close to one of its family.

mod hide;

use std::ops::Range;

use model::HospitalId;
use num_bigint::BigUint;

use crate::bins::{Tally, runs};
use crate::blind::{GuardKey, LIMB_BITS, UPPER_LIMB_BITS, accumulate};
use crate::mask::{Expander, Seed, Stream, TILE_CELLS};
use crate::measure::ROWS_CAP;
use crate::policy::DOMINANCE_OFF_E4;
use crate::shape::{DOMINANCE_COLUMNS, Shape};
use crate::sketch::{Differenced, Known, Place, Role, Sketch, Sketched, Told, keep_apart};
use crate::terms::{Floor, Sid};
use crate::veil::{Veiled, VeiledPlaces};

/// The seeds of the hospitals that took part.
pub type Seeds = [(HospitalId, Seed)];

/// What the coordinator sent is not the sum of what the hospitals uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sums do not belong to these hospitals' uploads")]
pub struct Tampered;

/// Why nothing of a round is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    /// The sums are not those of the uploads.
    #[error(transparent)]
    Tampered(#[from] Tampered),
    /// The request's population differs too little from what was told before.
    #[error(transparent)]
    Differenced(#[from] Differenced),
}

/// Which cells pass: bit 0 is the group, bit `n + 1` measure `n`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// One for each cell, in the order of the round.
    pub cells: Vec<u64>,
    /// For each bin of each passing histogram of each passing group, whether a run ends after it.
    pub runs: Vec<bool>,
    /// Groups with somebody in them that do not pass.
    pub withheld_groups: u64,
    /// Measures that do not pass in groups that do.
    pub withheld_measures: u64,
    /// The withheld groups together would pass, so their number of rows may be told.
    pub remainder_passes: bool,
    /// The populations that are told.
    pub told: Vec<Told>,
}

/// What goes back to the coordinator. Of a cell that does not pass it holds nothing but that there
/// is one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opened {
    /// Places of the groups that pass, ascending.
    pub places: Vec<u32>,
    /// The verdict on each.
    pub verdicts: Vec<u64>,
    /// For each bin of each passing histogram in turn, whether a run of joined bins ends after it.
    pub runs: Vec<bool>,
    /// For each place: the mask sums of rows and its check, then, for each passing measure, of its
    /// cells and its check; of a histogram, for each run, of its bins' cells, kind by kind, and of their
    /// checks, where these stand in columns of their own.
    pub masks: Vec<u128>,
    /// Groups with somebody in them that do not pass.
    pub withheld_groups: u64,
    /// Measures that do not pass in groups that do.
    pub withheld_measures: u64,
    /// Mask sums of rows and of its check over all other cells, when that number may be told.
    pub remainder: Option<[u128; 2]>,
}

/// Takes the masks of all hospitals away from the witnessed columns' `sums`, column after column.
///
/// # Errors
/// [`Tampered`] when the length is not that of the witnessed columns.
pub fn unmask(sums: &mut [u128], shape: &Shape, sid: &Sid, seeds: &Seeds) -> Result<(), Tampered> {
    if sums.len() != shape.witnessed().len() * shape.cells() {
        return Err(Tampered);
    }
    // The witnessed columns come first.
    Expander::default().subtract_all(&streams(seeds, sid), 0, sums);
    Ok(())
}

/// All hospitals' streams.
fn streams(seeds: &Seeds, sid: &Sid) -> Vec<Stream> {
    seeds.iter().map(|(hospital, seed)| seed.stream(sid, hospital)).collect()
}

/// The check of each cell, as honest hospitals' uploads make it: the secret combination of its `guards`, whose
/// columns are whole; whatever follows them is not looked at.
#[must_use]
pub fn guard_check(guards: &[u128], shape: &Shape, key: &GuardKey) -> Vec<u128> {
    let cells = shape.cells();
    let mut check = vec![0u128; cells];
    let columns = guards.chunks_exact(cells);
    for (coefficient, column) in key.coefficients(shape.guards()).into_iter().zip(columns) {
        accumulate(&mut check, coefficient, column);
    }
    check
}

/// Judges every cell by its opened guards.
///
/// `known` are the populations of earlier rounds, and `veiled` says where this one's stand among them.
///
/// # Errors
/// [`Unopened::Tampered`] when a guard check fails or a guard is one that no set of hospitals can give. The
/// bounds are part of the check, see [`mod@crate::blind`]: without them 2^127 could be added to any
/// two columns. [`Unopened::Differenced`].
pub fn judge(
    guards: &[u128],
    shape: &Shape,
    floor: &Floor,
    key: &GuardKey,
    hospitals: usize,
    (known, veiled): (&Known, Option<&Veiled>),
) -> Result<Verdict, Unopened> {
    let cells = shape.cells();
    if guards.len() != shape.witnessed().len() * cells {
        return Err(Tampered.into());
    }
    let check = guard_check(guards, shape, key);
    let hospitals = hospitals as u128;
    let places = veiled.map(Veiled::places);
    let mut judge =
        Judge { guards, shape, floor, hospitals, places, sketches: Vec::new(), whole: None };
    judge.check_bounds()?;
    let last = shape.guards() * cells;
    if guards[last..] != check {
        return Err(Tampered.into());
    }
    judge.read_sketches();
    let mut bits: Vec<u64> = (0..cells).map(|place| judge.cell(place)).collect();
    judge.keep_apart(&mut bits, known)?;
    let apart = bits.clone();
    let remainder_passes = judge.hide(&mut bits, known);
    let mut verdict = judge.verdict(bits, remainder_passes);
    verdict.told.extend(judge.hidden(&apart, &verdict.cells));
    Ok(verdict)
}

struct Judge<'a> {
    guards: &'a [u128],
    shape: &'a Shape,
    floor: &'a Floor,
    hospitals: u128,
    /// Where the cells stand among others, when that is told.
    places: Option<VeiledPlaces<'a>>,
    /// Of each cell, where populations of cells are compared.
    sketches: Vec<Sketch>,
    /// The population of the whole request, where populations are compared at all.
    whole: Option<Sketch>,
}

impl Judge<'_> {
    fn at(&self, column: usize, place: usize) -> u128 {
        self.guards[column * self.shape.cells() + place]
    }

    /// Persons, stays, contributors.
    fn group(&self, place: usize) -> [u128; 3] {
        [self.at(0, place), self.at(1, place), self.at(2, place)]
    }

    fn reaches(&self, [persons, stays, hospitals]: [u128; 3]) -> bool {
        persons >= u128::from(self.floor.persons)
            && stays >= u128::from(self.floor.stays)
            && hospitals >= u128::from(self.floor.hospitals)
    }

    /// No guard exceeds what `hospitals` uploads can add up to.
    fn check_bounds(&self) -> Result<(), Tampered> {
        let cells = self.shape.cells();
        let column = |index: usize| &self.guards[index * cells..(index + 1) * cells];
        let fits = |index: usize, most: u128| {
            let limit = self.hospitals * most;
            column(index).iter().all(|count| *count <= limit)
        };
        let fits_signed = |index: usize, most: u128| {
            let limit = self.hospitals * most;
            column(index).iter().all(|limb| limb.cast_signed().unsigned_abs() <= limit)
        };
        // Persons, stays and supports are counted up to the stricter minimum, contributors to 1.
        let cap = u128::from(self.floor.persons.max(self.floor.stays));
        let mut bounded = fits(0, cap) && fits(1, cap) && fits(2, 1);
        for measure in 0..self.shape.measures().len() {
            bounded &= self.shape.supports(measure).all(|index| fits(index, cap));
            for index in self.shape.dominance(measure).step_by(DOMINANCE_COLUMNS) {
                // The limbs of the sum carry its sign; those of the square have none.
                bounded &= fits_signed(index, 1 << LIMB_BITS);
                bounded &= fits_signed(index + 1, 1 << UPPER_LIMB_BITS);
                bounded &= (2..DOMINANCE_COLUMNS).all(|limb| fits(index + limb, 1 << LIMB_BITS));
            }
            let most = Tally { persons: self.hospitals * cap, hospitals: self.hospitals };
            let tallies = self.shape.bins(measure).flatten().flat_map(column);
            bounded &= tallies.into_iter().all(|cell| Tally::are_within(*cell, most));
        }
        bounded &= self.shape.sizes().is_none_or(|index| fits(index, u128::from(ROWS_CAP)));
        let sketches = self.shape.sketches().flat_map(column);
        bounded &= sketches.into_iter().all(|cell| Sketch::is_possible(*cell, self.hospitals));
        if bounded { Ok(()) } else { Err(Tampered) }
    }

    /// Fewest persons by which two populations that are told may differ.
    fn fewest_apart(&self) -> usize {
        self.floor.persons.max(self.floor.stays) as usize
    }

    /// Reads who is in each cell and in the whole. Of a listing nothing is told but which places pass, and
    /// with a minimum of one nobody is protected from being told apart: then nothing is compared.
    fn read_sketches(&mut self) {
        if self.fewest_apart() <= 1 {
            return;
        }
        let (columns, cells) = (self.shape.sketches(), self.shape.cells());
        self.whole = match self.shape.sketched() {
            Sketched::Nothing => None,
            Sketched::Whole => {
                let entries = self.guards[columns.start * cells..].iter();
                Some(Sketch::from_cells(entries.copied()))
            }
            Sketched::Cells => {
                let of = |place| Sketch::from_cells(columns.clone().map(|c| self.at(c, place)));
                self.sketches = (0..cells).map(of).collect();
                Some(Sketch::sum(&self.sketches))
            }
        };
    }

    /// Withholds cells whose population comes too close to a known one.
    fn keep_apart(&self, bits: &mut [u64], known: &Known) -> Result<(), Differenced> {
        let Some(whole) = &self.whole else { return Ok(()) };
        let sketches = self.sketches.iter().enumerate();
        let passing = sketches.filter(|(place, _)| bits[*place] & 1 == 1);
        let (places, cells): (Vec<usize>, Vec<Sketch>) =
            passing.map(|(place, sketch)| (place, sketch.clone())).unzip();
        for index in keep_apart(whole, &cells, known, self.fewest_apart() - 1)? {
            bits[places[index]] = 0;
        }
        self.keep_stretches_apart(bits, whole, known)
    }

    /// The same for cells with which earlier stretches would tell about too few.
    fn keep_stretches_apart(
        &self,
        bits: &mut [u64],
        whole: &Sketch,
        known: &Known,
    ) -> Result<(), Differenced> {
        let Some(places) = &self.places else { return Ok(()) };
        let groups: Vec<Place> =
            (0..self.sketches.len()).filter_map(|index| places.cell(index)).collect();
        known.look(groups.iter().chain(&places.whole()));
        let most = self.fewest_apart() - 1;
        if places.whole().is_some_and(|place| known.would_follow(&place, whole, most)) {
            return Err(Differenced);
        }
        let passing =
            self.sketches.iter().zip(bits).enumerate().filter(|(_, (_, bits))| **bits != 0);
        for (place, (sketch, bits)) in passing {
            if places.cell(place).is_some_and(|place| known.would_follow(&place, sketch, most)) {
                *bits = 0;
            }
        }
        Ok(())
    }

    /// Where a cell stands.
    fn place(&self, place: usize) -> Option<Place> {
        self.places.as_ref()?.cell(place)
    }

    /// What the verdicts on all cells say together.
    fn verdict(&self, cells: Vec<u64>, remainder_passes: bool) -> Verdict {
        let all = self.shape.measures().len();
        let mut verdict = Verdict {
            runs: Vec::new(),
            withheld_groups: 0,
            withheld_measures: 0,
            remainder_passes,
            told: Vec::new(),
            cells,
        };
        for (place, bits) in verdict.cells.iter().enumerate() {
            if bits & 1 == 1 {
                verdict.withheld_measures += all as u64 - u64::from((bits >> 1).count_ones());
                (0..all)
                    .filter(|index| bits >> (index + 1) & 1 == 1)
                    .for_each(|index| verdict.runs.extend(self.runs(index, place)));
                let sketch = self.sketches.get(place).cloned();
                let told = sketch.map(|s| Told::new(s, Role::Cell).at(self.place(place)));
                verdict.told.extend(told);
            } else if self.group(place).iter().any(|count| *count > 0) {
                verdict.withheld_groups += 1;
            }
        }
        let is_told = verdict.cells.iter().any(|bits| bits & 1 == 1);
        let whole_is_told = is_told && (remainder_passes || self.sketches.is_empty());
        // What is withheld is the whole without the cells that are told.
        let nobody = Sketch::default();
        let withheld: Vec<usize> = (0..self.sketches.len())
            .filter(|place| verdict.cells[*place] & 1 == 0 && self.sketches[*place] != nobody)
            .collect();
        let mut rest = Sketch::default();
        withheld.iter().for_each(|place| rest.merge(&self.sketches[*place]));
        // A cell that is withheld alone is what the total leaves over, and stands where it stands.
        let alone = match withheld.as_slice() {
            [one] => self.place(*one),
            _ => None,
        };
        let rest = (rest != nobody).then_some(rest);
        let stands = || self.places.as_ref()?.whole();
        let whole = self.whole.clone().map(|whole| Told::new(whole, Role::Whole).at(stands()));
        let rest = rest.map(|rest| Told::new(rest, Role::Whole).at(alone));
        verdict.told.extend(whole.into_iter().chain(rest).filter(|_| whole_is_told));
        verdict
    }

    fn cell(&self, place: usize) -> u64 {
        if !self.reaches(self.group(place)) {
            return 0;
        }
        let mut bits = 1u64;
        for index in 0..self.shape.measures().len() {
            if self.is_supported(index, place) && self.is_shared(index, place) {
                bits |= 1 << (index + 1);
            } else if self.shape.measures()[index].whole {
                return 0;
            }
        }
        bits
    }

    /// Every set of persons behind the measure is empty or numerous enough.
    fn is_supported(&self, index: usize, place: usize) -> bool {
        let minimum = u128::from(self.floor.persons.max(self.floor.stays));
        self.shape.supports(index).all(|column| {
            let persons = self.at(column, place);
            persons == 0 || persons >= minimum
        })
    }

    /// Where the runs of a histogram's bins end; nothing for any other measure.
    fn runs(&self, index: usize, place: usize) -> Vec<bool> {
        let tally = |(bin, column)| Tally::from_cell(self.at(column, place), bin);
        let tallies = |columns: Vec<usize>| columns.into_iter().enumerate().map(tally).collect();
        let tallies: Vec<Vec<Tally>> = self.shape.bins(index).map(tallies).collect();
        let minimum = Tally {
            persons: u128::from(self.floor.persons.max(self.floor.stays)),
            hospitals: u128::from(self.floor.hospitals),
        };
        runs(&tallies, minimum)
    }

    /// No hospital has too large a share of the measure's money.
    fn is_shared(&self, index: usize, place: usize) -> bool {
        if self.floor.dominance_e4 >= DOMINANCE_OFF_E4 {
            return true;
        }
        self.shape.dominance(index).step_by(DOMINANCE_COLUMNS).all(|column| {
            let limb = |n: usize| self.at(column + n, place);
            // In bounds the upper limb of a sum stays below 2^42 and the lower below 2^74.
            let upper = limb(1).cast_signed() << LIMB_BITS;
            let sum = (upper + limb(0).cast_signed()).unsigned_abs();
            let squares = BigUint::from(limb(2))
                + (BigUint::from(limb(3)) << LIMB_BITS)
                + (BigUint::from(limb(4)) << (2 * LIMB_BITS));
            squares * DOMINANCE_OFF_E4 <= BigUint::from(sum).pow(2) * self.floor.dominance_e4
        })
    }
}

/// The mask sums that let the coordinator read what passes.
#[must_use]
pub fn mask_sums(verdict: &Verdict, shape: &Shape, sid: &Sid, seeds: &Seeds) -> Opened {
    let passing = || verdict.cells.iter().enumerate().filter(|(_, bits)| **bits & 1 == 1);
    let mut opened = Opened {
        places: passing().filter_map(|(place, _)| u32::try_from(place).ok()).collect(),
        verdicts: passing().map(|(_, bits)| *bits).collect(),
        runs: verdict.runs.clone(),
        masks: Vec::new(),
        withheld_groups: verdict.withheld_groups,
        withheld_measures: verdict.withheld_measures,
        remainder: verdict.remainder_passes.then_some([0; 2]),
    };
    let values = shape.witnessed().end..shape.columns();
    let cells = shape.cells();
    let at_once = (TILE_CELLS / cells).max(1);
    let (streams, mut expander) = (streams(seeds, sid), Expander::default());
    let (mut sums, mut kept) = (Vec::new(), Vec::with_capacity(values.len()));
    let rows = [shape.value_columns(0).0.start, shape.value_columns(0).1.start];
    // A few columns at a time are expanded; only the cells that pass are kept.
    for start in values.clone().step_by(at_once) {
        let end = values.end.min(start + at_once);
        sums.clear();
        sums.resize((end - start) * cells, 0u128);
        expander.add_all(&streams, start * cells, &mut sums);
        for (column, masks) in (start..).zip(sums.chunks(cells)) {
            let part = rows.iter().position(|own| *own == column);
            let part = opened.remainder.as_mut().zip(part).and_then(|(sums, at)| sums.get_mut(at));
            if let Some(sum) = part {
                let others = verdict.cells.iter().zip(masks).filter(|(bits, _)| **bits & 1 == 0);
                *sum = others.fold(0u128, |sum, (_, mask)| sum.wrapping_add(*mask));
            }
            let passing = opened.places.iter().map(|place| masks[*place as usize]);
            kept.push(passing.collect::<Vec<_>>());
        }
    }
    let mut runs = opened.runs.iter().copied();
    for (row, bits) in opened.verdicts.iter().enumerate() {
        for slot in slots(shape, *bits, &mut runs) {
            let masks = slot.map(|column| kept[column - values.start][row]);
            opened.masks.push(masks.fold(0, u128::wrapping_add));
        }
    }
    opened
}

/// What a verdict opens, as ranges of columns whose sum is told: rows and its check, then for each
/// passing measure its columns and its check, one by one; for a histogram, for each run, its bins
/// and their checks, where these stand in columns of their own. `runs` gives the ends of the runs, bin by bin; a run that it does not end is
/// left out.
pub(crate) fn slots(
    shape: &Shape,
    bits: u64,
    runs: &mut impl Iterator<Item = bool>,
) -> Vec<Range<usize>> {
    let mut slots = Vec::new();
    for part in (0..=shape.measures().len()).filter(|part| bits >> part & 1 == 1) {
        let (columns, checks) = shape.value_columns(part);
        if part == 0 || shape.measures()[part - 1].bins == 0 {
            slots.extend(columns.chain(checks).map(|column| column..column + 1));
            continue;
        }
        let bins = shape.measures()[part - 1].bins as usize;
        let mut start = 0;
        for bin in 0..bins {
            if runs.next() == Some(true) {
                let kinds = columns.clone().step_by(bins).chain(checks.clone().step_by(bins));
                slots.extend(kinds.map(|first| first + start..first + bin + 1));
                start = bin + 1;
            }
        }
    }
    slots
}

#[cfg(test)]
mod tests;
