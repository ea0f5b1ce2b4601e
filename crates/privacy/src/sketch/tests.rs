use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::*;
use crate::canonical::sha256;

/// Persons with up to three stays each, marked as a hospital's key would.
pub(super) struct People(Vec<Vec<Mark>>);

fn hmac(kind: &str, number: usize) -> [u8; MARK_BYTES] {
    let hash = sha256(format!("{kind} {number}").as_bytes());
    std::array::from_fn(|index| hash[index])
}

impl People {
    pub(super) fn new(count: usize) -> Self {
        let person = |number: usize| {
            let person = hmac("person", number);
            let stay = |stay| Mark::of(&person, &hmac("stay", number * 3 + stay));
            (0..=number % 3).map(stay).collect()
        };
        Self((0..count).map(person).collect())
    }

    /// All stays of these persons.
    pub(super) fn sketch<'a>(&self, persons: impl IntoIterator<Item = &'a usize>) -> Sketch {
        let mut sketch = Sketch::default();
        for person in persons {
            self.0[*person].iter().for_each(|mark| sketch.add(*mark));
        }
        sketch
    }
}

/// A population of some size, and one that has `less` of it and `more` others.
fn pair(random: &mut StdRng, all: usize) -> (BTreeSet<usize>, BTreeSet<usize>) {
    let size = random.random_range(11..400);
    let one: BTreeSet<usize> = (0..size).map(|_| random.random_range(0..all)).collect();
    let mut other = one.clone();
    // Nested or overlapping; most pairs differ by few.
    let mut few = || {
        let most = if random.random() { 16 } else { 120 };
        random.random_range(0..most)
    };
    let (less, more) = (few(), few());
    let leaving: Vec<usize> = one.iter().copied().take(less.min(one.len() - 1)).collect();
    leaving.iter().for_each(|person| {
        other.remove(person);
    });
    if random.random() {
        other.extend((0..more).map(|_| random.random_range(0..all)));
    }
    (one, other)
}

/// How likely so many persons belong to at most ten counters: the classical occupancy problem, one
/// person after the other (Feller, *An Introduction to Probability Theory*, I, section IV.2).
fn at_most_ten_counters(persons: usize) -> f64 {
    let all = COUNTERS as f64;
    let mut used = vec![0.0; COUNTERS + 1];
    used[0] = 1.0;
    for _ in 0..persons {
        for count in (1..=COUNTERS).rev() {
            let (before, here) = (used[count - 1], used[count]);
            used[count] = here * count as f64 / all + before * (all - count as f64 + 1.0) / all;
        }
        used[0] = 0.0;
    }
    used[..=10].iter().sum()
}

#[test]
fn no_pair_that_differs_by_one_to_ten_persons_is_missed() {
    let mut random = StdRng::seed_from_u64(7);
    let people = People::new(3_000);
    let mut refused: BTreeMap<usize, (u32, u32)> = BTreeMap::new();
    for _ in 0..10_000 {
        let (one, other) = pair(&mut random, 3_000);
        let apart = one.symmetric_difference(&other).count();
        let near = people.sketch(&one).is_near(&people.sketch(&other), 10);
        let (pairs, false_alarms) = refused.entry(apart.min(21)).or_default();
        *pairs += 1;
        match apart {
            0 => assert!(!near, "the same population is no other"),
            1..=10 => assert!(near, "{apart} persons were missed"),
            _ => *false_alarms += u32::from(near),
        }
    }
    println!("refused although farther apart: {refused:?}");
    for (apart, (pairs, alarms)) in refused {
        assert!(pairs > 50, "{apart}: {pairs} pairs only");
        if apart > 10 {
            // Five standard deviations, and one pair more.
            let (pairs, chance) = (f64::from(pairs), at_most_ten_counters(apart));
            let noise = 5.0 * (pairs * chance * (1.0 - chance)).sqrt() + 1.0;
            assert!((f64::from(alarms) - pairs * chance).abs() <= noise, "{apart}: {alarms}");
        }
    }
}

