//! Composition of charges (F15): shares by fee class, and what explains an excess.

use num_bigint::BigInt;
use num_traits::Signed;

pub use super::benchmark::Share;
use super::money::E4;
use crate::moments;

/// Fee classes of drugs \[M\].
const DRUG: &[&str] = &["western_drug", "chinese_drug"];
/// Fee classes of consumables \[M\].
const CONSUMABLE: &[&str] = &["consumable"];
/// Fee classes of medical services \[M\]: work, neither goods nor tests.
const MEDICAL_SERVICE: &[&str] =
    &["bed", "nursing", "medical_service", "treatment", "surgery", "anaesthesia", "rehabilitation"];

/// The three shares that policy watches, in 0..=1. A class that was not released adds nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupShares {
    /// Western and Chinese drugs.
    pub drug: f64,
    /// Consumables.
    pub consumable: f64,
    /// Bed, nursing, medical service, treatment, surgery, anaesthesia, rehabilitation.
    pub medical_service: f64,
}

/// Mean charge of a stay, in currency units, to which the shares apply.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Means {
    /// Of the hospital.
    pub own: f64,
    /// Of the reference.
    pub reference: f64,
}

/// A fee class in a hospital against the reference.
#[derive(Debug, Clone, PartialEq)]
pub struct ShareDifference {
    /// Fee class.
    pub class: String,
    /// Share of the hospital's charges.
    pub own: f64,
    /// Share of the reference's.
    pub reference: f64,
    /// `own - reference`, as shares: 0.45 against 0.30 is 0.15.
    pub difference: f64,
    /// What the hospital charges a stay for the class above the reference, in currency units.
    pub money: f64,
}

/// The share of each fee class in the released charges of a group, largest first and then by
/// name \[V*\]. A withheld class (`None`) is left out of the total too. Empty when nothing is
/// released, or when the charges do not add up to more than zero.
#[must_use]
pub fn shares(sums: &[(String, Option<E4>)]) -> Vec<Share> {
    let released = || sums.iter().filter_map(|(class, sum)| Some((class, BigInt::from((*sum)?))));
    let total: BigInt = released().map(|(_, sum)| sum).sum();
    if !total.is_positive() {
        return Vec::new();
    }
    let share = |(class, sum): (&String, BigInt)| {
        Some(Share { class: class.clone(), share: moments::quotient(&sum, &total)? })
    };
    let mut shares: Vec<_> = released().filter_map(share).collect();
    shares.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.class.cmp(&b.class)));
    shares
}

/// Drug, consumable and medical-service share; `None` when nothing was released.
#[must_use]
pub fn group_shares(shares: &[Share]) -> Option<GroupShares> {
    let sum = |classes: &[&str]| {
        let within = shares.iter().filter(|share| classes.contains(&share.class.as_str()));
        within.map(|share| share.share).sum::<f64>()
    };
    (!shares.is_empty()).then(|| GroupShares {
        drug: sum(DRUG),
        consumable: sum(CONSUMABLE),
        medical_service: sum(MEDICAL_SERVICE),
    })
}

/// How a hospital's charges differ from the reference's, by class: what explains most of the
/// excess first, so by `money` (own share × own mean − reference share × reference mean) from
/// largest to smallest. Over all classes the amounts add up to the excess of the means, if none is
/// withheld on either side; a class that is not known on both sides is left out.
#[must_use]
pub fn differences(own: &[Share], reference: &[Share], means: Means) -> Vec<ShareDifference> {
    let difference = |own: &Share| {
        let other = reference.iter().find(|other| other.class == own.class)?.share;
        Some(ShareDifference {
            class: own.class.clone(),
            own: own.share,
            reference: other,
            difference: own.share - other,
            money: own.share * means.own - other * means.reference,
        })
    };
    let mut differences: Vec<_> = own.iter().filter_map(difference).collect();
    differences.sort_by(|a, b| b.money.total_cmp(&a.money).then_with(|| a.class.cmp(&b.class)));
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(sums: &[(&str, Option<i128>)]) -> Vec<(String, Option<E4>)> {
        sums.iter().map(|(class, sum)| ((*class).to_owned(), *sum)).collect()
    }

    #[test]
    fn shares_are_of_what_is_released_largest_first() {
        let found = shares(&sums(&[
            ("bed", Some(100)),
            ("blood", None),
            ("consumable", Some(300)),
            ("western_drug", Some(200)),
            ("chinese_drug", Some(100)),
            ("rehabilitation", Some(0)),
            ("surgery", Some(300)),
        ]));
        let names: Vec<_> = found.iter().map(|share| share.class.as_str()).collect();
        let expected =
            ["consumable", "surgery", "western_drug", "bed", "chinese_drug", "rehabilitation"];
        assert_eq!(names, expected);
        assert!((found.iter().map(|share| share.share).sum::<f64>() - 1.0).abs() < 1e-15);
        let groups = group_shares(&found).unwrap();
        assert!((groups.drug - 0.3).abs() < 1e-15);
        assert!((groups.consumable - 0.3).abs() < 1e-15);
        assert!((groups.medical_service - 0.4).abs() < 1e-15);
    }

    #[test]
    fn nothing_has_no_composition() {
        for nothing in [vec![], sums(&[("bed", None)]), sums(&[("bed", Some(0))])] {
            assert!(shares(&nothing).is_empty());
        }
        assert!(shares(&sums(&[("bed", Some(5)), ("other", Some(-5))])).is_empty());
        assert_eq!(group_shares(&[]), None);
    }

    /// The appendicitis of [001]: 12,000 against 9,000, consumables 45 % against 30 %.
    #[test]
    fn the_class_that_explains_most_comes_first() {
        let own = shares(&sums(&[
            ("consumable", Some(45)),
            ("surgery", Some(25)),
            ("western_drug", Some(20)),
            ("bed", Some(10)),
        ]));
        let reference = shares(&sums(&[
            ("consumable", Some(30)),
            ("surgery", Some(35)),
            ("western_drug", Some(20)),
            ("bed", Some(15)),
        ]));
        let means = Means { own: 12_000.0, reference: 9_000.0 };
        let found = differences(&own, &reference, means);
        let money: Vec<_> =
            found.iter().map(|row| (row.class.as_str(), row.money.round())).collect();
        let expected = [
            ("consumable", 2_700.0),
            ("western_drug", 600.0),
            ("bed", -150.0),
            ("surgery", -150.0),
        ];
        assert_eq!(money, expected);
        assert!((found[0].difference - 0.15).abs() < 1e-15);
        assert!((found.iter().map(|row| row.money).sum::<f64>() - 3_000.0).abs() < 1e-9);
        assert!(differences(&own[..1], &reference[..1], means).is_empty(), "no common class");
        assert!(differences(&own, &[], means).is_empty());
    }
}
