//! A hospital's export becomes an immutable snapshot of the governed tables.
//!
//! Guarantees: only a mapping's governed columns are stored, identifiers only as HMACs under a key
//! that stays in the hospital; each bad row is rejected on its own and listed by line and rule,
//! without its value; the same source, mapping, key and hospital give the same snapshot id;
//! memory does not grow with the source except for the key tables (about 100 bytes a stay); and
//! until the very last rename the snapshot that was in force stays in force.
//! Left out: deleting old snapshots, sources other than CSV, and judging the accuracy floor (it is
//! only reported).

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use futures::StreamExt as _;
use model::manifest::{
    DERIVATION, HospitalRecord, Manifest, MappingRecord, SNAPSHOT_FORMAT, SourceRecord,
};
use model::schema::{self, TABLES};
use query::mapping::{self as engine, Source, Statement};
use query::marks::{PERSON_KEYS, STAY_KEYS};
use ring::rand::SecureRandom as _;

mod combine;
mod decode;
mod derive;
mod dictionary;
mod dip;
mod error;
mod keys;
mod mapping;
mod order;
mod parse;
mod quarantine;
mod records;
mod renumber;
mod shape;
mod snapshot;
mod sorted;
mod source;
mod split;
mod table;
mod typing;

#[cfg(test)]
mod tests;

pub use dip::{DipList, read_dip_list};
pub use error::IngestError;
pub use mapping::{MappingNotes, builtin_mappings};
pub use quarantine::{Rule, ValueClass};
pub use snapshot::{current, snapshot_id};
pub use split::{Part, split_source};

use self::combine::Derived;
use self::keys::{HospitalKey, Numbers};
use self::mapping::Mapping;
use self::quarantine::Quarantine;
use self::records::Records;
use self::renumber::Renumbering;
use self::shape::Shape;
use self::snapshot::{Incoming, NO_ROWS};
use self::source::SourceFile;
use self::table::{Filling, People};

/// Share of rows that a region expects to be accepted, unless it says otherwise.
pub const DEFAULT_ACCURACY_FLOOR: f64 = 0.98;

/// How a source's text is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, with or without a byte-order mark.
    Utf8,
    /// GB18030, and so GBK and GB2312.
    Gb18030,
}

impl Encoding {
    /// The name in the manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Gb18030 => "gb18030",
        }
    }
}

impl FromStr for Encoding {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" => Ok(Self::Utf8),
            "gb18030" | "gbk" | "gb2312" => Ok(Self::Gb18030),
            _ => Err(format!("encoding {name} is not known; use utf-8 or gb18030")),
        }
    }
}

/// What to ingest, and as whose.
#[derive(Debug, Clone)]
pub struct IngestRequest {
    /// A CSV file, plain or gzip.
    pub source: PathBuf,
    /// Name of a shipped mapping, or a folder.
    pub mapping: String,
    /// Whose stays these are.
    pub hospital: HospitalRecord,
    /// The node's data folder.
    pub data_dir: PathBuf,
    /// The hospital's HMAC key; made when absent.
    pub key_file: PathBuf,
    /// Encoding; detected when `None`.
    pub encoding: Option<Encoding>,
    /// The DIP list by which stays are coded, if there is one.
    pub dip_list: Option<Arc<DipList>>,
    /// Share of accepted rows below which the report says so, in 0..=1.
    pub accuracy_floor: f64,
    /// The time of this ingest.
    pub now: SystemTime,
    /// Threads for the mapping.
    pub threads: usize,
}

/// What an ingest is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Hashing the file and looking at its encoding.
    Opening,
    /// Reading stays; rows are source rows.
    Stays,
    /// Reading the other tables; rows are rows of those tables.
    Others,
    /// Sorting and storing this table; rows are stored rows.
    Writing(&'static str),
    /// The snapshot is in force.
    Done,
}

/// Progress of an ingest, told after every batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Rows done in this phase.
    pub rows: u64,
}

