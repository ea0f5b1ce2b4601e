//! Fitting a model: the levels of its factors, then one masked round for each step, all over the
//! same hospitals and the same snapshots.
//!
//! [`learn::fit::Fit`] says which sums it needs; this leads the rounds. When a hospital is lost or
//! ingests anew in the middle, the fit begins again over those that are left: an estimate is never
//! a mixture. Levels behind which too few patients stand become part of `OTHER`, and where `OTHER`
//! itself is too small its stays are left out; both is said in the card.

mod cluster;
mod expect;
mod levels;
mod run;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use learn::card::{CARD_FORMAT, Card, CoefficientCard, DesignCard, FitCard, Law, ProvenanceCard};
use learn::design::Design;
use learn::fit::{Estimate, Fit, FitError, Problem, STAYS_PER_PARAMETER, Sums};
use learn::formula::{Formula, Outcome};
use model::glm::{Family, Link, Transform};
use model::{HospitalId, Refusal, RefusalCode};
use num_traits::ToPrimitive as _;
use privacy::domain::OTHER;
use privacy::sign::hex;
use privacy::step::Number;
use privacy::{Combined, Floor, Scope};
use proto::v1;
use query::question::Question;
use service::clock::rfc3339;
use tokio::sync::mpsc;

use crate::ask::{AskError, Asker, Who};
use crate::progress::millis;
use crate::registry::{Absence, Site};
use crate::state::State;

pub(crate) use expect::expect;
use levels::{Found, find};
pub(crate) use run::{run, text_of};

/// Times a fit begins again before it is given up.
const MAX_RESTARTS: u32 = 8;

/// What is to be fitted, every word checked.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) formula: Formula,
    pub(crate) family: Family,
    pub(crate) link: Link,
    pub(crate) condition: String,
    pub(crate) ridge: f64,
    pub(crate) firth: bool,
    pub(crate) weight: Option<String>,
    pub(crate) cluster: bool,
}

/// Where a fit says how far it is.
pub(crate) type FitSender = mpsc::Sender<v1::FitProgress>;

/// A refusal of a model, with no way out beside what the reason says.
pub(crate) fn refuse(subject: &str, reason: impl Into<String>) -> AskError {
    AskError::Refused(Box::new(Refusal::new(RefusalCode::Model, subject, reason, "")))
}

impl Order {
    /// Reads a request.
    pub(crate) fn new(request: v1::FitRequest, name: String) -> Result<Self, AskError> {
        let formula = Formula::parse(&request.formula)
            .map_err(|error| refuse("formula", sentence(&error.to_string())))?;
        let known = |names: Vec<&str>| names.join(", ");
        let family = Family::named(&request.family).ok_or_else(|| {
            let names = known(Family::ALL.map(Family::as_str).to_vec());
            refuse("--family", format!("There is no family {}: {names}.", request.family))
        })?;
        let link = match request.link.as_str() {
            "" => family.usual_link(),
            name => Link::named(name).ok_or_else(|| {
                let names = known(Link::ALL.map(Link::as_str).to_vec());
                refuse("--link", format!("There is no link {name}: {names}."))
            })?,
        };
        if !family.takes(link) {
            let (family, link) = (family.as_str(), link.as_str());
            return Err(refuse("--link", format!("The family {family} has no link {link}.")));
        }
        let is_event = matches!(formula.outcome, Outcome::Event(_));
        if is_event != (family == Family::Binomial) {
            let (column, family) = (formula.outcome_column(), family.as_str());
            let what = if is_event { "a flag" } else { "a number" };
            let reason = format!("{column} is {what}; that is no response of the family {family}.");
            return Err(refuse("--family", reason));
        }
        if !request.ridge.is_finite() || request.ridge < 0.0 {
            return Err(refuse("--ridge", "The penalty is a number from 0 on."));
        }
        let plain = family == Family::Binomial && link == Link::Logit && request.ridge <= 0.0;
        if request.firth && !plain {
            let reason = "Firth's correction is for binomial models with the logit link, without a ridge penalty.";
            return Err(refuse("--firth", reason));
        }
        let weight = Some(request.weight).filter(|name| !name.is_empty());
        if let Some(weight) = &weight {
            // Read as a formula, so that mistakes are named in the same words.
            let read = Formula::parse(&format!("{weight} ~ 1"));
            let read = read.map_err(|error| refuse("--weights", sentence(&error.reason)))?;
            if read.outcome != Outcome::Number(weight.clone(), Transform::Identity) {
                return Err(refuse("--weights", format!("{weight} is no number.")));
            }
        }
        Ok(Self {
            name,
            text: request.formula,
            formula,
            family,
            link,
            condition: request.condition.trim().to_owned(),
            ridge: request.ridge,
            firth: request.firth,
            weight,
            cluster: request.cluster,
        })
    }

