//! The JSON form: stable, one row a line.

use std::io::{self, Write};

use serde::Serialize;

use super::{Answer, Cell};

#[derive(Serialize)]
struct Column<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
}

pub(super) fn write(answer: &Answer, out: &mut (dyn Write + Send)) -> io::Result<()> {
    let headings = answer.headings();
    let columns = headings.iter();
    let columns: Vec<_> =
        columns.map(|h| Column { name: &h.name, kind: h.kind.as_str() }).collect();
    // `"name":` of every column, escaped once.
    let mut keys = Vec::with_capacity(headings.len());
    for heading in &headings {
        keys.push(serde_json::to_string(&heading.name)?);
    }
    out.write_all(b"{\"columns\":")?;
    serde_json::to_writer(&mut *out, &columns)?;
    out.write_all(b",\n\"rows\":[")?;
    let mut separator = "\n{";
    for block in answer.blocks() {
        let block = block?;
        for row in 0..block.rows() {
            out.write_all(separator.as_bytes())?;
            for (position, (key, cell)) in keys.iter().zip(block.row(row)).enumerate() {
                let comma = if position == 0 { "" } else { "," };
                write!(out, "{comma}{key}:")?;
                write_cell(cell, out)?;
            }
            separator = "},\n{";
        }
    }
    let end: &[u8] = if answer.rows() == 0 { b"" } else { b"}" };
    out.write_all(end)?;
    out.write_all(b"],\n\"release\":")?;
    serde_json::to_writer(&mut *out, &answer.release)?;
    out.write_all(b"}\n")
}

/// Doubles in their shortest form that reads back to the same bits; no number for NaN.
fn write_cell(cell: Cell<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
    match cell {
        Cell::Null => out.write_all(b"null"),
        Cell::Integer(value) => write!(out, "{value}"),
        Cell::Unsigned(value) => write!(out, "{value}"),
        Cell::Boolean(value) => write!(out, "{value}"),
        Cell::Double(value) => Ok(serde_json::to_writer(out, &value)?),
        Cell::Text(text) => Ok(serde_json::to_writer(out, text)?),
    }
}
