//! Where the coordinator's requests are decided: countersigning, and uniting names.
//!
//! Opening is in [`mod@crate::open`], cosigning in [`mod@crate::log`]. Work that computes or waits
//! for the disk runs on threads for waiting, of which the process has a bounded number.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{Refusal, RefusalCode};
use privacy::roster::{Roster, SignedRoster};
use privacy::sketch::Known;
use privacy::{Scope, Sid, Terms};
use proto::{decode_sid, decode_terms, v1};
use record::{Entry, Kind, RecordError, Standing, StandingError, Store};
use service::clock::rfc3339;
use service::random::secret32;
use service::status::{internal_status, refusal_status};
use service::{Clock, fault};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tonic::Status;

use crate::book::{Book, NotKept, NotOpen};
use crate::config::{Limits, Rules};
use crate::guard::Guard;
use crate::round::{Round, SignError, check, refuse};
use crate::veil::HeldVeil;

/// Everything that the witness's requests share.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) standing: Standing,
    pub(crate) store: Store,
    pub(crate) rules: Option<Rules>,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    book: Mutex<Book>,
    guard: Mutex<Option<Arc<Guard>>>,
    /// Rounds that may be opened at the same time.
    pub(crate) openings: Arc<Semaphore>,
    /// Cosigning reads, compares and writes; one at a time.
    pub(crate) cosigning: Mutex<()>,
    /// Under which key the coordinator hides names.
    pub(crate) veil: HeldVeil,
    /// The populations that rounds have told; judging and recording hold it together.
    pub(crate) known: Mutex<Known>,
}

/// Runs `work` on a thread that may wait.
pub(crate) async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Status> {
    spawn_blocking(work).await.map_err(|_| Status::internal("the witness's thread has stopped"))
}

/// The status of a refusal. What is logged is its code.
pub(crate) fn refused(refusal: &Refusal) -> Status {
    tracing::info!(code = refusal.code.as_str(), "refused");
    refusal_status(refusal)
}

pub(crate) fn unrecorded(error: &RecordError) -> Status {
    internal_status("writing the record", error)
}

impl Desk {
    /// # Errors
    /// When the populations of earlier rounds cannot be read.
    pub(crate) fn new(
        standing: Standing,
        store: Store,
        rules: Option<Rules>,
        limits: Limits,
        veil: HeldVeil,
        clock: Clock,
    ) -> Result<Self, RecordError> {
        let book = Mutex::new(Book::new(limits.max_open_rounds));
        let openings = Arc::new(Semaphore::new(limits.max_concurrent));
        let (cosigning, known) = (Mutex::new(()), Mutex::new(store.populations()?));
        let guard = Mutex::default();
        Ok(Self {
            standing,
            store,
            rules,
            limits,
            clock,
            book,
            guard,
            openings,
            cosigning,
            veil,
            known,
        })
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the rounds whose time is over.
    pub(crate) fn sweep(&self) {
        self.book().sweep(self.clock.monotonic());
    }

    // === countersigning ===

    /// Countersigns proposed terms and keeps the round until its end.
    pub(crate) async fn countersign(
        self: &Arc<Self>,
        proposal: v1::Proposal,
    ) -> Result<v1::Countersigned, Status> {
        let desk = Arc::clone(self);
        on_thread(move || desk.countersign_now(proposal)).await?
    }

    fn countersign_now(&self, proposal: v1::Proposal) -> Result<v1::Countersigned, Status> {
        let v1::Proposal { terms, roster } = proposal;
        let absent = || refused(&refuse(RefusalCode::Request, "terms", "There are none.", ""));
        let terms =
            decode_terms(terms.ok_or_else(absent)?, true).map_err(|refusal| refused(&refusal))?;
        let rules = self.rules().map_err(|refusal| refused(&refusal))?;
        let now = self.clock.monotonic();
        self.book().has_room(&terms.nonce_a, now).map_err(not_kept)?;
        let roster = self.roster_of(&terms, &roster)?;
        check(&terms, &roster, rules, self.limits.max_lifetime_ms)
            .map_err(|refusal| refused(&refusal))?;
        fault::point("witness.countersign.checked");
        let end = now + Duration::from_millis(terms.lifetime_ms.into());
        let failed = |error| internal_status("countersigning", &error);
        let guard = self.guard_for(&roster).map_err(failed)?;
        let key = self.standing.key();
        let signed = Round::countersign(terms, roster, &guard, key, &mut secret32);
        let (round, reply) = signed.map_err(failed)?;
        self.book().keep(round, end, now).map_err(not_kept)?;
        fault::point("witness.countersign.before_reply");
        Ok(reply)
    }

    /// The secret that is shared under this roster.
    fn guard_for(&self, roster: &Roster) -> Result<Arc<Guard>, SignError> {
        let now = self.clock.monotonic();
        let mut held = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some(guard) if guard.is_for(roster, now) => Ok(Arc::clone(guard)),
            _ => {
                let guard = Arc::new(Guard::draw(roster, now, &mut secret32)?);
                *held = Some(Arc::clone(&guard));
                Ok(guard)
            }
        }
    }

