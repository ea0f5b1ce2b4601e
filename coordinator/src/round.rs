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
use privacy::conceal::{Receipt, upload_hash};
use privacy::open::Opened;
use privacy::reveal::{Total, reveal};
use privacy::roster::{FEWEST_HOSPITALS, Roster};
use privacy::sign::Signature;
use privacy::terms::{MAX_LIFETIME_MS, Signatures};
use privacy::{Combined, Floor, ReleaseRequest, Scope, Shape, Sid, Terms, sha256};
use proto::{UploadProof, decode_upload, encode_offer, v1};
use record::{Entry, Kind, RoundError, Standing, Store};
use service::clock::{day, rfc3339};
use service::random::secret32;
use service::status::refusal_of;
use service::{Clock, fault};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;
use tonic::Status;

use crate::ask::{ProgressSender, RETRY_PAUSE, millis};
use crate::choose::choose;
use crate::registry::{Absence, Registry, Site};
use crate::witness::{Countersigned, Witness, WitnessError};

/// Memory for the uploads of one round; more are added up as they come and cannot be held back.
const KEEP_BYTES: usize = 1 << 30;
/// Memory for uploads that are still arriving.
const ARRIVING_BYTES: usize = 1 << 29;
/// Part of a round's time that is kept for the witness.
const OPEN_SHARE: u32 = 4;

/// What leading a round needs.
#[derive(Debug)]
pub(crate) struct Rounds {
    pub(crate) region: String,
    pub(crate) standing: Standing,
    pub(crate) store: Store,
    pub(crate) witness: Witness,
    /// The region's own floor; hospitals may demand more.
    pub(crate) floor: Floor,
    /// Fewest hospitals whose uploads make a sum.
    pub(crate) quorum: usize,
    pub(crate) clock: Clock,
}

/// A round's result, and how it came about.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) sid: Sid,
    pub(crate) combined: Combined,
    pub(crate) present: Vec<Arc<Site>>,
    pub(crate) absent: Vec<(Arc<Site>, Absence)>,
    pub(crate) bytes: u64,
    /// Discovery only: the places that passed, and the witness's signature over them.
    pub(crate) passing: Option<(Vec<u32>, Signature)>,
    pub(crate) round_key: RoundKey,
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
    /// Something failed here or at the witness; for the operator.
    Internal(String),
}

impl From<WitnessError> for RoundFailure {
    fn from(error: WitnessError) -> Self {
        match error {
            WitnessError::Refused(refusal) => Self::Refused(refusal),
            WitnessError::Away => Self::WitnessAway,
            WitnessError::Broken => Self::Internal("the witness sent what no witness sends".into()),
        }
    }
}

fn internal(error: impl std::fmt::Display) -> RoundFailure {
    RoundFailure::Internal(error.to_string())
}

fn refused(refusal: Refusal) -> RoundFailure {
    RoundFailure::Refused(Box::new(refusal))
}

/// Terms that both authorities have signed.
struct Agreed {
    terms: Terms,
    sid: Sid,
    signatures: Signatures,
    guard_keys: BTreeMap<HospitalId, Vec<u8>>,
    round_key: RoundKey,
    roster: Arc<Roster>,
}

/// Complete uploads.
struct Gathered {
    total: Total,
    kept: Option<BTreeMap<HospitalId, Vec<u8>>>,
    proofs: BTreeMap<HospitalId, UploadProof>,
    bytes: u64,
}

struct Arrived {
    proof: UploadProof,
    cells: Vec<u8>,
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
    /// Leads one round over the hospitals of `registry`, until `until`.
    pub(crate) async fn lead(
        &self,
        registry: &Registry,
        request: &ReleaseRequest,
        until: Instant,
        progress: &ProgressSender,
    ) -> Result<Outcome, RoundFailure> {
        let shape = Shape::of(request).map_err(too_large)?;
        let roster = self.standing.roster().map_err(internal)?;
        let (sites, strangers): (Vec<_>, Vec<_>) = registry
            .sites()
            .iter()
            .cloned()
            .partition(|site| roster.hospitals().contains_key(&site.id));
        fault::point("coordinator.round.before_propose");
        let agreed = Arc::new(self.agree(request, &shape, &sites, &roster, until).await?);
        fault::point("coordinator.round.countersigned");
        let request = &request.salted(&agreed.sid);
        let left = until.saturating_duration_since(self.clock.monotonic());
        let patience = left - left / OPEN_SHARE;
        let (gathered, mut absent) =
            self.gather(&agreed, request, &sites, patience, progress).await?;
        absent.extend(strangers.into_iter().map(|site| (site, Absence::Identity)));
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
        let chosen = self.choose(&gathered, &answered, agreed.terms.family, need)?;
        let bytes = gathered.bytes;
        let (total, proofs) = settle(gathered, &chosen)?;
        self.record_round(&agreed, &chosen).await?;
        let witnessed = total.witnessed(&shape).to_vec();
        fault::point("coordinator.round.before_open");
        let opening = self.witness.open(
            &agreed.sid,
            &shape,
            &agreed.signatures.coordinator,
            &proofs,
            witnessed,
        );
        let left = until.saturating_duration_since(self.clock.monotonic());
        let (opened, signature) =
            timeout(left, opening).await.map_err(|_| RoundFailure::WitnessAway)??;
        fault::point("coordinator.round.opened");
        let combined =
            reveal(&total, &opened, request, &shape, &agreed.round_key).map_err(|error| {
                tracing::error!(%error, "a round was thrown away");
                internal(error)
            })?;
        fault::point("coordinator.round.before_record");
        self.record_release(&agreed, &opened).await?;
        fault::point("coordinator.round.recorded");
        let passing = signature.map(|signature| (opened.places.clone(), signature));
        let (present, held_back): (Vec<_>, Vec<_>) = sites
            .into_iter()
            .filter(|site| answered.contains(&site.id))
            .partition(|site| chosen.contains(&site.id));
        absent.extend(held_back.into_iter().map(|site| (site, Absence::HeldBack)));
        let round_key = agreed.round_key.clone();
        Ok(Outcome { sid: agreed.sid, combined, present, absent, bytes, passing, round_key })
    }

