//! Writing a snapshot and putting it in force, so that a crash at any point leaves the old one.
//!
//! Everything is written and synced under `snapshots/.incoming-*`; one rename makes it a snapshot
//! and a second one, of `CURRENT`, puts it in force.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray as _, DictionaryArray, FixedSizeBinaryArray, RecordBatch, UInt32Array,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use model::manifest::{Manifest, SNAPSHOT_FORMAT, TableRecord};
use model::schema::{ColumnType, Table};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use ring::digest;

use super::dictionary::Dictionary;
use super::error::IngestError;
use super::keys::{HMAC_BYTES, Hmac};
use super::source::hex;

/// Rows of a Parquet row group: what a question reads or skips at once.
const ROW_GROUP_ROWS: usize = 250_000;
/// Batches between the merge and the writer.
const QUEUE_BATCHES: usize = 4;
const BUFFER_BYTES: usize = 1 << 20;
const INCOMING: &str = ".incoming-";
const CURRENT: &str = "CURRENT";
const MANIFEST: &str = "manifest.json";

/// A batch of a table in its order.
pub(crate) type Sorted = Result<RecordBatch, IngestError>;
/// A table that the mapping does not fill.
pub(crate) const NO_ROWS: Option<(std::iter::Empty<Sorted>, &[Dictionary])> = None;

/// The snapshot in force: its folder and manifest; `None` before the first ingest.
///
/// # Errors
/// When `CURRENT` names a snapshot that cannot be read or has another format.
pub fn current(data_dir: &Path) -> Result<Option<(PathBuf, Manifest)>, IngestError> {
    let pointer = data_dir.join(CURRENT);
    let id = match fs::read_to_string(&pointer) {
        Ok(id) => id.trim().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(IngestError::io("read", &pointer)(error)),
    };
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let reason = "does not hold a snapshot id; ingest again".to_owned();
        return Err(IngestError::Snapshot { path: pointer, reason });
    }
    let folder = snapshots(data_dir).join(&id);
    let path = folder.join(MANIFEST);
    let text = fs::read(&path).map_err(IngestError::io("read", &path))?;
    let fail = |reason: String| IngestError::Snapshot { path: path.clone(), reason };
    // Only the format is read first: another format may have other fields.
    let value: serde_json::Value =
        serde_json::from_slice(&text).map_err(|e| fail(format!("is damaged: {e}")))?;
    if value.get("format").and_then(serde_json::Value::as_u64) != Some(SNAPSHOT_FORMAT.into()) {
        return Err(fail(format!("is not of format {SNAPSHOT_FORMAT}; ingest the source again")));
    }
    let manifest: Manifest =
        serde_json::from_value(value).map_err(|e| fail(format!("is damaged: {e}")))?;
    if manifest.snapshot_id != id {
        return Err(fail("belongs to another snapshot; ingest again".to_owned()));
    }
    Ok(Some((folder, manifest)))
}

/// The id that follows from a manifest's contents.
#[must_use]
pub fn snapshot_id(manifest: &Manifest) -> String {
    let tables: Vec<_> = manifest.tables.iter().map(|(name, t)| (name, &t.sha256)).collect();
    let content = serde_json::json!({
        "format": manifest.format,
        "hospital": {
            "id": manifest.hospital.id,
            "tier": manifest.hospital.tier,
            "county": manifest.hospital.county,
        },
        "mapping": manifest.mapping.sha256,
        "key_id": manifest.key_id,
        "tables": tables,
    });
    hex(digest::digest(&digest::SHA256, content.to_string().as_bytes()).as_ref())
}

pub(crate) fn snapshots(data_dir: &Path) -> PathBuf {
    data_dir.join("snapshots")
}

/// Makes the changes to a folder's entries durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), IngestError> {
    let synced = File::open(folder).and_then(|file| file.sync_all());
    synced.map_err(IngestError::io("sync", folder))
}

/// A snapshot being written; removed again unless it is published.
#[derive(Debug)]
pub(crate) struct Incoming {
    folder: PathBuf,
    published: bool,
}

