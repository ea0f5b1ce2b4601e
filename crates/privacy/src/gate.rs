//! The gate: the only way from [`Partial`] to [`Released`], and so the only way out.
//!
//! Rules, in this order (DESIGN, section 6):
//! 1. *Selectivity.* A filtered set of fewer persons than the floor releases nothing and is
//!    indistinguishable from a hospital without such rows.
//! 2. *Minimum cell.* A group needs the minimum of distinct persons **and** of stays, with or
//!    without GROUP BY.
//! 3. *Support.* The persons who have a value, those who have none, and those with a value other
//!    than zero must each be none or the minimum; for a measure with conditions (CASE, FILTER, a
//!    flag, a default) so must those in each combination of its branches. Otherwise that measure
//!    is withheld and the group stays.
//! 4. *Dominance.* A sum of money of which one or two persons have too large a part is withheld
//!    ([`mod@crate::dominance`]).
//! 5. *Differencing.* A group whose persons differ from those of an earlier release by fewer than the
//!    minimum is withheld; when the whole relation does so, nothing is released
//!    ([`mod@crate::sketch`]). So is one that together with several earlier ones, of other months or
//!    other stretches of an ordered column, would tell about so few (`sketch/range.rs`). Whom a measure
//!    tells apart by its conditions is a group in this, and the measure is what is withheld.
//! 6. *Complementary suppression.* What is withheld, groups or a measure in some of them, must be enough to
//!    be told together, or more is withheld (`complementary.rs`): a total may be told at any time. So may
//!    the margins of a table with several dimensions (`margins.rs`).
//! 7. *Bins.* Adjacent bins of a histogram are merged until each run holds the minimum of persons
//!    ([`runs`]).
//!
//! How many rows lie in withheld groups is told exactly only when the whole table was asked for
//! (its size is public); else it is rounded to a multiple of the minimum, so that one withheld
//! group's count cannot be read off.

mod hide;
mod rules;

use std::collections::HashMap;

use crate::admit::Thresholds;
use crate::bins::{Tally, runs};
use crate::complementary::complete;
use crate::margins::{Cell, Rule as _, Table};
use crate::measure::{JOINED, Measure};
use crate::noise::Statement;
use crate::partial::{Partial, PartialGroup, Support};
use crate::sketch::{Differenced, Known, Places, Role, Sketch, Sketched, Told, keep_apart};
use rules::{Measured, Sizes};

/// One group that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleasedGroup {
    key: Vec<Option<String>>,
    rows: u64,
    cells: Vec<i128>,
    withheld: Vec<bool>,
}

impl ReleasedGroup {
    /// A group that is told with noise.
    pub(crate) const fn new(
        key: Vec<Option<String>>,
        rows: u64,
        cells: Vec<i128>,
        withheld: Vec<bool>,
    ) -> Self {
        Self { key, rows, cells, withheld }
    }

    /// One code per dimension.
    #[must_use]
    pub fn key(&self) -> &[Option<String>] {
        &self.key
    }

    /// Rows of the group.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Cells of all measures; those of a withheld measure are zero and mean nothing.
    #[must_use]
    pub fn cells(&self) -> &[i128] {
        &self.cells
    }

    /// For each measure, whether it was withheld.
    #[must_use]
    pub fn withheld(&self) -> &[bool] {
        &self.withheld
    }
}

/// Cells that passed the hospital's gate. Only [`release`] and [`crate::noise::release`] make one; only
/// this can be encoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Released {
    groups: Vec<ReleasedGroup>,
    withheld_groups: u64,
    withheld_measures: u64,
    withheld_rows: u64,
    told: Vec<Told>,
    noise: Option<Statement>,
}

impl Released {
    /// No cells at all.
    pub(crate) const fn nothing() -> Self {
        Self {
            groups: Vec::new(),
            withheld_groups: 0,
            withheld_measures: 0,
            withheld_rows: 0,
            told: Vec::new(),
            noise: None,
        }
    }

    /// Cells with noise. Which groups are not told depends on rows, so not even their number is.
    pub(crate) fn noisy(groups: Vec<ReleasedGroup>, noise: Statement) -> Self {
        Self { groups, noise: Some(noise), ..Self::nothing() }
    }

    /// What its noise is; `None` when its cells are exact.
    #[must_use]
    pub const fn noise(&self) -> Option<&Statement> {
        self.noise.as_ref()
    }