    /// Proposes terms and has them countersigned.
    async fn agree(
        &self,
        request: &ReleaseRequest,
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
            witness_key: [0; 32],
            floor: demanded.fold(self.floor, Floor::max),
            roster: roster.hash(),
            hospitals,
            shape: shape.clone(),
            lifetime_ms: lifetime.clamp(1, MAX_LIFETIME_MS),
        };
        let countersigning = self.witness.countersign(terms, || self.standing.signed_roster().ok());
        let Countersigned { terms, signature, guard_keys } =
            timeout(left, countersigning).await.map_err(|_| RoundFailure::WitnessAway)??;
        let signatures =
            Signatures { coordinator: terms.sign(self.standing.key()), witness: signature };
        let sid = terms.verify(roster, &signatures).map_err(refused)?;
        let guard_keys = terms.hospitals.iter().cloned().zip(guard_keys).collect();
        let roster = Arc::clone(roster);
        Ok(Agreed { terms, sid, signatures, guard_keys, round_key, roster })
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
        let arriving = Arc::new(Semaphore::new((ARRIVING_BYTES / size).clamp(1, sites.len())));
        let signed_roster = Arc::new(self.standing.signed_roster().map_err(internal)?);
        let mut tasks = JoinSet::new();
        for (index, site) in sites.iter().enumerate() {
            let (site, agreed) = (Arc::clone(site), Arc::clone(agreed));
            let sealed = agreed.guard_keys.get(&site.id).cloned().unwrap_or_default();
            let offer = encode_offer(
                &agreed.terms,
                &agreed.signatures,
                request,
                &agreed.round_key,
                &sealed,
                millis(patience),
            );
            let (arriving, signed_roster) = (Arc::clone(&arriving), Arc::clone(&signed_roster));
            tasks.spawn(async move {
                let work = async {
                    let _place = arriving.acquire().await;
                    upload(&site, offer, &agreed, &signed_roster).await
                };
                (index, timeout(patience, work).await.unwrap_or(Err(Absence::Deadline)))
            });
        }
        fault::point("coordinator.round.offered");
        let keep = size.saturating_mul(sites.len()) <= KEEP_BYTES;
        let mut gathered = Gathered {
            total: Total::new(&agreed.terms.shape),
            kept: keep.then(BTreeMap::new),
            proofs: BTreeMap::new(),
            bytes: 0,
        };
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
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

    fn choose(
        &self,
        gathered: &Gathered,
        answered: &[HospitalId],
        family: [u8; 32],
        need: usize,
    ) -> Result<Vec<HospitalId>, RoundFailure> {
        let earlier = self.store.survivor_sets(&family).map_err(internal)?;
        let chosen = choose(answered, &earlier, need);
        match chosen {
            Some(chosen) if gathered.kept.is_some() || chosen.len() == answered.len() => Ok(chosen),
            _ => Err(refused(Refusal::new(
                RefusalCode::Quorum,
                "hospitals",
                "This question was answered before over nearly the same hospitals; opening it now \
                 would give away the difference.",
                "Ask again when the same hospitals are there, or another question.",
            ))),
        }
    }

    async fn record_round(
        &self,
        agreed: &Agreed,
        chosen: &[HospitalId],
    ) -> Result<(), RoundFailure> {
        let now = self.clock.now();
        let (at, today) = (rfc3339(now), day(now));
        let (store, sid, family) = (self.store.clone(), agreed.sid, agreed.terms.family);
        let hospitals = chosen.to_vec();
        let work = spawn_blocking(move || {
            store.open_round(&record::Round {
                at: &at,
                day: &today,
                sid,
                family,
                hospitals: &hospitals,
            })
        });
        match work.await.map_err(internal)? {
            Ok(_) => Ok(()),
            Err(error @ (RoundError::TooClose { .. } | RoundError::TooManySets)) => {
                Err(refused(Refusal::new(RefusalCode::Quorum, "hospitals", error.to_string(), "")))
            }
            Err(error) => Err(internal(error)),
        }
    }

