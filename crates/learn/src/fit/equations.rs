//! The equations of a step of Newton's method, and how far from the estimate they are solved.

use privacy::step::{Block, Scalar};

use super::sums::Sums;
use super::{Fit, FitError, LEFT_OVER, QUADRATIC};
use crate::linear::{Factor, Symmetric};

/// Information and score, with penalty and shape.
pub(super) struct Equations {
    pub(super) information: Symmetric,
    pub(super) score: Vec<f64>,
    /// Pairs of columns that were not told.
    pub(super) withheld: usize,
}

impl Fit {
    /// The equations where the sums were taken.
    pub(super) fn equations(&self, sums: &Sums) -> Result<Equations, FitError> {
        let canonical = self.problem.step.family.is_canonical(self.problem.step.link);
        let block = if canonical { Block::Expected } else { Block::Observed };
        let (mut information, withheld) = sums.information(block)?;
        let mut score = sums.column(Block::Score, &self.problem.names)?;
        self.penalise(&mut information);
        for ((score, column), beta) in
            score.iter_mut().zip(&self.problem.step.columns).zip(&self.at.coefficients)
        {
            if Self::is_penalised(column) {
                *score -= self.problem.ridge * beta;
            }
        }
        if self.has_shape() {
            (information, score) = self.with_shape(sums, &information, score)?;
        }
        Ok(Equations { information, score, withheld })
    }

    /// Whether what was to be the last step stands further from the estimate than was expected. Where pairs
    /// are withheld, or Firth's correction moves the score, or the step before was short, nothing was
    /// expected.
    pub(super) fn is_short_of(&self, sums: &Sums) -> Result<bool, FitError> {
        if !self.is_exact() || self.problem.firth || self.moved <= QUADRATIC {
            return Ok(false);
        }
        let Equations { information, score, .. } = self.equations(sums)?;
        let Some(factor) = information.factor() else { return Ok(false) };
        let left = in_errors(&factor.solve(&score), &factor);
        // A step that is not smaller than the last has met the rounding of contributions.
        Ok(left > LEFT_OVER && left < self.moved)
    }

    /// Information and score with the logarithm of the shape as a further parameter.
    fn with_shape(
        &self,
        sums: &Sums,
        information: &Symmetric,
        mut score: Vec<f64>,
    ) -> Result<(Symmetric, Vec<f64>), FitError> {
        let shape = libm::exp(self.at.log_shape);
        let slope = sums.scalar(Scalar::ShapeScore)?;
        let bend = sums.scalar(Scalar::ShapeObserved)?;
        let mut larger = information.bordered();
        let last = information.size();
        for (index, cross) in sums.column(Block::Cross, &self.problem.names)?.iter().enumerate() {
            larger.set(index, last, shape * cross);
        }
        larger.set(last, last, shape * shape * bend - shape * slope);
        score.push(shape * slope);
        Ok((larger, score))
    }
}

/// The largest of `moves`, in standard errors.
pub(super) fn in_errors(moves: &[f64], factor: &Factor) -> f64 {
    let inverse = factor.inverse();
    let in_errors = |(index, moved): (usize, &f64)| {
        moved.abs() / inverse.at(index, index).max(f64::MIN_POSITIVE).sqrt()
    };
    moves.iter().enumerate().map(in_errors).fold(0.0f64, f64::max)
}

/// How far from the estimate a step of length `moved` leads when the one before it was `earlier`: each step
/// of a quadratic method leaves about the same multiple of its square. Infinite before that
/// can be told.
pub(super) fn left_over(earlier: f64, moved: f64) -> f64 {
    if earlier.is_finite() && moved < earlier {
        moved * (moved / earlier) * (moved / earlier)
    } else {
        f64::INFINITY
    }
}

/// The factor of a matrix, or, where it is not definite, of the nearest that is by a multiple of
/// its diagonal.
pub(super) fn definite(matrix: &Symmetric) -> Option<Factor> {
    let mut extra = 0.0;
    for _ in 0..16 {
        let mut larger = matrix.clone();
        for index in 0..matrix.size() {
            let diagonal = matrix.at(index, index).abs().max(1e-12);
            larger.add(index, index, extra * diagonal);
        }
        if let Some(factor) = larger.factor() {
            return Some(factor);
        }
        extra = if extra > 0.0 { extra * 4.0 } else { 1e-4 };
    }
    None
}
