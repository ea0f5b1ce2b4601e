//! The reference of another system: weight times rate, and a share of extreme cost (F18) \[V\].

pub use super::parameters::OutlierRules;

/// Payment of a case: `rate × weight`, in currency units; `None` unless both are numbers that are
/// not negative.
#[must_use]
pub fn payment(rate: f64, weight: f64) -> Option<f64> {
    Some(rate * weight).filter(|paid| rate >= 0.0 && weight >= 0.0 && paid.is_finite())
}

/// Outlier payment of a case: a share of `charges × cost-to-charge ratio - threshold`, in currency
/// units; 0 when the cost does not exceed the threshold. `None` unless all are numbers that are
/// not negative.
#[must_use]
pub fn outlier(
    charges: f64,
    cost_to_charge: f64,
    threshold: f64,
    rules: &OutlierRules,
) -> Option<f64> {
    let valid = charges >= 0.0 && cost_to_charge >= 0.0 && threshold >= 0.0;
    let excess = charges * cost_to_charge - threshold;
    Some(rules.share * excess.max(0.0)).filter(|paid| valid && !excess.is_nan() && paid.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_fifths_of_the_cost_above_the_threshold() {
        let rules = OutlierRules::default();
        // 400,000 · 0.3 = 120,000, which is 40,000 above.
        assert_eq!(outlier(400_000.0, 0.3, 80_000.0, &rules), Some(32_000.0));
        assert_eq!(outlier(400_000.0, 0.3, 120_000.0, &rules), Some(0.0));
        assert_eq!(outlier(400_000.0, 0.3, 120_001.0, &rules), Some(0.0));
        assert_eq!(payment(7_000.0, 1.5), Some(10_500.0));
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(outlier(bad, 0.3, 1.0, &rules), None);
            assert_eq!(outlier(1.0, bad, 1.0, &rules), None);
            assert_eq!(payment(bad, 1.0), None);
        }
        assert_eq!(outlier(1.0, 1.0, -1.0, &rules), None);
    }
}