impl Incoming {
    /// A fresh folder; those of crashed ingests are removed. The caller holds the lock.
    pub(crate) fn new(data_dir: &Path, random: &str) -> Result<Self, IngestError> {
        let parent = snapshots(data_dir);
        fs::create_dir_all(&parent).map_err(IngestError::io("create", &parent))?;
        for entry in fs::read_dir(&parent).map_err(IngestError::io("read", &parent))? {
            let path = entry.map_err(IngestError::io("read", &parent))?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            if name.is_some_and(|name| name.starts_with(INCOMING)) {
                fs::remove_dir_all(&path).map_err(IngestError::io("remove", &path))?;
            }
        }
        let folder = parent.join(format!("{INCOMING}{random}"));
        fs::create_dir(&folder).map_err(IngestError::io("create", &folder))?;
        Ok(Self { folder, published: false })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes one table in its order.
    pub(crate) fn write_table(
        &self,
        table: &'static Table,
        rows: Option<(impl Iterator<Item = Sorted> + Send, &[Dictionary])>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<TableRecord, IngestError> {
        let file = format!("{}.parquet", table.name);
        let schema = query::catalog::arrow_schema(table);
        let plain = table
            .columns
            .iter()
            .filter(|column| matches!(column.column_type, ColumnType::Key | ColumnType::Money));
        let mut writer = self.writer(&file, &schema, plain.map(|column| column.name))?;
        let mut written = 0;
        if let Some((merge, dictionaries)) = rows {
            let texts: Vec<ArrayRef> = dictionaries.iter().map(Dictionary::array).collect();
            let mut write = |batch: Result<RecordBatch, IngestError>| {
                let batch = stored(table, &schema, &texts, &batch?)?;
                written += rows_of(&batch);
                progress(written);
                writer.write(&batch).map_err(IngestError::write)
            };
            beside(merge, &mut write)?;
        }
        let (sha256, bytes) = finish(writer, &self.folder.join(&file))?;
        Ok(TableRecord { file, rows: written, bytes, sha256 })
    }

    /// Writes which HMAC each number stands for. Read only for the sketches of populations.
    pub(crate) fn write_keys(&self, name: &str, keys: &[Hmac]) -> Result<(), IngestError> {
        let width = i32::try_from(HMAC_BYTES).map_err(IngestError::write)?;
        let fields = vec![
            Field::new("number", DataType::UInt32, false),
            Field::new("hmac", DataType::FixedSizeBinary(width), false),
        ];
        let schema = Arc::new(Schema::new(fields));
        let mut writer = self.writer(name, &schema, ["number", "hmac"].into_iter())?;
        let mut first = 0_u32;
        for chunk in keys.chunks(ROW_GROUP_ROWS) {
            let numbers: UInt32Array = (first..).take(chunk.len()).collect::<Vec<_>>().into();
            first += u32::try_from(chunk.len()).map_err(IngestError::write)?;
            let hmacs = chunk.iter().map(|key| key.bytes());
            let hmacs = FixedSizeBinaryArray::try_from_iter(hmacs).map_err(IngestError::write)?;
            let columns: Vec<ArrayRef> = vec![Arc::new(numbers), Arc::new(hmacs)];
            let batch = RecordBatch::try_new(Arc::clone(&schema), columns);
            writer.write(&batch.map_err(IngestError::write)?).map_err(IngestError::write)?;
        }
        finish(writer, &self.folder.join(name)).map(|_| ())
    }

    fn writer<'a>(
        &self,
        name: &str,
        schema: &SchemaRef,
        plain: impl Iterator<Item = &'a str>,
    ) -> Result<ArrowWriter<Hashing>, IngestError> {
        let path = self.folder.join(name);
        let file = File::create(&path).map_err(IngestError::io("write", &path))?;
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        let hashing = Hashing { file, hash: digest::Context::new(&digest::SHA256), bytes: 0 };
        let mut properties = WriterProperties::builder()
            .set_created_by("consilium".to_owned())
            .set_compression(Compression::LZ4_RAW)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
        for column in plain {
            properties = properties.set_column_dictionary_enabled(column.into(), false);
        }
        ArrowWriter::try_new(hashing, Arc::clone(schema), Some(properties.build()))
            .map_err(IngestError::write)
    }

    /// Writes the manifest and turns the folder into a snapshot.
    pub(crate) fn settle(
        &mut self,
        data_dir: &Path,
        manifest: &Manifest,
    ) -> Result<PathBuf, IngestError> {
        let path = self.folder.join(MANIFEST);
        let text = serde_json::to_vec_pretty(manifest).map_err(IngestError::write)?;
        write_synced(&path, &text)?;
        sync_folder(&self.folder)?;
        let parent = snapshots(data_dir);
        let target = parent.join(&manifest.snapshot_id);
        if target.join(MANIFEST).is_file() {
            // The same contents were a snapshot before; that one was settled whole.
            return Ok(target);
        }
        fs::rename(&self.folder, &target).map_err(IngestError::io("rename", &self.folder))?;
        self.published = true;
        sync_folder(&parent)?;
        Ok(target)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.published {
            // What cannot be removed now is removed by the next ingest.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Puts a settled snapshot in force.
pub(crate) fn put_in_force(data_dir: &Path, id: &str) -> Result<(), IngestError> {
    let (pointer, partial) = (data_dir.join(CURRENT), data_dir.join(".CURRENT.partial"));
    write_synced(&partial, format!("{id}\n").as_bytes())?;
    fs::rename(&partial, &pointer).map_err(IngestError::io("replace", &pointer))?;
    sync_folder(data_dir)
}

fn write_synced(path: &Path, text: &[u8]) -> Result<(), IngestError> {
    let written = File::create(path).and_then(|mut file| {
        file.write_all(text)?;
        file.sync_all()
    });
    written.map_err(IngestError::io("write", path))
}

fn rows_of(batch: &RecordBatch) -> u64 {
    u64::try_from(batch.num_rows()).unwrap_or(u64::MAX)
}

/// Runs the merge on a thread of its own while the caller writes.
fn beside(
    merge: impl Iterator<Item = Sorted> + Send,
    write: &mut dyn FnMut(Result<RecordBatch, IngestError>) -> Result<(), IngestError>,
) -> Result<(), IngestError> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(QUEUE_BATCHES);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for batch in merge {
                if sender.send(batch).is_err() {
                    return;
                }
            }
        });
        // Taken into the closure, so that a failed write drops it and the merge ends.
        let receiver = receiver;
        receiver.into_iter().try_for_each(&mut *write)
    })
}

