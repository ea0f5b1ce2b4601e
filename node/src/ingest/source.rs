//! The source file: how it is compressed and encoded, its header, and readers over it.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use encoding_rs::{GB18030, GBK};
use flate2::read::MultiGzDecoder;
use ring::digest;

use super::Encoding;
use super::decode::Decoding;
use super::error::IngestError;

/// Bytes of text that decide about the encoding.
const PREFIX_BYTES: u64 = 8 << 20;
/// Read buffer over the file.
const BUFFER_BYTES: usize = 256 << 10;
/// Longest accepted record; a longer one means a quote that is never closed.
pub(super) const MAX_RECORD_BYTES: u64 = 4 << 20;
/// Most columns of a source (front-page exports have about 800).
const MAX_COLUMNS: usize = 10_000;
const BOM: &[u8] = b"\xEF\xBB\xBF";
const GZIP: &[u8] = b"\x1F\x8B";

/// A source file that has been looked at: hashed, its encoding known, its header read.
#[derive(Debug)]
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    pub(crate) encoding: Encoding,
    pub(crate) detected: bool,
    /// Column names in order; unique, none empty.
    pub(crate) header: Vec<String>,
    gzip: bool,
    delimiter: u8,
    modified: Option<SystemTime>,
}

/// A CSV reader that fails rather than hold an endless record in memory.
pub(crate) type Rows = csv::Reader<Bounded<Box<dyn Read + Send>>>;

impl SourceFile {
    /// Hashes the file, finds its encoding and reads its header.
    pub(crate) fn open(path: &Path, declared: Option<Encoding>) -> Result<Self, IngestError> {
        let metadata = std::fs::metadata(path).map_err(IngestError::io("read", path))?;
        if metadata.is_dir() {
            return Err(IngestError::not_csv(path, "is a folder; name a CSV file"));
        }
        if metadata.len() == 0 {
            return Err(IngestError::not_csv(path, "is empty; export again"));
        }
        let (sha256, start) = hash(path)?;
        let gzip = start.starts_with(GZIP);
        let mut source = Self {
            path: path.to_owned(),
            sha256,
            bytes: metadata.len(),
            encoding: declared.unwrap_or(Encoding::Utf8),
            detected: declared.is_none(),
            header: Vec::new(),
            gzip,
            delimiter: b',',
            modified: metadata.modified().ok(),
        };
        let prefix = source.prefix()?;
        if declared.is_none() {
            source.encoding = detect(&prefix).ok_or_else(|| {
                IngestError::not_csv(path, "is neither UTF-8 nor GB18030; declare its encoding")
            })?;
        }
        source.delimiter = delimiter(&prefix);
        source.header = source.read_header()?;
        Ok(source)
    }

    /// Decompressed bytes, not decoded.
    fn raw(&self) -> io::Result<Box<dyn Read + Send>> {
        let file = BufReader::with_capacity(BUFFER_BYTES, File::open(&self.path)?);
        Ok(if self.gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
    }

    fn prefix(&self) -> Result<Vec<u8>, IngestError> {
        let mut prefix = Vec::new();
        let read = self.raw().and_then(|raw| raw.take(PREFIX_BYTES).read_to_end(&mut prefix));
        read.map_err(IngestError::io("read", &self.path))?;
        let tidy = prefix.strip_prefix(BOM).unwrap_or(&prefix);
        if tidy.is_empty() {
            return Err(IngestError::not_csv(&self.path, "is empty; export again"));
        }
        if tidy.starts_with(b"PAR1") || tidy.starts_with(b"PK\x03\x04") || tidy.contains(&0) {
            let reason = "is not text; export it as CSV (plain or gzip)";
            return Err(IngestError::not_csv(&self.path, reason));
        }
        Ok(prefix)
    }

    /// A reader over the rows after the header; records may have any number of fields.
    pub(crate) fn rows(&self) -> Result<Rows, IngestError> {
        let raw = self.raw().map_err(IngestError::io("read", &self.path))?;
        let text: Box<dyn Read + Send> = match self.encoding {
            // The csv reader drops a UTF-8 byte-order mark itself.
            Encoding::Utf8 => raw,
            Encoding::Gb18030 => Box::new(Decoding::new(raw, GB18030)),
        };
        let bounded = Bounded { inner: text, since_record: Arc::new(AtomicU64::new(0)) };
        Ok(csv::ReaderBuilder::new()
            .delimiter(self.delimiter)
            .flexible(true)
            .has_headers(true)
            .buffer_capacity(BUFFER_BYTES)
            .from_reader(bounded))
    }

    fn read_header(&self) -> Result<Vec<String>, IngestError> {
        let mut rows = self.rows()?;
        let record = rows.byte_headers().map_err(|error| self.csv_error(error, 1))?;
        let mut header: Vec<String> = Vec::with_capacity(record.len());
        for (position, name) in record.iter().enumerate() {
            let reason = match std::str::from_utf8(name).map(str::trim) {
                Err(_) => "is not text in this encoding; declare the encoding".to_owned(),
                Ok("") => "has no name; name it in the first line".to_owned(),
                Ok("line") => "is called \"line\", which is the line number; rename it".to_owned(),
                Ok(name) if header.iter().any(|other| other == name) => {
                    format!("is called \"{name}\" like an earlier one; rename one of them")
                }
                Ok(name) => {
                    header.push(name.to_owned());
                    continue;
                }
            };
            let reason = format!("column {} of the header {reason}", position + 1);
            return Err(IngestError::not_csv(&self.path, reason));
        }
        if header.is_empty() || header.len() > MAX_COLUMNS {
            let reason = format!("the header has {} columns", header.len());
            return Err(IngestError::not_csv(&self.path, reason));
        }
        Ok(header)
    }

    /// A csv failure at a line, as ours.
    pub(crate) fn csv_error(&self, error: csv::Error, line: u64) -> IngestError {
        let text = error.to_string();
        match error.into_kind() {
            csv::ErrorKind::Io(e) if e.kind() == io::ErrorKind::FileTooLarge => {
                let reason = format!(
                    "the record at line {line} is longer than {MAX_RECORD_BYTES} bytes: close the \
                     quote in or before that line"
                );
                IngestError::not_csv(&self.path, reason)
            }
            csv::ErrorKind::Io(e) => IngestError::io("read", &self.path)(e),
            _ => IngestError::not_csv(&self.path, format!("line {line}: {text}")),
        }
    }

    /// Fails when the file was written to since it was opened.
    pub(crate) fn unchanged(&self) -> Result<(), IngestError> {
        let now = std::fs::metadata(&self.path).map_err(IngestError::io("read", &self.path))?;
        if now.len() == self.bytes && now.modified().ok() == self.modified {
            Ok(())
        } else {
            Err(IngestError::Changed { path: self.path.clone() })
        }
    }
}

/// Counts what was read since the last finished record.
pub(crate) struct Bounded<R> {
    inner: R,
    since_record: Arc<AtomicU64>,
}

impl<R> std::fmt::Debug for Bounded<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bounded").finish_non_exhaustive()
    }
}

