//! Sums of one input or of a pair, with the persons who stand behind them.

use arrow::array::ArrayRef;
use model::moments::Scale;
use privacy::dominance::Shares;
use privacy::few::Few;
use privacy::measure::{Input, Measure};

use super::totals::Totals;
use super::values::{Contributions, NarrowView, Values, View, fixed};
use super::{KernelError, Spec};

const PRESENT: u8 = 1;
const NONZERO: u8 = 2;
const ABSENT: u8 = 4;
/// For a pair: the second input is other than zero.
const NONZERO_Y: u8 = 8;
const SETS: [u8; VALUE_SETS] = [PRESENT, NONZERO, ABSENT, NONZERO_Y];

/// Sets of persons behind every measure over inputs: with a value, with one other than zero,
/// without one, and with a second value other than zero.
pub(crate) const VALUE_SETS: usize = 4;

/// The sums of one group, and which of its sets still grow.
#[derive(Debug, Clone, Copy)]
struct Sums {
    n: u64,
    open: u8,
    x: i128,
    xx: i128,
}

/// The further sums of a pair.
#[derive(Debug, Clone, Copy, Default)]
struct PairSums {
    y: i128,
    yy: i128,
    xy: i128,
}

/// One measure over inputs.
#[derive(Debug)]
pub(super) struct Moments {
    measure: Measure,
    x: (usize, Input),
    y: Option<(usize, Input)>,
    product_scales: [Scale; 3],
    open: u8,
    cap: u32,
    sums: Vec<Sums>,
    pairs: Vec<PairSums>,
    sets: Vec<[Few; VALUE_SETS]>,
    /// Of each input that is an amount of money, where the rule of dominance asks for them.
    totals: [Option<Totals>; 2],
}

impl Moments {
    pub(super) fn new(measure: Measure, spec: &Spec) -> Self {
        let (x, y) = measure.inputs();
        let x = x.unwrap_or_default();
        let at = |index: usize| (index, spec.inputs[index]);
        let scale = |a: usize, b: usize| {
            // `Measure::check` has proved these products when the request was admitted.
            Input::product_scale(&spec.inputs[a], &spec.inputs[b]).unwrap_or(Scale::Decimal(0))
        };
        let second = y.unwrap_or(x);
        let open = match measure {
            Measure::Count(_) => PRESENT | ABSENT,
            Measure::Products(..) => PRESENT | ABSENT | NONZERO | NONZERO_Y,
            _ => PRESENT | ABSENT | NONZERO,
        };
        let is_amount =
            |index: &usize| !matches!(measure, Measure::Count(_)) && spec.inputs[*index].money;
        let totals = |index: Option<usize>| {
            let index = index.filter(is_amount)?;
            spec.shares.as_ref().map(|shares| Totals::new(shares, index))
        };
        Self {
            measure,
            totals: [totals(Some(x)), totals(y)],
            x: at(x),
            y: y.map(at),
            product_scales: [scale(x, x), scale(second, second), scale(x, second)],
            open,
            cap: spec.cap,
            sums: Vec::new(),
            pairs: Vec::new(),
            sets: Vec::new(),
        }
    }

    pub(super) fn grow(&mut self, groups: usize) {
        self.totals.iter_mut().flatten().for_each(|totals| totals.grow(groups));
        self.sums.resize(groups, Sums { n: 0, open: self.open, x: 0, xx: 0 });
        if self.y.is_some() {
            self.pairs.resize(groups, PairSums::default());
        }
        self.sets.resize_with(groups, Default::default);
    }

    /// Adds one batch.
    pub(super) fn add(
        &mut self,
        inputs: &[ArrayRef],
        groups: &[u32],
        persons: &[u32],
    ) -> Result<(), KernelError> {
        let read = |(index, input): &(usize, Input)| {
            Values::read(inputs.get(*index).ok_or(KernelError::Type)?, input)
        };
        let x = read(&self.x)?;
        if let Some(y) = &self.y {
            let y = read(y)?;
            self.add_totals([&x, &y], groups, persons);
            self.add_pairs(&x, &y, groups, persons);
            return Ok(());
        }
        self.add_totals([&x, &x], groups, persons);
        let squares = matches!(self.measure, Measure::Squares(_));
        match (x.view(), self.product_scales[0]) {
            (View::Narrow(NarrowView(values)), _) if x.nulls().is_none() => {
                self.add_narrow(values, groups, persons);
            }
            (View::Narrow(view), _) => {
                self.add_each(&x, groups, persons, |row| (view.x(row), view.x(row) * view.x(row)));
            }
            (View::Wide(view), _) => {
                // `Measure::check` admits no squares of wide inputs; the sum is all there is.
                self.add_each(&x, groups, persons, |row| (view.x(row), 0));
            }
            (View::Binary(view), Scale::Binary(bits)) if squares => {
                let square = |row: usize| fixed(view.0[row] * view.0[row], bits);
                self.add_each(&x, groups, persons, |row| (view.x(row), square(row)));
            }
            (View::Binary(view), _) => {
                self.add_each(&x, groups, persons, |row| (view.x(row), 0));
            }
        }
        Ok(())
    }

