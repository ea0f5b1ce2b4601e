//! The main job on real discharges: 50 hospitals of New York, 31 DRG groups.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use node::ingest::split_source;
use tests::{Answer, HospitalSource, Region, open_policy};

const BENCHMARK: &str = "SELECT drg_code, count(*) AS stays, count(DISTINCT hospital_id) AS hospitals, \
    sum(total_cost) AS cost, avg(total_cost) AS mean_cost, stddev(total_cost) AS sd_cost, \
    avg(los_days) AS mean_los FROM stay GROUP BY drg_code";
const POOLED: &str = "SELECT drg_code, count(*) AS stays, sum(total_cost) AS cost, \
    avg(total_cost) AS mean_cost, stddev(total_cost) AS sd_cost, avg(los_days) AS mean_los \
    FROM stay GROUP BY drg_code";
const BY_HOSPITAL: &str = "SELECT hospital_id, drg_code, count(*) AS stays, \
    sum(total_cost) AS cost FROM stay GROUP BY hospital_id, drg_code";
const PERCENTILES: &str = "SELECT drg_code, approx_median(los_days) AS los, approx_median(total_cost) AS cost \
    FROM stay GROUP BY drg_code";
const MINIMUM: u64 = 11;

/// What one hospital has of one group, from the file itself.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Cell {
    stays: u64,
    cost_e4: i128,
}

/// (hospital, drg) to what is there.
type Truth = BTreeMap<(String, String), Cell>;

#[allow(clippy::print_stderr, reason = "a test that cannot run says so")]
fn data() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let folder = workspace.join("../shared/data/sparcs");
    let there = folder.join("discharges.csv.gz").is_file();
    if !there {
        eprintln!("NOT TESTED: the discharge data is absent ({})", folder.display());
    }
    there.then_some(folder)
}

/// A decimal text in units of 10^-4.
fn e4(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!(fraction.len() <= 4, "{text} is finer than 10^-4");
    format!("{whole}{fraction:0<4}").parse().unwrap()
}

fn truth(folder: &Path) -> Truth {
    let mut text = String::new();
    let file = std::fs::File::open(folder.join("discharges.csv.gz")).unwrap();
    GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|field| field == name).unwrap();
    let (hospital, drg) = (column("Permanent.Facility.Id"), column("APR.DRG.Code"));
    let cost = column("Total.Costs");
    let mut truth = Truth::new();
    for record in reader.records() {
        let record = record.unwrap();
        let key = (record[hospital].to_owned(), record[drg].to_owned());
        let cell = truth.entry(key).or_default();
        cell.stays += 1;
        cell.cost_e4 += e4(&record[cost]);
    }
    truth
}

const COST: &str =
    "SELECT drg_code, count(*) AS n, sum(total_cost) AS cost FROM stay GROUP BY drg_code";
const BY_HOSPITAL_COST: &str = "SELECT hospital_id, drg_code, count(*) AS n, sum(total_cost) AS cost \
                                FROM stay GROUP BY 1, 2";
const CROSSED: &str = "SELECT hospital_id, drg_code, age_band, count(*) AS n, sum(total_cost) AS cost \
                       FROM stay GROUP BY 1, 2, 3";

fn close(found: &str, expected: f64, relative: f64, what: &str) {
    let found: f64 = found.parse().unwrap();
    let error = ((found - expected) / expected).abs();
    assert!(error <= relative, "{what}: {found} instead of {expected}, off by {error:e}");
}

/// A sum over a count as the nearest double.
fn ratio(sum_e4: i128, count: u64) -> f64 {
    let text = format!("{sum_e4}e-4");
    text.parse::<f64>().unwrap() / count.to_string().parse::<f64>().unwrap()
}

fn check_benchmark(answer: &Answer, folder: &Path) {
    let mut reader = csv::Reader::from_path(folder.join("expected_by_drg.csv")).unwrap();
    let rows = answer.rows();
    let mut groups = 0;
    for record in reader.records() {
        let record = record.unwrap();
        let drg = &record[0];
        let row = rows.iter().find(|row| row[0] == *drg);
        let row = row.unwrap_or_else(|| panic!("DRG {drg} is missing"));
        assert_eq!((&row[1], &row[2]), (&record[1].to_owned(), &record[2].to_owned()), "DRG {drg}");
        assert_eq!(e4(&row[3]), e4(&record[3]), "cost of DRG {drg}, to the cent");
        let stays: u64 = record[1].parse().unwrap();
        close(&row[4], ratio(e4(&record[3]), stays), 1e-12, "mean cost");
        close(&row[5], record[5].parse().unwrap(), 1e-9, "sd of cost");
        close(&row[6], record[8].parse().unwrap(), 1e-9, "mean length of stay");
        groups += 1;
    }
    assert_eq!((groups, rows.len()), (31, 31));
    let release = &answer.release;
    assert_eq!((release.hospitals_asked, release.hospitals_answered), (50, 50));
    assert_eq!((release.cells_withheld, release.stays_coverage), (0, Some(1.0)));
    assert_eq!(release.mode, "masked");
}

