//! A column's public bins in the units of an input.

use model::schema::Column;
use num_traits::ToPrimitive;
use privacy::Measure;
use privacy::measure::Input;

/// Where bins begin and between what values percentiles lie, in units of an input's scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grid {
    edges: Vec<i128>,
    bounds: (i128, i128),
    /// Values lie one unit apart, so that a bin's last value is the one before the next bin.
    is_whole: bool,
}

impl Grid {
    /// The bins of `column`, whose values are read as `input`; `None` when it has none.
    pub(crate) fn of(column: &Column, input: &Input) -> Option<Self> {
        let divisor = input.scale.divisor().to_i128()?;
        let units = |value: i64| i128::from(value).checked_mul(divisor);
        let edges = column.bin_edges()?.into_iter().map(units).collect::<Option<_>>()?;
        let (low, high) = column.bin_bounds()?;
        Some(Self { edges, bounds: (units(low)?, units(high)?), is_whole: divisor == 1 })
    }

    /// Number of bins.
    pub(crate) const fn bins(&self) -> usize {
        self.edges.len() + 1
    }

    /// The measure that counts rows of input `x` by these bins.
    pub(crate) fn measure(&self, x: usize) -> Option<Measure> {
        Some(Measure::Histogram(x, self.bins().to_u16()?))
    }

    /// The bin of a value.
    pub(crate) fn bin_of(&self, value: i128) -> usize {
        self.edges.partition_point(|edge| *edge <= value)
    }

    /// Between what values those of bins `first` to `last` lie.
    pub(crate) fn span(&self, first: usize, last: usize) -> (i128, i128) {
        let low = first.checked_sub(1).and_then(|before| self.edges.get(before)).copied();
        let high = self.edges.get(last).map(|edge| edge - i128::from(self.is_whole));
        (low.unwrap_or(self.bounds.0), high.unwrap_or(self.bounds.1))
    }
}

#[cfg(test)]
mod tests {
    use model::moments::Scale;
    use model::schema::table;

    use super::*;

    fn grid(name: &str, scale: Scale) -> Grid {
        let column = table("stay").unwrap().column(name).unwrap();
        Grid::of(column, &Input { scale, bound: 1, money: false }).unwrap()
    }

    #[test]
    fn every_value_lies_in_the_span_of_its_bin() {
        let days = grid("los_days", Scale::Decimal(0));
        for day in 1..=3_660 {
            let bin = days.bin_of(day);
            let (low, high) = days.span(bin, bin);
            assert!(low <= day && day <= high, "{day}: {low} to {high}");
            assert_eq!(low == high, day < 60, "{day}");
        }
        assert_eq!(days.span(0, 3), (1, 4));
        assert_eq!(days.span(0, days.bins() - 1), (1, 3_660));
    }

    #[test]
    fn amounts_begin_at_zero_and_touch_each_other() {
        let cost = grid("total_cost", Scale::Decimal(4));
        assert_eq!(cost.span(0, 0), (0, 1_000_000));
        assert_eq!(cost.bin_of(-5), 0);
        let bin = cost.bin_of(123_456_789);
        assert_eq!(cost.span(bin, bin), (120_000_000, 130_000_000));
        assert_eq!(cost.span(1, 1).0, cost.span(0, 0).1);
    }
}