    /// What each person contributes, in rows where all of the measure is present.
    fn add_totals(&mut self, values: [&Values; 2], groups: &[u32], persons: &[u32]) {
        let absent = |row| values.iter().any(|v| v.nulls().is_some_and(|n| n.is_null(row)));
        for (totals, values) in self.totals.iter_mut().zip(values) {
            let Some(totals) = totals else { continue };
            for (row, (&group, &person)) in groups.iter().zip(persons).enumerate() {
                if !absent(row) {
                    totals.add(group, person, values.x(row));
                }
            }
        }
    }

    /// The hot loop: exact numbers, nothing absent.
    fn add_narrow(&mut self, values: &[i64], groups: &[u32], persons: &[u32]) {
        for ((&x, &group), &person) in values.iter().zip(groups).zip(persons) {
            let sums = &mut self.sums[group as usize];
            let wide = i128::from(x);
            sums.n += 1;
            sums.x += wide;
            sums.xx += wide * wide;
            let met = PRESENT | if x == 0 { 0 } else { NONZERO };
            if sums.open & met != 0 {
                Self::support(sums, &mut self.sets[group as usize], met, person, self.cap);
            }
        }
    }

    fn add_each(
        &mut self,
        values: &Values,
        groups: &[u32],
        persons: &[u32],
        contribution: impl Fn(usize) -> (i128, i128),
    ) {
        let nulls = values.nulls();
        for (row, (&group, &person)) in groups.iter().zip(persons).enumerate() {
            let sums = &mut self.sums[group as usize];
            let met = if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                ABSENT
            } else {
                let (x, xx) = contribution(row);
                sums.n += 1;
                sums.x += x;
                sums.xx += xx;
                PRESENT | if x == 0 { 0 } else { NONZERO }
            };
            if sums.open & met != 0 {
                Self::support(sums, &mut self.sets[group as usize], met, person, self.cap);
            }
        }
    }

    fn add_pairs(&mut self, x: &Values, y: &Values, groups: &[u32], persons: &[u32]) {
        let [xx, yy, xy] = self.product_scales;
        let absent =
            |values: &Values, row: usize| values.nulls().is_some_and(|nulls| nulls.is_null(row));
        for (row, (&group, &person)) in groups.iter().zip(persons).enumerate() {
            let sums = &mut self.sums[group as usize];
            let met = if absent(x, row) || absent(y, row) {
                ABSENT
            } else {
                let pair = &mut self.pairs[group as usize];
                let (vx, vy) = (x.x(row), y.x(row));
                sums.n += 1;
                sums.x += vx;
                sums.xx += x.product(x, row, xx);
                pair.y += vy;
                pair.yy += y.product(y, row, yy);
                pair.xy += x.product(y, row, xy);
                let x = if vx == 0 { 0 } else { NONZERO };
                PRESENT | x | if vy == 0 { 0 } else { NONZERO_Y }
            };
            if sums.open & met != 0 {
                Self::support(sums, &mut self.sets[group as usize], met, person, self.cap);
            }
        }
    }

    #[cold]
    fn support(sums: &mut Sums, sets: &mut [Few; VALUE_SETS], met: u8, person: u32, cap: u32) {
        for (bit, set) in SETS.iter().zip(sets) {
            if sums.open & met & bit != 0 && !set.insert(person, cap) {
                sums.open &= !bit;
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self, places: &[u32]) {
        for (index, &place) in places.iter().enumerate() {
            let place = place as usize;
            let (mine, theirs) = (&mut self.sums[place], &other.sums[index]);
            mine.n += theirs.n;
            mine.x += theirs.x;
            mine.xx += theirs.xx;
            if let (Some(mine), Some(theirs)) = (self.pairs.get_mut(place), other.pairs.get(index))
            {
                mine.y += theirs.y;
                mine.yy += theirs.yy;
                mine.xy += theirs.xy;
            }
            for (set, theirs) in self.sets[place].iter_mut().zip(&other.sets[index]) {
                set.merge(theirs, self.cap);
            }
        }
        for (mine, theirs) in self.totals.iter_mut().zip(&other.totals) {
            if let (Some(mine), Some(theirs)) = (mine, theirs) {
                mine.merge(theirs, places);
            }
        }
    }

    /// For each group, the shares of each input that is an amount of money.
    pub(super) fn shares(&self) -> Vec<Vec<Shares>> {
        let mut each = vec![Vec::new(); self.sums.len()];
        for totals in self.totals.iter().flatten() {
            each.iter_mut().zip(totals.shares()).for_each(|(all, one)| all.push(one));
        }
        each
    }

    /// Appends the cells of a group; returns the sizes of the sets of persons behind them.
    pub(super) fn cells(&self, group: usize, cells: &mut Vec<i128>) -> [u64; VALUE_SETS] {
        let sums = &self.sums[group];
        cells.push(i128::from(sums.n));
        match self.measure {
            Measure::Sum(_) => cells.push(sums.x),
            Measure::Squares(_) => cells.extend([sums.x, sums.xx]),
            Measure::Products(..) => {
                let pair = &self.pairs[group];
                cells.extend([sums.x, pair.y, sums.xx, pair.yy, pair.xy]);
            }
            _ => {}
        }
        self.sets[group].each_ref().map(Few::count)
    }
}
