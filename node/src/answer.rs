//! Answering one request: parse, admit, compute, gate, send.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use privacy::{Admitted, Policy, ReleaseRequest, Released, admit, release};
use proto::{chunks, decode_request, v1};
use query::engine::{ComputeError, Engine};
use service::Clock;
use service::clock::day;
use service::status::{internal_status, refusal_status};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::Status;

use crate::config::Config;
use crate::holdings::Holdings;
use crate::usage::Usage;

/// Everything that answering needs.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) holdings: Holdings,
    usage: Mutex<Usage>,
    queries: Handle,
    places: Semaphore,
    max_deadline: Duration,
    clock: Clock,
}

impl Desk {
    pub(crate) fn new(
        config: &Config,
        holdings: Holdings,
        queries: Handle,
        clock: Clock,
    ) -> std::io::Result<Self> {
        let usage = Usage::open(&config.data_dir, &day(clock.now()))?;
        Ok(Self {
            holdings,
            usage: Mutex::new(usage),
            queries,
            places: Semaphore::new(config.engine.max_concurrent.max(1)),
            max_deadline: config.engine.max_deadline(),
            clock,
        })
    }

    /// Computes and gates the cells of `wire`.
    pub(crate) async fn answer(
        &self,
        wire: v1::ReleaseRequest,
    ) -> Result<Vec<v1::ReleaseChunk>, Status> {
        let deadline = Duration::from_millis(wire.deadline_ms).min(self.max_deadline);
        let request = decode_request(wire).map_err(|refusal| refusal_status(&refusal))?;
        let (policy, engine) = self.holdings.now();
        let admitted = self.admit(request.clone(), &policy)?;
        let engine = engine.ok_or_else(|| Status::not_found("the hospital has no snapshot yet"))?;
        let snapshot_id = engine.manifest().snapshot_id.clone();
        let work = async {
            let _place = self.places.acquire().await;
            self.compute(engine, admitted).await
        };
        let released = timeout(deadline, work)
            .await
            .map_err(|_| Status::deadline_exceeded("the question's deadline has passed"))??;
        tracing::info!(
            withheld_any = released.withheld_groups() > 0,
            dimensions = request.dimensions().len(),
            measures = request.measures().len(),
            scope = request.scope().as_str(),
            "released"
        );
        Ok(chunks(&released, &request, &snapshot_id))
    }

    /// Admission, and the count that pays for it: written before anything is computed.
    fn admit(&self, request: ReleaseRequest, policy: &Policy) -> Result<Admitted, Status> {
        let today = day(self.clock.now());
        let asker = request.asker().to_owned();
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |error: std::io::Error| internal_status("counting requests", &error);
        let asked = usage.asked(&asker, &today).map_err(failed)?;
        let admitted = admit(request, policy, asked).map_err(|refusal| {
            tracing::info!(code = refusal.code.as_str(), "refused");
            refusal_status(&refusal)
        })?;
        usage.record(&asker).map_err(failed)?;
        Ok(admitted)
    }

    /// Runs on the query runtime; dropping the future stops the work.
    pub(crate) async fn compute(
        &self,
        engine: Arc<Engine>,
        admitted: Admitted,
    ) -> Result<Released, Status> {
        let mut work = tokio::task::JoinSet::new();
        work.spawn_on(async move { engine.compute(admitted).await.map(release) }, &self.queries);
        match work.join_next().await {
            Some(Ok(Ok(released))) => Ok(released),
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
