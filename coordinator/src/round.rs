//! One masked round, as the coordinator leads it.
//!
//! Terms are proposed and countersigned, every hospital is offered them, complete uploads are
//! added up, and the witness opens what passes. A single upload is never looked at: it is uniform
//! noise until the witness takes away the masks of the sum. Whoever is late is not in the sum; when
//! too few are, the round ends and nobody has learned anything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{HospitalId, Refusal, RefusalCode};
use privacy::blind::RoundKey;
use privacy::combine::ReceivedNoise;
use privacy::open::Opened;
use privacy::roster::{FEWEST_HOSPITALS, Roster};
use privacy::sign::Signature;
use privacy::sketch::Frame;
use privacy::terms::{MAX_LIFETIME_MS, Signatures};
use privacy::{
    Combined, Floor, ReleaseRequest, Scope, Shape, Sid, Terms, Veil, VeilKey, Veiled, sha256,
};
use proto::{encode_offer, v1};
use record::{Entry, Kind, Standing, Store};
use service::clock::rfc3339;
use service::random::secret32;
use service::{Clock, fault};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::gathered::{Gathered, Settled, on_thread, revealed};
use crate::lists::LeftOut;
use crate::noisy;
use crate::progress::{ProgressSender, count, millis};
use crate::registry::{Absence, Registry, Site};
use crate::upload::{Expected, upload};
use crate::veil::{acquaint, constants, extents, heard_anew};
use crate::witness::{Countersigned, Witness, WitnessError};

/// Memory for the uploads of one round; more are added up as they come and cannot be held back.
const KEEP_BYTES: usize = 1 << 30;
/// Memory for uploads that are still arriving.
const ARRIVING_BYTES: usize = 1 << 29;
/// Memory for the uploads of all rounds together; large questions wait for each other.
const ROUNDS_BYTES: usize = 2 * (KEEP_BYTES + ARRIVING_BYTES);
/// What that memory is counted in.
const MEMORY_UNIT_BYTES: usize = 64 * 1024;
/// Time in which a witness that is there answers; with less, it is the asker's deadline that was
/// too short.
const WITNESS_TIME: Duration = Duration::from_millis(500);
/// Part of a round's time that is kept for the witness.
const OPEN_SHARE: u32 = 4;

/// What leading a round needs.
#[derive(Debug)]
pub(crate) struct Rounds {
    pub(crate) region: String,
    pub(crate) standing: Standing,
    pub(crate) store: Store,
    /// Under which the witness is told where cells stand.
    pub(crate) veil_key: VeilKey,
    pub(crate) witness: Witness,
    /// The region's own floor; hospitals may demand more.
    pub(crate) floor: Floor,
    /// Fewest hospitals whose uploads make a sum.
    pub(crate) quorum: usize,
    /// What the uploads of all rounds may take, see [`round_memory`].
    pub(crate) memory: Arc<Semaphore>,
    /// Held by a round that is kin to others, from choosing its hospitals until that is recorded.
    pub(crate) turn: Mutex<()>,
    pub(crate) clock: Clock,
}

/// The memory that all rounds of a coordinator share.
pub(crate) fn round_memory() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(ROUNDS_BYTES / MEMORY_UNIT_BYTES))
}

/// What a round asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) request: &'a ReleaseRequest,
    /// Where it stands among others; none for a listing.
    pub(crate) frame: Option<&'a Frame>,
    /// Families whose rounds are to be over the same hospitals, beside its own.
    pub(crate) kin: &'a [[u8; 32]],
}

/// The snapshot of each hospital in a sum.
pub(crate) type Snapshots = BTreeMap<HospitalId, String>;

/// A round's result, and how it came about.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) sid: Sid,
    pub(crate) combined: Combined,
    pub(crate) present: Vec<Arc<Site>>,
    pub(crate) absent: Vec<(Arc<Site>, Absence)>,
    pub(crate) bytes: u64,
    pub(crate) snapshots: Snapshots,
    /// Discovery only: the places that passed, and the witness's signature over them.
    pub(crate) passing: Option<(Vec<u32>, Signature)>,
    pub(crate) round_key: RoundKey,
    /// What its noise is; none when the sums are exact.
    pub(crate) noise: Option<ReceivedNoise>,
}

/// Why a round has no result.
#[derive(Debug)]
pub(crate) enum RoundFailure {
    /// The question or the region's state does not allow it.
    Refused(Box<Refusal>),
    /// Hospitals are missing, each with its reason.
    Missing(Vec<(Arc<Site>, Absence)>),
    /// The second authority cannot be reached.
    WitnessAway,
    /// Time is over.
    Deadline,
    /// Something failed here or at the witness; for the operator.
    Internal(String),
}

