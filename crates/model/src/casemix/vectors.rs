//! The formulas against vectors that other code computed: `testdata/casemix/vectors.py`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::alert::{self, Kind, Observed, Standard};
use super::benchmark::Basis;
use super::composition::{self, Means};
use super::deviation::{self, DeviationCells};
use super::index::{self, Form, IndexCell};
use super::parameters::{AlertRules, Parameters};
use super::payment::{Scheme, Volume, settle};
use super::trim::{self, Method};
use super::weight::{self, GroupCost};
use super::{money::E4, stay_length};

macro_rules! vectors {
    ($name:literal) => {
        parse(include_str!(concat!("../../testdata/casemix/", $name, ".json")))
    };
}

fn parse<T: DeserializeOwned>(text: &str) -> Vec<T> {
    let cases: Vec<T> = serde_json::from_str(text).unwrap();
    assert!(!cases.is_empty());
    cases
}

/// Equal to within a few roundings of doubles.
fn close(found: f64, expected: f64) {
    let tolerance = 1e-12 * expected.abs().max(1.0);
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
}

#[derive(Deserialize)]
struct Group {
    code: String,
    stays: u64,
    costed: u64,
    sum_e4: Option<i64>,
}

#[derive(Deserialize)]
struct ExpectedWeight {
    value: Option<f64>,
    basis: String,
}

#[derive(Deserialize)]
struct WeightCase {
    groups: Vec<Group>,
    expected: Vec<ExpectedWeight>,
}

/// The file computes F1 in two steps; here it is one, to the last bit or next to it.
#[test]
fn weights() {
    for case in vectors!("weight") {
        let case: WeightCase = case;
        let cost = |group: Group| GroupCost {
            code: group.code,
            stays: group.stays,
            costed: group.costed,
            sum_e4: group.sum_e4.map(i128::from),
        };
        let groups: Vec<_> = case.groups.into_iter().map(cost).collect();
        let found = weight::relative_weights(&groups, &Parameters::default().weight);
        for (found, expected) in found.iter().zip(&case.expected) {
            let basis = match expected.basis.as_str() {
                "own" => Basis::Own,
                "adjacent" => Basis::Adjacent,
                _ => Basis::None,
            };
            assert_eq!(found.basis, basis);
            assert_eq!(found.value.is_some(), expected.value.is_some());
            let (found, expected) = (found.value.unwrap_or(0.0), expected.value.unwrap_or(0.0));
            assert!((found - expected).abs() <= f64::EPSILON * expected, "{found} {expected}");
        }
        assert_eq!(found.len(), case.expected.len());
    }
}

#[derive(Deserialize)]
struct IndexCase {
    cells: Vec<(u64, f64, f64)>,
    ratio: f64,
    mean_ratio: f64,
}

#[test]
fn indices() {
    for case in vectors!("index") {
        let case: IndexCase = case;
        let cell = |(n, own_mean, reference_mean): &_| IndexCell {
            n: *n,
            own_mean: *own_mean,
            reference_mean: *reference_mean,
        };
        let cells: Vec<_> = case.cells.iter().map(cell).collect();
        close(index::index(&cells, Form::Ratio).unwrap(), case.ratio);
        close(index::index(&cells, Form::MeanRatio).unwrap(), case.mean_ratio);
    }
}

#[derive(Deserialize)]
struct VolumeRow {
    hospital: String,
    tier: String,
    group: String,
    stays: u64,
    cases: i64,
}

#[derive(Deserialize)]
struct SettleCase {
    scheme: String,
    fund_cents: i64,
    ratio: f64,
    scores: BTreeMap<String, f64>,
    tiers: BTreeMap<String, f64>,
    volumes: Vec<VolumeRow>,
    pool_cents: i64,
    value: f64,
    points: Vec<f64>,
    gross_cents: Vec<i64>,
    by_group: Vec<Vec<(String, i64)>>,
}

#[test]
fn settlements() {
    for case in vectors!("settle") {
        let case: SettleCase = case;
        let scheme = match case.scheme.as_str() {
            "rate" => Scheme::DrgRate,
            "points" => Scheme::DrgPoints,
            _ => Scheme::DipPoints,
        };
        let mut rules = Parameters::default();
        rules.payment.reimbursement_ratio = case.ratio;
        rules.payment.tier = case.tiers;
        let volume = |row: VolumeRow| Volume {
            hospital: row.hospital,
            tier: row.tier,
            group: row.group,
            stays: row.stays,
            cases: row.cases.into(),
        };
        let volumes: Vec<_> = case.volumes.into_iter().map(volume).collect();
        let settled =
            settle(scheme, case.fund_cents.into(), &case.scores, &volumes, &rules).unwrap();
        assert_eq!(settled.fund_cents, i128::from(case.pool_cents));
        close(settled.value, case.value);
        close(settled.total_points, case.points.iter().sum());
        assert_eq!(settled.settlements.len(), case.points.len());
        for (at, row) in settled.settlements.iter().enumerate() {
            close(row.points, case.points[at]);
            assert_eq!(row.gross_cents, i128::from(case.gross_cents[at]));
            let groups: Vec<_> = case.by_group[at]
                .iter()
                .map(|(k, cents)| (k.clone(), i128::from(*cents)))
                .collect();
            assert_eq!(row.by_group, groups);
        }
    }
}

