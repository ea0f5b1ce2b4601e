//! Standard errors clustered by hospital: each hospital's own score at the estimate, in the clear, as
//! far as its gate releases it.

use std::sync::Arc;

use learn::fit::{Estimate, Fit};
use num_traits::ToPrimitive as _;
use privacy::step::{Block, Scalar, UNITS};
use privacy::{Received, Scope};
use query::question::Question;
use tokio::sync::mpsc;

use super::{Fitter, Roster, place_of};
use crate::ask::AskError;

impl Fitter<'_> {
    /// Adds clustered errors to an estimate.
    pub(super) async fn cluster(
        &self,
        question: &Question,
        fit: &Fit,
        roster: &mut Roster,
        estimate: &mut Estimate,
    ) -> Result<(), AskError> {
        let step = fit.scores();
        let unit = step.unit;
        let layout = step.layout();
        let places =
            layout.start(Block::Score).map(|start| start..start + layout.size(Block::Score));
        let places = places.unwrap_or_default();
        let clamped = layout.start(Block::Scalars).map(|start| start + Scalar::Clamped as usize);
        let request = question.step(self.who.user, Scope::PerHospital, step);
        let request = request.map_err(|refusal| AskError::Refused(Box::new(refusal)))?;
        let request = self.who.asks(request);
        let left = self.question_end().saturating_duration_since(self.state.clock.monotonic());
        let (silent, _) = mpsc::channel(1);
        let (answered, _) =
            self.asker(roster).collect(&Arc::new(vec![request]), left, &silent).await;
        let mut scores = Vec::new();
        for (site, reply) in answered {
            if !roster.snapshots.contains_key(&site.id) {
                continue;
            }
            let told = reply.parts.first().and_then(|part| score(part, &places, clamped));
            let Some(told) = told else {
                roster.notes.push(format!(
                    "no standard errors clustered by hospital: they need every hospital's own score, and {} \
                     withholds a part of it, having few patients in some level or stays without a mean",
                    site.id
                ));
                return Ok(());
            };
            scores.push(told);
        }
        if scores.len() != roster.snapshots.len() {
            let reason = "no standard errors clustered by hospital: not every hospital of the fit has told \
                          its own score";
            roster.notes.push(reason.to_owned());
            return Ok(());
        }
        estimate.cluster(&scores, unit);
        roster.notes.push("z, p and limits are by the model's standard errors".to_owned());
        Ok(())
    }
}

/// A hospital's score; `None` when its gate has withheld something, or stays have no mean.
fn score(
    received: &Received,
    places: &std::ops::Range<usize>,
    clamped: Option<usize>,
) -> Option<Vec<f64>> {
    if received.withheld_groups > 0 || received.withheld_measures > 0 {
        return None;
    }
    let mut score = vec![0.0; places.len()];
    for group in &received.groups {
        let (place, sum) = place_of(&group.key, &group.cells)?;
        if Some(place) == clamped && sum > 0 {
            return None;
        }
        if let Some(own) = place.checked_sub(places.start).and_then(|own| score.get_mut(own)) {
            *own = sum.to_f64()? / UNITS;
        }
    }
    Some(score)
}