impl From<WitnessError> for RoundFailure {
    fn from(error: WitnessError) -> Self {
        match error {
            // It was started again in the middle of the round and has forgotten it.
            WitnessError::Refused(refusal)
                if refusal.code == RefusalCode::Offer && refusal.subject == "sid" =>
            {
                Self::WitnessAway
            }
            WitnessError::Refused(refusal) => Self::Refused(refusal),
            WitnessError::Away => Self::WitnessAway,
            WitnessError::Broken => Self::Internal("the witness sent what no witness sends".into()),
        }
    }
}

impl RoundFailure {
    /// The witness did not answer in the time that was `left` for it.
    fn silent(left: Duration) -> Self {
        if left < WITNESS_TIME { Self::Deadline } else { Self::WitnessAway }
    }
}

pub(crate) fn internal(error: impl std::fmt::Display) -> RoundFailure {
    RoundFailure::Internal(error.to_string())
}

pub(crate) fn refused(refusal: Refusal) -> RoundFailure {
    RoundFailure::Refused(Box::new(refusal))
}

/// Terms that both authorities have signed.
pub(crate) struct Agreed {
    pub(crate) terms: Terms,
    pub(crate) sid: Sid,
    signatures: Signatures,
    guard_keys: BTreeMap<HospitalId, Vec<u8>>,
    round_key: RoundKey,
    veil: Veil,
    /// What the witness is told of where the cells stand.
    veiled: Option<Veiled>,
    roster: Arc<Roster>,
}

fn too_large(error: impl std::fmt::Display) -> RoundFailure {
    let reason = format!("The question is too large to be masked: {error}.");
    let instead = "Group by fewer or coarser columns, or ask in several questions.";
    refused(Refusal::new(RefusalCode::TooLarge, "GROUP BY", reason, instead))
}

fn quorum_failure(have: usize, need: usize) -> RoundFailure {
    let reason = format!(
        "A masked sum needs {need} hospitals that this question can be opened over; there are \
         {have}."
    );
    let instead = "Ask again when more hospitals are there.";
    refused(Refusal::new(RefusalCode::Quorum, "hospitals", reason, instead))
}

impl Rounds {
    /// Leads one round over the hospitals of `registry` but for those `without`, until `until`; and another one
    /// when it turns out that the data of some have moved.
    pub(crate) async fn lead(
        &self,
        registry: &Registry,
        without: &[(Arc<Site>, Absence)],
        asked: Asked<'_>,
        until: Instant,
        progress: &ProgressSender,
    ) -> Result<Outcome, RoundFailure> {
        for is_last in [false, true] {
            let led = self.lead_one((registry, without), asked, until, progress, is_last);
            if let Some(outcome) = led.await? {
                return Ok(outcome);
            }
        }
        Err(internal("no round was led"))
    }

    /// `None` when the data of a hospital lie elsewhere than it had told, and it has told again; the last time it is
    /// only missing.
    async fn lead_one(
        &self,
        (registry, without): (&Registry, &[(Arc<Site>, Absence)]),
        asked: Asked<'_>,
        until: Instant,
        progress: &ProgressSender,
        is_last: bool,
    ) -> Result<Option<Outcome>, RoundFailure> {
        let request = asked.request;
        let shape = Shape::of(request).map_err(too_large)?;
        let roster = self.standing.roster().map_err(internal)?;
        let (sites, not_asked) = self.invited(registry, without, &roster, request).await?;
        let _memory = self.memory_for(&shape, sites.len(), until).await?;
        fault::point("coordinator.round.before_propose");
        let agreed = Arc::new(self.agree(asked, &shape, &sites, &roster, until).await?);
        fault::point("coordinator.round.countersigned");
        let request = &request.salted(&agreed.sid);
        let left = until.saturating_duration_since(self.clock.monotonic());
        let patience = left - left / OPEN_SHARE;
        let (gathered, mut absent) =
            self.gather(&agreed, request, &sites, patience, progress).await?;
        if heard_anew(&absent, &self.clock).await && !is_last {
            return Ok(None);
        }
        absent.extend(not_asked);
        fault::point("coordinator.round.collected");
        let need = self.quorum.max(FEWEST_HOSPITALS);
        let answered: Vec<_> = gathered.proofs.keys().cloned().collect();
        if answered.len() < need {
            return Err(if answered.is_empty() || absent.iter().any(|(_, a)| a.is_refusal()) {
                RoundFailure::Missing(absent)
            } else {
                quorum_failure(answered.len(), need)
            });
        }
        let chosen = self.take_part(&agreed, &gathered, (&answered, need), asked.kin).await?;
        let bytes = gathered.bytes;
        let mut snapshots = gathered.snapshots.clone();
        snapshots.retain(|hospital, _| chosen.contains(hospital));
        let (among, columns) = (chosen.clone(), shape.clone());
        let settling = on_thread(move || gathered.settle(&among, &columns));
        let Settled { total, proofs, witnessed } = settling.await?.map_err(internal)?;
        fault::point("coordinator.round.before_open");
        let (signed, veiled) = (&agreed.signatures.coordinator, agreed.veiled.as_ref());
        let opening = self.witness.open(&agreed.sid, &shape, signed, &proofs, (witnessed, veiled));
        let left = until.saturating_duration_since(self.clock.monotonic());
        let (opened, signature) =
            timeout(left, opening).await.map_err(|_| RoundFailure::silent(left))??;
        fault::point("coordinator.round.opened");
        let noise = noisy::statement(&agreed.terms, request, &sites);
        let least = noise.as_ref().map(|noise| noise.least_rows);
        let key = (agreed.round_key.clone(), agreed.terms.noise.clone().zip(least));
        let (combined, opened) = revealed(total, opened, request.clone(), shape, key).await?;
        fault::point("coordinator.round.before_record");
        let passing = signature.map(|signature| (opened.places.clone(), signature));
        self.record_release(&agreed, opened).await?;
        fault::point("coordinator.round.recorded");
        let (present, held_back): (Vec<_>, Vec<_>) = sites
            .into_iter()
            .filter(|site| answered.contains(&site.id))
            .partition(|site| chosen.contains(&site.id));
        absent.extend(held_back.into_iter().map(|site| (site, Absence::HeldBack)));
        let round_key = agreed.round_key.clone();
        let sid = agreed.sid;
        let outcome =
            Outcome { sid, combined, present, absent, bytes, snapshots, passing, round_key, noise };
        Ok(Some(outcome))
    }

