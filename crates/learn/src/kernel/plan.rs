//! A step, made ready for rows: which numbers and products of numbers it needs, how a pattern's key
//! is made, and where sums lie.

use privacy::step::{Ask, At, Block, Layout, Number, Response, Scalar, Step};

use super::pattern::Pattern;
use super::{NOWHERE, Row, Values};

/// Most keys: what a pattern is known by fits 62 bits.
const MAX_KEYS: u64 = 1 << 62;
/// No place: the pair of columns does not occur.
const UNPAIRED: u32 = u32::MAX;

/// The factors of a model have more combinations than can be numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the model's factors have too many combinations; use fewer factors or coarser codes")]
pub struct InvalidPlan;

/// A step, made ready for rows.
#[derive(Debug)]
pub struct Plan {
    step: Step,
    layout: Layout,
    /// Numbers that columns, response, weight and offset read.
    numbers: Vec<Number>,
    /// How many of them columns read; they come first.
    in_columns: usize,
    /// Products of numbers, by their indices; the first is of none.
    products: Vec<Vec<usize>>,
    /// For each column, its product.
    product_of: Vec<usize>,
    /// For each factor, what its place is multiplied with in a key.
    radix: Vec<u64>,
    /// What the flags of numbers other than zero are multiplied with.
    flag_radix: u64,
    response: Option<usize>,
    weight: Option<usize>,
    offset: Option<usize>,
    /// For each pair of columns, its index among the layout's pairs.
    pair_index: Vec<u32>,
    /// For each block, where it begins in a pattern's sums.
    offsets: Vec<(Block, usize)>,
    stride: usize,
}

impl Plan {
    /// Makes a checked step ready.
    ///
    /// # Errors
    /// [`InvalidPlan`].
    pub fn new(step: Step) -> Result<Self, InvalidPlan> {
        let layout = step.layout();
        let mut numbers: Vec<Number> = Vec::new();
        let mut number = |one: Number| {
            let known = numbers.iter().position(|other| *other == one);
            known.unwrap_or_else(|| {
                numbers.push(one);
                numbers.len() - 1
            })
        };
        let mut products: Vec<Vec<usize>> = vec![Vec::new()];
        let mut product_of = Vec::new();
        for column in &step.columns {
            let product: Vec<usize> = column.numbers.iter().map(|one| number(*one)).collect();
            let known = products.iter().position(|other| *other == product);
            product_of.push(known.unwrap_or_else(|| {
                products.push(product);
                products.len() - 1
            }));
        }
        let in_columns = products.iter().flatten().max().map_or(0, |last| last + 1);
        let response = match step.response {
            Response::Number(one) => Some(number(one)),
            Response::Level(..) => None,
        };
        let weight = step.weight.map(&mut number);
        let offset = step.offset.map(&mut number);
        let mut size = 1u64;
        let mut radix = Vec::new();
        for domain in &step.factors {
            radix.push(size);
            size = size.checked_mul(domain.size() as u64).ok_or(InvalidPlan)?;
        }
        let keys = u32::try_from(in_columns).ok().and_then(|bits| size.checked_shl(bits));
        if keys.is_none_or(|keys| keys > MAX_KEYS || keys >> in_columns != size) {
            return Err(InvalidPlan);
        }
        let columns = step.columns.len();
        let mut pair_index = vec![UNPAIRED; columns * columns];
        for (index, (j, k)) in (0u32..).zip(layout.pairs()) {
            pair_index[usize::from(*j) * columns + usize::from(*k)] = index;
        }
        let pairs = products.len() * (products.len() + 1) / 2;
        let mut stride = 0;
        let mut offsets = Vec::new();
        for block in layout.blocks() {
            offsets.push((*block, stride));
            stride += match block {
                Block::Scalars => Scalar::ALL.len(),
                block if block.is_of_pairs() => pairs,
                _ => products.len(),
            };
        }
        let flag_radix = size;
        Ok(Self {
            step,
            layout,
            numbers,
            in_columns,
            products,
            product_of,
            radix,
            flag_radix,
            response,
            weight,
            offset,
            pair_index,
            offsets,
            stride,
        })
    }

    /// The step.
    #[must_use]
    pub const fn step(&self) -> &Step {
        &self.step
    }

