//! What the node pays, remembers and signs with: the ledger, off the threads that serve.
//!
//! Every call may wait for the disk, so it runs on a thread for waiting. A question is paid for
//! before it is computed and recorded before it is sent; what fails in between is refunded.

use std::sync::{Arc, Mutex, PoisonError};

use model::{Refusal, RefusalCode};
use privacy::admit::{allowance_used, budget_used};
use privacy::project::Mode;
use privacy::sketch::{Known, Told};
use privacy::{Partial, Project, ReleaseRequest, Released, Scope, noise, release};
use record::ledger::{NoiseCost, ProjectCost, ProjectSpent};
use record::{
    Decision, Entry, Kind, Matter, Outcome, RecordError, Reservation, ReserveError, Store, Ticket,
    Verdict, Waiting,
};
use service::Clock;
use service::clock::{day, rfc3339};
use service::random::secret32;
use service::status::{internal_status, refusal_status};
use tokio::task::spawn_blocking;
use tonic::Status;

use crate::steward::Steward;

/// A question to be paid for.
#[derive(Debug, Clone)]
pub(crate) struct Payment {
    pub(crate) asker: String,
    pub(crate) allowance: u64,
    pub(crate) request: [u8; 32],
    pub(crate) snapshot: String,
    pub(crate) policy: [u8; 32],
    pub(crate) sid: Option<[u8; 32]>,
    pub(crate) scope: Scope,
    pub(crate) noise: Option<NoiseCost>,
    pub(crate) project: Option<Project>,
}

/// What is about to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    pub(crate) mode: &'static str,
    pub(crate) withheld: Vec<&'static str>,
    pub(crate) output: [u8; 32],
    pub(crate) receipt: Vec<u8>,
    pub(crate) answer: Option<Vec<u8>>,
}

impl Release {
    /// A question that is paid for and of which nothing is sent.
    pub(crate) fn nothing(mode: &'static str, rule: &'static str) -> Self {
        let output = privacy::sha256(&[]);
        Self { mode, withheld: vec![rule], output, receipt: Vec::new(), answer: None }
    }

    fn outcome<'a>(&'a self, at: &'a str, told: &'a [Told]) -> Outcome<'a> {
        Outcome {
            at,
            mode: self.mode,
            withheld: &self.withheld,
            output: self.output,
            receipt: &self.receipt,
            answer: self.answer.as_deref(),
            told,
        }
    }
}

/// The ledger with its clock.
#[derive(Debug, Clone)]
pub(crate) struct Books {
    store: Arc<Store>,
    /// The populations that releases have told; gating and recording hold it together.
    known: Arc<Mutex<Known>>,
    clock: Clock,
}

fn failed(error: &RecordError) -> Status {
    internal_status("writing the ledger", error)
}

fn year_of(day: &str) -> &str {
    day.split('-').next().unwrap_or_default()
}

fn project_cost(project: &Project) -> ProjectCost<'_> {
    let rho_year_micro = match project.parts().mode {
        Mode::Exact => 0,
        Mode::Noise { rho_year_micro } => rho_year_micro,
    };
    ProjectCost { name: project.name(), questions: project.parts().questions, rho_year_micro }
}

fn stopped<T>(_: T) -> Status {
    Status::internal("the ledger's thread has stopped")
}

impl Books {
    /// # Errors
    /// When the populations of earlier releases cannot be read.
    pub(crate) fn new(store: Arc<Store>, clock: Clock) -> Result<Self, RecordError> {
        let known = Arc::new(Mutex::new(store.populations()?));
        Ok(Self { store, known, clock })
    }

