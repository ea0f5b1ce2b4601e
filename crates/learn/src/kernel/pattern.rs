//! Stays with the same levels and the same numbers other than zero.

use privacy::few::Few;

use super::Plan;

/// Design columns of most patterns: the intercept, a level of each factor, and some numbers.
const USUAL_COLUMNS: usize = 8;

/// What such stays have in common, and who they are about.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) key: u64,
    /// Design columns whose levels such stays have, ascending, and whether each is other than zero.
    columns: Vec<(u16, bool)>,
    /// For each product of numbers, the sum of the coefficients of the columns made of it.
    coefficients: Vec<f64>,
    /// The same of the coefficients before; empty unless they are needed.
    before: Vec<f64>,
    /// For each pair of products, the same of the inverse information; empty unless it is needed.
    inverse: Vec<f64>,
    pub(super) event: bool,
    pub(super) rows: u64,
    pub(super) persons: Few,
    /// Persons with a contribution that was too large.
    pub(super) clamped: Few,
}

impl Pattern {
    pub(super) fn new(key: u64, plan: &Plan) -> Self {
        let step = plan.step();
        let products = plan.products();
        let mut columns = Vec::with_capacity(USUAL_COLUMNS);
        for (index, column) in (0u16..).zip(&step.columns) {
            let here = column.levels.iter().all(|(factor, place)| {
                plan.place_in(key, usize::from(*factor)) == u64::from(*place)
            });
            let numbers = &products[plan.product_of(usize::from(index))];
            if here {
                let nonzero = numbers.iter().all(|number| plan.is_nonzero_in(key, *number));
                columns.push((index, nonzero));
            }
        }
        let by_product = |values: &[f64]| {
            let mut sums = Vec::new();
            if !values.is_empty() {
                sums.resize(products.len(), 0.0);
                for column in columns.iter().map(|(column, _)| usize::from(*column)) {
                    sums[plan.product_of(column)] += values[column];
                }
            }
            sums
        };
        let coefficients = by_product(&step.at.coefficients);
        let before = by_product(&step.at.before);
        let count = products.len();
        let mut inverse = Vec::new();
        if !step.at.inverse.is_empty() {
            inverse.resize(count * count, 0.0);
            let own = || columns.iter().map(|(column, _)| usize::from(*column));
            for (j, k) in own().flat_map(|j| own().map(move |k| (j, k))) {
                inverse[plan.product_of(j) * count + plan.product_of(k)] +=
                    step.at.inverse[j * step.columns.len() + k];
            }
        }
        Self {
            key,
            columns,
            coefficients,
            before,
            inverse,
            event: plan.event_in(key),
            rows: 0,
            persons: Few::default(),
            clamped: Few::default(),
        }
    }

    /// `xᵀβ`.
    pub(super) fn predictor(&self, products: &[f64]) -> f64 {
        self.coefficients.iter().zip(products).map(|(beta, x)| beta * x).sum()
    }

    /// `xᵀβ` of the step before.
    pub(super) fn predictor_before(&self, products: &[f64]) -> f64 {
        self.before.iter().zip(products).map(|(beta, x)| beta * x).sum()
    }

    /// `xᵀ I⁻¹ x`.
    pub(super) fn leverage(&self, products: &[f64]) -> f64 {
        let rows = self.inverse.chunks_exact(products.len());
        let row = |(row, x): (&[f64], &f64)| {
            x * row.iter().zip(products).map(|(value, x)| value * x).sum::<f64>()
        };
        rows.zip(products).map(row).sum()
    }

    /// Design columns whose levels such stays have, ascending, and whether each is other than zero.
    pub(super) fn columns(&self) -> impl Iterator<Item = (usize, bool)> + Clone {
        self.columns.iter().map(|(column, nonzero)| (usize::from(*column), *nonzero))
    }

    /// Pairs of these, `j <= k`, and whether their product is other than zero.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (usize, usize, bool)> {
        self.columns().enumerate().flat_map(|(index, (j, first))| {
            self.columns().skip(index).map(move |(k, second)| (j, k, first && second))
        })
    }

    pub(super) fn merge(&mut self, other: &Self, cap: u32) {
        self.rows += other.rows;
        self.persons.merge(&other.persons, cap);
        self.clamped.merge(&other.clamped, cap);
    }
}
