//! What the witness and the coordinator hold, and attacks on the sums between them.

mod dominance;
mod sight;

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::blind::GuardSecret;
use crate::fixture::{Fixture, Row, all, costs_by, judge_alone, no_floor, stays, wire};
use crate::measure::Measure;
use crate::reveal::Total;
use crate::terms::Terms;

const DEFAULT_FLOOR: Floor = Floor { persons: 11, stays: 11, hospitals: 3, dominance_e4: 5_625 };

/// Four hospitals; group a passes, b has too few persons, c too few hospitals.
fn data() -> Vec<Vec<Row>> {
    let hospital = |index: u32| {
        let mut rows = stays("a", 0..9, i128::from(1_000_000 + index));
        rows.extend(stays("b", 20..22, 5_000));
        if index < 2 {
            rows.extend(stays("c", 30..60, 123_456));
        }
        rows
    };
    (0..4).map(hospital).collect()
}

fn fixture(tag: u8) -> Fixture {
    Fixture::new(costs_by(&["a", "b", "c", "d"]), 4, DEFAULT_FLOOR, tag)
}

#[test]
fn untouched_sums_are_judged() {
    let (fixture, data) = (fixture(1), data());
    let verdict = fixture.open(&data, &all(&data)).verdict;
    let mut expected = vec![0; 5];
    expected[fixture.place(&[Some("a")])] = 0b111;
    assert_eq!(verdict.cells, expected);
    assert_eq!((verdict.withheld_groups, verdict.withheld_measures), (2, 0));
}

#[test]
fn a_coordinator_cannot_change_any_guard_of_any_cell() {
    let (fixture, data) = (fixture(1), data());
    let shape = &fixture.terms.shape;
    let total = fixture.total(&data, &all(&data));
    let deltas = [1, 2, 11, u128::MAX, u128::MAX - 10, 1 << 64, 3 << 90, 1 << 126, 1 << 127];
    for index in 0..total.witnessed(shape).len() {
        for delta in deltas {
            let mut sums = total.witnessed(shape).to_vec();
            sums[index] = sums[index].wrapping_add(delta);
            let (column, cell) = (index / shape.cells(), index % shape.cells());
            let verdict = fixture.judge(&sums, &all(&data));
            assert_eq!(verdict, Err(Tampered), "column {column}, cell {cell}, + {delta}");
        }
    }
}

#[test]
fn the_change_that_needs_no_guess_breaks_the_bounds() {
    // 2^127 times any odd coefficient is 2^127, and twice 2^127 is nothing: so a guard and the
    // check, or any two guards, can be changed without knowing a coefficient. Before guards were
    // bounded, this made a support of one person look numerous, and a dominated sum shared.
    let (fixture, data) = (fixture(1), data());
    let shape = &fixture.terms.shape;
    let total = fixture.total(&data, &all(&data));
    let tampered = |columns: [usize; 2], cell: usize| {
        let mut sums = total.witnessed(shape).to_vec();
        for column in columns {
            let entry = &mut sums[column * shape.cells() + cell];
            *entry = entry.wrapping_add(1 << 127);
        }
        fixture.judge(&sums, &all(&data))
    };
    for first in 0..=shape.guards() {
        for second in first + 1..=shape.guards() {
            let verdict = tampered([first, second], fixture.place(&[Some("a")]));
            assert_eq!(verdict, Err(Tampered), "columns {first} and {second}");
        }
        assert!(tampered([first, first], 0).is_ok(), "2^128 is nothing");
    }
}

#[test]
fn what_stays_in_bounds_has_to_be_guessed_against_long_odds() {
    // With the guard key in hand the check is no obstacle, so what passes then is what the bounds
    // alone let pass: its largest power of two says how many coefficients would have fitted.
    let (fixture, data) = (fixture(1), data());
    let shape = &fixture.terms.shape;
    let total = fixture.total(&data, &all(&data));
    let coefficients = fixture.guard_key.coefficients(shape.guards());
    let cell = fixture.place(&[Some("c")]);
    let honest = fixture.guards(total.witnessed(shape), &all(&data));
    let accepted = |column: usize, delta: u128| {
        let mut guards = honest.clone();
        let check = delta.wrapping_mul(coefficients[column]);
        for (column, delta) in [(column, delta), (shape.guards(), check)] {
            let entry = &mut guards[column * shape.cells() + cell];
            *entry = entry.wrapping_add(delta);
        }
        judge_alone(&guards, shape, &DEFAULT_FLOOR, &fixture.guard_key, 4).is_ok()
    };
    let in_bounds = |column: usize, power: u32| {
        accepted(column, 1 << power) || accepted(column, (1u128 << power).wrapping_neg())
    };
    let widest = |column: usize| (0..128).rev().find(|power| in_bounds(column, *power)).unwrap();
    let dominance = shape.dominance(1);
    for column in 0..shape.guards() {
        // Four hospitals: 4 · 11 persons, 4 · 1 contributors, limbs of 4 · 2^64, the third lane of a
        // sketch, 4 · 2^30 rows.
        let limit = match column {
            column if dominance.contains(&column) => 66,
            column if shape.sketches().contains(&column) => 87,
            column if shape.sizes() == Some(column) => 31,
            _ => 5,
        };
        let power = widest(column);
        assert!(power <= limit, "column {column}: 2^{power} is in bounds");
    }
    assert!(in_bounds(0, 0), "one person more is what the check is for");
}