#[test]
fn the_index_finds_what_looking_at_each_finds() {
    let mut random = StdRng::seed_from_u64(8);
    let people = People::new(3_000);
    let (mut known, mut list) = (Known::default(), Vec::new());
    let (mut near, mut far) = (0, 0);
    for round in 0..3_000 {
        let (one, other) = pair(&mut random, if round % 3 == 0 { 60 } else { 3_000 });
        let (one, other) = (people.sketch(&one), people.sketch(&other));
        for most in [0, 1, 10, 20] {
            let expected = list.iter().any(|kept: &Sketch| kept.is_near(&other, most));
            assert_eq!(known.has_near(&other, most), expected, "{most}");
            *(if expected { &mut near } else { &mut far }) += 1;
        }
        let cell = Told::new(one.clone(), Role::Cell);
        assert_eq!(known.add(&cell), !list.contains(&one));
        list.push(one);
    }
    assert!(near > 300 && far > 300, "{near} {far}");
}

#[test]
fn populations_are_kept_once_in_each_role() {
    let people = People::new(100);
    let mut known = Known::default();
    let all: Vec<usize> = (0..100).collect();
    let told = |role| Told::new(people.sketch(&all), role);
    assert!(known.add(&told(Role::Cell)) && !known.add(&told(Role::Cell)));
    assert_eq!((known.len(), known.wholes().count()), (1, 0));
    assert!(known.add(&told(Role::Whole)) && !known.add(&told(Role::Whole)));
    assert_eq!((known.len(), known.wholes().count()), (1, 1));
    assert_eq!(known.wholes().next(), Some(&people.sketch(&all)));
    assert!(!known.hides(&people.sketch(&all), 10));
    assert!(known.add(&told(Role::Hidden)) && !known.add(&told(Role::Hidden)));
    assert!(known.hides(&people.sketch(&all), 10) && known.len() == 2);
    assert!(known.hides(&people.sketch(&all[5..]), 10));
    assert!(!known.hides(&people.sketch(&all[30..]), 10));
    assert!(
        [Role::Cell, Role::Whole, Role::Hidden].map(Role::code).map(Role::from_code)
            == [Some(Role::Cell), Some(Role::Whole), Some(Role::Hidden)]
    );
    assert_eq!(Role::from_code(3), None);
}

#[test]
fn what_hides_others_is_not_told_afterwards() {
    let people = People::new(400);
    let of = |persons: std::ops::Range<usize>| people.sketch(&persons.collect::<Vec<_>>());
    let mut known = Known::default();
    known.learn(&[Told::new(of(0..100), Role::Hidden)]);
    for near in [of(0..100), of(0..95), of(0..104)] {
        assert_eq!(keep_apart(&near, &[], &known, 10), Err(Differenced));
        assert_eq!(keep_apart(&of(0..400), &[near, of(200..400)], &known, 10), Ok(vec![0]));
    }
    assert_eq!(keep_apart(&of(0..160), &[of(0..80)], &known, 10), Ok(Vec::new()));
    // What was told before hides nobody, and is told again.
    known.learn(&[Told::new(of(0..100), Role::Cell)]);
    assert_eq!(keep_apart(&of(0..400), &[of(0..100)], &known, 10), Ok(Vec::new()));
}

#[test]
fn one_stay_of_a_person_is_seen() {
    let people = People::new(30);
    let all: Vec<usize> = (0..30).collect();
    let whole = people.sketch(&all);
    for stays in &people.0 {
        let mut part = Sketch::default();
        part.add(stays[0]);
        assert_eq!(whole.without(&part).apart(&whole, 10), 1);
    }
}

