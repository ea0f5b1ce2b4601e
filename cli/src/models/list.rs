//! The list of models.

use proto::v1::ModelSummary;
use serde_json::json;

use crate::args::ListFormat;
use crate::exit::Failure;
use crate::message::Message;
use crate::run::Context;
use crate::sheet::{Align, Sheet, grouped, number};

pub(super) fn print(
    models: &[ModelSummary],
    format: ListFormat,
    context: &Context,
) -> Result<(), Failure> {
    let console = context.console;
    let text = match format {
        ListFormat::Json => {
            format!("{:#}\n", json!({ "models": models.iter().map(value).collect::<Vec<_>>() }))
        }
        ListFormat::Table if models.is_empty() => {
            format!("{}\n", console.text(Message::NoModels, &[]))
        }
        ListFormat::Table => {
            let lang = console.lang();
            let headings = [
                (Message::Model, Align::Left),
                (Message::Formula, Align::Left),
                (Message::Family, Align::Left),
                (Message::Stays, Align::Right),
                (Message::HospitalsHeading, Align::Right),
                (Message::Deviance, Align::Right),
                (Message::MadeAt, Align::Left),
                (Message::MadeBy, Align::Left),
            ];
            let headings = headings.iter().map(|(message, align)| (message.text(lang), *align));
            let mut sheet = Sheet::new(headings);
            for model in models {
                let condition = match model.condition.is_empty() {
                    true => String::new(),
                    false => format!("\nWHERE {}", model.condition),
                };
                sheet.row([
                    model.name.clone(),
                    format!("{}{condition}", model.formula),
                    format!("{}, {}", model.family, model.link),
                    grouped(model.stays),
                    model.hospitals.to_string(),
                    number(model.deviance),
                    model.created_at.clone(),
                    model.asker.clone(),
                ]);
            }
            format!("{}\n", sheet.render())
        }
    };
    console.data(|out| out.write_all(text.as_bytes()))
}

fn value(model: &ModelSummary) -> serde_json::Value {
    json!({
        "name": model.name,
        "created_at": model.created_at,
        "asker": model.asker,
        "formula": model.formula,
        "family": model.family,
        "link": model.link,
        "condition": model.condition,
        "stays": model.stays,
        "hospitals": model.hospitals,
        "deviance": model.deviance,
        "aic": model.aic,
    })
}
