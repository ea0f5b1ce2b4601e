use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::super::tests::People;
use super::super::{Extent, Frame, Known, Role, Told};
use super::*;

const MONTH: &str = "stay.discharged_at";
/// Months of the random worlds.
const MONTHS: usize = 9;
const MOST: usize = 10;

type Persons = BTreeSet<usize>;

fn frame(span: Span) -> Frame {
    Frame {
        base: [7; 32],
        pins: BTreeMap::new(),
        dimensions: vec![Some("stay.drg_code".to_owned())],
        locals: Vec::new(),
        local_dimensions: Vec::new(),
        has_whole: true,
        spans: BTreeMap::from([(MONTH.to_owned(), span)]),
        extents: BTreeMap::new(),
        constants: BTreeMap::new(),
        told_apart: Vec::new(),
    }
}

fn months(from: i64, until: i64) -> Frame {
    frame(Span { from, until })
}

fn group(frame: &Frame, key: &[Option<String>]) -> Option<Place> {
    frame.group(&frame.whole(), key)
}

/// One group, by month: who was discharged in it.
struct World {
    people: People,
    by_month: Vec<Persons>,
}

impl World {
    /// So many persons in each month.
    fn of(sizes: &[usize]) -> Self {
        let mut next = 0;
        let mut month = |size: &usize| {
            next += size;
            (next - size..next).collect()
        };
        let by_month = sizes.iter().map(&mut month).collect();
        Self { people: People::new(next), by_month }
    }

    fn persons(&self, from: usize, until: usize) -> Persons {
        self.by_month[from..until].iter().flatten().copied().collect()
    }

    fn sketch(&self, from: usize, until: usize) -> Sketch {
        self.people.sketch(&self.persons(from, until))
    }

    /// Tells a stretch, if that would not tell of few.
    fn tell(&self, known: &mut Known, from: usize, until: usize) -> bool {
        let place = group(&months(from as i64, until as i64), &[Some("A".to_owned())]).unwrap();
        let sketch = self.sketch(from, until);
        if known.would_follow(&place, &sketch, MOST) {
            return false;
        }
        known.learn(&[Told::new(sketch, Role::Cell).at(Some(place))]);
        true
    }
}

#[test]
fn three_quarters_and_the_year_are_not_all_told_in_any_order() {
    let world = World::of(&[60, 70, 80, 4]);
    let stretches = [(0, 4), (0, 1), (1, 2), (2, 3)];
    for last in 0..4 {
        let mut known = Known::default();
        let others = (0..4).filter(|index| *index != last);
        for (from, until) in others.map(|index| stretches[index]) {
            assert!(world.tell(&mut known, from, until), "{from}..{until} before the last one");
        }
        let (from, until) = stretches[last];
        assert!(!world.tell(&mut known, from, until), "{from}..{until} as the last one");
    }
    // With a larger fourth quarter there is nothing to hide.
    let (world, mut known) = (World::of(&[60, 70, 80, 40]), Known::default());
    assert!(stretches.iter().all(|(from, until)| world.tell(&mut known, *from, *until)));
}

/// Rank of the matrix with these rows, by elimination over the rationals modulo a prime.
fn rank(mut rows: Vec<Vec<i64>>) -> usize {
    const P: i64 = 1_000_003;
    let inverse_of = |value: i64| {
        let (mut result, mut base, mut exponent) = (1, value.rem_euclid(P), P - 2);
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = result * base % P;
            }
            (base, exponent) = (base * base % P, exponent >> 1);
        }
        result
    };
    let mut rank = 0;
    for column in 0..MONTHS {
        let Some(found) = (rank..rows.len()).find(|row| rows[*row][column] % P != 0) else {
            continue;
        };
        rows.swap(rank, found);
        let inverse = inverse_of(rows[rank][column]);
        let pivot: Vec<i64> = rows[rank].iter().map(|x| x.rem_euclid(P) * inverse % P).collect();
        for (index, row) in rows.iter_mut().enumerate() {
            if index != rank {
                let factor = row[column].rem_euclid(P);
                row.iter_mut().zip(&pivot).for_each(|(x, p)| *x = (*x - factor * p).rem_euclid(P));
            }
        }
        rows[rank] = pivot;
        rank += 1;
    }
    rank
}

fn vector(from: usize, until: usize) -> Vec<i64> {
    (0..MONTHS).map(|month| i64::from((from..until).contains(&month))).collect()
}

/// Stretches that are linear combinations of those `told`.
fn derivable(told: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let rows = || told.iter().map(|(from, until)| vector(*from, *until)).collect::<Vec<_>>();
    let own = rank(rows());
    let all = (0..MONTHS).flat_map(|from| (from + 1..=MONTHS).map(move |until| (from, until)));
    let follows = |(from, until): &(usize, usize)| {
        let mut rows = rows();
        rows.push(vector(*from, *until));
        rank(rows) == own
    };
    all.filter(follows).collect()
}

