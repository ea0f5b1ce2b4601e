use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use proptest::prelude::*;

use super::*;

const MINIMUM: Tally = Tally { persons: 11, hospitals: 3 };

fn tally(persons: u128, hospitals: u128) -> Tally {
    Tally { persons, hospitals }
}

fn spans(ends: &[bool]) -> Vec<RangeInclusive<usize>> {
    let mut start = 0;
    let mut spans = Vec::new();
    for (index, end) in ends.iter().enumerate() {
        if *end {
            spans.push(start..=index);
            start = index + 1;
        }
    }
    assert_eq!(start, ends.len(), "the last bin ends a run");
    spans
}

/// The runs of bins that many hospitals share.
fn merged(counts: &[u128], minimum: u128) -> Vec<RangeInclusive<usize>> {
    let bins: Vec<_> = counts.iter().map(|&n| tally(n, if n > 0 { 5 } else { 0 })).collect();
    spans(&runs(&[bins], tally(minimum, 3)))
}

#[test]
fn a_run_ends_where_it_reaches_the_minimum() {
    assert_eq!(merged(&[20, 11, 0, 30, 12], 11), [0..=0, 1..=1, 2..=3, 4..=4]);
    assert_eq!(merged(&[0, 0, 1, 4, 20, 6, 0, 5, 1, 0, 0], 11), [0..=4, 5..=10]);
    assert_eq!(merged(&[12, 0, 12, 5], 11), [0..=0, 1..=3], "the rest joins the last run");
    assert_eq!(merged(&[12, 0, 0], 11), [0..=0, 1..=2], "nobody is left above a single bin");
    assert_eq!(merged(&[6, 6, 0], 11), [0..=2], "nobody is left above two");
    assert_eq!(merged(&[3, 4], 11), [0..=1], "nothing reaches the minimum");
    assert_eq!(merged(&[0, 0], 11), [0..=1], "nobody");
    assert_eq!(merged(&[], 11), []);
}

#[test]
fn a_bin_needs_hospitals_as_well_as_persons() {
    let bins = vec![tally(40, 2), tally(1, 3), tally(11, 3)];
    assert_eq!(spans(&runs(std::slice::from_ref(&bins), MINIMUM)), [0..=1, 2..=2]);
}

/// Every histogram of so few bins and persons, by what is opened of it.
fn opened(bins: usize, most: u128, minimum: u128) -> BTreeMap<Vec<(usize, u128)>, Vec<Vec<u128>>> {
    let mut opened = BTreeMap::<_, Vec<_>>::new();
    let mut counts = vec![0; bins];
    loop {
        let runs = merged(&counts, minimum);
        let told: Vec<_> =
            runs.iter().map(|run| (*run.end(), counts[run.clone()].iter().sum())).collect();
        opened.entry(told).or_default().push(counts.clone());
        let Some(place) = counts.iter().position(|count| *count < most) else { return opened };
        counts[..place].fill(0);
        counts[place] += 1;
    }
}

/// The attack: whoever knows the rule asks which histograms explain what was opened, and whether
/// they agree on some stretch of bins that holds somebody and fewer than the minimum.
#[test]
fn what_is_opened_never_tells_that_a_stretch_holds_few() {
    for (bins, most, minimum) in [(4, 8, 3), (5, 7, 3), (5, 6, 2), (4, 9, 4)] {
        let mut looked_at = 0;
        for (told, explanations) in opened(bins, most, minimum) {
            let total: u128 = told.iter().map(|(_, count)| count).sum();
            // A group below the minimum is not opened; counts at the edge of what was enumerated
            // have explanations beyond it.
            if total < minimum || told.iter().any(|(_, count)| *count > most) {
                continue;
            }
            looked_at += 1;
            for (first, last) in (0..bins).flat_map(|i| (i..bins).map(move |j| (i, j))) {
                let sums = explanations.iter().map(|counts| counts[first..=last].iter().sum());
                let sums: Vec<u128> = sums.collect();
                let few = sums.iter().all(|sum| *sum > 0 && *sum < minimum);
                assert!(!few, "{told:?} tells that bins {first} to {last} hold {sums:?}");
            }
        }
        assert!(looked_at > 50, "{looked_at}");
    }
}