    async fn record_release(&self, agreed: &Agreed, opened: &Opened) -> Result<(), RoundFailure> {
        let mut entry = Entry::new(&rfc3339(self.clock.now()), Kind::Release, "opened");
        entry.mode = Some("masked".to_owned());
        entry.scope = Some(Scope::Pooled);
        entry.sid = Some(agreed.sid);
        entry.request = Some(agreed.terms.request);
        entry.family = Some(agreed.terms.family);
        let bytes: Vec<u8> = opened.masks.iter().flat_map(|mask| mask.to_le_bytes()).collect();
        entry.output = Some(sha256(&bytes));
        let withheld = [("minimum", opened.withheld_groups), ("measure", opened.withheld_measures)];
        entry.withheld = withheld
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(rule, _)| rule.to_owned())
            .collect();
        let store = self.store.clone();
        let work = spawn_blocking(move || store.append(&entry));
        work.await.map_err(internal)?.map(|_| ()).map_err(internal)
    }
}

impl Gathered {
    fn add(&mut self, arrived: Arrived) -> Result<(), privacy::reveal::RevealError> {
        self.bytes += arrived.cells.len() as u64;
        let hospital = arrived.proof.hospital.clone();
        match &mut self.kept {
            Some(kept) => {
                kept.insert(hospital.clone(), arrived.cells);
            }
            None => self.total.add(&arrived.cells)?,
        }
        self.proofs.insert(hospital, arrived.proof);
        Ok(())
    }
}

/// The sum over the chosen hospitals, and their proofs in order.
fn settle(
    gathered: Gathered,
    chosen: &[HospitalId],
) -> Result<(Total, Vec<UploadProof>), RoundFailure> {
    let Gathered { mut total, kept, proofs, .. } = gathered;
    for hospital in chosen {
        if let Some(cells) = kept.as_ref().and_then(|kept| kept.get(hospital)) {
            total.add(cells).map_err(internal)?;
        }
    }
    let proofs = proofs.into_iter().filter(|(id, _)| chosen.contains(id)).map(|(_, p)| p);
    Ok((total, proofs.collect()))
}

/// Offers the round to one hospital and takes in its upload, whole and vouched for.
async fn upload(
    site: &Site,
    offer: v1::Offer,
    agreed: &Agreed,
    signed_roster: &[u8],
) -> Result<Arrived, Absence> {
    match take_in(site, offer.clone(), agreed).await {
        Err(Absence::Refused(refusal)) if refusal.code == RefusalCode::RosterUnknown => {
            let offer = v1::Offer { roster: signed_roster.to_vec(), ..offer };
            take_in(site, offer, agreed).await
        }
        Err(Absence::Unreachable) => {
            tokio::time::sleep(RETRY_PAUSE).await;
            match take_in(site, offer, agreed).await {
                // The first offer had reached it: the answer was lost, and is not given twice.
                Err(Absence::Refused(refusal)) if refusal.code == RefusalCode::Replay => {
                    Err(Absence::Unreachable)
                }
                outcome => outcome,
            }
        }
        outcome => outcome,
    }
}

async fn take_in(site: &Site, offer: v1::Offer, agreed: &Agreed) -> Result<Arrived, Absence> {
    use v1::upload_part::Part;
    let status = |status: Status| {
        let refused = refusal_of(&status).is_some();
        tracing::debug!(hospital = %site.id, code = ?status.code(), refused, "no upload");
        Absence::of(&status)
    };
    let unusable = |why: &'static str| {
        tracing::warn!(hospital = %site.id, why, "an upload was not usable");
        Absence::Failed
    };
    let size = agreed.terms.shape.bytes();
    let mut cells: Vec<u8> = Vec::new();
    let mut client = site.client();
    let mut stream = client.join(offer).await.map_err(status)?.into_inner();
    let end = loop {
        let part = stream.message().await.map_err(status)?.and_then(|message| message.part);
        match part {
            Some(Part::Cells(part)) if cells.len() + part.cells.len() <= size => {
                cells.extend(part.cells);
            }
            Some(Part::Cells(_)) => return Err(unusable("it is longer than its request")),
            Some(Part::End(end)) => break end,
            None => return Err(unusable("it ended too early")),
        }
    };
    if stream.message().await.map_err(status)?.is_some() {
        return Err(unusable("it went on after its end"));
    }
    let proof = end.upload.and_then(|upload| decode_upload(upload).ok());
    let proof = proof.ok_or_else(|| unusable("it has no receipt"))?;
    let keys = agreed.roster.hospitals().get(&site.id).ok_or(Absence::Identity)?;
    let receipt = Receipt::of(agreed.sid, agreed.terms.request, proof.hash, &proof.sealed_seed);
    let vouched = receipt.verify(&keys.sign, &proof.receipt).is_ok();
    if cells.len() != size || proof.hospital != site.id || !vouched {
        return Err(unusable("it is not the one that its receipt vouches for"));
    }
    if upload_hash(&cells) != proof.hash {
        return Err(unusable("its cells are not those of its receipt"));
    }
    Ok(Arrived { proof, cells })
}