/// Which groups pass the default rules of the region, and which of their sums of money do.
fn rescued(truth: &Truth) -> BTreeMap<&str, (Cell, bool)> {
    let mut groups: BTreeMap<&str, Vec<Cell>> = BTreeMap::new();
    for ((_, drg), cell) in truth {
        groups.entry(drg).or_default().push(*cell);
    }
    let mut passing = BTreeMap::new();
    for (drg, cells) in groups {
        let stays: u64 = cells.iter().map(|cell| cell.stays).sum();
        let cost_e4: i128 = cells.iter().map(|cell| cell.cost_e4).sum();
        if stays < MINIMUM || cells.len() < 3 {
            continue;
        }
        // Σx² / (Σx)² <= 0.5625, in whole cents so that it fits.
        let cents = |e4: i128| e4 / 100;
        let squares: i128 = cells.iter().map(|cell| cents(cell.cost_e4).pow(2)).sum();
        let shared = squares * 10_000 <= cents(cost_e4).pow(2) * 5_625;
        passing.insert(drg, (Cell { stays, cost_e4 }, shared));
    }
    passing
}

#[allow(clippy::print_stderr, reason = "the figures belong into the closing note")]
fn check_default(pooled: &Answer, by_hospital: &Answer, truth: &Truth) {
    let local: BTreeMap<_, _> = truth.iter().filter(|(_, cell)| cell.stays >= MINIMUM).collect();
    let sum = |cells: &mut dyn Iterator<Item = &Cell>| cells.map(|cell| cell.stays).sum::<u64>();
    let all = sum(&mut truth.values());
    let share =
        |part: u64| ratio(i128::from(part) * 10_000, 1) / ratio(i128::from(all) * 10_000, 1);
    let close_to = |found: Option<f64>, expected: f64| {
        let found = found.unwrap();
        assert!((found - expected).abs() < 1e-12, "coverage {found}, in truth {expected}");
    };

    let release = &by_hospital.release;
    let count = |number: usize| u64::try_from(number).unwrap();
    assert_eq!((release.scope.as_str(), release.mode.as_str()), ("per_hospital", "clear"));
    assert_eq!(release.cells_released, count(local.len()));
    assert_eq!(release.cells_withheld, count(truth.len() - local.len()));
    close_to(release.stays_coverage, share(sum(&mut local.values().copied())));
    let rows = by_hospital.rows();
    assert_eq!(rows.len(), local.len());
    for row in &rows {
        let cell = local[&(row[0].clone(), row[1].clone())];
        let found = Cell { stays: row[2].parse().unwrap(), cost_e4: e4(&row[3]) };
        assert_eq!(found, *cell, "{row:?}");
        assert!(found.stays >= MINIMUM);
    }

    let expected = rescued(truth);
    let groups: std::collections::BTreeSet<_> = truth.keys().map(|(_, drg)| drg).collect();
    let release = &pooled.release;
    assert_eq!((release.scope.as_str(), release.mode.as_str()), ("pooled", "masked"));
    assert_eq!(release.cells_released, count(expected.len()));
    assert_eq!(release.cells_withheld, count(groups.len() - expected.len()));
    // Cost is one measure with its mean and deviation, and the only one of money.
    let dominated = expected.values().filter(|(_, shared)| !shared).count();
    assert_eq!(release.measures_withheld, count(dominated));
    let rows = pooled.rows();
    assert_eq!(rows.len(), expected.len());
    for row in rows {
        let (cell, shared) = expected[row[0].as_str()];
        assert_eq!(row[1].parse::<u64>().unwrap(), cell.stays, "{row:?}");
        if shared {
            assert_eq!(e4(&row[2]), cell.cost_e4, "cost of DRG {}, to the cent", row[0]);
        } else {
            assert!(row[2].is_empty() && row[3].is_empty() && row[4].is_empty(), "{row:?}");
        }
        assert!(!row[5].is_empty(), "length of stay is no money: {row:?}");
    }
    let opened: u64 = expected.values().map(|(cell, _)| cell.stays).sum();
    close_to(release.stays_coverage, share(opened));
    // Whatever a hospital would have withheld by itself and the region shows.
    let mut alone: BTreeMap<&str, u64> = BTreeMap::new();
    for ((_, drg), cell) in &local {
        *alone.entry(drg).or_default() += cell.stays;
    }
    let more = expected.keys().filter(|drg| !alone.contains_key(*drg)).count();
    eprintln!(
        "{} of {} groups and {opened} of {all} stays are opened, {dominated} without cost; local \
         suppression alone would show {} groups and {} stays: {more} groups more, {} stays more",
        expected.len(),
        groups.len(),
        alone.len(),
        alone.values().sum::<u64>(),
        opened - alone.values().sum::<u64>(),
    );
}

