//! Two models beside each other.

use std::collections::BTreeMap;

use learn::card::{Card, CoefficientCard};
use serde_json::json;

use crate::args::ListFormat;
use crate::exit::Failure;
use crate::message::Message;
use crate::run::Context;
use crate::sheet::{Align, Sheet, grouped, number};

/// What the fits of two models say of one number.
type Line = (Message, fn(&Card) -> Option<f64>);

const LINES: [Line; 5] = [
    (Message::Deviance, |card| Some(card.fit.deviance)),
    (Message::LogLikelihood, |card| card.fit.log_likelihood),
    (Message::Aic, |card| card.fit.aic),
    (Message::Bic, |card| card.fit.bic),
    (Message::Dispersion, |card| Some(card.fit.pearson_dispersion)),
];

/// Names of all coefficients, the first model's order first.
fn names<'a>(first: &'a Card, second: &'a Card) -> Vec<&'a str> {
    let mut names: Vec<&str> = first.coefficients.iter().map(|one| one.name.as_str()).collect();
    for one in &second.coefficients {
        if !names.contains(&one.name.as_str()) {
            names.push(&one.name);
        }
    }
    names
}

fn by_name(card: &Card) -> BTreeMap<&str, &CoefficientCard> {
    card.coefficients.iter().map(|one| (one.name.as_str(), one)).collect()
}

pub(super) fn print(
    first: &Card,
    second: &Card,
    format: ListFormat,
    context: &Context,
) -> Result<(), Failure> {
    let console = context.console;
    let (left, right) = (by_name(first), by_name(second));
    let text = match format {
        ListFormat::Json => {
            let coefficient = |name: &&str| {
                let estimate = |side: &BTreeMap<&str, &CoefficientCard>| {
                    side.get(name).map(|one| json!({ "estimate": one.estimate, "standard_error": one.standard_error }))
                };
                json!({ "name": name, "first": estimate(&left), "second": estimate(&right) })
            };
            let fits = [first, second].map(|card| {
                json!({
                    "name": card.name, "formula": card.formula, "family": card.family, "link": card.link,
                    "condition": card.condition, "fit": card.fit,
                })
            });
            let all: Vec<_> = names(first, second).iter().map(coefficient).collect();
            format!("{:#}\n", json!({ "models": fits, "coefficients": all }))
        }
        ListFormat::Table => {
            let lang = console.lang();
            let mut sheet = Sheet::new([
                (Message::Term.text(lang), Align::Left),
                (first.name.as_str(), Align::Right),
                (second.name.as_str(), Align::Right),
                (Message::Difference.text(lang), Align::Right),
            ]);
            let stays = [first, second].map(|card| card.fit.stays);
            let more = i128::from(stays[1]) - i128::from(stays[0]);
            sheet.row([
                Message::Stays.text(lang).to_owned(),
                grouped(stays[0]),
                grouped(stays[1]),
                format!("{more:+}"),
            ]);
            for (message, value) in LINES {
                let (a, b) = (value(first), value(second));
                let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), number);
                let difference = a.zip(b).map_or_else(String::new, |(a, b)| signed(b - a));
                sheet.row([message.text(lang).to_owned(), shown(a), shown(b), difference]);
            }
            for name in names(first, second) {
                let (a, b) = (left.get(name), right.get(name));
                let shown = |one: Option<&&CoefficientCard>| match one {
                    Some(one) => format!("{:.5} ±{:.5}", one.estimate, one.standard_error),
                    None => "-".to_owned(),
                };
                let difference = a
                    .zip(b)
                    .map_or_else(String::new, |(a, b)| format!("{:+.5}", b.estimate - a.estimate));
                sheet.row([name.to_owned(), shown(a), shown(b), difference]);
            }
            let title = |card: &Card| {
                format!("{}   {}   {}, {}\n", card.name, card.formula, card.family, card.link)
            };
            format!("{}{}{}\n", title(first), title(second), sheet.render())
        }
    };
    console.data(|out| out.write_all(text.as_bytes()))
}

fn signed(value: f64) -> String {
    let sign = if value < 0.0 { "" } else { "+" };
    format!("{sign}{}", number(value))
}
