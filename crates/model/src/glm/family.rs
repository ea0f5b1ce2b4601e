//! Families: how the variance depends on the mean.

use super::link::{Link, Mean};

/// The distribution of a response given its mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// `V(μ) = 1`.
    Gaussian,
    /// `V(μ) = μ²`.
    Gamma,
    /// `V(μ) = μ`.
    Poisson,
    /// `V(μ) = μ + αμ²`; `α` is estimated.
    NegativeBinomial,
    /// `V(μ) = μ(1 − μ)`, one trial.
    Binomial,
    /// `V(μ) = μ³`.
    InverseGaussian,
}

/// Whether a family's dispersion is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dispersion {
    /// It is 1.
    One,
    /// It is estimated by Pearson's statistic over the residual degrees of freedom.
    Estimated,
}

/// What one row adds to a fit, for weight 1 and dispersion 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Point {
    /// `∂ℓ/∂η`.
    pub score: f64,
    /// `−∂²ℓ/∂η²`.
    pub observed: f64,
    /// Its expectation.
    pub expected: f64,
    /// Unit deviance.
    pub deviance: f64,
    /// Pearson's residual, squared.
    pub pearson: f64,
    /// `ℓ`, without what does not depend on `μ` where the dispersion is estimated.
    pub likelihood: f64,
    /// `∂ℓ/∂α`, negative binomial only.
    pub shape_score: f64,
    /// `−∂²ℓ/∂α²`, negative binomial only.
    pub shape_observed: f64,
    /// `−∂²ℓ/∂η∂α`, negative binomial only.
    pub cross: f64,
}

impl Family {
    /// All families, in the order in which help texts name them.
    pub const ALL: [Self; 6] = [
        Self::Gaussian,
        Self::Gamma,
        Self::Poisson,
        Self::NegativeBinomial,
        Self::Binomial,
        Self::InverseGaussian,
    ];