    pub(crate) const fn store(&self) -> &Arc<Store> {
        &self.store
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store, &str, &str) -> T + Send + 'static,
    ) -> Result<T, Status> {
        let now = self.clock.now();
        let (store, at, today) = (Arc::clone(&self.store), rfc3339(now), day(now));
        spawn_blocking(move || work(&store, &at, &today)).await.map_err(stopped)
    }

    /// Pays: uses up the sid and one question of the asker's day, and what noise costs.
    pub(crate) async fn reserve(&self, payment: Payment) -> Result<Ticket, Status> {
        let (asker, project) = (payment.asker.clone(), payment.project.clone());
        let today = day(self.clock.now());
        let outcome = self.with(move |store, at, today| {
            store.reserve(&Reservation {
                at,
                asker: &payment.asker,
                day: today,
                allowance: payment.allowance,
                request: payment.request,
                snapshot: &payment.snapshot,
                policy: payment.policy,
                sid: payment.sid,
                scope: payment.scope,
                noise: payment.noise,
                project: payment.project.as_ref().map(project_cost),
            })
        });
        outcome.await?.map_err(|error| match error {
            ReserveError::Project { is_noise } => {
                let year = is_noise.then(|| year_of(&today));
                let used_up = project.as_ref().map(|project| project.used_up(year));
                used_up.map_or_else(|| stopped(()), |refusal| refusal_status(&refusal))
            }
            ReserveError::SidSeen => refusal_status(&Refusal::new(
                RefusalCode::Replay,
                "sid",
                "This round was seen before; a hospital joins a round once.",
                "The coordinator offers a new round.",
            )),
            ReserveError::Usage { allowance } => refusal_status(&allowance_used(&asker, allowance)),
            ReserveError::Budget { is_own } => {
                refusal_status(&budget_used(&asker, year_of(&today), is_own))
            }
            ReserveError::Text(error) => {
                tracing::warn!(%error, "a reservation could not be written");
                Status::invalid_argument("the request cannot be recorded")
            }
            ReserveError::Record(error) => failed(&error),
        })
    }

    /// Lets pass what the rules allow beside earlier releases, and records it; `settle` says what is to
    /// be recorded. Only then may it be sent. One at a time: of two releases at once neither would
    /// know what the other is about to tell. What the guard against differencing ends is paid for.
    pub(crate) async fn gate<T: Send + 'static>(
        &self,
        ticket: Ticket,
        partial: Partial,
        settle: impl FnOnce(&Released) -> (T, Release) + Send + 'static,
    ) -> Result<T, Status> {
        let known = Arc::clone(&self.known);
        let gated = self.with(move |store, at, _| {
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            let passed = release(partial, &known)
                .and_then(|released| Ok((known.news(released.told())?, released)));
            let (told, settled) = match passed {
                Ok((told, released)) => (told, Ok(settle(&released))),
                Err(differenced) => (Vec::new(), Err(differenced)),
            };
            let nothing = Release::nothing("clear", "differencing");
            let release = settled.as_ref().map_or(&nothing, |(_, release)| release);
            store.commit(ticket, &release.outcome(at, &told))?;
            known.learn(&told);
            Ok(settled.map(|(value, _)| value))
        });
        let settled = gated.await?.map_err(|error: RecordError| failed(&error))?;
        settled.map_err(|differenced| {
            tracing::info!(code = "differencing", "refused");
            refusal_status(&differenced.refusal())
        })
    }

    /// Draws the noise of an answer, once, and records it; `settle` says what is to be recorded. Only then
    /// may it be sent.
    pub(crate) async fn draw<T: Send + 'static>(
        &self,
        ticket: Ticket,
        partial: Partial,
        settle: impl FnOnce(&Released) -> (T, Release) + Send + 'static,
    ) -> Result<T, Status> {
        let seed = secret32().map_err(|error| internal_status("drawing noise", &error))?;
        let drawn = self.with(move |store, at, _| {
            let (value, release) = settle(&noise::release(partial, &seed));
            store.commit(ticket, &release.outcome(at, &[])).map(|_| value)
        });
        drawn.await?.map_err(|error| failed(&error))
    }

    /// Records a masked release. Only then may it be sent.
    pub(crate) async fn commit(&self, ticket: Ticket, release: Release) -> Result<(), Status> {
        let outcome =
            self.with(move |store, at, _| store.commit(ticket, &release.outcome(at, &[])));
        outcome.await?.map(|_| ()).map_err(|error| failed(&error))
    }

    /// Gives a question back, because nothing was or will be sent.
    pub(crate) async fn refund(&self, ticket: Ticket, reason: &'static str) {
        let outcome = self.with(move |store, at, _| store.refund(ticket, at, reason)).await;
        if let Ok(Err(error)) = outcome {
            // The ledger itself refunds what was left open, at the next reservation or start.
            tracing::warn!(%error, "a refund was put off");
        }
    }

    /// The recorded release of the same question.
    pub(crate) async fn recorded(
        &self,
        request: [u8; 32],
        snapshot: String,
        policy: [u8; 32],
    ) -> Result<Option<Vec<u8>>, Status> {
        let found = self.with(move |store, _, _| store.recorded(&request, &snapshot, &policy));
        found.await?.map_err(|error| failed(&error))
    }

    /// Records names that are about to be sent after the discovery `sid`, by their hash.
    pub(crate) async fn record_names(&self, sid: [u8; 32], output: [u8; 32]) -> Result<(), Status> {
        let recorded = self.with(move |store, at, _| {
            let (sid, output) = (Some(sid), Some(output));
            store.append(&Entry { sid, output, ..Entry::new(at, Kind::Names, "sealed") })
        });
        recorded.await?.map(|_| ()).map_err(|error| failed(&error))
    }

    /// Keeps a question for the steward.
    pub(crate) async fn wait(&self, request: ReleaseRequest) -> Result<(), Status> {
        let waiting = self.with(move |store, at, _| {
            // A comment or a wide gap could say or hide something.
            let Some(relation) = query::readable(request.relation_sql()) else { return Ok(()) };
            let measures: Vec<_> = request.measures().iter().map(|m| format!("{m:?}")).collect();
            let measures = format!("{} {}", request.purpose(), measures.join(", "));
            store.wait(&Waiting {
                matter: Matter::Question,
                question: request.question(),
                asker: request.asker(),
                scope: request.scope(),
                relation: &relation,
                measures: measures.trim_end(),
                at,
            })
        });
        waiting.await?.map_err(|error| failed(&error))
    }

    /// Keeps a project for the steward.
    pub(crate) async fn propose(&self, project: Project) -> Result<(), Status> {
        let terms = project.terms().map(|(label, text)| format!("{label}: {text}"));
        let waiting = self.with(move |store, at, _| {
            store.wait(&Waiting {
                matter: Matter::Project,
                question: project.hash(),
                // No user is called so: whoever makes many projects pushes out their own only.
                asker: &format!("project:{}", project.parts().owner),
                scope: if project.parts().pooled { Scope::Pooled } else { Scope::PerHospital },
                relation: &terms.join("\n"),
                measures: project.name(),
                at,
            })
        });
        waiting.await?.map_err(|error| failed(&error))
    }

    /// What a project has used here, all versions together.
    pub(crate) async fn project_spent(&self, name: String) -> Result<ProjectSpent, Status> {
        let spent =
            self.with(move |store, _, today| store.project_spent(&name, year_of(today))).await?;
        spent.map_err(|error| failed(&error))
    }

    /// What the steward decided on a question or a project, entered in the log before anybody acts on it.
    pub(crate) async fn decision(
        &self,
        steward: &Arc<Steward>,
        question: [u8; 32],
    ) -> Result<Option<Verdict>, Status> {
        let steward = Arc::clone(steward);
        let found = self.with(move |store, at, today| {
            let Some(found) = steward.about(&question, today) else { return Ok(None) };
            let (verdict, line) = (found.verdict, found.line.as_str());
            store.decide(at, &Decision { question, verdict, line })?;
            Ok(Some(verdict))
        });
        found.await?.map_err(|error: RecordError| failed(&error))
    }

    /// Notes a refused round, with its code.
    pub(crate) async fn note_refusal(&self, sid: [u8; 32], code: &'static str) {
        let noted = self.with(move |store, at, _| {
            store.append(&Entry { sid: Some(sid), ..Entry::new(at, Kind::Refusal, code) })
        });
        if let Ok(Err(error)) = noted.await {
            tracing::warn!(%error, "a refusal was not recorded");
        }
    }
}
