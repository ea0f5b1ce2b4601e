//! Models, as a user asks the coordinator for them.

use std::time::Duration;

use learn::card::Card;
use proto::v1::fit_event::Event;
use proto::v1::{
    ExpectRequest, ExpectResponse, FitProgress, FitRequest, ModelRequest, ModelSummary,
    ModelsRequest,
};

use super::{Client, GRACE, LIST_WAIT, LONGEST_WAIT};
use crate::exit::Failure;

/// Waiting for a fit when the coordinator's own deadline applies; it is shorter than this.
const LONGEST_FIT: Duration = Duration::from_secs(61 * 60);

fn read(card: &str) -> Result<Card, Failure> {
    serde_json::from_str(card)
        .map_err(|error| Failure::Internal(format!("the model card cannot be read: {error}")))
}

impl Client {
    /// Has a model fitted.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn fit(
        &self,
        mut request: FitRequest,
        deadline: Option<Duration>,
        mut progress: impl FnMut(&FitProgress),
    ) -> Result<Card, Failure> {
        request.deadline_ms = super::milliseconds(deadline);
        let wait = deadline.map_or(LONGEST_FIT, |deadline| deadline + GRACE);
        let fitting = async {
            let response = self.service().fit(request).await;
            let mut events = response.map_err(|status| self.failure(&status))?.into_inner();
            let next = async |events: &mut tonic::Streaming<_>| {
                events.message().await.map_err(|status| self.failure(&status))
            };
            while let Some(proto::v1::FitEvent { event }) = next(&mut events).await? {
                match event {
                    Some(Event::Progress(told)) => progress(&told),
                    Some(Event::Card(card)) => return read(&card),
                    None => {}
                }
            }
            Err(Failure::Unavailable("the coordinator ended without a model; ask again".into()))
        };
        self.within(wait, Box::pin(fitting)).await
    }

    /// The region's models, newest first.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn models(&self) -> Result<Vec<ModelSummary>, Failure> {
        let mut service = self.service();
        let response = self.within(LIST_WAIT, async {
            service.models(ModelsRequest {}).await.map_err(|status| self.failure(&status))
        });
        Ok(response.await?.into_inner().models)
    }

    /// The card of a model.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn model(&self, name: &str) -> Result<Card, Failure> {
        let mut service = self.service();
        let request = ModelRequest { name: name.to_owned() };
        let response = self.within(LIST_WAIT, async {
            service.model(request).await.map_err(|status| self.failure(&status))
        });
        read(&response.await?.into_inner().card)
    }

    /// What each hospital has observed and what a model expects of its stays.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn expect(
        &self,
        name: &str,
        deadline: Option<Duration>,
    ) -> Result<ExpectResponse, Failure> {
        let deadline_ms = super::milliseconds(deadline);
        let wait = deadline.map_or(LONGEST_WAIT, |deadline| deadline + GRACE);
        let mut service = self.service();
        let request = ExpectRequest { name: name.to_owned(), deadline_ms };
        let response = self.within(wait, async {
            service.expect(request).await.map_err(|status| self.failure(&status))
        });
        Ok(response.await?.into_inner())
    }
}
