//! From sums to an estimate: which step comes next, and when it is the last.
//!
//! Newton's method on the observed information, which for links that are not canonical needs far
//! fewer steps than Fisher scoring (DESIGN, section 12), with step-halving on the deviance. Where
//! pairs of columns were withheld few patients have both, and as many are assumed as chance would
//! bring together: the score is exact, so the estimate is the same, at the price of more steps, and what steps have learned of the
//! curvature is kept; only the standard errors are approximate then, and say so.
//!
//! Sources: McCullagh and Nelder (1989), section 2.5; Firth, *Biometrika* 80 (1993) 27; ridge
//! standard errors: Gray, *JASA* 87 (1992) 942; sandwich: White, *Econometrica* 50 (1982) 1.

mod equations;
mod error;
mod estimate;
mod secant;
mod sums;

use model::glm::{Dispersion, Family, Link};
use privacy::Step;
use privacy::step::{Ask, At, Block, Column, Scalar};

use crate::linear::Symmetric;
use equations::{Equations, definite, in_errors, left_over};
pub use error::{FitError, Separated};
pub use estimate::{Coefficient, Estimate};
use secant::Secants;
pub use sums::{Sums, WrongPlace};

/// Stays that each parameter needs.
pub const STAYS_PER_PARAMETER: u64 = 30;
/// Residual degrees of freedom that a fit needs.
pub const FEWEST_DEGREES: u64 = 10;
/// Most steps of one fit.
pub const MAX_STEPS: u32 = 60;
/// A step is the last when no coefficient moves by more than this share of its standard error; the
/// next one would move it by about the square of that.
const QUADRATIC: f64 = 1e-5;
/// The same where convergence is only linear.
const LINEAR: f64 = 1e-9;
/// A step is also the last when the two before let expect that no coefficient would be further than this
/// from the estimate, in standard errors for dispersion 1. Whether that is so the last step shows, and takes
/// that move too: coefficients and deviance are off by its square, standard errors by its order.
const LEFT_OVER: f64 = 1e-6;
/// A move below which no progress is rounding.
const STALLED: f64 = 1e-6;
/// Halvings of one step.
const MAX_HALVINGS: u32 = 30;
/// Growth of the objective that is rounding.
const ROUNDING: f64 = 1e-10;
/// Coefficients of a binomial model beyond which a level separates.
const SEPARATING: f64 = 18.0;
/// `ln α` below which there is no overdispersion.
const NO_OVERDISPERSION: f64 = -14.0;
/// Firth's correction moves no coefficient by more at once.
const LARGEST_MOVE: f64 = 5.0;

/// What is to be fitted.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The model; where and what it asks is filled in.
    pub step: Step,
    /// Names of the columns.
    pub names: Vec<String>,
    /// Weight of the ridge penalty `λ/2 Σβ²`, over all columns but the intercept.
    pub ridge: f64,
    /// Whether Firth's correction is applied.
    pub firth: bool,
    /// Whether nobody stands behind a place that is not told, because every minimum is one.
    pub told_all: bool,
}

/// One line of the convergence trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trace {
    /// Deviance, or twice the negative log-likelihood where a shape is estimated; with the penalty.
    pub objective: f64,
    /// Largest move of a coefficient, in standard errors.
    pub moved: f64,
    /// Whether the step had gone too far and is halved.
    pub halved: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Start,
    Newton,
    Final,
}

/// Where a fit stands.
#[derive(Debug, Clone, PartialEq)]
struct Point {
    coefficients: Vec<f64>,
    log_shape: f64,
}

impl Point {
    /// All parameters as one vector.
    fn parameters(&self, with_shape: bool) -> Vec<f64> {
        let shape = with_shape.then_some(self.log_shape);
        self.coefficients.iter().copied().chain(shape).collect()
    }
}

/// A fit that is under way.
#[derive(Debug, Clone)]
pub struct Fit {
    problem: Problem,
    stage: Stage,
    at: Point,
    /// The point before, and its objective.
    before: Option<(Point, f64)>,
    halvings: u32,
    null_mean: f64,
    inverse: Vec<f64>,
    /// Where the inverse was taken.
    leverage_at: Vec<f64>,
    trace: Vec<Trace>,
    steps: u32,
    withheld_pairs: usize,
    moved: f64,
    secants: Secants,
}

