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
//! | guard check | a secret combination of the columns above, against a lying coordinator | witness |
//! | rows | rows of the group | coordinator, passing groups |
//! | values | the cells of each measure | coordinator, passing measures |
//! | value checks | secret combinations of rows and of each measure, against a lying witness | coordinator |
//!
//! The witness sees guards without labels, in an order it cannot undo, and never a value.

use std::ops::Range;

use crate::measure::Measure;
use crate::request::ReleaseRequest;

/// Guard columns that every group has: persons, stays, contributors.
pub const GROUP_GUARDS: usize = 3;
/// Guard columns of one money sum: the blinded sum in two limbs of 64 bits, its square in three.
pub const DOMINANCE_COLUMNS: usize = 5;
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
}

/// The form of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    cells: usize,
    measures: Vec<MeasureShape>,
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
    pub fn new(cells: usize, measures: Vec<MeasureShape>) -> Result<Self, TooLarge> {
        let sane = |m: &MeasureShape| m.supports <= 1 << 10 && m.money <= 2 && m.width <= 1 << 12;
        if cells == 0 || measures.len() > MAX_MASKED_MEASURES || !measures.iter().all(sane) {
            return Err(TooLarge);
        }
        let shape = Self { cells, measures };
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
        let measures = measures.map(|(measure, supports)| {
            Ok(MeasureShape {
                supports: *supports,
                money: count(money_sums(*measure, &money).len())?,
                width: count(measure.width())?,
            })
        });
        Self::new(request.cells(), measures.collect::<Result<_, _>>()?)
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

    fn total(&self, of: impl Fn(&MeasureShape) -> u32) -> usize {
        self.measures.iter().map(|measure| of(measure) as usize).sum()
    }

    /// Columns that the witness opens, without their check.
    #[must_use]
    pub fn guards(&self) -> usize {
        GROUP_GUARDS + self.total(|m| m.supports) + DOMINANCE_COLUMNS * self.total(|m| m.money)
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

    /// Columns of part `part` of the values: 0 is rows, `n + 1` measure `n`; the last of each is
    /// its check.
    #[must_use]
    pub fn value_columns(&self, part: usize) -> (Range<usize>, usize) {
        let first = self.guards() + 1;
        let checks = first + 1 + self.total(|m| m.width);
        let Some(index) = part.checked_sub(1) else { return (first..first + 1, checks) };
        let before: usize = self.measures[..index].iter().map(|m| m.width as usize).sum();
        let start = first + 1 + before;
        (start..start + self.measures[index].width as usize, checks + part)
    }

    /// Money sums of all measures.
    pub(crate) fn money_sums(&self) -> usize {
        self.total(|measure| measure.money)
    }

    /// All columns of an upload.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.guards() + 1 + 1 + self.total(|m| m.width) + 1 + self.measures.len()
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
            MeasureShape { supports: 0, money: 0, width: 1 },
            MeasureShape { supports: 4, money: 1, width: 3 },
            MeasureShape { supports: 8, money: 2, width: 6 },
        ];
        let shape = Shape::new(5, measures).unwrap();
        let mut columns: Vec<usize> = (0..GROUP_GUARDS).collect();
        (0..3).for_each(|m| columns.extend(shape.supports(m)));
        (0..3).for_each(|m| columns.extend(shape.dominance(m)));
        columns.push(shape.guards());
        (0..4).for_each(|part| columns.extend(shape.value_columns(part).0));
        (0..4).for_each(|part| columns.push(shape.value_columns(part).1));
        assert_eq!(columns, (0..shape.columns()).collect::<Vec<_>>());
        assert_eq!(shape.witnessed(), 0..31);
    }

    #[test]
    fn an_upload_is_bounded() {
        assert!(Shape::new(0, Vec::new()).is_err());
        assert!(Shape::new(1 << 23, Vec::new()).is_err(), "more than one column each");
        let wide = MeasureShape { supports: 0, money: 0, width: 1 << 13 };
        assert!(Shape::new(1, vec![wide]).is_err());
    }
}
