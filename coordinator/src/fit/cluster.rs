//! Standard errors clustered by hospital: each hospital's own score at the estimate, in the clear, as
//! far as its gate releases it.

use std::sync::Arc;

use learn::fit::{Estimate, Fit};
use num_traits::ToPrimitive as _;
use privacy::step::Block;
use privacy::{Received, Scope};
use query::question::Question;
use tokio::sync::mpsc;

use super::{Fitter, Roster, refuse};
use crate::ask::AskError;

/// What a contribution is divided by.
const UNITS: f64 = (1u64 << 40) as f64;

impl Fitter<'_> {
    /// Adds clustered errors to an estimate.
    pub(super) async fn cluster(
        &self,
        question: &Question,
        fit: &Fit,
        roster: &Roster,
        estimate: &mut Estimate,
    ) -> Result<(), AskError> {
        let step = fit.scores();
        let unit = step.unit;
        let layout = step.layout();
        let places =
            layout.start(Block::Score).map(|start| start..start + layout.size(Block::Score));
        let places = places.unwrap_or_default();
        let request = question.step(self.user, Scope::PerHospital, step);
        let request = request.map_err(|refusal| AskError::Refused(Box::new(refusal)))?;
        let left = self.until.saturating_duration_since(self.state.clock.monotonic());
        let (silent, _) = mpsc::channel(1);
        let (answered, _) = self.asker().collect(&Arc::new(vec![request]), left, &silent).await;
        let mut scores = Vec::new();
        for (site, reply) in answered {
            if !roster.snapshots.contains_key(&site.id) {
                continue;
            }
            let told = reply.parts.first().and_then(|part| score(part, &places));
            let Some(told) = told else {
                let reason = format!(
                    "Standard errors clustered by hospital need every hospital's own score, and {} \
                     withholds a part of it, having few patients in some level.",
                    site.id
                );
                return Err(refuse("--cluster", reason));
            };
            scores.push(told);
        }
        if scores.len() != roster.snapshots.len() {
            let reason = "Not every hospital of the fit has told its own score.";
            return Err(refuse("--cluster", reason));
        }
        estimate.cluster(&scores, unit);
        Ok(())
    }
}

/// A hospital's score; `None` when its gate has withheld something.
fn score(received: &Received, places: &std::ops::Range<usize>) -> Option<Vec<f64>> {
    if received.withheld_groups > 0 || received.withheld_measures > 0 {
        return None;
    }
    let mut score = vec![0.0; places.len()];
    for group in &received.groups {
        let place: usize = group.key.first()?.as_ref()?.parse().ok()?;
        if let Some(own) = place.checked_sub(places.start).and_then(|own| score.get_mut(own)) {
            *own = group.cells.first()?.to_f64()? / UNITS;
        }
    }
    Some(score)
}