impl<R> Bounded<R> {
    /// Says that a record was finished.
    pub(crate) fn finished(&self) {
        self.since_record.store(0, Ordering::Relaxed);
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let added = u64::try_from(read).unwrap_or(u64::MAX);
        if self.since_record.fetch_add(added, Ordering::Relaxed) > MAX_RECORD_BYTES {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        Ok(read)
    }
}

fn hash(path: &Path) -> Result<(String, Vec<u8>), IngestError> {
    let io = |error| IngestError::io("read", path)(error);
    let mut file = File::open(path).map_err(io)?;
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut start = Vec::new();
    loop {
        let read = file.read(&mut buffer).map_err(io)?;
        if read == 0 {
            break;
        }
        if start.is_empty() {
            start.extend_from_slice(&buffer[..read.min(GZIP.len())]);
        }
        context.update(&buffer[..read]);
    }
    Ok((hex(context.finish().as_ref()), start))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// UTF-8 unless the bytes say otherwise; `None` when they are neither.
fn detect(prefix: &[u8]) -> Option<Encoding> {
    let whole = cut_at_line(prefix);
    if whole.starts_with(BOM) || std::str::from_utf8(whole).is_ok() {
        return Some(Encoding::Utf8);
    }
    let (mut good, mut bad) = (0_usize, 0_usize);
    for chunk in whole.utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        bad += usize::from(!chunk.invalid().is_empty());
    }
    // A UTF-8 file with a few damaged characters; their rows go to quarantine.
    if good >= 10 * bad {
        return Some(Encoding::Utf8);
    }
    let mut detector = chardetng::EncodingDetector::new();
    detector.feed(whole, true);
    let guess = detector.guess(None, true);
    if guess == GBK || guess == GB18030 {
        return Some(Encoding::Gb18030);
    }
    // Plain ASCII but for a few lines: those go to quarantine.
    let lines = whole.iter().filter(|byte| **byte == b'\n').count();
    (bad * 10 <= lines).then_some(Encoding::Utf8)
}

/// Drops a last line that the prefix cut in two.
fn cut_at_line(prefix: &[u8]) -> &[u8] {
    let whole = u64::try_from(prefix.len()).is_ok_and(|length| length < PREFIX_BYTES);
    match prefix.iter().rposition(|byte| *byte == b'\n') {
        Some(at) if !whole => &prefix[..at],
        _ => prefix,
    }
}

/// The most frequent of comma, tab and semicolon in the first line.
fn delimiter(prefix: &[u8]) -> u8 {
    let line = prefix.split(|byte| *byte == b'\n').next().unwrap_or(prefix);
    let count = |delimiter: u8| line.iter().filter(|byte| **byte == delimiter).count();
    let best = [b';', b'\t', b','].into_iter().max_by_key(|delimiter| count(*delimiter));
    best.unwrap_or(b',')
}
