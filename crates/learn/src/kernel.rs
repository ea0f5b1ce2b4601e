//! The sums of a step over one hospital's stays, in one pass.
//!
//! Stays with the same levels and the same numbers other than zero are one *pattern*: they have
//! levels of the same design columns, and these are products of the same few numbers. So
//! a stay adds one contribution for each product of numbers, not one for each pair of columns; at
//! the end each pattern's sums are handed to its pairs. Every contribution is rounded once, to
//! 2^-40, so neither the order of stays nor their spread over batches, partitions or hospitals can
//! change a bit of a sum.

mod behind;
mod pattern;
mod plan;

use std::collections::HashMap;
use std::sync::Arc;

use num_traits::AsPrimitive;
use privacy::step::{Block, CONTRIBUTION_BITS, Scalar, UNITS};

use behind::Behind;
use pattern::Pattern;
pub use plan::{InvalidPlan, Plan};

/// Most patterns of one hospital; each takes a few hundred bytes.
pub const MAX_PATTERNS: usize = 1 << 20;
/// What stands for a value without a place.
pub const NOWHERE: u32 = u32::MAX;

/// Rows of one batch, column by column.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// For each factor, the place of each row's value in its domain; 0 is NULL, [`NOWHERE`] none.
    pub factors: &'a [Vec<u32>],
    /// For each input, its values; NaN where there is none.
    pub inputs: &'a [Vec<f64>],
    /// Who each row is about.
    pub persons: &'a [u32],
}

/// The sum of one place, and who stands behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// Number of the place in the step's [`privacy::step::Layout`].
    pub place: usize,
    /// Stays that it is about.
    pub rows: u64,
    /// Distinct persons, exact up to the cap.
    pub persons: u64,
    /// Sizes of the sets that [`privacy::Step::supports`] names.
    pub sets: Vec<u64>,
    /// In units of 2^-40.
    pub sum: i128,
}

/// The hospital holds more patterns than a node keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the model's factors have more than {MAX_PATTERNS} combinations; use coarser codes")]
pub struct TooManyPatterns;

/// Adds up.
#[derive(Debug)]
pub struct Kernel {
    plan: Arc<Plan>,
    /// Distinct persons that must be told apart.
    cap: u32,
    index: HashMap<u64, u32>,
    patterns: Vec<Pattern>,
    /// [`Plan::stride`] for each pattern.
    sums: Vec<i128>,
    /// Transformed numbers of the batch.
    scratch: Vec<Vec<f64>>,
}

/// `value` in units of 2^-40, and whether it had to be kept in bounds.
#[inline]
fn fixed(value: f64) -> (i128, bool) {
    let units = value * UNITS;
    // Halves away from zero; exact beyond 2^52, where there are no halves.
    if units.abs() < 4_503_599_627_370_496.0 {
        let rounded: i64 = (units + 0.5f64.copysign(units)).as_();
        return (i128::from(rounded), false);
    }
    let limit = 1i128 << CONTRIBUTION_BITS;
    if units.is_nan() {
        return (limit, true);
    }
    let whole: i128 = units.as_();
    (whole.clamp(-limit, limit), whole.unsigned_abs() > limit.unsigned_abs())
}

/// One row, ready to be added up.
struct Row {
    response: f64,
    weight: f64,
    offset: f64,
    eta: f64,
}

impl Kernel {
    /// Nothing yet; distinct persons are counted up to `cap`.
    #[must_use]
    pub fn new(plan: Arc<Plan>, cap: u32) -> Self {
        let scratch = vec![Vec::new(); plan.numbers().len()];
        Self { plan, cap, index: HashMap::new(), patterns: Vec::new(), sums: Vec::new(), scratch }
    }

    /// Adds the rows of a batch. A row that lacks a value, or whose response is none of the family's,
    /// is left out.
    ///
    /// # Errors
    /// [`TooManyPatterns`].
    pub fn add(&mut self, batch: &Batch<'_>) -> Result<(), TooManyPatterns> {
        let plan = Arc::clone(&self.plan);
        for (number, values) in plan.numbers().iter().zip(&mut self.scratch) {
            values.clear();
            let input = &batch.inputs[usize::from(number.input)];
            values.extend(input.iter().map(|x| number.transform.of(*x).unwrap_or(f64::NAN)));
        }
        let scratch = std::mem::take(&mut self.scratch);
        let mut last = (u64::MAX, 0usize);
        let mut products = vec![1.0; plan.products().len()];
        for (row, person) in batch.persons.iter().enumerate() {
            let Some(key) = plan.key(batch.factors, &scratch, row) else { continue };
            let Some(value) = plan.response(batch.factors, &scratch, row) else { continue };
            let weight = plan.weight().map_or(1.0, |number| scratch[number][row]);
            let offset = plan.offset().map_or(0.0, |number| scratch[number][row]);
            if !weight.is_finite() || weight <= 0.0 || !offset.is_finite() {
                continue;
            }
            if key != last.0 {
                last = (key, self.pattern(key, &plan)?);
            }
            plan.fill_products(&scratch, row, &mut products);
            let pattern = &mut self.patterns[last.1];
            let eta = offset + pattern.predictor(&products);
            let row = Row { response: value, weight, offset, eta };
            pattern.rows += 1;
            pattern.persons.insert(*person, self.cap);
            let own = last.1 * plan.stride()..(last.1 + 1) * plan.stride();
            if contribute(&plan, pattern, &products, &row, &mut self.sums[own]) {
                pattern.clamped.insert(*person, self.cap);
            }
        }
        self.scratch = scratch;
        Ok(())
    }

