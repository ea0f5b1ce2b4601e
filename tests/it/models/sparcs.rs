//! Real discharges of 50 hospitals against statsmodels on the pooled rows
//! (`testdata/models/sparcs_models.py`, its output beside it).

use std::path::{Path, PathBuf};
use std::process::Command;

use node::ingest::split_source;
use privacy::Policy;
use serde_json::Value;
use tests::{HospitalSource, Region, open_policy};

use super::{coefficients, json, number};
use crate::client::user_folder;

const REFERENCE: &str = include_str!("../../testdata/models/sparcs_models.json");
const TOLERANCE: f64 = 1e-7;
/// Name in the reference, formula, family, further words.
const MODELS: [(&str, &str, &str, &[&str]); 5] = [
    (
        "gamma_cost",
        "total_cost ~ age_band + sex + severity + drg_code + log(los_days)",
        "gamma",
        &["--cluster"],
    ),
    (
        "gaussian_log_cost",
        "log(total_cost) ~ age_band + sex + severity + drg_code + log(los_days)",
        "gaussian",
        &["--cluster"],
    ),
    ("poisson_los", "los_days ~ age_band + sex + severity + drg_code", "poisson", &["--cluster"]),
    ("nb2_los", "los_days ~ age_band + sex + severity + drg_code", "negative-binomial", &[]),
    ("binomial_ridge", "died ~ age_band + sex + severity", "binomial", &["--ridge", "1"]),
];

#[allow(clippy::print_stderr, reason = "a test that cannot run says so")]
pub(super) fn discharges() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let file = workspace.join("../shared/data/sparcs/discharges.csv.gz");
    if !file.is_file() {
        eprintln!("NOT TESTED: the discharge data is absent ({})", file.display());
    }
    file.is_file().then_some(file)
}

