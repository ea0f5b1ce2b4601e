//! Fitting a model: the levels of its factors, then one masked round for each step, all over the
//! same hospitals and the same snapshots ([`roster`]).
//!
//! [`learn::fit::Fit`] says which sums it needs; this leads the rounds. When a hospital is lost or
//! ingests anew in the middle, the fit begins again over those that are left: an estimate is never
//! a mixture. Levels behind which too few patients stand become part of `OTHER`, and where `OTHER`
//! itself is too small the smallest level joins it; the card says so.

mod cluster;
mod expect;
mod levels;
mod memory;
mod order;
mod roster;
mod run;
mod trees;

use std::sync::Arc;
use std::time::Instant;

use learn::boost::Ensemble;
use learn::card::{CARD_FORMAT, Card, CoefficientCard, DesignCard, FitCard, Law, ProvenanceCard};
use learn::design::Design;
use learn::fit::{Fit, FitError, Problem, Sums};
use learn::formula::Outcome;
use model::glm::{Family, Link, Transform};
use num_traits::ToPrimitive as _;
use privacy::sign::hex;
use privacy::step::Number;
use privacy::{Combined, Fitting, Floor, Scope};
use proto::v1;
use query::question::Question;
use service::clock::rfc3339;
use tokio::sync::mpsc;

use crate::ask::{AskError, Asker, Who};
use crate::lists::stamp;
use crate::progress::millis;
use crate::round::Asked;
use crate::state::State;

pub(crate) use expect::expect;
use levels::{Found, find};
pub(crate) use memory::Memory;
use memory::{Key, Remembered};
use order::{Order, refuse, sentence};
use roster::Roster;
pub(crate) use run::{run, text_of};

/// Times a fit begins again before it is given up.
const MAX_RESTARTS: u32 = 8;

/// Where a fit says how far it is.
type FitSender = mpsc::Sender<v1::FitProgress>;

/// What fitting needs.
struct Fitter<'a> {
    state: &'a State,
    order: &'a Order,
    who: &'a Who<'a>,
    until: Instant,
    progress: &'a FitSender,
}

/// A fit that came to its end: what of the card the estimate decides.
struct Ended {
    design: DesignCard,
    coefficients: Vec<CoefficientCard>,
    covariance: Vec<f64>,
    ensemble: Option<Ensemble>,
    fit: FitCard,
}

/// How one attempt over a fixed roster ended.
enum Attempt {
    Ended(Box<Ended>),
    /// Hospitals or their data have changed.
    Changed(String),
    /// Too few patients stand behind these columns.
    Rare(Vec<String>),
}

/// How one masked round of a fit ended.
enum Round {
    Told(Box<Combined>),
    /// Hospitals or their data have changed.
    Changed(String),
}

