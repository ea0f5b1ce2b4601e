use proptest::prelude::*;

use super::*;

/// Written by `testdata/dip_catalogue.py`.
const VECTORS: &str = include_str!("../../../testdata/dip_catalogue.csv");

fn cell(combination: &str, stays: u64, cost_e4: i128, sd: f64) -> Cell {
    Cell { combination: combination.to_owned(), stays, cost_e4, sd: (stays > 1).then_some(sd) }
}

fn close(found: f64, expected: &str) -> bool {
    let expected: f64 = expected.parse().unwrap();
    (found - expected).abs() <= 1e-12 * expected.abs()
}

fn vector_cells() -> Vec<Cell> {
    let lines = VECTORS.lines().filter_map(|line| line.strip_prefix("cell,"));
    let read = |line: &str| {
        let parts: Vec<&str> = line.split(',').collect();
        let sd = parts[3].parse().unwrap_or(f64::NAN);
        cell(parts[0], parts[1].parse().unwrap(), parts[2].parse().unwrap(), sd)
    };
    lines.map(read).collect()
}

#[test]
fn groups_are_those_of_an_independent_computation() {
    let made = catalogue(&vector_cells(), &CatalogueRules::default()).unwrap();
    assert_eq!(made.years, [(2022, 1), (2023, 2), (2024, 7)]);
    let expected: Vec<Vec<&str>> = VECTORS
        .lines()
        .filter_map(|line| line.strip_prefix("group,"))
        .map(|line| line.split(',').collect())
        .collect();
    assert_eq!(made.groups.len(), expected.len());
    for (group, parts) in made.groups.iter().zip(expected) {
        let [path, kind, stays, mean, weighted, sd, weight] = parts[..] else {
            panic!("{parts:?}")
        };
        assert_eq!((group.path.as_str(), group.kind.as_str()), (path, kind));
        assert_eq!(group.stays.to_string(), stays, "{path}");
        // One division of exact numbers, rounded once: the same bits.
        assert_eq!(group.mean.to_bits(), mean.parse::<f64>().unwrap().to_bits(), "{path}");
        let same = |a: f64, b: &str| a.to_bits() == b.parse::<f64>().unwrap().to_bits();
        assert!(same(group.weighted_mean, weighted), "{path}: {}", group.weighted_mean);
        assert!(same(group.weight.unwrap(), weight), "{path}: {:?}", group.weight);
        // Merged from released doubles.
        assert!(close(group.sd.unwrap(), sd), "{path}: {:?}", group.sd);
    }
    let core: u64 =
        made.groups.iter().filter(|g| g.kind == GroupKind::Core).map(|group| group.stays).sum();
    let share = double(core) / double(made.stays);
    assert_eq!(made.core_coverage.to_bits(), share.to_bits());
    assert!(!made.below_core_share && made.unplaced == 0);
}

#[test]
fn years_without_weight_and_empty_periods_are_said() {
    let rules = CatalogueRules::default();
    assert_eq!(catalogue(&[], &rules), Err(NoCatalogue::Empty));
    assert_eq!(catalogue(&[cell("OTHER", 20, 1, 0.0)], &rules), Err(NoCatalogue::Empty));
    let wide = [cell("2020|surgery", 20, 1, 0.0), cell("2024|surgery", 20, 1, 0.0)];
    let error = catalogue(&wide, &rules);
    assert_eq!(error, Err(NoCatalogue::Years { years: 5, weights: 3 }));
    // One year alone: its mean, whatever its weight; two cells without a year are in no group.
    let one = [cell("2024|surgery", 20, 400_000, 1.0), cell("OTHER", 12, 1, 0.0)];
    let made = catalogue(&one, &rules).unwrap();
    assert_eq!((made.years.clone(), made.unplaced, made.mean), (vec![(2024, 7)], 12, 2.0));
    assert!(made.below_core_share && made.core_coverage.to_bits() == 0);
    // Costs that add up to nothing have no weights.
    let free = catalogue(&[cell("2024|surgery", 20, 0, 0.0)], &rules).unwrap();
    assert_eq!((free.groups[0].weight, free.groups[0].cv), (None, None));
}

fn part(part: &str, combination: &str, stays: u64, mean_e4: i128, sd: f64) -> PartCell {
    let cost_e4 = mean_e4 * i128::from(stays);
    PartCell { part: part.to_owned(), cell: cell(combination, stays, cost_e4, sd) }
}

