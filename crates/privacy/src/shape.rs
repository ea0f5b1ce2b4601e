//! The columns of a masked upload: all that the witness knows of a question.
//!
//! A round adds up vectors of equal length, one cell per group of the public domain. Columns stand
//! in this order, and an upload is its columns one after the other:
//!
//! | columns | what | opened by |
//! |---|---|---|
//! | persons, stays | distinct ones of the group, counted up to the minimum | witness |
//! | contributors | 1 for a hospital with the group | witness |
//! | supports | for each measure, the sets of persons that must be none or the minimum | witness |
//! | dominance | for each money sum, the blinded sum in two limbs and its square in three | witness |
//! | bins | for each tally of a histogram, two bins to a cell: the persons of each, and 1 for a hospital with it | witness |
//! | sketches | who is in each cell, or in the whole ([`mod@crate::sketch`]) | witness |
//! | sizes | rows of each cell, in each hospital rounded down to a power of two | witness |
//! | guard check | a secret combination of the columns above, against a lying coordinator | witness |
//! | rows | rows of the group | coordinator, passing groups |
//! | values | the cells of each measure; those of a plain histogram with their checks above them | coordinator, passing measures |
//! | value checks | secret combinations of rows, of each measure and of each bin of gradients, against a lying witness | coordinator |
//!
//! The witness sees guards without labels, in an order it cannot undo, and never a value; of a
//! histogram, how the persons of each unlabelled group spread over its bins.

use std::iter::StepBy;
use std::ops::Range;

use crate::bins::TALLIES_PER_CELL;
use crate::measure::Measure;
use crate::request::ReleaseRequest;
use crate::sketch::{SKETCH_COLUMNS, Sketched};

/// Guard columns that every group has: persons, stays, contributors.
pub const GROUP_GUARDS: usize = 3;
/// Guard columns of one money sum: the blinded sum in two limbs of 64 bits, its square in three.
pub const DOMINANCE_COLUMNS: usize = 5;
/// Cells of each bin of a histogram with gradients.
pub const GRADIENT_CELLS: u32 = 3;
/// Most sets of persons of which each run of bins must hold the minimum.
pub const MAX_TALLIES: u32 = 4;
/// Most entries, cells times columns, of one upload: 128 MiB.
pub const MAX_ENTRIES: usize = 1 << 23;
/// Most measures of a masked request; a verdict is one bit each beside that of the group.
pub const MAX_MASKED_MEASURES: usize = 63;

/// What one measure brings along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeasureShape {
    /// Sets of persons behind it.
    pub supports: u32,
    /// Money sums among its cells.
    pub money: u32,
    /// Cells per group.
    pub width: u32,
    /// Bins of a histogram; its cells are one for each bin, or, with gradients, three. 0 for anything
    /// else.
    pub bins: u32,
    /// Sets of persons of which each run of bins must hold the minimum; 0 for anything but a
    /// histogram.
    pub tallies: u32,
    /// A group of which this does not pass is withheld as a whole, its number of rows too, and no
    /// remainder is told: sums of models, whose groups follow from each other.
    pub whole: bool,
}

/// A check column and what it is a combination of.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    /// The columns that are combined.
    pub(crate) columns: StepBy<Range<usize>>,
    /// The coefficient of the first of them; the others follow.
    pub(crate) coefficient: usize,
    /// The check.
    pub(crate) check: usize,
}

impl MeasureShape {
    /// Whether its cells are numbers of rows that carry their checks themselves: those of a plain
    /// histogram.
    pub(crate) const fn is_counted(&self) -> bool {
        self.bins > 0 && self.width == self.bins
    }

    const fn checks(&self) -> usize {
        match self.bins {
            0 => 1,
            _ if self.is_counted() => 0,
            bins => bins as usize,
        }
    }

    /// Columns of its bins' tallies.
    const fn tally_columns(&self) -> usize {
        (self.bins as usize).div_ceil(TALLIES_PER_CELL) * self.tallies as usize
    }
}