#[test]
fn what_is_refused_is_what_linear_algebra_over_months_finds() {
    let mut random = StdRng::seed_from_u64(21);
    let (mut refusals, mut told_all) = (0, 0);
    for _ in 0..60 {
        // Few, nobody or many: nothing that a sketch could take for few.
        let size = |random: &mut StdRng| [0, 2, 3, 60, 70, 90][random.random_range(0..6)];
        let sizes: Vec<usize> = (0..MONTHS).map(|_| size(&mut random)).collect();
        let world = World::of(&sizes);
        let (mut known, mut told) = (Known::default(), Vec::new());
        for _ in 0..14 {
            let from = random.random_range(0..MONTHS);
            let until = random.random_range(from + 1..=MONTHS);
            // The minimum holds by itself.
            if world.persons(from, until).len() <= MOST {
                continue;
            }
            let few = |one: &Persons, other: &Persons| {
                (1..=MOST).contains(&one.symmetric_difference(other).count())
            };
            let before: Vec<Persons> = told.iter().map(|(f, u)| world.persons(*f, *u)).collect();
            let mut with = told.clone();
            with.push((from, until));
            let (old, new) = (derivable(&told), derivable(&with));
            let exposed = new
                .iter()
                .filter(|one| !old.contains(one) && **one != (from, until))
                .any(|(f, u)| {
                    let found = world.persons(*f, *u);
                    let is_told = before.contains(&found);
                    few(&found, &Persons::new())
                        || !is_told && before.iter().any(|one| few(one, &found))
                });
            let is_told = world.tell(&mut known, from, until);
            assert_eq!(!is_told, exposed, "{sizes:?} {told:?} {from}..{until}");
            if is_told {
                told = with;
                told_all += 1;
            } else {
                refusals += 1;
            }
        }
        for (from, until) in derivable(&told) {
            let persons = world.persons(from, until).len();
            assert!(persons == 0 || persons > MOST, "{sizes:?} {told:?} tell {from}..{until}");
        }
    }
    assert!(refusals > 50 && told_all > 200, "{refusals} {told_all}");
}

#[test]
fn a_question_without_a_condition_ends_where_the_data_end() {
    let world = World::of(&[60, 70, 80, 4]);
    let there = |nulls| Frame {
        extents: BTreeMap::from([(MONTH.to_owned(), Extent { least: 0, most: 3, nulls })]),
        ..frame(Span::ALL)
    };
    let place = |frame: Frame| group(&frame, &[None]).unwrap();
    let told = |known: &mut Known, frame: Frame, sketch: Sketch| {
        let place = place(frame);
        let is_bad = known.would_follow(&place, &sketch, MOST);
        known.learn(&[Told::new(sketch, Role::Cell).at(Some(place))]);
        !is_bad
    };
    let cut = |from, until| Frame { spans: frame(Span { from, until }).spans, ..there(false) };
    let mut known = Known::default();
    assert!(told(&mut known, there(false), world.sketch(0, 4)));
    assert!(told(&mut known, cut(i64::MIN, 1), world.sketch(0, 1)));
    assert!(told(&mut known, cut(1, 2), world.sketch(1, 2)));
    assert!(!told(&mut known, cut(2, 3), world.sketch(2, 3)), "the rest is the fourth");
    // Where rows have no value, all are more than those that have one: by the four who have none.
    let nulls = |span| Frame { spans: frame(span).spans, ..there(true) };
    let mut known = Known::default();
    assert!(told(&mut known, nulls(Span::ALL), world.sketch(0, 4)));
    assert!(told(&mut known, nulls(Span { from: 0, until: 2 }), world.sketch(0, 2)));
    assert!(!told(&mut known, nulls(Span { from: 2, until: Span::NULLS }), world.sketch(2, 3)));
}

#[test]
fn ends_outside_of_the_data_are_one_and_the_same_in_every_snapshot() {
    let world = World::of(&[4, 70, 80, 60, 90]);
    let told = |known: &mut Known, asked: Span, most: i64, sketch: Sketch| {
        let frame = Frame {
            extents: BTreeMap::from([(MONTH.to_owned(), Extent { least: 0, most, nulls: false })]),
            ..frame(asked)
        };
        let place = group(&frame, &[None]).unwrap();
        let is_bad = known.would_follow(&place, &sketch, MOST);
        known.learn(&[Told::new(sketch, Role::Cell).at(Some(place))]);
        !is_bad
    };
    // The year was told while its last month was not over, or not there; the next has begun since.
    for (year, most) in [(Span { from: 0, until: 40 }, 38), (Span::ALL, 39)] {
        let mut known = Known::default();
        assert!(told(&mut known, year, most, world.sketch(0, 4)));
        assert!(told(&mut known, Span { from: 10, until: 20 }, 55, world.sketch(1, 2)));
        assert!(told(&mut known, Span { from: 20, until: 30 }, 55, world.sketch(2, 3)));
        let last = Span { from: 30, until: 40 };
        assert!(
            !told(&mut known, last, 55, world.sketch(3, 4)),
            "{year:?}: the rest are the first four"
        );
    }
}

