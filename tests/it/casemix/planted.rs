//! What the generator did wrong on purpose is found, and nothing is found where nothing is wrong.

use std::path::Path;

use model::casemix::parameters::SHIPPED;
use serde_json::Value;
use tests::Process;

use super::{json, rows};

const EXE: &str = env!("CARGO_BIN_EXE_consilium_process");

/// A demonstration region that serves.
struct Serving {
    folder: tempfile::TempDir,
    process: Process,
}

impl Serving {
    async fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let words = ["cli", "demo", "--stays", "60000", "--dir", folder.path().to_str().unwrap()];
        let exe = Path::new(EXE);
        let mut process = Process::start(exe, &[&words[..], options].concat()).unwrap();
        tests::wait::until("the region serves", || {
            assert!(!process.has_ended(), "{}", process.log());
            process.log().contains("is serving")
        })
        .await;
        Self { folder, process }
    }

    fn region(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    async fn ask(&self, words: &[&str]) -> Value {
        json(&[words, &["--region", self.region(), "--format", "json"]].concat()).await
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.process.kill();
    }
}

/// Hospital, group and kind of each alert.
fn found(alerts: &Value) -> Vec<(String, String, String)> {
    let text = |alert: &Value, name: &str| alert[name].as_str().unwrap().to_owned();
    let each = rows(alerts, "alerts").iter();
    each.map(|alert| (text(alert, "hospital_id"), text(alert, "group"), text(alert, "kind")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_anomalies_are_found_and_explained() {
    let serving = Serving::start(&[]).await;
    // Of twelve hospitals two are tertiary; the next three have something wrong.
    let alerts = serving.ask(&["alerts"]).await;
    let all = found(&alerts);
    let has = |hospital: &str, group: &str, kind: &str| {
        all.iter()
            .any(|one| (one.0.as_str(), one.1.as_str(), one.2.as_str()) == (hospital, group, kind))
    };
    assert!(has("h-003", "GD19", "cost"), "{all:?}");
    assert!(
        all.iter()
            .any(|one| one.0 == "h-004" && one.1.starts_with("BR2") && one.2 == "length_of_stay"),
        "{all:?}"
    );
    assert!(all.iter().any(|one| one.0 == "h-005" && one.2 == "severity_mix"), "{all:?}");
    let mut planted = rows(&alerts, "alerts").iter();
    let planted =
        planted.find(|one| one["hospital_id"] == "h-003" && one["group"] == "GD19").unwrap();
    assert_eq!(planted["components"][0]["class"], "consumable");
    let share = |name: &str| planted["components"][0][name].as_f64().unwrap();
    assert!((share("share") - 0.45).abs() < 0.02 && (share("reference_share") - 0.30).abs() < 0.02);

    let hospital = serving.ask(&["benchmark", "hospital", "h-003"]).await;
    let first = &hospital["groups"][0];
    assert_eq!(
        (&first["drg_code"], &first["components"][0]["class"]),
        (&"GD19".into(), &"consumable".into())
    );
    let number = |name: &str| first[name].as_f64().unwrap();
    let adds = number("difference") * number("stays");
    assert!((number("contribution") - adds).abs() < 1e-6 * adds.abs());
    changed_rules_change_what_they_say(&serving, &alerts).await;
}

/// With a higher threshold of cost the same alerts are left but those below it.
async fn changed_rules_change_what_they_say(serving: &Serving, alerts: &Value) {
    let rules = serving.folder.path().join("rules.toml");
    let text = SHIPPED
        .replace("cost = 0.10\n", "cost = 0.28\n")
        .replace("cost_early = 0.08", "cost_early = 0.28");
    assert_ne!(text, SHIPPED);
    std::fs::write(&rules, text).unwrap();
    let fewer = serving.ask(&["alerts", "--parameters", rules.to_str().unwrap()]).await;
    let is_cost = |kind: &Value| kind == "cost" || kind == "cost_early";
    let keep =
        |alert: &&Value| !is_cost(&alert["kind"]) || alert["deviation"].as_f64().unwrap() >= 0.28;
    let expected: Vec<_> = rows(alerts, "alerts").iter().filter(keep).collect();
    let left: Vec<_> = rows(&fewer, "alerts").iter().collect();
    assert!(expected.len() < rows(alerts, "alerts").len());
    assert_eq!(left, expected);
    assert_ne!(fewer["release"]["parameters"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_found_where_nothing_is_wrong() {
    for seed in ["1", "2"] {
        let serving = Serving::start(&["--alike", "--seed", seed]).await;
        assert_eq!(found(&serving.ask(&["alerts"]).await), []);
    }
}
