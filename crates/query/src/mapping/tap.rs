//! The table `source` as the engine sees it: reads only the needed columns, once for many scans.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::{StreamExt, stream};
use tokio::sync::mpsc;

use super::{Pass, Source};

/// Batches waiting for each scan of a shared pass.
const FAN_BATCHES: usize = 2;

type Sent = Result<RecordBatch, String>;

/// Where a scan gets its batches from.
enum Feed {
    /// Each scan opens its own pass.
    Alone,
    /// Scans take a receiver each; the last one taken starts the pass.
    Shared(Arc<Mutex<Fan>>),
}

/// One pass that feeds many scans. Receivers are handed out, then the pass starts.
struct Fan {
    source: Arc<dyn Source>,
    columns: Vec<usize>,
    receivers: Vec<mpsc::Receiver<Sent>>,
    senders: Vec<mpsc::Sender<Sent>>,
}

/// The source behind the engine's streaming table.
pub(super) struct Tap {
    source: Arc<dyn Source>,
    schema: SchemaRef,
    state: Mutex<State>,
}

struct State {
    scans: usize,
    columns: Vec<usize>,
    feed: Feed,
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Tap {
    pub(super) fn new(source: Arc<dyn Source>) -> Self {
        let schema = source.schema();
        let state = State { scans: 1, columns: Vec::new(), feed: Feed::Alone };
        Self { source, schema, state: Mutex::new(state) }
    }

    pub(super) fn full_schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Says how often and of which columns the statement reads the source.
    pub(super) fn set_use(&self, scans: usize, columns: Vec<usize>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.scans = scans;
        state.columns = columns;
    }

    /// Every scan opens its own pass.
    pub(super) fn alone(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).feed = Feed::Alone;
    }
}

/// Lets all scans of these taps share one pass.
///
/// The pass starts when every scan has begun, and moves at the pace of the slowest; the caller
/// must poll all scans concurrently, which holds for unions under a coalescing operator.
pub(super) fn share(taps: &[&Tap], source: &Arc<dyn Source>) {
    let mut fan = Fan {
        source: Arc::clone(source),
        columns: Vec::new(),
        receivers: Vec::new(),
        senders: Vec::new(),
    };
    for tap in taps {
        let state = tap.state.lock().unwrap_or_else(PoisonError::into_inner);
        fan.columns.extend(&state.columns);
        for _ in 0..state.scans {
            let (sender, receiver) = mpsc::channel(FAN_BATCHES);
            fan.senders.push(sender);
            fan.receivers.push(receiver);
        }
    }
    fan.columns.sort_unstable();
    fan.columns.dedup();
    let fan = Arc::new(Mutex::new(fan));
    for tap in taps {
        let mut state = tap.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.feed = Feed::Shared(Arc::clone(&fan));
    }
}

impl Fan {
    /// Takes one receiver; whoever takes the last one starts the pass.
    fn take(&mut self) -> Option<mpsc::Receiver<Sent>> {
        let receiver = self.receivers.pop()?;
        if self.receivers.is_empty() {
            let senders = std::mem::take(&mut self.senders);
            tokio::spawn(pump(self.source.open(&self.columns), senders));
        }
        Some(receiver)
    }
}

async fn pump(mut pass: Pass, mut senders: Vec<mpsc::Sender<Sent>>) {
    while let Some(batch) = pass.next().await {
        let batch = batch.map_err(|error| source_message(&error));
        let mut open = Vec::with_capacity(senders.len());
        for sender in senders {
            // A scan that was dropped needs no more batches.
            if sender.send(batch.clone()).await.is_ok() {
                open.push(sender);
            }
        }
        senders = open;
        if senders.is_empty() || batch.is_err() {
            return;
        }
    }
}

fn source_message(error: &ArrowError) -> String {
    match error {
        ArrowError::ExternalError(cause) => cause.to_string(),
        other => other.to_string(),
    }
}

impl PartitionStream for Tap {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (pass, columns) = match &state.feed {
            Feed::Alone => (self.source.open(&state.columns), state.columns.clone()),
            Feed::Shared(fan) => {
                let mut fan = fan.lock().unwrap_or_else(PoisonError::into_inner);
                match fan.take() {
                    Some(receiver) => (received(receiver), fan.columns.clone()),
                    None => (fan.source.open(&fan.columns), fan.columns.clone()),
                }
            }
        };
        let mut padding = Padding { schema: Arc::clone(&self.schema), columns, nulls: Vec::new() };
        let padded = pass.map(move |batch| {
            let batch =
                batch.map_err(|error| DataFusionError::ArrowError(Box::new(error), None))?;
            padding
                .widen(&batch)
                .map_err(|error| DataFusionError::ArrowError(Box::new(error), None))
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), padded))
    }
}

fn received(receiver: mpsc::Receiver<Sent>) -> Pass {
    stream::unfold(receiver, |mut receiver| async move {
        let sent = receiver.recv().await?;
        let batch = sent.map_err(|message| ArrowError::ExternalError(message.into()));
        Some((batch, receiver))
    })
    .boxed()
}

/// Puts empty columns where the statement reads none: the engine drops them unread.
struct Padding {
    schema: SchemaRef,
    columns: Vec<usize>,
    nulls: Vec<ArrayRef>,
}

impl Padding {
    fn widen(&mut self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let rows = batch.num_rows();
        if self.nulls.first().is_none_or(|array| array.len() < rows) {
            let fields = self.schema.fields().iter();
            self.nulls = fields.map(|field| new_null_array(field.data_type(), rows)).collect();
        }
        let mut wide: Vec<ArrayRef> = self.nulls.iter().map(|a| a.slice(0, rows)).collect();
        for (position, array) in self.columns.iter().zip(batch.columns()) {
            if let Some(place) = wide.get_mut(*position) {
                *place = Arc::clone(array);
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), wide, &options)
    }
}
