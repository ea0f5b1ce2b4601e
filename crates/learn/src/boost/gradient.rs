//! First and second derivatives of a stay's loss by its predictor.

use model::glm::Family;
use num_traits::AsPrimitive;
use privacy::growth::{GRADIENT_BITS, GRADIENT_UNITS};

/// Largest gradient.
const LIMIT: f64 = ((1u64 << GRADIENT_BITS) as f64) / GRADIENT_UNITS;

/// The derivatives of half the deviance (gaussian, gamma) or of the negative log-likelihood by the
/// predictor, in units of 2^-30, each rounded once. Source: McCullagh and Nelder (1989), section 2.2.
pub(super) fn gradient(family: Family, y: f64, eta: f64) -> (i64, i64) {
    let (first, second) = match family {
        Family::Gamma => {
            let relative = y * libm::exp(-eta);
            (1.0 - relative, relative)
        }
        Family::Poisson => {
            let mean = libm::exp(eta);
            (mean - y, mean)
        }
        Family::Binomial => {
            // Whichever exponential does not overflow.
            let small = libm::exp(-eta.abs());
            let (lower, upper) = (small / (1.0 + small), 1.0 / (1.0 + small));
            let mean = if eta < 0.0 { lower } else { upper };
            (mean - y, lower * upper)
        }
        _ => (eta - y, 1.0),
    };
    (fixed(first), fixed(second))
}

fn fixed(value: f64) -> i64 {
    // Predictors are finite and not far out; an infinite mean is kept in bounds, and counted.
    let units = value.clamp(-LIMIT, LIMIT) * GRADIENT_UNITS;
    (units + 0.5f64.copysign(units)).as_()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half the deviance, or what of the negative log-likelihood depends on the predictor.
    fn loss(family: Family, y: f64, eta: f64) -> f64 {
        match family {
            Family::Gamma => y * (-eta).exp() + eta,
            Family::Poisson => eta.exp() - y * eta,
            Family::Binomial => eta.exp().ln_1p() - y * eta,
            _ => (y - eta).powi(2) / 2.0,
        }
    }

    #[test]
    fn gradients_are_differences_of_the_loss() {
        for family in [Family::Gaussian, Family::Gamma, Family::Poisson, Family::Binomial] {
            for (y, eta) in [(1.0, 0.3), (0.0, -1.2), (1.0, 2.5), (1.0, -3.0)] {
                let at = |step: f64| loss(family, y, eta + step);
                let h = 1e-4;
                let (first, second) = gradient(family, y, eta);
                let close = |units: i64, expected: f64| {
                    let units: f64 = units.as_();
                    (units / GRADIENT_UNITS - expected).abs() < 1e-5
                };
                assert!(close(first, (at(h) - at(-h)) / (2.0 * h)), "{family:?} {y} {eta}");
                let bend = (at(h) - 2.0 * at(0.0) + at(-h)) / (h * h);
                assert!(close(second, bend), "{family:?} {y} {eta}: {second} {bend}");
            }
        }
    }

    #[test]
    fn gradients_are_kept_in_bounds() {
        assert_eq!(gradient(Family::Poisson, 1.0, 800.0), (1 << 50, 1 << 50));
        assert_eq!(gradient(Family::Gamma, 1.0, -800.0), (-(1 << 50), 1 << 50));
        assert_eq!(gradient(Family::Binomial, 1.0, 800.0), (0, 0));
        assert_eq!(gradient(Family::Binomial, 0.0, -800.0), (0, 0));
        assert_eq!(gradient(Family::Gaussian, 0.5, 0.0), (-(1 << 29), 1 << 30));
    }
}
