//! Masked rounds, as a hospital takes part in them.
//!
//! An offer is verified against the roster and the hospital's own policy, paid for, computed,
//! masked, recorded, and only then sent. What is sent reveals nothing without the witness. After a
//! discovery the node also names, once, the codes that it holds in the buckets that the witness
//! has signed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::stream::{self, BoxStream, StreamExt as _};
use model::{Refusal, RefusalCode};
use privacy::blind::GuardSecret;
use privacy::conceal::{Receipt, guard_binding, seed_binding};
use privacy::discover::{NameKey, buckets_digest, names_digest, pack};
use privacy::domain::Domain;
use privacy::mask::Seed;
use privacy::policy::Allow;
use privacy::roster::{Roster, SignedRoster};
use privacy::seal::seal;
use privacy::sign::Context;
use privacy::{Admitted, Concealed, Offer, Round, Sid, Terms, admit_round, conceal};
use proto::{ReceivedOffer, UploadProof, cells_part, cells_parts, decode_offer, encode_upload, v1};
use query::engine::{ComputeError, Engine};
use service::fault;
use service::random::secret32;
use service::status::{internal_status, refusal_status};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use zeroize::Zeroizing;

use crate::answer::{Desk, InForce, cost};
use crate::books::{Payment, Release};

/// Discoveries whose names are still to be given.
const MAX_DISCOVERIES: usize = 64;
/// Bytes of one unit of the memory that uploads may take.
const UPLOAD_UNIT_BYTES: usize = 64 * 1024;
/// Units of that memory: 256 MiB.
pub(crate) const UPLOAD_UNITS: usize = 4_096;

/// Messages of an upload.
pub(crate) type Parts = BoxStream<'static, Result<v1::UploadPart, Status>>;

/// The guard secret that was opened last.
#[derive(Debug, Default)]
pub(crate) struct HeldGuard(Mutex<Option<OpenedGuard>>);

#[derive(Debug)]
struct OpenedGuard {
    sealed: Vec<u8>,
    bound: [u8; 32],
    secret: GuardSecret,
}

/// Discovery rounds that this hospital has joined, until their names are given.
#[derive(Debug, Default)]
pub(crate) struct Discoveries(Mutex<HashMap<[u8; 32], Discovery>>);

#[derive(Debug, Clone)]
struct Discovery {
    round: Arc<Round>,
    engine: Arc<Engine>,
    local_minimum: u32,
    until: Instant,
}

fn refused(refusal: &Refusal) -> Status {
    tracing::info!(code = refusal.code.as_str(), "refused");
    refusal_status(refusal)
}

fn broken(subject: &str, reason: &str) -> Refusal {
    Refusal::new(RefusalCode::Offer, subject, reason, "")
}

/// 32 bytes of the system's randomness.
fn random() -> Result<Zeroizing<[u8; 32]>, Status> {
    secret32().map_err(|error| internal_status("drawing a secret", &error))
}

impl Discoveries {
    fn add(&self, sid: Sid, discovery: Discovery, now: Instant) -> Result<(), Status> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, known| known.until > now);
        if open.len() >= MAX_DISCOVERIES {
            return Err(Status::resource_exhausted("too many discoveries are open"));
        }
        open.insert(sid, discovery);
        Ok(())
    }

    fn take(&self, sid: &[u8; 32], now: Instant) -> Option<Discovery> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(sid).filter(|known| known.until > now)
    }
}