impl Fitter<'_> {
    /// When a single question of the fit is over: a hospital that hangs must not take the whole fit's
    /// time.
    fn question_end(&self) -> Instant {
        self.until.min(self.state.clock.monotonic() + self.state.deadline)
    }

    /// Asks hospitals but for those that the fit is without.
    fn asker<'a>(&'a self, roster: &'a Roster) -> Asker<'a> {
        Asker { without: &roster.without, kin: &roster.kin, ..self.state.asker() }
    }

    /// Fits, and tells the model card.
    async fn fit(&self) -> Result<Card, AskError> {
        let clock = &self.state.clock;
        let started = clock.monotonic();
        // By itself first: what does not stand alone behind WHERE is not one condition.
        self.plan(&self.order.selection()).await?;
        let question = self.plan(&self.order.carrier()).await?;
        let expected = (self.order.leading().len(), self.order.numbers().len());
        if question.width() != Some(expected) {
            let reason = "The condition is not one condition on stays.";
            return Err(refuse("--where", reason));
        }
        if question.scope() != Scope::Pooled {
            let reason = "A model is over the region and names no hospital.";
            return Err(refuse("hospital_id", reason));
        }
        let mut roster = Roster::of(self.kin(&question).await?);
        let (ended, selected_stays) = self.settle(&question, &mut roster).await?;
        let created_at = rfc3339(clock.now());
        let order = self.order;
        let floor = self.floor();
        let elapsed = clock.monotonic().duration_since(started);
        let left_out = roster.without.iter();
        let left_out = left_out.map(|(site, why)| (site.id.to_string(), why.text())).collect();
        let snapshots =
            roster.snapshots.iter().map(|(id, s)| (id.to_string(), s.clone())).collect();
        Ok(Card {
            format: CARD_FORMAT,
            name: order.name.clone(),
            created_at,
            asker: self.who.user.to_owned(),
            formula: order.text.clone(),
            family: order.family.as_str().to_owned(),
            link: order.link.as_str().to_owned(),
            condition: order.condition.clone(),
            ridge: order.ridge,
            firth: order.firth,
            weight: order.weight.clone().unwrap_or_default(),
            coefficients: ended.coefficients,
            covariance: ended.covariance,
            ensemble: ended.ensemble,
            fit: ended.fit,
            design: ended.design,
            provenance: ProvenanceCard {
                scope: Scope::Pooled.as_str().to_owned(),
                mode: "masked".to_owned(),
                snapshots,
                left_out,
                rounds: roster.sids,
                selected_stays,
                bytes_received: roster.bytes,
                elapsed_ms: millis(elapsed),
                restarts: roster.restarts,
                floor: [floor.persons, floor.stays, floor.hospitals],
                schemes: self.schemes(),
            },
            notes: roster.notes,
        })
    }

    async fn plan(&self, sql: &str) -> Result<Arc<Question>, AskError> {
        self.state.plan(sql).await.map_err(|refusal| AskError::Refused(Box::new(refusal)))
    }

    /// What every opened sum reaches.
    fn floor(&self) -> Floor {
        let demanded = self.state.registry.sites().iter().filter_map(|site| site.floor());
        demanded.fold(self.state.rounds.floor, Floor::max)
    }

    /// Grouper schemes, when the model uses groups.
    fn schemes(&self) -> Vec<String> {
        let uses = self
            .order
            .leading()
            .iter()
            .any(|name| ["drg_code", "adrg_code", "mdc_code"].contains(name));
        let sites = self.state.registry.sites().iter().filter(|_| uses);
        let told = sites.filter_map(|site| site.known().description);
        let mut schemes: Vec<_> = told.flat_map(|one| one.drg_schemes).collect();
        schemes.sort_unstable();
        schemes.dedup();
        schemes
    }

    /// What the fit's levels depend on.
    fn key(&self) -> Key {
        Key {
            user: self.who.user.to_owned(),
            project: self.who.project.clone(),
            questions: levels::questions(self.order),
            references: self.order.formula.references.clone(),
            stamp: stamp(&self.state.registry),
            floor: self.floor(),
        }
    }

    /// The families of all sums of the fit.
    async fn kin(&self, question: &Question) -> Result<Vec<[u8; 32]>, AskError> {
        let mut kin: Vec<[u8; 32]> = question.families().collect();
        for sql in levels::questions(self.order) {
            kin.extend(self.plan(&sql).await?.families());
        }
        Ok(kin)
    }

    /// Attempts over rosters and levels until one of them ends, which is told with the number of stays that it is
    /// about.
    async fn settle(
        &self,
        question: &Question,
        roster: &mut Roster,
    ) -> Result<(Ended, u64), AskError> {
        let key = self.key();
        let recalled = self.state.levels.recall(&key);
        let mut is_recalled = recalled.is_some();
        // What the questions told, and what steps have made of it.
        let mut known = recalled.map(|Remembered { found, over }| {
            roster.recall(over);
            (found.clone(), found)
        });
        loop {
            let (told, found) = match known.take() {
                Some(known) => known,
                None => match find(self, roster).await? {
                    Ok(found) => (found.clone(), found),
                    Err(why) => {
                        self.again(why, roster)?;
                        continue;
                    }
                },
            };
            let attempt = match self.order.trees {
                None => self.attempt(question, &found, roster).await?,
                Some(options) => self.grow(question, &found, options, roster).await?,
            };
            match attempt {
                Attempt::Ended(ended) => {
                    let remembered = Remembered { over: roster.snapshots.clone(), found: told };
                    self.state.levels.keep(key, remembered);
                    return Ok((*ended, found.stays));
                }
                // What was recalled is no longer so, and no step was taken with it.
                Attempt::Changed(_) if is_recalled && roster.sids.is_empty() => {
                    roster.forget();
                }
                Attempt::Changed(why) => self.again(why, roster)?,
                Attempt::Rare(names) => {
                    let mut found = found;
                    if !found.merge(&names) {
                        let error = FitError::Rare(names);
                        return Err(refuse("model", sentence(&error.to_string())));
                    }
                    self.again("levels with too few patients were merged".to_owned(), roster)?;
                    known = Some((told, found));
                }
            }
            is_recalled = false;
        }
    }

    /// Begins again, and says why; the roster stays as it is.
    fn again(&self, why: String, roster: &mut Roster) -> Result<(), AskError> {
        roster.restarts += 1;
        if roster.restarts > MAX_RESTARTS {
            let reason = format!("The fit began {MAX_RESTARTS} times anew; last because {why}.");
            return Err(refuse("model", reason));
        }
        tracing::info!(why, "a fit begins again");
        let told = v1::FitProgress { restarted: why, ..v1::FitProgress::default() };
        let _ = self.progress.try_send(told);
        roster.sids.clear();
        Ok(())
    }

    fn problem(&self, design: &Design, found: &Found) -> Problem {
        let Order { formula, family, link, ridge, firth, .. } = self.order;
        let identity = matches!(formula.outcome, Outcome::Number(_, Transform::Identity));
        let unit = match (link, family) {
            (Link::Identity, Family::Gaussian)
                if identity && *ridge <= 0.0 && formula.offset.is_none() =>
            {
                found.unit
            }
            _ => 1.0,
        };
        let law = Law { family: *family, link: *link, unit };
        let weight = self.order.weight.as_ref().map(|name| {
            let names = self.order.numbers();
            let index = names.iter().position(|known| known == name);
            let input = index.and_then(|index| u16::try_from(index).ok()).unwrap_or(u16::MAX);
            Number { input, transform: Transform::Identity }
        });
        let step = learn::card::step(formula, design, &found.levels, weight, law);
        let floor = self.floor();
        Problem {
            step,
            names: design.names.clone(),
            ridge: *ridge,
            firth: *firth,
            told_all: floor.persons.max(floor.stays).max(floor.hospitals) == 1,
        }
    }

    /// One masked round over the roster.
    async fn round(
        &self,
        question: &Question,
        fitting: Fitting,
        roster: &mut Roster,
    ) -> Result<Round, AskError> {
        let request = question.step(self.who.user, Scope::Pooled, fitting);
        let request = request.map_err(|refusal| AskError::Refused(Box::new(refusal)))?;
        let request = self.who.asks(request);
        // Nobody waits for the progress of single rounds.
        let (silent, _) = mpsc::channel(1);
        let State { rounds, registry, .. } = self.state;
        let until = self.question_end();
        let kin = &roster.kin;
        let asked = Asked { request: &request, frame: question.frames().next(), kin };
        let leading = rounds.lead(registry, &roster.without, asked, until, &silent);
        let outcome = leading.await.map_err(|failure| match failure {
            // The fit's own time is over, whoever was still to answer.
            _ if self.state.clock.monotonic() >= self.until => AskError::Deadline,
            failure => failure.into(),
        })?;
        roster.bytes += outcome.bytes;
        if self.state.clock.monotonic() >= self.until {
            return Err(AskError::Deadline);
        }
        if let Some(why) = roster.changed(outcome.snapshots, outcome.absent) {
            return Ok(Round::Changed(why));
        }
        roster.sids.push(hex(&outcome.sid));
        if self.progress.is_closed() {
            return Err(AskError::Nobody("the client has gone".to_owned()));
        }
        Ok(Round::Told(Box::new(outcome.combined)))
    }

    /// One fit over one roster.
    async fn attempt(
        &self,
        question: &Question,
        found: &Found,
        roster: &mut Roster,
    ) -> Result<Attempt, AskError> {
        let formula = &self.order.formula;
        let design = Design::new(formula, &found.levels)
            .map_err(|error| refuse("formula", sentence(&error.to_string())))?;
        let mut fit = Fit::new(self.problem(&design, found));
        fit.check_size(found.stays)
            .map_err(|error| refuse("model", sentence(&error.to_string())))?;
        loop {
            let step = fit.step();
            let floor = self.floor();
            let mut sums = Sums::new(&step, floor.persons.max(floor.stays));
            let combined = match self.round(question, step.into(), roster).await? {
                Round::Told(combined) => combined,
                Round::Changed(why) => return Ok(Attempt::Changed(why)),
            };
            fill(&mut sums, &combined)?;
            let estimate = match fit.take(&sums) {
                Ok(estimate) => estimate,
                Err(FitError::Rare(names)) => return Ok(Attempt::Rare(names)),
                Err(error) => return Err(refuse("model", sentence(&error.to_string()))),
            };
            let (objective, moved) = fit.last().unzip();
            let steps = fit.steps();
            let told =
                v1::FitProgress { steps, objective, r#move: moved, ..v1::FitProgress::default() };
            let _ = self.progress.try_send(told);
            if let Some(mut estimate) = estimate {
                if self.order.cluster {
                    self.cluster(question, &fit, roster, &mut estimate).await?;
                }
                let card = DesignCard::new(formula, &design, &found.levels, &found.merged);
                return Ok(Attempt::Ended(Box::new(Ended {
                    coefficients: CoefficientCard::all(&design, &card, &estimate),
                    covariance: estimate.covariance.clone(),
                    ensemble: None,
                    fit: FitCard::from(&estimate),
                    design: card,
                })));
            }
        }
    }
}

/// Puts what was opened where the fit looks for it.
fn fill(sums: &mut Sums, combined: &Combined) -> Result<(), AskError> {
    let wrong = || AskError::Internal("a sum of a step stands at no place".to_owned());
    for (key, group) in &combined.groups {
        let (place, sum) = place_of(key, &group.cells).ok_or_else(wrong)?;
        if group.withheld.first() == Some(&false) {
            sums.set(place, group.rows, sum).map_err(|_| wrong())?;
        }
    }
    Ok(())
}

/// The place that a group of a step is, and its sum.
fn place_of(key: &[Option<String>], cells: &[i128]) -> Option<(usize, i128)> {
    Some((key.first()?.as_ref()?.parse().ok()?, *cells.first()?))
}

/// The mean of a response as a power of two, so that sums of it stay small.
fn unit(mean: Option<f64>) -> f64 {
    let bits = mean.map(|mean| mean.abs().log2()).filter(|bits| bits.is_finite());
    let bits = bits.and_then(|bits| bits.round().clamp(-60.0, 60.0).to_i32());
    2f64.powi(bits.unwrap_or(0))
}

#[cfg(test)]
mod tests;