#[derive(Deserialize)]
struct DeviationCase {
    mean: f64,
    stays: u64,
    low_stays: u64,
    low_sum_e4: i64,
    high_stays: u64,
    high_sum_e4: i64,
    review_stays: u64,
    micro: i64,
}

#[test]
fn case_equivalents() {
    for case in vectors!("deviation") {
        let case: DeviationCase = case;
        let cells = DeviationCells {
            stays: case.stays,
            low_stays: case.low_stays,
            low_sum_e4: case.low_sum_e4.into(),
            high_stays: case.high_stays,
            high_sum_e4: case.high_sum_e4.into(),
            review_stays: case.review_stays,
        };
        let rules = Parameters::default().deviation;
        let found = deviation::equivalents(&cells, case.mean, &rules).unwrap();
        assert_eq!(found, i128::from(case.micro));
    }
}

#[derive(Deserialize)]
struct TrimCase {
    values: Vec<f64>,
    kept: BTreeMap<String, Vec<bool>>,
}

#[test]
fn trimmed_rows() {
    for case in vectors!("trim") {
        let case: TrimCase = case;
        assert_eq!(case.kept.len(), Method::ALL.len());
        for (method, kept) in &case.kept {
            let rules = Parameters::default().trim;
            let found = trim::trim_rows(&case.values, method.parse().unwrap(), &rules);
            assert_eq!(&found, kept, "{method} of {}", case.values.len());
        }
    }
}

#[derive(Deserialize)]
struct StayCase {
    counts: Vec<u64>,
    median: f64,
    geometric_mean: f64,
}

#[test]
fn lengths_of_stay() {
    for case in vectors!("stay_length") {
        let case: StayCase = case;
        close(stay_length::median(&case.counts).unwrap(), case.median);
        close(stay_length::geometric_mean_of_days(&case.counts).unwrap(), case.geometric_mean);
    }
}

#[derive(Deserialize)]
struct CompositionCase {
    own: BTreeMap<String, Option<i64>>,
    reference: BTreeMap<String, Option<i64>>,
    means: (f64, f64),
    shares: Vec<(String, f64)>,
    drug: f64,
    consumable: f64,
    medical_service: f64,
    money: Vec<(String, f64)>,
}

#[test]
fn compositions() {
    for case in vectors!("composition") {
        let case: CompositionCase = case;
        let sums = |sums: BTreeMap<String, Option<i64>>| -> Vec<(String, Option<E4>)> {
            sums.into_iter().map(|(class, sum)| (class, sum.map(i128::from))).collect()
        };
        let (own, reference) = (composition::shares(&sums(case.own)), sums(case.reference));
        assert_eq!(own.len(), case.shares.len());
        for (found, (class, share)) in own.iter().zip(&case.shares) {
            assert_eq!(&found.class, class);
            close(found.share, *share);
        }
        let groups = composition::group_shares(&own).unwrap();
        close(groups.drug, case.drug);
        close(groups.consumable, case.consumable);
        close(groups.medical_service, case.medical_service);
        let means = Means { own: case.means.0, reference: case.means.1 };
        let found = composition::differences(&own, &composition::shares(&reference), means);
        assert_eq!(found.len(), case.money.len());
        for (found, (class, money)) in found.iter().zip(&case.money) {
            assert_eq!(&found.class, class);
            assert!((found.money - money).abs() < 1e-9, "{class}");
        }
    }
}

#[derive(Deserialize)]
struct StandardRow {
    tier: String,
    group: String,
    mean_cost: f64,
    sd_cost: f64,
    mean_los: f64,
    sd_los: f64,
    median_los: f64,
}

#[derive(Deserialize)]
struct CellRow {
    hospital: String,
    tier: String,
    group: String,
    stays: u64,
    mean_cost: f64,
    mean_los: f64,
}

#[derive(Deserialize)]
struct AlertCase {
    standards: Vec<StandardRow>,
    cells: Vec<CellRow>,
    expected: Vec<(String, String, String, f64, f64)>,
}

#[test]
fn alerts() {
    for case in vectors!("alert") {
        let case: AlertCase = case;
        let cell = |row: CellRow| Observed {
            hospital: row.hospital,
            tier: row.tier,
            group: row.group,
            stays: row.stays,
            mean_cost: Some(row.mean_cost),
            mean_los: Some(row.mean_los),
        };
        let cells: Vec<_> = case.cells.into_iter().map(cell).collect();
        let standard = |tier: &str, group: &str| {
            let row = case.standards.iter().find(|row| row.tier == tier && row.group == group)?;
            Some(Standard {
                mean_cost: Some(row.mean_cost),
                sd_cost: Some(row.sd_cost),
                mean_los: Some(row.mean_los),
                sd_los: Some(row.sd_los),
                median_los: Some(row.median_los),
            })
        };
        let plain = AlertRules { skewed: false, ..Parameters::default().alerts };
        let found = alert::alerts(&cells, standard, &plain);
        assert_eq!(found.len(), case.expected.len());
        for (found, (kind, hospital, group, at_stake, z)) in found.iter().zip(&case.expected) {
            let kind = match kind.as_str() {
                "cost" => Kind::Cost,
                "early" => Kind::CostEarly,
                "los" => Kind::LengthOfStay,
                _ => Kind::SeverityMix,
            };
            assert_eq!((found.kind, &found.hospital, &found.group), (kind, hospital, group));
            close(found.at_stake, *at_stake);
            close(found.z, *z);
        }
    }
}
