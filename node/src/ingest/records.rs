//! The rows of a source as Arrow batches, for the mapping to read.
//!
//! Every column is text, an empty field is NULL, and `line` is the physical line number. Rows with
//! a wrong number of fields or unreadable bytes are rejected here, in the first pass only.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, Int64Builder, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use futures::StreamExt;
use query::mapping::{Pass, Source};
use tokio::sync::mpsc;

use super::Encoding;
use super::error::IngestError;
use super::quarantine::{Entry, Quarantine, Rule, ValueClass};
use super::source::{Rows, SourceFile};

/// Rows in a batch.
pub(super) const BATCH_ROWS: usize = 8_192;
/// Expected bytes of a field, to size buffers.
const FIELD_BYTES: usize = 12;
/// Batches read ahead of the mapping.
const AHEAD_BATCHES: usize = 3;
/// A rejected row of more lines than this is a quote that is never closed.
const MAX_REJECTED_LINES: u64 = 50;
/// What decoding puts in place of unreadable bytes.
const REPLACEMENT: char = '\u{FFFD}';

/// The table `source`.
pub(crate) struct Records {
    file: Arc<SourceFile>,
    schema: SchemaRef,
    quarantine: Arc<Mutex<Quarantine>>,
    passed: AtomicBool,
    rows: Arc<AtomicU64>,
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("file", &self.file.path).finish_non_exhaustive()
    }
}

impl Records {
    pub(crate) fn new(file: Arc<SourceFile>, quarantine: Arc<Mutex<Quarantine>>) -> Self {
        let text = |name: &String| Field::new(name, DataType::Utf8, true);
        let mut fields: Vec<Field> = file.header.iter().map(text).collect();
        fields.push(Field::new("line", DataType::Int64, false));
        let schema = Arc::new(Schema::new(fields));
        Self { file, schema, quarantine, passed: AtomicBool::new(false), rows: Arc::default() }
    }

    /// Rows read in the first pass, rejected ones included.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }
}

impl Source for Records {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn open(&self, columns: &[usize]) -> Pass {
        let (sender, receiver) = mpsc::channel(AHEAD_BATCHES);
        let first = !self.passed.swap(true, Ordering::SeqCst);
        let reader = Reader {
            file: Arc::clone(&self.file),
            first: first.then(|| (Arc::clone(&self.quarantine), Arc::clone(&self.rows))),
            // Positions come from this very schema, so projecting cannot fail.
            schema: self
                .schema
                .project(columns)
                .map_or_else(|_| Arc::new(Schema::empty()), Arc::new),
            columns: columns.to_vec(),
        };
        std::thread::spawn(move || {
            if let Err(error) = reader.run(&sender) {
                let error = ArrowError::ExternalError(Box::new(error));
                // Nobody listens any more when the ingest has already stopped.
                let _ = sender.blocking_send(Err(error));
            }
        });
        futures::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|batch| (batch, receiver))
        })
        .boxed()
    }
}

/// One pass, on its own thread.
struct Reader {
    file: Arc<SourceFile>,
    first: Option<(Arc<Mutex<Quarantine>>, Arc<AtomicU64>)>,
    schema: SchemaRef,
    columns: Vec<usize>,
}

impl Reader {
    fn run(
        &self,
        sender: &mpsc::Sender<Result<RecordBatch, ArrowError>>,
    ) -> Result<(), IngestError> {
        let mut rows = self.file.rows()?;
        let mut record = csv::ByteRecord::new();
        let mut batch = Batch::new(&self.columns, self.file.header.len());
        let mut read = 0;
        while self.read(&mut rows, &mut record)? {
            read += 1;
            if let Some(fault) = self.fault(&record) {
                self.reject(&record, &rows, fault)?;
            } else {
                batch.push(&record);
            }
            if batch.rows == BATCH_ROWS {
                let full = batch.finish(&self.schema).map_err(IngestError::write)?;
                self.count(read);
                read = 0;
                if sender.blocking_send(Ok(full)).is_err() {
                    return Ok(());
                }
            }
        }
        self.count(read);
        if batch.rows > 0 {
            let last = batch.finish(&self.schema).map_err(IngestError::write)?;
            // As above: without a listener there is nothing left to do.
            let _ = sender.blocking_send(Ok(last));
        }
        Ok(())
    }

