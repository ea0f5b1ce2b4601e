//! Trees over parts equal trees over the whole, and a plain boosting that shares no code.

use std::collections::BTreeSet;

use model::glm::{Family, Transform};
use privacy::Domain;
use privacy::step::{Number, Response};

use super::super::{Binned, NodeSums, Rows};
use super::runs::COARSE_BINS;
use super::*;

type Cell = (Option<u64>, i128, i128);

/// Stays: place of a factor, number, response, person.
type Row = (u32, f64, f64, u32);

fn whole(value: f64) -> usize {
    value.to_usize().unwrap()
}

fn rows(count: u32) -> Vec<Row> {
    let row = |number: u32| {
        let mixed = number.wrapping_mul(2_654_435_761) >> 9;
        let (place, value) = (1 + mixed % 4, f64::from(mixed / 4 % 9));
        let noise = f64::from(mixed / 36 % 101) / 100.0;
        let response = 1.0 + f64::from(place) * 0.7 + (value - 4.0).powi(2) / 5.0 + noise;
        (place, value, response, number / 2 * (1 + number % 3 / 2))
    };
    (0..count).map(row).collect()
}

fn growth(family: Family) -> Growth {
    let names = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
    let number = |input| Number { input, transform: Transform::Identity };
    let event = family == Family::Binomial;
    let mut factors = vec![Domain::closed(names.clone()).unwrap()];
    if event {
        factors.push(Domain::closed(names[..2].to_vec()).unwrap());
    }
    Growth {
        factors,
        features: vec![
            Feature::Factor(0, vec![0, 1, 2, 3]),
            Feature::Number(0, (1..9).map(f64::from).collect()),
        ],
        response: if event { Response::Level(1, 2) } else { Response::Number(number(1)) },
        unit: 1.0,
        family,
        planned: 5,
        start: if family == Family::Gaussian { 3.0 } else { 0.5 },
        trees: Vec::new(),
        splits: Vec::new(),
        ask: GrowthAsk::Totals,
    }
}

const OPTIONS: Options = Options { trees: 5, depth: 3, rate: 0.3, least_stays: 5, penalty: 0.0 };

/// A hospital that keeps its rows between steps.
struct Hospital {
    rows: Vec<Row>,
    kept: Option<(Vec<Feature>, Rows)>,
}

impl Hospital {
    fn answer(&mut self, growth: &Growth, asked: &[Asked], threads: usize) -> Vec<NodeSums> {
        if self.kept.as_ref().is_none_or(|(features, _)| *features != growth.features) {
            let mut binned = Binned::default();
            for (place, value, response, person) in &self.rows {
                // The event is a large response.
                let factors = [vec![*place], vec![if *response > 4.0 { 2 } else { 1 }]];
                let inputs = [vec![*value], vec![*response]];
                binned.add(growth, &factors[..growth.factors.len()], &inputs, &[*person]);
            }
            self.kept = Some((growth.features.clone(), Rows::new(growth, &binned, threads)));
        }
        self.kept.as_mut().unwrap().1.nodes(growth, asked)
    }
}

/// What a region with a minimum of one tells.
fn told(growth: &Growth, parts: &mut [Hospital], threads: usize) -> Told {
    let GrowthAsk::Nodes(asked) = &growth.ask else { panic!("asks for nodes") };
    let width = growth.measure().bins();
    let mut cells = vec![vec![0i128; 3 * width]; growth.places()];
    for part in parts {
        for (node, sums) in part.answer(growth, asked, threads).iter().enumerate() {
            for (feature, sums) in sums.features.iter().enumerate() {
                let cells = &mut cells[node * growth.features.len() + feature];
                cells.iter_mut().zip(sums.cells(width)).for_each(|(sum, own)| *sum += own);
            }
        }
    }
    let mut told = Told::default();
    cells.iter().enumerate().for_each(|(place, cells)| told.set(growth, place, cells));
    told
}

