//! Complementary suppression in tables with several dimensions.
//!
//! Other questions may tell every margin of a table: the sums along any of its dimensions. A withheld
//! cell follows from these when it is the only one of a *line*, the cells that differ in one dimension
//! only, and also when solving several lines together leaves it alone (Hundepool et al., *Statistical
//! Disclosure Control*, Wiley 2012, section 4.3; Cox, *JASA* 75 (1980) 377). All lines are taken to be
//! told, and all cells of the table to be there: nobody's cells are taken to be known as such.
//!
//! 1. What is withheld in a line must be enough to be told together, and not a single cell, unless the
//!    line as a whole is not enough.
//! 2. The lines are equations whose unknowns are the withheld cells. An unknown that has only one
//!    solution, found by elimination modulo a prime, is given company, and step 1 begins again.
//! 3. So is, in tables with few withheld cells, one whose number of rows must lie in too narrow an interval
//!    (`margins/intervals.rs`).
//!
//! A cell may follow from the margins alone, though nothing of the table is told; then it is for who tells the
//! margins. Each time the smallest cell is withheld that does it. What was told before would hide nobody and is
//! never chosen. A line of a single cell is that cell, and is withheld when its margin is asked for.

mod intervals;

use std::collections::{BTreeSet, HashMap};

use crate::complementary::complete;
use intervals::{Programs, any_narrow};

/// 2^31 − 1. That a table is judged wrongly needs a minor of its incidence matrix that is a multiple.
const PRIME: u64 = (1 << PRIME_BITS) - 1;
const PRIME_BITS: u32 = 31;
/// Most coefficients of the equations; of a larger table nothing is told.
const MAX_COEFFICIENTS: usize = 1 << 23;

/// Most withheld cells of a table whose intervals are looked at.
const MAX_INTERVALS: usize = 100;
/// Most linear programs for which a table is protected; where that is not enough, nothing of it is told.
const MAX_PROGRAMS: u32 = 2_000;

/// A cell of a table.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    /// Its level in each dimension.
    pub(crate) place: Vec<u32>,
    /// What withholding it costs: its rows.
    pub(crate) cost: u64,
}

/// What is judged of a table's cells.
pub(crate) trait Rule {
    /// Whether these cells could be told together.
    fn is_enough(&self, cells: &[usize]) -> bool;

    /// Whether withholding the cell hides others: what was told before does not.
    fn hides(&self, cell: usize) -> bool;

    /// How wide the interval must be in which the margins leave a withheld number of rows; 0 where that is not
    /// what is withheld.
    fn width(&self) -> u64 {
        0
    }
}

/// A table, by its lines.
pub(crate) struct Table<'a> {
    cells: &'a [Cell],
    /// Cells that differ in one dimension only; two at least.
    lines: Vec<Vec<usize>>,
    /// The lines of each cell.
    lines_of: Vec<Vec<usize>>,
    programs: Programs,
}

impl<'a> Table<'a> {
    /// Of these cells, whose places have the same length.
    pub(crate) fn new(cells: &'a [Cell]) -> Self {
        let mut by_rest: HashMap<(usize, Vec<u32>), Vec<usize>> = HashMap::new();
        let dimensions = cells.first().map_or(0, |cell| cell.place.len());
        for (index, cell) in cells.iter().enumerate() {
            for dimension in 0..dimensions {
                let mut rest = cell.place.clone();
                rest.remove(dimension);
                by_rest.entry((dimension, rest)).or_default().push(index);
            }
        }
        let mut lines: Vec<Vec<usize>> =
            by_rest.into_values().filter(|line| line.len() > 1).collect();
        lines.sort_unstable();
        let mut lines_of = vec![Vec::new(); cells.len()];
        for (number, line) in lines.iter().enumerate() {
            line.iter().for_each(|cell| lines_of[*cell].push(number));
        }
        Self { cells, lines, lines_of, programs: Programs::new(MAX_PROGRAMS) }
    }

    /// Whether there are margins beside the sum of all.
    pub(crate) fn has_margins(&self) -> bool {
        self.lines.iter().any(|line| line.len() < self.cells.len())
    }

