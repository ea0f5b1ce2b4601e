//! Opening a round: from the sums that the coordinator shows to the masks of what passes.
//!
//! The order is the guarantee. The round is taken out of the book first, so that there is no
//! second attempt whatever happens; signatures and seals are checked before a cell is read; the
//! round and its hospitals are on disk before a mask is computed; and nothing is sent before the
//! decision is whole. Every end of a round that is not an answer leaves an entry in the log.
//!
//! Memory of one opening: (witnessed columns + 2) × cells × 16 bytes while it judges, or
//! (2 × value columns + 2) × passing cells × 16 bytes while it adds up and sends masks, whichever
//! is more; a shape's bound makes that at most 256 MiB. `limits.max_concurrent` openings are under
//! way at a time, and each ends with its round's life.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use futures::stream::{BoxStream, Stream, StreamExt as _};
use model::{Refusal, RefusalCode};
use privacy::Sid;
use privacy::open::{Opened, Tampered, Unopened, Verdict};
use privacy::sign::Signature;
use privacy::sketch::Told;
use proto::{add_cells, decode_sid, encode_opened, v1};
use record::rounds::FEWEST_APART;
use record::{Entry, Kind, RoundError};
use service::clock::{day, rfc3339};
use service::fault;
use service::random::secret32;
use service::status::internal_status;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use v1::open_part::Part;

use crate::book::NotOpen;
use crate::desk::{Desk, not_open, on_thread, refused, unrecorded};
use crate::round::{Round, Survivors, refuse};
use crate::veil::NotHeld;

/// How long a coordinator may take to say which round it means.
const HEADER_WAIT: Duration = Duration::from_secs(10);
/// Messages that wait for a slow coordinator.
const QUEUE: usize = 2;

/// Messages of an answer.
pub(crate) type Parts = BoxStream<'static, Result<v1::OpenedPart, Status>>;

/// An opening that ended without an answer.
#[derive(Debug)]
enum Ended {
    Refused(Refusal),
    Tampered,
    Failed(Status),
}

/// What is returned, and the place that it takes until then.
struct Ready {
    opened: Opened,
    signature: Option<Signature>,
    place: OwnedSemaphorePermit,
}

impl From<Refusal> for Ended {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Status> for Ended {
    fn from(status: Status) -> Self {
        Self::Failed(status)
    }
}

impl From<Tampered> for Ended {
    fn from(_: Tampered) -> Self {
        Self::Tampered
    }
}

impl From<Unopened> for Ended {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::Tampered(tampered) => tampered.into(),
            Unopened::Differenced(differenced) => Self::Refused(differenced.refusal()),
        }
    }
}

impl From<NotHeld> for Ended {
    fn from(not_held: NotHeld) -> Self {
        match not_held {
            NotHeld::Other(refusal) => Self::Refused(refusal),
            NotHeld::File(error) => Self::Failed(internal_status("keeping the veil", &error)),
        }
    }
}

fn late() -> Status {
    Status::deadline_exceeded("the round's time is over")
}

