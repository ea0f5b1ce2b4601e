//! One call to fit: tells how far it is, keeps the card, sends it.

use std::sync::Arc;
use std::time::Duration;

use learn::card::Card;
use proto::v1;
use proto::v1::fit_event::Event;
use service::status::internal_status;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tonic::Status;

use super::Fitter;
use super::order::{Order, stem};
use crate::ask::{AskError, Who};
use crate::state::{EVENT_QUEUE, State, ask_status};

type Events = mpsc::Sender<Result<v1::FitEvent, Status>>;

/// A card as it travels.
pub(crate) fn text_of(card: &Card) -> Result<String, Status> {
    serde_json::to_string(card).map_err(|error| internal_status("writing a model", &error))
}

/// Fits for `who` and sends events until there is a card or a reason why there is none.
pub(crate) async fn run(
    state: &Arc<State>,
    request: v1::FitRequest,
    who: &Who<'_>,
    deadline: Duration,
    events: &Events,
) {
    let outcome = attempt(state, request, who, deadline, events).await;
    let event = outcome.map(|card| v1::FitEvent { event: Some(Event::Card(card)) });
    // A client that has gone needs no answer.
    let _ = events.send(event).await;
}

async fn attempt(
    state: &Arc<State>,
    request: v1::FitRequest,
    who: &Who<'_>,
    deadline: Duration,
    events: &Events,
) -> Result<String, Status> {
    let refused = |refusal| ask_status(&AskError::Refused(Box::new(refusal)));
    let name = match request.name.as_str() {
        "" => state.models.free_name(&stem(&request.formula)),
        given => given.to_owned(),
    };
    state.models.check_name(&name).map_err(refused)?;
    let order = Order::new(request, name).map_err(|error| ask_status(&error))?;
    let until = state.clock.monotonic() + deadline;
    let (progress, mut told) = mpsc::channel(EVENT_QUEUE);
    let fitter = Fitter { state, order: &order, who, until, progress: &progress };
    let fitting = Box::pin(fitter.fit());
    tokio::pin!(fitting);
    let card = loop {
        tokio::select! {
            Some(state) = told.recv() => {
                // A client that has gone ends the fit.
                if events.is_closed() {
                    return Err(Status::cancelled("the client has gone"));
                }
                let event = v1::FitEvent { event: Some(Event::Progress(state)) };
                let _ = events.try_send(Ok(event));
            }
            card = &mut fitting => break card.map_err(|error| ask_status(&error))?,
        }
    };
    let models = state.models.clone();
    let kept = spawn_blocking(move || models.keep(card)).await;
    let kept = kept.map_err(|error| internal_status("keeping a model", &error))?;
    text_of(&kept.map_err(|error| internal_status("keeping a model", &error))?)
}
