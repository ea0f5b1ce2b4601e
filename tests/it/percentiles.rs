//! Percentiles over whole regions: within the bounds that they state, exact where days are counted,
//! and never of fewer persons than the rules say.
//!
//! The truth is a sorted list of all values.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tests::fixture::{self, Stay};
use tests::{Answer, HospitalSource, Region};

const SEED: u64 = 20_261_122;
const HOSPITALS: usize = 5;
const DRGS: [&str; 3] = ["AA1", "BB2", "CC3"];

/// Stays of a hospital: AA1 is common, CC3 has a handful of stays.
fn hospital(number: usize) -> Vec<Stay> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED + number as u64);
    let stay = |(number, drg): (u32, &'static str)| Stay {
        drg,
        los_days: 1 + rng.random_range(0..5) + rng.random_range(0..4),
        cost_cents: 50_000 + rng.random_range(0..1_000_i64) * rng.random_range(0..2_000_i64),
        ..Stay::plain(number)
    };
    let drgs = [(400, DRGS[0]), (60, DRGS[1]), (6, DRGS[2])];
    let drgs = drgs.into_iter().flat_map(|(count, drg)| std::iter::repeat_n(drg, count));
    (0..).zip(drgs).map(stay).collect()
}

async fn region(hospitals: &[Vec<Stay>]) -> (tempfile::TempDir, Region) {
    let folder = tempfile::tempdir().unwrap();
    let sources = hospitals.iter().zip(1..).map(|(stays, number)| {
        let id = format!("h-{number}");
        HospitalSource::small(&id, fixture::write(folder.path(), &id, stays.clone()))
    });
    let region = Region::builder().hospitals(sources).start().await.unwrap();
    (folder, region)
}

/// SQL's PERCENTILE_CONT at so many tenths.
fn percentile(values: &[f64], tenths: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() - 1) * tenths;
    let (below, above) = (sorted[rank / 10], sorted[rank.div_ceil(10)]);
    below + (above - below) * f64::from(u8::try_from(rank % 10).unwrap()) / 10.0
}

fn values<'a>(
    stays: impl IntoIterator<Item = &'a Stay>,
    of: impl Fn(&Stay) -> f64,
) -> BTreeMap<&'static str, Vec<f64>> {
    let mut values = BTreeMap::<_, Vec<f64>>::new();
    for stay in stays {
        values.entry(stay.drg).or_default().push(of(stay));
    }
    values
}

fn days(stay: &Stay) -> f64 {
    f64::from(stay.los_days)
}

fn cost(stay: &Stay) -> f64 {
    stay.cost_cents as f64 / 100.0
}