    /// The name that users type.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gaussian => "gaussian",
            Self::Gamma => "gamma",
            Self::Poisson => "poisson",
            Self::NegativeBinomial => "negative-binomial",
            Self::Binomial => "binomial",
            Self::InverseGaussian => "inverse-gaussian",
        }
    }

    /// The family of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.as_str() == name)
    }

    /// The link that is used unless another one is named.
    #[must_use]
    pub const fn usual_link(self) -> Link {
        match self {
            Self::Gaussian => Link::Identity,
            Self::Gamma | Self::Poisson | Self::NegativeBinomial | Self::InverseGaussian => {
                Link::Log
            }
            Self::Binomial => Link::Logit,
        }
    }

    /// Whether means of this link can be means of this family.
    #[must_use]
    pub const fn takes(self, link: Link) -> bool {
        let of_probability = matches!(link, Link::Logit | Link::Probit | Link::ComplementaryLogLog);
        matches!(self, Self::Binomial) == of_probability
    }

    /// Whether observed and expected information are the same for this link.
    #[must_use]
    pub const fn is_canonical(self, link: Link) -> bool {
        matches!(
            (self, link),
            (Self::Gaussian, Link::Identity)
                | (Self::Poisson, Link::Log)
                | (Self::Binomial, Link::Logit)
                | (Self::Gamma, Link::Inverse)
                | (Self::InverseGaussian, Link::InverseSquared)
        )
    }

    /// Whether the dispersion is estimated.
    #[must_use]
    pub const fn dispersion(self) -> Dispersion {
        match self {
            Self::Gaussian | Self::Gamma | Self::InverseGaussian => Dispersion::Estimated,
            Self::Poisson | Self::NegativeBinomial | Self::Binomial => Dispersion::One,
        }
    }

    /// Whether `y` can be a response.
    #[must_use]
    pub fn admits(self, y: f64) -> bool {
        match self {
            Self::Gaussian => y.is_finite(),
            Self::Gamma | Self::InverseGaussian => y.is_finite() && y > 0.0,
            Self::Poisson => y.is_finite() && y >= 0.0,
            Self::NegativeBinomial => {
                (0.0..=1e6).contains(&y) && libm::floor(y).to_bits() == y.to_bits()
            }
            Self::Binomial => y.to_bits() == 0.0f64.to_bits() || y.to_bits() == 1.0f64.to_bits(),
        }
    }

    /// Whether `mu` can be a mean.
    #[must_use]
    pub fn has_mean(self, mu: f64) -> bool {
        match self {
            Self::Gaussian => mu.is_finite(),
            Self::Binomial => (0.0..=1.0).contains(&mu),
            _ => mu.is_finite() && mu > 0.0,
        }
    }

    /// Which responses it admits, for people.
    #[must_use]
    pub const fn range(self) -> &'static str {
        match self {
            Self::Gaussian => "any number",
            Self::Gamma | Self::InverseGaussian => "numbers above 0",
            Self::Poisson => "numbers from 0 on",
            Self::NegativeBinomial => "whole numbers from 0 on",
            Self::Binomial => "true and false",
        }
    }

    /// The mean from which a fit starts at this response, as R's `family()$initialize` has it.
    #[must_use]
    pub fn start(self, y: f64) -> f64 {
        match self {
            Self::Gaussian | Self::Gamma | Self::InverseGaussian => y,
            Self::Poisson => y + 0.1,
            Self::NegativeBinomial => {
                if y > 0.0 {
                    y
                } else {
                    1.0 / 6.0
                }
            }
            Self::Binomial => (y + 0.5) / 2.0,
        }
    }

    /// `V(μ)` and `V′(μ)`; `shape` is `α`.
    #[must_use]
    pub fn variance(self, mean: &Mean, shape: f64) -> (f64, f64) {
        let mu = mean.mu;
        match self {
            Self::Gaussian => (1.0, 0.0),
            Self::Gamma => (mu * mu, 2.0 * mu),
            Self::Poisson => (mu, 1.0),
            Self::NegativeBinomial => (mu + shape * mu * mu, 1.0 + 2.0 * shape * mu),
            Self::Binomial => (mu * mean.rest, mean.rest - mu),
            Self::InverseGaussian => (mu * mu * mu, 3.0 * mu * mu),
        }
    }

    /// What a row with response `y` adds at `eta`.
    #[must_use]
    pub fn point(self, link: Link, y: f64, eta: f64, shape: f64) -> Point {
        let mean = link.mean(eta);
        let (variance, growth) = self.variance(&mean, shape);
        let residual = y - mean.mu;
        let weight = mean.slope * mean.slope / variance;
        // −∂/∂η of (y − μ) μ′ / V.
        let turn = mean.bend / variance - growth * weight / variance;
        let mut point = Point {
            score: residual * mean.slope / variance,
            observed: weight - residual * turn,
            expected: weight,
            deviance: 0.0,
            pearson: residual * residual / variance,
            likelihood: 0.0,
            ..Point::default()
        };
        (point.deviance, point.likelihood) = self.fit(y, &mean, shape);
        if self == Self::NegativeBinomial {
            shape_point(&mut point, y, &mean, shape);
        }
        point
    }

    /// Unit deviance and likelihood of a row.
    fn fit(self, y: f64, mean: &Mean, shape: f64) -> (f64, f64) {
        let mu = mean.mu;
        // y ln(y / μ) is 0 for y = 0.
        let surplus = if y > 0.0 { y * libm::log(y / mu) } else { 0.0 };
        match self {
            Self::Gaussian => {
                let square = (y - mu) * (y - mu);
                (square, -0.5 * square)
            }
            Self::Gamma => {
                let (ratio, log) = (y / mu, libm::log(y / mu));
                (2.0 * (ratio - 1.0 - log), log - ratio)
            }
            Self::Poisson => {
                let likelihood = y * libm::log(mu) - mu - libm::lgamma(y + 1.0);
                (2.0 * (surplus - (y - mu)), if y > 0.0 { likelihood } else { -mu })
            }
            Self::Binomial => {
                let likelihood = libm::log(if y > 0.5 { mu } else { mean.rest });
                (-2.0 * likelihood, likelihood)
            }
            Self::InverseGaussian => {
                let unit = (y - mu) * (y - mu) / (y * mu * mu);
                (unit, -0.5 * unit)
            }
            Self::NegativeBinomial => {
                let both = (y + 1.0 / shape) * (libm::log1p(shape * y) - libm::log1p(shape * mu));
                let mut likelihood = -(y + 1.0 / shape) * libm::log1p(shape * mu);
                if y > 0.0 {
                    likelihood += y * libm::log(shape * mu) - libm::lgamma(y + 1.0);
                    likelihood += sum_to(y, |k| libm::log(k + 1.0 / shape));
                }
                (2.0 * (surplus - both), likelihood)
            }
        }
    }
}

/// `Σ f(k)` over `k = 0, 1, …` below `y`.
fn sum_to(y: f64, f: impl Fn(f64) -> f64) -> f64 {
    let mut sum = 0.0;
    let mut k = 0.0;
    while k < y {
        sum += f(k);
        k += 1.0;
    }
    sum
}

