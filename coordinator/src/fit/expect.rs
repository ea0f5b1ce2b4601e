//! Observed and expected: each hospital applies a model to its own stays, and tells two sums.

use std::sync::Arc;
use std::time::Duration;

use learn::card::Card;
use model::glm::Family;
use num_traits::ToPrimitive as _;
use privacy::Scope;
use privacy::combine::ReceivedGroup;
use privacy::step::{Scalar, UNITS};
use proto::v1;
use tokio::sync::mpsc;

use super::order::Order;
use super::{place_of, refuse, sentence};
use crate::ask::{AskError, nobody};
use crate::progress::millis;
use crate::state::State;

/// Why a hospital is not told that has stays for which the model has no mean, or too large a one.
const NO_MEAN: &str = "no_mean";

/// What each hospital has observed and what the model of `card` expects.
pub(crate) async fn expect(
    state: &State,
    card: &Card,
    user: &str,
    patience: Duration,
) -> Result<v1::ExpectResponse, AskError> {
    let started = state.clock.monotonic();
    if !card.weight.is_empty() {
        let reason = format!(
            "{} is a weighted model; what hospitals have observed is told without weights. Fit it \
             without --weights.",
            card.name
        );
        return Err(refuse("--model", reason));
    }
    let unusable =
        |error: learn::card::InvalidCard| refuse(&card.name, sentence(&error.to_string()));
    let step = card.totals().map_err(unusable)?;
    let request = v1::FitRequest {
        formula: card.formula.clone(),
        family: card.family.clone(),
        link: card.link.clone(),
        condition: card.condition.clone(),
        ..v1::FitRequest::default()
    };
    let order = Order::new(request, card.name.clone())?;
    let question = state.plan(&order.carrier()).await;
    let question = question.map_err(|refusal| AskError::Refused(Box::new(refusal)))?;
    let request = question.step(user, Scope::PerHospital, step);
    let request = request.map_err(|refusal| AskError::Refused(Box::new(refusal)))?;
    let (silent, _) = mpsc::channel(1);
    let asker = state.asker();
    let (answered, absent) = asker.collect(&Arc::new(vec![request]), patience, &silent).await;
    if answered.is_empty() {
        return Err(nobody(&absent));
    }
    let mut response = v1::ExpectResponse::default();
    for (site, reply) in answered {
        response.bytes_received += reply.bytes;
        let groups = reply.parts.iter().flat_map(|part| &part.groups);
        let hospital = site.id.to_string();
        let tier = site.known().description.unwrap_or_default().hospital_tier;
        match told(groups, card) {
            Some(told) => response.hospitals.push(v1::Expected { hospital, tier, ..told }),
            None => response.missing.push(v1::Missing { hospital, reason: NO_MEAN.to_owned() }),
        }
    }
    let absent = absent.iter();
    response.missing.extend(
        absent.map(|(site, why)| v1::Missing { hospital: site.id.to_string(), reason: why.text() }),
    );
    response.elapsed_ms = millis(state.clock.monotonic().duration_since(started));
    Ok(response)
}

/// What one hospital has told; `None` when the model has no mean for some of its stays.
fn told<'a>(groups: impl Iterator<Item = &'a ReceivedGroup>, card: &Card) -> Option<v1::Expected> {
    let (unit, variance_unit) = units(card);
    let mut told = v1::Expected::default();
    for group in groups.filter(|group| group.withheld.first() == Some(&false)) {
        let Some((place, sum)) = place_of(&group.key, &group.cells) else { continue };
        let sum = sum.to_f64().map(|sum| sum / UNITS);
        match Scalar::ALL.get(place) {
            Some(Scalar::Response) => {
                told.stays = group.rows;
                told.observed = sum.map(|sum| sum * unit);
            }
            Some(Scalar::Mean) => told.expected = sum.map(|sum| sum * unit),
            Some(Scalar::Variance) => told.variance = sum.map(|sum| sum * variance_unit),
            Some(Scalar::Clamped) if sum.is_none_or(|stays| stays > 0.0) => return None,
            _ => {}
        }
    }
    Some(told)
}

/// What sums of responses and of variances are to be multiplied with: trees have a unit of their own.
fn units(card: &Card) -> (f64, f64) {
    let unit = card.ensemble.as_ref().map_or(1.0, |ensemble| ensemble.unit);
    // The variance of a gamma mean is its square; a gaussian one is the dispersion's affair.
    let is_square = card.family == Family::Gamma.as_str();
    (unit, if is_square { unit * unit } else { 1.0 })
}