proptest! {
    #[test]
    fn every_run_reaches_the_minimum_or_is_all_there_is(
        bins in prop::collection::vec((0u128..30, 0u128..6), 0..40),
    ) {
        let bins: Vec<_> = bins.into_iter().map(|(n, h)| tally(n, if n > 0 { h } else { 0 })).collect();
        let spans = spans(&runs(std::slice::from_ref(&bins), MINIMUM));
        let total = |span: &RangeInclusive<usize>| {
            bins[span.clone()].iter().fold(Tally::default(), |sum, bin| sum.with(*bin))
        };
        let top = spans.last().filter(|span| total(span).hospitals == 0);
        let told = &spans[..spans.len() - top.iter().count()];
        prop_assert!(spans.len() == 1 || told.iter().all(|span| total(span).reaches(MINIMUM)));
        prop_assert!(top.is_none() || told.last().is_none_or(|last| last.start() == last.end()));
        // No run but the last could have ended before.
        for span in told.iter().rev().skip(1) {
            let shorter = *span.start()..=span.end().saturating_sub(1);
            prop_assert!(span.start() == span.end() || !total(&shorter).reaches(MINIMUM));
        }
    }
}

proptest! {
    #[test]
    fn every_run_reaches_the_minimum_of_every_tally(
        bins in prop::collection::vec([(0u128..30, 0u128..6), (0u128..30, 0u128..6)], 1..40),
    ) {
        let tallies: Vec<Vec<Tally>> = (0..2)
            .map(|side| bins.iter().map(|bin| tally(bin[side].0, bin[side].1)).collect())
            .collect();
        let spans = spans(&runs(&tallies, MINIMUM));
        for span in &spans {
            for side in &tallies {
                let run = side[span.clone()].iter().fold(Tally::default(), |sum, bin| sum.with(*bin));
                prop_assert!(spans.len() == 1 || run.reaches(MINIMUM));
            }
        }
    }
}

#[test]
fn neighbours_share_a_cell_and_nothing_stands_above_them() {
    // The most that 2^10 hospitals can add up to under the largest minimum.
    let most = tally(1_024 * u128::from(crate::policy::LARGEST_MINIMUM), 1_024);
    for (low, high) in [(most, most), (tally(0, 0), most), (most, tally(0, 0)), (tally(7, 1), most)]
    {
        let cell = low.to_cell(4) + high.to_cell(5);
        assert_eq!([Tally::from_cell(cell, 4), Tally::from_cell(cell, 5)], [low, high]);
        assert!(Tally::are_within(cell, most));
    }
    for wrong in [1 << 64, 1 << 127, u128::MAX, most.to_cell(0) + 1, most.to_cell(1) + (1 << 43)] {
        assert!(!Tally::are_within(wrong, most), "{wrong:#x}");
    }
    assert!(tally(u128::MAX >> 12, 1).to_cell(0) < 1 << 32, "a neighbour is never touched");
}

proptest! {
    #[test]
    fn tallies_of_hospitals_add_up_in_their_cell(
        hospitals in prop::collection::vec((0u128..1_001, 0u128..2, 0u128..1_001, 0u128..2), 1..50),
    ) {
        let sum = hospitals.iter().fold(0, |sum, (p, h, q, i)| {
            sum + tally(*p, *h).to_cell(0) + tally(*q, *i).to_cell(1)
        });
        let expected = |of: fn(&(u128, u128, u128, u128)) -> u128| hospitals.iter().map(of).sum::<u128>();
        let low = tally(expected(|t| t.0), expected(|t| t.1));
        let high = tally(expected(|t| t.2), expected(|t| t.3));
        prop_assert_eq!([Tally::from_cell(sum, 0), Tally::from_cell(sum, 1)], [low, high]);
    }
}