#[test]
fn cells_cannot_change_places() {
    let (fixture, data) = (fixture(1), data());
    let shape = &fixture.terms.shape;
    let total = fixture.total(&data, &all(&data));
    let [a, b] = ["a", "b"].map(|code| fixture.place(&[Some(code)]));
    let swap = |columns: std::ops::Range<usize>| {
        let mut sums = total.witnessed(shape).to_vec();
        columns
            .for_each(|column| sums.swap(column * shape.cells() + a, column * shape.cells() + b));
        fixture.judge(&sums, &all(&data))
    };
    assert_eq!(swap(shape.witnessed()), Err(Tampered), "whole cells");
    assert!((0..=shape.guards()).all(|column| swap(column..column + 1) == Err(Tampered)));
    let mut columns = total.witnessed(shape).to_vec();
    columns.rotate_left(shape.cells());
    assert_eq!(fixture.judge(&columns, &all(&data)), Err(Tampered), "whole columns");
}

#[test]
fn the_sums_are_over_exactly_the_hospitals_that_are_named() {
    let (fixture, data) = (fixture(1), data());
    let shape = &fixture.terms.shape;
    let judged = |summed: &[usize], named: &[usize]| {
        fixture.judge(fixture.total(&data, summed).witnessed(shape), named)
    };
    assert!(judged(&[0, 1, 2, 3], &[0, 1, 2, 3]).is_ok());
    assert!(judged(&[0, 1, 3], &[0, 1, 3]).is_ok(), "one dropped out, and is not named");
    assert_eq!(judged(&[0, 1, 2], &[0, 1, 2, 3]), Err(Tampered), "one is left out of the sums");
    assert_eq!(judged(&[0, 1, 2, 3], &[0, 1, 2]), Err(Tampered), "one is left out of the names");
    assert_eq!(judged(&[0, 1, 2, 2], &[0, 1, 2, 3]), Err(Tampered), "one stands for two");
    assert_eq!(judged(&[0, 1, 2, 3, 3], &[0, 1, 2, 3]), Err(Tampered), "one is added twice");
    assert_eq!(judged(&[0], &[0, 1, 2]), Err(Tampered), "one alone");
}

#[test]
fn keys_of_another_round_open_nothing() {
    let (mine, other, data) = (fixture(1), fixture(2), data());
    let Terms { shape, floor, .. } = &mine.terms;
    let everybody = all(&data);
    let total = mine.total(&data, &everybody);
    let guards = mine.guards(total.witnessed(shape), &everybody);
    assert!(judge_alone(&guards, shape, floor, &mine.guard_key, 4).is_ok());
    assert_eq!(judge_alone(&guards, shape, floor, &other.guard_key, 4), Err(Tampered));
    assert_eq!(other.judge(total.witnessed(shape), &everybody), Err(Tampered), "seeds and sid");
    let mut sums = total.witnessed(shape).to_vec();
    unmask(&mut sums, shape, &other.terms.sid(), &mine.seeds(&everybody)).unwrap();
    assert_eq!(judge_alone(&sums, shape, floor, &mine.guard_key, 4), Err(Tampered), "sid alone");
    // A coordinator that gives one hospital another guard secret learns nothing and spoils the round.
    let mut offer = mine.offer().unwrap();
    offer.guard_key = GuardSecret::new(Zeroizing::new([9; 32])).key(&mine.terms.sid());
    let round = mine.admit(offer, 0).unwrap();
    let groups = crate::fixture::groups_of(&data[0], &mine.request);
    let nobody = crate::fixture::blank(&round, groups.len());
    let partial = crate::Partial::new(round.admitted().clone(), groups, nobody, 1_000, false);
    let mut spoilt = Total::new(shape);
    spoilt.add(&wire(&crate::conceal(partial, &round, &mine.seed(0)).unwrap())).unwrap();
    (1..4).for_each(|h| spoilt.add(&wire(&mine.upload(h, &data[h]))).unwrap());
    assert_eq!(mine.judge(spoilt.witnessed(shape), &everybody), Err(Tampered));
}