/// Stays and cost of an answer's rows that tell them, which end with a count and a sum.
fn told(answer: &Answer) -> [f64; 2] {
    let column = |from_the_end: usize| {
        let rows = answer.rows();
        let told = rows.iter().filter_map(|row| row[row.len() - from_the_end].parse::<f64>().ok());
        told.sum::<f64>()
    };
    [column(2), column(1)]
}

/// What the minimum alone would let pass, of an answer that tells everything.
fn large(answer: &Answer) -> [f64; 2] {
    let rows = answer.rows().into_iter().filter_map(|row| {
        let [.., stays, cost] = row.as_slice() else { return None };
        Some((stays.parse::<f64>().ok()?, cost.parse::<f64>().ok()?))
    });
    let large = rows.filter(|(stays, _)| *stays >= 11.0);
    large.fold([0.0; 2], |[stays, cost], one| [stays + one.0, cost + one.1])
}

/// What all rules together cost beside the minimum alone, in stays and in cost.
#[allow(clippy::print_stderr, reason = "the figures belong into the closing note")]
fn check_utility(what: &str, open: &Answer, strict: &Answer, most_points: f64) {
    let all = told(open);
    for (index, unit) in ["stays", "cost"].into_iter().enumerate() {
        let share = |part: [f64; 2]| 100.0 * part[index] / all[index];
        let (alone, full) = (share(large(open)), share(told(strict)));
        eprintln!("{what}: {full:.2} % of {unit} are told, {alone:.2} % by the minimum alone");
        assert!(full > 0.0 && full <= alone + 1e-9, "{what}");
        assert!(alone - full <= most_points, "{what}: {full} of {alone} % of {unit}");
    }
}

/// Medians against those of the file, which a statistics package has made.
#[allow(clippy::print_stderr, reason = "the figures belong into the closing note")]
fn check_medians(answer: &Answer, folder: &Path) {
    let mut reader = csv::Reader::from_path(folder.join("expected_by_drg.csv")).unwrap();
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|field| field == name).unwrap();
    let truth: Vec<_> = reader.records().map(Result::unwrap).collect();
    for (index, name) in [(1, "los_median"), (2, "cost_median")] {
        let stated = &answer.release.approximations[index - 1];
        let (mut told, mut exact, mut errors) = (0, 0, Vec::new());
        for row in answer.rows() {
            let Ok(found) = row[index].parse::<f64>() else { continue };
            let expected = truth.iter().find(|record| record[0] == *row[0]).unwrap();
            let expected: f64 = expected[column(name)].parse().unwrap();
            let error = (found - expected).abs();
            // The file has medians to the cent.
            assert!(
                error <= stated.largest_error + 0.005,
                "{name} {row:?}: {expected}, {stated:?}"
            );
            told += 1;
            exact += u64::from(error < 1e-9);
            errors.push(error / expected);
        }
        assert_eq!(told, stated.groups);
        assert!(exact >= stated.exact, "{name}: {exact} of {stated:?}");
        errors.sort_by(f64::total_cmp);
        eprintln!(
            "{name}: {stated:?}, in truth off by {:.4} at the median",
            errors[errors.len() / 2]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_hospitals_give_the_known_benchmark() {
    let Some(folder) = data() else { return };
    let parts = tempfile::tempdir().unwrap();
    let source = folder.join("discharges.csv.gz");
    let parts = split_source(&source, "Permanent.Facility.Id", parts.path()).unwrap();
    assert_eq!(parts.len(), 50);
    let hospitals = || {
        parts.iter().map(|part| HospitalSource {
            mapping: "sparcs".to_owned(),
            ..HospitalSource::small(part.hospital.as_str(), part.path.clone())
        })
    };
    let region =
        Region::builder().hospitals(hospitals()).policy(open_policy()).start().await.unwrap();
    let answer = region.ask(POOLED).await.unwrap();
    assert_eq!((answer.rows().len(), &*answer.release.scope), (31, "pooled"));
    let benchmark = region.ask(BENCHMARK).await.unwrap();
    check_benchmark(&benchmark, &folder);

    let by_hospital = region.ask(BY_HOSPITAL_COST).await.unwrap();
    let crossed = region.ask(CROSSED).await.unwrap();
    let by_group = region.ask(COST).await.unwrap();
    drop(region);

    let region = Region::builder().hospitals(hospitals()).start().await.unwrap();
    check_utility("regional sums", &by_group, &region.ask(COST).await.unwrap(), 5.0);
    let strict = region.ask(BY_HOSPITAL_COST).await.unwrap();
    check_utility("by hospital and group", &by_hospital, &strict, 5.0);
    let strict = region.ask(CROSSED).await.unwrap();
    check_utility("by hospital, group and age", &crossed, &strict, 100.0);
    drop(region);

    let region = Region::builder().hospitals(hospitals()).start().await.unwrap();
    let pooled = region.ask(POOLED).await.unwrap();
    let by_hospital = region.ask(BY_HOSPITAL).await.unwrap();
    check_default(&pooled, &by_hospital, &truth(&folder));
    check_medians(&region.ask(PERCENTILES).await.unwrap(), &folder);
}