/// What a script of the reference says today; `None` where the data or the script's package is absent.
#[allow(clippy::print_stderr, reason = "a test that cannot run says so")]
pub(super) fn rerun(script: &str, package: &str) -> Option<Value> {
    let file = discharges()?;
    let import = format!("import {package}, pandas");
    let there = Command::new("python3").args(["-c", &import]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        eprintln!("NOT TESTED: python3 has no {package}");
        return None;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/models");
    let output = Command::new("python3").arg("-B").arg(folder.join(script)).arg(file).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

async fn region(file: &Path, folder: &Path, policy: Policy) -> Region {
    let parts = split_source(file, "Permanent.Facility.Id", folder).unwrap();
    let hospitals = parts.into_iter().map(|part| HospitalSource {
        id: part.hospital.to_string(),
        tier: "tertiary".into(),
        county: "New York".into(),
        source: Some(part.path),
        mapping: "sparcs".into(),
    });
    Region::builder().hospitals(hospitals).policy(policy).start().await.unwrap()
}

fn close(found: f64, expected: f64, what: &str) {
    let error = (found - expected).abs();
    assert!(error <= TOLERANCE * expected.abs(), "{what}: {found} instead of {expected}");
}

fn check(card: &Value, expected: &Value) {
    let name = expected["name"].as_str().unwrap();
    let list = |field: &str| expected[field].as_array().cloned().unwrap_or_default();
    let columns = list("columns");
    let estimates = coefficients(card, "estimate");
    assert_eq!(card["fit"]["stays"], expected["stays"], "{name}");
    assert_eq!(card["fit"]["withheld_pairs"], 0, "{name}");
    assert_eq!(estimates.len(), columns.len(), "{name}");
    for (field, reference) in [
        ("estimate", "estimates"),
        ("standard_error", "errors"),
        ("robust_standard_error", "robust_errors"),
        ("clustered_standard_error", "clustered_errors"),
    ] {
        for (column, value) in columns.iter().zip(list(reference)) {
            let column = column.as_str().unwrap();
            let found = coefficients(card, field).into_iter().find(|(name, _)| name == column);
            let (_, found) = found.unwrap_or_else(|| panic!("{name} has no {column}"));
            close(found, number(&value), &format!("{name}: {field} of {column}"));
        }
    }
    for (field, reference) in [
        ("deviance", "deviance"),
        ("null_deviance", "null_deviance"),
        ("log_likelihood", "log_likelihood"),
        ("pearson_dispersion", "pearson_dispersion"),
        ("aic", "aic"),
        ("shape", "shape"),
        ("shape_standard_error", "shape_error"),
    ] {
        if let Some(value) = expected[reference].as_f64() {
            close(number(&card["fit"][field]), value, &format!("{name}: {field}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fits_over_fifty_hospitals_are_those_of_statsmodels() {
    let Some(file) = discharges() else { return };
    let folder = tempfile::tempdir().unwrap();
    let region = region(&file, folder.path(), open_policy()).await;
    let user = user_folder(&region, folder.path());
    let user = user.to_str().unwrap();
    let reference: Value = serde_json::from_str(REFERENCE).unwrap();
    let expected = reference["models"].as_array().unwrap();
    for (name, formula, family, words) in MODELS {
        let expected = expected.iter().find(|one| one["name"] == name).unwrap();
        let base = ["fit", formula, "--region", user, "--family", family, "--format", "json"];
        let card = json(&[&base[..], words].concat()).await;
        check(&card, expected);
        let provenance = &card["provenance"];
        let rounds = provenance["rounds"].as_array().unwrap().len();
        assert_eq!(provenance["snapshots"].as_object().unwrap().len(), 50);
        assert_eq!(
            (provenance["mode"].as_str(), provenance["restarts"].as_u64()),
            (Some("masked"), Some(0))
        );
        assert!(rounds <= 12, "{name}: {rounds} rounds");
    }
    let models = json(&["model", "list", "--region", user, "--format", "json"]).await;
    assert_eq!(models["models"].as_array().unwrap().len(), 5);
}

/// Under the default minimum some pairs of levels are withheld. The score is not, so the estimate is
/// the same; standard errors are near.
#[tokio::test(flavor = "multi_thread")]
async fn withheld_pairs_leave_the_estimate_as_it_is() {
    let Some(file) = discharges() else { return };
    let formula = "total_cost ~ age_band + sex + severity + payer + mortality_risk + log(los_days)";
    let mut cards = Vec::new();
    for minimum in [1, 11] {
        let folder = tempfile::tempdir().unwrap();
        let mut policy = open_policy();
        (policy.minimum.persons, policy.minimum.stays) = (Some(minimum), Some(minimum));
        let region = region(&file, folder.path(), policy).await;
        let user = user_folder(&region, folder.path());
        let user = user.to_str().unwrap();
        let words = ["fit", formula, "--region", user, "--family", "gamma", "--format", "json"];
        cards.push(json(&words).await);
    }
    let [told, strict] = [&cards[0], &cards[1]];
    assert_eq!(told["fit"]["withheld_pairs"], 0);
    assert!(strict["fit"]["withheld_pairs"].as_u64().unwrap() > 0);
    let (exact, found) = (coefficients(told, "estimate"), coefficients(strict, "estimate"));
    let common: Vec<_> = found.iter().filter(|one| exact.iter().any(|e| e.0 == one.0)).collect();
    assert!(common.len() > 10 && common.len() == exact.len(), "{exact:?} {found:?}");
    let errors = coefficients(told, "standard_error");
    let near = coefficients(strict, "standard_error");
    for (((name, exact), (_, found)), ((_, error), (_, near))) in
        exact.iter().zip(&found).zip(errors.iter().zip(&near))
    {
        assert!((exact - found).abs() < 1e-6 * error, "{name}: {found} instead of {exact}");
        assert!((near / error - 1.0).abs() < 0.25, "{name}: {near} instead of {error}");
    }
}

/// The reference is what its script prints, where Python has what it needs.
#[test]
fn the_reference_is_what_statsmodels_says() {
    let Some(found) = rerun("sparcs_models.py", "statsmodels") else { return };
    let kept: Value = serde_json::from_str(REFERENCE).unwrap();
    assert_eq!(found["source_sha256"], kept["source_sha256"]);
    let (found, kept) = (found["models"].as_array().unwrap(), kept["models"].as_array().unwrap());
    for (found, kept) in found.iter().zip(kept) {
        assert_eq!(found["columns"], kept["columns"]);
        let lists = found["estimates"].as_array().unwrap().iter();
        for (a, b) in lists.zip(kept["estimates"].as_array().unwrap()) {
            assert!((number(a) - number(b)).abs() <= 1e-8 * number(b).abs(), "{a} {b}");
        }
    }
}