    /// Columns whose values are read as numbers: the formula's, then the weight.
    fn numbers(&self) -> Vec<&str> {
        let mut names = self.formula.numbers();
        let weight = self.weight.as_deref().filter(|weight| !names.contains(weight));
        names.extend(weight);
        names
    }

    /// Columns that a step reads first: the factors and, for an event, the response.
    fn leading(&self) -> Vec<&str> {
        let mut names = self.formula.factors();
        if let Outcome::Event(name) = &self.formula.outcome {
            names.push(name);
        }
        names
    }

    fn filter(&self) -> String {
        // On a line of its own, so that a comment cannot swallow what stands behind it.
        if self.condition.is_empty() {
            String::new()
        } else {
            format!(" WHERE (\n{}\n)", self.condition)
        }
    }

    /// A question whose rows are those of the fit.
    fn carrier(&self) -> String {
        let leading = self.leading();
        let sums = self.numbers().into_iter().map(|name| format!("sum({name})"));
        let mut columns: Vec<String> = leading.iter().map(|name| (*name).to_owned()).collect();
        columns.extend(sums);
        let groups = match leading.is_empty() {
            true => String::new(),
            false => format!(" GROUP BY {}", leading.join(", ")),
        };
        if columns.len() == leading.len() {
            columns.push("count(*)".to_owned());
        }
        format!("SELECT {} FROM stay{}{groups}", columns.join(", "), self.filter())
    }
}

/// A sentence from an error's text.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// What fitting needs.
pub(crate) struct Fitter<'a> {
    pub(crate) state: &'a State,
    pub(crate) order: &'a Order,
    pub(crate) user: &'a str,
    pub(crate) until: Instant,
    pub(crate) progress: &'a FitSender,
}

/// A fit that came to its end.
struct Ended {
    estimate: Estimate,
    design: Design,
    card: DesignCard,
}

/// Who takes part, and what has been received so far.
#[derive(Default)]
struct Roster {
    snapshots: BTreeMap<HospitalId, String>,
    without: Vec<(Arc<Site>, Absence)>,
    sids: Vec<String>,
    bytes: u64,
    restarts: u32,
}

/// How one attempt over a fixed roster ended.
enum Attempt {
    Ended(Box<Estimate>),
    /// Hospitals or their data have changed.
    Changed(String),
    /// Too few patients stand behind these columns.
    Rare(Vec<String>),
}