    /// Groups that passed.
    #[must_use]
    pub fn groups(&self) -> &[ReleasedGroup] {
        &self.groups
    }

    /// Number of groups that did not.
    #[must_use]
    pub const fn withheld_groups(&self) -> u64 {
        self.withheld_groups
    }

    /// Number of measures withheld in groups that passed.
    #[must_use]
    pub const fn withheld_measures(&self) -> u64 {
        self.withheld_measures
    }

    /// The populations that it tells, to be known from now on.
    #[must_use]
    pub fn told(&self) -> &[Told] {
        &self.told
    }

    /// Rows in groups that did not pass, rounded as the module says.
    #[must_use]
    pub const fn withheld_rows(&self) -> u64 {
        self.withheld_rows
    }
}

/// Lets pass what the rules allow beside the populations that are `known`.
///
/// # Errors
/// [`Differenced`].
pub fn release(partial: Partial, known: &Known) -> Result<Released, Differenced> {
    let mut released = Released::nothing();
    // What was admitted for noise has met no other rule, and is never told exactly.
    if partial.admitted().noisy().is_some() || partial.is_below_selectivity() {
        return Ok(released);
    }
    let thresholds = partial.admitted().thresholds();
    let request = partial.admitted().request();
    let amounts = request.measures().iter().map(|measure| measure.amounts(request.inputs()));
    let amounts: Vec<usize> = amounts.collect();
    let measures = request.measures().to_vec();
    let sketched = Sketched::of(request);
    let selective = partial.is_selective();
    let minimum = thresholds.persons_cap();
    let frame = partial.frame().cloned();
    let (groups, population) = partial.into_parts();
    let Some((cells, whole)) = population.sketches(sketched, groups.len()) else {
        return Ok(released);
    };
    let places = Places::of(frame, groups.iter().map(|group| group.key.as_slice()));
    known.look((0..cells.len()).filter_map(|index| places.cell(index)).chain(places.whole()));
    let is_told = |(index, cell): (usize, &Sketch)| {
        known.is_told(cell) || places.cell(index).is_some_and(|place| known.follows(place, cell))
    };
    let told_before = cells.iter().enumerate().map(is_told).collect();
    let gate = Gate { thresholds, groups: &groups, places, told_before };
    let mut passes = gate.large_enough();
    let shown: Vec<usize> = (0..cells.len()).filter(|index| passes[*index]).collect();
    let passing: Vec<Sketch> = shown.iter().map(|index| cells[*index].clone()).collect();
    let most = minimum as usize - 1;
    for index in keep_apart(&whole, &passing, known, most)? {
        passes[shown[index]] = false;
    }
    for index in gate.places.keep_stretches_apart(&whole, (&cells, &shown), known, most)? {
        passes[index] = false;
    }
    let apart = passes.clone();
    // Sums of a model are about the same rows, and none is the total of others.
    let places = (sketched == Sketched::Cells).then(|| gate.places());
    let table = places.as_deref().map(Table::new);
    let table = table.as_ref();
    if let Some(table) = table {
        gate.hide(table, &mut passes, &cells, known);
        gate.hide_rests(table, &mut passes, (&whole, &cells), known);
    }
    let (mut told, mut parts): (Vec<Vec<bool>>, Vec<Told>) = Default::default();
    let mut own = Known::default();
    for (measure, amounts) in amounts.into_iter().enumerate() {
        let rule = Measured { gate: &gate, measure, amounts, known: [known, &own] };
        let shown = gate.measure(table, &rule, &passes);
        let news = rule.told(&shown, &cells);
        own.learn(&news);
        parts.extend(news);
        told.push(shown);
    }
    if sketched != Sketched::Nothing && minimum > 1 && passes.contains(&true) {
        released.told = gate.remembered(table, [&apart, &passes], &cells, whole, known);
        released.told.extend(parts);
    }
    let mut withheld_rows = 0;
    for (index, group) in groups.into_iter().enumerate() {
        if !passes[index] {
            (released.withheld_groups, withheld_rows) =
                (released.withheld_groups + 1, withheld_rows + group.rows);
            continue;
        }
        let withheld: Vec<bool> = told.iter().map(|told| !told[index]).collect();
        released.withheld_measures += withheld.iter().filter(|withheld| **withheld).count() as u64;
        released.groups.push(release_group(group, &measures, withheld, u64::from(minimum)));
    }
    released.withheld_rows =
        if selective { round_to(withheld_rows, minimum.into()) } else { withheld_rows };
    Ok(released)
}