    /// Its places.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) fn numbers(&self) -> &[Number] {
        &self.numbers
    }

    pub(super) fn products(&self) -> &[Vec<usize>] {
        &self.products
    }

    pub(super) const fn stride(&self) -> usize {
        self.stride
    }

    pub(super) const fn weight(&self) -> Option<usize> {
        self.weight
    }

    pub(super) const fn offset(&self) -> Option<usize> {
        self.offset
    }

    /// Where a block begins in a pattern's sums.
    pub(super) fn offset_of(&self, block: Block) -> Option<usize> {
        self.offsets.iter().find(|(one, _)| *one == block).map(|(_, offset)| *offset)
    }

    /// The product that a column is made of.
    pub(super) fn product_of(&self, column: usize) -> usize {
        self.product_of[column]
    }

    /// Index of a pair `j <= k` among the layout's pairs.
    pub(super) fn pair(&self, j: usize, k: usize) -> Option<usize> {
        let index = self.pair_index[j * self.step.columns.len() + k];
        (index != UNPAIRED).then_some(index as usize)
    }

    /// The key of a row's pattern; `None` when it lacks a value that the design needs.
    pub(super) fn key(
        &self,
        factors: &[Vec<u32>],
        numbers: &[Vec<f64>],
        row: usize,
    ) -> Option<u64> {
        let mut key = 0;
        for (places, radix) in factors.iter().zip(&self.radix) {
            let place = places[row];
            if place == 0 || place == NOWHERE {
                return None;
            }
            key += u64::from(place) * radix;
        }
        let mut flag = self.flag_radix;
        for values in &numbers[..self.in_columns] {
            let value = values[row];
            if value.is_nan() {
                return None;
            }
            if value.abs() > 0.0 {
                key += flag;
            }
            flag <<= 1;
        }
        Some(key)
    }

    /// The place of a factor in a key.
    pub(super) fn place_in(&self, key: u64, factor: usize) -> u64 {
        let size = self.step.factors[factor].size() as u64;
        key / self.radix[factor] % size
    }

    /// Whether a number is other than zero in a key.
    pub(super) const fn is_nonzero_in(&self, key: u64, number: usize) -> bool {
        (key / self.flag_radix) >> number & 1 == 1
    }

    /// A row's response in the model's unit; `None` when it has none that the family admits.
    pub(super) fn response(
        &self,
        factors: &[Vec<u32>],
        numbers: &[Vec<f64>],
        row: usize,
    ) -> Option<f64> {
        let value = match (self.step.response, self.response) {
            (Response::Level(factor, place), _) => {
                f64::from(u8::from(factors[usize::from(factor)][row] == place))
            }
            (Response::Number(_), Some(number)) => numbers[number][row] / self.step.unit,
            (Response::Number(_), None) => return None,
        };
        self.step.family.admits(value).then_some(value)
    }

    /// The products of a row's numbers, each in the order of its factors.
    pub(super) fn fill_products(&self, numbers: &[Vec<f64>], row: usize, products: &mut [f64]) {
        for (product, of) in products.iter_mut().zip(&self.products) {
            *product = of.iter().fold(1.0, |product, number| product * numbers[*number][row]);
        }
    }

    /// What a row adds, before it is multiplied with design columns.
    pub(super) fn values(&self, pattern: &Pattern, products: &[f64], row: &Row) -> Values {
        let step = &self.step;
        let Row { response: y, weight, eta, .. } = *row;
        let Step { family, link, at: At { shape, null_mean, .. }, .. } = *step;
        if step.ask == Ask::Start {
            return start(step, row);
        }
        let point = family.point(link, y, eta, shape);
        let mean = link.mean(eta);
        let (variance, _) = family.variance(&mean, shape);
        if !family.has_mean(mean.mu) {
            // No likelihood: the step has gone too far, and the sums say so.
            return Values::unusable(common(y, weight));
        }
        let null_deviance = if step.ask == Ask::Final {
            family.point(link, y, link.of(null_mean), shape).deviance
        } else {
            0.0
        };
        let mut score = weight * point.score;
        if !step.at.inverse.is_empty() {
            // Firth (1993): the score of a logistic model gains h (1/2 − μ).
            let before = row.offset + pattern.predictor_before(products);
            let before = family.point(link, y, before, shape).expected;
            let leverage = weight * before * pattern.leverage(products);
            score += leverage * (0.5 - mean.mu);
        }
        let mut scalars = common(y, weight);
        scalars[Scalar::Mean as usize] = weight * mean.mu;
        scalars[Scalar::Variance as usize] = weight * variance;
        scalars[Scalar::Deviance as usize] = weight * point.deviance;
        scalars[Scalar::NullDeviance as usize] = weight * null_deviance;
        scalars[Scalar::Pearson as usize] = weight * point.pearson;
        scalars[Scalar::Likelihood as usize] = weight * point.likelihood;
        scalars[Scalar::ShapeScore as usize] = weight * point.shape_score;
        scalars[Scalar::ShapeObserved as usize] = weight * point.shape_observed;
        Values {
            usable: true,
            scalars,
            response: weight * y,
            score,
            cross: weight * point.cross,
            observed: weight * point.observed,
            expected: weight * point.expected,
            square: score * score,
        }
    }

    /// Hands a pattern's sums to the places of its columns and pairs.
    pub(super) fn distribute(&self, pattern: &Pattern, own: &[i128], sums: &mut [i128]) {
        for (block, offset) in &self.offsets {
            let start = self.layout.start(*block).unwrap_or_default();
            match block {
                Block::Scalars => {
                    for (index, sum) in own[*offset..][..Scalar::ALL.len()].iter().enumerate() {
                        sums[start + index] += sum;
                    }
                }
                block if block.is_of_pairs() => {
                    let known = |(j, k, _)| Some((self.pair(j, k)?, self.product_of_pair(j, k)));
                    for (pair, product) in pattern.pairs().filter_map(known) {
                        sums[start + pair] += own[offset + product];
                    }
                }
                _ => {
                    for (column, _) in pattern.columns() {
                        sums[start + column] += own[offset + self.product_of[column]];
                    }
                }
            }
        }
    }

    /// Index of the product of two columns' products in a pattern's sums.
    fn product_of_pair(&self, j: usize, k: usize) -> usize {
        let (a, b) = (self.product_of[j], self.product_of[k]);
        let (a, b) = (a.min(b), a.max(b));
        let count = self.products.len();
        a * count - a * (a + 1) / 2 + b
    }

    /// Whether the response is an event, so that those with it are told apart.
    pub(super) const fn tells_events(&self) -> bool {
        matches!(self.step.response, Response::Level(..))
    }

    /// Whether the event has happened in a key.
    pub(super) fn event_in(&self, key: u64) -> bool {
        match self.step.response {
            Response::Level(factor, place) => {
                self.place_in(key, usize::from(factor)) == u64::from(place)
            }
            Response::Number(_) => false,
        }
    }
}

