//! The regional benchmark from end to end, as the program prints it: checked against figures that
//! pandas computed from the raw file, against planted anomalies, under approved packs, and with
//! grouper schemes that do not go together.

mod packs;
mod payment;
mod planted;
mod schemes;
mod sparcs;

use std::path::Path;

use serde_json::Value;

use crate::client::consilium;

/// What it prints, which must be JSON.
async fn json(words: &[&str]) -> Value {
    let output = consilium(words).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Every minimum 1, for pooled groups too.
fn open_policy(folder: &Path) -> String {
    let path = folder.join("policy.toml");
    let text = "[minimum]\npersons = 1\nstays = 1\n[selectivity]\npersons = 1\n\
                [dominance]\ntop_two_e4 = 10000\npercent = 0\n[pooled]\nhospitals = 1\ndominance_e4 = 10000\n\
                [usage]\nrequests_per_day = 1000000\n[questions]\nallow = \"any\"\n";
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn rows<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap()
}