#[test]
fn counters_are_used_evenly_and_weights_are_never_zero() {
    let mut uses = [0u32; COUNTERS];
    for person in 0..66_000 {
        uses[Mark::of(&hmac("person", person), &[0; MARK_BYTES]).counter()] += 1;
    }
    // Five standard deviations of a count with mean 1,000.
    assert!(uses.iter().all(|count| (840..1_160).contains(count)), "{uses:?}");
    let (none, all) = ([0; MARK_BYTES], [0xff; MARK_BYTES]);
    assert_eq!((Mark::of(&none, &none).counter(), Mark::of(&none, &none).weight()), (0, 1));
    assert_eq!((Mark::of(&all, &all).counter(), Mark::of(&all, &all).weight()), (65, COUNTER));
}

#[test]
fn what_is_kept_is_read_and_nothing_else() {
    let sketch = People::new(50).sketch(&(0..50).collect::<Vec<_>>());
    assert_eq!(Sketch::from_bytes(&sketch.to_bytes()), Some(sketch.clone()));
    assert_eq!(Sketch::from_bytes(&sketch.to_bytes()[1..]), None);
    assert_eq!(Sketch::from_bytes(&[0xff; SKETCH_BYTES]), None, "more than 22 bits");
}

#[test]
fn impossible_sums_are_known() {
    assert!(Sketch::is_possible(0, 1));
    let full = u128::from(COUNTER);
    let all = full | full << LANE_BITS | full << (2 * LANE_BITS);
    assert!(Sketch::is_possible(all, 1) && !Sketch::is_possible(all + 1, 1));
    assert!(Sketch::is_possible(3 * all, 3) && !Sketch::is_possible(3 * all, 2));
    assert!(!Sketch::is_possible(1 << 96, 1_000) && !Sketch::is_possible(1 << 127, 1_000));
}

proptest! {
    #[test]
    fn groups_grow_row_by_row_in_any_parts(
        rows in prop::collection::vec((0u32..5, 0u32..40), 0..300),
        cut in 0usize..300,
    ) {
        let people = People::new(40);
        let marks: Vec<_> = people.0.iter().map(|stays| Some(stays[0])).collect();
        let part = |rows: &[(u32, u32)]| {
            let mut sketches = Sketches::default();
            sketches.resize(5);
            sketches.add(rows.iter().copied(), &marks).unwrap();
            sketches
        };
        let (first, second) = rows.split_at(cut.min(rows.len()));
        let mut whole = Sketches::default();
        whole.resize(6);
        whole.merge(&part(first), &[5, 4, 3, 2, 1]);
        whole.merge(&part(second), &[5, 4, 3, 2, 1]);
        let mut expected = vec![Sketch::default(); 6];
        for (group, stay) in &rows {
            expected[5 - *group as usize].add(people.0[*stay as usize][0]);
        }
        prop_assert_eq!(whole.each().collect::<Vec<_>>(), expected);
        prop_assert_eq!(whole.add([(0, 40)], &marks), Err(Unmarked));
        prop_assert_eq!(whole.add([(0, 0)], &[None]), Err(Unmarked));
    }

    #[test]
    fn sums_over_hospitals_are_sums_of_cells(
        parts in prop::collection::vec(prop::collection::vec(0usize..500, 0..60), 1..12),
    ) {
        let people = People::new(500);
        let (mut sums, mut whole) = ([0u128; SKETCH_COLUMNS], Sketch::default());
        for part in &parts {
            let sketch = people.sketch(part);
            sums.iter_mut().zip(sketch.to_cells()).for_each(|(sum, cell)| *sum += cell);
            whole.merge(&sketch);
        }
        let hospitals = parts.len() as u128;
        prop_assert!(sums.iter().all(|sum| Sketch::is_possible(*sum, hospitals)));
        prop_assert_eq!(&Sketch::from_cells(sums), &whole);
        let first = people.sketch(&parts[0]);
        let mut again = whole.without(&first);
        again.merge(&first);
        prop_assert_eq!(again, whole);
    }
}