impl Desk {
    /// Takes part in a masked round.
    pub(crate) async fn join(&self, wire: v1::Offer) -> Result<Parts, Status> {
        fault::point("node.offer.received");
        let offer = decode_offer(wire).map_err(|refusal| refused(&refusal))?;
        let deadline = Duration::from_millis(offer.deadline_ms)
            .min(Duration::from_millis(offer.terms.lifetime_ms.into()))
            .min(self.max_deadline);
        let until = self.clock.monotonic() + deadline;
        let InForce { policy, policy_hash, engine } = self.holdings.now();
        let sid = offer.terms.sid();
        let snapshot = engine.as_ref().map(|e| e.manifest().snapshot_id.clone());
        let round = match self.admit_offer(offer, &policy).await? {
            Ok(round) => Arc::new(round),
            Err(refusal) => {
                self.books.note_refusal(sid, refusal.code.as_str()).await;
                return Err(refused(&refusal));
            }
        };
        fault::point("node.offer.admitted");
        let (Some(engine), Some(snapshot)) = (engine, snapshot) else {
            return Err(Status::not_found("the hospital has no snapshot yet"));
        };
        let request = round.admitted().request();
        let payment = Payment {
            noise: round.admitted().noisy().map(cost),
            project: round.admitted().project().cloned(),
            asker: request.asker().to_owned(),
            allowance: policy.usage.requests_per_day,
            request: request.hash(),
            snapshot: snapshot.clone(),
            policy: policy_hash,
            sid: Some(sid),
            scope: request.scope(),
        };
        let units = round.terms().shape.bytes().div_ceil(UPLOAD_UNIT_BYTES).clamp(1, UPLOAD_UNITS);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let memory = Arc::clone(&self.upload_memory).acquire_many_owned(units);
        let memory = self.waited(until, memory).await?;
        let place = self.waited(until, self.places.acquire()).await?;
        let ticket = self.books.reserve(payment).await?;
        fault::point("node.offer.reserved");
        let work = self.upload(&round, Arc::clone(&engine), memory);
        let is_noisy = round.admitted().noisy().is_some();
        let (ticket, upload) = if is_noisy {
            self.paid_anyway(ticket, until, work).await?
        } else {
            self.in_time(ticket, until, work).await?
        };
        drop(place);
        if is_discovery(&round) {
            let now = self.clock.monotonic();
            let (round, local_minimum) = (Arc::clone(&round), policy.pooled.local_minimum);
            let discovery = Discovery { round, engine, local_minimum, until: now + deadline };
            self.discoveries.add(sid, discovery, now)?;
        }
        fault::point("node.offer.before_commit");
        let release = Release {
            mode: if is_noisy { "noisy" } else { "masked" },
            withheld: Vec::new(),
            output: upload.cells.hash(),
            receipt: upload.proof.receipt.as_bytes().to_vec(),
            answer: None,
        };
        self.books.commit(ticket, release).await?;
        fault::point("node.offer.committed");
        tracing::info!(cells = round.terms().shape.cells(), "joined a masked round");
        Ok(upload.into_parts(snapshot))
    }

