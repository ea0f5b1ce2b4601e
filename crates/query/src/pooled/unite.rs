//! Copies of snapshots in which a key means one stay or person of the region.
//!
//! Inside a hospital keys are small numbers, so that over the files of several hospitals a join
//! would bring unlike stays together. Copies with the keys of each hospital moved behind those of
//! the ones before are what a warehouse of all their rows would hold.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::max;
use arrow::datatypes::UInt32Type;
use model::schema::{PERSON_KEY, STAY_KEY, TABLES};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::PooledError;

/// Rows of a row group, as in a snapshot.
const ROW_GROUP_ROWS: usize = 250_000;
const KEYS: [&str; 2] = [STAY_KEY, PERSON_KEY];

/// Copies the tables of each snapshot folder to a folder in `target`, and names these.
///
/// # Errors
/// [`PooledError`] when a file cannot be read or written, or there are more than 2^32 keys.
pub fn unite(folders: &[PathBuf], target: &Path) -> Result<Vec<PathBuf>, PooledError> {
    let mut moved = [0u32; KEYS.len()];
    let mut copies = Vec::new();
    for (index, folder) in folders.iter().enumerate() {
        let copy = target.join(index.to_string());
        fs::create_dir_all(&copy).map_err(failed)?;
        let mut largest = [None; KEYS.len()];
        for table in TABLES {
            let file = format!("{}.parquet", table.name);
            copy_table(&folder.join(&file), &copy.join(&file), moved, &mut largest)?;
        }
        for (moved, largest) in moved.iter_mut().zip(largest) {
            let next = largest.map_or(Some(*moved), |key: u32| key.checked_add(1));
            *moved = next.ok_or_else(|| PooledError("there are too many keys".to_owned()))?;
        }
        copies.push(copy);
    }
    Ok(copies)
}

fn failed(error: impl std::fmt::Display) -> PooledError {
    PooledError(error.to_string())
}

/// Copies one file; `largest` keeps the largest key written.
fn copy_table(
    from: &Path,
    to: &Path,
    moved: [u32; KEYS.len()],
    largest: &mut [Option<u32>; KEYS.len()],
) -> Result<(), PooledError> {
    let source = File::open(from).map_err(failed)?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(source).map_err(failed)?;
    let schema = Arc::clone(reader.schema());
    let properties = WriterProperties::builder()
        .set_compression(Compression::LZ4_RAW)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    let file = File::create(to).map_err(failed)?;
    let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties.build()));
    let writer = writer.as_mut().map_err(failed)?;
    for batch in reader.build().map_err(failed)? {
        let batch = batch.map_err(failed)?;
        let mut columns = batch.columns().to_vec();
        for ((name, moved), largest) in KEYS.iter().zip(moved).zip(largest.iter_mut()) {
            let Ok(index) = schema.index_of(name) else { continue };
            columns[index] = move_keys(&columns[index], moved)?;
            *largest = (*largest).max(max(columns[index].as_primitive::<UInt32Type>()));
        }
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(failed)?;
        writer.write(&batch).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    Ok(())
}

fn move_keys(keys: &ArrayRef, by: u32) -> Result<ArrayRef, PooledError> {
    let keys = keys.as_primitive_opt::<UInt32Type>();
    let keys = keys.filter(|keys| keys.null_count() == 0);
    let keys = keys.ok_or_else(|| PooledError("a key column holds no keys".to_owned()))?;
    let keys = keys.try_unary::<_, UInt32Type, PooledError>(|key| {
        key.checked_add(by).ok_or_else(|| PooledError("there are too many keys".to_owned()))
    });
    Ok(Arc::new(keys?))
}