    /// Withholds more of the cells that are `told`, until none of those that are not follows from the
    /// margins. When the table is too large to be judged, everything.
    pub(crate) fn protect(&self, told: &mut [bool], rule: &impl Rule) {
        self.programs.allow(MAX_PROGRAMS);
        let mut waiting: BTreeSet<usize> = (0..self.lines.len()).collect();
        loop {
            while let Some(line) = waiting.pop_first() {
                self.complete(line, told, rule, &mut waiting);
            }
            let Some(exposed) = self.exposed(told) else {
                told.fill(false);
                return;
            };
            let mut changed = false;
            for cell in &exposed {
                changed |= self.accompany(*cell, told, rule, &mut waiting);
            }
            if exposed.is_empty() {
                // One at a time: what widens the interval of one widens those of its neighbours.
                let narrow = self.narrow(told, rule, &mut |cell, told| {
                    self.accompany(cell, told, rule, &mut waiting)
                });
                let Some(is_accompanied) = narrow else {
                    told.fill(false);
                    return;
                };
                changed = is_accompanied;
            }
            if !changed {
                return;
            }
        }
    }

    /// The lines of which nothing is told: what is withheld in them is their margin.
    pub(crate) fn withheld_whole<'b>(
        &'b self,
        told: &'b [bool],
    ) -> impl Iterator<Item = &'b [usize]> + 'b {
        let lines = self.lines.iter().map(Vec::as_slice);
        lines.filter(|line| line.iter().all(|cell| !told[*cell]))
    }

    fn withheld(&self, line: usize, told: &[bool]) -> Vec<usize> {
        self.lines[line].iter().copied().filter(|cell| !told[*cell]).collect()
    }

    /// The cells of a line that can be withheld beside others, the cheapest first.
    fn candidates(&self, line: usize, told: &[bool], rule: &impl Rule) -> Vec<usize> {
        let all = self.lines[line].iter().copied();
        let mut found: Vec<usize> = all.filter(|cell| told[*cell] && rule.hides(*cell)).collect();
        found.sort_by_key(|cell| self.cells[*cell].cost);
        found
    }

    fn withhold(&self, cell: usize, told: &mut [bool], waiting: &mut BTreeSet<usize>) {
        told[cell] = false;
        waiting.extend(self.lines_of[cell].iter().copied());
    }

    /// Withholds more of one line until what is withheld is two cells that are enough, or none.
    fn complete(
        &self,
        line: usize,
        told: &mut [bool],
        rule: &impl Rule,
        waiting: &mut BTreeSet<usize>,
    ) {
        // A margin that is not told itself tells nothing.
        if !rule.is_enough(&self.lines[line]) {
            return;
        }
        let join = |withheld: &mut Vec<usize>, cell| withheld.push(cell);
        let is_enough = |withheld: &Vec<usize>| match withheld.as_slice() {
            [] => true,
            cells => cells.len() > 1 && rule.is_enough(cells),
        };
        let withheld = self.withheld(line, told);
        let candidates = self.candidates(line, told, rule);
        let withhold = |cell| self.withhold(cell, told, waiting);
        // Where not even all of it is enough, nothing more of the line is told.
        complete(withheld, candidates, join, is_enough, withhold);
    }

    /// Withholds the cheapest cell of the lines of `cell`, or where these have none left, of the lines of
    /// their cells, and so on. Whether there was one.
    fn accompany(
        &self,
        cell: usize,
        told: &mut [bool],
        rule: &impl Rule,
        waiting: &mut BTreeSet<usize>,
    ) -> bool {
        let mut near: BTreeSet<usize> = self.lines_of[cell].iter().copied().collect();
        let mut seen = BTreeSet::new();
        while !near.is_empty() {
            let lines = near.iter();
            let cheapest =
                lines.filter_map(|line| self.candidates(*line, told, rule).first().copied());
            if let Some(cell) = cheapest.min_by_key(|cell| self.cells[*cell].cost) {
                self.withhold(cell, told, waiting);
                return true;
            }
            let cells = near.iter().flat_map(|line| &self.lines[*line]);
            let next =
                cells.flat_map(|cell| &self.lines_of[*cell]).copied().collect::<BTreeSet<_>>();
            seen.append(&mut near);
            near = next.difference(&seen).copied().collect();
        }
        false
    }

    /// Calls `give` with the withheld cells whose number of rows nearly follows from the margins that can be told,
    /// until it says yes; whether it did. `None` when that is too much to be judged.
    fn narrow(
        &self,
        told: &mut [bool],
        rule: &impl Rule,
        give: &mut dyn FnMut(usize, &mut [bool]) -> bool,
    ) -> Option<bool> {
        let unknowns: Vec<usize> = (0..told.len()).filter(|cell| !told[*cell]).collect();
        if rule.width() < 2 || unknowns.is_empty() || unknowns.len() > MAX_INTERVALS {
            return Some(false);
        }
        let place = |cell: &usize| unknowns.binary_search(cell).ok();
        let withheld = |line: &Vec<usize>| line.iter().filter_map(place).collect::<Vec<_>>();
        let lines = self.lines.iter().map(|line| (line, withheld(line)));
        let lines = lines.filter(|(line, withheld)| !withheld.is_empty() && rule.is_enough(line));
        let sums: Vec<Vec<usize>> = lines.map(|(_, withheld)| withheld).collect();
        let rows: Vec<u64> = unknowns.iter().map(|cell| self.cells[*cell].cost).collect();
        let mut give = |place: usize| give(unknowns[place], told);
        any_narrow(&rows, &sums, rule.width(), &self.programs, &mut give)
    }

    /// The withheld cells that follow from the lines; `None` when there are too many to tell.
    fn exposed(&self, told: &[bool]) -> Option<Vec<usize>> {
        let unknowns: Vec<usize> = (0..told.len())
            .filter(|cell| !told[*cell] && !self.lines_of[*cell].is_empty())
            .collect();
        let column: HashMap<usize, usize> =
            unknowns.iter().enumerate().map(|(column, cell)| (*cell, column)).collect();
        let rows = self.lines.iter().map(|line| {
            line.iter().filter_map(|cell| column.get(cell).copied()).collect::<Vec<usize>>()
        });
        let rows: Vec<Vec<usize>> = rows.filter(|row| !row.is_empty()).collect();
        if rows.len().saturating_mul(unknowns.len()) > MAX_COEFFICIENTS {
            return None;
        }
        let found = determined(&rows, unknowns.len());
        Some(found.into_iter().map(|column| unknowns[column]).collect())
    }
}

