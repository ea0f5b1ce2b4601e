//! What a fit has found.

use std::f64::consts::{PI, SQRT_2};

use model::glm::{Dispersion, Family, Link};
use num_traits::ToPrimitive;
use privacy::step::{Block, Scalar};

use super::sums::Sums;
use super::{Fit, FitError, Trace};
use crate::linear::Symmetric;

/// `Φ⁻¹(0.975)`.
const NORMAL_975: f64 = 1.959_963_984_540_054;

/// One coefficient.
#[derive(Debug, Clone, PartialEq)]
pub struct Coefficient {
    /// The column.
    pub name: String,
    /// `β̂`.
    pub estimate: f64,
    /// Its standard error under the model.
    pub error: f64,
    /// Its standard error without believing the model's variance (sandwich, HC0).
    pub robust_error: Option<f64>,
}

impl Coefficient {
    /// `β̂` in standard errors.
    #[must_use]
    pub fn z(&self) -> f64 {
        self.estimate / self.error
    }

    /// Two-sided probability of as large a `|z|` when there is no effect, by the normal law.
    #[must_use]
    pub fn p(&self) -> f64 {
        libm::erfc(self.z().abs() / SQRT_2)
    }

    /// 95 % confidence limits, by the normal law.
    #[must_use]
    pub fn limits(&self) -> [f64; 2] {
        let reach = NORMAL_975 * self.error;
        [self.estimate - reach, self.estimate + reach]
    }
}

/// What a fit has found.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// One for each column.
    pub coefficients: Vec<Coefficient>,
    /// Covariance of the coefficients under the model, row after row.
    pub covariance: Vec<f64>,
    /// Inverse of the observed information for dispersion 1, row after row: the bread of sandwiches.
    /// `None` where it was not told or a shape is estimated.
    pub bread: Option<Vec<f64>>,
    /// Standard errors clustered by hospital, where these were asked for and told.
    pub clustered_errors: Option<Vec<f64>>,
    /// `α` of the negative binomial family, with its standard error.
    pub shape: Option<(f64, f64)>,
    /// Stays in the fit.
    pub stays: u64,
    /// Stays less coefficients.
    pub residual_degrees: u64,
    /// Pearson's statistic over the residual degrees of freedom; 1 where it is known.
    pub dispersion: f64,
    /// Pearson's statistic over the residual degrees of freedom, whatever the family.
    pub pearson_dispersion: f64,
    /// Residual deviance.
    pub deviance: f64,
    /// Deviance of a model of the mean alone; `None` with an offset.
    pub null_deviance: Option<f64>,
    /// `ℓ` at the estimate; `None` for weighted models whose likelihood needs each weight.
    pub log_likelihood: Option<f64>,
    /// Parameters in the information criteria.
    pub parameters: usize,
    /// `Σ w y`.
    pub observed: f64,
    /// Steps of the fit, the last included.
    pub steps: u32,
    /// Newton's steps.
    pub trace: Vec<Trace>,
    /// Pairs of columns that were not told because too few patients have both or only one; none of
    /// them has somebody behind it when that cannot be.
    pub withheld_pairs: usize,
}

impl Estimate {
    /// Adds standard errors clustered by hospital; `scores` has the score of each hospital at the
    /// estimate. With the small-sample correction `G/(G − 1) · (n − 1)/(n − k)` of Stata and
    /// statsmodels (Cameron and Miller, *Journal of Human Resources* 50 (2015) 317). Nothing is added
    /// without the bread, or for fewer than two hospitals.
    pub fn cluster(&mut self, scores: &[Vec<f64>], unit: f64) {
        let size = self.coefficients.len();
        let counts = (scores.len().to_f64(), self.stays.to_f64(), size.to_f64());
        let (Some(bread), (Some(groups), Some(stays), Some(columns))) = (&self.bread, counts)
        else {
            return;
        };
        if scores.len() < 2 || scores.iter().any(|score| score.len() != size) {
            return;
        }
        let correction = groups / (groups - 1.0) * (stays - 1.0) / (stays - columns);
        let errors = bread.chunks_exact(size).map(|row| {
            let along = |score: &Vec<f64>| row.iter().zip(score).map(|(b, s)| b * s).sum::<f64>();
            let variance: f64 = scores.iter().map(along).map(|value| value * value).sum();
            (variance * correction).sqrt() * unit
        });
        self.clustered_errors = Some(errors.collect());
    }

    /// `2k − 2ℓ`.
    #[must_use]
    pub fn aic(&self) -> Option<f64> {
        let parameters = self.parameters.to_f64()?;
        Some(2.0 * parameters - 2.0 * self.log_likelihood?)
    }

    /// `k ln n − 2ℓ`.
    #[must_use]
    pub fn bic(&self) -> Option<f64> {
        let (parameters, stays) = (self.parameters.to_f64()?, self.stays.to_f64()?);
        Some(libm::log(stays) * parameters - 2.0 * self.log_likelihood?)
    }
}

