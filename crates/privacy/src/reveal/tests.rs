//! A whole round gives what a plain sum over the same rows gives, and nothing that the rules keep.

mod edges;
mod gradients;
mod histogram;
mod lies;

use std::collections::{BTreeMap, BTreeSet};

use model::moments::Scale;
use proptest::prelude::*;
use proptest::sample::subsequence;

use crate::domain::{Domain, Outside};
use crate::fixture::{
    Fixture, Row, cells_of, grouped, is_shared, no_floor, persons, request_of, sets_of,
};
use crate::measure::{Input, JOINED, Measure};
use crate::request::ReleaseRequest;
use crate::terms::Floor;

type Key = Vec<Option<String>>;

#[derive(Debug)]
struct Case {
    request: ReleaseRequest,
    data: Vec<Vec<Row>>,
    survivors: Vec<usize>,
    tag: u8,
}

/// Contributions in units of the scale, for values from -1,000 to 1,000: within the bounds.
const KINDS: [(Scale, u128, i128); 3] = [
    (Scale::Decimal(0), 1_000, 1),
    (Scale::Decimal(4), 100_000_000, 98_765),
    (Scale::Binary(40), 8 << 40, 1 << 31),
];

/// Some are ancestors of others; the last is never listed and has no ancestor.
const CODES: [&str; 5] = ["a", "a|b", "a|b|c", "d", "e"];

fn domain() -> impl Strategy<Value = Domain> {
    use Outside::{Ancestor, AncestorOnly, Named, None, Unnamed};
    let outside = prop::sample::select(vec![None, Named, Unnamed, Ancestor, AncestorOnly]);
    (subsequence(CODES[..4].to_vec(), 0..=4), outside).prop_map(|(codes, outside)| Domain::Codes {
        codes: codes.into_iter().map(Into::into).collect(),
        outside,
    })
}

fn measure(inputs: &[Input], kind: u8, x: usize, y: usize) -> Measure {
    let (x, y) = (x % inputs.len(), y % inputs.len());
    match kind {
        0 => Measure::Rows,
        1 => Measure::Persons,
        2 => Measure::Stays,
        3 => Measure::Contributors,
        4 => Measure::Count(x),
        5 => Measure::Sum(x),
        7 if Measure::Products(x, y).check(inputs).is_ok() => Measure::Products(x, y),
        8 => Measure::Histogram(x, 9),
        _ => Measure::Squares(x),
    }
}

/// Persons, codes (0 is NULL, 5 is never listed) and values of one hospital's rows.
type RawRow = (u32, [u8; 3], [Option<i128>; 3]);

fn rows(raw: Vec<RawRow>, dimensions: usize, units: &[i128], positive: bool) -> Vec<Row> {
    let code = |index: &u8| (*index > 0).then(|| CODES[usize::from(*index) - 1].to_owned());
    let value = |(value, unit): (&Option<i128>, &i128)| {
        value.map(|value| if positive { value.abs() * unit } else { value * unit })
    };
    let row = |(person, codes, values): RawRow| Row {
        person,
        codes: codes[..dimensions].iter().map(code).collect(),
        values: values.iter().zip(units).map(value).collect(),
    };
    raw.into_iter().map(row).collect()
}

prop_compose! {
    fn case()(
        domains in prop::collection::vec(domain(), 1..=3),
        kinds in prop::collection::vec((0..KINDS.len(), any::<bool>()), 1..=3),
        measures in prop::collection::vec((0..9u8, 0..3usize, 0..3usize), 1..=4),
        raw in prop::collection::vec(
            prop::collection::vec(
                (0..25u32, prop::array::uniform3(0..6u8),
                 prop::array::uniform3(prop::option::weighted(0.9, -1_000..=1_000i128))),
                0..40),
            3..=16),
        alive: u16,
        positive: bool,
        tag: u8,
    ) -> Case {
        let input = |(kind, money): &(usize, bool)| {
            let (scale, bound, _) = KINDS[*kind];
            Input { scale, bound, money: *money }
        };
        let inputs: Vec<Input> = kinds.iter().map(input).collect();
        let units: Vec<i128> = kinds.iter().map(|(kind, _)| KINDS[*kind].2).collect();
        let measures =
            measures.into_iter().map(|(kind, x, y)| measure(&inputs, kind, x, y)).collect();
        let dimensions = domains.len();
        let data: Vec<_> =
            raw.into_iter().map(|raw| rows(raw, dimensions, &units, positive)).collect();
        let mut survivors: Vec<_> = (0..data.len()).filter(|h| alive >> h & 1 == 1).collect();
        if survivors.len() < 3 {
            survivors = vec![0, 1, 2];
        }
        Case { request: request_of(domains, inputs, measures), data, survivors, tag }
    }
}

