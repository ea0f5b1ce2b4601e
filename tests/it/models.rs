//! Models from end to end: fitted through the command over real TLS under masks, checked against
//! statsmodels on the pooled rows, over several partitions, with hospitals lost on the way, and
//! against those who would learn about one patient.

mod again;
mod apply;
mod attack;
mod partition;
mod sparcs;
mod trees;

use serde_json::Value;

use crate::client::consilium;

/// What it prints, which must be JSON.
async fn json(words: &[&str]) -> Value {
    let output = consilium(words).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What it says when it refuses.
async fn refusal(words: &[&str]) -> String {
    let output = consilium(words).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(77), "{words:?}: {said}");
    assert!(output.stdout.is_empty());
    said
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Names and values of all coefficients.
fn coefficients(card: &Value, field: &str) -> Vec<(String, f64)> {
    let all = card["coefficients"].as_array().unwrap().iter();
    all.map(|one| (one["name"].as_str().unwrap().to_owned(), number(&one[field]))).collect()
}
