//! The main job on real discharges: 50 hospitals of New York, 31 DRG groups.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use node::ingest::split_source;
use privacy::Policy;
use tests::{Answer, HospitalSource, Region};

const BENCHMARK: &str = "SELECT drg_code, count(*) AS stays, count(DISTINCT hospital_id) AS hospitals, \
    sum(total_cost) AS cost, avg(total_cost) AS mean_cost, stddev(total_cost) AS sd_cost, \
    avg(los_days) AS mean_los FROM stay GROUP BY drg_code";
const POOLED: &str = "SELECT drg_code, count(*) AS stays, sum(total_cost) AS cost, \
    avg(total_cost) AS mean_cost, stddev(total_cost) AS sd_cost, avg(los_days) AS mean_los \
    FROM stay GROUP BY drg_code";
const BY_HOSPITAL: &str = "SELECT hospital_id, drg_code, count(*) AS stays, \
    sum(total_cost) AS cost FROM stay GROUP BY hospital_id, drg_code";
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

fn open_policy() -> Policy {
    let mut policy = Policy::default();
    (policy.minimum.persons, policy.minimum.stays) = (Some(1), Some(1));
    policy.selectivity.persons = 1;
    policy
}

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
    assert_eq!(release.mode, "clear");
}

fn check_default(pooled: &Answer, by_hospital: &Answer, truth: &Truth) {
    let passes = |cell: &Cell| cell.stays >= MINIMUM;
    let released: BTreeMap<_, _> = truth.iter().filter(|(_, cell)| passes(cell)).collect();
    let sum = |cells: &mut dyn Iterator<Item = &Cell>| cells.map(|cell| cell.stays).sum::<u64>();
    let coverage = ratio(i128::from(sum(&mut released.values().copied())) * 10_000, 1)
        / ratio(i128::from(sum(&mut truth.values())) * 10_000, 1);
    for answer in [pooled, by_hospital] {
        let release = &answer.release;
        assert_eq!(release.cells_released, u64::try_from(released.len()).unwrap());
        assert_eq!(
            release.cells_withheld,
            u64::try_from(truth.len() - released.len()).unwrap(),
            "withheld cells are counted exactly"
        );
        let found = release.stays_coverage.unwrap();
        assert!((found - coverage).abs() < 1e-12, "coverage {found}, in truth {coverage}");
    }
    assert_eq!((&*pooled.release.scope, &*by_hospital.release.scope), ("pooled", "per_hospital"));

    let rows = by_hospital.rows();
    assert_eq!(rows.len(), released.len());
    for row in &rows {
        let cell = released[&(row[0].clone(), row[1].clone())];
        let found = Cell { stays: row[2].parse().unwrap(), cost_e4: e4(&row[3]) };
        assert_eq!(found, *cell, "{row:?}");
        assert!(found.stays >= MINIMUM);
    }
    let mut regional: BTreeMap<&str, Cell> = BTreeMap::new();
    for ((_, drg), cell) in &released {
        let sum = regional.entry(drg).or_default();
        sum.stays += cell.stays;
        sum.cost_e4 += cell.cost_e4;
    }
    let rows = pooled.rows();
    assert_eq!(rows.len(), regional.len());
    for row in rows {
        let found = Cell { stays: row[1].parse().unwrap(), cost_e4: e4(&row[2]) };
        assert_eq!(found, regional[row[0].as_str()], "what is withheld contributes nothing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_hospitals_give_the_known_benchmark() {
    let Some(folder) = data() else { return };
    let parts = tempfile::tempdir().unwrap();
    let source = folder.join("discharges.csv.gz");
    let parts = split_source(&source, "Permanent.Facility.Id", parts.path()).unwrap();
    assert_eq!(parts.len(), 50);
    let hospitals = parts.iter().map(|part| HospitalSource {
        mapping: "sparcs".to_owned(),
        ..HospitalSource::small(part.hospital.as_str(), part.path.clone())
    });
    let region =
        Region::builder().hospitals(hospitals).policy(open_policy()).start().await.unwrap();
    let answer = region.ask(POOLED).await.unwrap();
    assert_eq!((answer.rows().len(), &*answer.release.scope), (31, "pooled"));
    let benchmark = region.ask(BENCHMARK).await.unwrap();
    check_benchmark(&benchmark, &folder);

    for site in region.sites() {
        site.set_policy(&Policy::default()).unwrap();
    }
    let pooled = region.ask(POOLED).await.unwrap();
    let by_hospital = region.ask(BY_HOSPITAL).await.unwrap();
    check_default(&pooled, &by_hospital, &truth(&folder));
}
