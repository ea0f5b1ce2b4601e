//! `consilium hospitals`: who takes part.

use proto::v1::Hospital;
use serde_json::json;

use crate::args::{HospitalsArgs, ListFormat};
use crate::client::Client;
use crate::console::Console;
use crate::exit::Failure;
use crate::message::Message;
use crate::run::Context;
use crate::sheet::{Align, Sheet, grouped};

/// Characters of a snapshot id that people compare.
const SNAPSHOT_SHOWN: usize = 12;

/// Lists the hospitals.
///
/// # Errors
/// What the client meets.
pub async fn run(args: &HospitalsArgs, context: &Context) -> Result<(), Failure> {
    let client = Client::open(&args.region.region, &context.clock)?;
    let hospitals = client.hospitals().await?.hospitals;
    let text = match args.format {
        ListFormat::Json => as_json(&hospitals),
        ListFormat::Table => as_text(&hospitals, context.console),
    };
    context.console.data(|out| out.write_all(text.as_bytes()))
}

fn as_json(hospitals: &[Hospital]) -> String {
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let hospital = |hospital: &Hospital| {
        json!({
            "id": hospital.id,
            "address": hospital.address,
            "state": hospital.state,
            "reason": known(&hospital.reason),
            "tier": known(&hospital.tier),
            "county": known(&hospital.county),
            "stays": hospital.stays,
            "snapshot_id": known(&hospital.snapshot_id),
            "snapshot_created_at": known(&hospital.snapshot_created_at),
            "node_started_at": known(&hospital.node_started_at),
            "last_seen_at": known(&hospital.last_seen_at),
            "version": known(&hospital.version),
        })
    };
    let hospitals: Vec<_> = hospitals.iter().map(hospital).collect();
    format!("{:#}\n", json!({ "hospitals": hospitals }))
}

fn as_text(hospitals: &[Hospital], console: Console) -> String {
    let headings = [
        (Message::Hospital, Align::Left),
        (Message::State, Align::Left),
        (Message::Tier, Align::Left),
        (Message::County, Align::Left),
        (Message::Stays, Align::Right),
        (Message::Snapshot, Align::Left),
        (Message::SnapshotAt, Align::Left),
        (Message::Since, Align::Left),
        (Message::LastSeen, Align::Left),
        (Message::Reason, Align::Left),
    ];
    let headings = headings.map(|(message, align)| (message.text(console.lang()), align));
    let mut sheet = Sheet::new(headings);
    for hospital in hospitals {
        sheet.row([
            hospital.id.clone(),
            hospital.state.clone(),
            hospital.tier.clone(),
            hospital.county.clone(),
            hospital.stays.map(grouped).unwrap_or_default(),
            hospital.snapshot_id.chars().take(SNAPSHOT_SHOWN).collect(),
            seconds(&hospital.snapshot_created_at),
            hospital.node_started_at.clone(),
            hospital.last_seen_at.clone(),
            hospital.reason.clone(),
        ]);
    }
    format!("{}\n", sheet.render())
}

/// A time in UTC without fractions of a second.
fn seconds(time: &str) -> String {
    time.split_once('.').map_or_else(|| time.to_owned(), |(whole, _)| format!("{whole}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_null() {
        let hospital = Hospital {
            id: "h-001".to_owned(),
            state: "offline".to_owned(),
            reason: "unreachable".to_owned(),
            ..Hospital::default()
        };
        let value: serde_json::Value = serde_json::from_str(&as_json(&[hospital])).unwrap();
        let hospital = &value["hospitals"][0];
        assert_eq!((&hospital["stays"], &hospital["last_seen_at"]), (&json!(null), &json!(null)));
        assert_eq!(hospital["reason"], "unreachable");
        assert_eq!(seconds("2026-11-21T22:01:56.729Z"), "2026-11-21T22:01:56Z");
        assert_eq!(seconds(""), "");
    }
}
