//! Answering one per-hospital request: parse, admit, pay, compute, gate, record, send.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::HospitalId;
use privacy::{Admitted, Noisy, Partial, Released, admit};
use proto::{chunks, decode_request, from_record, to_record, v1};
use query::engine::{ComputeError, Engine};
use query::pack::Packs;
use query::question::AnswerError;
use record::ledger::NoiseCost;
use record::{Standing, Ticket};
use service::status::{internal_status, refusal_status};
use service::{Clock, fault};
use tokio::runtime::Handle;
use tokio::sync::{AcquireError, Semaphore};
use tokio::time::timeout;
use tonic::Status;

use crate::books::{Books, Payment, Release};
use crate::config::Config;
use crate::holdings::Holdings;
use crate::round::{Discoveries, HeldGuard, UPLOAD_UNITS};
use crate::steward::Steward;

pub(crate) use crate::holdings::InForce;

/// Everything that answering needs.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) holdings: Holdings,
    pub(crate) hospital: HospitalId,
    pub(crate) books: Books,
    pub(crate) standing: Arc<Standing>,
    pub(crate) packs: Packs,
    pub(crate) steward: Arc<Steward>,
    pub(crate) discoveries: Discoveries,
    pub(crate) guard: HeldGuard,
    pub(crate) places: Semaphore,
    pub(crate) upload_memory: Arc<Semaphore>,
    pub(crate) max_deadline: Duration,
    pub(crate) clock: Clock,
    queries: Handle,
}

impl Desk {
    pub(crate) fn new(
        config: &Config,
        holdings: Holdings,
        books: Books,
        standing: Arc<Standing>,
        queries: Handle,
        clock: Clock,
    ) -> Result<Self, AnswerError> {
        Ok(Self {
            holdings,
            hospital: config.hospital.id.clone(),
            books,
            standing,
            packs: Packs::new()?,
            steward: Arc::new(Steward::new(&config.data_dir)),
            discoveries: Discoveries::default(),
            guard: HeldGuard::default(),
            places: Semaphore::new(config.engine.max_concurrent.max(1)),
            upload_memory: Arc::new(Semaphore::new(UPLOAD_UNITS)),
            max_deadline: config.engine.max_deadline(),
            clock,
            queries,
        })
    }

