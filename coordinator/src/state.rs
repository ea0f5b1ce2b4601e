//! What a coordinator holds while it runs, and what every call does with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::Refusal;
use privacy::{Policy, Project, Scope, Shape};
use proto::v1;
use proto::v1::answer_event::Event;
use query::question::{Planner, Question};
use service::Clock;
use service::status::{internal_status, refusal_status};
use tokio::sync::mpsc;
use tonic::Status;

use crate::ask::{Answer, AskError, Asker, Who};
use crate::catalog::catalog;
use crate::explain::Size;
use crate::fit::Memory;
use crate::lists::Lists;
use crate::models::Models;
use crate::noisy::Drawn;
use crate::projects::{ProjectError, Projects};
use crate::registry::Registry;
use crate::round::Rounds;

/// Events that may wait for a slow client.
pub(crate) const EVENT_QUEUE: usize = 16;
/// Planned questions that are kept.
const MAX_PLANNED: usize = 256;

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) registry: Arc<Registry>,
    pub(crate) rounds: Arc<Rounds>,
    pub(crate) lists: Lists,
    /// Noisy regional answers that are repeated.
    pub(crate) drawn: Drawn,
    pub(crate) planner: Planner,
    pub(crate) policy: Policy,
    pub(crate) deadline: Duration,
    pub(crate) clock: Clock,
    pub(crate) models: Models,
    pub(crate) projects: Projects,
    pub(crate) planned: Mutex<HashMap<String, Arc<Question>>>,
    /// Levels of factors, as earlier fits found them.
    pub(crate) levels: Memory,
}

/// Longest deadline that a question may ask for.
const MAX_DEADLINE: Duration = Duration::from_secs(600);
/// Longest deadline that a fit may ask for, and what it has unless it does.
const FIT_DEADLINE: Duration = Duration::from_secs(3_600);

impl State {
    /// How long a question may take that asks for `given` milliseconds; 0 asks for nothing.
    pub(crate) fn ask_deadline(&self, given: u64) -> Duration {
        match given {
            0 => self.deadline,
            given => Duration::from_millis(given).min(MAX_DEADLINE),
        }
    }

    /// The same for a fit.
    pub(crate) fn fit_deadline(&self, given: u64) -> Duration {
        match given {
            0 => FIT_DEADLINE,
            given => Duration::from_millis(given).min(FIT_DEADLINE),
        }
    }

    /// The project called `name` as `user` asks under it; none when no name is given.
    pub(crate) fn project(&self, name: &str, user: &str) -> Result<Option<Project>, Status> {
        if name.is_empty() {
            return Ok(None);
        }
        self.projects.of_member(name, user).map(Some).map_err(|error| project_status(&error))
    }

    /// What asking needs.
    pub(crate) fn asker(&self) -> Asker<'_> {
        Asker {
            registry: &self.registry,
            planner: &self.planner,
            clock: &self.clock,
            rounds: &self.rounds,
            lists: &self.lists,
            drawn: &self.drawn,
            without: &[],
            kin: &[],
        }
    }

    /// Plans a question, or finds it among those planned before; plans do not depend on data.
    pub(crate) async fn plan(&self, sql: &str) -> Result<Arc<Question>, Refusal> {
        let known = self.planned.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        if let Some(question) = known {
            return Ok(question);
        }
        let question = Arc::new(self.planner.plan(sql, &self.policy).await?);
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        if planned.len() >= MAX_PLANNED {
            planned.clear();
        }
        planned.insert(sql.to_owned(), Arc::clone(&question));
        Ok(question)
    }

    /// What a question would cost, as far as it can be told without asking for it.
    pub(crate) async fn size(
        &self,
        question: &Question,
        user: &str,
        rho_micro: Option<u64>,
    ) -> Size {
        if question.scope() == Scope::Pooled {
            let Some(domains) = self.lists.known_domains(question).await else {
                return Size::Unknown;
            };
            let requests = question.requests(user, &domains).unwrap_or_default();
            let requests = requests.into_iter().map(|request| request.with_noise(rho_micro));
            let shapes = requests.map(|request| Shape::of(&request).ok());
            let bytes = shapes.map(|shape| shape.map(|shape| shape.bytes() as u64));
            return bytes.sum::<Option<u64>>().map_or(Size::Unknown, Size::Masked);
        }
        let described = self.registry.code_lists().await;
        let known = catalog(&self.policy, &described);
        let codes = |name: &String| {
            let columns = known.tables.iter().flat_map(|table| &table.columns);
            let mut found = columns.filter(|c| c.name == *name && !c.codes.is_empty());
            found.next().map(|column| column.codes.len() as u64 + 1)
        };
        let parts = question.explain();
        Size::Codes(parts.iter().map(|part| part.dimensions.iter().map(codes).collect()).collect())
    }

    pub(crate) async fn answer(
        &self,
        question: &Question,
        who: &Who<'_>,
        deadline: Duration,
        events: &mpsc::Sender<Result<v1::AnswerEvent, Status>>,
    ) -> Result<Answer, Status> {
        let (progress, mut told) = mpsc::channel(EVENT_QUEUE);
        let asker = self.asker();
        let asking = asker.ask(question, who, deadline, &progress);
        tokio::pin!(asking);
        loop {
            tokio::select! {
                Some(state) = told.recv() => {
                    let event = v1::AnswerEvent { event: Some(Event::Progress(state)) };
                    // A client that has gone away ends the question.
                    if events.is_closed() {
                        return Err(Status::cancelled("the client has gone"));
                    }
                    let _ = events.try_send(Ok(event));
                }
                answer = &mut asking => return answer.map_err(|error| ask_status(&error)),
            }
        }
    }
}

/// How a call about a project ends with which nothing is done.
pub(crate) fn project_status(error: &ProjectError) -> Status {
    match error {
        ProjectError::Refused(refusal) => refusal_status(refusal),
        ProjectError::File { .. } => internal_status("keeping projects", error),
    }
}

/// How a question that has no answer ends a call.
pub(crate) fn ask_status(error: &AskError) -> Status {
    match error {
        AskError::Refused(refusal) => refusal_status(refusal),
        AskError::Nobody(text) => Status::unavailable(text.clone()),
        AskError::WitnessAway => Status::unavailable(
            "the witness cannot be reached, so pooled sums cannot be opened; nothing was learned. \
             Questions that group by hospital_id can be asked",
        ),
        AskError::Deadline => {
            Status::deadline_exceeded("the deadline passed before the answer was finished")
        }
        AskError::Above(text) => Status::invalid_argument(text.clone()),
        AskError::Internal(text) => {
            internal_status("adding up", &std::io::Error::other(text.clone()))
        }
    }
}
