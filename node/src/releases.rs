//! `consilium-node releases`: what left this hospital, from its own record.
//!
//! For the steward. It reads the ledger without touching it, so it may run beside a serving node.
//! It shows who asked what and which rules withheld something, never a count or a value.

use std::path::Path;

use clap::{Args, ValueEnum};
use model::text::printable;
use privacy::sign::hex;
use record::ledger::ReleaseRow;
use record::{Archive, FILE, RecordError};
use serde_json::json;

/// Characters of a hash or snapshot id that people compare.
const SHOWN: usize = 12;

/// `consilium-node releases`.
#[derive(Debug, Args)]
pub(crate) struct ReleasesArguments {
    /// The node's configuration file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: std::path::PathBuf,
    /// Show at most so many, newest first.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: u32,
    /// Only what this project asked.
    #[arg(long, value_name = "NAME")]
    pub(crate) project: Option<String>,
    /// For people, or one JSON document.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// Form of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// The lines to print. A node that never served has released nothing.
///
/// # Errors
/// [`RecordError`] when the record cannot be read.
pub(crate) fn list(
    data_dir: &Path,
    arguments: &ReleasesArguments,
) -> Result<Vec<String>, RecordError> {
    let ReleasesArguments { limit, project, .. } = arguments;
    let file = data_dir.join(FILE);
    let rows = match (file.exists(), project) {
        (false, _) => Vec::new(),
        (true, None) => Archive::open(&file)?.releases(*limit)?,
        (true, Some(project)) => Archive::open(&file)?.releases_of(project, *limit)?,
    };
    Ok(match arguments.format {
        Format::Table => table(&rows),
        Format::Json => vec![as_json(&rows)],
    })
}

fn as_json(rows: &[ReleaseRow]) -> String {
    let release = |row: &ReleaseRow| {
        json!({
            "at": row.at,
            "asker": row.asker,
            "project": row.project,
            "scope": row.scope.as_str(),
            "mode": row.mode,
            "request": hex(&row.request),
            "snapshot": row.snapshot,
            "policy": hex(&row.policy),
            "sid": row.sid.map(|sid| hex(&sid)),
            "withheld": row.withheld,
            "output": hex(&row.output),
            "entry": row.entry,
        })
    };
    format!("{:#}", json!({ "releases": rows.iter().map(release).collect::<Vec<_>>() }))
}

/// Columns as wide as their widest cell, two spaces between them.
fn table(rows: &[ReleaseRow]) -> Vec<String> {
    if rows.is_empty() {
        return vec!["nothing was released".to_owned()];
    }
    let headings =
        ["time", "asker", "project", "scope", "mode", "request", "snapshot", "withheld by"];
    let mut lines = vec![headings.map(str::to_owned)];
    for row in rows {
        let rules = if row.withheld.is_empty() { "-".to_owned() } else { row.withheld.join(" ") };
        lines.push([
            row.at.clone(),
            printable(&row.asker),
            row.project.clone().unwrap_or_else(|| "-".to_owned()),
            row.scope.as_str().to_owned(),
            row.mode.clone(),
            short(&hex(&row.request)),
            short(&row.snapshot),
            rules,
        ]);
    }
    let width = |column: usize| {
        let cells = lines.iter().map(|line| line[column].chars().count());
        cells.max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..headings.len()).map(width).collect();
    let padded = |line: &[String; 8]| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(padded).collect()
}

fn short(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use privacy::Scope;
    use record::ledger::ProjectCost;
    use record::{Outcome, Reservation, Store};

    const NOW: &str = "2026-11-21T08:30:00Z";

    #[test]
    fn releases_are_listed_while_the_node_serves() {
        let folder = tempfile::tempdir().unwrap();
        let listed = |project: Option<&str>, format| {
            let project = project.map(str::to_owned);
            let config = std::path::PathBuf::new();
            list(folder.path(), &ReleasesArguments { config, limit: 10, project, format }).unwrap()
        };
        let list = |format| listed(None, format);
        assert_eq!(list(Format::Table), ["nothing was released"]);
        let party = "spiffe://east/node/h-1".parse().unwrap();
        let store = Store::open(&folder.path().join(FILE), &party, NOW).unwrap();
        let (request, policy) = ([1; 32], [2; 32]);
        for (sid, scope, withheld) in
            [(Some([3; 32]), Scope::Pooled, &[][..]), (None, Scope::PerHospital, &["minimum_cell"])]
        {
            let reservation = Reservation {
                at: NOW,
                asker: "ana\u{1b}",
                day: "2026-11-21",
                allowance: 9,
                request,
                snapshot: "5f2b8c0e9d17aa",
                policy,
                sid,
                scope,
                noise: None,
                project: sid.is_none().then_some(ProjectCost {
                    name: "costs",
                    questions: 1,
                    rho_year_micro: 0,
                }),
            };
            let ticket = store.reserve(&reservation).unwrap();
            let outcome = Outcome {
                at: NOW,
                mode: "masked",
                withheld,
                output: [4; 32],
                receipt: b"",
                answer: None,
                told: &[],
            };
            store.commit(ticket, &outcome).unwrap();
        }
        assert_eq!(
            list(Format::Table),
            [
                "time                  asker  project  scope         mode    request       snapshot      withheld by",
                "2026-11-21T08:30:00Z  ana\u{fffd}   costs    per_hospital  masked  010101010101  5f2b8c0e9d17  minimum_cell",
                "2026-11-21T08:30:00Z  ana\u{fffd}   -        pooled        masked  010101010101  5f2b8c0e9d17  -",
            ]
        );
        assert_eq!(listed(Some("costs"), Format::Table).len(), 2, "the heading and one");
        assert_eq!(listed(Some("others"), Format::Table), ["nothing was released"]);
        let json: serde_json::Value = serde_json::from_str(&list(Format::Json)[0]).unwrap();
        let releases = json["releases"].as_array().unwrap();
        assert_eq!((releases.len(), &releases[0]["sid"]), (2, &serde_json::Value::Null));
        assert_eq!(releases[1]["sid"], "03".repeat(32));
        assert_eq!(releases[0]["withheld"][0], "minimum_cell");
    }
}