    /// The signatures come first: nothing else of a forged offer is looked at.
    async fn admit_offer(
        &self,
        offer: ReceivedOffer,
        policy: &privacy::Policy,
    ) -> Result<Result<Round, Refusal>, Status> {
        let offer = match self.vouch(offer) {
            Ok(offer) => offer,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let leave = self.leave(&offer.request, policy).await?;
        let asked = (policy.questions.allow == Allow::Ask).then(|| offer.request.clone());
        let admitted = admit_round(offer, policy, &self.hospital, leave);
        if let (Err(refusal), Some(request)) = (&admitted, asked) {
            self.keep_waiting(refusal, request).await?;
        }
        Ok(admitted)
    }

    /// Checks who signed the terms, and opens what the witness shares.
    fn vouch(&self, offer: ReceivedOffer) -> Result<Offer, Refusal> {
        let ReceivedOffer { request, terms, signatures, round_key, sealed_guard_key, veil, .. } =
            offer;
        let roster = self.roster_for(&terms, offer.roster.as_ref())?;
        let terms = terms.vouched(&roster, &signatures)?;
        let secret = self.guard_secret(&terms.terms().roster, sealed_guard_key);
        let foreign = || broken("guard_key", "The guard key is not for this hospital.");
        let guard_key = secret.ok_or_else(foreign)?.key(terms.sid());
        Ok(Offer { request, terms, round_key, guard_key, veil })
    }

    /// What the witness sealed for this hospital. It is the same in many rounds and opened once.
    fn guard_secret(&self, roster: &[u8; 32], sealed: Vec<u8>) -> Option<GuardSecret> {
        let bound = guard_binding(roster, &self.hospital);
        let mut held = self.guard.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |known: &&OpenedGuard| known.sealed == sealed && known.bound == bound;
        if let Some(known) = held.as_ref().filter(is_it) {
            return Some(known.secret.clone());
        }
        let opened = self.standing.seal().open("guard", &bound, &sealed).ok();
        let secret = opened.and_then(|secret| GuardSecret::from_slice(&secret))?;
        *held = Some(OpenedGuard { sealed, bound, secret: secret.clone() });
        Some(secret)
    }

    /// The roster that the hospital holds; a newer one that was `sent` along takes its place.
    fn roster_for(
        &self,
        terms: &Terms,
        sent: Option<&SignedRoster>,
    ) -> Result<Arc<Roster>, Refusal> {
        let held = self.standing.roster().map_err(|error| {
            tracing::error!(%error, "the roster cannot be used");
            broken("roster", "The hospital holds no usable roster.")
        })?;
        match sent {
            Some(signed) if held.hash() != terms.roster => {
                self.standing.accept(signed).map_err(|error| {
                    tracing::warn!(%error, "an offered roster was refused");
                    broken("roster", "The roster that was sent along is not a newer one.")
                })
            }
            _ => Ok(held),
        }
    }

    /// Computes and masks. Dropping the future stops the computation.
    async fn upload(
        &self,
        round: &Arc<Round>,
        engine: Arc<Engine>,
        memory: OwnedSemaphorePermit,
    ) -> Result<Upload, Status> {
        let seed = Seed::new(random()?);
        let (masked, secret) = (Arc::clone(round), seed.clone());
        let cells = self.on_queries(async move {
            let partial = engine.compute(masked.admitted().clone()).await?;
            fault::point("node.offer.computed");
            conceal(partial, &masked, &secret).map_err(ComputeError::Refused)
        });
        let cells = Arc::new(cells.await?);
        fault::point("node.offer.concealed");
        let (sid, hash) = (round.sid(), cells.hash());
        let bound = seed_binding(sid, &self.hospital, &hash);
        let witness = &round.terms().witness_key;
        let sealed_seed = seal(witness, "seed", &bound, seed.as_bytes(), random()?)
            .map_err(|error| internal_status("sealing the seed", &error))?;
        let receipt = Receipt::of(*sid, round.terms().request, hash, &sealed_seed);
        let proof = UploadProof {
            hospital: self.hospital.clone(),
            sealed_seed,
            receipt: receipt.sign(self.standing.key()),
            hash,
        };
        Ok(Upload { cells, proof, memory })
    }

    /// Names the codes that the hospital holds in the passing buckets of a discovery, once.
    pub(crate) async fn name(&self, wire: v1::NameRequest) -> Result<v1::NameResponse, Status> {
        let sid = proto::decode_sid(&wire.sid).map_err(|refusal| refused(&refusal))?;
        let unknown = || {
            refused(&Refusal::new(
                RefusalCode::Replay,
                "sid",
                "This hospital has no such discovery open; names are given once.",
                "The coordinator begins a new discovery.",
            ))
        };
        let discovery = self.discoveries.take(&sid, self.clock.monotonic()).ok_or_else(unknown)?;
        let forged = |_| {
            let reason = "The witness has not signed these buckets.";
            refused(&Refusal::new(RefusalCode::Offer, "buckets", reason, ""))
        };
        let roster = self.standing.roster();
        let roster = roster.map_err(|error| internal_status("reading the roster", &error))?;
        let signature = proto::decode_signature(&wire.signature).map_err(|r| refused(&r))?;
        let signed = buckets_digest(&sid, &wire.places);
        roster.witness().verify(Context::Buckets, &signed, &signature).map_err(forged)?;
        let round = Arc::clone(&discovery.round);
        let admitted: Admitted = round.admitted().clone();
        let codes = self.on_queries(async move {
            discovery.engine.codes(admitted, discovery.local_minimum).await
        });
        let codes = codes.await?;
        // The witness judged places of the round's secret order; codes lie in buckets.
        let order = round.round_key().order(round.terms().shape.cells());
        let passing: HashSet<u32> = wire.places.into_iter().collect();
        let place = |bucket: u32| order.get(bucket as usize);
        let held =
            codes.iter().filter(|(bucket, _)| place(**bucket).is_some_and(|p| passing.contains(p)));
        let names = held.flat_map(|(_, codes)| codes).map(String::as_str);
        let failed = |error| internal_status("hiding names", &error);
        let key = NameKey::new(round.round_key()).map_err(failed)?;
        let list = pack(&key, names).map_err(failed)?;
        let bound = seed_binding(&sid, &self.hospital, &[0; 32]);
        let sealed = seal(&round.terms().witness_key, "names", &bound, &list, random()?)
            .map_err(|error| internal_status("sealing names", &error))?;
        let signed = names_digest(&sid, &sealed);
        let signature = self.standing.key().sign(Context::Names, &signed).as_bytes().to_vec();
        self.books.record_names(sid, privacy::sha256(&sealed)).await?;
        Ok(v1::NameResponse { sealed, signature })
    }
}

fn is_discovery(round: &Round) -> bool {
    let domains = round.admitted().request().domains();
    matches!(domains, [Domain::Buckets { .. }])
}

/// A complete upload and the memory that it takes.
struct Upload {
    cells: Arc<Concealed>,
    proof: UploadProof,
    memory: OwnedSemaphorePermit,
}

impl Upload {
    /// The messages, made one at a time.
    fn into_parts(self, snapshot_id: String) -> Parts {
        use v1::upload_part::Part;
        let Self { cells, proof, memory } = self;
        let parts = cells_parts(cells.entries().len());
        let end = v1::UploadEnd { upload: Some(encode_upload(&proof)), snapshot_id };
        let cells = stream::iter(0..parts).map(move |index| {
            let _held = &memory;
            let part = cells_part(cells.entries(), index);
            if index == 0 {
                fault::point("node.upload.first_part");
            }
            v1::UploadPart { part: Some(Part::Cells(part)) }
        });
        let end = stream::once(async move {
            fault::point("node.upload.last_part");
            v1::UploadPart { part: Some(Part::End(end)) }
        });
        Box::pin(cells.chain(end).map(Ok))
    }
}
