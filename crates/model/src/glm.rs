//! Generalised linear models, row by row: links, variances, deviances, likelihoods and their
//! derivatives.
//!
//! Source: McCullagh and Nelder, *Generalized Linear Models*, 2nd ed. (1989), chapters 2 and 8;
//! negative binomial with variance `μ + αμ²`: Hilbe, *Negative Binomial Regression*, 2nd ed.
//! (2011), chapter 8. Elementary functions come from `libm`, not from the machine, so that a row
//! gives the same bits in every hospital.

mod family;
mod link;

pub use family::{Dispersion, Family, Point};
pub use link::{Link, Mean};

/// What a number goes through before it enters a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transform {
    /// The number itself.
    Identity,
    /// Its natural logarithm; absent unless it is positive.
    Log,
    /// Its square root; absent when it is negative.
    SquareRoot,
    /// Its square.
    Square,
    /// Its third power.
    Cube,
}

impl Transform {
    /// The transformed number; `None` where there is none.
    #[must_use]
    pub fn of(self, x: f64) -> Option<f64> {
        let y = match self {
            Self::Identity => x,
            Self::Log if x > 0.0 => libm::log(x),
            Self::SquareRoot if x >= 0.0 => libm::sqrt(x),
            Self::Square => x * x,
            Self::Cube => x * x * x,
            Self::Log | Self::SquareRoot => return None,
        };
        y.is_finite().then_some(y)
    }

    /// How a formula writes it around `name`.
    #[must_use]
    pub fn written(self, name: &str) -> String {
        match self {
            Self::Identity => name.to_owned(),
            Self::Log => format!("log({name})"),
            Self::SquareRoot => format!("sqrt({name})"),
            Self::Square => format!("{name}^2"),
            Self::Cube => format!("{name}^3"),
        }
    }
}
