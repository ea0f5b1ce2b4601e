//! `consilium catalog`: what can be asked.

use proto::v1::{CatalogColumn, CatalogTable};
use serde_json::json;

use crate::args::{CatalogArgs, ListFormat};
use crate::client::Client;
use crate::console::Console;
use crate::exit::Failure;
use crate::message::Message;
use crate::run::Context;
use crate::sheet::{Align, Sheet};

/// Codes shown of a column when all tables are listed, and when one is.
const CODES_SHOWN: (usize, usize) = (4, 12);

/// Lists the tables, or one of them.
///
/// # Errors
/// [`Failure::Usage`] for a table that does not exist, and what the client meets.
pub async fn run(args: &CatalogArgs, context: &Context) -> Result<(), Failure> {
    let client = Client::open(&args.region.region, &context.clock)?;
    let mut tables = client.catalog().await?.tables;
    if let Some(wanted) = &args.table {
        let names: Vec<_> = tables.iter().map(|table| table.name.clone()).collect();
        tables.retain(|table| table.name == *wanted);
        if tables.is_empty() {
            let names = names.join(", ");
            let reason = format!("the catalogue has no table \"{wanted}\"; there are: {names}");
            return Err(Failure::Usage(reason));
        }
    }
    let text = match args.format {
        ListFormat::Json => as_json(&tables),
        ListFormat::Table => {
            let codes = if args.table.is_some() { CODES_SHOWN.1 } else { CODES_SHOWN.0 };
            as_text(&tables, codes, context.console)
        }
    };
    context.console.data(|out| out.write_all(text.as_bytes()))
}

fn as_json(tables: &[CatalogTable]) -> String {
    let column = |column: &CatalogColumn| {
        json!({
            "name": column.name,
            "type": column.r#type,
            "kind": column.kind,
            "groupable": column.groupable,
            "filterable": column.filterable,
            "measurable": column.measurable,
            "conditions": column.conditions,
            "note": column.note,
            "codes": column.codes,
        })
    };
    let table = |table: &CatalogTable| {
        let columns: Vec<_> = table.columns.iter().map(column).collect();
        json!({ "name": table.name, "note": table.note, "columns": columns })
    };
    let tables: Vec<_> = tables.iter().map(table).collect();
    format!("{:#}\n", json!({ "tables": tables }))
}

fn as_text(tables: &[CatalogTable], codes: usize, console: Console) -> String {
    let mut text = String::new();
    for table in tables {
        let headings = [
            Message::Column,
            Message::Type,
            Message::May,
            Message::Conditions,
            Message::Codes,
            Message::Note,
        ];
        let headings = headings.map(|message| message.text(console.lang()));
        let mut sheet = Sheet::new(headings.map(|heading| (heading, Align::Left)));
        for column in &table.columns {
            sheet.row([
                column.name.clone(),
                column.r#type.clone(),
                uses(column, console),
                column.conditions.clone(),
                abbreviated(&column.codes, codes, console),
                column.note.clone(),
            ]);
        }
        text.push_str(&format!("{}: {}\n{}\n", table.name, table.note, sheet.render()));
    }
    text
}

fn uses(column: &CatalogColumn, console: Console) -> String {
    let uses = [
        (column.groupable, Message::Group),
        (column.filterable, Message::Filter),
        (column.measurable, Message::Measure),
    ];
    let uses = uses.into_iter().filter(|(allowed, _)| *allowed);
    uses.map(|(_, message)| message.text(console.lang())).collect::<Vec<_>>().join(", ")
}

fn abbreviated(codes: &[String], shown: usize, console: Console) -> String {
    let mut text = codes.iter().take(shown).map(String::as_str).collect::<Vec<_>>().join(", ");
    if codes.len() > shown {
        text.push_str(", ");
        text.push_str(&console.text(Message::MoreCodes, &[&codes.len()]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Lang;

    #[test]
    fn a_column_says_what_it_is_for() {
        let console = Console::new(Lang::En, true);
        let codes = ["F", "M", "U"].map(str::to_owned);
        let column = CatalogColumn {
            groupable: true,
            filterable: true,
            codes: codes.to_vec(),
            ..CatalogColumn::default()
        };
        assert_eq!(uses(&column, console), "grouped, filtered");
        assert_eq!(abbreviated(&codes, 3, console), "F, M, U");
        assert_eq!(abbreviated(&codes, 2, console), "F, M, ... 3 in all");
    }
}