/// What each surviving hospital holds of each group, leaving out what is locally too small.
fn pooled(case: &Case, local_minimum: u64) -> BTreeMap<Key, Vec<Vec<&Row>>> {
    let mut pooled = BTreeMap::<Key, Vec<Vec<&Row>>>::new();
    for hospital in &case.survivors {
        for (key, rows) in grouped(&case.data[*hospital], &case.request) {
            if persons(&rows, |_| true) >= local_minimum && rows.len() as u64 >= local_minimum {
                pooled.entry(key).or_default().push(rows);
            }
        }
    }
    pooled
}

fn is_named(key: &Key, request: &ReleaseRequest) -> bool {
    let unnamed =
        |domain: &Domain| matches!(domain, Domain::Codes { outside: Outside::Unnamed, .. });
    let mut labels = key.iter().zip(request.domains());
    !labels.any(|(label, domain)| unnamed(domain) && label.as_deref() == Some("OTHER"))
}

fn plain_sum(measure: Measure, request: &ReleaseRequest, parts: &[Vec<&Row>]) -> Vec<i128> {
    let mut sums = vec![0; measure.width()];
    for rows in parts {
        let cells = cells_of(measure, request.inputs(), rows);
        sums.iter_mut().zip(cells).for_each(|(sum, cell)| *sum += cell);
    }
    sums
}

/// Sums of bins, joined where `cells` are: the rules of joining have tests of their own. The mark of a
/// joined bin is a number that other sums may well have.
fn joined_like(measure: Measure, cells: &[i128], mut sums: Vec<i128>) -> Vec<i128> {
    if measure.bins() == 0 {
        return sums;
    }
    let mut carried = 0;
    for (cell, sum) in cells.iter().zip(&mut sums) {
        carried += *sum;
        *sum = if *cell == JOINED { JOINED } else { std::mem::take(&mut carried) };
    }
    assert_eq!(carried, 0, "the last bin ends a run");
    sums
}

fn reaches(counts: [u64; 3], floor: Floor) -> bool {
    let [persons, stays, hospitals] = counts;
    persons >= floor.persons.into()
        && stays >= floor.stays.into()
        && hospitals >= floor.hospitals.into()
}

fn counts(parts: &[Vec<&Row>]) -> [u64; 3] {
    let persons = parts.iter().map(|rows| persons(rows, |_| true)).sum();
    [persons, parts.iter().map(|rows| rows.len() as u64).sum(), parts.len() as u64]
}

/// The groups that do not pass, and those that are withheld beside them, the smallest first, until all
/// of them together would pass.
fn hidden<'a>(
    expected: &'a BTreeMap<Key, Vec<Vec<&Row>>>,
    fixture: &Fixture,
    floor: Floor,
) -> (BTreeSet<&'a Key>, bool) {
    let (mut hidden, mut together) = (BTreeSet::new(), [0; 3]);
    let mut add = |key, counts: [u64; 3]| {
        hidden.insert(key);
        together = [together[0] + counts[0], together[1] + counts[1], together[2].max(counts[2])];
        reaches(together, floor)
    };
    let (mut passes, mut passing) = (true, Vec::new());
    let cap = floor.persons.max(floor.stays).into();
    for (key, parts) in expected {
        if reaches(counts(parts), floor) {
            let size: u64 = parts.iter().map(|rows| 1 << rows.len().ilog2()).sum();
            let persons: u64 = parts.iter().map(|rows| persons(rows, |_| true).min(cap)).sum();
            let stays: u64 = parts.iter().map(|rows| cap.min(rows.len() as u64)).sum();
            let codes: Vec<_> = key.iter().map(Option::as_deref).collect();
            let counts = [size, persons, stays, parts.len() as u64];
            passing.push((counts, fixture.place(&codes), key));
        } else {
            passes = add(key, counts(parts));
        }
    }
    passing.sort_unstable();
    let mut passing = passing.into_iter();
    while !passes && cap > 1 {
        let Some((_, _, key)) = passing.next() else { break };
        passes = add(key, counts(&expected[key]));
    }
    (hidden, passes)
}