fn grow(family: Family, parts: usize, threads: usize) -> (Vec<Arc<Tree>>, u32) {
    let all = rows(400);
    let own = |part: usize| Hospital {
        rows: all.iter().filter(|row| row.3 as usize % parts == part).copied().collect(),
        kept: None,
    };
    let mut hospitals: Vec<Hospital> = (0..parts).map(own).collect();
    let mut boost = Boost::new(growth(family), OPTIONS).unwrap();
    let mut rounds = 0;
    while let Some(growth) = boost.next() {
        growth.check(2).unwrap();
        boost.take(&told(&growth, &mut hospitals, threads)).unwrap();
        rounds += 1;
    }
    (boost.growth.trees, rounds)
}

#[test]
fn parts_and_threads_change_no_bit() {
    for family in [Family::Gaussian, Family::Gamma, Family::Poisson, Family::Binomial] {
        let (whole, rounds) = grow(family, 1, 1);
        assert_eq!(whole.len(), 5);
        assert_eq!(rounds, 1 + 5 * 3, "one round for each level, and one to see the bins");
        for (parts, threads) in [(1, 3), (3, 1), (7, 2)] {
            assert_eq!(grow(family, parts, threads).0, whole, "{family:?} {parts} {threads}");
        }
    }
}

/// Boosting as a textbook has it: every threshold of every feature over all rows, in floating point.
fn textbook(trees: usize) -> Vec<f64> {
    let all = rows(400);
    let mut predicted = vec![3.0; all.len()];
    for _ in 0..trees {
        let residual: Vec<f64> = all.iter().zip(&predicted).map(|(row, f)| row.2 - f).collect();
        let mut leaves = vec![(0..all.len()).collect::<Vec<_>>()];
        for _ in 0..OPTIONS.depth {
            leaves = leaves.into_iter().flat_map(|leaf| parted(&all, &residual, leaf)).collect();
        }
        for leaf in leaves {
            let mean = leaf.iter().map(|row| residual[*row]).sum::<f64>() / leaf.len() as f64;
            leaf.iter().for_each(|row| predicted[*row] += OPTIONS.rate * mean);
        }
    }
    predicted
}

fn parted(all: &[Row], residual: &[f64], leaf: Vec<usize>) -> Vec<Vec<usize>> {
    let score = |rows: &[usize]| {
        let sum: f64 = rows.iter().map(|row| residual[*row]).sum();
        sum * sum / rows.len() as f64
    };
    let mut best: Option<(f64, Vec<Vec<usize>>)> = None;
    let value = |row: usize, feature: usize| match feature {
        0 => f64::from(all[row].0),
        _ => all[row].1,
    };
    for feature in 0..2 {
        for threshold in 0..9 {
            let (left, right): (Vec<usize>, Vec<usize>) =
                leaf.iter().partition(|row| value(**row, feature) <= f64::from(threshold));
            if left.len() < 5 || right.len() < 5 {
                continue;
            }
            let gain = score(&left) + score(&right) - score(&leaf);
            if gain > best.as_ref().map_or(1e-9, |(gain, _)| *gain + 1e-9) {
                best = Some((gain, vec![left, right]));
            }
        }
    }
    best.map_or_else(|| vec![leaf], |(_, parts)| parts)
}

#[test]
fn trees_are_those_of_a_textbook() {
    let (trees, _) = grow(Family::Gaussian, 3, 2);
    for (row, expected) in rows(400).iter().zip(textbook(5)) {
        let bins = [row.0 as usize - 1, whole(row.1)];
        let mut predicted = 3.0;
        for Tree { splits, values } in trees.iter().map(AsRef::as_ref) {
            let mut node = 0;
            while let Some(Some(split)) = splits.get(node) {
                let left = bins[usize::from(split.feature)] <= usize::from(split.bin);
                node = 2 * node + if left { 1 } else { 2 };
            }
            predicted += values[node];
        }
        assert!((predicted - expected).abs() < 1e-6, "{row:?}: {predicted} {expected}");
    }
}

