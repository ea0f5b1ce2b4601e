//! The columnar forms: Parquet and Arrow IPC files. Both carry how the answer came about as JSON
//! under [`RELEASE_KEY`].

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::ipc::writer::FileWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::Answer;

/// Key of the metadata.
pub(super) const RELEASE_KEY: &str = "consilium.release";

pub(super) fn write_parquet(answer: &Answer, out: &mut (dyn Write + Send)) -> io::Result<()> {
    let schema = unique(answer);
    let properties = WriterProperties::builder().set_compression(Compression::LZ4_RAW).build();
    let mut writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties))
        .map_err(io::Error::other)?;
    for batch in &answer.batches {
        writer.write(&renamed(batch, &schema)?).map_err(io::Error::other)?;
    }
    let release = serde_json::to_string(&answer.release)?;
    writer.append_key_value_metadata(KeyValue::new(RELEASE_KEY.to_owned(), release));
    writer.close().map_err(io::Error::other)?;
    Ok(())
}

pub(super) fn write_arrow(answer: &Answer, out: &mut (dyn Write + Send)) -> io::Result<()> {
    let schema = unique(answer);
    let mut writer = FileWriter::try_new(out, &schema).map_err(io::Error::other)?;
    writer.write_metadata(RELEASE_KEY, serde_json::to_string(&answer.release)?);
    for batch in &answer.batches {
        writer.write(&renamed(batch, &schema)?).map_err(io::Error::other)?;
    }
    writer.finish().map_err(io::Error::other)
}

/// The answer's schema with unique names.
fn unique(answer: &Answer) -> SchemaRef {
    let fields = answer.schema.fields().iter().zip(answer.headings());
    let fields = fields.map(|(field, heading)| {
        Field::new(heading.name, field.data_type().clone(), field.is_nullable())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn renamed(batch: &RecordBatch, schema: &SchemaRef) -> io::Result<RecordBatch> {
    RecordBatch::try_new(Arc::clone(schema), batch.columns().to_vec()).map_err(io::Error::other)
}