    pub(crate) fn rules(&self) -> Result<&Rules, Refusal> {
        let reason = "The witness's rules are not set, so it is closed.";
        let instead = "Its operator sets them in the [rules] of its configuration.";
        self.rules
            .as_ref()
            .ok_or_else(|| refuse(RefusalCode::PolicyUnset, "rules", reason, instead))
    }

    /// The roster that this party holds; a newer one that was sent along takes its place.
    fn roster_of(&self, terms: &Terms, sent: &[u8]) -> Result<Arc<Roster>, Status> {
        let unusable = |error: StandingError| internal_status("reading the roster", &error);
        let held = self.standing.roster().map_err(unusable)?;
        let roster = if sent.is_empty() || held.hash() == terms.roster {
            held
        } else {
            let refusal = |code, reason| refused(&refuse(code, "roster", reason, ""));
            let forged = "The roster that was sent along is not signed by the region's authority.";
            let older = "The roster that was sent along is not newer than the witness's own.";
            let signed = SignedRoster::parse(sent)
                .map_err(|_| refusal(RefusalCode::Request, "The roster cannot be read."))?;
            self.standing.accept(&signed).map_err(|error| match error {
                StandingError::Roster { .. } => refusal(RefusalCode::Offer, forged),
                StandingError::Older { .. } => refusal(RefusalCode::RosterUnknown, older),
                other => unusable(other),
            })?
        };
        if roster.witness() == self.standing.key().verify_key() {
            return Ok(roster);
        }
        let reason = "The roster names another signing key for the witness.";
        Err(refused(&refuse(RefusalCode::RosterUnknown, "roster", reason, "")))
    }

    // === names ===

    /// Unites the names that hospitals sealed after a discovery, once.
    pub(crate) async fn unite(
        self: &Arc<Self>,
        request: v1::UniteRequest,
    ) -> Result<v1::UniteResponse, Status> {
        let sid = decode_sid(&request.sid).map_err(|refusal| refused(&refusal))?;
        let taken = self.book().take_discovery(&sid, self.clock.monotonic());
        let discovery = taken.map_err(|error| refused(&not_open(error)))?;
        fault::point("witness.unite.received");
        let desk = Arc::clone(self);
        on_thread(move || {
            let names = discovery.unite(request.lists).and_then(fitting);
            let at = rfc3339(desk.clock.now());
            let entry = match &names {
                Ok(names) => Entry {
                    output: Some(privacy::sha256(&names.concat())),
                    ..Entry::new(&at, Kind::Release, "united")
                },
                Err(refusal) => Entry::new(&at, Kind::Refusal, refusal.code.as_str()),
            };
            desk.append(&sid, entry).map_err(|error| unrecorded(&error))?;
            fault::point("witness.unite.united");
            names.map(|names| v1::UniteResponse { names }).map_err(|refusal| refused(&refusal))
        })
        .await?
    }

    /// Appends an entry about a round to the log.
    pub(crate) fn append(&self, sid: &Sid, entry: Entry) -> Result<(), RecordError> {
        let entry = Entry { sid: Some(*sid), scope: Some(Scope::Pooled), ..entry };
        self.store.append(&entry).map(|_| ())
    }
}

/// A union that fits into one message.
fn fitting(names: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, Refusal> {
    // Each name has a tag and a length before it.
    let bytes: usize = names.iter().map(|name| name.len() + 4).sum();
    if bytes < proto::MAX_MESSAGE_BYTES {
        return Ok(names);
    }
    let reason = "The hospitals name more codes than one message holds.";
    Err(refuse(RefusalCode::TooLarge, "lists", reason, "Publish a code list for this column."))
}

fn not_kept(error: NotKept) -> Status {
    match error {
        NotKept::Replayed => {
            let reason = "This proposal was countersigned before.";
            let instead = "The coordinator proposes under a new nonce.";
            refused(&refuse(RefusalCode::Replay, "nonce_a", reason, instead))
        }
        NotKept::Full => Status::resource_exhausted(
            "the witness keeps as many open rounds as it may; propose again when some have ended",
        ),
    }
}

pub(crate) fn not_open(error: NotOpen) -> Refusal {
    let again = "The coordinator begins a new round.";
    match error {
        NotOpen::Spent => {
            let reason = "This round was opened before; a round opens once.";
            refuse(RefusalCode::Replay, "sid", reason, again)
        }
        NotOpen::Unknown => {
            let reason = "The witness has no such round; its time is over or it never began.";
            refuse(RefusalCode::Offer, "sid", reason, again)
        }
    }
}