/// The codes of the groups by one dimension that hold the minimum, ascending: no counts, so that nothing can
/// be subtracted.
#[must_use]
pub fn codes(partial: Partial) -> Vec<String> {
    let thresholds = partial.admitted().thresholds();
    if partial.is_below_selectivity() {
        return Vec::new();
    }
    let (groups, _) = partial.into_parts();
    let (places, told_before) = (Places::default(), Vec::new());
    let large = Gate { thresholds, groups: &groups, places, told_before }.large_enough();
    let passing = groups.iter().zip(large).filter(|(_, is_large)| *is_large);
    let mut codes: Vec<String> =
        passing.filter_map(|(group, _)| group.key.first().cloned().flatten()).collect();
    codes.sort_unstable();
    codes
}

/// The groups of one answer and what they must reach.
struct Gate<'a> {
    thresholds: Thresholds,
    groups: &'a [PartialGroup],
    /// Where they stand among what was told before.
    places: Places,
    /// Whether each was told before, or follows from what was.
    told_before: Vec<bool>,
}

impl<'a> Gate<'a> {
    fn is_large(&self, persons: u64, stays: u64) -> bool {
        persons >= u64::from(self.thresholds.persons) && stays >= u64::from(self.thresholds.stays)
    }

    /// Whether what is withheld together holds the minimum of persons, though some may be in several groups,
    /// and is not near to what was told before.
    fn hides_itself(&self, rest: &Sketch, known: &Known) -> bool {
        let minimum = self.thresholds.persons_cap();
        rest.has_at_least(minimum) && !known.has_near(rest, minimum as usize - 1)
    }

    /// Which groups hold the minimum.
    fn large_enough(&self) -> Vec<bool> {
        self.groups.iter().map(|group| self.is_large(group.persons, group.stays)).collect()
    }

    /// The groups that are `told` and those that are not, the former by their number of rows.
    fn parted(&self, told: &[bool]) -> (Vec<usize>, Vec<usize>) {
        let (mut told, withheld): (Vec<usize>, Vec<usize>) =
            (0..self.groups.len()).partition(|index| told[*index]);
        told.sort_by_key(|index| self.groups[*index].rows);
        (told, withheld)
    }

    /// The populations of an answer that tells the groups that pass, of those that are large enough and
    /// `apart`.
    fn remembered(
        &self,
        table: Option<&Table<'_>>,
        [apart, passes]: [&[bool]; 2],
        cells: &[Sketch],
        whole: Sketch,
        known: &Known,
    ) -> Vec<Told> {
        let sum = |parts: &[usize]| {
            let parts: Vec<Sketch> =
                parts.iter().filter_map(|one| cells.get(*one).cloned()).collect();
            (!parts.is_empty()).then(|| Sketch::sum(&parts))
        };
        let of = |is: &dyn Fn(usize) -> bool| {
            (0..cells.len()).filter(|one| is(*one)).collect::<Vec<_>>()
        };
        // How many rows are withheld is told, so the whole is, and what is withheld of it.
        let all = Told::new(whole, Role::Whole).at(self.places.whole().cloned());
        let withheld = of(&|one| !passes[one]);
        // One group that is withheld alone is what the total leaves over, and stands where it stands.
        let alone = match withheld.as_slice() {
            [one] => self.places.cell(*one).cloned(),
            _ => None,
        };
        let rest = sum(&withheld).map(|rest| Told::new(rest, Role::Whole).at(alone));
        // A margin may be told, though it is near to a cell that is withheld in it; not where it is near to
        // what was told before, or hides others: that is not to be told later either.
        let sizes = Sizes { gate: self, cells, known, width: 0 };
        let lines = table.into_iter().flat_map(|table| table.withheld_whole(passes));
        let most = self.thresholds.persons_cap() as usize - 1;
        let margins = lines.filter(|line| sizes.is_enough(line)).filter_map(sum);
        let margins = margins.filter(|sum| !known.hides(sum, most));
        let margins = margins.map(|sketch| Told::new(sketch, Role::Whole));
        let mut told: Vec<Told> = std::iter::once(all).chain(rest).chain(margins).collect();
        for (role, cell) in [
            (Role::Cell, of(&|one| passes[one])),
            (Role::Hidden, of(&|one| apart[one] && !passes[one])),
        ] {
            told.extend(cell.into_iter().map(|one| {
                let place = self.places.cell(one).filter(|_| role == Role::Cell);
                Told::new(cells[one].clone(), role).at(place.cloned())
            }));
        }
        told
    }

