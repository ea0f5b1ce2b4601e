//! Noisy answers: what is said of their noise, how far each number of the answer may be off, and those that are kept.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use model::{Refusal, RefusalCode};
use num_traits::ToPrimitive as _;
use privacy::combine::ReceivedNoise;
use privacy::noise::regional::{least_rows, narrowest};
use privacy::noise::{afford, check_linear, share};
use privacy::request::Scope;
use privacy::{Combined, Measure, Noise, Project, Received, ReleaseRequest, RoundNoise, Terms};
use proto::v1;
use query::question::{Question, Spread};

use crate::lists::LeftOut;
use crate::pooled::PooledReplies;
use crate::registry::{Absence, Site};

/// The dimension that keeps hospitals apart.
const HOSPITAL: &str = "hospital_id";
/// Answers that are kept of one user.
const MOST_KEPT: usize = 64;
/// Groups of all answers that are kept.
const MOST_GROUPS: usize = 1 << 20;

/// What came with noisy cells.
#[derive(Debug, Clone)]
pub(crate) struct Noised {
    /// For each request, the variance of each cell of each group.
    pub(crate) spreads: Vec<Spread>,
    /// The statements of each hospital, one for each request.
    statements: Vec<(String, ReceivedNoise)>,
}

/// A hospital answered with noise when none was asked for, or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its answer is not as noisy as the question")]
pub(crate) struct Unlike;

/// Noise is drawn by each hospital for its own cells, and by the witness for regional sums; each request costs its part.
pub(crate) fn check(question: &Question, rho_micro: Option<u64>) -> Result<(), Refusal> {
    if rho_micro.is_none() {
        return Ok(());
    }
    let parts = question.explain();
    let [part] = parts.as_slice() else {
        return Err(Refusal::new(
            RefusalCode::Request,
            "--noise",
            "The question asks each hospital several things at once, each of which would cost its part.",
            "Ask for each with a question of its own, without subqueries.",
        ));
    };
    let by_hospital = part.dimensions.iter().any(|name| name.ends_with(HOSPITAL));
    if question.scope() == Scope::Pooled || by_hospital {
        return Ok(());
    }
    Err(Refusal::new(
        RefusalCode::Scope,
        "--noise",
        "The question is about single hospitals and adds them up.",
        "Group by hospital_id, or do not name hospitals.",
    ))
}

/// The rules of a noisy question, for people.
pub(crate) fn rules(scope: Scope, rho_micro: u64) -> Vec<String> {
    let cost = share(rho_micro);
    let (drawn, bounds, told) = match scope {
        Scope::PerHospital => (
            format!(
                "noisy: each hospital draws noise for its own cells, once, and pays {cost} of its budget \
                 (zero-concentrated differential privacy, rho) and of the asker's budget there; a repetition is \
                 answered from the record, free"
            ),
            "of each person a hospital's policy says how many rows count, and up to which value",
            "groups are told when their noisy number of rows is large enough; no other rule is needed",
        ),
        Scope::Pooled => (
            format!(
                "noisy: the witness draws noise for regional sums of masked cells, once, and each hospital in them \
                 pays {cost} of its budget (zero-concentrated differential privacy, rho) and of the asker's budget \
                 there; what this coordinator still has is repeated free"
            ),
            "of each person of a hospital so many rows count, and up to such a value, as the narrowest policy of the \
             hospitals says",
            "groups are shown when their noisy number of rows is three deviations and the minimum or more; their codes come from \
             lists that are exact, and a group that one hospital has is its own number with noise",
        ),
    };
    vec![
        "each hospital decides by its own policy".to_owned(),
        drawn,
        bounds.to_owned(),
        told.to_owned(),
        "exact answers about the same patients are not covered by that budget".to_owned(),
    ]
}

/// What the hospitals' policies say about noise, as far as they tell.
fn policies(sites: &[Arc<Site>]) -> Vec<Noise> {
    sites.iter().filter_map(|site| site.noise()).collect()
}