/// The unknowns with a single solution, of equations that each say the sum of some of so many.
fn determined(sums: &[Vec<usize>], unknowns: usize) -> Vec<usize> {
    // Reduced echelon form: every row begins with a column in which no other row has anything.
    let mut echelon: Vec<(usize, Vec<u64>)> = Vec::new();
    for sum in sums {
        let mut row = vec![0u64; unknowns];
        sum.iter().for_each(|column| row[*column] = 1);
        for (pivot, other) in &echelon {
            let factor = row[*pivot];
            subtract(&mut row, other, factor);
        }
        let Some(pivot) = row.iter().position(|entry| *entry != 0) else { continue };
        let inverse = inverse(row[pivot]);
        row.iter_mut().for_each(|entry| *entry = reduce(*entry * inverse));
        for (_, other) in &mut echelon {
            let factor = other[pivot];
            subtract(other, &row, factor);
        }
        echelon.push((pivot, row));
    }
    let alone = |row: &Vec<u64>| row.iter().filter(|entry| **entry != 0).count() == 1;
    let mut found: Vec<usize> =
        echelon.iter().filter(|(_, row)| alone(row)).map(|(pivot, _)| *pivot).collect();
    found.sort_unstable();
    found
}

fn subtract(row: &mut [u64], other: &[u64], factor: u64) {
    if factor != 0 {
        let minus = PRIME - factor;
        row.iter_mut()
            .zip(other)
            .for_each(|(entry, other)| *entry = reduce(*entry + minus * other));
    }
}

/// A number below 2^62 + 2^31, modulo the prime: 2^31 is 1.
const fn reduce(number: u64) -> u64 {
    let once = (number & PRIME) + (number >> PRIME_BITS);
    let twice = (once & PRIME) + (once >> PRIME_BITS);
    if twice >= PRIME { twice - PRIME } else { twice }
}

/// What times `number` is 1: its power of `PRIME − 2` (Fermat).
fn inverse(number: u64) -> u64 {
    // The exponent is 2^31 − 3: all ones but for the bit of value 2.
    (0..PRIME_BITS).rev().fold(1, |result, bit| {
        let square = reduce(result * result);
        if bit == 1 { square } else { reduce(square * number) }
    })
}

#[cfg(test)]
mod tests;