/// The estimate from the sums of the last step.
pub(super) fn estimate(fit: &Fit, sums: &Sums) -> Result<Estimate, FitError> {
    let step = &fit.problem.step;
    let (unit, family) = (step.unit, step.family);
    let stays = sums.rows()?;
    let columns = step.columns.len();
    let residual_degrees = stays.saturating_sub(columns as u64);
    let degrees = residual_degrees.to_f64().unwrap_or(f64::NAN);
    let pearson_dispersion = sums.scalar(Scalar::Pearson)? / degrees;
    let dispersion = match family.dispersion() {
        Dispersion::Estimated => pearson_dispersion,
        Dispersion::One => 1.0,
    };
    let (expected, withheld) = sums.information(Block::Expected)?;
    let observed = match family.is_canonical(step.link) {
        true => expected.clone(),
        false => sums.information(Block::Observed)?.0,
    };
    let (squares, squares_withheld) = sums.information(Block::Squares)?;
    let told_all = |missing: usize| fit.problem.told_all || missing == 0;
    let score_parts = Parts { expected, observed, squares };
    let (covariance, shape) = covariance(fit, sums, &score_parts)?;
    let bread = match told_all(squares_withheld.max(withheld)) {
        true => bread(fit, &score_parts),
        false => None,
    };
    let robust = bread.as_ref().map(|bread| bread.around(&score_parts.squares));
    let error = |matrix: &Symmetric, index: usize, scale: f64| {
        (matrix.at(index, index) * scale).max(0.0).sqrt() * unit
    };
    let coefficients = fit.problem.names.iter().zip(&fit.at.coefficients).enumerate();
    let coefficients = coefficients.map(|(index, (name, beta))| Coefficient {
        name: name.clone(),
        estimate: beta * unit,
        error: error(&covariance, index, dispersion),
        robust_error: robust.as_ref().map(|robust| error(robust, index, 1.0)),
    });
    let mut values = Vec::with_capacity(columns * columns);
    for row in 0..columns {
        values.extend((0..columns).map(|k| covariance.at(row, k) * dispersion * unit * unit));
    }
    let square_unit = if family == Family::Gaussian { unit * unit } else { 1.0 };
    Ok(Estimate {
        coefficients: coefficients.collect(),
        covariance: values,
        bread: bread.map(|bread| bread.values().to_vec()),
        clustered_errors: None,
        shape,
        stays,
        residual_degrees,
        dispersion: dispersion * if dispersion_is_one(family) { 1.0 } else { square_unit },
        pearson_dispersion: pearson_dispersion * square_unit,
        deviance: sums.scalar(Scalar::Deviance)? * square_unit,
        null_deviance: match step.offset {
            Some(_) => None,
            None => Some(sums.scalar(Scalar::NullDeviance)? * square_unit),
        },
        log_likelihood: log_likelihood(fit, sums, dispersion)?,
        parameters: fit.parameters(),
        observed: sums.scalar(Scalar::Response)? * unit,
        steps: fit.steps,
        trace: fit.trace.clone(),
        withheld_pairs: if fit.problem.told_all { 0 } else { withheld.max(squares_withheld) },
    })
}

fn dispersion_is_one(family: Family) -> bool {
    family.dispersion() == Dispersion::One
}

struct Parts {
    expected: Symmetric,
    observed: Symmetric,
    squares: Symmetric,
}

/// The inverse information of the coefficients for dispersion 1, and the shape with its error.
fn covariance(
    fit: &Fit,
    sums: &Sums,
    parts: &Parts,
) -> Result<(Symmetric, Option<(f64, f64)>), FitError> {
    if fit.has_shape() {
        let shape = libm::exp(fit.at.log_shape);
        let mut joint = parts.observed.bordered();
        let last = parts.observed.size();
        let cross = sums.column(Block::Cross, &fit.problem.names)?;
        cross.iter().enumerate().for_each(|(index, value)| joint.set(index, last, *value));
        joint.set(last, last, sums.scalar(Scalar::ShapeObserved)?);
        let inverse = super::definite(&joint).ok_or(FitError::Indefinite)?.inverse();
        let error = inverse.at(last, last).max(0.0).sqrt();
        let mut own = Symmetric::zero(last);
        for row in 0..last {
            (row..last).for_each(|column| own.set(row, column, inverse.at(row, column)));
        }
        return Ok((own, Some((shape, error))));
    }
    let mut penalised = parts.expected.clone();
    fit.penalise(&mut penalised);
    let inverse = super::definite(&penalised).ok_or(FitError::Indefinite)?.inverse();
    let covariance =
        if fit.problem.ridge > 0.0 { inverse.around(&parts.expected) } else { inverse };
    Ok((covariance, None))
}

/// The inverse observed information; `None` where a shape is estimated with it.
fn bread(fit: &Fit, parts: &Parts) -> Option<Symmetric> {
    if fit.has_shape() {
        return None;
    }
    let mut information = parts.observed.clone();
    fit.penalise(&mut information);
    Some(information.factor()?.inverse())
}

/// `ℓ` with what does not depend on the mean.
fn log_likelihood(fit: &Fit, sums: &Sums, dispersion: f64) -> Result<Option<f64>, FitError> {
    let step = &fit.problem.step;
    let stays = sums.rows()?.to_f64().unwrap_or(f64::NAN);
    let part = sums.scalar(Scalar::Likelihood)?;
    let weighted = step.weight.is_some();
    let logs = || sums.scalar(Scalar::LogResponse);
    let whole = match step.family {
        Family::Poisson | Family::NegativeBinomial | Family::Binomial => part,
        Family::Gaussian => {
            // Under the identity link the variance is profiled out, as R and statsmodels do.
            let squares = -2.0 * part;
            let variance = match step.link {
                Link::Identity => squares / stays,
                _ => dispersion,
            };
            let weights = sums.scalar(Scalar::LogWeight)?;
            let unit = libm::log(step.unit);
            -0.5 * (squares / variance + stays * libm::log(2.0 * PI * variance) - weights)
                - stays * unit
        }
        Family::Gamma | Family::InverseGaussian if weighted => return Ok(None),
        Family::Gamma => {
            let shape = 1.0 / dispersion;
            shape * part + stays * (shape * libm::log(shape) - libm::lgamma(shape)) - logs()?
        }
        Family::InverseGaussian => {
            part / dispersion - 0.5 * (stays * libm::log(2.0 * PI * dispersion) + 3.0 * logs()?)
        }
    };
    Ok(Some(whole))
}