/// The hospitals that may answer `request` by what they say of noise, and those that would refuse it: the others would
/// pay for a round without them that might come to nothing. Who says nothing may.
pub(crate) fn able(sites: Vec<Arc<Site>>, request: &ReleaseRequest) -> (Vec<Arc<Site>>, LeftOut) {
    let Some(rho_micro) = request.rho_micro() else { return (sites, Vec::new()) };
    let (mut able, mut poor) = (Vec::new(), Vec::new());
    for site in sites {
        match afford(site.noise(), rho_micro) {
            Err(refusal) if site.known().description.is_some() => {
                poor.push((site, Absence::Refused(Box::new(refusal))));
            }
            _ => able.push(site),
        }
    }
    (able, poor)
}

/// The noise of a round over `sites`; none when its request is exact.
pub(crate) fn of_round(
    request: &ReleaseRequest,
    sites: &[Arc<Site>],
) -> Result<Option<RoundNoise>, Refusal> {
    let Some(rho_micro) = request.rho_micro() else { return Ok(None) };
    check_linear(request)?;
    let rule = narrowest(policies(sites).into_iter()).ok_or_else(|| {
        Refusal::new(
            RefusalCode::Budget,
            "--noise",
            "No hospital of the region has set a budget for noisy answers.",
            "Ask without --noise, or ask hospitals' stewards for a [noise] section in their policies.",
        )
    })?;
    Ok(Some(RoundNoise::of(rule, rho_micro, request)))
}

/// What is said of the noise of a round over `sites`.
pub(crate) fn statement(
    terms: &Terms,
    request: &ReleaseRequest,
    sites: &[Arc<Site>],
) -> Option<ReceivedNoise> {
    let noise = terms.noise.as_ref()?;
    let double = |units: &u128| units.to_f64().unwrap_or(f64::MAX);
    let RoundNoise { rho_micro, rows_per_person, money, number, deviations } = noise;
    let rule = Noise {
        rows_per_person: *rows_per_person,
        money: *money,
        number: *number,
        ..Noise::default()
    };
    let told = policies(sites);
    let largest = |of: &dyn Fn(&Noise) -> f64| told.iter().map(of).fold(0.0, f64::max);
    Some(ReceivedNoise {
        rho_micro: *rho_micro,
        // What holds for each hospital holds for all with the largest of these.
        epsilon_year: largest(&Noise::epsilon_year),
        delta: largest(&|rule| f64::from(rule.delta_e9) / 1e9),
        rows_per_person: *rows_per_person,
        least_rows: least_rows(noise, terms.floor.persons.max(terms.floor.stays)),
        rows_deviation: deviations.first().map_or(0.0, double),
        deviations: deviations.iter().skip(1).map(double).collect(),
        bounds: request.inputs().iter().map(|input| double(&rule.bound(input))).collect(),
    })
}

impl Noised {
    pub(crate) fn new(requests: usize) -> Self {
        Self { spreads: vec![BTreeMap::new(); requests], statements: Vec::new() }
    }

    /// Takes in what `hospital` sent for one request.
    pub(crate) fn take(
        &mut self,
        hospital: &str,
        request: usize,
        received: &Received,
        measures: &[Measure],
    ) -> Result<(), Unlike> {
        let noise = received.noise.as_ref().ok_or(Unlike)?;
        let groups = received.groups.iter().map(|group| &group.key);
        self.add(hospital, request, groups, noise, measures)
    }

    /// Takes in the regional sums of one request.
    pub(crate) fn take_sums(
        &mut self,
        request: usize,
        combined: &Combined,
        noise: &ReceivedNoise,
        measures: &[Measure],
    ) -> Result<(), Unlike> {
        self.add("", request, combined.groups.keys(), noise, measures)
    }

