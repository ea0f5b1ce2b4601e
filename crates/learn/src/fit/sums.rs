//! The sums of a step as they came back, and whether any stays can have them.

use model::glm::Family;
use num_traits::ToPrimitive;
use privacy::Step;
use privacy::step::{Block, Layout, Scalar, UNITS};

use super::FitError;
use crate::linear::Symmetric;

/// Rounding of contributions: at most half a unit each.
const HALF_UNIT: f64 = 0.5 / UNITS;

#[derive(Debug, Clone, Copy)]
struct Seen {
    rows: u64,
    value: f64,
}

/// The sums of one step; what was withheld, or what nobody has, is missing.
#[derive(Debug, Clone)]
pub struct Sums {
    layout: Layout,
    family: Family,
    /// Stays behind a sum that is told.
    minimum: f64,
    places: Vec<Option<Seen>>,
}

/// A sum of a place that the step does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sum stands at a place that the step does not have")]
pub struct WrongPlace;

impl Sums {
    /// Nothing yet; fewer than `minimum` stays stand behind no sum that is told.
    #[must_use]
    pub fn new(step: &Step, minimum: u32) -> Self {
        let layout = step.layout();
        let places = vec![None; layout.places()];
        Self { layout, family: step.family, minimum: minimum.into(), places }
    }

    /// Puts the sum of a place, in units of 2^-40.
    ///
    /// # Errors
    /// [`WrongPlace`].
    pub fn set(&mut self, place: usize, rows: u64, sum: i128) -> Result<(), WrongPlace> {
        let value = sum.to_f64().ok_or(WrongPlace)? / UNITS;
        *self.places.get_mut(place).ok_or(WrongPlace)? = Some(Seen { rows, value });
        Ok(())
    }

    fn seen(&self, block: Block, offset: usize) -> Option<Seen> {
        self.places.get(self.layout.start(block)? + offset).copied().flatten()
    }

    pub(super) fn scalar(&self, scalar: Scalar) -> Result<f64, FitError> {
        let seen = self.seen(Block::Scalars, scalar as usize);
        seen.map(|seen| seen.value).ok_or(FitError::Withheld)
    }

    /// Stays in the fit.
    pub(super) fn rows(&self) -> Result<u64, FitError> {
        self.seen(Block::Scalars, 0).map(|seen| seen.rows).ok_or(FitError::Withheld)
    }

    /// A block of one sum for each column.
    pub(super) fn column(&self, block: Block, names: &[String]) -> Result<Vec<f64>, FitError> {
        let each = (0..self.layout.size(block)).map(|index| self.seen(block, index));
        let seen: Vec<_> = each.collect();
        let missing = seen.iter().zip(names).filter(|(seen, _)| seen.is_none());
        let missing: Vec<_> = missing.map(|(_, name)| name.clone()).collect();
        if !missing.is_empty() {
            return Err(FitError::Rare(missing));
        }
        Ok(seen.into_iter().flatten().map(|seen| seen.value).collect())
    }

    /// Stays in which a column is other than zero.
    pub(super) fn column_rows(&self, block: Block, column: usize) -> f64 {
        self.seen(block, column).and_then(|seen| seen.rows.to_f64()).unwrap_or(0.0)
    }

    /// A block of pairs as a matrix, and how many of its pairs are missing. Few patients, if any, have
    /// both columns then: as many as chance would bring together, where that is below the minimum,
    /// else nobody.
    ///
    /// # Errors
    /// [`FitError::Withheld`] when the step did not ask for it.
    pub(super) fn information(&self, block: Block) -> Result<(Symmetric, usize), FitError> {
        self.layout.start(block).ok_or(FitError::Withheld)?;
        let columns = self.layout.size(Block::Score);
        let mut matrix = Symmetric::zero(columns);
        let mut missing = Vec::new();
        for (index, (j, k)) in self.layout.pairs().iter().enumerate() {
            let (j, k) = (usize::from(*j), usize::from(*k));
            match self.seen(block, index) {
                Some(seen) => matrix.set(j, k, seen.value),
                None => missing.push((j, k)),
            }
        }
        // Column 0 is the intercept, so its pairs stand first and tell how many have each column.
        let stays = |column: usize| {
            self.seen(block, column).and_then(|seen| seen.rows.to_f64()).unwrap_or(0.0)
        };
        let likely = |j: usize, k: usize| stays(j) * stays(k) < (self.minimum - 1.0) * stays(0);
        for (j, k) in missing.iter().filter(|(j, k)| j != k && *j > 0 && likely(*j, *k)) {
            matrix.set(*j, *k, matrix.at(0, *j) * matrix.at(0, *k) / matrix.at(0, 0));
        }
        Ok((matrix, missing.len()))
    }

    /// Whether some stays can have these sums: one hospital that sends others spoils the fit, and is
    /// noticed where it leaves what is possible.
    ///
    /// # Errors
    /// [`FitError::Impossible`], or [`FitError::Withheld`].
    pub(super) fn check(&self, names: &[String]) -> Result<(), FitError> {
        let impossible = |text: String| Err(FitError::Impossible(text));
        let rows = self.rows()?;
        let slack = HALF_UNIT * rows.to_f64().unwrap_or(f64::MAX);
        for scalar in Scalar::ALL {
            let Some(seen) = self.seen(Block::Scalars, scalar as usize) else { continue };
            let positive = match scalar {
                Scalar::Weight
                | Scalar::Variance
                | Scalar::Pearson
                | Scalar::NullDeviance
                | Scalar::Deviance
                | Scalar::Clamped => true,
                // Without the part that does not depend on the mean it may be above zero.
                Scalar::Likelihood | Scalar::LogWeight | Scalar::LogResponse | Scalar::Mean => {
                    false
                }
                Scalar::Response => self.family != Family::Gaussian,
                Scalar::ShapeScore | Scalar::ShapeObserved => false,
            };
            if seen.rows != rows || (positive && seen.value < -slack) {
                return impossible(format!("{scalar:?} = {}", seen.value));
            }
        }
        for block in [Block::Expected, Block::Squares] {
            if self.layout.start(block).is_some() {
                self.check_squares(block, slack, names)?;
            }
        }
        Ok(())
    }

    /// A sum of squares is not negative, and no product exceeds the squares of its factors
    /// (Cauchy and Schwarz).
    fn check_squares(&self, block: Block, slack: f64, names: &[String]) -> Result<(), FitError> {
        let mut own = vec![None; names.len()];
        for (index, (j, _)) in self.layout.pairs().iter().enumerate().filter(|(_, (j, k))| j == k) {
            own[usize::from(*j)] = self.seen(block, index);
        }
        for (index, (j, k)) in self.layout.pairs().iter().enumerate() {
            let Some(seen) = self.seen(block, index) else { continue };
            let (first, second) = (own[usize::from(*j)], own[usize::from(*k)]);
            let bounded = first.zip(second).is_none_or(|(first, second): (Seen, Seen)| {
                let squares = (first.value + slack) * (second.value + slack);
                let most = squares.max(0.0).sqrt() * (1.0 + 1e-9) + slack;
                seen.value.abs() <= most && seen.rows <= first.rows.min(second.rows)
            });
            if !bounded || (j == k && seen.value < -slack) {
                return Err(FitError::Impossible(format!(
                    "the {block:?} sum of {} and {} is {}",
                    names[usize::from(*j)],
                    names[usize::from(*k)],
                    seen.value
                )));
            }
        }
        Ok(())
    }
}
