//! The form for people: rounded numbers, right-aligned; a long answer is cut, and says so.

use std::io::{self, Write};

use super::{Answer, Cell, Kind};
use crate::console::Console;
use crate::message::Message;
use crate::sheet::{Align, Sheet, number};

/// Rows shown; nobody reads more.
const ROWS_SHOWN: usize = 1_000;
/// Numbers from here on have more exact digits than a double can show.
const EXACT_UP_TO: f64 = 1e15;

pub(super) fn write(
    answer: &Answer,
    console: Console,
    out: &mut (dyn Write + Send),
) -> io::Result<()> {
    let headings = answer.headings();
    let align = |kind: Kind| if kind.is_number() { Align::Right } else { Align::Left };
    let mut sheet = Sheet::new(headings.iter().map(|h| (h.name.as_str(), align(h.kind))));
    let mut left = ROWS_SHOWN;
    for block in answer.blocks() {
        let block = block?;
        let shown = block.rows().min(left);
        for row in 0..shown {
            let cells = block.row(row).zip(&headings);
            sheet.row(cells.map(|(cell, heading)| shown_as(cell, heading.kind)));
        }
        left -= shown;
    }
    writeln!(out, "{}", sheet.render())?;
    let more = answer.rows().saturating_sub(ROWS_SHOWN);
    if more > 0 {
        console.note(console.text(Message::MoreRows, &[&more]));
    }
    Ok(())
}

fn shown_as(cell: Cell<'_>, kind: Kind) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Integer(value) => value.to_string(),
        Cell::Unsigned(value) => value.to_string(),
        Cell::Double(value) => number(value),
        Cell::Boolean(value) => value.to_string(),
        Cell::Text(text) if kind == Kind::Decimal && text.contains('.') => match cell.number() {
            Some(value) if value.abs() < EXACT_UP_TO => number(value),
            _ => text.to_owned(),
        },
        Cell::Text(text) => text.to_owned(),
    }
}