/// A sorted batch in the stored types.
fn stored(
    table: &Table,
    schema: &SchemaRef,
    texts: &[ArrayRef],
    batch: &RecordBatch,
) -> Result<RecordBatch, IngestError> {
    let mut columns = Vec::with_capacity(table.columns.len());
    for (position, column) in table.columns.iter().enumerate() {
        let array = batch.column(position);
        columns.push(match column.column_type {
            ColumnType::Text => {
                let codes = array.as_primitive::<Int32Type>().clone();
                let values = Arc::clone(&texts[position]);
                let array = DictionaryArray::<Int32Type>::try_new(codes, values);
                Arc::new(array.map_err(IngestError::write)?) as ArrayRef
            }
            _ => Arc::clone(array),
        });
    }
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(IngestError::write)
}

/// Hashes what is written.
struct Hashing {
    file: BufWriter<File>,
    hash: digest::Context,
    bytes: u64,
}

impl Write for Hashing {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buffer)?;
        self.hash.update(&buffer[..written]);
        self.bytes += u64::try_from(written).unwrap_or(u64::MAX);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn finish(writer: ArrowWriter<Hashing>, path: &Path) -> Result<(String, u64), IngestError> {
    let hashing = writer.into_inner().map_err(IngestError::write)?;
    let Hashing { file, hash, bytes } = hashing;
    let file = file.into_inner().map_err(|e| IngestError::io("write", path)(e.into_error()))?;
    file.sync_all().map_err(IngestError::io("sync", path))?;
    Ok((hex(hash.finish().as_ref()), bytes))
}