#[test]
fn columns_of_another_length_are_refused() {
    let fixture = fixture(1);
    let Terms { shape, floor, .. } = &fixture.terms;
    let honest = shape.witnessed().len() * shape.cells();
    for length in [0, 1, honest - 1, honest + 1, shape.columns() * shape.cells()] {
        let mut sums = vec![0; length];
        assert_eq!(unmask(&mut sums, shape, &[0; 32], &[]), Err(Tampered));
        assert_eq!(judge_alone(&sums, shape, floor, &fixture.guard_key, 3), Err(Tampered));
    }
}

#[test]
fn a_few_persons_behind_a_measure_withhold_it_and_not_the_group() {
    let fixture = fixture(1);
    // Sixty persons in three hospitals, of whom some have a cost of zero and some have none.
    let judged = |zeros: usize, without: usize| {
        let hospital = |index: usize| {
            let share = |n: usize| n / 3 + usize::from(index < n % 3);
            let mut rows = stays("a", 0..20, 1_000);
            for (at, row) in rows.iter_mut().enumerate() {
                if at < share(without) {
                    row.values[0] = None;
                } else if at < share(without) + share(zeros) {
                    row.values[0] = Some(0);
                }
            }
            rows
        };
        let data: Vec<_> = (0..3).map(hospital).collect();
        let hospitals = [data, vec![Vec::new()]].concat();
        let opening = fixture.open(&hospitals, &all(&hospitals));
        opening.verdict.cells[fixture.place(&[Some("a")])]
    };
    for (zeros, without, passes) in [
        (0, 0, true),
        (0, 1, false),
        (0, 10, false),
        (0, 11, true),
        (0, 49, true),
        (0, 50, false),
        (0, 60, true),
        (50, 0, false),
        (49, 0, true),
        (60, 0, true),
    ] {
        let bits = judged(zeros, without);
        assert_eq!(bits, if passes { 0b111 } else { 0b011 }, "{zeros} zeros, {without} without");
    }
}

#[test]
fn the_rest_is_always_as_large_as_a_group() {
    let fixture = Fixture::new(costs_by(&["a", "b", "c"]), 3, DEFAULT_FLOOR, 1);
    let told = |a: u32, b: [u32; 3], c: [u32; 3]| {
        let hospital = |h: usize| {
            [stays("a", 0..a, 10), stays("b", 20..20 + b[h], 7), stays("c", 60..60 + c[h], 8)]
                .concat()
        };
        let data: Vec<_> = (0..3).map(hospital).collect();
        let opening = fixture.open(&data, &all(&data));
        let combined = fixture.reveal(&opening.total, &opening.opened).unwrap();
        assert_eq!(combined.withheld_rows_known, opening.opened.remainder.is_some());
        combined.withheld_rows_known.then_some(combined.withheld_rows)
    };
    assert_eq!(told(9, [0; 3], [0; 3]), Some(0), "nothing is withheld");
    assert_eq!(told(9, [3, 3, 4], [1, 0, 0]), Some(11), "together they are a group that passes");
    // Otherwise a, which would pass, is withheld beside them: with a total, it would tell the rest.
    assert_eq!(told(9, [3, 3, 4], [0; 3]), Some(37), "one group: its own count would be told");
    assert_eq!(told(9, [30, 30, 0], [0; 3]), Some(87), "two hospitals only, however many persons");
    assert_eq!(told(9, [2, 2, 2], [1, 1, 2]), Some(37), "together they are not");
    assert_eq!(
        told(9, [30, 0, 0], [0, 30, 0]),
        Some(87),
        "no part of it comes from three hospitals"
    );
    // And where there is nothing to add, nothing is told.
    assert_eq!(told(0, [3, 3, 4], [0; 3]), None);
    assert_eq!(told(1, [2, 2, 2], [0; 3]), None);
}

proptest! {
    #[test]
    fn no_change_of_any_kind_is_accepted(
        index: prop::sample::Index,
        second: prop::sample::Index,
        delta in 1..u128::MAX,
        other: u128,
    ) {
        let fixture = Fixture::new(
            crate::fixture::request_of(Vec::new(), vec![crate::fixture::money()], vec![Measure::Sum(0)]),
            3,
            no_floor(),
            3,
        );
        let mut rows = stays("", 0..4, 50_000);
        rows.iter_mut().for_each(|row| row.codes.clear());
        let data = vec![rows; 3];
        let shape = &fixture.terms.shape;
        let mut sums = fixture.total(&data, &[0, 1, 2]).witnessed(shape).to_vec();
        let (index, second) = (index.index(sums.len()), second.index(sums.len()));
        prop_assume!(index != second);
        sums[index] = sums[index].wrapping_add(delta);
        sums[second] = sums[second].wrapping_add(other);
        prop_assert_eq!(fixture.judge(&sums, &[0, 1, 2]), Err(Tampered));
    }
}