/// What an ingest did.
#[derive(Debug, Clone, PartialEq)]
pub struct IngestReport {
    /// True when this source was in force already and nothing was done.
    pub already: bool,
    /// The snapshot now in force.
    pub manifest: Manifest,
    /// Its folder.
    pub folder: PathBuf,
    /// The rejected rows, if any.
    pub quarantine: Option<PathBuf>,
    /// Share of source rows accepted whole, in 0..=1.
    pub accuracy: f64,
    /// True when `accuracy` is below the floor.
    pub below_floor: bool,
    /// What the mapping says about itself.
    pub notes: MappingNotes,
}

/// Ingests a source. Blocks; do not call it on an async thread.
///
/// # Errors
/// When nothing could be put in force; the previous snapshot then stays.
pub fn run(
    request: &IngestRequest,
    progress: &mut dyn FnMut(Progress),
) -> Result<IngestReport, IngestError> {
    run_until(request, progress, &mut || Ok(()))
}

/// [`run`] with a point of failure just before the snapshot is put in force, for tests.
fn run_until(
    request: &IngestRequest,
    progress: &mut dyn FnMut(Progress),
    before_in_force: &mut dyn FnMut() -> Result<(), IngestError>,
) -> Result<IngestReport, IngestError> {
    let data_dir = &request.data_dir;
    std::fs::create_dir_all(data_dir).map_err(IngestError::io("create", data_dir))?;
    let _lock = lock(data_dir)?;
    progress(Progress { phase: Phase::Opening, rows: 0 });
    let mapping = Mapping::load(&request.mapping)?;
    let source = Arc::new(SourceFile::open(&request.source, request.encoding)?);
    let key = HospitalKey::open(&request.key_file)?;
    if let Some((folder, manifest)) = in_force(request, &source, &mapping, &key) {
        let quarantine =
            Some(quarantine_folder(data_dir).join(format!("{}.csv", manifest.snapshot_id)));
        let quarantine = quarantine.filter(|path| path.is_file());
        return Ok(report(request, (folder, manifest), quarantine, mapping.notes, true));
    }
    let mut incoming = Incoming::new(data_dir, &random_name()?)?;
    let mut filled = fill(request, &source, &mapping, key, incoming.folder(), progress)?;
    source.unchanged()?;
    if filled.people.stays.len() == 0 {
        return Err(nothing_accepted(request, &source, &filled));
    }
    let manifest = write(request, &source, &mapping, &mut filled, &incoming, progress)?;
    let folder = incoming.settle(data_dir, &manifest)?;
    let quarantine = filled.take_quarantine();
    let quarantine = quarantine.write(&quarantine_folder(data_dir), &manifest.snapshot_id)?;
    before_in_force()?;
    snapshot::put_in_force(data_dir, &manifest.snapshot_id)?;
    progress(Progress { phase: Phase::Done, rows: manifest.stays() });
    Ok(report(request, (folder, manifest), quarantine, mapping.notes, false))
}

fn report(
    request: &IngestRequest,
    (folder, manifest): (PathBuf, Manifest),
    quarantine: Option<PathBuf>,
    notes: MappingNotes,
    already: bool,
) -> IngestReport {
    let accuracy = manifest.quality.accuracy();
    let below_floor = accuracy < request.accuracy_floor;
    IngestReport { already, manifest, folder, quarantine, accuracy, below_floor, notes }
}

fn quarantine_folder(data_dir: &Path) -> PathBuf {
    data_dir.join("quarantine")
}

fn lock(data_dir: &Path) -> Result<File, IngestError> {
    let path = data_dir.join("ingest.lock");
    let file = File::options().create(true).append(true).open(&path);
    let file = file.map_err(IngestError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(IngestError::Busy { data_dir: data_dir.to_owned() }),
        Err(TryLockError::Error(error)) => Err(IngestError::io("lock", &path)(error)),
    }
}

fn random_name() -> Result<String, IngestError> {
    let mut bytes = [0; 8];
    let filled = ring::rand::SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| IngestError::write("the system gives no random bytes"))?;
    Ok(source::hex(&bytes))
}

/// The snapshot in force, if it was made from the very same things. One that cannot be read is
/// replaced.
fn in_force(
    request: &IngestRequest,
    source: &SourceFile,
    mapping: &Mapping,
    key: &HospitalKey,
) -> Option<(PathBuf, Manifest)> {
    let (folder, manifest) = current(&request.data_dir).ok().flatten()?;
    let same = manifest.source.sha256 == source.sha256
        && manifest.source.encoding == source.encoding.as_str()
        && manifest.mapping.sha256 == mapping.sha256
        && manifest.key_id == key.id
        && manifest.hospital == request.hospital
        && manifest.derivation == DERIVATION
        && request
            .dip_list
            .as_ref()
            .is_none_or(|list| manifest.dip_list.as_ref() == Some(&list.record));
    same.then_some((folder, manifest))
}