#[test]
fn a_node_that_has_forgotten_everything_answers_the_same() {
    let all = rows(300);
    let hospital = || Hospital { rows: all.clone(), kept: None };
    let (mut steady, mut forgetful) = (vec![hospital()], vec![hospital()]);
    for family in [Family::Poisson, Family::Binomial] {
        let mut boost = Boost::new(growth(family), OPTIONS).unwrap();
        steady[0].kept = None;
        while let Some(growth) = boost.next() {
            forgetful[0].kept = None;
            let GrowthAsk::Nodes(asked) = &growth.ask else { panic!("asks for nodes") };
            let known = steady[0].answer(&growth, asked, 2);
            assert_eq!(known, forgetful[0].answer(&growth, asked, 1));
            boost.take(&told(&growth, &mut steady, 2)).unwrap();
        }
    }
}

#[test]
fn persons_are_counted_once_and_never_too_often() {
    let all = rows(300);
    let mut growth = growth(Family::Binomial);
    let split = Split { feature: 1, bin: 3 };
    growth.splits = vec![Some(split)];
    let ends = vec![vec![true; 4], (0..9).map(|bin| bin % 2 == 0).collect()];
    let asked = vec![Asked { node: 1, ends }];
    growth.ask = GrowthAsk::Nodes(asked.clone());
    growth.check(2).unwrap();
    let mut hospital = Hospital { rows: all.clone(), kept: None };
    let sums = &hospital.answer(&growth, &asked, 3)[0];
    let has = |row: &Row, event: bool| (row.2 > 4.0) == event;
    // The row by which a person is counted: of least bins, over all nodes.
    let mut by = BTreeMap::<(u32, bool), Row>::new();
    for row in &all {
        let own = by.entry((row.3, has(row, true))).or_insert(*row);
        if (row.0, whole(row.1)) < (own.0, whole(own.1)) {
            *own = *row;
        }
    }
    let side = |left: bool, event: bool| move |row: &&Row| (row.1 < 4.0) == left && has(row, event);
    let bin_of = |row: &Row, feature: usize| match feature {
        0 => row.0 as usize - 1,
        // The parent's runs ended after every other bin.
        _ => whole(row.1).div_ceil(2) * 2,
    };
    let sides = [(true, true), (true, false), (false, true), (false, false)];
    for (feature, told) in sums.features.iter().enumerate() {
        for ((left, event), tally) in sides.into_iter().zip(&told.tallies) {
            let mut counts = vec![0u64; tally.len()];
            let counted = by.values().filter(side(left, event));
            counted.for_each(|row| counts[bin_of(row, feature)] += 1);
            assert_eq!(*tally, counts, "{feature} {left} {event}");
        }
    }
    let counted = sides.map(|(left, event)| by.values().filter(side(left, event)).count() as u64);
    assert_eq!(sums.sets, counted);
    let persons = |left: bool| {
        let own = all.iter().filter(|row| (row.1 < 4.0) == left).map(|row| row.3);
        own.collect::<BTreeSet<_>>().len() as u64
    };
    assert!(sums.persons <= persons(true) && counted.iter().sum::<u64>() >= persons(true));
    assert_eq!(sums.rows, all.iter().filter(|row| row.1 < 4.0).count() as u64);
}

#[test]
fn a_set_with_rows_is_never_empty() {
    // One person, who is counted on the left, and has a row on the right too, with the event.
    let all: Vec<Row> = vec![(1, 0.0, 9.0, 5), (1, 8.0, 9.0, 5), (2, 1.0, 1.0, 6)];
    for family in [Family::Poisson, Family::Binomial] {
        let mut growth = growth(family);
        growth.splits = vec![Some(Split { feature: 1, bin: 3 })];
        let asked = vec![Asked { node: 1, ends: Vec::new() }];
        growth.ask = GrowthAsk::Nodes(asked.clone());
        let mut hospital = Hospital { rows: all.clone(), kept: None };
        let sums = &hospital.answer(&growth, &asked, 1)[0];
        let expected: &[u64] = if family == Family::Binomial { &[1, 1, 1, 0] } else { &[0, 1] };
        assert_eq!(sums.sets, expected, "{family:?}");
    }
}

