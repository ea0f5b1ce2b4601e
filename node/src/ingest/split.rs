//! One export of many hospitals becomes one file for each, for demonstrations.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use model::HospitalId;
use query::mapping::nearest;

use super::error::IngestError;
use super::source::SourceFile;

/// Most files written at once: each holds an open file.
const MAX_PARTS: usize = 500;

/// The rows of one hospital.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Value of the column.
    pub hospital: HospitalId,
    /// CSV file with the source's header, UTF-8.
    pub path: PathBuf,
    /// Rows in it.
    pub rows: u64,
}

/// Splits a CSV source by one column into `out_dir/<value>.csv`, in order of the values.
///
/// Rows with a wrong number of fields go where their column says, if they have it; ingest rejects
/// them later.
///
/// # Errors
/// When the column does not exist, a value is no hospital id, or a file cannot be written.
pub fn split_source(path: &Path, column: &str, out_dir: &Path) -> Result<Vec<Part>, IngestError> {
    let source = SourceFile::open(path, None)?;
    let Some(position) = source.header.iter().position(|name| name == column) else {
        let names: Vec<&str> = source.header.iter().map(String::as_str).collect();
        let near = nearest(column, &names).join(", ");
        return Err(IngestError::not_csv(path, format!("has no column {column}; nearest: {near}")));
    };
    fs::create_dir_all(out_dir).map_err(IngestError::io("create", out_dir))?;
    let mut parts: BTreeMap<Vec<u8>, (Part, csv::Writer<BufWriter<File>>)> = BTreeMap::new();
    let mut rows = source.rows()?;
    let mut record = csv::ByteRecord::new();
    loop {
        let line = rows.position().line();
        if !rows.read_byte_record(&mut record).map_err(|e| source.csv_error(e, line))? {
            break;
        }
        rows.get_ref().finished();
        let line = record.position().map_or(line, csv::Position::line);
        let value = record.get(position).unwrap_or_default();
        if !parts.contains_key(value) {
            if parts.len() >= MAX_PARTS {
                let reason = format!("column {column} has more than {MAX_PARTS} values");
                return Err(IngestError::not_csv(path, reason));
            }
            let part = start(&source, column, value, line, out_dir)?;
            parts.insert(value.to_vec(), part);
        }
        if let Some((part, writer)) = parts.get_mut(value) {
            writer.write_byte_record(&record).map_err(|e| write_error(&part.path, e))?;
            part.rows += 1;
        }
    }
    let mut done = Vec::with_capacity(parts.len());
    for (part, mut writer) in parts.into_values() {
        writer.flush().map_err(IngestError::io("write", &part.path))?;
        done.push(part);
    }
    Ok(done)
}

fn start(
    source: &SourceFile,
    column: &str,
    value: &[u8],
    line: u64,
    out_dir: &Path,
) -> Result<(Part, csv::Writer<BufWriter<File>>), IngestError> {
    let hospital: HospitalId = String::from_utf8_lossy(value).parse().map_err(|error| {
        IngestError::not_csv(&source.path, format!("line {line}, column {column}: {error}"))
    })?;
    let path = out_dir.join(format!("{hospital}.csv"));
    let file = File::create(&path).map_err(IngestError::io("write", &path))?;
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(BufWriter::new(file));
    writer.write_record(&source.header).map_err(|e| write_error(&path, e))?;
    Ok((Part { hospital, path, rows: 0 }, writer))
}

fn write_error(path: &Path, error: csv::Error) -> IngestError {
    IngestError::io("write", path)(error.into())
}