#[test]
fn a_split_needs_every_part_and_enough_of_a_gain() {
    const CODE: &str = "2024|surgery|K35|K35.8:47.01";
    let rules = CatalogueRules::default();
    // 50 stays of 1 and 50 of 9 units: mean 5, sd about 4.02, CV 0.804.
    let whole = Sums { stays: 100, cost_e4: 5_000_000, squares: 1_600.0 };
    let whole = cell(CODE, 100, whole.cost_e4, whole.sd().unwrap());
    let made = catalogue(std::slice::from_ref(&whole), &rules).unwrap();
    assert!(made.wants_splits(&rules));
    let split = |parts: &[PartCell]| {
        let mut made = made.clone();
        made.split("severity", parts, &rules);
        made.groups[0].split.clone()
    };
    let good = [part("cc", CODE, 50, 90_000, 0.5), part("none", CODE, 50, 10_000, 0.5)];
    let found = split(&good).unwrap();
    assert_eq!((found.by, found.parts.len()), ("severity", 2));
    assert_eq!((found.parts[0].part.as_str(), found.parts[0].weight), ("cc", Some(1.8)));
    assert!((found.mean_cv - (0.5 / 9.0 + 0.5) / 2.0).abs() < 1e-15);
    assert_eq!(split(&good[..1]), None, "one part is no split");
    let missing = [good[0].clone(), part("none", CODE, 49, 10_000, 0.5)];
    assert_eq!(split(&missing), None, "a stay is not known");
    let small = [part("cc", CODE, 90, 50_000, 0.5), part("none", CODE, 10, 50_000, 0.5)];
    assert_eq!(split(&small), None, "a part is too small");
    let useless = [part("cc", CODE, 50, 50_000, 4.0), part("none", CODE, 50, 50_000, 4.0)];
    assert_eq!(split(&useless), None, "the parts vary as much");
    // Of two splits the better stays, whichever comes first.
    let better = [part("a", CODE, 50, 90_000, 0.1), part("b", CODE, 50, 10_000, 0.1)];
    for order in [[&good, &better], [&better, &good]] {
        let mut made = made.clone();
        for parts in order {
            let by = if std::ptr::eq(parts, &raw const better) { "age" } else { "severity" };
            made.split(by, parts, &rules);
        }
        assert_eq!(made.groups[0].split.as_ref().unwrap().by, "age");
    }
    let steady = catalogue(&[cell(CODE, 100, 5_000_000, 1.0)], &rules).unwrap();
    assert!(!steady.wants_splits(&rules));
}

fn some_cells() -> impl Strategy<Value = Vec<Cell>> {
    let level = || prop::sample::select(vec!["", "surgery", "conservative|I10"]);
    let full = prop::sample::select(vec![
        "surgery|K35|K35.8:47.01",
        "surgery|K35|K35.8:47.09",
        "surgery|K36|K36:47.01",
        "conservative|I10|I10",
    ]);
    let one = (2022u16..=2024, prop_oneof![level(), full], 1u64..40, 0i128..10_000_000, 0.0..9e3);
    let cell = one.prop_map(|(year, path, stays, mean, sd)| {
        let code = if path.is_empty() { year.to_string() } else { format!("{year}|{path}") };
        cell(&code, stays, mean * i128::from(stays), sd)
    });
    prop::collection::vec(cell, 1..30)
}

proptest! {
    /// No stay and no cost is lost or counted twice, nothing rare is a core group, and the order in
    /// which cells come decides no bit.
    #[test]
    fn every_stay_is_in_one_group(cells in some_cells(), turn in 0usize..30) {
        let rules = CatalogueRules::default();
        let made = catalogue(&cells, &rules).unwrap();
        let stays: u64 = cells.iter().map(|cell| cell.stays).sum();
        prop_assert_eq!(made.groups.iter().map(|group| group.stays).sum::<u64>(), stays);
        prop_assert_eq!(made.stays, stays);
        for group in &made.groups {
            let rare = group.stays < rules.core_minimum;
            prop_assert!(!rare || group.path.is_empty(), "{:?}", group);
        }
        let cost: f64 = made.groups.iter().map(|group| group.mean * double(group.stays)).sum();
        let expected = cells.iter().map(|cell| cell.cost_e4).sum::<i128>().to_f64().unwrap() / 1e4;
        prop_assert!((cost - expected).abs() <= 1e-9 * expected.max(1.0));
        let mut turned = cells.clone();
        turned.rotate_left(turn % cells.len());
        let turned = catalogue(&turned, &rules).unwrap();
        prop_assert_eq!(format!("{:?}", turned), format!("{:?}", made));
        let list = DipList::of(&made, "dip", "1");
        prop_assert!(list.groups.len() == made.groups.len() && list.check().is_ok());
        // Every cell's stays are coded by a group of the list, if a combination or ancestor is.
        let codes = list.codes();
        for cell in &cells {
            let coded = codes.code_of(&cell.combination);
            prop_assert!(coded.is_none_or(|code| list.groups.iter().any(|g| g.dip_code == code)));
        }
    }
}
