//! What a demonstration shows: the regional benchmark, its first alerts, and in a few lines what
//! left the hospitals and what did not.

use std::fmt::Display;

use model::casemix::parameters::Parameters;
use model::casemix::trim::Method;

use super::plan::Plan;
use super::{Loaded, Prepared};
use crate::alerts::Found;
use crate::answer::Release;
use crate::args::Format;
use crate::benchmark::args::Selection;
use crate::benchmark::ask::DRG_COST;
use crate::benchmark::{self, Regional};
use crate::client::Client;
use crate::console::Console;
use crate::exit::Failure;
use crate::message::Message;
use crate::run::Context;
use crate::sheet::grouped;

const SIMPLE_SQL: &str = "SELECT drg_code, count(*) AS stays, avg(total_cost) AS mean_cost \
    FROM stay GROUP BY drg_code ORDER BY stays DESC LIMIT 10";
/// One hospital spends more on consumables than all others.
const CONSUMABLES_SQL: &str = "SELECT s.hospital_id, \
    sum(CASE WHEN f.class = 'consumable' THEN f.amount ELSE 0 END) / sum(f.amount) AS consumables \
    FROM stay s JOIN fee f ON f.stay_key = s.stay_key WHERE s.drg_code = 'GD19' \
    GROUP BY s.hospital_id ORDER BY consumables DESC";
/// Alerts shown.
const ALERTS_SHOWN: usize = 8;

/// What may be tried on a region that serves.
#[must_use]
pub fn suggestions(plan: &Plan) -> Vec<&'static str> {
    if plan.is_synthetic() { vec![SIMPLE_SQL, CONSUMABLES_SQL] } else { vec![SIMPLE_SQL] }
}

/// Asks for the benchmark under the shipped rules.
///
/// # Errors
/// What the client meets.
pub async fn ask(client: &Client, context: &Context) -> Result<Regional, Failure> {
    let (selection, rules) = (Selection::default(), Parameters::default());
    benchmark::ask(client, &selection, Method::None, rules, context).await
}

/// Prints it; for people, with its alerts and with what left the hospitals.
///
/// # Errors
/// What the client meets, and [`Failure::Output`].
pub async fn present(
    regional: Regional,
    prepared: &Prepared,
    client: &Client,
    format: Format,
    context: &Context,
) -> Result<(), Failure> {
    regional.deliver(format, context)?;
    if format != Format::Table {
        return Ok(());
    }
    let found = Found::of(regional, client, &Selection::default()).await?;
    let mut text = found.table(ALERTS_SHOWN, context.console);
    for line in footer(&found.regional, prepared, context.console) {
        text.push('\n');
        text.push_str(&line);
    }
    text.push('\n');
    context.console.data(|out| out.write_all(text.as_bytes()))
}

fn footer(regional: &Regional, prepared: &Prepared, console: Console) -> Vec<String> {
    let told = |question: &str| {
        let name = format!("{DRG_COST}/{question}");
        regional.told().iter().find(|told| told.question == name).map(|told| &told.release)
    };
    let Some((pooled, single)) = told("groups").zip(told("hospitals")) else { return Vec::new() };
    let all =
        |of: fn(&Release) -> u64| regional.told().iter().map(|told| of(&told.release)).sum::<u64>();
    let regional_cells = all(|told| if told.mode == "masked" { told.cells.released } else { 0 });
    let bytes = all(|told| told.bytes_received);
    let rows: u64 = prepared.hospitals.iter().map(Loaded::rows).sum();
    let stays: u64 = prepared.hospitals.iter().map(|h| h.manifest.stays()).sum();
    let (regional, own) = (grouped(regional_cells), grouped(single.cells.released));
    let left: [&dyn Display; 5] =
        [&regional, &own, &grouped(bytes), &grouped(rows), &grouped(stays)];
    let (groups, cells) = (grouped(pooled.cells.withheld), grouped(single.cells.withheld));
    let kept: [&dyn Display; 4] =
        [&groups, &cells, &pooled.coverage(console), &single.coverage(console)];
    vec![
        console.text(Message::LeftHospitals, &left),
        console.text(Message::Withheld, &kept),
        console.text(Message::MaskedNote, &[]),
    ]
}
