//! A simulation as table, JSON and CSV.

use model::casemix::money::format_cents;
use model::casemix::payment::{Difference, GroupDifference, Settled, Settlement};
use serde_json::{Value, json};

use super::Run;
use super::args::SimulateArgs;
use super::ask::{Asked, BOUND_STEP};
use crate::args::Format;
use crate::benchmark::{decimals, percent};
use crate::console::Console;
use crate::exit::Failure;
use crate::message::Message;
use crate::sheet::{Align, Sheet, grouped};
use crate::told::{pack_value, questions};

/// Codes named in a note.
const CODES_NAMED: usize = 8;

/// Everything that is shown.
#[derive(Debug)]
pub(super) struct Output<'a> {
    pub(super) args: &'a SimulateArgs,
    pub(super) asked: &'a Asked,
    pub(super) live: &'a Run,
    pub(super) shadow: Option<&'a Run>,
    pub(super) differences: Vec<Difference>,
}

impl Output<'_> {
    /// In the form that was asked for.
    pub(super) fn text(&self, console: Console) -> Result<String, Failure> {
        match self.args.format {
            Format::Json => Ok(format!("{:#}\n", self.json())),
            Format::Csv => self.csv(),
            Format::Table | Format::Parquet | Format::Arrow => Ok(self.table(console)),
        }
    }

    /// What is not in the settlement, for people.
    pub(super) fn notes(&self, console: Console) {
        let coverage = percent(self.live.coverage);
        console.note(console.text(Message::PaidFor, &[&grouped(self.live.stays), &coverage]));
        let told = percent(self.live.told_share);
        if self.live.waiting {
            console.note(console.text(Message::DeviationWaits, &[]));
        } else if self.live.rules.deviation.enabled && self.live.deviating.is_empty() {
            console.note(console.text(Message::DeviationOff, &[&told]));
        } else if self.live.rules.deviation.enabled {
            console.note(console.text(Message::DeviationTold, &[&told]));
        }
        if !self.live.unscored.is_empty() {
            let codes: Vec<_> =
                self.live.unscored.iter().take(CODES_NAMED).map(String::as_str).collect();
            let count = self.live.unscored.len();
            console.note(console.text(Message::Unscored, &[&count, &codes.join(", ")]));
        }
    }

    fn table(&self, console: Console) -> String {
        let lang = console.lang();
        let settled = &self.live.settled;
        let fund = format_cents(settled.fund_cents);
        let (value, points) =
            (decimals(Some(settled.value), 4), decimals(Some(settled.total_points), 2));
        let label = self.live.rules.label();
        let title: [&dyn std::fmt::Display; 5] =
            [&self.args.method.as_str(), &fund, &points, &value, &label];
        let mut text = console.text(Message::PaymentTitle, &title);
        text.push('\n');
        let mut headings = vec![
            (Message::Hospital, Align::Left),
            (Message::Tier, Align::Left),
            (Message::Points, Align::Right),
            (Message::Gross, Align::Right),
            (Message::Prepaid, Align::Right),
            (Message::Balance, Align::Right),
        ];
        if self.shadow.is_some() {
            headings.extend([(Message::Shadow, Align::Right), (Message::Difference, Align::Right)]);
        }
        let mut sheet =
            Sheet::new(headings.iter().map(|(message, align)| (message.text(lang), *align)));
        for one in &settled.settlements {
            let tier = self.asked.tiers.get(&one.hospital).cloned().unwrap_or_default();
            let mut cells = vec![
                one.hospital.clone(),
                tier,
                decimals(Some(one.points), 2),
                format_cents(one.gross_cents),
                format_cents(one.prepaid_cents),
                format_cents(one.balance_cents),
            ];
            if self.shadow.is_some() {
                let difference = self.difference(&one.hospital);
                let cents = |of: fn(&Difference) -> i128| {
                    difference.map_or_else(String::new, |found| format_cents(of(found)))
                };
                cells.push(cents(|found| found.shadow_cents));
                cells.push(cents(|found| found.difference_cents));
            }
            sheet.row(cells);
        }
        text.push_str(&sheet.render());
        text.push('\n');
        text
    }

    fn difference(&self, hospital: &str) -> Option<&Difference> {
        self.differences.iter().find(|difference| difference.hospital == hospital)
    }

    fn csv(&self) -> Result<String, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::Internal(error.to_string());
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut header = vec!["hospital_id", "tier", "group", "amount"];
        if self.shadow.is_some() {
            header.extend(["shadow_amount", "difference"]);
        }
        writer.write_record(&header).map_err(|error| failed(&error))?;
        for one in &self.live.settled.settlements {
            for (group, cents) in &one.by_group {
                let record = self.record(&one.hospital, group, *cents);
                writer.write_record(&record).map_err(|error| failed(&error))?;
            }
        }
        let bytes = writer.into_inner().map_err(|error| failed(&error))?;
        String::from_utf8(bytes).map_err(|error| failed(&error))
    }

    /// One line of CSV.
    fn record(&self, hospital: &str, group: &str, cents: i128) -> Vec<String> {
        let tier = self.asked.tiers.get(hospital).cloned().unwrap_or_default();
        let mut record = vec![hospital.to_owned(), tier, group.to_owned(), format_cents(cents)];
        if self.shadow.is_some() {
            let found = self.difference(hospital);
            let found = found.and_then(|all| all.by_group.iter().find(|one| one.group == group));
            let amount = |of: fn(&GroupDifference) -> i128| {
                found.map_or_else(String::new, |found| format_cents(of(found)))
            };
            record.push(amount(|found| found.shadow_cents));
            record.push(amount(|found| found.difference_cents));
        }
        record
    }

    fn json(&self) -> Value {
        let args = self.args;
        let rounds: u32 = self.asked.told.iter().map(|told| told.release.rounds).sum();
        json!({
            "method": args.method.as_str(),
            "fund": format_cents(args.fund),
            "live": self.run(self.live),
            "shadow": self.shadow.map(|shadow| self.run(shadow)),
            "differences": self.differences.iter().map(difference).collect::<Vec<_>>(),
            "release": {
                "pack": pack_value("payment"),
                "period": args.period.as_ref().map(ToString::to_string),
                "reference_period": args.reference_period.as_ref().map(ToString::to_string),
                "cost": args.cost.as_str(),
                "rounds": rounds,
                "bound_step": BOUND_STEP,
                "questions": questions(&self.asked.told),
            },
        })
    }

    fn run(&self, run: &Run) -> Value {
        let Settled { value, total_points, fund_cents, settlements } = &run.settled;
        json!({
            "parameters": run.rules.label(),
            "distributed": format_cents(*fund_cents),
            "value": value,
            "total_points": total_points,
            "stays": run.stays,
            "weight_coverage": run.coverage,
            "deviation_told": run.told_share,
            "deviation_applied": !run.deviating.is_empty(),
            "deviation_waits": run.waiting,
            "scores": run.scores,
            "without_score": run.unscored,
            "settlements": settlements.iter().map(|one| self.settlement(one)).collect::<Vec<_>>(),
            "deviations": deviations(run),
        })
    }

    fn settlement(&self, one: &Settlement) -> Value {
        let groups = one.by_group.iter();
        let groups =
            groups.map(|(group, cents)| json!({ "group": group, "amount": format_cents(*cents) }));
        json!({
            "hospital_id": one.hospital,
            "tier": self.asked.tiers.get(&one.hospital),
            "points": one.points,
            "gross": format_cents(one.gross_cents),
            "prepaid": format_cents(one.prepaid_cents),
            "balance": format_cents(one.balance_cents),
            "groups": groups.collect::<Vec<_>>(),
        })
    }
}

fn difference(one: &Difference) -> Value {
    let group = |one: &GroupDifference| {
        json!({
            "group": one.group,
            "live": format_cents(one.live_cents),
            "shadow": format_cents(one.shadow_cents),
            "difference": format_cents(one.difference_cents),
        })
    };
    json!({
        "hospital_id": one.hospital,
        "live": format_cents(one.live_cents),
        "shadow": format_cents(one.shadow_cents),
        "difference": format_cents(one.difference_cents),
        "groups": one.by_group.iter().map(group).collect::<Vec<_>>(),
    })
}

/// Cells in which cases deviate, or in which it was not told whether they do.
fn deviations(run: &Run) -> Vec<Value> {
    let each = run.deviating.iter().filter(|(_, found)| {
        found.low.is_none_or(|low| low.0 > 0) || found.high.is_none_or(|high| high.0 > 0)
    });
    let value = each.map(|((hospital, group), found)| {
        json!({
            "hospital_id": hospital,
            "group": group,
            "reference_mean": found.reference,
            "low_stays": found.low.map(|low| low.0),
            "high_stays": found.high.map(|high| high.0),
            "review_stays": found.review,
        })
    });
    value.collect()
}
