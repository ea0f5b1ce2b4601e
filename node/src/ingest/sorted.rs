//! Sorting a table of any length in bounded memory: sorted runs on disk, then one merge.
//!
//! Not the engine's sort, because rows here carry texts as numbers of one dictionary: a run is
//! plain fixed-width columns, and a row's place is two words.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use super::dictionary::Dictionary;
use super::error::IngestError;
use super::order::{Order, Place, Ranks};

/// Memory of one run before it is sorted and spilled.
const RUN_BYTES: usize = 512 << 20;
/// Rows of a sorted batch.
const BATCH_ROWS: usize = 8_192;

/// Rows waiting to be sorted.
#[derive(Debug)]
pub(crate) struct Runs {
    folder: PathBuf,
    name: &'static str,
    schema: SchemaRef,
    order: Order,
    buffered: Vec<RecordBatch>,
    buffered_bytes: usize,
    spilled: Vec<PathBuf>,
    run_bytes: usize,
}

impl Runs {
    pub(crate) fn new(folder: &Path, name: &'static str, schema: SchemaRef, order: Order) -> Self {
        Self {
            folder: folder.to_owned(),
            name,
            schema,
            order,
            buffered: Vec::new(),
            buffered_bytes: 0,
            spilled: Vec::new(),
            run_bytes: RUN_BYTES,
        }
    }

    /// Keeps a batch; spills a sorted run when memory is full.
    pub(crate) fn push(
        &mut self,
        batch: RecordBatch,
        dictionaries: &[Dictionary],
    ) -> Result<(), IngestError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.buffered_bytes += batch.get_array_memory_size();
        self.buffered.push(batch);
        if self.buffered_bytes >= self.run_bytes {
            self.spill(dictionaries)?;
        }
        Ok(())
    }

    fn spill(&mut self, dictionaries: &[Dictionary]) -> Result<(), IngestError> {
        let path = self.folder.join(format!(".{}.{}.run", self.name, self.spilled.len()));
        let file = File::create(&path).map_err(IngestError::io("write", &path))?;
        let file = BufWriter::with_capacity(1 << 20, file);
        let mut writer =
            StreamWriter::try_new(file, &self.schema).map_err(|e| spill_error(&path, e))?;
        let ranks = self.order.ranks(dictionaries);
        self.buffered_bytes = 0;
        for batch in Memory::sort(std::mem::take(&mut self.buffered), self.order, &ranks) {
            writer.write(&batch?).map_err(|e| spill_error(&path, e))?;
        }
        writer.finish().map_err(|e| spill_error(&path, e))?;
        self.spilled.push(path);
        Ok(())
    }

    /// The numbers of all stays in the order in which they will be stored; of the table of stays.
    pub(crate) fn order_of_stays(
        &self,
        dictionaries: &[Dictionary],
    ) -> Result<Vec<u32>, IngestError> {
        let ranks = self.order.ranks(dictionaries);
        let mut places = Vec::new();
        for path in &self.spilled {
            for batch in spilled_batches(path)? {
                places.extend(self.order.places(&batch?, &ranks));
            }
        }
        for batch in &self.buffered {
            places.extend(self.order.places(batch, &ranks));
        }
        places.sort_unstable();
        // A stay's place ends with its number.
        let numbers = places.into_iter().map(|(_, number)| u32::try_from(number));
        numbers.collect::<Result<_, _>>().map_err(IngestError::write)
    }

    /// All rows in order. Removes the spilled runs when the merge is dropped.
    pub(crate) fn merge(self, dictionaries: &[Dictionary]) -> Result<Merge, IngestError> {
        let ranks = self.order.ranks(dictionaries);
        let mut cursors = Vec::new();
        for path in &self.spilled {
            cursors.push(Cursor::new(spilled_batches(path)?));
        }
        let memory = Memory::sort(self.buffered, self.order, &ranks);
        cursors.push(Cursor::new(Box::new(memory)));
        let mut merge = Merge {
            order: self.order,
            ranks,
            cursors,
            heap: BinaryHeap::new(),
            spilled: self.spilled,
        };
        for cursor in 0..merge.cursors.len() {
            merge.advance(cursor)?;
        }
        Ok(merge)
    }
}