    /// The hospitals that are offered the round, and all others with the reason why not.
    async fn invited(
        &self,
        registry: &Registry,
        without: &[(Arc<Site>, Absence)],
        roster: &Roster,
        request: &ReleaseRequest,
    ) -> Result<(Vec<Arc<Site>>, LeftOut), RoundFailure> {
        let left_out = |site: &Arc<Site>| without.iter().any(|(other, _)| other.id == site.id);
        let sites = registry.sites().iter().filter(|site| !left_out(site)).cloned();
        let (sites, strangers): (Vec<_>, Vec<_>) =
            sites.partition(|site| roster.hospitals().contains_key(&site.id));
        acquaint(&sites, &self.clock).await;
        let (sites, poor) = noisy::able(sites, request);
        if sites.len() < self.quorum.max(FEWEST_HOSPITALS) && !poor.is_empty() {
            return Err(RoundFailure::Missing(poor));
        }
        let strangers = strangers.into_iter().map(|site| (site, Absence::Identity));
        let not_asked = strangers.chain(without.iter().cloned()).chain(poor);
        Ok((sites, not_asked.collect()))
    }

    /// The memory that a round's uploads may take at a time, out of what all rounds share.
    async fn memory_for(
        &self,
        shape: &Shape,
        hospitals: usize,
        until: Instant,
    ) -> Result<OwnedSemaphorePermit, RoundFailure> {
        let most = KEEP_BYTES + ARRIVING_BYTES;
        let bytes = shape.bytes().saturating_mul(hospitals + 1).min(most);
        let units = u32::try_from(bytes.div_ceil(MEMORY_UNIT_BYTES)).unwrap_or(u32::MAX);
        let left = until.saturating_duration_since(self.clock.monotonic());
        let memory = Arc::clone(&self.memory).acquire_many_owned(units);
        match timeout(left, memory).await {
            Ok(Ok(memory)) => Ok(memory),
            Ok(Err(closed)) => Err(internal(closed)),
            Err(_) => Err(RoundFailure::Deadline),
        }
    }

    /// Proposes terms and has them countersigned.
    async fn agree(
        &self,
        Asked { request, frame, .. }: Asked<'_>,
        shape: &Shape,
        sites: &[Arc<Site>],
        roster: &Arc<Roster>,
        until: Instant,
    ) -> Result<Agreed, RoundFailure> {
        let round_key = RoundKey::new(secret32().map_err(internal)?);
        let mut hospitals: Vec<_> = sites.iter().map(|site| site.id.clone()).collect();
        hospitals.sort_unstable();
        if hospitals.len() < FEWEST_HOSPITALS {
            return Err(quorum_failure(hospitals.len(), FEWEST_HOSPITALS));
        }
        let (extents, constants) = (extents(sites), constants(sites));
        let veil = Veil { key: self.veil_key.clone(), extents, constants };
        let veiled = frame.and_then(|frame| veil.over(frame, request, shape, &round_key));
        let left = until.saturating_duration_since(self.clock.monotonic());
        let demanded = sites.iter().filter_map(|site| site.floor());
        let lifetime = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
        let terms = Terms {
            region: self.region.clone(),
            nonce_a: *secret32().map_err(internal)?,
            nonce_b: [0; 32],
            request: request.hash(),
            family: request.family(),
            round_key: round_key.commitment(),
            veiled: veiled.as_ref().map_or([0; 32], Veiled::hash),
            witness_key: [0; 32],
            floor: demanded.fold(self.floor, Floor::max),
            roster: roster.hash(),
            hospitals,
            shape: shape.clone(),
            lifetime_ms: lifetime.clamp(1, MAX_LIFETIME_MS),
            noise: noisy::of_round(request, sites).map_err(refused)?,
        };
        let countersigning = self.witness.countersign(terms, || self.standing.signed_roster().ok());
        let Countersigned { terms, signature, guard_keys } =
            timeout(left, countersigning).await.map_err(|_| RoundFailure::silent(left))??;
        let signatures =
            Signatures { coordinator: terms.sign(self.standing.key()), witness: signature };
        let sid = terms.verify(roster, &signatures).map_err(refused)?;
        let guard_keys = terms.hospitals.iter().cloned().zip(guard_keys).collect();
        let roster = Arc::clone(roster);
        Ok(Agreed { terms, sid, signatures, guard_keys, round_key, veil, veiled, roster })
    }