/// The form of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    cells: usize,
    measures: Vec<MeasureShape>,
    sketched: Sketched,
}

/// A form that no request has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a masked upload has at most {MAX_ENTRIES} entries and {MAX_MASKED_MEASURES} measures")]
pub struct TooLarge;

/// The cells of a measure that are sums of money: index of the cell, index of the input.
pub(crate) fn money_sums(
    measure: Measure,
    is_money: &dyn Fn(usize) -> bool,
) -> Vec<(usize, usize)> {
    let sums = match measure {
        Measure::Sum(x) | Measure::Squares(x) => vec![(1, x)],
        Measure::Products(x, y) => vec![(1, x), (2, y)],
        _ => Vec::new(),
    };
    sums.into_iter().filter(|(_, input)| is_money(*input)).collect()
}

impl Shape {
    /// A form from its numbers.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub fn new(
        cells: usize,
        measures: Vec<MeasureShape>,
        sketched: Sketched,
    ) -> Result<Self, TooLarge> {
        let sane = |m: &MeasureShape| {
            let gradients = m.bins.checked_mul(GRADIENT_CELLS);
            let fits = m.width == m.bins || Some(m.width) == gradients;
            let is_histogram =
                fits && m.bins > 0 && m.money == 0 && (1..=MAX_TALLIES).contains(&m.tallies);
            m.supports <= 1 << 10
                && m.money <= 2
                && m.width <= 1 << 12
                && (is_histogram || (m.bins == 0 && m.tallies == 0))
        };
        if cells == 0 || measures.len() > MAX_MASKED_MEASURES || !measures.iter().all(sane) {
            return Err(TooLarge);
        }
        let shape = Self { cells, measures, sketched };
        let entries = shape.columns().checked_mul(cells).ok_or(TooLarge)?;
        if entries > MAX_ENTRIES { Err(TooLarge) } else { Ok(shape) }
    }

    /// The form of uploads for a pooled `request`.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub fn of(request: &ReleaseRequest) -> Result<Self, TooLarge> {
        let money = |input: usize| request.inputs().get(input).is_some_and(|input| input.money);
        let count = |number: usize| u32::try_from(number).map_err(|_| TooLarge);
        let measures = request.measures().iter().zip(request.supports());
        // Noise needs no rule that would have to be judged.
        let is_judged = request.rho_micro().is_none();
        let measures = measures.map(|(measure, supports)| {
            let sums = if is_judged { money_sums(*measure, &money).len() } else { 0 };
            Ok(MeasureShape {
                supports: if is_judged { *supports } else { 0 },
                money: count(sums)?,
                width: count(measure.width())?,
                bins: count(measure.bins())?,
                tallies: count(measure.tallies())?,
                whole: matches!(measure, Measure::Step | Measure::Gradients(..)),
            })
        });
        let measures = measures.collect::<Result<_, _>>()?;
        Self::new(request.cells(), measures, Sketched::of(request))
    }

    /// Groups of the domain.
    #[must_use]
    pub const fn cells(&self) -> usize {
        self.cells
    }

    /// What each measure brings along.
    #[must_use]
    pub fn measures(&self) -> &[MeasureShape] {
        &self.measures
    }

    /// Whose populations it describes.
    #[must_use]
    pub const fn sketched(&self) -> Sketched {
        self.sketched
    }

    fn total(&self, of: impl Fn(&MeasureShape) -> u32) -> usize {
        self.measures.iter().map(|measure| of(measure) as usize).sum()
    }

    /// Columns that the witness opens, without their check.
    #[must_use]
    pub fn guards(&self) -> usize {
        GROUP_GUARDS
            + self.total(|m| m.supports)
            + DOMINANCE_COLUMNS * self.total(|m| m.money)
            + self.tally_columns(self.measures.len())
            + self.sketch_columns()
    }

    /// Columns of the tallies of the first `measures`.
    fn tally_columns(&self, measures: usize) -> usize {
        self.measures[..measures].iter().map(MeasureShape::tally_columns).sum()
    }

    const fn sketch_columns(&self) -> usize {
        match self.sketched {
            Sketched::Nothing => 0,
            Sketched::Cells => SKETCH_COLUMNS + 1,
            Sketched::Whole => SKETCH_COLUMNS.div_ceil(self.cells),
        }
    }

    /// The column of sizes, where cells have sketches.
    #[must_use]
    pub fn sizes(&self) -> Option<usize> {
        (self.sketched == Sketched::Cells).then(|| self.guards() - 1)
    }

    /// Columns of sketches: of cells, one cell each; of the whole, one after the other, without the
    /// round's order.
    #[must_use]
    pub fn sketches(&self) -> Range<usize> {
        let end = self.guards();
        end - self.sketch_columns()..end - usize::from(self.sizes().is_some())
    }

    /// Columns that go to the witness: the guards and their check.
    #[must_use]
    pub fn witnessed(&self) -> Range<usize> {
        0..self.guards() + 1
    }

    /// Support columns of measure `index`.
    #[must_use]
    pub fn supports(&self, index: usize) -> Range<usize> {
        let before: usize = self.measures[..index].iter().map(|m| m.supports as usize).sum();
        let start = GROUP_GUARDS + before;
        start..start + self.measures[index].supports as usize
    }

    /// Dominance columns of measure `index`, [`DOMINANCE_COLUMNS`] for each money sum.
    #[must_use]
    pub fn dominance(&self, index: usize) -> Range<usize> {
        let before: usize = self.measures[..index].iter().map(|m| m.money as usize).sum();
        let start = GROUP_GUARDS + self.total(|m| m.supports) + DOMINANCE_COLUMNS * before;
        start..start + DOMINANCE_COLUMNS * self.measures[index].money as usize
    }

    /// Columns of the bins of measure `index`: for each tally, that of each bin in turn, which it
    /// shares with its neighbour.
    pub fn bins(&self, index: usize) -> impl Iterator<Item = Vec<usize>> + use<> {
        let own = &self.measures[index];
        let all = self.tally_columns(self.measures.len());
        let start = self.sketches().start - all + self.tally_columns(index);
        let (bins, columns) = (own.bins as usize, (own.bins as usize).div_ceil(TALLIES_PER_CELL));
        (0..own.tallies as usize).map(move |tally| {
            let first = start + columns * tally;
            (0..bins).map(|bin| first + bin / TALLIES_PER_CELL).collect()
        })
    }

    /// Columns of part `part` of the values, and their checks: 0 is rows, `n + 1` measure `n`. Gradients
    /// have a check for each bin, a plain histogram none beside its cells, anything else one.
    #[must_use]
    pub fn value_columns(&self, part: usize) -> (Range<usize>, Range<usize>) {
        let first = self.guards() + 1;
        let checks = first + 1 + self.total(|m| m.width);
        let Some(index) = part.checked_sub(1) else {
            return (first..first + 1, checks..checks + 1);
        };
        let (before, own) = (&self.measures[..index], &self.measures[index]);
        let start = first + 1 + before.iter().map(|m| m.width as usize).sum::<usize>();
        let check = checks + 1 + before.iter().map(MeasureShape::checks).sum::<usize>();
        (start..start + own.width as usize, check..check + own.checks())
    }

    /// The columns of a plain histogram, whose cells carry their checks, and the coefficient of all of
    /// these; nothing for any other part.
    pub(crate) fn counted(&self, part: usize) -> Option<(Range<usize>, usize)> {
        let measure = self.measures.get(part.checked_sub(1)?)?;
        let (columns, _) = self.value_columns(part);
        let coefficient = columns.start - self.guards() - 1;
        measure.is_counted().then_some((columns, coefficient))
    }

    /// The checks of a part that stand in columns of their own. Bins are checked one by one, all cells of
    /// each, because it is not known before which of them are opened together, and all with the first
    /// one's coefficients, so that the checks of joined bins add up to the check of their sum.
    pub(crate) fn checks(&self, part: usize) -> Vec<Check> {
        let (columns, checks) = self.value_columns(part);
        let coefficient = columns.start - self.guards() - 1;
        let bins = part.checked_sub(1).map_or(0, |index| self.measures[index].bins as usize);
        if bins == 0 {
            return vec![Check { columns: columns.step_by(1), coefficient, check: checks.start }];
        }
        let one = |(bin, check)| Check {
            columns: (columns.start + bin..columns.end).step_by(bins),
            coefficient,
            check,
        };
        checks.enumerate().map(one).collect()
    }

    /// Money sums of all measures.
    pub(crate) fn money_sums(&self) -> usize {
        self.total(|measure| measure.money)
    }

    /// All columns of an upload.
    #[must_use]
    pub fn columns(&self) -> usize {
        let checks: usize = self.measures.iter().map(MeasureShape::checks).sum();
        self.guards() + 1 + 1 + self.total(|m| m.width) + 1 + checks
    }

    /// Bytes of an upload's cells.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.columns() * self.cells * crate::mask::CELL_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_follow_each_other_without_gap_or_overlap() {
        let measures = vec![
            MeasureShape { supports: 0, money: 0, width: 1, bins: 0, tallies: 0, whole: false },
            MeasureShape { supports: 4, money: 1, width: 3, bins: 0, tallies: 0, whole: false },
            MeasureShape { supports: 4, money: 0, width: 7, bins: 7, tallies: 1, whole: false },
            MeasureShape { supports: 8, money: 2, width: 6, bins: 0, tallies: 0, whole: false },
            MeasureShape { supports: 4, money: 0, width: 2, bins: 2, tallies: 1, whole: false },
            MeasureShape { supports: 1, money: 0, width: 12, bins: 4, tallies: 2, whole: false },
        ];
        let shape = Shape::new(5, measures, Sketched::Whole).unwrap();
        let mut columns: Vec<usize> = (0..GROUP_GUARDS).collect();
        (0..6).for_each(|m| columns.extend(shape.supports(m)));
        (0..6).for_each(|m| columns.extend(shape.dominance(m)));
        for mut tallies in (0..6).flat_map(|m| shape.bins(m)) {
            tallies.dedup();
            columns.extend(tallies);
        }
        columns.extend(shape.sketches());
        columns.push(shape.guards());
        (0..7).for_each(|part| columns.extend(shape.value_columns(part).0));
        (0..7).for_each(|part| columns.extend(shape.value_columns(part).1));
        assert_eq!(columns, (0..shape.columns()).collect::<Vec<_>>());
        assert_eq!(shape.witnessed(), 0..3 + 21 + 15 + 5 + 4 + 5 + 1);
    }

    fn bare(cells: usize, measures: Vec<MeasureShape>) -> Result<Shape, TooLarge> {
        Shape::new(cells, measures, Sketched::Nothing)
    }

    #[test]
    fn an_upload_is_bounded() {
        assert!(bare(0, Vec::new()).is_err());
        assert!(bare(1 << 23, Vec::new()).is_err(), "more than one column each");
        let wide = MeasureShape {
            supports: 0,
            money: 0,
            width: 1 << 13,
            bins: 0,
            tallies: 0,
            whole: false,
        };
        assert!(bare(1, vec![wide]).is_err());
        let lopsided =
            MeasureShape { supports: 0, money: 0, width: 3, bins: 2, tallies: 1, whole: false };
        assert!(bare(1, vec![lopsided]).is_err(), "a bin without a cell");
        let vast = MeasureShape { bins: 1 << 31, width: 0, ..lopsided };
        assert!(bare(1, vec![vast]).is_err(), "and no overflow");
        let none =
            MeasureShape { supports: 0, money: 0, width: 0, bins: 0, tallies: 1, whole: false };
        assert!(bare(1, vec![none]).is_err(), "a tally without bins");
    }
}
