//! The rule of dominance on blinded sums, against exact arithmetic on the sums themselves.

use model::moments::Scale;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::*;
use crate::fixture::{is_shared, money, request_of};
use crate::measure::Input;
use crate::partial::PartialGroup;

/// Whether the money sum of these hospitals passes in a whole round, at `share_e4`.
fn passes(sums: &[i128], input: Input, share_e4: u32, tag: u8) -> bool {
    let floor = Floor { dominance_e4: share_e4, ..no_floor() };
    let request = request_of(Vec::new(), vec![input], vec![Measure::Sum(0)]);
    // The roster needs three hospitals; of which some may be without the group.
    let fixture = Fixture::new(request, sums.len().max(3), floor, tag);
    let mut total = Total::new(&fixture.terms.shape);
    let group = |sum: &i128| PartialGroup {
        key: Vec::new(),
        rows: 1 << 20,
        stays: 1 << 20,
        persons: 1 << 20,
        cells: vec![1 << 20, *sum],
        supports: vec![[1 << 20, 0, 1 << 20].into_iter().collect()],
        bins: Vec::new(),
    };
    for (hospital, sum) in sums.iter().enumerate() {
        total.add(&wire(&fixture.upload_groups(hospital, vec![group(sum)]))).unwrap();
    }
    let named: Vec<usize> = (0..sums.len()).collect();
    let verdict = fixture.judge(total.witnessed(&fixture.terms.shape), &named).unwrap();
    assert_eq!(verdict.cells[0] & 1, 1, "the group itself passes");
    verdict.cells[0] == 0b11
}

fn agrees(sums: &[i128], share_e4: u32, tag: u8) -> Result<(), TestCaseError> {
    let passed = passes(sums, money(), share_e4, tag);
    let exact = is_shared(sums, share_e4);
    prop_assert_eq!(passed, exact.unwrap_or(passed), "{:?} at {}", sums, share_e4);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_verdict_on_random_splits_is_the_exact_one(
        sums in prop::collection::vec(0..1i128 << 60, 1..10),
        share_e4 in 1_000..10_000u32,
        tag: u8,
    ) {
        agrees(&sums, share_e4, tag)?;
    }

    #[test]
    fn also_with_a_giant_among_dwarfs_and_around_the_edge(
        rest in prop::collection::vec(1..1i128 << 40, 2..10),
        share_e4 in prop::sample::select(vec![2_500u32, 5_625, 9_000]),
        percent in 20..400i128,
        tag: u8,
    ) {
        let mut sums = rest.clone();
        sums.push(rest.iter().sum::<i128>() * percent / 100);
        agrees(&sums, share_e4, tag)?;
    }

    #[test]
    fn and_with_mixed_signs_or_tiny_sums(
        sums in prop::collection::vec(-2_000..2_000i128, 1..12),
        tag: u8,
    ) {
        agrees(&sums, 5_625, tag)?;
    }
}

#[test]
fn one_hospital_never_passes_and_three_equal_ones_do() {
    let widest = Input { scale: Scale::Decimal(0), bound: 1 << 85, money: true };
    // A bound of 2^85 units shifts sums down by 35 bits: something must not become nothing.
    for input in [money(), widest] {
        for sum in [1, -1, 7, 999_999, 1 << 34, -(1 << 36), 1 << 60] {
            for tag in 0..8 {
                assert!(!passes(&[sum], input, 9_999, tag), "{sum} alone");
                assert!(!passes(&[sum, 0, 0], input, 9_999, tag), "{sum} beside nothing");
                assert!(passes(&[sum; 3], input, 3_334, tag), "{sum} three times");
            }
        }
    }
    assert!(passes(&[1 << 40], money(), 10_000, 0), "the rule is off");
}

#[test]
fn nothing_is_shared_evenly_and_what_cancels_is_withheld() {
    assert!(passes(&[0, 0, 0], money(), 5_625, 1));
    assert!(!passes(&[5_000_000, -5_000_000, 0], money(), 9_999, 1));
    assert!(!passes(&[5_000_000, -4_000_000, 10], money(), 9_999, 1));
    // Their magnitudes would pass, their net sum does not: withheld, to be on the safe side.
    assert!(!passes(&[5_000_000, 5_000_000, -5_000_000], money(), 5_625, 1));
    assert!(passes(&[-5_000_000, -5_000_000, -5_000_000], money(), 5_625, 1));
}

#[test]
fn the_edge_lies_where_the_rule_says() {
    // Two hospitals with shares t and 1 - t: t² + (1 - t)² = 0.625 at t = 3/4. The sums are so
    // large that the rounding is below one part in 10^9.
    let split = |t_e6: i128| [t_e6 * 1_000_000, (1_000_000 - t_e6) * 1_000_000];
    for tag in 0..32 {
        assert!(passes(&split(749_990), money(), 6_250, tag));
        assert!(!passes(&split(750_010), money(), 6_250, tag));
        assert_eq!(is_shared(&split(749_999), 6_250), Some(true));
        assert_eq!(is_shared(&split(750_001), 6_250), Some(false));
        assert!(passes(&split(749_999), money(), 6_250, tag));
        assert!(!passes(&split(750_001), money(), 6_250, tag));
    }
    // Closer than the documented bound, exact arithmetic does not say either; further, it does.
    assert_eq!(is_shared(&split(750_000), 6_250), None);
    assert_eq!(is_shared(&[3, 1], 6_250), None);
}

#[test]
fn two_money_sums_are_judged_each_by_itself() {
    let request = request_of(Vec::new(), vec![money(); 2], vec![Measure::Products(0, 1)]);
    let fixture = Fixture::new(request, 3, DEFAULT_FLOOR, 1);
    let judged = |costs: [i128; 3], drugs: [i128; 3]| {
        let hospital = |h: usize| {
            let mut rows = stays("", 0..9, costs[h]);
            for row in &mut rows {
                row.codes.clear();
                row.values.push(Some(drugs[h]));
            }
            rows
        };
        let data: Vec<_> = (0..3).map(hospital).collect();
        fixture.open(&data, &[0, 1, 2]).verdict.cells[0]
    };
    assert_eq!(judged([10_000, 20_000, 30_000], [10_000; 3]), 0b11);
    assert_eq!(judged([10_000, 10_000, 900_000], [10_000; 3]), 0b01);
    assert_eq!(judged([10_000; 3], [10_000, 10_000, 900_000]), 0b01);
}