    /// The groups as cells of a table, by the levels of their dimensions.
    fn places(&self) -> Vec<Cell> {
        let mut levels: HashMap<(usize, &Option<String>), u32> = HashMap::new();
        let mut place = |(dimension, level)| {
            let next = u32::try_from(levels.len()).unwrap_or(u32::MAX);
            *levels.entry((dimension, level)).or_insert(next)
        };
        let mut cell = |group: &'a PartialGroup| Cell {
            place: group.key.iter().enumerate().map(&mut place).collect(),
            cost: group.rows,
        };
        self.groups.iter().map(&mut cell).collect()
    }

    /// In which of the groups that pass a measure is told.
    fn measure(
        &self,
        table: Option<&Table<'_>>,
        rule: &Measured<'_>,
        passes: &[bool],
    ) -> Vec<bool> {
        let mut told: Vec<bool> = passes.to_vec();
        for (index, told) in told.iter_mut().enumerate() {
            *told = *told && rule.allows(&rule.union(&[index]));
        }
        // Then no total may be told either, and so nothing.
        if (0..told.len()).any(|index| told[index] && rule.would_follow(index)) {
            return vec![false; told.len()];
        }
        let all: Vec<usize> = (0..self.groups.len()).collect();
        let whole = rule.union(&all);
        // A total that is not told itself tells nothing of its parts.
        if let Some(table) = table.filter(|_| whole != Support::group()) {
            if rule.allows(&whole) {
                let (shown, withheld) = self.parted(&told);
                let join = |union: &mut Support, index: usize| rule.join(union, index);
                let is_enough = |union: &Support| *union == Support::group() || rule.allows(union);
                complete(withheld, shown, join, is_enough, |index| told[index] = false);
            }
            if table.has_margins() {
                table.protect(&mut told, rule);
            }
        }
        told
    }

    /// Every set of persons behind a measure is empty or numerous enough.
    fn is_supported(&self, support: &Support) -> bool {
        let minimum = u64::from(self.thresholds.persons_cap());
        support.sets().iter().all(|&persons| persons == 0 || persons >= minimum)
    }

    /// No two persons have too large a part of any of so many amounts of money.
    fn is_shared(&self, support: &Support, amounts: usize) -> bool {
        let rule = self.thresholds.dominance;
        let shares = support.shares();
        rule.is_off() || shares.len() == amounts && shares.iter().all(|shares| rule.allows(shares))
    }
}

fn release_group(
    group: PartialGroup,
    measures: &[Measure],
    withheld: Vec<bool>,
    minimum: u64,
) -> ReleasedGroup {
    let mut cells = group.cells;
    let (mut offset, mut first_bin) = (0, 0);
    for (measure, withheld) in measures.iter().zip(&withheld) {
        let (end, last_bin) = (offset + measure.width(), first_bin + measure.bins());
        if *withheld {
            cells[offset..end].fill(0);
        } else if measure.bins() > 0 {
            join_bins(&mut cells[offset..end], &group.bins[first_bin..last_bin], minimum);
        }
        (offset, first_bin) = (end, last_bin);
    }
    ReleasedGroup { key: group.key, rows: group.rows, cells, withheld }
}

/// Moves the rows of joined bins into the last one of their run.
fn join_bins(cells: &mut [i128], persons: &[u64], minimum: u64) {
    let tallies = cells.iter().zip(persons).map(|(rows, persons)| Tally {
        persons: u128::from(*persons),
        hospitals: u128::from(*rows > 0),
    });
    let minimum = Tally { persons: u128::from(minimum), hospitals: 1 };
    let ends = runs(&[tallies.collect()], minimum);
    let mut carried = 0;
    for (cell, is_end) in cells.iter_mut().zip(ends) {
        carried += *cell;
        *cell = if is_end { std::mem::take(&mut carried) } else { JOINED };
    }
}

const fn round_to(value: u64, step: u64) -> u64 {
    (value + step / 2) / step * step
}

#[cfg(test)]
mod tests;