    /// The pattern of a key, made if it is new.
    fn pattern(&mut self, key: u64, plan: &Plan) -> Result<usize, TooManyPatterns> {
        if let Some(known) = self.index.get(&key) {
            return Ok(*known as usize);
        }
        let next = self.patterns.len();
        let number = u32::try_from(next).map_err(|_| TooManyPatterns)?;
        if next >= MAX_PATTERNS {
            return Err(TooManyPatterns);
        }
        self.index.insert(key, number);
        self.patterns.push(Pattern::new(key, plan));
        self.sums.resize((next + 1) * plan.stride(), 0);
        Ok(next)
    }

    /// Takes in what another partition's kernel has seen.
    ///
    /// # Errors
    /// [`TooManyPatterns`].
    pub fn merge(&mut self, other: &Self) -> Result<(), TooManyPatterns> {
        let plan = Arc::clone(&self.plan);
        for (theirs, pattern) in other.patterns.iter().enumerate() {
            let mine = self.pattern(pattern.key, &plan)?;
            self.patterns[mine].merge(pattern, self.cap);
            let from = &other.sums[theirs * plan.stride()..(theirs + 1) * plan.stride()];
            let to = &mut self.sums[mine * plan.stride()..(mine + 1) * plan.stride()];
            to.iter_mut().zip(from).for_each(|(mine, theirs)| *mine += theirs);
        }
        Ok(())
    }

    /// The sums of all places that some stay is about.
    #[must_use]
    pub fn finish(&self) -> Vec<Sum> {
        let plan = &self.plan;
        let behind = Behind::of(plan, &self.patterns, self.cap);
        let mut sums: Vec<i128> = vec![0; plan.layout().places()];
        for (index, pattern) in self.patterns.iter().enumerate() {
            let own = &self.sums[index * plan.stride()..(index + 1) * plan.stride()];
            plan.distribute(pattern, own, &mut sums);
        }
        let mut all = Vec::new();
        for block in plan.layout().blocks() {
            let start = plan.layout().start(*block).unwrap_or_default();
            for offset in 0..plan.layout().size(*block) {
                let place = start + offset;
                let who = behind.of_place(*block, offset);
                if who.rows > 0 {
                    let (rows, persons, sets) = (who.rows, who.persons, who.sets.clone());
                    all.push(Sum { place, rows, persons, sets, sum: sums[place] });
                }
            }
        }
        all
    }
}

/// Adds a row to its pattern's sums; true when a contribution had to be kept in bounds.
fn contribute(
    plan: &Plan,
    pattern: &Pattern,
    products: &[f64],
    row: &Row,
    sums: &mut [i128],
) -> bool {
    let values = plan.values(pattern, products, row);
    let mut clamped = !values.usable;
    let mut add = |place: usize, value: f64| {
        let (units, beyond) = fixed(value);
        sums[place] += units;
        clamped |= beyond;
    };
    for block in plan.layout().blocks() {
        let Some(start) = plan.offset_of(*block) else { continue };
        match block {
            Block::Scalars => {
                let ask = plan.step().ask;
                let all = Scalar::ALL.iter().zip(values.scalars).enumerate();
                for (place, (_, value)) in all.filter(|(_, (scalar, _))| scalar.is_told(ask)) {
                    add(start + place, value);
                }
            }
            block if block.is_of_pairs() => {
                let factor = values.factor(*block);
                let mut place = start;
                for (a, left) in products.iter().enumerate() {
                    for right in &products[a..] {
                        add(place, factor * (left * right));
                        place += 1;
                    }
                }
            }
            block => {
                let factor = values.factor(*block);
                for (place, product) in products.iter().enumerate() {
                    add(start + place, factor * product);
                }
            }
        }
    }
    if clamped && let Some(start) = plan.offset_of(Block::Scalars) {
        sums[start + Scalar::Clamped as usize] += 1 << 40;
    }
    clamped
}

/// What a row adds, before it is multiplied with design columns.
#[derive(Debug)]
struct Values {
    /// Whether the model has a mean for the row; one without counts as clamped.
    usable: bool,
    scalars: [f64; Scalar::ALL.len()],
    response: f64,
    score: f64,
    cross: f64,
    observed: f64,
    expected: f64,
    square: f64,
}

impl Values {
    /// Of a row for which the model has no mean.
    const fn unusable(scalars: [f64; Scalar::ALL.len()]) -> Self {
        Self {
            usable: false,
            scalars,
            response: 0.0,
            score: 0.0,
            cross: 0.0,
            observed: 0.0,
            expected: 0.0,
            square: 0.0,
        }
    }

    const fn factor(&self, block: Block) -> f64 {
        match block {
            Block::Scalars => 0.0,
            Block::Responses => self.response,
            Block::Score => self.score,
            Block::Cross => self.cross,
            Block::Observed => self.observed,
            Block::Expected => self.expected,
            Block::Squares => self.square,
        }
    }
}

#[cfg(test)]
mod tests;
