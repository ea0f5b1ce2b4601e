//! Admission: the hospital's policy says yes or no to a request, before any row is read.

use model::{HospitalId, Refusal, RefusalCode};

use crate::blind::{GuardKey, RoundKey};
use crate::domain::Domain;
use crate::dominance::Dominance;
use crate::noise::{Noisy, afford, regional};
use crate::policy::{Allow, LARGEST_MINIMUM, Policy};
use crate::project::Project;
use crate::request::{Fitting, ReleaseRequest, Scope};
use crate::terms::{Sid, Terms, Vouched};
use crate::veil::Veil;

/// The numbers a release must reach; always set, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Distinct persons per cell.
    pub persons: u32,
    /// Stays per cell.
    pub stays: u32,
    /// Distinct persons of a filtered or joined set.
    pub selectivity: u32,
    /// What a hospital's own sums of money must keep to.
    pub dominance: Dominance,
}

impl Thresholds {
    /// How many distinct persons the node must be able to tell apart in one group.
    #[must_use]
    pub const fn persons_cap(self) -> u32 {
        if self.persons > self.stays { self.persons } else { self.stays }
    }
}

/// A request that this hospital's policy admits. Only [`admit`] makes one.
#[derive(Debug, Clone)]
pub struct Admitted {
    request: ReleaseRequest,
    thresholds: Thresholds,
    noisy: Option<Noisy>,
    /// Whether its project is why it is answered.
    of_project: bool,
}

impl Admitted {
    /// The request.
    #[must_use]
    pub const fn request(&self) -> &ReleaseRequest {
        &self.request
    }

    /// What its cells must reach.
    #[must_use]
    pub const fn thresholds(&self) -> Thresholds {
        self.thresholds
    }

    /// The project that is to pay for it: whose question it is, and not one of an approved pack.
    #[must_use]
    pub fn project(&self) -> Option<&Project> {
        self.request.project().filter(|_| self.of_project)
    }

    /// Whether its populations are compared with others: not when it only lists codes, or is answered with noise.
    #[must_use]
    pub fn is_compared(&self) -> bool {
        self.noisy.is_none() && !self.request.is_listing()
    }

    /// How it is answered with noise, if it is.
    #[must_use]
    pub const fn noisy(&self) -> Option<Noisy> {
        self.noisy
    }
}

/// Why a hospital that does not answer everything may answer a request, as the node itself has
/// found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Nobody has decided on it.
    None,
    /// It is a question of the pack with this content hash.
    Pack([u8; 32]),
    /// The steward has approved the question with this hash ([`ReleaseRequest::question`]).
    Approved([u8; 32]),
    /// The steward has declined it.
    Declined,
    /// It names a project.
    Project {
        /// Whether the steward has accepted that very project; `None` when nobody has decided.
        accepted: Option<bool>,
        /// The UTC day, such as 20261231.
        today: u32,
    },
}

/// An offer as a node received it: nothing in it has been checked but the terms.
#[derive(Debug, Clone)]
pub struct Offer {
    /// What is asked.
    pub request: ReleaseRequest,
    /// Under which terms, signed by both authorities.
    pub terms: Vouched,
    /// The key that coordinator and nodes share.
    pub round_key: RoundKey,
    /// The key that witness and nodes share.
    pub guard_key: GuardKey,
    /// How the witness is told where cells stand.
    pub veil: Veil,
}

/// A masked round that this hospital takes part in. Only [`admit_round`] makes one.
#[derive(Debug, Clone)]
pub struct Round {
    pub(crate) admitted: Admitted,
    pub(crate) terms: Terms,
    pub(crate) sid: Sid,
    pub(crate) local_minimum: u32,
    pub(crate) hospital: HospitalId,
    pub(crate) round_key: RoundKey,
    pub(crate) guard_key: GuardKey,
    pub(crate) veil: Veil,
}

impl Round {
    /// What is computed.
    #[must_use]
    pub const fn admitted(&self) -> &Admitted {
        &self.admitted
    }

    /// The terms.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The round's name.
    #[must_use]
    pub const fn sid(&self) -> &Sid {
        &self.sid
    }

    /// The key that coordinator and nodes share.
    #[must_use]
    pub const fn round_key(&self) -> &RoundKey {
        &self.round_key
    }
}