impl Fitter<'_> {
    fn who(&self) -> Who<'_> {
        Who { user: self.user, claim: None }
    }

    fn asker(&self) -> Asker<'_> {
        self.state.asker()
    }

    /// Fits, and tells the model card.
    pub(crate) async fn fit(&self) -> Result<Card, AskError> {
        let clock = &self.state.clock;
        let started = clock.monotonic();
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
        let mut found = find(self).await?;
        let mut roster = Roster::default();
        let Ended { estimate, design, card } =
            self.settle(&question, &mut found, &mut roster).await?;
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
            asker: self.user.to_owned(),
            formula: order.text.clone(),
            family: order.family.as_str().to_owned(),
            link: order.link.as_str().to_owned(),
            condition: order.condition.clone(),
            ridge: order.ridge,
            firth: order.firth,
            weight: order.weight.clone().unwrap_or_default(),
            coefficients: CoefficientCard::all(&design, &card, &estimate),
            covariance: estimate.covariance.clone(),
            fit: FitCard::from(&estimate),
            design: card,
            provenance: ProvenanceCard {
                scope: Scope::Pooled.as_str().to_owned(),
                mode: "masked".to_owned(),
                snapshots,
                left_out,
                rounds: roster.sids,
                bytes_received: roster.bytes,
                elapsed_ms: millis(elapsed),
                restarts: roster.restarts,
                floor: [floor.persons, floor.stays, floor.hospitals],
                schemes: self.schemes(),
            },
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

    /// Attempts over rosters and levels until one of them ends.
    async fn settle(
        &self,
        question: &Question,
        found: &mut Found,
        roster: &mut Roster,
    ) -> Result<Ended, AskError> {
        loop {
            let design = Design::new(&self.order.formula, &found.levels)
                .map_err(|error| refuse("formula", sentence(&error.to_string())))?;
            self.check_size(&design, found)?;
            let problem = self.problem(&design, found);
            let why = match self.attempt(question, problem, roster).await? {
                Attempt::Ended(estimate) => {
                    let card =
                        DesignCard::new(&self.order.formula, &design, &found.levels, &found.merged);
                    return Ok(Ended { estimate: *estimate, design, card });
                }
                Attempt::Changed(why) => why,
                Attempt::Rare(names) => {
                    if !found.merge(&names) {
                        let error = FitError::Rare(names);
                        return Err(refuse("model", sentence(&error.to_string())));
                    }
                    "levels with too few patients were merged".to_owned()
                }
            };
            roster.restarts += 1;
            if roster.restarts > MAX_RESTARTS {
                let reason =
                    format!("The fit began {MAX_RESTARTS} times anew; last because {why}.");
                return Err(refuse("model", reason));
            }
            tracing::info!(why, "a fit begins again");
            let told = v1::FitProgress { restarted: why, ..v1::FitProgress::default() };
            let _ = self.progress.try_send(told);
            roster.sids.clear();
            roster.snapshots.clear();
        }
    }

    /// The rule of stays for each parameter, before anything is asked.
    fn check_size(&self, design: &Design, found: &Found) -> Result<(), AskError> {
        let shape = u64::from(self.order.family == Family::NegativeBinomial);
        let parameters = design.columns.len() as u64 + shape;
        if found.stays >= parameters * STAYS_PER_PARAMETER {
            return Ok(());
        }
        let error = FitError::TooManyParameters { parameters, stays: found.stays };
        Err(refuse("model", sentence(&error.to_string())))
    }

    fn problem(&self, design: &Design, found: &Found) -> Problem {
        let Order { formula, family, link, ridge, firth, .. } = self.order;
        let identity = matches!(formula.outcome, Outcome::Number(_, Transform::Identity));
        let unit = match (link, family) {
            (Link::Identity, Family::Gaussian) if identity && *ridge <= 0.0 => found.unit,
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

    /// One fit over one roster.
    async fn attempt(
        &self,
        question: &Question,
        problem: Problem,
        roster: &mut Roster,
    ) -> Result<Attempt, AskError> {
        let mut fit = Fit::new(problem);
        loop {
            let step = fit.step();
            let floor = self.floor();
            let mut sums = Sums::new(&step, floor.persons.max(floor.stays));
            let request = question.step(self.user, Scope::Pooled, step);
            let request = request.map_err(|refusal| AskError::Refused(Box::new(refusal)))?;
            // Nobody waits for the progress of single rounds.
            let (silent, _) = mpsc::channel(1);
            let State { rounds, registry, .. } = self.state;
            let outcome = rounds.lead(registry, &roster.without, &request, self.until, &silent);
            let outcome = outcome.await?;
            roster.bytes += outcome.bytes;
            if let Some(why) = roster.changed(outcome.snapshots, outcome.absent) {
                return Ok(Attempt::Changed(why));
            }
            roster.sids.push(hex(&outcome.sid));
            fill(&mut sums, &outcome.combined)?;
            let estimate = match fit.take(&sums) {
                Ok(estimate) => estimate,
                Err(FitError::Rare(names)) => return Ok(Attempt::Rare(names)),
                Err(error) => return Err(refuse("model", sentence(&error.to_string()))),
            };
            let (objective, moved) = fit.last().unzip();
            let told = v1::FitProgress {
                steps: fit.steps(),
                objective,
                r#move: moved,
                restarted: String::new(),
            };
            let _ = self.progress.try_send(told);
            if self.progress.is_closed() {
                return Err(AskError::Nobody("the client has gone".to_owned()));
            }
            if let Some(mut estimate) = estimate {
                if self.order.cluster {
                    self.cluster(question, &fit, roster, &mut estimate).await?;
                }
                return Ok(Attempt::Ended(Box::new(estimate)));
            }
        }
    }
}

impl Roster {
    /// Fixes the roster with the first round; says what has changed in a later one.
    fn changed(
        &mut self,
        snapshots: BTreeMap<HospitalId, String>,
        absent: Vec<(Arc<Site>, Absence)>,
    ) -> Option<String> {
        let is_first = self.snapshots.is_empty();
        // Who was held back because of another is not the reason.
        let held_back = |id: &HospitalId| {
            let mut own = absent.iter().filter(|(site, _)| site.id == *id);
            own.any(|(_, absence)| *absence == Absence::HeldBack)
        };
        let mut gone: Vec<_> =
            self.snapshots.keys().filter(|id| !snapshots.contains_key(*id)).collect();
        gone.sort_by_key(|id| held_back(id));
        let gone = gone.first().copied();
        let anew = self
            .snapshots
            .iter()
            .find(|(id, known)| snapshots.get(*id).is_some_and(|snapshot| snapshot != *known));
        let why = match (gone, anew) {
            (Some(id), _) => Some(format!("{id} is not there any more")),
            (None, Some((id, _))) => Some(format!("{id} has ingested anew")),
            (None, None) => None,
        };
        if is_first || why.is_some() {
            // Whoever is not in this sum stays out, so that the next rounds are over the same.
            self.without = absent;
            self.snapshots = snapshots;
        }
        why
    }
}

/// Puts what was opened where the fit looks for it.
fn fill(sums: &mut Sums, combined: &Combined) -> Result<(), AskError> {
    let wrong = || AskError::Internal("a sum of a step stands at no place".to_owned());
    for (key, group) in &combined.groups {
        let [Some(place)] = key.as_slice() else { return Err(wrong()) };
        let place = place.parse().map_err(|_| wrong())?;
        if group.withheld.first() == Some(&false) {
            let sum = group.cells.first().copied().ok_or_else(wrong)?;
            sums.set(place, group.rows, sum).map_err(|_| wrong())?;
        }
    }
    Ok(())
}

/// A name for a model that the user gave none.
pub(crate) fn stem(formula: &str) -> String {
    let response = formula.split('~').next().unwrap_or_default();
    let letters = response.chars().map(|c| c.to_ascii_lowercase());
    let letters: String =
        letters.map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let stem = letters.trim_matches('-').chars().take(40).collect::<String>();
    if stem.is_empty() { OTHER.to_ascii_lowercase() } else { stem }
}

/// The mean of a response as a power of two, so that sums of it stay small.
fn unit(mean: Option<f64>) -> f64 {
    let bits = mean.map(|mean| mean.abs().log2()).filter(|bits| bits.is_finite());
    let bits = bits.and_then(|bits| bits.round().clamp(-60.0, 60.0).to_i32());
    2f64.powi(bits.unwrap_or(0))
}

#[cfg(test)]
mod tests;
