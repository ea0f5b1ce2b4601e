//! Small tables, kept in memory.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{RecordBatch, new_null_array};
use arrow::datatypes::{Field, SchemaRef};
use arrow::error::ArrowError;
use datafusion::datasource::MemTable;
use model::schema::Table;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::catalog::arrow_schema;

/// Reads a small table whole; its rows keep their order.
pub(super) fn resident(path: &Path, table: &Table) -> Result<MemTable, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|error| error.to_string())?;
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let schema = arrow_schema(table);
    let batches = batches.iter().map(|batch| widen(batch, &schema)).collect::<Result<Vec<_>, _>>();
    let batches = batches.map_err(|error| error.to_string())?;
    MemTable::try_new(schema, vec![batches]).map_err(|error| error.strip_backtrace())
}

/// A batch with NULL in the columns that a snapshot of an earlier version does not have, as large
/// tables are read too.
pub(super) fn widen(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let missing = |field: &Arc<Field>| new_null_array(field.data_type(), batch.num_rows());
    let column = |field: &Arc<Field>| {
        batch.column_by_name(field.name()).map_or_else(|| missing(field), Arc::clone)
    };
    let columns = schema.fields().iter().map(column).collect();
    RecordBatch::try_new(Arc::clone(schema), columns)
}