/// No value of the answer's column is further from the truth than the answer says.
fn within(answer: &Answer, column: usize, stated: usize, truth: &BTreeMap<&str, f64>) -> usize {
    let largest = answer.release.approximations[stated].largest_error;
    let mut told = 0;
    for row in answer.rows() {
        let Ok(found) = row[column].parse::<f64>() else { continue };
        let error = (found - truth[row[0].as_str()]).abs();
        assert!(error <= largest + 1e-9, "{row:?}: off by {error}, stated {largest}");
        told += 1;
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn pooled_percentiles_lie_within_what_they_state() {
    let hospitals: Vec<_> = (0..HOSPITALS).map(hospital).collect();
    let (_folder, region) = region(&hospitals).await;
    let all = || hospitals.iter().flatten();
    let truth = |of: fn(&Stay) -> f64, tenths: usize| -> BTreeMap<&str, f64> {
        let values = values(all(), of);
        values.into_iter().map(|(drg, values)| (drg, percentile(&values, tenths))).collect()
    };
    let sql = "SELECT drg_code, approx_median(los_days) AS los, approx_median(total_cost) AS cost, \
               approx_percentile_cont(total_cost, 0.9) AS high, \
               approx_percentile_cont(0.9) WITHIN GROUP (ORDER BY los_days DESC) AS short, \
               count(*) AS n FROM stay GROUP BY drg_code ORDER BY drg_code";
    let answer = region.ask(sql).await.unwrap();
    let rows = answer.rows();
    assert_eq!(answer.release.mode, "masked");
    assert_eq!(rows.iter().map(|row| &*row[0]).collect::<Vec<_>>(), DRGS);
    let stated = &answer.release.approximations;
    assert_eq!(stated.iter().map(|one| one.groups).collect::<Vec<_>>(), [3, 2, 2, 3], "{stated:?}");
    assert_eq!(within(&answer, 1, 0, &truth(days, 5)), 3);
    // The thirty stays of CC3 make two runs of bins, and the upper one has no end: neither percentile
    // of its costs is told.
    assert_eq!(within(&answer, 2, 1, &truth(cost, 5)), 2);
    assert_eq!(within(&answer, 3, 2, &truth(cost, 9)), 2);
    assert_eq!(within(&answer, 4, 3, &truth(days, 1)), 3);
    // Where enough persons have each length of stay, the median is exact.
    assert!(stated[0].exact >= 2 && stated[0].aggregate.contains("los_days"), "{stated:?}");
    for row in &rows[..2] {
        let exact = truth(days, 5)[row[0].as_str()];
        assert_eq!(row[1], format!("{exact:?}"), "{row:?}");
    }
    let again = region.ask(sql).await.unwrap();
    assert_eq!(again.rows(), rows, "the same bits");
}

#[tokio::test(flavor = "multi_thread")]
async fn hospitals_give_percentiles_of_their_own() {
    let hospitals: Vec<_> = (0..3).map(hospital).collect();
    let (_folder, region) = region(&hospitals).await;
    let sql = "SELECT hospital_id, approx_median(total_cost) FILTER (WHERE sex = 'F') AS cost, \
               approx_median(los_days) AS los FROM stay WHERE drg_code = 'AA1' GROUP BY hospital_id \
               ORDER BY hospital_id";
    let answer = region.ask(sql).await.unwrap();
    let rows = answer.rows();
    assert_eq!((rows.len(), answer.release.mode.as_str()), (3, "clear"));
    for (row, stays) in rows.iter().zip(&hospitals) {
        let of = |stays: Vec<&Stay>, of: fn(&Stay) -> f64| {
            percentile(&stays.into_iter().map(of).collect::<Vec<_>>(), 5)
        };
        let common = || stays.iter().filter(|stay| stay.drg == "AA1");
        let women = of(common().filter(|stay| stay.sex == "F").collect(), cost);
        let error = (row[1].parse::<f64>().unwrap() - women).abs();
        assert!(error <= answer.release.approximations[0].largest_error, "{row:?} {women}");
        assert_eq!(row[2], format!("{:?}", of(common().collect(), days)), "{row:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_few_persons_is_not_told() {
    // Everybody stays one day, but for ten stays of 20 days: of ten persons, or of one.
    for persons in [10, 1] {
        let hospital = |number: usize| {
            let long = (0..if number == 0 { 10 } else { 0 }).map(|stay| Stay {
                stay: format!("long-{stay}"),
                person: format!("long-{}", stay % persons),
                los_days: 20,
                ..Stay::plain(stay)
            });
            let short = (0..20).map(|number| Stay { los_days: 1, ..Stay::plain(number) });
            short.chain(long).collect()
        };
        let hospitals: Vec<Vec<Stay>> = (0..3).map(hospital).collect();
        let (_folder, region) = region(&hospitals).await;
        for from in ["FROM stay", "FROM stay GROUP BY hospital_id ORDER BY hospital_id"] {
            let sql = format!(
                "SELECT approx_percentile_cont(los_days, 1.0) AS longest, \
                 approx_percentile_cont(los_days, 0.1) AS short {from}"
            );
            let answer = region.ask(&sql).await.unwrap();
            let rows = answer.rows();
            // The ten and the twenty are one run, of which nobody knows how far it reaches.
            assert_eq!(rows[0], ["", ""], "{from}: the ten are not told apart");
            // The other hospitals have nobody longer, and say so.
            assert!(rows[1..].iter().all(|row| *row == ["1.0", "1.0"]), "{rows:?}");
        }
    }
}
