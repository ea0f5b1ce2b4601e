use proptest::prelude::*;

use super::*;

fn input(scale: Scale, bound: u128) -> Input {
    Input { scale, bound, money: false }
}

fn days(bound: u128) -> Grid {
    Grid::of(&input(Scale::Decimal(0), bound)).unwrap()
}

#[test]
fn a_day_has_a_bin_of_its_own_up_to_a_hundred() {
    let grid = days(3650);
    for day in 0..100 {
        let bin = grid.bin_of(day);
        assert_eq!(grid.span(bin, bin), (day, day));
    }
    let bin = grid.bin_of(100);
    assert_eq!(grid.span(bin, bin), (100, 109));
    let bin = grid.bin_of(118);
    assert_eq!(grid.span(bin, bin), (110, 119));
    assert_eq!(grid.span(grid.bins() - 1, grid.bins() - 1), (3600, 3650));
    assert_eq!(grid.span(0, 0), (-3650, -1), "below zero");
    assert_eq!(grid.span(1, 8), (0, 7));
}

#[test]
fn money_has_the_steps_of_e24() {
    // 100 million, in ten-thousandths; 12,345.6789 lies between 12,000 and 13,000.
    let grid = Grid::of(&input(Scale::Decimal(4), 1_000_000_000_000)).unwrap();
    assert_eq!(grid.bins(), 2 + 8 * 24 + 1, "eight decades, what is below 1, below 0, the bound");
    let bin = grid.bin_of(123_456_789);
    assert_eq!(grid.span(bin, bin), (120_000_000, 129_999_999));
    // IEC 60063: neighbours are a twenty-fourth of a decade apart, rounded to two digits.
    for pair in E24.windows(2) {
        let ratio =
            f64::from(i32::try_from(pair[1]).unwrap()) / f64::from(i32::try_from(pair[0]).unwrap());
        assert!((1.06..1.16).contains(&ratio), "{pair:?}");
    }
}

#[test]
fn binary_inputs_begin_at_a_thousandth_and_too_wide_ones_have_no_grid() {
    let grid = Grid::of(&input(Scale::Binary(40), 1 << 62)).unwrap();
    let bin = grid.bin_of(1 << 40);
    let (low, high) = grid.span(bin, bin);
    assert_eq!((low, high), (1 << 40, (11 << 40) / 10 - i128::from((11u128 << 40) % 10 < 5)));
    assert!(Grid::of(&input(Scale::Decimal(4), 1 << 84)).is_err());
}

#[test]
fn edges_do_not_depend_on_the_bound() {
    // A request may declare up to twice its bound; two of them must not have shifted bins.
    let (narrow, wide) = (days(365), days(730));
    assert_eq!(narrow.edges[..], wide.edges[..narrow.edges.len()]);
}

const MINIMUM: Tally = Tally { persons: 11, hospitals: 3 };

fn tally(persons: u128, hospitals: u128) -> Tally {
    Tally { persons, hospitals }
}

fn spans(ends: &[bool]) -> Vec<std::ops::RangeInclusive<usize>> {
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

fn merged(counts: &[u128]) -> Vec<std::ops::RangeInclusive<usize>> {
    let bins: Vec<_> = counts.iter().map(|&n| tally(n, if n > 0 { 5 } else { 0 })).collect();
    spans(&runs(&bins, MINIMUM))
}

#[test]
fn bins_that_stand_by_themselves_stay_alone_and_so_does_the_emptiness_beside_them() {
    assert_eq!(merged(&[0, 20, 0, 0, 30, 11, 0]), [0..=0, 1..=1, 2..=3, 4..=4, 5..=5, 6..=6]);
}

#[test]
fn small_bins_hide_among_their_neighbours() {
    // The lowest and the highest value are one person's: no run begins or ends at them.
    assert_eq!(merged(&[0, 0, 1, 4, 20, 6, 0, 5, 1, 0, 0]), [0..=4, 5..=10]);
    assert_eq!(merged(&[0, 3, 0, 9, 0, 0, 10, 0]), [0..=7]);
    assert_eq!(merged(&[3, 4]), [0..=1], "nothing reaches the minimum");
    assert_eq!(merged(&[0, 0]), [0..=1], "nobody");
    assert_eq!(merged(&[12, 0, 12, 5]), [0..=0, 1..=1, 2..=3]);
    assert_eq!(merged(&[]), []);
}

#[test]
fn a_bin_needs_hospitals_as_well_as_persons() {
    let bins = [tally(40, 2), tally(1, 3), tally(11, 3)];
    assert_eq!(spans(&runs(&bins, MINIMUM)), [0..=1, 2..=2]);
}

proptest! {
    #[test]
    fn every_run_is_nobody_or_the_minimum(
        counts in prop::collection::vec(prop_oneof![3 => Just(0u128), 3 => 1u128..14, 1 => 11u128..40], 0..40),
        hospitals in prop::collection::vec(1u128..6, 40),
    ) {
        let bins: Vec<_> = counts.iter().zip(&hospitals)
            .map(|(&n, &h)| tally(n, if n > 0 { h } else { 0 })).collect();
        let ends = runs(&bins, MINIMUM);
        let spans = spans(&ends);
        let total = |span: &std::ops::RangeInclusive<usize>| {
            bins[span.clone()].iter().fold(Tally::default(), |sum, bin| sum.with(*bin))
        };
        let whole = bins.iter().fold(Tally::default(), |sum, bin| sum.with(*bin));
        for (index, span) in spans.iter().enumerate() {
            let sum = total(span);
            prop_assert!(sum.is_empty() || sum.reaches(MINIMUM) || spans.len() == 1, "{span:?}");
            if sum.is_empty() && spans.len() > 1 {
                // Beside an empty run, the bin that ends the emptiness stands by itself.
                let next = bins.get(span.end() + 1);
                prop_assert!(next.is_none_or(|bin| bin.reaches(MINIMUM)));
                if index + 1 == spans.len() {
                    prop_assert!(bins[span.start() - 1].reaches(MINIMUM));
                }
            }
        }
        prop_assert!(spans.len() != 1 || bins.len() <= 1 || !whole.reaches(MINIMUM)
            || !bins.iter().any(|bin| bin.reaches(MINIMUM)) || spans[0] == (0..=bins.len() - 1));
    }

    #[test]
    fn every_value_lies_in_the_span_of_its_bin(value in -4000i128..4000) {
        let grid = days(3650);
        let value = value.clamp(-3650, 3650);
        let bin = grid.bin_of(value);
        let (low, high) = grid.span(bin, bin);
        prop_assert!(low <= value && value <= high && bin < grid.bins());
    }
}