impl Fit {
    /// A fit that has not begun.
    #[must_use]
    pub fn new(problem: Problem) -> Self {
        let columns = problem.step.columns.len();
        Self {
            at: Point { coefficients: vec![0.0; columns], log_shape: 0.0 },
            problem,
            stage: Stage::Start,
            before: None,
            halvings: 0,
            null_mean: 1.0,
            inverse: Vec::new(),
            leverage_at: Vec::new(),
            trace: Vec::new(),
            steps: 0,
            withheld_pairs: 0,
            moved: f64::INFINITY,
            secants: Secants::default(),
        }
    }

    /// Parameters: coefficients, and the shape where it is estimated.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.problem.step.columns.len() + usize::from(self.has_shape())
    }

    fn has_shape(&self) -> bool {
        self.problem.step.family == Family::NegativeBinomial
    }

    /// The step whose sums are needed next.
    #[must_use]
    pub fn step(&self) -> Step {
        let ask = match self.stage {
            Stage::Start => Ask::Start,
            Stage::Newton => Ask::Newton,
            Stage::Final => Ask::Final,
        };
        let at = At {
            coefficients: self.at.coefficients.clone(),
            shape: if self.has_shape() { libm::exp(self.at.log_shape) } else { 1.0 },
            null_mean: self.null_mean,
            inverse: self.inverse.clone(),
            before: if self.inverse.is_empty() { Vec::new() } else { self.leverage_at.clone() },
        };
        Step { ask, at, ..self.problem.step.clone() }
    }

    /// The step that asks one hospital for its score at the estimate, once the fit is over.
    #[must_use]
    pub fn scores(&self) -> Step {
        Step { ask: Ask::Scores, ..self.step() }
    }

    /// Steps taken.
    #[must_use]
    pub const fn steps(&self) -> u32 {
        self.steps
    }

    /// Objective and largest move of the last step of Newton's method.
    #[must_use]
    pub fn last(&self) -> Option<(f64, f64)> {
        self.trace.last().map(|trace| (trace.objective, trace.moved))
    }

    /// Reads the sums of [`Fit::step`]. The estimate, once there is one.
    ///
    /// # Errors
    /// [`FitError`]; the fit is then over.
    pub fn take(&mut self, sums: &Sums) -> Result<Option<Estimate>, FitError> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(FitError::NotConverged { steps: MAX_STEPS });
        }
        // Contributions that were kept in bounds do not fit together, and nobody has lied.
        if sums.scalar(Scalar::Clamped)? <= 0.0 {
            sums.check(&self.problem.names)?;
        } else if self.stage == Stage::Start {
            return Err(FitError::Clamped);
        }
        match self.stage {
            Stage::Start => self.start(sums)?,
            Stage::Newton => self.newton(sums)?,
            Stage::Final => {
                if self.close(sums)? {
                    return self.finish(sums).map(Some);
                }
                self.newton(sums)?;
            }
        }
        Ok(None)
    }

    fn start(&mut self, sums: &Sums) -> Result<(), FitError> {
        self.check_size(sums.rows()?)?;
        self.null_mean = sums.scalar(Scalar::Response)? / sums.scalar(Scalar::Weight)?;
        let score = sums.column(Block::Score, &self.problem.names)?;
        let (mut information, withheld) = sums.information(Block::Expected)?;
        self.withheld_pairs = withheld;
        if self.problem.firth && !self.is_exact() {
            return Err(FitError::Untold { pairs: withheld });
        }
        let penalised = self.problem.ridge > 0.0;
        if !penalised {
            self.check_separation(sums)?;
            self.check_dependence(&information)?;
        }
        self.penalise(&mut information);
        let whole = information.factor();
        let Step { family, link, .. } = self.problem.step;
        // Least squares are solved at once.
        let is_linear = (family, link) == (Family::Gaussian, Link::Identity);
        let is_solved = is_linear && self.is_exact() && whole.is_some();
        let factor = whole.or_else(|| definite(&information)).ok_or(FitError::Indefinite)?;
        self.at.coefficients = factor.solve(&score);
        self.stage = if is_solved { Stage::Final } else { Stage::Newton };
        Ok(())
    }

    /// Whether every pair of columns was told, or nobody has what was not.
    const fn is_exact(&self) -> bool {
        self.problem.told_all || self.withheld_pairs == 0
    }

    /// The rule of stays for each parameter, by which a fit of `stays` stays is refused before anything
    /// is asked.
    ///
    /// # Errors
    /// [`FitError::TooManyParameters`].
    pub fn check_size(&self, stays: u64) -> Result<(), FitError> {
        let parameters = self.parameters() as u64;
        let enough = stays >= parameters * STAYS_PER_PARAMETER;
        if enough && stays - parameters >= FEWEST_DEGREES {
            return Ok(());
        }
        Err(FitError::TooManyParameters { parameters, stays })
    }

    /// A level all of whose stays have the event, or none, or only zeros, has no finite coefficient.
    fn check_separation(&self, sums: &Sums) -> Result<(), FitError> {
        let counts = match self.problem.step.family {
            Family::Binomial => true,
            Family::Poisson | Family::NegativeBinomial => false,
            _ => return Ok(()),
        };
        let names = &self.problem.names;
        let sum = sums.scalar(Scalar::Response)?;
        let (weight, none) = (sums.scalar(Scalar::Weight)?, |value: f64| value.abs() < 1e-6);
        if none(sum) || (counts && none(sum - weight)) {
            let name = "the fit".to_owned();
            return Err(FitError::Separation(vec![Separated { name, all: !none(sum) }]));
        }
        if self.problem.firth {
            return Ok(());
        }
        let events = sums.column(Block::Responses, names)?;
        let mut separated = Vec::new();
        for (index, column) in self.problem.step.columns.iter().enumerate() {
            let stays = sums.column_rows(Block::Responses, index);
            if column.levels.is_empty() || !column.numbers.is_empty() {
                continue;
            }
            if none(events[index]) {
                separated.push(Separated { name: names[index].clone(), all: false });
            } else if counts && self.problem.step.weight.is_none() && none(events[index] - stays) {
                separated.push(Separated { name: names[index].clone(), all: true });
            }
        }
        if separated.is_empty() { Ok(()) } else { Err(FitError::Separation(separated)) }
    }

    fn check_dependence(&self, information: &Symmetric) -> Result<(), FitError> {
        let Some(dependent) = information.dependent() else { return Ok(()) };
        // With pairs left out the matrix is not the whole one, and may be indefinite by itself.
        if !self.is_exact() && !dependent.is_exact {
            return Ok(());
        }
        let name = |index: usize| self.problem.names[index].clone();
        Err(FitError::Collinear {
            name: name(dependent.column),
            of: dependent.of.into_iter().map(name).collect(),
        })
    }

    fn is_penalised(column: &Column) -> bool {
        !column.levels.is_empty() || !column.numbers.is_empty()
    }

    fn penalise(&self, information: &mut Symmetric) {
        for (index, column) in self.problem.step.columns.iter().enumerate() {
            if Self::is_penalised(column) {
                information.add(index, index, self.problem.ridge);
            }
        }
    }

    /// What is made as small as possible.
    fn objective(&self, sums: &Sums) -> Result<f64, FitError> {
        let fit = match self.problem.step.family.dispersion() {
            Dispersion::Estimated => sums.scalar(Scalar::Deviance)?,
            Dispersion::One => -2.0 * sums.scalar(Scalar::Likelihood)?,
        };
        let columns = self.problem.step.columns.iter().zip(&self.at.coefficients);
        let squares = columns.filter(|(column, _)| Self::is_penalised(column)).map(|(_, b)| b * b);
        Ok(fit + self.problem.ridge * squares.sum::<f64>())
    }

    fn newton(&mut self, sums: &Sums) -> Result<(), FitError> {
        let objective = self.objective(sums)?;
        let clamped = sums.scalar(Scalar::Clamped)? > 0.0;
        if let Some((before, smallest)) = &self.before {
            let limit = smallest + ROUNDING * (1.0 + smallest.abs());
            // Firth's correction changes the likelihood that is maximised at each step.
            let worse = !self.problem.firth && (objective.is_nan() || objective > limit);
            if worse || clamped {
                if self.moved < QUADRATIC {
                    // Rounding is all that is left.
                    self.stage = Stage::Final;
                    return Ok(());
                }
                if self.halvings >= MAX_HALVINGS {
                    return Err(FitError::NotConverged { steps: self.steps });
                }
                let halve = |here: f64, there: f64| f64::midpoint(here, there);
                for (here, there) in self.at.coefficients.iter_mut().zip(&before.coefficients) {
                    *here = halve(*here, *there);
                }
                self.at.log_shape = halve(self.at.log_shape, before.log_shape);
                self.halvings += 1;
                self.moved /= 2.0;
                self.stage = Stage::Newton;
                self.trace.push(Trace { objective, moved: self.moved, halved: true });
                return Ok(());
            }
        } else if clamped || objective.is_nan() {
            return self.begin_flat();
        }
        self.halvings = 0;
        self.advance(sums, objective)
    }

    /// The start led nowhere: begins from the mean alone, once.
    fn begin_flat(&mut self) -> Result<(), FitError> {
        let flat = self.problem.step.link.of(self.null_mean);
        let is_flat = self.at.coefficients.iter().skip(1).all(|beta| beta.abs() <= 0.0);
        if is_flat || !flat.is_finite() {
            return Err(FitError::Clamped);
        }
        self.at.coefficients.fill(0.0);
        self.at.coefficients[0] = flat;
        self.stage = Stage::Newton;
        Ok(())
    }

    /// One step of Newton's method.
    fn advance(&mut self, sums: &Sums, objective: f64) -> Result<(), FitError> {
        let Equations { information, score, withheld } = self.equations(sums)?;
        self.withheld_pairs = self.withheld_pairs.max(withheld);
        if self.problem.firth {
            let factor = definite(&information).ok_or(FitError::Indefinite)?;
            self.inverse = factor.inverse().values().to_vec();
            self.leverage_at.clone_from(&self.at.coefficients);
        }
        let whole = information.factor();
        let quadratic = whole.is_some() && self.is_exact() && !self.problem.firth;
        let factor = whole.or_else(|| definite(&information)).ok_or(FitError::Indefinite)?;
        let mut moves = if self.is_exact() {
            factor.solve(&score)
        } else {
            self.secants.learn(self.at.parameters(self.has_shape()), &score);
            self.secants.direction(&factor, &score)
        };
        if self.problem.firth {
            let largest = moves.iter().fold(0.0f64, |most, one| most.max(one.abs()));
            let scale = (LARGEST_MOVE / largest).min(1.0);
            moves.iter_mut().for_each(|one| *one *= scale);
        }
        let moved = in_errors(&moves, &factor);
        if moved.is_nan() {
            return Err(FitError::NotConverged { steps: self.steps });
        }
        self.trace.push(Trace { objective, moved, halved: false });
        self.before = Some((self.at.clone(), objective));
        for (beta, step) in self.at.coefficients.iter_mut().zip(&moves) {
            *beta += step;
        }
        if self.has_shape() {
            let step = moves[self.problem.step.columns.len()];
            self.at.log_shape += step.clamp(-2.0, 2.0);
            if self.at.log_shape < NO_OVERDISPERSION {
                return Err(FitError::NoOverdispersion);
            }
        }
        self.check_divergence()?;
        // A step that does not get smaller any more has met the rounding of contributions.
        let stalled = moved > 0.8 * self.moved && moved < STALLED;
        let near = if quadratic {
            moved <= QUADRATIC || left_over(self.moved, moved) <= LEFT_OVER
        } else {
            moved <= LINEAR
        };
        self.stage = if near || stalled { Stage::Final } else { Stage::Newton };
        self.moved = moved;
        Ok(())
    }

    fn check_divergence(&self) -> Result<(), FitError> {
        if self.problem.step.family != Family::Binomial {
            return Ok(());
        }
        let columns = self.problem.step.columns.iter().zip(&self.at.coefficients);
        let far = columns.zip(&self.problem.names).filter(|((column, beta), _)| {
            column.numbers.is_empty() && Self::is_penalised(column) && beta.abs() > SEPARATING
        });
        let names: Vec<_> = far
            .map(|((_, beta), name)| Separated { name: name.clone(), all: *beta > 0.0 })
            .collect();
        if names.is_empty() { Ok(()) } else { Err(FitError::Separation(names)) }
    }

    fn finish(&self, sums: &Sums) -> Result<Estimate, FitError> {
        if sums.scalar(Scalar::Clamped)? > 0.0 {
            return Err(FitError::Clamped);
        }
        let estimate = estimate::estimate(self, sums)?;
        let mut values = estimate.coefficients.iter().flat_map(|one| [one.estimate, one.error]);
        let finite = values.all(f64::is_finite) && estimate.deviance.is_finite();
        if finite { Ok(estimate) } else { Err(FitError::NotConverged { steps: self.steps }) }
    }
}

#[cfg(test)]
mod tests;
