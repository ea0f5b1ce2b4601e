//! `consilium-node budget`: what noisy answers have cost this year, and what is left.
//!
//! For the steward. It reads the ledger without touching it, so it may run beside a serving node.

use std::path::Path;

use clap::Args;
use model::text::printable;
use privacy::noise::{Noise, share};
use record::ledger::NoiseSpent;
use record::{Archive, FILE, RecordError};
use serde_json::json;

use crate::releases::Format;

/// `consilium-node budget`.
#[derive(Debug, Args)]
pub(crate) struct BudgetArguments {
    /// The node's configuration file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: std::path::PathBuf,
    /// The calendar year (UTC); this one when absent.
    #[arg(long, value_name = "YYYY", value_parser = year)]
    pub(crate) year: Option<String>,
    /// For people, or one JSON document.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

fn year(text: &str) -> Result<String, String> {
    let is_year = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_year { Ok(text.to_owned()) } else { Err(format!("\"{text}\" is no year such as 2026")) }
}

/// The lines to print. A node that never served has spent nothing.
///
/// # Errors
/// [`RecordError`] when the record cannot be read.
pub(crate) fn list(
    data_dir: &Path,
    rule: Option<Noise>,
    year: &str,
    format: Format,
) -> Result<Vec<String>, RecordError> {
    let file = data_dir.join(FILE);
    let spent = if file.exists() { Archive::open(&file)?.noise_spent(year)? } else { Vec::new() };
    Ok(match format {
        Format::Table => table(&spent, rule, year),
        Format::Json => vec![as_json(&spent, rule, year)],
    })
}

fn sum(spent: &[NoiseSpent]) -> u64 {
    spent.iter().map(|one| one.rho_micro).sum()
}

fn as_json(spent: &[NoiseSpent], rule: Option<Noise>, year: &str) -> String {
    let askers = spent.iter().map(
        |one| json!({ "asker": one.asker, "questions": one.questions, "rho_micro": one.rho_micro }),
    );
    let policy = rule.map(|rule| {
        json!({
            "rho_request_micro": rule.rho_request_micro,
            "rho_user_year_micro": rule.rho_user_year_micro,
            "rho_hospital_year_micro": rule.rho_hospital_year_micro,
            "epsilon_year": rule.epsilon_year(),
            "delta_e9": rule.delta_e9,
        })
    });
    let all = sum(spent);
    let document = json!({
        "year": year, "rho_micro": all, "askers": askers.collect::<Vec<_>>(), "policy": policy,
    });
    format!("{document:#}")
}

fn table(spent: &[NoiseSpent], rule: Option<Noise>, year: &str) -> Vec<String> {
    let Some(rule) = rule else {
        let was = share(sum(spent));
        return vec![format!("the policy has no [noise] section; {was} was spent in {year}")];
    };
    let of = |spent: u64, most: u64| format!("{} of {}", share(spent), share(most));
    let all = of(sum(spent), rule.rho_hospital_year_micro);
    let mut lines = vec![
        format!("noise budget of {year}: {all} spent, by everybody"),
        format!(
            "at most {} a question; the whole of it protects each person with epsilon {:.2} at delta {:e}",
            share(rule.rho_request_micro),
            rule.epsilon_year(),
            f64::from(rule.delta_e9) / 1e9
        ),
    ];
    lines.extend(spent.iter().map(|one| {
        let own = of(one.rho_micro, rule.rho_user_year_micro);
        format!("  {}: {own} in {} questions", printable(&one.asker), one.questions)
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_spent_is_listed_by_asker() {
        let spent = |asker: &str, questions, rho_micro| NoiseSpent {
            asker: asker.into(),
            questions,
            rho_micro,
        };
        let spent = [spent("ana", 2, 10_000), spent("ben\u{1b}", 1, 500)];
        assert_eq!(
            table(&spent, Some(Noise::default()), "2026"),
            [
                "noise budget of 2026: 0.0105 of 0.25 spent, by everybody",
                "at most 0.005 a question; the whole of it protects each person with epsilon 4.06 at delta 1e-6",
                "  ana: 0.01 of 0.05 in 2 questions",
                "  ben\u{fffd}: 0.0005 of 0.05 in 1 questions",
            ]
        );
        let json: serde_json::Value =
            serde_json::from_str(&as_json(&spent, Some(Noise::default()), "2026")).unwrap();
        assert_eq!(
            (&json["rho_micro"], &json["askers"][1]["rho_micro"]),
            (&10_500.into(), &500.into())
        );
        assert!(table(&[], None, "2026")[0].contains("no [noise] section"));
        assert!(year("2026").is_ok() && year("26").is_err() && year("2O26").is_err());
    }
}
