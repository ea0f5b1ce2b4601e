//! An answer of the region, and the forms in which it is written.

mod cells;
mod columnar;
mod csv;
mod json;
mod release;
mod table;

#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::ipc::reader::StreamDecoder;

pub use cells::{Block, Cell};
pub use release::{Hospitals, Missing, Noise, Release, ReleasedCells};

use crate::args::Format;
use crate::console::Console;
use crate::exit::Failure;

/// An answer is of aggregates; one larger than this is a mistake.
const ANSWER_MAX_BYTES: usize = 1 << 30;

/// Released values and how they came about.
#[derive(Debug, Clone)]
pub struct Answer {
    /// As the coordinator named the columns.
    pub schema: SchemaRef,
    /// Rows, in order.
    pub batches: Vec<RecordBatch>,
    /// How it came about.
    pub release: Release,
}

/// What a column holds, by the names of the JSON form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Integer,
    /// An exact number, written with all its digits.
    Decimal,
    /// A floating-point number.
    Double,
    /// A code or text, and everything that is none of the others.
    Text,
    /// True or false.
    Boolean,
    /// ISO 8601 with a time.
    Timestamp,
    /// ISO 8601 without a time.
    Date,
}

/// A column's name, unique within the answer, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// As in the question; a second column of the same name is `name_2`.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
}

/// An answer that is arriving.
#[derive(Debug, Default)]
pub struct Assembly {
    decoder: StreamDecoder,
    bytes: usize,
    batches: Vec<RecordBatch>,
    release: Option<proto::v1::Provenance>,
}

// === impl Kind ===

impl Kind {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Boolean => Self::Boolean,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Self::Double,
            DataType::Timestamp(_, _) => Self::Timestamp,
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Dictionary(_, values) => Self::of(values),
            other if other.is_integer() => Self::Integer,
            other if other.is_decimal() => Self::Decimal,
            _ => Self::Text,
        }
    }

    /// The name in the JSON form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Decimal => "decimal",
            Self::Double => "double",
            Self::Text => "text",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
            Self::Date => "date",
        }
    }

    const fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Decimal | Self::Double)
    }
}

// === impl Assembly ===

impl Assembly {
    /// Takes the next part of the Arrow stream.
    ///
    /// # Errors
    /// [`Failure::Internal`] when it is none, or the answer grows beyond its bound.
    pub fn part(&mut self, part: impl Into<bytes::Bytes>) -> Result<(), Failure> {
        let part: bytes::Bytes = part.into();
        self.bytes = self.bytes.saturating_add(part.len());
        if self.bytes > ANSWER_MAX_BYTES {
            let reason =
                format!("the answer is larger than {ANSWER_MAX_BYTES} bytes; group less finely");
            return Err(Failure::Internal(reason));
        }
        let mut buffer = Buffer::from(part);
        while !buffer.is_empty() {
            if let Some(batch) = self.decoder.decode(&mut buffer).map_err(unreadable)? {
                self.batches.push(batch);
            }
        }
        Ok(())
    }

    /// Takes how the answer came about.
    pub fn release(&mut self, release: proto::v1::Provenance) {
        self.release = Some(release);
    }

    /// The answer, if it is whole.
    ///
    /// # Errors
    /// [`Failure::Internal`] when the stream ended before its end.
    pub fn finish(mut self) -> Result<Answer, Failure> {
        self.decoder.finish().map_err(unreadable)?;
        let incomplete =
            || Failure::Internal("the coordinator's answer is incomplete; ask again".to_owned());
        let schema = self.decoder.schema().ok_or_else(incomplete)?;
        let release = self.release.ok_or_else(incomplete)?.into();
        Ok(Answer { schema, batches: self.batches, release })
    }
}

fn unreadable(error: impl std::fmt::Display) -> Failure {
    Failure::Internal(format!("the coordinator's answer cannot be read: {error}"))
}

// === impl Answer ===

impl Answer {
    /// Names and kinds of the columns.
    #[must_use]
    pub fn headings(&self) -> Vec<Heading> {
        let mut headings: Vec<Heading> = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields() {
            let mut name = field.name().clone();
            let mut count = 1;
            while headings.iter().any(|heading| heading.name == name) {
                count += 1;
                name = format!("{}_{count}", field.name());
            }
            headings.push(Heading { name, kind: Kind::of(field.data_type()) });
        }
        headings
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The rows, readable cell by cell, one block for each batch.
    pub fn blocks(&self) -> impl Iterator<Item = io::Result<Block>> + '_ {
        self.batches.iter().map(|batch| Block::new(batch).map_err(io::Error::other))
    }

    /// Writes the answer in `format`.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn write(
        &self,
        format: Format,
        console: Console,
        out: &mut (dyn Write + Send),
    ) -> io::Result<()> {
        match format {
            Format::Table => table::write(self, console, out),
            Format::Json => json::write(self, out),
            Format::Csv => csv::write(self, out),
            Format::Parquet => columnar::write_parquet(self, out),
            Format::Arrow => columnar::write_arrow(self, out),
        }
    }

    /// Writes the answer to `path`, or to stdout.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn deliver(
        &self,
        format: Format,
        path: Option<&Path>,
        console: Console,
    ) -> Result<(), Failure> {
        let Some(path) = path else {
            return console.data(|out| self.write(format, console, out));
        };
        let write = || {
            let mut out = io::BufWriter::new(std::fs::File::create(path)?);
            self.write(format, console, &mut out)?;
            out.flush()
        };
        write().map_err(Failure::output(path))
    }
}