    /// Computes and gates the cells of `wire`, or finds them in the record.
    pub(crate) async fn answer(
        &self,
        wire: v1::ReleaseRequest,
    ) -> Result<Vec<v1::ReleaseChunk>, Status> {
        let deadline = Duration::from_millis(wire.deadline_ms).min(self.max_deadline);
        let until = self.clock.monotonic() + deadline;
        let request = decode_request(wire).map_err(|refusal| refusal_status(&refusal))?;
        let InForce { policy, policy_hash, engine } = self.holdings.now();
        let leave = self.leave(&request, &policy).await?;
        let admitted = match admit(request.clone(), &policy, leave) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                tracing::info!(code = refusal.code.as_str(), "refused");
                self.keep_waiting(&refusal, request).await?;
                return Err(refusal_status(&refusal));
            }
        };
        let engine = engine.ok_or_else(|| Status::not_found("the hospital has no snapshot yet"))?;
        let snapshot = engine.manifest().snapshot_id.clone();
        let hash = request.hash();
        if let Some(bytes) = self.books.recorded(hash, snapshot.clone(), policy_hash).await? {
            tracing::info!("answered from the record");
            return from_record(&bytes)
                .map_err(|error| internal_status("reading a recorded release", &error));
        }
        let payment = Payment {
            asker: request.asker().to_owned(),
            allowance: policy.usage.requests_per_day,
            request: hash,
            snapshot: snapshot.clone(),
            policy: policy_hash,
            sid: None,
            scope: request.scope(),
            noise: admitted.noisy().map(cost),
            project: admitted.project().cloned(),
        };
        let is_noisy = admitted.noisy().is_some();
        let _place = self.waited(until, self.places.acquire()).await?;
        let ticket = self.books.reserve(payment).await?;
        fault::point("node.release.reserved");
        let work = self.compute(engine, admitted);
        let (ticket, partial) = if is_noisy {
            self.paid_anyway(ticket, until, work).await?
        } else {
            self.in_time(ticket, until, work).await?
        };
        let settle = move |released: &Released| {
            let answer = chunks(released, &request, &snapshot);
            let release = recorded(released, &answer);
            tracing::info!(
                withheld_any = released.withheld_groups() > 0,
                dimensions = request.dimensions().len(),
                measures = request.measures().len(),
                scope = request.scope().as_str(),
                "releasing"
            );
            fault::point("node.release.before_commit");
            (answer, release)
        };
        let answer = if is_noisy {
            self.books.draw(ticket, partial, settle).await?
        } else {
            self.books.gate(ticket, partial, settle).await?
        };
        fault::point("node.release.committed");
        Ok(answer)
    }

    /// Waits for `room` until `until`; nothing is paid for yet.
    pub(crate) async fn waited<T>(
        &self,
        until: Instant,
        room: impl Future<Output = Result<T, AcquireError>>,
    ) -> Result<T, Status> {
        let left = until.saturating_duration_since(self.clock.monotonic());
        match timeout(left, room).await {
            Ok(Ok(room)) => Ok(room),
            Ok(Err(_)) => Err(Status::unavailable("the node is stopping")),
            Err(_) => Err(late()),
        }
    }

    /// Does paid `work` until `until`. What fails or comes too late is refunded.
    pub(crate) async fn in_time<T>(
        &self,
        ticket: Ticket,
        until: Instant,
        work: impl Future<Output = Result<T, Status>>,
    ) -> Result<(Ticket, T), Status> {
        let left = until.saturating_duration_since(self.clock.monotonic());
        let outcome = timeout(left, work).await;
        // Work that never pauses is done at its first poll, however long that took.
        let is_late = self.clock.monotonic() > until;
        match outcome {
            Ok(Ok(result)) if !is_late => Ok((ticket, result)),
            Ok(Err(status)) if !is_late => {
                self.books.refund(ticket, "failed").await;
                Err(status)
            }
            // What fails too late is too late: how the work ended would tell more than that.
            Ok(_) | Err(_) => {
                self.books.refund(ticket, "deadline").await;
                Err(late())
            }
        }
    }

    /// The same of a noisy question: what fails after rows were looked at is paid for all the same, so that
    /// nobody learns from failures for nothing.
    pub(crate) async fn paid_anyway<T>(
        &self,
        ticket: Ticket,
        until: Instant,
        work: impl Future<Output = Result<T, Status>>,
    ) -> Result<(Ticket, T), Status> {
        let left = until.saturating_duration_since(self.clock.monotonic());
        match timeout(left, work).await.unwrap_or_else(|_| Err(late())) {
            Ok(result) => Ok((ticket, result)),
            Err(status) => {
                self.books.commit(ticket, Release::nothing("noisy", "failed")).await?;
                Err(status)
            }
        }
    }

    /// Computes an admitted request.
    pub(crate) async fn compute(
        &self,
        engine: Arc<Engine>,
        admitted: Admitted,
    ) -> Result<Partial, Status> {
        self.on_queries(async move { engine.compute(admitted).await }).await
    }

    /// Runs on the query runtime; dropping the future stops the work.
    pub(crate) async fn on_queries<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ComputeError>> + Send + 'static,
    ) -> Result<T, Status> {
        let mut task = tokio::task::JoinSet::new();
        task.spawn_on(work, &self.queries);
        match task.join_next().await {
            Some(Ok(Ok(result))) => Ok(result),
            Some(Ok(Err(ComputeError::Refused(refusal)))) => {
                tracing::info!(code = refusal.code.as_str(), "refused");
                Err(refusal_status(&refusal))
            }
            Some(Ok(Err(error))) => Err(internal_status("computing cells", &error)),
            Some(Err(error)) => Err(internal_status("computing cells", &error)),
            None => Err(Status::internal("the work was not started")),
        }
    }
}

fn late() -> Status {
    Status::deadline_exceeded("the time for this question is over")
}

/// What noise costs, and what there is.
pub(crate) const fn cost(noisy: Noisy) -> NoiseCost {
    let rule = noisy.rule();
    NoiseCost {
        rho_micro: noisy.rho_micro(),
        user_year_micro: rule.rho_user_year_micro,
        hospital_year_micro: rule.rho_hospital_year_micro,
    }
}

/// What the ledger keeps of a release: enough to repeat it byte for byte.
fn recorded(released: &Released, answer: &[v1::ReleaseChunk]) -> Release {
    let bytes = to_record(answer);
    let output = privacy::sha256(&bytes);
    let mut withheld = Vec::new();
    if released.withheld_groups() > 0 {
        withheld.push("minimum");
    }
    if released.withheld_measures() > 0 {
        withheld.push("support");
    }
    let mode = if released.noise().is_some() { "noisy" } else { "clear" };
    Release { mode, withheld, output, receipt: Vec::new(), answer: Some(bytes) }
}