#[test]
fn unlike_sums_of_two_snapshots_are_both_looked_at() {
    // The second month had forty when it was told first, and has sixty by now.
    let world = World::of(&[60, 40, 20, 60, 4]);
    let tell = |known: &mut Known, from: i64, until: i64, sketch: Sketch| {
        let place = group(&months(from, until), &[None]).unwrap();
        let is_bad = known.would_follow(&place, &sketch, MOST);
        known.learn(&[Told::new(sketch, Role::Cell).at(Some(place))]);
        !is_bad
    };
    let mut known = Known::default();
    assert!(tell(&mut known, 1, 2, world.sketch(1, 2)));
    assert!(tell(&mut known, 0, 4, world.sketch(0, 5)));
    assert!(tell(&mut known, 0, 1, world.sketch(0, 1)));
    assert!(tell(&mut known, 2, 3, world.sketch(3, 4)), "the rest is twenty-four");
    assert!(!tell(&mut known, 1, 2, world.sketch(1, 3)), "and by now four");
}

#[test]
fn a_group_stands_where_a_condition_on_its_code_does_and_places_survive() {
    let by_group = group(&months(3, 6), &[Some("DA1".to_owned())]).unwrap();
    let pinned = Frame {
        pins: BTreeMap::from([("stay.drg_code".to_owned(), "DA1".to_owned())]),
        dimensions: Vec::new(),
        ..months(3, 6)
    };
    assert_eq!(pinned.whole(), by_group);
    assert_eq!(group(&pinned, &[]), Some(by_group.clone()));
    assert_ne!(group(&months(3, 6), &[Some("DA2".to_owned())]), Some(by_group.clone()));
    assert_ne!(group(&months(3, 7), &[Some("DA1".to_owned())]), Some(by_group.clone()));
    assert_eq!(group(&months(3, 6), &[]), None);
    assert_eq!(Place::from_bytes(&by_group.to_bytes()), Some(by_group.clone()));
    for cut in [0, 31, 40, by_group.to_bytes().len() - 1] {
        assert_eq!(Place::from_bytes(&by_group.to_bytes()[..cut]), None, "{cut}");
    }
    // The same months of another set do not count.
    let world = World::of(&[60, 4, 70]);
    let mut known = Known::default();
    assert!(world.tell(&mut known, 0, 3) && world.tell(&mut known, 0, 1));
    let other = Frame { base: [8; 32], ..months(1, 3) };
    let other = group(&other, &[Some("A".to_owned())]).unwrap();
    let sketch = world.sketch(2, 3);
    assert!(!known.would_follow(&other, &sketch, MOST));
    let own = group(&months(2, 3), &[Some("A".to_owned())]).unwrap();
    assert!(known.would_follow(&own, &sketch, MOST));
    assert!(!known.would_follow(&own, &sketch, 0), "nobody is protected where the minimum is one");
    let rest = group(&months(1, 3), &[Some("A".to_owned())]).unwrap();
    assert!(known.follows(&rest, &world.sketch(1, 3)) && !known.follows(&own, &sketch));
}

#[test]
fn agreeing_stretches_and_unlike_ones_are_judged_alike() {
    let mut rng = StdRng::seed_from_u64(1_984);
    let (mut exposed, mut followed) = (0, 0);
    for turn in 0..400 {
        let sizes: Vec<usize> = (0..MONTHS).map(|_| rng.random_range(0..30)).collect();
        let (world, other) = (World::of(&sizes), World::of(&[20; MONTHS]));
        let mut span = || {
            let (a, b) = (rng.random_range(0..MONTHS), rng.random_range(0..MONTHS));
            (a.min(b), a.max(b) + 1)
        };
        // In every tenth world one stretch is told of other data.
        let told: Vec<_> = (0..turn % 9)
            .map(|one| {
                let (from, until) = span();
                let of = if turn % 10 == 0 && one == 0 { &other } else { &world };
                (Span { from: from as i64, until: until as i64 }, of.sketch(from, until))
            })
            .collect();
        let here = span();
        let ends = (here.0 as i64, here.1 as i64);
        let nobody = [(i64::MIN, 0), (MONTHS as i64, Span::NULLS)];
        let told = told.iter().map(|(span, sketch)| (*span, sketch)).collect();
        let edges = Edges::new(told, &nobody[..turn % 3]).unwrap();
        let sketch = world.sketch(here.0, here.1);
        let is_bad = |sum: &Sketch| sum.is_near(&Sketch::default(), MOST);
        let exposes = edges.would_expose(ends, &sketch, &is_bad);
        assert_eq!(exposes, edges.would_expose_unlike(ends, &sketch, &is_bad), "{turn}");
        let follows = edges.sums(ends.0).get(&ends.1).is_some_and(|sums| sums.contains(&sketch));
        assert_eq!(edges.follows(ends, &sketch), follows, "{turn}");
        (exposed, followed) = (exposed + usize::from(exposes), followed + usize::from(follows));
    }
    assert!(exposed > 20 && followed > 20, "{exposed} {followed}");
}
