//! `consilium audit show`: the entries of the records.

use model::Peer;
use privacy::sign::hex;
use record::{Archive, Entry};
use serde_json::{Value, json};

use super::args::ShowArgs;
use super::files;
use crate::args::ListFormat;
use crate::console::Console;
use crate::exit::Failure;
use crate::message::Message;
use crate::sheet::{Align, Sheet};

/// Characters of a hash or snapshot id that people compare.
const SHOWN: usize = 12;

/// One entry and where it is.
struct Line {
    party: Peer,
    index: u64,
    entry: Entry,
}

/// Lists entries, party by party.
///
/// # Errors
/// [`Failure::Data`] when a record cannot be read, [`Failure::Usage`] when no party has the name.
pub(super) fn run(args: &ShowArgs, console: Console) -> Result<(), Failure> {
    let mut lines = Vec::new();
    let mut parties = Vec::new();
    for file in files::find(&args.dir)? {
        let unread = |error: record::RecordError| Failure::Data(error.to_string());
        let archive = Archive::open(&file).map_err(unread)?;
        let party = archive.party().clone();
        let is_wanted = args.party.as_ref().is_none_or(|name| is_named(&party, name));
        if is_wanted {
            let entries = archive.entries(args.limit).map_err(unread)?;
            let line = |(index, entry)| Line { party: party.clone(), index, entry };
            lines.extend(entries.into_iter().map(line));
        }
        parties.push((is_wanted, party));
    }
    if let Some(name) = &args.party
        && parties.iter().all(|(is_wanted, _)| !is_wanted)
    {
        let known: Vec<_> = parties.iter().map(|(_, party)| party.name()).collect();
        let reason = format!("no record is of \"{name}\"; there are: {}", known.join(", "));
        return Err(Failure::Usage(reason));
    }
    let text = match args.format {
        ListFormat::Json => as_json(&lines)?,
        ListFormat::Table => as_text(&lines, console),
    };
    console.data(|out| out.write_all(text.as_bytes()))
}

/// Whether `name` is the party's whole name, its role, its name in the role, or both.
fn is_named(party: &Peer, name: &str) -> bool {
    let role = party.role().as_str();
    let both = format!("{role}/{}", party.name());
    [party.to_string().as_str(), role, party.name(), &both].contains(&name)
}

fn as_json(lines: &[Line]) -> Result<String, Failure> {
    let line = |line: &Line| {
        // The canonical form of the log is JSON already.
        let bytes = line.entry.to_bytes().map_err(|error| Failure::Data(error.to_string()))?;
        let entry: Value = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::Internal(format!("an entry is no JSON: {error}")))?;
        Ok(json!({ "party": line.party.to_string(), "index": line.index, "entry": entry }))
    };
    let entries = lines.iter().map(line).collect::<Result<Vec<_>, Failure>>()?;
    Ok(format!("{:#}\n", json!({ "entries": entries })))
}

fn as_text(lines: &[Line], console: Console) -> String {
    let headings = [
        (Message::Party, Align::Left),
        (Message::Index, Align::Right),
        (Message::Time, Align::Left),
        (Message::Kind, Align::Left),
        (Message::Outcome, Align::Left),
        (Message::Scope, Align::Left),
        (Message::Round, Align::Left),
        (Message::Request, Align::Left),
        (Message::Snapshot, Align::Left),
        (Message::WithheldBy, Align::Left),
    ];
    let headings = headings.map(|(message, align)| (message.text(console.lang()), align));
    let mut sheet = Sheet::new(headings);
    for Line { party, index, entry } in lines {
        let hash = |hash: &Option<[u8; 32]>| hash.map(|hash| cut(&hex(&hash))).unwrap_or_default();
        let scope = match entry.scope {
            Some(privacy::Scope::Pooled) => Message::ScopePooled.text(console.lang()),
            Some(privacy::Scope::PerHospital) => Message::ScopePerHospital.text(console.lang()),
            None => "",
        };
        sheet.row([
            format!("{}/{}", party.role().as_str(), party.name()),
            index.to_string(),
            entry.at.clone(),
            entry.kind.to_string(),
            entry.outcome.clone(),
            scope.to_owned(),
            hash(&entry.sid),
            hash(&entry.request.or(entry.family)),
            entry.snapshot.as_deref().map(cut).unwrap_or_default(),
            entry.withheld.join(" "),
        ]);
    }
    format!("{}\n", sheet.render())
}

fn cut(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Lang;
    use record::Kind;

    #[test]
    fn a_party_is_named_in_four_ways() {
        let node: Peer = "spiffe://east/node/h-001".parse().unwrap();
        for name in ["h-001", "node", "node/h-001", "spiffe://east/node/h-001"] {
            assert!(is_named(&node, name), "{name}");
        }
        for name in ["h-00", "witness", "main", ""] {
            assert!(!is_named(&node, name), "{name}");
        }
    }

    #[test]
    fn an_entry_is_shown_whole_as_json_and_short_as_text() {
        let entry = Entry {
            sid: Some([7; 32]),
            scope: Some(privacy::Scope::Pooled),
            withheld: vec!["minimum_cell".to_owned()],
            ..Entry::new("2026-11-21T08:30:00Z", Kind::Release, "released")
        };
        let party = "spiffe://east/witness/main".parse().unwrap();
        let lines = [Line { party, index: 5, entry }];
        let json: Value = serde_json::from_str(&as_json(&lines).unwrap()).unwrap();
        let shown = &json["entries"][0];
        assert_eq!(shown["index"], 5);
        assert_eq!(shown["party"], "spiffe://east/witness/main");
        assert_eq!(shown["entry"]["sid"], "07".repeat(32));
        let text = as_text(&lines, Console::new(Lang::Zh, true));
        assert!(text.contains("区域汇总") && text.contains("070707070707 "), "{text}");
    }
}