/// The batches of a spilled run.
fn spilled_batches(path: &Path) -> Result<Batches, IngestError> {
    let file = File::open(path).map_err(IngestError::io("read", path))?;
    let reader = StreamReader::try_new(BufReader::with_capacity(1 << 20, file), None);
    let reader = reader.map_err(|e| spill_error(path, e))?;
    let path = path.to_owned();
    Ok(Box::new(reader.map(move |batch| batch.map_err(|e| spill_error(&path, e)))))
}

fn spill_error(path: &Path, error: arrow::error::ArrowError) -> IngestError {
    match error {
        arrow::error::ArrowError::IoError(_, source) => IngestError::io("spill to", path)(source),
        other => IngestError::write(other),
    }
}

/// A run in memory, yielded in order.
struct Memory {
    batches: Vec<RecordBatch>,
    picks: Vec<(Place, u32, u32)>,
    next: usize,
}

impl Memory {
    fn sort(batches: Vec<RecordBatch>, order: Order, ranks: &[u32]) -> Self {
        let mut picks = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
        for (number, batch) in (0_u32..).zip(&batches) {
            let places = order.places(batch, ranks);
            picks.extend((0_u32..).zip(places).map(|(row, place)| (place, number, row)));
        }
        // Stable, because it is fast on rows that come in sorted stretches. Rows of the same place
        // are alike in every column, so their batch and row numbers need no comparing.
        picks.sort_by_key(|(place, _, _)| *place);
        Self { batches, picks, next: 0 }
    }
}

impl Iterator for Memory {
    type Item = Result<RecordBatch, IngestError>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = self.picks.len().min(self.next + BATCH_ROWS);
        let picks = &self.picks[self.next..end];
        if picks.is_empty() {
            return None;
        }
        let index = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let rows: Vec<(usize, usize)> =
            picks.iter().map(|(_, batch, row)| (index(*batch), index(*row))).collect();
        self.next = end;
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        Some(interleave_record_batch(&batches, &rows).map_err(IngestError::write))
    }
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, IngestError>> + Send>;

/// A place within a sorted run.
struct Cursor {
    batches: Batches,
    batch: Option<RecordBatch>,
    places: Vec<Place>,
    row: usize,
}

impl Cursor {
    const fn new(batches: Batches) -> Self {
        Self { batches, batch: None, places: Vec::new(), row: 0 }
    }
}

/// Sorted runs merged into batches.
pub(crate) struct Merge {
    order: Order,
    ranks: Ranks,
    cursors: Vec<Cursor>,
    heap: BinaryHeap<Reverse<(Place, usize)>>,
    spilled: Vec<PathBuf>,
}

impl Merge {
    /// Loads the cursor's next batch and puts its first row on the heap.
    fn advance(&mut self, number: usize) -> Result<(), IngestError> {
        let cursor = &mut self.cursors[number];
        cursor.batch = cursor.batches.next().transpose()?;
        cursor.row = 0;
        cursor.places.clear();
        if let Some(batch) = &cursor.batch {
            cursor.places = self.order.places(batch, &self.ranks);
            if let Some(place) = cursor.places.first() {
                self.heap.push(Reverse((*place, number)));
            }
        }
        Ok(())
    }

    fn take(&mut self) -> Result<Option<RecordBatch>, IngestError> {
        if let [only] = &mut self.cursors[..] {
            // A single run is in order already.
            let batch = only.batch.take();
            let next = only.batches.next().transpose()?;
            only.batch = next;
            return Ok(batch);
        }
        let mut picks: Vec<(usize, usize)> = Vec::with_capacity(BATCH_ROWS);
        let mut exhausted = None;
        while picks.len() < BATCH_ROWS {
            let Some(Reverse((_, number))) = self.heap.pop() else { break };
            let cursor = &mut self.cursors[number];
            picks.push((number, cursor.row));
            cursor.row += 1;
            match cursor.places.get(cursor.row) {
                Some(place) => self.heap.push(Reverse((*place, number))),
                None => {
                    exhausted = Some(number);
                    break;
                }
            }
        }
        let batch = self.gather(&picks)?;
        if let Some(number) = exhausted {
            self.advance(number)?;
        }
        Ok(batch)
    }