impl Desk {
    /// Opens a round over the parts that the coordinator sends.
    pub(crate) async fn open<S>(self: &Arc<Self>, mut parts: S) -> Result<Parts, Status>
    where
        S: Stream<Item = Result<v1::OpenPart, Status>> + Send + Unpin,
    {
        let first = timeout(HEADER_WAIT, parts.next()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no header came"))?.transpose()?;
        let Some(v1::OpenPart { part: Some(Part::Header(header)) }) = first else {
            return Err(refused(&out_of_order()));
        };
        let sid = decode_sid(&header.sid).map_err(|refusal| refused(&refusal))?;
        let (round, end) = self.take(&sid).await?;
        let (request, family) = (round.terms().request, round.terms().family);
        let opening = Box::pin(self.opening(round, header, &mut parts));
        let ended = match timeout(self.left(end), opening).await {
            Ok(Ok(ready)) => return Ok(ready.send(self.left(end))),
            Ok(Err(ended)) => ended,
            Err(_) => Ended::Failed(late()),
        };
        let (outcome, status) = match ended {
            Ended::Refused(refusal) => (refusal.code.as_str(), refused(&refusal)),
            Ended::Tampered => ("tampered", refused(&tampered())),
            Ended::Failed(status) => ("failed", status),
        };
        let desk = Arc::clone(self);
        let noted = on_thread(move || {
            let entry = Entry::new(&rfc3339(desk.clock.now()), Kind::Refusal, outcome);
            desk.append(&sid, Entry { request: Some(request), family: Some(family), ..entry })
        });
        match noted.await? {
            Ok(()) => Err(status),
            Err(error) => Err(unrecorded(&error)),
        }
    }

    /// Time until `end`.
    fn left(&self, end: Instant) -> Duration {
        end.saturating_duration_since(self.clock.monotonic())
    }

    /// Takes a round out of the book; the record knows those that were opened before a restart.
    async fn take(self: &Arc<Self>, sid: &Sid) -> Result<(Round, Instant), Status> {
        let error = match self.book().take(sid, self.clock.monotonic()) {
            Ok(taken) => return Ok(taken),
            Err(error) => error,
        };
        let (desk, sid) = (Arc::clone(self), *sid);
        let opened = on_thread(move || desk.store.is_round_opened(&sid)).await?;
        let opened = opened.map_err(|error| unrecorded(&error))?;
        Err(refused(&not_open(if opened { NotOpen::Spent } else { error })))
    }

    async fn opening<S>(
        self: &Arc<Self>,
        round: Round,
        header: v1::OpenHeader,
        parts: &mut S,
    ) -> Result<Ready, Ended>
    where
        S: Stream<Item = Result<v1::OpenPart, Status>> + Send + Unpin,
    {
        let quorum = self.rules()?.quorum;
        let (round, survivors) =
            on_thread(move || round.admit(header, quorum).map(|survivors| (round, survivors)))
                .await??;
        fault::point("witness.open.checked");
        let place = Arc::clone(&self.openings).acquire_owned().await;
        let place = place.map_err(|_| Status::unavailable("the witness is stopping"))?;
        let sums = sums(parts, round.entries() + round.tags()).await?;
        fault::point("witness.open.summed");
        let desk = Arc::clone(self);
        // The place goes along: work that nobody waits for any more still takes it.
        on_thread(move || desk.decide(round, sums, survivors, place)).await?
    }

    /// Judges, records the round with the populations that it tells, and adds up masks. Seeds and keys are
    /// erased when this returns.
    fn decide(
        &self,
        round: Round,
        mut sums: Vec<u128>,
        mut survivors: Survivors,
        place: OwnedSemaphorePermit,
    ) -> Result<Ready, Ended> {
        round.unveil(&mut sums, &mut survivors)?;
        if let Some(key) = survivors.veil_key() {
            self.veil.accept(round.coordinator(), key)?;
        }
        let (opened, signature) = if round.terms().noise.is_some() {
            drop(sums);
            (self.draw(&round, &survivors)?, None)
        } else {
            round.unmask(&mut sums, &survivors)?;
            let verdict = self.judge_and_record(&round, &sums, &survivors)?;
            drop(sums);
            fault::point("witness.open.recorded");
            round.open(&verdict, &survivors, self.standing.key())
        };
        fault::point("witness.open.judged");
        tracing::info!(cells = round.terms().shape.cells(), "opened a round");
        let sid = *round.sid();
        if let Some(discovery) = round.into_discovery(survivors) {
            self.book().keep_discovery(&sid, discovery);
        }
        Ok(Ready { opened, signature, place })
    }
}

impl Desk {
    /// One round at a time: of two rounds at once neither would know what the other is about to tell.
    fn judge_and_record(
        &self,
        round: &Round,
        guards: &[u128],
        survivors: &Survivors,
    ) -> Result<Verdict, Ended> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = round.judge(guards, survivors, &known)?;
        let told = known.news(&verdict.told).map_err(Unopened::from)?;
        self.record(round, survivors, &told)?;
        known.learn(&told);
        Ok(verdict)
    }