    fn count(&self, read: u64) {
        if let Some((_, rows)) = &self.first {
            rows.fetch_add(read, Ordering::Relaxed);
        }
    }

    fn read(&self, rows: &mut Rows, record: &mut csv::ByteRecord) -> Result<bool, IngestError> {
        let line = rows.position().line();
        let more =
            rows.read_byte_record(record).map_err(|error| self.file.csv_error(error, line))?;
        rows.get_ref().finished();
        Ok(more)
    }

    /// Why the whole row cannot be mapped, if so.
    fn fault(&self, record: &csv::ByteRecord) -> Option<(Rule, ValueClass)> {
        if record.len() != self.file.header.len() {
            let fields = u32::try_from(record.len()).unwrap_or(u32::MAX);
            return Some((Rule::FieldCount, ValueClass::Fields(fields)));
        }
        let bad = Some((Rule::NotText, ValueClass::Bytes));
        let Ok(text) = std::str::from_utf8(record.as_slice()) else { return bad };
        let decoded = self.file.encoding != Encoding::Utf8;
        if decoded && text.contains(REPLACEMENT) {
            return bad;
        }
        if !text.is_ascii() {
            // The fields joined are text; so is each one if none is cut inside a character.
            let ends = record.iter().scan(0, |end, field| {
                *end += field.len();
                Some(*end)
            });
            if !ends.into_iter().all(|end| text.is_char_boundary(end)) {
                return bad;
            }
        }
        None
    }

    fn reject(
        &self,
        record: &csv::ByteRecord,
        rows: &Rows,
        fault: (Rule, ValueClass),
    ) -> Result<(), IngestError> {
        let line = record.position().map_or(0, csv::Position::line);
        if rows.position().line().saturating_sub(line) > MAX_REJECTED_LINES {
            let reason = format!(
                "the record at line {line} runs on for more than {MAX_REJECTED_LINES} lines: close \
                 the quote in that line"
            );
            return Err(IngestError::not_csv(&self.file.path, reason));
        }
        if let Some((quarantine, _)) = &self.first {
            let (rule, class) = fault;
            let entry = Entry { line, table: "source", column: "", rule, class };
            quarantine.lock().unwrap_or_else(PoisonError::into_inner).add(entry);
        }
        Ok(())
    }
}

/// Columns under construction.
struct Batch {
    columns: Vec<(usize, StringBuilder)>,
    /// Present when the mapping asks for `line`.
    lines: Option<Int64Builder>,
    rows: usize,
}

impl Batch {
    fn new(columns: &[usize], fields: usize) -> Self {
        let builder = || StringBuilder::with_capacity(BATCH_ROWS, BATCH_ROWS * FIELD_BYTES);
        let texts = columns.iter().filter(|c| **c < fields).map(|c| (*c, builder())).collect();
        let lines = columns.contains(&fields).then(|| Int64Builder::with_capacity(BATCH_ROWS));
        Self { columns: texts, lines, rows: 0 }
    }

    fn push(&mut self, record: &csv::ByteRecord) {
        for (position, builder) in &mut self.columns {
            match record.get(*position).map(std::str::from_utf8) {
                Some(Ok(text)) if !text.is_empty() => builder.append_value(text),
                _ => builder.append_null(),
            }
        }
        if let Some(lines) = &mut self.lines {
            let line = record.position().map_or(0, csv::Position::line);
            lines.append_value(i64::try_from(line).unwrap_or(i64::MAX));
        }
        self.rows += 1;
    }

    fn finish(&mut self, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
        // `line` is the last column of the source, so it is last in any projection.
        let mut arrays: Vec<ArrayRef> =
            self.columns.iter_mut().map(|(_, builder)| Arc::new(builder.finish()) as _).collect();
        if let Some(lines) = &mut self.lines {
            arrays.push(Arc::new(lines.finish()));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        self.rows = 0;
        RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)
    }
}
