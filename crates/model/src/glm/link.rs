//! Link functions and the derivatives of their inverses.

use std::f64::consts::{PI, SQRT_2};

/// A link `η = g(μ)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Link {
    /// `η = μ`.
    Identity,
    /// `η = ln μ`.
    Log,
    /// `η = ln(μ / (1 − μ))`.
    Logit,
    /// `η = Φ⁻¹(μ)`.
    Probit,
    /// `η = ln(−ln(1 − μ))`.
    ComplementaryLogLog,
    /// `η = 1 / μ`.
    Inverse,
    /// `η = 1 / μ²`.
    InverseSquared,
    /// `η = √μ`.
    SquareRoot,
}

/// A mean and how it moves with `η`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    /// `μ`.
    pub mu: f64,
    /// `1 − μ`, without the rounding of that difference where `μ` is a probability.
    pub rest: f64,
    /// `dμ/dη`.
    pub slope: f64,
    /// `d²μ/dη²`.
    pub bend: f64,
}

impl Link {
    /// All links, in the order in which help texts name them.
    pub const ALL: [Self; 8] = [
        Self::Identity,
        Self::Log,
        Self::Logit,
        Self::Probit,
        Self::ComplementaryLogLog,
        Self::Inverse,
        Self::InverseSquared,
        Self::SquareRoot,
    ];

    /// The name that users type.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Log => "log",
            Self::Logit => "logit",
            Self::Probit => "probit",
            Self::ComplementaryLogLog => "cloglog",
            Self::Inverse => "inverse",
            Self::InverseSquared => "inverse-squared",
            Self::SquareRoot => "sqrt",
        }
    }

    /// The link of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|link| link.as_str() == name)
    }

    /// `g(μ)`; not finite outside the link's range.
    #[must_use]
    pub fn of(self, mu: f64) -> f64 {
        match self {
            Self::Identity => mu,
            Self::Log => libm::log(mu),
            Self::Logit => libm::log(mu) - libm::log1p(-mu),
            Self::Probit => probit(mu),
            Self::ComplementaryLogLog => libm::log(-libm::log1p(-mu)),
            Self::Inverse => 1.0 / mu,
            Self::InverseSquared => 1.0 / (mu * mu),
            Self::SquareRoot => libm::sqrt(mu),
        }
    }

    /// `g⁻¹(η)` and its derivatives.
    #[must_use]
    pub fn mean(self, eta: f64) -> Mean {
        let plain = |mu: f64, slope: f64, bend: f64| Mean { mu, rest: 1.0 - mu, slope, bend };
        match self {
            Self::Identity => plain(eta, 1.0, 0.0),
            Self::Log => {
                let mu = libm::exp(eta);
                plain(mu, mu, mu)
            }
            Self::Logit => {
                let (mu, rest) = (1.0 / (1.0 + libm::exp(-eta)), 1.0 / (1.0 + libm::exp(eta)));
                let slope = mu * rest;
                Mean { mu, rest, slope, bend: slope * (rest - mu) }
            }
            Self::Probit => {
                let (mu, rest) = (normal(eta), normal(-eta));
                let slope = libm::exp(-0.5 * eta * eta) / libm::sqrt(2.0 * PI);
                Mean { mu, rest, slope, bend: -eta * slope }
            }
            Self::ComplementaryLogLog => {
                let hazard = libm::exp(eta);
                let (mu, rest) = (-libm::expm1(-hazard), libm::exp(-hazard));
                let slope = hazard * rest;
                Mean { mu, rest, slope, bend: slope * (1.0 - hazard) }
            }
            Self::Inverse => {
                let mu = 1.0 / eta;
                plain(mu, -mu * mu, 2.0 * mu * mu * mu)
            }
            Self::InverseSquared => {
                let mu = 1.0 / libm::sqrt(eta);
                let cube = mu * mu * mu;
                plain(mu, -0.5 * cube, 0.75 * cube * mu * mu)
            }
            Self::SquareRoot => plain(eta * eta, 2.0 * eta, 2.0),
        }
    }
}

/// `Φ(x)`.
fn normal(x: f64) -> f64 {
    0.5 * libm::erfc(-x / SQRT_2)
}

/// `Φ⁻¹(p)`: the equation is solved by Newton's method from a logistic approximation, in the tail
/// where `p` is small, in logarithms.
#[must_use]
pub(super) fn probit(p: f64) -> f64 {
    if p.is_nan() || p <= 0.0 || p >= 1.0 {
        return if p <= 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    if p > 0.5 {
        return -probit(1.0 - p);
    }
    let mut x = (libm::log(p) - libm::log1p(-p)) / 1.702;
    for _ in 0..60 {
        let tail = normal(x);
        let density = libm::exp(-0.5 * x * x) / libm::sqrt(2.0 * PI);
        let step = tail / density * (libm::log(tail) - libm::log(p));
        let moved = x - step.clamp(-1.0, 1.0);
        if (moved - x).abs() <= 1e-15 * (1.0 + x.abs()) {
            return moved;
        }
        x = moved;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_those_of_the_inverse() {
        let h = 1e-5;
        for (link, eta) in [
            (Link::Identity, 3.0),
            (Link::Log, 1.3),
            (Link::Logit, -2.2),
            (Link::Logit, 3.1),
            (Link::Probit, 0.7),
            (Link::Probit, -1.9),
            (Link::ComplementaryLogLog, -0.4),
            (Link::Inverse, 0.3),
            (Link::InverseSquared, 0.2),
            (Link::SquareRoot, 1.7),
        ] {
            let at = |eta: f64| link.mean(eta);
            let (low, here, high) = (at(eta - h), at(eta), at(eta + h));
            let slope = (high.mu - low.mu) / (2.0 * h);
            let bend = (high.slope - low.slope) / (2.0 * h);
            assert!((here.slope - slope).abs() < 1e-7 * (1.0 + slope.abs()), "{link:?}");
            assert!((here.bend - bend).abs() < 1e-7 * (1.0 + bend.abs()), "{link:?}");
            assert!((link.of(here.mu) - eta).abs() < 1e-9, "{link:?}");
            assert!((here.rest + here.mu - 1.0).abs() < 1e-12, "{link:?}");
            assert_eq!(Link::named(link.as_str()), Some(link));
        }
    }

    #[test]
    fn probit_is_that_of_the_table() {
        // scipy 1.17: norm.ppf.
        for (p, x) in [
            (1e-10, -6.361_340_902_404_056),
            (0.025, -1.959_963_984_540_054),
            (0.3, -0.524_400_512_708_040_9),
            (0.999, 3.090_232_306_167_813),
        ] {
            assert!((probit(p) - x).abs() < 1e-11 * x.abs(), "{p}: {}", probit(p));
        }
    }
}