    /// Opens a noisy round, in which there is nothing to judge. The noise is drawn once, after the round is on disk: it
    /// is never opened again.
    fn draw(&self, round: &Round, survivors: &Survivors) -> Result<Opened, Ended> {
        let seed = secret32().map_err(|error| internal_status("drawing noise", &error))?;
        self.record(round, survivors, &[])?;
        fault::point("witness.open.recorded");
        let exact = || Ended::Failed(Status::internal("the round has no noise"));
        round.open_with_noise(survivors, &seed).ok_or_else(exact)
    }

    fn record(&self, round: &Round, survivors: &Survivors, told: &[Told]) -> Result<(), Ended> {
        let now = self.clock.now();
        fault::point("witness.open.before_record");
        let recorded = self.store.open_round(&record::Round {
            at: &rfc3339(now),
            day: &day(now),
            sid: *round.sid(),
            family: round.terms().compared_family(),
            hospitals: survivors.hospitals(),
            told,
        });
        recorded.map_err(unrecordable).map(|_| ())
    }
}

impl Ready {
    /// The messages, one at a time, until the time `left` is over.
    fn send(self, left: Duration) -> Parts {
        let (parts, stream) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            if timeout(left, self.send_each(&parts)).await.is_err() {
                let _ = parts.try_send(Err(late()));
            }
        });
        ReceiverStream::new(stream).boxed()
    }

    /// Gives its place back when it ends, in time or not.
    async fn send_each(self, parts: &mpsc::Sender<Result<v1::OpenedPart, Status>>) {
        let _place = self.place;
        for (index, part) in encode_opened(&self.opened, self.signature.as_ref()).enumerate() {
            if parts.send(Ok(part)).await.is_err() {
                return;
            }
            if index == 0 {
                fault::point("witness.open.first_part");
            }
        }
        fault::point("witness.open.last_part");
    }
}

/// The summed witnessed columns: exactly `entries` cells.
async fn sums<S>(parts: &mut S, entries: usize) -> Result<Vec<u128>, Ended>
where
    S: Stream<Item = Result<v1::OpenPart, Status>> + Send + Unpin,
{
    let mut sums = Vec::with_capacity(entries);
    while let Some(part) = parts.next().await {
        match part?.part {
            // An empty part would make the stream longer and nothing else.
            Some(Part::Cells(cells)) if !cells.cells.is_empty() => {
                add_cells(&mut sums, &cells, entries)?;
            }
            _ => return Err(out_of_order().into()),
        }
    }
    if sums.len() == entries {
        return Ok(sums);
    }
    let reason = "The sums have fewer cells than the round's witnessed columns.";
    Err(refuse(RefusalCode::Request, "cells", reason, "").into())
}

fn out_of_order() -> Refusal {
    let reason = "An opening is a header, then cells.";
    refuse(RefusalCode::Request, "parts", reason, "Use matching versions of Consilium.")
}

fn tampered() -> Refusal {
    let reason = "The sums are not those of the uploads that the hospitals signed.";
    refuse(RefusalCode::Request, "cells", reason, "Begin a new round.")
}

fn unrecordable(error: RoundError) -> Ended {
    let hospitals = |reason: &str, instead: &str| {
        Ended::Refused(refuse(RefusalCode::Quorum, "hospitals", reason, instead))
    };
    match error {
        RoundError::SidSeen => Ended::Refused(not_open(NotOpen::Spent)),
        RoundError::TooClose { apart } => hospitals(
            &format!(
                "An earlier round of the same question had almost the same hospitals: the two \
                 sets differ by {apart}, and their sums would tell about so few."
            ),
            &format!(
                "Ask again when the same hospitals answer as before, or when at least \
                 {FEWEST_APART} others do or do not."
            ),
        ),
        error @ RoundError::TooManySets => hospitals(
            &format!("The round is not opened: {error}."),
            "Ask again when the same hospitals answer as in an earlier round.",
        ),
        error @ RoundError::Unsorted => {
            Ended::Refused(refuse(RefusalCode::Request, "uploads", &error.to_string(), ""))
        }
        RoundError::Record(error) => Ended::Failed(unrecorded(&error)),
    }
}