/// Derivatives in `α`, by way of `r = 1/α`: `ψ(y + r) − ψ(r) = Σ 1 / (r + k)`.
fn shape_point(point: &mut Point, y: f64, mean: &Mean, shape: f64) {
    let (mu, r) = (mean.mu, 1.0 / shape);
    let whole = mu + r;
    let first = sum_to(y, |k| 1.0 / (r + k)) - libm::log1p(mu * shape) + (mu - y) / whole;
    let second =
        -sum_to(y, |k| 1.0 / ((r + k) * (r + k))) + mu / (r * whole) - (mu - y) / (whole * whole);
    let mixed = (y - mu) / (whole * whole);
    let (turn, bend) = (-r * r, 2.0 * r * r * r);
    point.shape_score = first * turn;
    point.shape_observed = -(second * turn * turn + first * bend);
    point.cross = -mixed * mean.slope * turn;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases() -> Vec<(Family, Link, f64, f64, f64)> {
        vec![
            (Family::Gaussian, Link::Identity, 3.0, 2.2, 1.0),
            (Family::Gaussian, Link::Log, 3.0, 0.9, 1.0),
            (Family::Gamma, Link::Log, 12.0, 2.0, 1.0),
            (Family::Gamma, Link::Inverse, 2.0, 0.4, 1.0),
            (Family::Gamma, Link::Identity, 2.0, 3.4, 1.0),
            (Family::Poisson, Link::Log, 4.0, 1.1, 1.0),
            (Family::Poisson, Link::Log, 0.0, -1.1, 1.0),
            (Family::Poisson, Link::SquareRoot, 4.0, 1.8, 1.0),
            (Family::NegativeBinomial, Link::Log, 7.0, 1.4, 0.6),
            (Family::NegativeBinomial, Link::Log, 0.0, 0.4, 0.2),
            (Family::Binomial, Link::Logit, 1.0, -1.4, 1.0),
            (Family::Binomial, Link::Probit, 0.0, 0.4, 1.0),
            (Family::Binomial, Link::ComplementaryLogLog, 1.0, -0.4, 1.0),
            (Family::InverseGaussian, Link::Log, 2.0, 0.5, 1.0),
            (Family::InverseGaussian, Link::InverseSquared, 2.0, 0.5, 1.0),
        ]
    }

    /// The likelihood with everything that depends on `μ`, for dispersion 1.
    fn likelihood(family: Family, link: Link, y: f64, eta: f64, shape: f64) -> f64 {
        family.point(link, y, eta, shape).likelihood
    }

    #[test]
    fn scores_and_information_are_derivatives_of_the_likelihood() {
        let h = 1e-4;
        for (family, link, y, eta, shape) in cases() {
            let at = |eta: f64| likelihood(family, link, y, eta, shape);
            let point = family.point(link, y, eta, shape);
            let slope = (at(eta + h) - at(eta - h)) / (2.0 * h);
            let bend = (at(eta + h) - 2.0 * at(eta) + at(eta - h)) / (h * h);
            let name = format!("{family:?} {link:?}");
            assert!((point.score - slope).abs() < 1e-6 * (1.0 + slope.abs()), "{name}");
            assert!((point.observed + bend).abs() < 1e-5 * (1.0 + bend.abs()), "{name} {bend}");
            if family.is_canonical(link) {
                assert!((point.observed - point.expected).abs() < 1e-12, "{name}");
            }
        }
    }

    #[test]
    fn derivatives_in_alpha_are_those_of_the_likelihood() {
        let h = 1e-4;
        for (y, eta, shape) in [(7.0, 1.4, 0.6), (0.0, 0.4, 0.2), (31.0, 2.0, 1.7)] {
            let (family, link) = (Family::NegativeBinomial, Link::Log);
            let at = |eta: f64, shape: f64| likelihood(family, link, y, eta, shape);
            let point = family.point(link, y, eta, shape);
            let slope = (at(eta, shape + h) - at(eta, shape - h)) / (2.0 * h);
            let bend = (at(eta, shape + h) - 2.0 * at(eta, shape) + at(eta, shape - h)) / (h * h);
            let score = |shape: f64| family.point(link, y, eta, shape).score;
            let cross = (score(shape + h) - score(shape - h)) / (2.0 * h);
            assert!((point.shape_score - slope).abs() < 1e-5 * (1.0 + slope.abs()));
            assert!((point.shape_observed + bend).abs() < 1e-4 * (1.0 + bend.abs()), "{y}");
            assert!((point.cross + cross).abs() < 1e-5 * (1.0 + cross.abs()), "{y}");
        }
    }

    #[test]
    fn deviance_is_twice_the_likelihood_that_is_missing() {
        for (family, link, y, eta, shape) in cases() {
            if y <= 0.0 || family == Family::Binomial {
                continue;
            }
            let point = family.point(link, y, eta, shape);
            let saturated = likelihood(family, link, y, link.of(y), shape);
            let missing = 2.0 * (saturated - point.likelihood);
            assert!(
                (point.deviance - missing).abs() < 1e-9 * (1.0 + missing),
                "{family:?} {link:?}"
            );
        }
    }

    #[test]
    fn responses_outside_a_family_are_not_admitted() {
        assert!(!Family::Gamma.admits(0.0) && Family::Gamma.admits(0.01));
        assert!(!Family::NegativeBinomial.admits(1.5) && Family::NegativeBinomial.admits(3.0));
        assert!(!Family::Binomial.admits(0.5) && Family::Binomial.admits(1.0));
        assert!(Family::Binomial.takes(Link::Logit) && !Family::Gamma.takes(Link::Logit));
        assert!(!Family::Binomial.takes(Link::Log));
        for family in Family::ALL {
            assert!(family.takes(family.usual_link()));
            assert_eq!(Family::named(family.as_str()), Some(family));
        }
    }
}