/// The scalars that do not depend on the model.
fn common(y: f64, weight: f64) -> [f64; Scalar::ALL.len()] {
    let mut scalars = [0.0; Scalar::ALL.len()];
    scalars[Scalar::Weight as usize] = weight;
    scalars[Scalar::LogWeight as usize] = libm::log(weight);
    scalars[Scalar::Response as usize] = weight * y;
    if y > 0.0 {
        scalars[Scalar::LogResponse as usize] = weight * libm::log(y);
    }
    scalars
}

/// Weighted least squares from the mean that the response itself suggests.
fn start(step: &Step, row: &Row) -> Values {
    let Row { response: y, weight, offset, .. } = *row;
    let eta = step.link.of(step.family.start(y));
    let mean = step.link.mean(eta);
    let (variance, _) = step.family.variance(&mean, step.at.shape);
    let expected = weight * mean.slope * mean.slope / variance;
    let working = eta - offset + (y - mean.mu) / mean.slope;
    // A response whose link does not exist says nothing about where to begin.
    let usable = expected.is_finite() && working.is_finite();
    let (expected, score) = if usable { (expected, expected * working) } else { (0.0, 0.0) };
    Values {
        usable: true,
        scalars: common(y, weight),
        response: weight * y,
        score,
        cross: 0.0,
        observed: expected,
        expected,
        square: 0.0,
    }
}
