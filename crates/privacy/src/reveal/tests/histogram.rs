//! Histograms through a whole round: what is opened, and lies about it.

use std::collections::BTreeSet;

use super::*;
use crate::Combined;
use crate::fixture::{Opening, all};
use crate::open::Opened;
use crate::partial::Partial;
use crate::reveal::RevealError;

const FLOOR: Floor = Floor { persons: 11, stays: 11, hospitals: 3, dominance_e4: 10_000 };

/// Days up to a bound of 5: eleven bins, of which those of -5 to 0 are for nobody.
fn request() -> ReleaseRequest {
    let days = Input { scale: Scale::Decimal(0), bound: 5, money: false };
    let domain = Domain::closed(vec!["a".into()]).unwrap();
    let measures = vec![Measure::Rows, Measure::Histogram(0, 11)];
    request_of(vec![domain], vec![days], measures)
}

/// Stays of persons `first..`, of so many days each.
fn of_days(first: u32, days: &[i128]) -> Vec<Row> {
    let row = |(person, days): (u32, &i128)| Row {
        person,
        codes: vec![Some("a".into())],
        values: vec![Some(*days)],
    };
    (first..).zip(days).map(row).collect()
}

fn days(counts: [usize; 6]) -> Vec<i128> {
    (0i128..).zip(counts).flat_map(|(day, count)| vec![day; count]).collect()
}

/// Three hospitals: day 1 is common, days 2 and 5 are rare, day 3 is of one hospital alone.
fn data() -> Vec<Vec<Row>> {
    let counts = [[0, 9, 1, 12, 4, 1], [0, 8, 0, 0, 6, 1], [0, 7, 2, 0, 5, 0]];
    counts.map(|counts| of_days(0, &days(counts))).to_vec()
}

/// Eleven bins whose runs end so, with so many rows.
fn runs<const N: usize>(ends: [(usize, i128); N]) -> [i128; 11] {
    let mut bins = [JOINED; 11];
    ends.into_iter().for_each(|(end, rows)| bins[end] = rows);
    bins
}

fn bins(combined: &Combined) -> &[i128] {
    &combined.groups[&vec![Some("a".to_owned())]].cells[1..]
}

#[test]
fn bins_are_opened_when_persons_and_hospitals_suffice() {
    let fixture = Fixture::new(request(), 3, FLOOR, 1);
    let combined = fixture.run(&data(), &[0, 1, 2]);
    // Up to a day there are enough; 2, 3, 4 and the two of day 5 are told together, because day 3 is
    // one hospital's.
    assert_eq!(bins(&combined), runs([(6, 24), (10, 32)]));
}

#[test]
fn a_person_with_many_stays_is_one_person_in_every_bin() {
    // Each hospital has one person with a stay of each length, and four with a stay of one day.
    let hospital = || {
        let mut rows = of_days(0, &[1, 1, 1, 1]);
        for day in 0..=5 {
            rows.extend((0..4).flat_map(|_| of_days(9, &[day])));
        }
        rows
    };
    let data = vec![hospital(), hospital(), hospital()];
    let fixture = Fixture::new(request(), 3, FLOOR, 2);
    // 84 stays of 15 persons. Bin by bin 3 + 15 + 3 + 3 + 3 + 3 persons would be 30: two runs.
    assert_eq!(bins(&fixture.run(&data, &all(&data))), runs([(10, 84)]));
}

#[test]
fn what_a_hospital_releases_alone_has_joined_bins_too() {
    let request = ReleaseRequest::try_from(crate::request::RequestParts {
        scope: crate::Scope::PerHospital,
        asker: "ana".into(),
        relation_sql: String::new(),
        dimensions: vec!["drg_code".into()],
        domains: Vec::new(),
        inputs: request().inputs().to_vec(),
        measures: request().measures().to_vec(),
        supports: request().supports().to_vec(),
    });
    let admitted =
        crate::admit(request.unwrap(), &crate::fixture::policy_of(FLOOR), crate::Leave::None)
            .unwrap();
    let groups = crate::fixture::groups_of(&data()[0], &self::request());
    let nobody = crate::Population::Cells(vec![Default::default(); groups.len()]);
    let partial = Partial::new(admitted, groups, nobody, 1_000, false);
    let released = crate::release(partial, &crate::sketch::Known::default()).unwrap();
    // Ten stays of at most two days are too few, so the third day joins them.
    assert_eq!(released.groups()[0].cells()[1..], runs([(10, 27)]));
}

fn opening() -> (Fixture, Opening) {
    let fixture = Fixture::new(request(), 3, FLOOR, 3);
    let opening = fixture.open(&data(), &[0, 1, 2]);
    (fixture, opening)
}