#[test]
fn what_was_told_may_be_told_again_and_what_is_near_may_not() {
    let people = People::new(400);
    let of = |persons: std::ops::Range<usize>| people.sketch(&persons.collect::<Vec<_>>());
    let mut known = Known::default();
    let all = of(0..400);
    let cells = [of(0..100), of(100..400)];
    assert_eq!(keep_apart(&all, &cells, &known, 10), Ok(Vec::new()));
    known.learn(
        &[(&all, Role::Whole), (&cells[0], Role::Cell), (&cells[1], Role::Cell)]
            .map(|(sketch, role)| Told::new(sketch.clone(), role)),
    );
    assert_eq!(keep_apart(&all, &cells, &known, 10), Ok(Vec::new()), "the same again");
    // A whole near a whole, near a cell, and near what a whole has beside a cell.
    for near in [of(0..395), of(5..400), of(0..97), of(0..110), of(103..400)] {
        assert_eq!(keep_apart(&near, &[], &known, 10), Err(Differenced));
        assert_eq!(keep_apart(&near, &[], &known, 2), Ok(Vec::new()), "by more than two");
        assert_eq!(keep_apart(&near, &[], &known, 0), Ok(Vec::new()), "nobody is protected");
    }
    // An earlier whole that this one leaves with a cell and a few.
    let mut known = Known::default();
    known.learn(&[Told::new(of(0..200), Role::Whole)]);
    let cells = [of(0..100), of(100..197), of(197..400)];
    assert_eq!(keep_apart(&all, &[cells[0].clone()], &known, 10), Ok(Vec::new()));
    assert_eq!(keep_apart(&all, &[of(203..400)], &known, 10), Err(Differenced));
    // A cell near a known whole is withheld, the others are told.
    let near = [of(0..195), of(195..400)];
    assert_eq!(keep_apart(&all, &near, &known, 2), Ok(Vec::new()));
    let mut known = Known::default();
    known.learn(&[Told::new(of(0..100), Role::Cell)]);
    assert_eq!(keep_apart(&all, &[of(0..104), of(104..400)], &known, 10), Ok(vec![0]));
    // Known under a smaller minimum, told again under a larger one.
    known.learn(&[Told::new(of(0..104), Role::Cell)]);
    assert_eq!(keep_apart(&all, &[of(0..104)], &known, 10), Ok(Vec::new()));
}

#[test]
fn a_question_that_nobody_meets_is_near_to_no_small_group() {
    let people = People::new(400);
    // Eleven persons with at most ten counters among them.
    let eleven = (0..300).map(|first| (first..first + 11).collect::<Vec<_>>());
    let crowded = eleven.map(|persons| people.sketch(&persons)).find(|sketch| {
        let nobody = Sketch::default();
        sketch.is_near(&nobody, 10)
    });
    let mut known = Known::default();
    known.learn(&[Told::new(crowded.unwrap(), Role::Cell)]);
    assert_eq!(keep_apart(&Sketch::default(), &[], &known, 10), Ok(Vec::new()));
}

#[test]
fn populations_with_like_stretches_are_found_and_searching_ends() {
    // Counters that a hash of multiples would take for each other in two stretches.
    let with = |counters: &[(usize, u32)]| {
        let mut sketch = Sketch::default();
        counters.iter().for_each(|(place, counter)| sketch.0[*place] = *counter);
        sketch
    };
    let all = [
        with(&[(0, 13), (6, 1)]),
        with(&[(0, 1), (6, 13)]),
        with(&[(0, 13), (12, 7), (30, 9)]),
        with(&[(6, 1), (13, 7), (31, 9)]),
    ];
    let mut known = Known::default();
    for (index, sketch) in all.iter().enumerate() {
        assert!(!known.is_told(sketch), "{index}");
        known.add(&Told::new(sketch.clone(), Role::Cell));
        assert!(all[..=index].iter().all(|one| known.is_told(one)), "{index}");
        assert!(!known.has_near(sketch, 1), "{index}");
    }
    assert!(known.has_near(&with(&[(0, 13), (6, 1), (40, 3)]), 1));
}
