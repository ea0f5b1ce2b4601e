//! Answers as an Arrow IPC stream, in parts.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use bytes::{Bytes, BytesMut};

/// Size of one part, in bytes.
const PART_BYTES: usize = 1 << 20;

/// Encodes batches of one schema; the parts together are one IPC stream.
///
/// # Errors
/// When a batch cannot be encoded.
pub(crate) fn ipc_parts(batches: &[RecordBatch]) -> Result<Vec<Bytes>, ArrowError> {
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    let mut writer = StreamWriter::try_new(Vec::new(), &first.schema())?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    let mut rest = BytesMut::from(writer.into_inner()?.as_slice()).freeze();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        parts.push(rest.split_to(rest.len().min(PART_BYTES)));
    }
    Ok(parts)
}
