//! Asking, and the answer as a client puts it together.

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use proto::v1;
use proto::v1::answer_event::Event;
use proto::v1::region_client::RegionClient;
use tonic::Status;
use tonic::transport::Channel;

/// An answer as the client sees it.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The rows.
    pub batches: Vec<RecordBatch>,
    /// How they came about.
    pub release: v1::Provenance,
}

impl Answer {
    /// Puts the events of an answer together.
    ///
    /// # Errors
    /// A status when they are no whole answer.
    pub fn of(events: Vec<v1::AnswerEvent>) -> Result<Self, Status> {
        let (mut ipc, mut release) = (Vec::new(), None);
        for event in events {
            match event.event {
                Some(Event::ArrowIpc(part)) => ipc.extend_from_slice(&part),
                Some(Event::Release(provenance)) => release = Some(provenance),
                Some(Event::Progress(_)) | None => {}
            }
        }
        let broken = |error: arrow::error::ArrowError| Status::unknown(error.to_string());
        let batches = if ipc.is_empty() {
            Vec::new()
        } else {
            let reader = StreamReader::try_new(ipc.as_slice(), None).map_err(broken)?;
            reader.collect::<Result<Vec<_>, _>>().map_err(broken)?
        };
        let release = release.ok_or_else(|| Status::unknown("the answer has no release"))?;
        Ok(Self { batches, release })
    }

    /// The rows as text: whole numbers and decimals exact, doubles shortest, NULL empty.
    ///
    /// # Panics
    /// When a column has a type that has no text.
    #[must_use]
    pub fn rows(&self) -> Vec<Vec<String>> {
        let options = FormatOptions::default();
        let mut rows = Vec::new();
        for batch in &self.batches {
            let columns: Vec<_> = batch
                .columns()
                .iter()
                .map(|column| ArrayFormatter::try_new(column, &options).expect("a printable type"))
                .collect();
            for row in 0..batch.num_rows() {
                rows.push(columns.iter().map(|column| column.value(row).to_string()).collect());
            }
        }
        rows
    }

    /// Which hospitals are missing, and why.
    #[must_use]
    pub fn missing(&self) -> Vec<(&str, &str)> {
        let missing = self.release.missing.iter();
        missing.map(|one| (one.hospital.as_str(), one.reason.as_str())).collect()
    }
}

/// Asks through `client` and puts the answer together.
///
/// # Errors
/// The coordinator's status.
pub async fn ask(
    client: RegionClient<Channel>,
    sql: &str,
    deadline: Option<Duration>,
) -> Result<Answer, Status> {
    let deadline_ms = deadline.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
    put(client, v1::Question { sql: sql.to_owned(), deadline_ms, ..Default::default() }).await
}

/// Asks any question through `client` and puts the answer together.
///
/// # Errors
/// The coordinator's status.
pub async fn put(
    mut client: RegionClient<Channel>,
    question: v1::Question,
) -> Result<Answer, Status> {
    let mut stream = client.ask(question).await?.into_inner();
    let mut events = Vec::new();
    while let Some(event) = stream.message().await? {
        events.push(event);
    }
    Answer::of(events)
}
