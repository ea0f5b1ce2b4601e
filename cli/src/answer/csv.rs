//! The CSV form: RFC 4180, UTF-8, nothing for null.

use std::io::{self, Write};

use csv::{Terminator, WriterBuilder};

use super::{Answer, Cell};

pub(super) fn write(answer: &Answer, out: &mut (dyn Write + Send)) -> io::Result<()> {
    let mut lines = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(out);
    lines.write_record(answer.headings().iter().map(|heading| &heading.name))?;
    for block in answer.blocks() {
        let block = block?;
        for row in 0..block.rows() {
            for cell in block.row(row) {
                field(&mut lines, cell)?;
            }
            lines.write_record(None::<&[u8]>)?;
        }
    }
    lines.flush()
}

fn field(lines: &mut csv::Writer<&mut (dyn Write + Send)>, cell: Cell<'_>) -> io::Result<()> {
    let written = match cell {
        Cell::Null => lines.write_field(""),
        Cell::Integer(value) => lines.write_field(value.to_string()),
        Cell::Unsigned(value) => lines.write_field(value.to_string()),
        Cell::Boolean(value) => lines.write_field(value.to_string()),
        // `{:?}` is the shortest text that reads back to the same bits.
        Cell::Double(value) if value.is_finite() => lines.write_field(format!("{value:?}")),
        Cell::Double(_) => lines.write_field(""),
        Cell::Text(text) => lines.write_field(text),
    };
    Ok(written?)
}
