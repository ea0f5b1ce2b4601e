//! `consilium audit verify`: one line for each party, then what is wrong.

use record::audit::{self, PartyReport, Report};
use serde_json::json;

use super::args::VerifyArgs;
use super::files;
use crate::args::ListFormat;
use crate::console::Console;
use crate::exit::Failure;
use crate::message::Message;
use crate::sheet::{Align, Sheet, grouped};

/// Verifies and reports.
///
/// # Errors
/// [`Failure::Data`] when there is a finding; the report is on stdout then too.
pub(super) fn run(args: &VerifyArgs, console: Console) -> Result<(), Failure> {
    let records = files::find(&args.dir)?;
    let rosters = files::rosters(args, &records)?;
    let report = audit::verify(&records, &rosters);
    let text = match args.format {
        ListFormat::Json => as_json(&report),
        ListFormat::Table => as_text(&report, console),
    };
    console.data(|out| out.write_all(text.as_bytes()))?;
    if report.findings.is_empty() {
        let entries: u64 = report.parties.iter().map(|party| party.entries).sum();
        let parts = (report.parties.len(), grouped(entries));
        console.note(console.text(Message::AuditGood, &[&parts.0, &parts.1]));
        return Ok(());
    }
    let count = report.findings.len();
    Err(Failure::Data(console.text(Message::AuditWrong, &[&count])))
}

fn as_json(report: &Report) -> String {
    let party = |party: &PartyReport| {
        json!({
            "party": party.party.to_string(),
            "file": party.file,
            "entries": party.entries,
            "checkpoints": party.checkpoints,
            "cosigned": party.cosigned,
            "open": party.open,
            "unfinished": party.unfinished,
            "not_here": party.not_here,
        })
    };
    let finding = |finding: &audit::Finding| {
        json!({
            "party": finding.party,
            "file": finding.file,
            "place": finding.place.to_string(),
            "code": finding.wrong.code(),
            "text": finding.wrong.to_string(),
        })
    };
    let parties: Vec<_> = report.parties.iter().map(party).collect();
    let findings: Vec<_> = report.findings.iter().map(finding).collect();
    format!("{:#}\n", json!({ "parties": parties, "findings": findings }))
}

fn as_text(report: &Report, console: Console) -> String {
    let headings = [
        (Message::Party, Align::Left),
        (Message::Entries, Align::Right),
        (Message::Checkpoints, Align::Right),
        (Message::CosignedBy, Align::Left),
        (Message::Findings, Align::Right),
    ];
    let headings = headings.map(|(message, align)| (message.text(console.lang()), align));
    let mut sheet = Sheet::new(headings);
    for party in &report.parties {
        let found = report.findings.iter().filter(|finding| finding.file == party.file).count();
        sheet.row([
            party.party.to_string(),
            grouped(party.entries),
            grouped(party.checkpoints),
            cosigned(party, console),
            found.to_string(),
        ]);
    }
    let mut text = format!("{}\n", sheet.render());
    for line in notes(report, console).into_iter().chain(report.findings.iter().map(finding)) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// Who cosigned, and how much of the log.
fn cosigned(party: &PartyReport, console: Console) -> String {
    let by = |(name, upto): (&String, &u64)| {
        console.text(Message::CosignedUpTo, &[&short(name), &grouped(*upto)])
    };
    party.cosigned.iter().map(by).collect::<Vec<_>>().join(", ")
}

fn notes(report: &Report, console: Console) -> Vec<String> {
    let mut notes = Vec::new();
    for party in &report.parties {
        let name = party.party.to_string();
        let vouched = party.cosigned.values().max().copied().unwrap_or(0);
        let newer = party.entries.saturating_sub(vouched);
        if newer > 0 {
            notes.push(console.text(Message::AuditNewer, &[&name, &grouped(newer)]));
        }
        if party.open > 0 {
            notes.push(console.text(Message::AuditOpen, &[&name, &party.open]));
        }
        if party.unfinished > 0 {
            notes.push(console.text(Message::AuditUnfinished, &[&name, &party.unfinished]));
        }
        if !party.not_here.is_empty() {
            let missing = party.not_here.join(", ");
            notes.push(console.text(Message::AuditNotHere, &[&name, &missing]));
        }
    }
    notes
}

fn finding(finding: &audit::Finding) -> String {
    // Names and reasons come from files that may have been tampered with.
    finding.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `coordinator/main` of `spiffe://east/coordinator/main`.
fn short(name: &str) -> &str {
    let path = name.strip_prefix("spiffe://").unwrap_or(name);
    path.split_once('/').map_or(path, |(_, rest)| rest)
}
