//! `consilium alerts`: what deviates in the region, most money at stake first.

use model::casemix::alert::{Alert, Kind};
use model::casemix::composition::ShareDifference;
use model::casemix::explain::{HospitalFee, Region};
use model::casemix::trim::Method;
use serde_json::json;

use crate::args::ListFormat;
use crate::benchmark::args::{AlertArgs, Selection};
use crate::benchmark::ask::Asking;
use crate::benchmark::{Regional, ask, components, components_value, decimals, money, percent};
use crate::client::Client;
use crate::console::Console;
use crate::exit::Failure;
use crate::message::Message;
use crate::rules::rules;
use crate::run::Context;
use crate::sheet::{Align, Sheet, grouped};
use crate::told::Told;

/// Alerts shown at a terminal.
const SHOWN: usize = 40;

/// Alerts and what they are made of.
#[derive(Debug)]
pub struct Found {
    /// The benchmark in which they were found.
    pub regional: Regional,
    /// Each alert with the fee classes that explain it.
    pub alerts: Vec<(Alert, Vec<ShareDifference>)>,
    /// How the fees were told.
    told: Told,
}

/// Asks, finds, prints.
///
/// # Errors
/// Every kind of [`Failure`].
pub async fn run(args: &AlertArgs, context: &Context) -> Result<(), Failure> {
    let rules = rules(args.selection.parameters.as_deref())?;
    let client = Client::open(&args.region.region, &context.clock)?;
    let regional = ask(&client, &args.selection, Method::None, rules, context).await?;
    let found = Found::of(regional, &client, &args.selection).await?;
    let text = match args.format {
        ListFormat::Json => found.json(),
        ListFormat::Table => found.table(SHOWN, context.console),
    };
    context.console.data(|out| out.write_all(text.as_bytes()))
}

impl Found {
    /// The alerts of a benchmark, with fees asked for.
    ///
    /// # Errors
    /// What the client meets.
    pub async fn of(
        regional: Regional,
        client: &Client,
        selection: &Selection,
    ) -> Result<Self, Failure> {
        let (fees, told) = Asking { client, selection }.fees().await?;
        let alerts = explain(&regional, &fees);
        Ok(Self { regional, alerts, told })
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> String {
        let one = |(alert, made_of): &(Alert, Vec<ShareDifference>)| {
            json!({
                "hospital_id": alert.hospital,
                "tier": alert.tier,
                "group": alert.group,
                "kind": kind(alert.kind),
                "stays": alert.stays,
                "own": alert.own,
                "standard": alert.standard,
                "deviation": alert.deviation,
                "at_stake": alert.at_stake,
                "z": alert.z,
                "components": components_value(made_of),
            })
        };
        let value = json!({
            "alerts": self.alerts.iter().map(one).collect::<Vec<_>>(),
            "release": self.regional.release_with_fees(&self.told),
        });
        format!("{value:#}\n")
    }

    /// For people: at most `shown` of them.
    #[must_use]
    pub fn table(&self, shown: usize, console: Console) -> String {
        let lang = console.lang();
        if self.alerts.is_empty() {
            return format!("{}\n", console.text(Message::NoAlerts, &[]));
        }
        let headings = [
            (Message::Hospital, Align::Left),
            (Message::Tier, Align::Left),
            (Message::DrgGroup, Align::Left),
            (Message::AlertKind, Align::Left),
            (Message::Stays, Align::Right),
            (Message::Own, Align::Right),
            (Message::Standard, Align::Right),
            (Message::Deviation, Align::Right),
            (Message::AtStake, Align::Right),
            (Message::MadeOf, Align::Left),
        ];
        let mut sheet =
            Sheet::new(headings.iter().map(|(message, align)| (message.text(lang), *align)));
        for (alert, made_of) in self.alerts.iter().take(shown) {
            let value = |value: f64| match alert.kind {
                Kind::Cost | Kind::CostEarly => money(Some(value)),
                Kind::LengthOfStay => decimals(Some(value), 1),
                Kind::SeverityMix => percent(Some(value)),
            };
            sheet.row([
                alert.hospital.clone(),
                alert.tier.clone(),
                alert.group.clone(),
                heading(alert.kind).text(lang).to_owned(),
                grouped(alert.stays),
                value(alert.own),
                value(alert.standard),
                format!("{:+.1} %", alert.deviation * 100.0),
                if alert.kind == Kind::SeverityMix {
                    String::new()
                } else {
                    money(Some(alert.at_stake))
                },
                components(made_of, lang),
            ]);
        }
        let mut text = console.text(Message::AlertsTitle, &[&self.alerts.len()]);
        text.push('\n');
        text.push_str(&sheet.render());
        text.push('\n');
        let more = self.alerts.len().saturating_sub(shown);
        if more > 0 {
            text.push_str(&console.text(Message::MoreAlerts, &[&more]));
            text.push('\n');
        }
        text
    }
}

fn explain(regional: &Regional, fees: &[HospitalFee]) -> Vec<(Alert, Vec<ShareDifference>)> {
    let tiers = &regional.asked.setting.tiers;
    let region = Region { cells: &regional.cells().hospitals, fees, tiers };
    let each = regional.finished.alerts.iter().map(|alert| {
        let made_of = match alert.kind {
            Kind::Cost | Kind::CostEarly => region.components(&alert.hospital, &alert.group),
            Kind::LengthOfStay | Kind::SeverityMix => Vec::new(),
        };
        (alert.clone(), made_of)
    });
    each.collect()
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Cost => "cost",
        Kind::CostEarly => "cost_early",
        Kind::LengthOfStay => "length_of_stay",
        Kind::SeverityMix => "severity_mix",
    }
}

const fn heading(kind: Kind) -> Message {
    match kind {
        Kind::Cost => Message::AlertCost,
        Kind::CostEarly => Message::AlertCostEarly,
        Kind::LengthOfStay => Message::AlertLos,
        Kind::SeverityMix => Message::AlertMix,
    }
}