/// Admits a masked round for `hospital`: both authorities have signed the terms ([`Vouched`]), the
/// terms are for this request, and they keep to the hospital's own `policy`. Whether the sid is
/// new, the node's ledger decides.
///
/// # Errors
/// A [`Refusal`] with code `offer`, `too_large`, or one of [`admit()`]'s.
pub fn admit_round(
    offer: Offer,
    policy: &Policy,
    hospital: &HospitalId,
    leave: Leave,
) -> Result<Round, Refusal> {
    let Offer { request, terms, round_key, guard_key, veil } = offer;
    let (terms, sid) = terms.into_parts();
    if request.scope() != Scope::Pooled || round_key.commitment() != terms.round_key {
        return Err(Refusal::new(RefusalCode::Offer, "offer", "The offer is incomplete.", ""));
    }
    // A salt of the coordinator's choice could bring a rare code together with a frequent one, and
    // different salts at different hospitals could fill a bucket that no code fills.
    let own_salt = |domain: &Domain| matches!(domain, Domain::Buckets { salt, .. } if *salt != sid);
    if request.domains().iter().any(own_salt) {
        let reason = "The buckets of a discovery are not salted with the round's sid.";
        return Err(Refusal::new(RefusalCode::Offer, "salt", reason, ""));
    }
    terms.bind(&request, policy, hospital)?;
    let mut admitted = admit_scope(request, policy, leave)?;
    // What is counted up to a threshold must reach the strictest rule that anybody applies.
    let thresholds = &mut admitted.thresholds;
    thresholds.persons = thresholds.persons.max(terms.floor.persons);
    thresholds.stays = thresholds.stays.max(terms.floor.stays);
    admitted.noisy = match (admitted.noisy, &terms.noise) {
        (None, None) => None,
        (Some(own), Some(noise)) => Some(noise.bind(own, &admitted.request)?),
        _ => {
            let reason = "The offer is not as noisy as its question.";
            return Err(Refusal::new(RefusalCode::Offer, regional::SUBJECT, reason, ""));
        }
    };
    let local_minimum = policy.pooled.local_minimum;
    let hospital = hospital.clone();
    Ok(Round { admitted, terms, sid, local_minimum, hospital, round_key, guard_key, veil })
}

/// Admits a per-hospital `request` under the hospital's own `policy`. Whether the asker's allowance
/// lasts, the node's ledger decides, in the transaction that pays for the question.
///
/// # Errors
/// A [`Refusal`] with code `policy_unset`, `scope`, `pack`, `project`, `waiting`, `declined` or `offer`.
pub fn admit(request: ReleaseRequest, policy: &Policy, leave: Leave) -> Result<Admitted, Refusal> {
    if request.scope() == Scope::Pooled {
        return Err(Refusal::new(
            RefusalCode::Offer,
            "scope",
            "A pooled question is answered under masks only.",
            "The coordinator offers a round that the witness has countersigned.",
        ));
    }
    admit_scope(request, policy, leave)
}

/// What an asker is told whose `allowance` of the day is used up.
#[must_use]
pub fn allowance_used(asker: &str, allowance: u64) -> Refusal {
    Refusal::new(
        RefusalCode::Usage,
        asker,
        format!("The allowance of {allowance} requests a day is used up."),
        "It renews at midnight UTC.",
    )
}

fn admit_scope(
    request: ReleaseRequest,
    policy: &Policy,
    leave: Leave,
) -> Result<Admitted, Refusal> {
    let in_range = |value: &u32| (1..=LARGEST_MINIMUM).contains(value);
    let minima = policy.minimum.persons.filter(in_range).zip(policy.minimum.stays.filter(in_range));
    let Some((persons, stays)) = minima.filter(|_| in_range(&policy.selectivity.persons)) else {
        return Err(Refusal::new(
            RefusalCode::PolicyUnset,
            "minimum",
            "The hospital has not set its minimum cell, so its node is closed.",
            "Its steward sets minimum.persons and minimum.stays in the policy file.",
        ));
    };
    if !policy.allows_scope(request.scope()) {
        let scope = request.scope().as_str();
        return Err(Refusal::new(
            RefusalCode::Scope,
            scope,
            format!("The hospital's policy does not answer {scope} questions."),
            "Ask without naming hospitals, or ask the hospital's steward.",
        ));
    }
    if let Some(fitting) = request.fitting() {
        admit_step(fitting, policy, request.scope() == Scope::Pooled)?;
    }
    let noisy =
        request.rho_micro().map(|rho| afford(policy.noise, rho)?.admit(&request)).transpose()?;
    // The steward is asked last: what other rules refuse need not be read. The budget for noise is a
    // steward's leave for whatever it buys, but for what the steward has declined.
    let is_settled = match leave {
        Leave::Pack(hash) => policy.approves(&hash),
        Leave::Declined => policy.questions.allow == Allow::Ask,
        _ => false,
    };
    let project = request.project().filter(|_| !is_settled);
    let of_project = project.is_some();
    if let Some(project) = project {
        admit_member(&request, project, policy, leave)?;
    } else if noisy.is_none() || leave == Leave::Declined {
        admit_question(&request, policy, leave)?;
    }
    let (selectivity, dominance) = (policy.selectivity.persons, policy.dominance);
    let thresholds = Thresholds { persons, stays, selectivity, dominance };
    Ok(Admitted { request, thresholds, noisy, of_project })
}