    fn gather(&self, picks: &[(usize, usize)]) -> Result<Option<RecordBatch>, IngestError> {
        if picks.is_empty() {
            return Ok(None);
        }
        let mut batches = Vec::new();
        let mut position = vec![0; self.cursors.len()];
        for (number, cursor) in self.cursors.iter().enumerate() {
            if let Some(batch) = &cursor.batch {
                position[number] = batches.len();
                batches.push(batch);
            }
        }
        let rows: Vec<_> = picks.iter().map(|(number, row)| (position[*number], *row)).collect();
        interleave_record_batch(&batches, &rows).map(Some).map_err(IngestError::write)
    }
}

impl Iterator for Merge {
    type Item = Result<RecordBatch, IngestError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.take().transpose()
    }
}

impl Drop for Merge {
    fn drop(&mut self) {
        for path in &self.spilled {
            // The whole folder is removed when this ingest or the next one ends.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, AsArray as _, Int32Array, UInt32Array, UInt64Array};
    use arrow::datatypes::{DataType, Field, Schema, UInt32Type};
    use std::sync::Arc;

    /// Spilled in many runs or kept in memory: the same order.
    #[test]
    fn spilling_changes_nothing() {
        let table = model::schema::table("fee").unwrap();
        let schema = Arc::new(Schema::new(vec![
            Field::new("stay_key", DataType::UInt32, true),
            Field::new("person_key", DataType::UInt32, true),
            Field::new("class", DataType::Int32, true),
            Field::new("amount", DataType::UInt32, true),
            Field::new("tie", DataType::UInt64, true),
        ]));
        let mut dictionary = Dictionary::default();
        for text in ["treatment", "bed", "nursing"] {
            dictionary.code(text).unwrap();
        }
        let dictionaries: Vec<_> =
            [Dictionary::default(), Dictionary::default(), dictionary].into();
        let batch = |seed: u32| {
            let stays: Vec<u32> = (0..1_000).map(|i| (i * 7_919 + seed * 31) % 5_003).collect();
            let codes: Vec<i32> = stays.iter().map(|s| i32::try_from(s % 3).unwrap()).collect();
            let ties: Vec<u64> = stays.iter().map(|s| u64::from(s ^ seed)).collect();
            let columns: Vec<ArrayRef> = vec![
                Arc::new(UInt32Array::from(stays.clone())),
                Arc::new(UInt32Array::from(stays.clone())),
                Arc::new(Int32Array::from(codes)),
                Arc::new(UInt32Array::from(stays)),
                Arc::new(UInt64Array::from(ties)),
            ];
            RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()
        };
        let folder = tempfile::tempdir().unwrap();
        let sorted = |run_bytes| {
            let order = Order::of(table);
            let mut runs = Runs::new(folder.path(), "fee", Arc::clone(&schema), order);
            runs.run_bytes = run_bytes;
            for seed in 0..20 {
                runs.push(batch(seed), &dictionaries).unwrap();
            }
            let spilled = runs.spilled.len();
            let merged: Vec<_> =
                runs.merge(&dictionaries).unwrap().collect::<Result<_, _>>().unwrap();
            (spilled, arrow::compute::concat_batches(&schema, &merged).unwrap())
        };
        let (in_memory, expected) = sorted(usize::MAX);
        let (spilled, merged) = sorted(100_000);
        assert!(in_memory == 0 && spilled > 3, "{spilled}");
        assert_eq!(expected, merged);
        assert_eq!(merged.num_rows(), 20_000);
        let first = merged.column(0).as_primitive::<UInt32Type>().value(0);
        assert_eq!(first % 3, 1, "bed comes first");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "runs are removed");
    }
}
