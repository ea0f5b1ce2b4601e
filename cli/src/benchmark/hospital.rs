//! `consilium benchmark hospital`: one hospital against the others of its tier.

use model::casemix::composition::ShareDifference;
use model::casemix::explain::{Comparison, Region};
use model::casemix::trim::Method;
use serde_json::{Value, json};

use super::ask::Asking;
use super::table::{decimals, money, name, percent};
use super::{Regional, ask};
use crate::args::ListFormat;
use crate::benchmark::args::HospitalArgs;
use crate::client::Client;
use crate::console::Console;
use crate::exit::Failure;
use crate::message::{Lang, Message};
use crate::rules::rules;
use crate::run::Context;
use crate::sheet::{Align, Sheet, grouped};
use crate::told::Told;

/// Groups shown at a terminal.
const GROUPS_SHOWN: usize = 20;
/// Fee classes named for each group.
const COMPONENTS_SHOWN: usize = 2;

/// Asks, compares, prints.
///
/// # Errors
/// Every kind of [`Failure`]; [`Failure::Usage`] for a hospital that the region does not have.
pub(super) async fn run(args: &HospitalArgs, context: &Context) -> Result<(), Failure> {
    let rules = rules(args.selection.parameters.as_deref())?;
    let client = Client::open(&args.region.region, &context.clock)?;
    let selection = &args.selection;
    let regional = ask(&client, selection, Method::None, rules, context).await?;
    let tiers = &regional.asked.setting.tiers;
    if !tiers.contains_key(&args.hospital) {
        let known: Vec<_> = tiers.keys().map(String::as_str).collect();
        return Err(Failure::Usage(format!(
            "there is no hospital \"{}\" among those compared; there are {}",
            args.hospital,
            known.join(", ")
        )));
    }
    let (fees, told) = Asking { client: &client, selection }.fees().await?;
    let region = Region { cells: &regional.cells().hospitals, fees: &fees, tiers };
    let compared = region.compare(&args.hospital, &regional.benchmark.groups);
    let text = match args.format {
        ListFormat::Json => as_json(&args.hospital, &regional, &compared, &told),
        ListFormat::Table => as_table(&args.hospital, &regional, &compared, context.console),
    };
    context.console.data(|out| out.write_all(text.as_bytes()))
}

/// Fee classes that lie furthest above the others', in words: `consumable 45.0 % (30.1 %)`.
pub(crate) fn components(all: &[ShareDifference], lang: Lang) -> String {
    let above = all.iter().filter(|one| one.money > 0.0).take(COMPONENTS_SHOWN);
    let named = above.map(|one| {
        let class = crate::report::class_name(&one.class, lang);
        format!("{class} {} ({})", percent(Some(one.own)), percent(Some(one.reference)))
    });
    named.collect::<Vec<_>>().join(", ")
}

/// Fee classes for programs, what explains most first.
pub(crate) fn components_value(all: &[ShareDifference]) -> Value {
    let one = |one: &ShareDifference| {
        json!({
            "class": one.class,
            "share": one.own,
            "reference_share": one.reference,
            "per_stay_above": one.money,
        })
    };
    Value::Array(all.iter().map(one).collect())
}

fn as_json(hospital: &str, regional: &Regional, compared: &[Comparison], told: &Told) -> String {
    let group = |one: &Comparison| {
        json!({
            "drg_code": one.drg_code,
            "name": one.name.as_ref().map(|(en, _)| en),
            "name_zh": one.name.as_ref().map(|(_, zh)| zh),
            "stays": one.stays,
            "mean": one.mean,
            "region_mean": one.region_mean,
            "peers_mean": one.peers_mean,
            "best_of_tier": one.best.as_ref().map(|best| json!({
                "hospital_id": best.hospital_id, "mean": best.mean, "stays": best.stays,
            })),
            "difference": one.difference,
            "contribution": one.contribution,
            "components": components_value(&one.components),
        })
    };
    let row = regional.benchmark.hospitals.iter().find(|row| row.hospital_id == hospital);
    let value = json!({
        "hospital_id": hospital,
        "tier": regional.asked.setting.tiers.get(hospital),
        "cmi": row.and_then(|row| row.cmi),
        "cost_index": row.and_then(|row| row.cost_index),
        "time_index": row.and_then(|row| row.time_index),
        "groups": compared.iter().map(group).collect::<Vec<_>>(),
        "release": regional.release_with_fees(told),
    });
    format!("{value:#}\n")
}

fn as_table(
    hospital: &str,
    regional: &Regional,
    compared: &[Comparison],
    console: Console,
) -> String {
    let lang = console.lang();
    let row = regional.benchmark.hospitals.iter().find(|row| row.hospital_id == hospital);
    let index = |of: fn(&model::casemix::benchmark::HospitalRow) -> Option<f64>| {
        decimals(row.and_then(of), 3)
    };
    let tier = regional.asked.setting.tiers.get(hospital).map_or("", String::as_str);
    let (cmi, cost, time) =
        (index(|row| row.cmi), index(|row| row.cost_index), index(|row| row.time_index));
    let title: [&dyn std::fmt::Display; 5] = [&hospital, &tier, &cmi, &cost, &time];
    let mut text = console.text(Message::HospitalTitle, &title);
    text.push('\n');
    let named = compared.iter().any(|one| one.name.is_some());
    let mut headings = vec![(Message::DrgGroup, Align::Left)];
    if named {
        headings.push((Message::DrgName, Align::Left));
    }
    headings.extend(
        [
            Message::Stays,
            Message::MeanCost,
            Message::TierMean,
            Message::BestOfTier,
            Message::Difference,
            Message::Contribution,
        ]
        .map(|message| (message, Align::Right)),
    );
    headings.push((Message::MadeOf, Align::Left));
    let mut sheet =
        Sheet::new(headings.iter().map(|(message, align)| (message.text(lang), *align)));
    for one in compared.iter().take(GROUPS_SHOWN) {
        let mut cells = vec![one.drg_code.clone()];
        if named {
            cells.push(name(one.name.as_ref(), lang));
        }
        cells.extend([
            grouped(one.stays),
            money(Some(one.mean)),
            money(one.peers_mean),
            money(one.best.as_ref().map(|best| best.mean)),
            money(one.difference),
            money(one.contribution),
            components(&one.components, lang),
        ]);
        sheet.row(cells);
    }
    text.push_str(&sheet.render());
    text.push('\n');
    let more = compared.len().saturating_sub(GROUPS_SHOWN);
    if more > 0 {
        text.push_str(&console.text(Message::MoreGroups, &[&more]));
        text.push('\n');
    }
    text
}