/// The rules for one measure of a group that passes; `None` within the rounding of the blinding.
fn passes(
    measure: Measure,
    request: &ReleaseRequest,
    floor: Floor,
    parts: &[Vec<&Row>],
) -> Option<bool> {
    let minimum = u64::from(floor.persons.max(floor.stays));
    let sets = parts.iter().map(|rows| sets_of(measure, rows));
    let sets = sets.reduce(|a, b| a.iter().zip(&b).map(|(a, b)| a + b).collect())?;
    if sets.iter().any(|persons| *persons > 0 && *persons < minimum) {
        return Some(false);
    }
    let money = match measure {
        Measure::Sum(x) | Measure::Squares(x) => vec![(1, x)],
        Measure::Products(x, y) => vec![(1, x), (2, y)],
        _ => Vec::new(),
    };
    let mut verdict = Some(true);
    for (cell, _) in money.into_iter().filter(|(_, input)| request.inputs()[*input].money) {
        let sum = |rows: &Vec<&Row>| cells_of(measure, request.inputs(), rows)[cell];
        let sums: Vec<i128> = parts.iter().map(sum).collect();
        match is_shared(&sums, floor.dominance_e4) {
            Some(false) => return Some(false),
            other => verdict = verdict.and(other),
        }
    }
    verdict
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn without_a_floor_every_group_is_the_plain_sum(case in case()) {
        let fixture = Fixture::new(case.request.clone(), case.data.len(), no_floor(), case.tag);
        let combined = fixture.run(&case.data, &case.survivors);
        let expected = pooled(&case, 1);
        let (mut named, mut rows, mut unnamed_rows) = (0, 0, 0);
        for (key, parts) in &expected {
            let stays = counts(parts)[1];
            if !is_named(key, &case.request) {
                unnamed_rows += stays;
                continue;
            }
            (named, rows) = (named + 1, rows + stays);
            let group = &combined.groups[key];
            let sum = |measure: &Measure| plain_sum(*measure, &case.request, parts);
            let mut offset = 0;
            for measure in case.request.measures() {
                let own = &group.cells[offset..offset + measure.width()];
                prop_assert_eq!(own, joined_like(*measure, own, sum(measure)));
                offset += measure.width();
            }
            prop_assert!(!group.withheld.contains(&true));
        }
        prop_assert_eq!((combined.groups.len(), combined.released_cells), (named, named as u64));
        prop_assert_eq!(combined.withheld_cells, (expected.len() - named) as u64);
        prop_assert_eq!((combined.released_rows, combined.withheld_rows), (rows, unnamed_rows));
        prop_assert!(combined.withheld_rows_known && combined.withheld_measures == 0);
    }

    #[test]
    fn with_a_floor_exactly_the_groups_and_measures_that_the_rules_say(
        case in case(),
        (persons, stays, hospitals) in (1..14u32, 1..14u32, 1..5u32),
        dominance_e4 in prop::sample::select(vec![3_000u32, 5_625, 8_000, 10_000]),
        local_minimum in 1..4u32,
    ) {
        let floor = Floor { persons, stays, hospitals, dominance_e4 };
        let mut fixture = Fixture::new(case.request.clone(), case.data.len(), floor, case.tag);
        fixture.policy.pooled.local_minimum = local_minimum;
        let combined = fixture.run(&case.data, &case.survivors);
        let measures = case.request.measures();
        let expected = pooled(&case, local_minimum.into());
        let (hidden, told) = hidden(&expected, &fixture, floor);
        let (mut shown, mut withheld_measures) = (0, 0);
        for (key, parts) in &expected {
            if hidden.contains(key) {
                prop_assert!(!combined.groups.contains_key(key));
                continue;
            }
            if !is_named(key, &case.request) {
                continue;
            }
            shown += 1;
            let group = &combined.groups[key];
            let mut offset = 0;
            for (index, measure) in measures.iter().enumerate() {
                let verdict = passes(*measure, &case.request, floor, parts);
                let passed = !group.withheld[index];
                prop_assert_eq!(passed, verdict.unwrap_or(passed), "{:?} {:?}", key, measure);
                let sums = plain_sum(*measure, &case.request, parts);
                let sums = if passed { sums } else { vec![0; measure.width()] };
                let own = &group.cells[offset..offset + measure.width()];
                prop_assert_eq!(own, joined_like(*measure, own, sums));
                offset += measure.width();
                withheld_measures += u64::from(!passed);
            }
        }
        prop_assert_eq!(combined.groups.len(), shown);
        let untold = |key: &&Key| !combined.groups.contains_key(*key);
        prop_assert_eq!(combined.withheld_cells, expected.keys().filter(untold).count() as u64);
        // Measures of passing groups without a name are counted too, so there may be more.
        let all_named = expected.keys().all(|key| is_named(key, &case.request));
        prop_assert!(combined.withheld_measures >= withheld_measures);
        prop_assert!(!all_named || combined.withheld_measures == withheld_measures);
        prop_assert_eq!(combined.withheld_rows_known, told);
        if told && all_named {
            let rows: u64 = hidden.iter().map(|key| counts(&expected[*key])[1]).sum();
            prop_assert_eq!(combined.withheld_rows, rows);
        }
    }
}