/// What an asker is told when the noise budget of the `year` is used up: the asker's own, or everybody's.
#[must_use]
pub fn budget_used(asker: &str, year: &str, is_own: bool) -> Refusal {
    let whose = if is_own { "The asker's" } else { "The hospital's" };
    let next = year.parse::<u32>().map_or_else(|_| String::new(), |year| (year + 1).to_string());
    Refusal::new(
        RefusalCode::Budget,
        asker,
        format!("{whose} noise budget of {year} does not last for this question."),
        format!("It renews on {next}-01-01 UTC; a repeated question is answered from the record."),
    )
}

/// A hospital may answer approved packs only, or ask its steward about everything else.
fn admit_question(request: &ReleaseRequest, policy: &Policy, leave: Leave) -> Result<(), Refusal> {
    let from_pack = matches!(leave, Leave::Pack(hash) if policy.approves(&hash));
    let question = request.question();
    match policy.questions.allow {
        Allow::Any => Ok(()),
        Allow::Packs | Allow::Ask if from_pack => Ok(()),
        Allow::Packs => Err(no_pack()),
        Allow::Ask if leave == Leave::Approved(question) => Ok(()),
        Allow::Ask if leave == Leave::Declined => Err(Refusal::new(
            RefusalCode::Declined,
            name_of(&question),
            "The hospital's steward has declined this question.",
            "Ask the steward why, or ask something else.",
        )),
        Allow::Ask => Err(Refusal::new(
            RefusalCode::Waiting,
            name_of(&question),
            if request.is_listing() {
                "The hospital's steward decides on this search for codes, which comes before the \
                 question; it waits in the inbox."
            } else {
                "The hospital's steward decides on this question; it waits in the inbox."
            },
            "Ask again in the same words when it is approved: consilium-node approve, with this \
             question's name.",
        )),
    }
}

/// A question of a project keeps to it, whatever the hospital answers otherwise.
fn admit_member(
    request: &ReleaseRequest,
    project: &Project,
    policy: &Policy,
    leave: Leave,
) -> Result<(), Refusal> {
    let Leave::Project { accepted, today } = leave else { return Err(project.waits()) };
    project.covers(request, today)?;
    match (policy.questions.allow, accepted) {
        (_, Some(false)) => Err(project.declined()),
        (Allow::Any, _) | (Allow::Ask, Some(true)) => Ok(()),
        (Allow::Packs, _) if request.rho_micro().is_none() => Err(no_pack()),
        (Allow::Packs, Some(true)) => Ok(()),
        (Allow::Packs | Allow::Ask, None) => Err(project.waits()),
    }
}

fn no_pack() -> Refusal {
    Refusal::new(
        RefusalCode::Pack,
        "question",
        "The hospital answers questions of packs that it has approved, and this is none.",
        "`consilium pack list` shows the packs and their hashes; the hospital's steward approves one in \
         questions.packs of the policy file.",
    )
}

/// What people call a question: the beginning of its hash, long enough that nobody finds two
/// questions of one name, of which the steward reads one and approves the other.
#[must_use]
pub fn name_of(question: &[u8; 32]) -> String {
    crate::sign::hex(&question[..16])
}

/// A hospital may take part in no models, or in small ones only.
fn admit_step(fitting: &Fitting, policy: &Policy, pooled: bool) -> Result<(), Refusal> {
    if !policy.models.fit {
        return Err(Refusal::new(
            RefusalCode::Model,
            "model",
            "The hospital's policy takes part in no models.",
            "Ask the hospital's steward, or fit without it.",
        ));
    }
    if pooled && policy.pooled.local_minimum > 1 {
        return Err(Refusal::new(
            RefusalCode::Model,
            "model",
            "The hospital leaves small groups out of regional sums, so that sums of a model would \
             not fit together.",
            "Its steward sets pooled.local_minimum to 1, or the model is fitted without it.",
        ));
    }
    let (what, size, most, instead) = match fitting {
        Fitting::Step(step) => {
            let most = policy.models.parameters;
            ("parameters", step.columns.len(), most, "Use fewer terms or coarser codes.")
        }
        Fitting::Growth(growth) => {
            ("trees", growth.planned as usize, policy.models.trees, "Fit fewer trees.")
        }
    };
    if size > most as usize {
        let reason = format!("The model has {size} {what}; the hospital's policy admits {most}.");
        return Err(Refusal::new(RefusalCode::Model, "model", reason, instead));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
