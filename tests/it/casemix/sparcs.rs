//! Real discharges of 50 hospitals against a pandas computation from the raw file
//! (`testdata/casemix/sparcs_benchmark.py`, its output beside it).

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{json, open_policy, rows};

const REFERENCE: &str = include_str!("../../testdata/casemix/sparcs_benchmark.json");
const TOLERANCE: f64 = 1e-9;
const PERCENTILES: [&str; 5] = ["p10", "p25", "p50", "p75", "p90"];
/// Equal to the reference, or withheld in both.
const GROUP_VALUES: [&str; 8] = [
    "mean",
    "sd",
    "cv",
    "geometric_mean",
    "relative_weight",
    "los_mean",
    "los_geometric_mean",
    "death_rate",
];
const HOSPITAL_VALUES: [&str; 6] = [
    "cmi",
    "total_weight",
    "cost_index",
    "cost_index_mean_ratio",
    "time_index",
    "time_index_mean_ratio",
];

#[allow(clippy::print_stderr, reason = "a test that cannot run says so")]
fn discharges() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let file = workspace.join("../shared/data/sparcs/discharges.csv.gz");
    if !file.is_file() {
        eprintln!("NOT TESTED: the discharge data is absent ({})", file.display());
    }
    file.is_file().then_some(file)
}

fn close(found: &Value, expected: &Value, what: &str) {
    let (Some(found), Some(expected)) = (found.as_f64(), expected.as_f64()) else {
        assert!(found.is_null() && expected.is_null(), "{what}: {found} instead of {expected}");
        return;
    };
    let error = (found - expected).abs();
    assert!(error <= TOLERANCE * expected.abs(), "{what}: {found} instead of {expected}");
}

async fn benchmark(file: &Path, policy: &str) -> Value {
    let file = file.to_str().unwrap();
    let words = ["demo", "--once", "--source", file, "--mapping", "sparcs", "--split-by"];
    let rest = ["Permanent.Facility.Id", "--policy", policy, "--format", "json"];
    json(&[&words[..], &rest[..]].concat()).await
}

/// Checks a benchmark; the number of percentiles that are told, and of those that are exact.
fn check(found: &Value, expected: &Value) -> (usize, usize) {
    let groups = rows(found, "groups");
    assert_eq!(groups.len(), rows(expected, "groups").len());
    let (mut told, mut exact) = (0, 0);
    for expected in rows(expected, "groups") {
        let code = &expected["drg_code"];
        let group = groups.iter().find(|group| group["drg_code"] == *code).unwrap();
        assert_eq!(
            (&group["stays"], &group["hospitals"]),
            (&expected["stays"], &expected["hospitals"])
        );
        for name in GROUP_VALUES {
            close(&group[name], &expected[name], &format!("{name} of {code}"));
        }
        let medians = [("los_median", "los_median_error")].into_iter();
        let percentiles = PERCENTILES.iter().map(|name| (*name, ""));
        for (name, error) in medians.chain(percentiles) {
            let error = if error.is_empty() { format!("{name}_error") } else { error.to_owned() };
            let Some(value) = group[name].as_f64() else { continue };
            let (error, truth) =
                (group[&error].as_f64().unwrap(), expected[name].as_f64().unwrap());
            let bound = error + TOLERANCE * truth;
            assert!(
                (value - truth).abs() <= bound,
                "{name} of {code}: {value} +- {error}, in truth {truth}"
            );
            told += 1;
            exact += usize::from(error <= 0.0);
        }
    }
    let hospitals = rows(found, "hospitals");
    assert_eq!(hospitals.len(), rows(expected, "hospitals").len());
    for expected in rows(expected, "hospitals") {
        let id = &expected["hospital_id"];
        let hospital = hospitals.iter().find(|hospital| hospital["hospital_id"] == *id).unwrap();
        assert_eq!(hospital["stays"], expected["stays"], "{id}");
        for name in HOSPITAL_VALUES {
            close(&hospital[name], &expected[name], &format!("{name} of {id}"));
        }
    }
    (told, exact)
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_indices_and_percentiles_are_those_of_the_raw_file() {
    let Some(file) = discharges() else { return };
    let reference: Value = serde_json::from_str(REFERENCE).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let open = benchmark(&file, &open_policy(folder.path())).await;
    let (told, _) = check(&open, &reference["policies"]["open"]);
    // Every percentile of every group, but those beyond the last bin that has an end.
    assert!(told >= 31 * 6 - 6, "{told}");
    for group in rows(&open, "groups") {
        assert_eq!(group["los_median_error"], 0.0, "{}", group["drg_code"]);
    }
    let release = &open["release"];
    assert_eq!((&release["rounds"], &release["scheme"]), (&2.into(), &"APR-DRG".into()));
    for share in ["groups", "hospitals", "hospitals_weight"] {
        close(&release["coverage"][share], &1.0.into(), share);
    }

    let default = benchmark(&file, "default").await;
    let (told, exact) = check(&default, &reference["policies"]["default"]);
    assert!(told > 100 && exact > 15, "{told} percentiles are told, {exact} exactly");
    assert_eq!(rows(&default, "groups").len(), 29);
}

/// The reference is what the script makes of the file, where Python has pandas.
#[test]
#[allow(clippy::print_stderr, reason = "a test that cannot run says so")]
fn the_reference_is_what_the_script_makes() {
    let Some(file) = discharges() else { return };
    let python = |words: &[&str]| Command::new("python3").args(words).output();
    if !python(&["-c", "import pandas"]).is_ok_and(|output| output.status.success()) {
        eprintln!("NOT TESTED: there is no Python with pandas to compute the reference anew");
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/casemix/sparcs_benchmark.py");
    let output = python(&[script, file.to_str().unwrap()]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    let kept: Value = serde_json::from_str(REFERENCE).unwrap();
    for policy in ["open", "default"] {
        // Another version of pandas may round a standard deviation otherwise.
        check_alike(&made["policies"][policy], &kept["policies"][policy], policy);
    }
}

fn check_alike(made: &Value, kept: &Value, what: &str) {
    match (made, kept) {
        (Value::Number(_), Value::Number(_)) => close(made, kept, what),
        (Value::Array(made), Value::Array(kept)) => {
            assert_eq!(made.len(), kept.len(), "{what}");
            made.iter().zip(kept).for_each(|(made, kept)| check_alike(made, kept, what));
        }
        (Value::Object(made), Value::Object(kept)) => {
            for (name, kept) in kept {
                check_alike(&made[name], kept, name);
            }
        }
        _ => assert_eq!(made, kept, "{what}"),
    }
}