    /// Offers the round to every hospital and adds up what is complete in time.
    async fn gather(
        &self,
        agreed: &Arc<Agreed>,
        request: &ReleaseRequest,
        sites: &[Arc<Site>],
        patience: Duration,
        progress: &ProgressSender,
    ) -> Result<(Gathered, Vec<(Arc<Site>, Absence)>), RoundFailure> {
        let size = agreed.terms.shape.bytes();
        let expected = Arc::new(Expected {
            terms: agreed.terms.clone(),
            sid: agreed.sid,
            roster: Arc::clone(&agreed.roster),
        });
        let arriving = Arc::new(Semaphore::new((ARRIVING_BYTES / size).clamp(1, sites.len())));
        let signed_roster = Arc::new(self.standing.signed_roster().map_err(internal)?);
        let mut tasks = JoinSet::new();
        for (index, site) in sites.iter().enumerate() {
            let (site, expected) = (Arc::clone(site), Arc::clone(&expected));
            let sealed = agreed.guard_keys.get(&site.id).cloned().unwrap_or_default();
            let offer = encode_offer(
                &agreed.terms,
                &agreed.signatures,
                request,
                (&agreed.round_key, &agreed.veil),
                &sealed,
                millis(patience),
            );
            let (arriving, signed_roster) = (Arc::clone(&arriving), Arc::clone(&signed_roster));
            tasks.spawn(async move {
                let work = async {
                    let _place = arriving.acquire().await;
                    upload(&site, offer, &expected, &signed_roster).await
                };
                (index, timeout(patience, work).await.unwrap_or(Err(Absence::Deadline)))
            });
        }
        fault::point("coordinator.round.offered");
        let keep = size.saturating_mul(sites.len()) <= KEEP_BYTES;
        let mut gathered = Gathered::new(&agreed.terms.shape, keep);
        let mut state = v1::Progress { asked: count(sites.len()), answered: 0, failed: 0 };
        let mut absent = Vec::new();
        while let Some(joined) = tasks.join_next().await {
            let Ok((index, outcome)) = joined else { continue };
            let site = &sites[index];
            site.note(outcome.as_ref().map(|_| ()).map_err(Clone::clone), self.clock.now());
            match outcome {
                Ok(arrived) => {
                    fault::point("coordinator.round.first_upload");
                    state.answered += 1;
                    gathered.add(arrived).map_err(internal)?;
                }
                Err(absence) => {
                    state.failed += 1;
                    absent.push((Arc::clone(site), absence));
                }
            }
            // Progress is a courtesy: a full channel must not slow the answer.
            let _ = progress.try_send(state);
        }
        Ok((gathered, absent))
    }

    async fn record_release(&self, agreed: &Agreed, opened: Opened) -> Result<(), RoundFailure> {
        let mut entry = Entry::new(&rfc3339(self.clock.now()), Kind::Release, "opened");
        let mode = if agreed.terms.noise.is_some() { "noisy" } else { "masked" };
        entry.mode = Some(mode.to_owned());
        entry.scope = Some(Scope::Pooled);
        entry.sid = Some(agreed.sid);
        entry.request = Some(agreed.terms.request);
        entry.family = Some(agreed.terms.family);
        let withheld = [("minimum", opened.withheld_groups), ("measure", opened.withheld_measures)];
        entry.withheld = withheld
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(rule, _)| rule.to_owned())
            .collect();
        let store = self.store.clone();
        let appended = on_thread(move || {
            let bytes: Vec<u8> = opened.masks.iter().flat_map(|mask| mask.to_le_bytes()).collect();
            store.append(&Entry { output: Some(sha256(&bytes)), ..entry })
        });
        appended.await?.map(|_| ()).map_err(internal)
    }
}