#[test]
fn sums_that_no_stays_have_are_not_believed() {
    let mut hospitals = vec![Hospital { rows: rows(300), kept: None }];
    let mut boost = Boost::new(growth(Family::Poisson), OPTIONS).unwrap();
    for _ in 0..2 {
        let growth = boost.next().unwrap();
        boost.take(&told(&growth, &mut hospitals, 1)).unwrap();
    }
    let growth = boost.next().unwrap();
    let honest = told(&growth, &mut hospitals, 1);
    let lie = |change: &dyn Fn(&mut [Cell])| {
        let mut lying = honest.clone();
        change(lying.groups.get_mut(&0).unwrap());
        boost.clone().take(&lying)
    };
    assert_eq!(lie(&|_| ()), Ok(()));
    assert!(matches!(lie(&|bins| bins[0].1 += 1), Err(BoostError::Impossible(_))));
    assert!(matches!(lie(&|bins| bins[0].0 = Some(9_999)), Err(BoostError::Impossible(_))));
    let negative = lie(&|bins| {
        let all: i128 = bins.iter().map(|bin| bin.2).sum();
        bins[0].2 -= all;
        bins[1].2 += all;
    });
    assert!(matches!(negative, Err(BoostError::Impossible(_))));
}

#[test]
fn bins_become_as_many_as_told_and_no_more_than_are_wanted() {
    let run = |end, rows| Run { end, sums: Sums { rows, g: end as i128, h: 0 } };
    let number = Feature::Number(0, (1..9).map(f64::from).collect());
    let told = [run(1, 20), run(4, 0), run(5, 11), run(8, 30)];
    assert_eq!(coarse(&number, &told), Feature::Number(0, vec![2.0, 6.0]));
    let factor = Feature::Factor(0, vec![3, 0, 2, 1]);
    let mut told = [run(0, 20), run(2, 11), run(3, 30)];
    // The larger the gradient, the smaller the response: level by level 3/30, 0/20, 2/11, 2/11.
    assert_eq!(coarse(&factor, &told), Feature::Factor(0, vec![1, 2, 0, 0]));
    told[1].sums.rows = 0;
    assert_eq!(coarse(&factor, &told), Feature::Factor(0, vec![0, 1, 1, 1]), "nobody has them");
    let many = Feature::Number(0, (1..250).map(f64::from).collect());
    let told: Vec<Run> = (0..250).map(|end| run(end, 1 + end as u64 % 7)).collect();
    let bins = coarse(&many, &told).bins();
    assert!((50..=COARSE_BINS).contains(&bins), "{bins}");
    assert_eq!(coarse(&number, &[]).bins(), 1, "withheld");
}

#[test]
fn options_are_bounded() {
    let refused = |options: Options| Boost::new(growth(Family::Gamma), options).err();
    assert_eq!(refused(OPTIONS), None);
    for options in [
        Options { trees: 0, ..OPTIONS },
        Options { depth: 9, ..OPTIONS },
        Options { rate: 1.5, ..OPTIONS },
        Options { rate: f64::NAN, ..OPTIONS },
        Options { least_stays: 0, ..OPTIONS },
        Options { penalty: -1.0, ..OPTIONS },
        Options { penalty: f64::NAN, ..OPTIONS },
        Options { trees: 1_000, depth: 8, ..OPTIONS },
    ] {
        assert_eq!(refused(options), Some(BoostError::Options), "{options:?}");
    }
}
