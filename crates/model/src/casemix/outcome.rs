//! Outcomes adjusted for risk (F13): observed over expected.

use num_traits::ToPrimitive;

/// Observed over expected events \[V\]; `None` when nothing is expected, or the two are no sums of
/// events.
#[must_use]
pub fn observed_expected(observed: f64, expected: f64) -> Option<f64> {
    let sums = observed >= 0.0 && expected > 0.0;
    Some(observed / expected).filter(|ratio| sums && ratio.is_finite())
}

/// Indirectly standardised rate: `O/E` times the rate of the region \[V\], in the unit of that rate.
#[must_use]
pub fn indirect_rate(observed: f64, expected: f64, regional_rate: f64) -> Option<f64> {
    Some(observed_expected(observed, expected)? * regional_rate).filter(|rate| rate.is_finite())
}

/// What a prediction of a model of log cost is multiplied with to be a mean cost (Duan's
/// smearing): `mean exp(residual)` \[M\]. `None` without residuals.
#[must_use]
pub fn smearing(residuals: &[f64]) -> Option<f64> {
    let n = residuals.len().to_f64().filter(|n| *n > 0.0)?;
    let mean = residuals.iter().map(|residual| residual.exp()).sum::<f64>() / n;
    Some(mean).filter(|mean| mean.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observed_over_expected() {
        assert_eq!(observed_expected(12.0, 8.0), Some(1.5));
        assert_eq!(observed_expected(0.0, 8.0), Some(0.0));
        assert_eq!(indirect_rate(12.0, 8.0, 0.02), Some(0.03));
        for (observed, expected) in
            [(1.0, 0.0), (0.0, 0.0), (1.0, -1.0), (-1.0, 1.0), (f64::NAN, 1.0), (1.0, f64::NAN)]
        {
            assert_eq!(observed_expected(observed, expected), None);
            assert_eq!(indirect_rate(observed, expected, 0.1), None);
        }
    }

    #[test]
    fn smearing_undoes_the_logarithm() {
        assert_eq!(smearing(&[0.0, 0.0]), Some(1.0));
        let factor = smearing(&[2_f64.ln(), -(2_f64.ln())]).unwrap();
        assert!((factor - 1.25).abs() < 1e-15);
        assert_eq!(smearing(&[]), None);
        assert_eq!(smearing(&[1e6]), None);
    }
}
