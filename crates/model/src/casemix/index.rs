//! Case-mix index, grouping rate, and cost and time indices (F2, F3, F4).

use num_traits::ToPrimitive;

/// The case mix of a hospital or region (F2) \[V*\].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CaseMix {
    /// Grouped stays; at least one.
    pub stays: u64,
    /// Σ of their relative weights.
    pub total_weight: f64,
}

/// Which of two indices is meant (F4). They differ, so an answer names its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// (a) Σ actual / Σ expected \[V*\].
    #[default]
    Ratio,
    /// (b) Σ n k / Σ n with `k` the own mean over the reference's \[M\].
    MeanRatio,
}

/// A group in a hospital against the same group in the reference; cost or length of stay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IndexCell {
    /// Stays of the hospital.
    pub n: u64,
    /// Their mean.
    pub own_mean: f64,
    /// The mean of the reference, in the same unit.
    pub reference_mean: f64,
}

/// The case mix of `cells`: stays of a group and its relative weight, each. `None` when there are
/// no stays, never an index of 0.
#[must_use]
pub fn case_mix(cells: &[(u64, f64)]) -> Option<CaseMix> {
    let stays = cells.iter().map(|(n, _)| n).sum();
    let total_weight: f64 = cells.iter().map(|(n, weight)| real(*n) * weight).sum();
    (stays > 0 && total_weight.is_finite()).then_some(CaseMix { stays, total_weight })
}

impl CaseMix {
    /// Mean relative weight of a stay.
    #[must_use]
    pub fn cmi(&self) -> f64 {
        self.total_weight / real(self.stays)
    }
}

/// Share of the stays that could be grouped and were (F3) \[V*\], in 0..=1. `None` when every stay
/// is excluded, or when more are grouped than there are.
#[must_use]
pub fn grouping_rate(grouped: u64, all: u64, excluded: u64) -> Option<f64> {
    let eligible = all.checked_sub(excluded).filter(|eligible| *eligible > 0)?;
    (grouped <= eligible).then(|| real(grouped) / real(eligible))
}

/// Cost or time index (F4): 1 when a hospital is as the reference. `None` when there are no stays
/// or nothing is expected; form (b) also when a group with stays has a reference of 0.
#[must_use]
pub fn index(cells: &[IndexCell], form: Form) -> Option<f64> {
    let cells = || cells.iter().filter(|cell| cell.n > 0);
    let sum = |of: fn(&IndexCell) -> f64| cells().map(|cell| real(cell.n) * of(cell)).sum::<f64>();
    let (actual, expected) = match form {
        Form::Ratio => (sum(|cell| cell.own_mean), sum(|cell| cell.reference_mean)),
        Form::MeanRatio => (sum(|cell| cell.own_mean / cell.reference_mean), sum(|_| 1.0)),
    };
    Some(actual / expected).filter(|index| index.is_finite())
}

/// A count as a double; exact up to 2⁵³.
fn real(n: u64) -> f64 {
    n.to_f64().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cell(n: u64, own_mean: f64, reference_mean: f64) -> IndexCell {
        IndexCell { n, own_mean, reference_mean }
    }

    #[test]
    fn a_case_mix_is_of_stays() {
        let mix = case_mix(&[(10, 0.4), (30, 1.2)]).unwrap();
        assert_eq!(mix.stays, 40);
        assert!((mix.total_weight - 40.0).abs() < 1e-12);
        assert!((mix.cmi() - 1.0).abs() < 1e-15);
        assert_eq!(case_mix(&[]), None);
        assert_eq!(case_mix(&[(0, 1.0)]), None);
        assert_eq!(case_mix(&[(3, f64::NAN)]), None);
    }

    #[test]
    fn a_grouping_rate_leaves_out_what_cannot_be_grouped() {
        assert_eq!(grouping_rate(90, 110, 10), Some(0.9));
        assert_eq!(grouping_rate(0, 5, 0), Some(0.0));
        assert_eq!(grouping_rate(0, 5, 5), None);
        assert_eq!(grouping_rate(0, 5, 6), None);
        assert_eq!(grouping_rate(6, 5, 0), None);
    }

    /// Two forms of one hospital: (10·8 + 30·9) / (10·10 + 30·6) and (10·0.8 + 30·1.5) / 40.
    #[test]
    fn the_two_forms_differ() {
        let cells = [cell(10, 8.0, 10.0), cell(30, 9.0, 6.0), cell(0, 7.0, 0.0)];
        assert_eq!(index(&cells, Form::Ratio), Some(350.0 / 280.0));
        assert_eq!(index(&cells, Form::MeanRatio), Some(53.0 / 40.0));
        assert_eq!(Form::default(), Form::Ratio);
    }

    #[test]
    fn nothing_expected_is_no_index() {
        for form in [Form::Ratio, Form::MeanRatio] {
            assert_eq!(index(&[], form), None);
            assert_eq!(index(&[cell(0, 1.0, 1.0)], form), None);
            assert_eq!(index(&[cell(4, 1.0, 0.0)], form), None);
            assert_eq!(index(&[cell(4, 0.0, 0.0)], form), None);
        }
        let part = [cell(4, 1.0, 0.0), cell(4, 1.0, 1.0)];
        assert_eq!(index(&part, Form::Ratio), Some(2.0));
        assert_eq!(index(&part, Form::MeanRatio), None);
    }

    proptest! {
        /// Cells of hospitals with the pooled means as reference: the region's own index is 1, and
        /// the hospitals' indices, weighted by what is expected of them, average to it.
        #[test]
        fn the_region_itself_has_the_index_one(
            groups in prop::collection::vec(
                prop::collection::vec((1_u64..500, 1.0_f64..1e5), 1..6), 1..30),
        ) {
            let mut all = Vec::new();
            let mut region = Vec::new();
            for group in &groups {
                let n = group.iter().map(|(n, _)| n).sum::<u64>();
                let mean = group.iter().map(|(n, own)| real(*n) * own).sum::<f64>() / real(n);
                region.push(cell(n, mean, mean));
                all.extend(group.iter().map(|(n, own)| cell(*n, *own, mean)));
            }
            prop_assert_eq!(index(&region, Form::Ratio), Some(1.0));
            prop_assert!((index(&region, Form::MeanRatio).unwrap() - 1.0).abs() < 1e-12);
            prop_assert!((index(&all, Form::Ratio).unwrap() - 1.0).abs() < 1e-12);
        }
    }
}