/// Everything read, typed and keyed, not yet stored.
struct Filled {
    people: People,
    tables: Vec<Filling>,
    read: u64,
    quarantine: Arc<Mutex<Quarantine>>,
}

impl Filled {
    fn take_quarantine(&self) -> Quarantine {
        std::mem::take(&mut *self.quarantine.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn fill(
    request: &IngestRequest,
    source: &Arc<SourceFile>,
    mapping: &Mapping,
    key: HospitalKey,
    folder: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Filled, IngestError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(request.threads.max(1))
        .build()
        .map_err(IngestError::io("start threads for", &request.source))?;
    let quarantine = Arc::new(Mutex::new(Quarantine::default()));
    let records = Arc::new(Records::new(Arc::clone(source), Arc::clone(&quarantine)));
    let table_source = Arc::clone(&records) as Arc<dyn Source>;
    let statements: Vec<Statement> = mapping.statements.iter().map(|(_, s)| s.clone()).collect();
    let results = runtime.block_on(engine::check(&statements, &table_source))?;
    let mut tables = Vec::with_capacity(statements.len());
    for ((name, _), result) in mapping.statements.iter().zip(&results) {
        let governed = schema::table(name).ok_or_else(|| IngestError::write(name))?;
        let shape = Shape::new(governed, result, &request.hospital)?;
        tables.push(Filling::new(shape, folder, Arc::clone(&quarantine)));
    }
    let mut people = People::new(key);
    // `Mapping` puts stay.sql first.
    let Some((first, others)) = statements.split_first() else {
        return Err(IngestError::write("a mapping without statements"));
    };
    let (stays, children) = tables.split_at_mut(1);
    let batches = runtime.block_on(engine::in_order(first, &table_source))?;
    take(&runtime, batches, stays, &mut people, &mut |_| {
        progress(Progress { phase: Phase::Stays, rows: records.rows() });
    })?;
    let order = stays.first().map(|stays| stays.runs.order_of_stays(&stays.dictionaries));
    people.places = Renumbering::of(&order.transpose()?.unwrap_or_default())?;
    if !others.is_empty() && people.stays.len() > 0 {
        let batches = runtime.block_on(engine::together(others, &table_source));
        take(&runtime, batches?, children, &mut people, &mut |rows| {
            progress(Progress { phase: Phase::Others, rows });
        })?;
    }
    let read = records.rows();
    Ok(Filled { people, tables, read, quarantine })
}

/// Pulls all batches into their tables; the mapping runs ahead on the runtime's threads.
fn take(
    runtime: &tokio::runtime::Runtime,
    mut batches: futures::stream::BoxStream<'static, engine::Mapped>,
    tables: &mut [Filling],
    people: &mut People,
    progress: &mut dyn FnMut(u64),
) -> Result<(), IngestError> {
    /// Mapped batches that wait to be typed.
    const AHEAD_BATCHES: usize = 4;
    let (sender, mut receiver) = tokio::sync::mpsc::channel(AHEAD_BATCHES);
    runtime.spawn(async move {
        while let Some(mapped) = batches.next().await {
            if sender.send(mapped).await.is_err() {
                return;
            }
        }
    });
    let mut rows = 0;
    while let Some(mapped) = receiver.blocking_recv() {
        let (position, batch) = mapped?;
        if let Some(table) = tables.get_mut(position) {
            table.push(&batch, people)?;
        }
        rows += u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
        progress(rows);
    }
    Ok(())
}

fn nothing_accepted(request: &IngestRequest, source: &SourceFile, filled: &Filled) -> IngestError {
    let quarantine = filled.take_quarantine();
    let (quarantined, most) = (quarantine.total(), quarantine.most());
    let name = format!("rejected-{}", source.sha256.get(..16).unwrap_or_default());
    let list = quarantine.write(&quarantine_folder(&request.data_dir), &name).ok().flatten();
    let (path, read) = (source.path.clone(), filled.read);
    let list = list.unwrap_or_default();
    IngestError::NothingAccepted { path, read, quarantined, most, list }
}

fn write(
    request: &IngestRequest,
    source: &SourceFile,
    mapping: &Mapping,
    filled: &mut Filled,
    incoming: &Incoming,
    progress: &mut dyn FnMut(Progress),
) -> Result<Manifest, IngestError> {
    let mut tables = std::collections::BTreeMap::new();
    let mut fillings = std::mem::take(&mut filled.tables);
    let derived = derive(&mut filled.people, &mut fillings, request.dip_list.as_deref())?;
    let accepted = u64::try_from(filled.people.stays.len()).unwrap_or(u64::MAX);
    for table in TABLES {
        let found = fillings.iter().position(|filling| filling.shape.table.name == table.name);
        let filling = found.map(|position| fillings.swap_remove(position));
        let mut told = |rows| progress(Progress { phase: Phase::Writing(table.name), rows });
        let record = match filling {
            None => incoming.write_table(table, NO_ROWS, &mut told)?,
            Some(Filling { runs, dictionaries, .. }) => {
                let merge = runs.merge(&dictionaries)?;
                let (is_stay, places) = (table.one_row_per_stay, &filled.people.places);
                let rows = merge.map(|batch| match is_stay {
                    // Rows of other tables have their new numbers already.
                    true => places.renumber(&derived.complete(&batch?)?),
                    false => batch,
                });
                incoming.write_table(table, Some((rows, &dictionaries)), &mut told)?
            }
        };
        tables.insert(table.name.to_owned(), record);
    }
    let people = &mut filled.people;
    let persons = u64::try_from(people.persons.len()).unwrap_or(u64::MAX);
    let stays = Numbers::into_ordered(std::mem::take(&mut people.stays));
    incoming.write_keys(STAY_KEYS, &people.places.reorder(&stays)?)?;
    incoming.write_keys(PERSON_KEYS, &std::mem::take(&mut people.persons).into_ordered())?;
    let quarantine = filled.quarantine.lock().unwrap_or_else(PoisonError::into_inner);
    let created = time::OffsetDateTime::from(request.now);
    let created = created.format(&time::format_description::well_known::Rfc3339);
    let mut manifest = Manifest {
        format: SNAPSHOT_FORMAT,
        snapshot_id: String::new(),
        hospital: request.hospital.clone(),
        created_at: created.map_err(IngestError::write)?,
        source: source_record(source),
        mapping: MappingRecord { name: mapping.name.clone(), sha256: mapping.sha256.clone() },
        key_id: people.key_id().to_owned(),
        tables,
        persons,
        derivation: DERIVATION,
        dip_list: request.dip_list.as_ref().map(|list| list.record.clone()),
        quality: quarantine.quality(filled.read, accepted),
    };
    manifest.snapshot_id = snapshot_id(&manifest);
    Ok(manifest)
}

/// What a stay's procedures say about it.
fn derive(
    people: &mut People,
    fillings: &mut [Filling],
    list: Option<&DipList>,
) -> Result<Derived, IngestError> {
    let of = |name: &str| fillings.iter().position(|filling| filling.shape.table.name == name);
    let (stays, procedures) = (of("stay"), of("procedure"));
    let Some((stays, others)) = stays.and_then(|_| fillings.split_first_mut()) else {
        return Err(IngestError::write("a mapping without stays"));
    };
    let procedures = procedures.and_then(|position| others.get(position.checked_sub(1)?));
    let texts = procedures.map(|filling| (&filling.shape, filling.dictionaries.as_slice()));
    let combining = std::mem::take(&mut people.combining);
    let list = list.map(|list| &list.codes);
    combining.derive(&stays.shape, &mut stays.dictionaries, texts, list)
}

fn source_record(source: &SourceFile) -> SourceRecord {
    let file = source.path.file_name().map(|name| name.to_string_lossy().into_owned());
    SourceRecord {
        file: file.unwrap_or_default(),
        sha256: source.sha256.clone(),
        bytes: source.bytes,
        encoding: source.encoding.as_str().to_owned(),
        encoding_detected: source.detected,
    }
}
