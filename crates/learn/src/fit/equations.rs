//! The equations of a step of Newton's method, and how far from the estimate they are solved.

use privacy::step::{Block, Scalar};

use super::sums::Sums;
use super::{Fit, FitError, LEFT_OVER, QUADRATIC, Trace};
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

    /// Takes the move that the sums of the last step call for, so that the estimate is as exact as after one
    /// step more. False when it is longer than was expected: then the step was not the last. Where pairs
    /// are withheld, or Firth's correction moves the score, nothing was expected.
    pub(super) fn close(&mut self, sums: &Sums) -> Result<bool, FitError> {
        if !self.is_exact() || self.problem.firth {
            return Ok(true);
        }
        let Equations { information, score, .. } = self.equations(sums)?;
        let was_short = self.moved <= QUADRATIC;
        let Some(factor) = information.factor() else { return Ok(was_short) };
        let moves = factor.solve(&score);
        let moved = in_errors(&moves, &factor);
        if moved.is_nan() || moved > LEFT_OVER {
            return Ok(was_short);
        }
        for (here, by) in self.at.coefficients.iter_mut().zip(&moves) {
            *here += by;
        }
        if self.has_shape() {
            self.at.log_shape += moves[self.problem.step.columns.len()];
        }
        self.trace.push(Trace { objective: self.objective(sums)?, moved, halved: false });
        Ok(true)
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

/// The largest of `moves`, in standard errors; NaN when one of them is.
pub(super) fn in_errors(moves: &[f64], factor: &Factor) -> f64 {
    let inverse = factor.inverse();
    let in_errors = |(index, moved): (usize, &f64)| {
        moved.abs() / inverse.at(index, index).max(f64::MIN_POSITIVE).sqrt()
    };
    let larger = |most: f64, one: f64| if one.is_nan() || one > most { one } else { most };
    moves.iter().enumerate().map(in_errors).fold(0.0, larger)
}

/// How far from the estimate a step of length `moved` leads when the one before it was `earlier`. Near the
/// estimate an error `e` becomes about `C e²` (Nocedal and Wright, *Numerical Optimization*, 2nd ed. (2006),
/// theorem 3.5), steps are as long as the error before them, and so `C = moved / earlier²`.
/// Infinite before that can be told.
pub(super) fn left_over(earlier: f64, moved: f64) -> f64 {
    if earlier.is_finite() && moved < earlier {
        (moved / earlier) * (moved / earlier) * moved
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
