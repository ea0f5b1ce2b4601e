//! What is done with a model: predictions of a local file, and observed against expected.

use std::path::Path;

use tests::fixture::{self, Stay};
use tests::{HospitalSource, Region, open_policy};

use super::{coefficients, json, number};
use crate::client::{consilium, user_folder};

fn stay(hospital: u32, number: u32) -> Stay {
    let plain = Stay::plain(number);
    let drg = ["DA1", "DB1", "DC1"][usize::try_from(number % 3).unwrap()];
    Stay { drg, los_days: 1 + (number * 7 + hospital) % 11 + hospital, ..plain }
}

async fn region(folder: &Path) -> Region {
    let hospitals = (0..4).map(|hospital| {
        let id = format!("h-{hospital}");
        let source = fixture::write(folder, &id, (0..150).map(|number| stay(hospital, number)));
        HospitalSource::small(&id, source)
    });
    let hospitals: Vec<_> = hospitals.collect();
    Region::builder().hospitals(hospitals).policy(open_policy()).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_applied_where_the_rows_are() {
    let folder = tempfile::tempdir().unwrap();
    let region = region(folder.path()).await;
    let user = user_folder(&region, folder.path());
    let user = user.to_str().unwrap();
    let formula = "los_days ~ drg_code + sex";
    let words = ["fit", formula, "--region", user, "--family", "poisson", "--name", "los"];
    let card = json(&[&words[..], &["--format", "json"]].concat()).await;
    assert_eq!(card["name"], "los");

    // Observed sums are those of the rows, and under a canonical link so is the sum of all expected.
    let words = ["benchmark", "oe", "--model", "los", "--region", user, "--outcome", "los_days"];
    let out = folder.path().join("report");
    let rest = ["--format", "json", "--out", out.to_str().unwrap()];
    let standings = json(&[&words[..], &rest].concat()).await;
    let hospitals = standings["hospitals"].as_array().unwrap();
    assert_eq!(hospitals.len(), 4);
    for one in hospitals {
        let id: u32 = one["hospital_id"].as_str().unwrap()[2..].parse().unwrap();
        let days: u32 = (0..150).map(|number| stay(id, number).los_days).sum();
        assert!((number(&one["observed"]) - f64::from(days)).abs() < 1e-9, "{one}");
        assert_eq!(one["stays"], 150);
    }
    let sum = |field: &str| hospitals.iter().map(|one| number(&one[field])).sum::<f64>();
    assert!((sum("observed") - sum("expected")).abs() < 1e-6, "{standings}");
    assert!(number(&hospitals[0]["ratio"]) > 1.0 && hospitals[0]["hospital_id"] == "h-3");
    for name in ["oe.csv", "oe.json", "oe.en.html", "oe.zh.html"] {
        assert!(out.join(name).is_file(), "{name}");
    }
    let wrong = ["benchmark", "oe", "--model", "los", "--region", user, "--outcome", "died"];
    assert_eq!(consilium(&wrong).await.status.code(), Some(64));

    offsets_have_the_unit_of_the_response(user).await;

    // Predictions are the exponential of the sum of coefficients.
    let file = folder.path().join("stays.csv");
    std::fs::write(&file, "id,sex,drg_code\n1,F,DB1\n2,M,DA1\n3,X,DA1\n4,,DC1\n").unwrap();
    let file = file.to_str().unwrap();
    let output = consilium(&["model", "predict", "los", file, "--region", user]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0], ["id", "sex", "drg_code", "predicted"]);
    let beta = coefficients(&card, "estimate");
    let value = |name: &str| beta.iter().find(|one| one.0 == name).map_or(0.0, |one| one.1);
    for (row, names) in
        [(&rows[1], ["sex=F", "drg_code=DB1"]), (&rows[2], ["sex=M", "drg_code=DA1"])]
    {
        let eta = value("(Intercept)") + names.iter().map(|name| value(name)).sum::<f64>();
        let found: f64 = row[3].parse().unwrap();
        assert!((found - eta.exp()).abs() < 1e-12 * found, "{row:?}");
    }
    assert_eq!((rows[3][3], rows[4][3]), ("", ""), "no level, no prediction");
    assert!(String::from_utf8_lossy(&output.stderr).contains("2 rows scored, 2 without"));

    // A saved card does without the region, and mistakes are named.
    let saved = folder.path().join("los.json");
    std::fs::write(&saved, serde_json::to_string(&card).unwrap()).unwrap();
    let saved = saved.to_str().unwrap();
    let again = consilium(&["model", "predict", "--card", saved, file]).await;
    assert_eq!(String::from_utf8(again.stdout).unwrap(), text);
    let short = folder.path().join("short.csv");
    std::fs::write(&short, "id,sex\n1,F\n").unwrap();
    let output = consilium(&["model", "predict", "--card", saved, short.to_str().unwrap()]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(65), "{said}");
    assert!(said.contains("has no column drg_code"), "{said}");

    // Names are not taken twice, and what is not there is said.
    let words = ["fit", formula, "--region", user, "--family", "poisson", "--name", "los"];
    let output = consilium(&words).await;
    assert_eq!(output.status.code(), Some(77));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not replaced"));
    let output = consilium(&["model", "show", "nope", "--region", user]).await;
    assert_eq!(output.status.code(), Some(77));
    let compared = ["model", "compare", "los", "los", "--region", user, "--format", "json"];
    let compared = json(&compared).await;
    assert_eq!(compared["coefficients"].as_array().unwrap().len(), beta.len());
}

/// Also under the identity link.
async fn offsets_have_the_unit_of_the_response(user: &str) {
    let words = ["fit", "los_days ~ offset(age_years)", "--region", user, "--family", "gaussian"];
    let plain = json(&[&words[..], &["--format", "json"]].concat()).await;
    let stays = (0..4).flat_map(|hospital| (0..150).map(move |number| stay(hospital, number)));
    let differences = stays.map(|stay| f64::from(stay.los_days) - f64::from(stay.age_years));
    let mean = differences.sum::<f64>() / 600.0;
    let found = coefficients(&plain, "estimate")[0].1;
    assert!((found - mean).abs() < 1e-9 * mean.abs(), "{found} instead of {mean}");
}