#[test]
fn a_witness_cannot_move_rows_between_runs() {
    let (fixture, Opening { total, opened, .. }) = opening();
    let ends: Vec<usize> = (0..11).filter(|bin| opened.runs[*bin]).collect();
    assert_eq!((ends, opened.masks.len()), (vec![6, 10], 6));
    let moved = |from: usize, to: usize| {
        let mut lying = opened.clone();
        lying.masks[from] = lying.masks[from].wrapping_add(1);
        lying.masks[to] = lying.masks[to].wrapping_sub(1);
        fixture.reveal(&total, &lying)
    };
    // Rows and check, measure 0 and check, then rows with their check for each of two runs.
    for (from, to) in [(4, 5), (5, 4)] {
        assert_eq!(moved(from, to), Err(RevealError::Check), "{from} to {to}");
    }
    // Neither can it alter one of them: 27 rows are believed with their own check only.
    for delta in [1, 27, 1 << 40, 1 << 41, 1 << 87, 1 << 127, u128::MAX] {
        let mut lying = opened.clone();
        lying.masks[4] = lying.masks[4].wrapping_add(delta);
        assert_eq!(fixture.reveal(&total, &lying), Err(RevealError::Check), "{delta:#x}");
    }
}

#[test]
fn a_witness_cannot_call_other_bins_a_run() {
    let (fixture, Opening { total, opened, .. }) = opening();
    let changes: [fn(&mut Opened); 5] = [
        |opened| opened.runs.swap(6, 7),
        |opened| opened.runs.rotate_left(1),
        |opened| *opened.runs.last_mut().unwrap() = false,
        |opened| opened.runs.push(true),
        |opened| opened.runs.truncate(10),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut lying = opened.clone();
        change(&mut lying);
        assert!(fixture.reveal(&total, &lying).is_err(), "change {index}");
    }
}

#[test]
fn the_witness_sees_no_more_of_a_bin_than_the_threshold() {
    let fixture = Fixture::new(request(), 3, FLOOR, 4);
    let guards = |data: &[Vec<Row>]| {
        let total = fixture.total(data, &[0, 1, 2]);
        fixture.guards(total.witnessed(&fixture.terms.shape), &[0, 1, 2])
    };
    let hundred = |more: usize| vec![of_days(0, &days([0, 100 + more, 0, 0, 0, 0])); 3];
    // Of the group as a whole, it sees the order of magnitude: 64 to 127 rows.
    assert_eq!(guards(&hundred(0)), guards(&hundred(27)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_run_is_of_fewer_persons_than_the_minimum(
        raw in prop::collection::vec(prop::collection::vec((0..30u32, 0..6i128), 0..60), 3..8),
        tag: u8,
    ) {
        let hospital = |rows: Vec<(u32, i128)>| -> Vec<Row> {
            rows.iter().flat_map(|(person, day)| of_days(*person, &[*day])).collect()
        };
        let data: Vec<_> = raw.into_iter().map(hospital).collect();
        let fixture = Fixture::new(request(), data.len(), FLOOR, tag);
        let combined = fixture.run(&data, &all(&data));
        let Some(group) = combined.groups.values().next() else { return Ok(()) };
        let cells = &group.cells[1..];
        if group.withheld[1] {
            prop_assert!(cells.iter().all(|cell| *cell == 0), "what is withheld tells nothing");
            return Ok(());
        }
        let runs = cells.iter().filter(|cell| **cell != JOINED).count();
        let mut first = 0;
        for (bin, rows) in cells.iter().enumerate().filter(|(_, rows)| **rows != JOINED) {
            // Bin 5 is of no day.
            let holds = |row: &&Row| {
                let bin_of = |day: i128| usize::try_from(day + 5).unwrap();
                row.values[0].is_some_and(|day| (first..=bin).contains(&bin_of(day)))
            };
            let persons: usize = data.iter()
                .map(|rows| rows.iter().filter(holds).map(|r| r.person).collect::<BTreeSet<_>>().len())
                .sum();
            let hospitals = data.iter().filter(|rows| rows.iter().any(|row| holds(&row))).count();
            prop_assert!(runs == 1 || *rows == 0 || (persons >= 11 && hospitals >= 3));
            prop_assert!(*rows > 0 || (bin == 10 && persons == 0));
            first = bin + 1;
        }
    }
}

#[test]
fn nobody_above_a_single_bin_is_told_and_somebody_is_not() {
    // The first bin alone, so that it is a run of one bin.
    let short = |count: usize| of_days(0, &vec![-5; count]);
    let data = vec![short(20); 3];
    let fixture = Fixture::new(request(), 3, FLOOR, 5);
    assert_eq!(bins(&fixture.run(&data, &all(&data))), runs([(0, 60), (10, 0)]));
    // One of the same persons once more, much longer: counted in no other bin, and yet there.
    let mut longer = data;
    longer[0].extend(of_days(3, &[4]));
    assert_eq!(bins(&fixture.run(&longer, &all(&longer))), runs([(10, 61)]));
}

#[test]
fn a_run_below_zero_is_no_run() {
    // A hospital knows the round key, so its check fits whatever it uploads.
    let fixture = Fixture::new(request(), 3, FLOOR, 6);
    let mut groups = crate::fixture::groups_of(&data()[0], &fixture.request);
    groups[0].cells[11] = -200;
    let mut total = fixture.total(&data(), &[1, 2]);
    total.add(&crate::fixture::wire(&fixture.upload_groups(0, groups))).unwrap();
    let shape = &fixture.terms.shape;
    let verdict = fixture.judge(total.witnessed(shape), &[0, 1, 2]).unwrap();
    let seeds = fixture.seeds(&[0, 1, 2]);
    let opened = crate::open::mask_sums(&verdict, shape, &fixture.terms.sid(), &seeds);
    assert_eq!(fixture.reveal(&total, &opened), Err(RevealError::Check));
}