    fn add<'a>(
        &mut self,
        hospital: &str,
        request: usize,
        groups: impl Iterator<Item = &'a Vec<Option<String>>>,
        noise: &ReceivedNoise,
        measures: &[Measure],
    ) -> Result<(), Unlike> {
        // COUNT(*) is the group's own number of rows.
        let mut deviations = noise.deviations.clone();
        let mut offset = 0;
        for measure in measures {
            if *measure == Measure::Rows {
                *deviations.get_mut(offset).ok_or(Unlike)? = noise.rows_deviation;
            }
            offset += measure.width();
        }
        let spread = self.spreads.get_mut(request).ok_or(Unlike)?;
        for key in groups {
            let variances = spread.entry(key.clone()).or_insert_with(|| vec![0.0; offset]);
            for (variance, deviation) in variances.iter_mut().zip(&deviations) {
                *variance += deviation * deviation;
            }
        }
        self.statements.push((hospital.to_owned(), noise.clone()));
        Ok(())
    }

    /// What the answer says about its noise.
    pub(crate) fn encode(&self) -> Vec<v1::HospitalNoise> {
        let each = self.statements.iter().map(|(hospital, noise)| v1::HospitalNoise {
            hospital: hospital.clone(),
            noise: Some(proto::encode_noise(noise)),
        });
        each.collect()
    }
}

/// What a noisy regional answer depends on, beside the draw.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) user: String,
    pub(crate) project: Option<Project>,
    pub(crate) requests: Vec<[u8; 32]>,
    /// The snapshots that the region holds.
    pub(crate) stamp: String,
    /// What hospitals' policies say about noise.
    pub(crate) policies: Vec<Option<Noise>>,
    /// In which budgets are counted.
    pub(crate) year: String,
}

/// Noisy regional answers that were paid for, the latest last; whoever asks again hears the same. They are forgotten
/// when the coordinator ends, and when a user asks for very many: then a repetition is paid for anew.
#[derive(Debug, Default)]
pub(crate) struct Drawn(Mutex<VecDeque<(Key, PooledReplies)>>);

/// Whether a hospital that was missing for this reason may answer when it is asked again, as far as its site says now.
fn may_answer(site: &Site, absence: &Absence) -> bool {
    match absence {
        // Until its policy or snapshot changes, which is another key.
        Absence::NoSnapshot | Absence::HeldBack => false,
        Absence::Refused(refusal) => {
            use RefusalCode::{Budget, PolicyUnset, Scope};
            ![Budget, PolicyUnset, Scope].contains(&refusal.code)
        }
        Absence::Unreachable | Absence::Deadline | Absence::Identity | Absence::Failed => {
            site.known().absence.is_none()
        }
    }
}

impl Drawn {
    /// What was answered under this key, unless a hospital that was missing then may answer now.
    pub(crate) fn recall(&self, key: &Key) -> Option<PooledReplies> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|(known, _)| known == key)?;
        let (key, replies) = kept.remove(place)?;
        let repeated = replies.clone();
        let is_open = replies.absent.iter().any(|(site, absence)| may_answer(site, absence));
        kept.push_back((key, replies));
        (!is_open).then_some(repeated)
    }

    /// Keeps an answer in the place of an earlier one.
    pub(crate) fn keep(&self, key: Key, replies: &PooledReplies) {
        let groups = |replies: &PooledReplies| -> usize {
            replies.combined.iter().map(|combined| combined.groups.len()).sum()
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != key);
        let is_own = |(known, _): &(Key, PooledReplies)| known.user == key.user;
        if kept.iter().filter(|one| is_own(one)).count() >= MOST_KEPT {
            let oldest = kept.iter().position(is_own);
            oldest.and_then(|place| kept.remove(place));
        }
        kept.push_back((key, replies.clone()));
        while kept.iter().map(|(_, replies)| groups(replies)).sum::<usize>() > MOST_GROUPS {
            kept.pop_front();
        }
    }
}
