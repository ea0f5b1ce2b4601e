//! Who takes part in a region, for people and programs.

use std::path::Path;

use certs::region::Summary;
use certs::{Layout, Region, Subject};
use model::Role;
use privacy::roster::{Roster, SignedRoster};
use privacy::sign::{VerifyKey, hex};
use serde_json::json;
use service::clock::rfc3339;

use super::refused::failure;
use crate::args::ListFormat;
use crate::console::Console;
use crate::exit::Failure;
use crate::message::Message;
use crate::region::args::ShowArgs;
use crate::run::Context;
use crate::sheet::{Align, Sheet};

/// Characters of a key that people compare.
const KEY_SHOWN: usize = 16;

/// `consilium region show`.
pub(super) fn summary(args: &ShowArgs, context: &Context) -> Result<(), Failure> {
    let console = context.console;
    let now = context.clock.now();
    let region = Region::open(&args.folder.dir).map_err(|error| failure(error, console))?;
    let summary = region.summary(now);
    let text = match args.format {
        ListFormat::Json => summary_json(&summary),
        ListFormat::Table => summary_text(&summary, console),
    };
    console.data(|out| out.write_all(text.as_bytes()))?;
    if now > summary.list_until {
        let until = rfc3339(summary.list_until);
        return Err(Failure::Configuration(console.text(Message::ListExpired, &[&until])));
    }
    Ok(())
}

fn summary_json(summary: &Summary) -> String {
    let parties = summary.parties.iter().map(|party| {
        json!({
            "party": party.subject.to_string(),
            "enrolled_at": rfc3339(party.enrolled),
            "until": rfc3339(party.until),
            "renew_from": rfc3339(party.renew_after),
            "serial": party.serial,
            "revoked_at": party.revoked.as_ref().map(|(at, _)| rfc3339(*at)),
            "reason": party.revoked.as_ref().map(|(_, reason)| reason),
        })
    });
    let invited = summary
        .invited
        .iter()
        .map(|one| json!({ "party": one.subject.to_string(), "until": rfc3339(one.expires) }));
    let vacant: Vec<_> = summary.vacant.iter().map(ToString::to_string).collect();
    let value = json!({
        "region": summary.region,
        "roster_version": summary.roster_version,
        "revocation_list": {
            "number": summary.list_number,
            "until": rfc3339(summary.list_until),
            "serials": summary.listed,
        },
        "vacant": vacant,
        "parties": parties.collect::<Vec<_>>(),
        "invited": invited.collect::<Vec<_>>(),
    });
    format!("{value:#}\n")
}

fn summary_text(summary: &Summary, console: Console) -> String {
    let headings = [
        Message::Party,
        Message::State,
        Message::Until,
        Message::RenewFrom,
        Message::Serial,
        Message::Reason,
    ];
    let headings = headings.map(|message| (message.text(console.lang()), Align::Left));
    let mut sheet = Sheet::new(headings);
    let say = |message: Message| console.text(message, &[]);
    for party in &summary.parties {
        let (name, until) = (party.subject.to_string(), rfc3339(party.until));
        let row = match &party.revoked {
            None => {
                let renew = rfc3339(party.renew_after);
                [name, say(Message::Enrolled), until, renew, party.serial.clone(), String::new()]
            }
            Some((at, reason)) => {
                let state = console.text(Message::RevokedSince, &[&rfc3339(*at)]);
                [name, state, until, String::new(), party.serial.clone(), reason.clone()]
            }
        };
        sheet.row(row);
    }
    let nothing = String::new;
    for one in &summary.invited {
        let (name, until) = (one.subject.to_string(), rfc3339(one.expires));
        sheet.row([name, say(Message::Invited), until, nothing(), nothing(), nothing()]);
    }
    let taken = |subject: &Subject| summary.invited.iter().any(|one| one.subject == *subject);
    for subject in summary.vacant.iter().filter(|subject| !taken(subject)) {
        let row = [subject.to_string(), say(Message::Vacant), nothing(), nothing(), nothing()];
        sheet.row(row.into_iter().chain([nothing()]));
    }
    let (region, version) = (&summary.region, &summary.roster_version);
    let (number, until) = (&summary.list_number, rfc3339(summary.list_until));
    let last = console.text(Message::RegionState, &[region, version, number, &until]);
    format!("{}\n{last}\n", sheet.render())
}

/// `consilium region roster`: from the public files alone, so that any party can look.
pub(super) fn roster(args: &ShowArgs, context: &Context) -> Result<(), Failure> {
    let roster = verified(&args.folder.dir)?;
    let text = match args.format {
        ListFormat::Json => roster_json(&roster),
        ListFormat::Table => roster_text(&roster, context.console),
    };
    context.console.data(|out| out.write_all(text.as_bytes()))
}

fn verified(folder: &Path) -> Result<Roster, Failure> {
    let layout = Layout::new(folder);
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| {
            Failure::Configuration(format!("cannot read {}: {error}", path.display()))
        })
    };
    let (path, key_path) = (layout.roster(), layout.roster_verify_key());
    let key = String::from_utf8_lossy(&read(&key_path)?)
        .parse::<VerifyKey>()
        .map_err(|error| Failure::Configuration(format!("{}: {error}", key_path.display())))?;
    let wrong = |reason: String| Failure::Data(format!("{}: {reason}", path.display()));
    let signed = SignedRoster::parse(&read(&path)?).map_err(|error| wrong(error.to_string()))?;
    // The region's name is in the certificate that lies beside the roster.
    let certificate = read(&layout.certificate())?;
    let region = certs::region_of(&String::from_utf8_lossy(&certificate)).map_err(|error| {
        Failure::Configuration(format!("{}: {error}", layout.certificate().display()))
    })?;
    signed.verify(&key, &region).map_err(|error| wrong(error.to_string()))
}

/// Everybody in the roster with their keys.
fn parties(roster: &Roster) -> Vec<(String, String, String)> {
    let seats = [(Role::Coordinator, roster.coordinator()), (Role::Witness, roster.witness())];
    let seats = seats
        .into_iter()
        .map(|(role, key)| (format!("{}/main", role.as_str()), key.to_string(), String::new()));
    let hospitals = roster
        .hospitals()
        .iter()
        .map(|(id, keys)| (format!("node/{id}"), keys.sign.to_string(), hex(&keys.seal)));
    seats.chain(hospitals).collect()
}

fn roster_json(roster: &Roster) -> String {
    let parties = parties(roster).into_iter().map(|(party, sign, seal)| {
        let seal = (!seal.is_empty()).then_some(seal);
        json!({ "party": party, "sign": sign, "seal": seal })
    });
    let value = json!({
        "region": roster.region(),
        "version": roster.version(),
        "sha256": hex(&roster.hash()),
        "parties": parties.collect::<Vec<_>>(),
    });
    format!("{value:#}\n")
}

fn roster_text(roster: &Roster, console: Console) -> String {
    let headings = [Message::Party, Message::SignKey, Message::SealKey];
    let mut sheet = Sheet::new(headings.map(|message| (message.text(console.lang()), Align::Left)));
    for (party, sign, seal) in parties(roster) {
        let shown = |key: &str| key.chars().take(KEY_SHOWN).collect::<String>();
        sheet.row([party, shown(&sign), shown(&seal)]);
    }
    let (version, hash) = (roster.version(), hex(&roster.hash()));
    let count = roster.hospitals().len();
    let last = console.text(Message::RosterState, &[&roster.region(), &version, &count, &hash]);
    format!("{}\n{last}\n", sheet.render())
}
