//! One round: what the witness checks and decides. Time, files and the network stay outside.
//!
//! A round lives in three types, each made from the one before: a [`Round`] was countersigned; its
//! [`Survivors`] are the hospitals whose uploads are complete, with their seeds; a [`Discovery`] is
//! what remains of an opened round whose buckets are still to be named. All secrets are erased when
//! their owner is dropped.

use std::sync::Arc;

use model::{HospitalId, Refusal, RefusalCode};
use privacy::blind::GuardKey;
use privacy::conceal::{Receipt, seed_binding};
use privacy::discover::{buckets_digest, names_digest, unite};
use privacy::mask::Seed;
use privacy::noise::regional;
use privacy::open::{Opened, Tampered, Unopened, Verdict, judge, mask_sums, unmask};
use privacy::roster::Roster;
use privacy::seal::SealKey;
use privacy::sign::{Context, Signature, SigningKey, VerifyKey};
use privacy::sketch::Known;
use privacy::{Floor, Sid, Sketched, Terms, Veiled};
use proto::{UploadProof, decode_signature, decode_upload, decode_veiled, v1};
use service::random::NoRandomness;
use zeroize::Zeroizing;

use crate::config::Rules;
use crate::guard::Guard;
use crate::parallel::each;

/// A round that this witness has countersigned, with its keys.
#[derive(Debug)]
pub(crate) struct Round {
    terms: Terms,
    sid: Sid,
    roster: Arc<Roster>,
    guard_key: GuardKey,
    seal_key: SealKey,
}

/// The hospitals whose uploads are in the sums. Only [`Round::admit`] makes them.
#[derive(Debug)]
pub(crate) struct Survivors {
    hospitals: Vec<HospitalId>,
    seeds: Vec<(HospitalId, Seed)>,
    /// Where the cells stand, as the coordinator says; checked by [`Round::unveil`].
    veiled: Option<Veiled>,
}

/// An opened round whose passing buckets hospitals may still name.
#[derive(Debug)]
pub(crate) struct Discovery {
    sid: Sid,
    roster: Arc<Roster>,
    hospitals: Vec<HospitalId>,
    seal_key: SealKey,
}

/// Why a round cannot be countersigned, for the operator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    #[error("nothing can be sealed for {0}: the roster's key of it is no X25519 key")]
    Key(HospitalId),
}

/// 32 random bytes a call.
pub(crate) type Random<'a> = &'a mut dyn FnMut() -> Result<Zeroizing<[u8; 32]>, NoRandomness>;

// === proposals ===

/// Checks that proposed terms are in order and at least as strict as the witness's own rules.
pub(crate) fn check(
    terms: &Terms,
    roster: &Roster,
    rules: &Rules,
    max_lifetime_ms: u32,
) -> Result<(), Refusal> {
    terms.check(roster)?;
    if terms.hospitals.len() < rules.quorum {
        return Err(too_few(rules.quorum));
    }
    let (Floor { persons, stays, hospitals, dominance_e4 }, own) = (terms.floor, rules.floor);
    let again = "The coordinator proposes again with the stricter floor.";
    for (subject, offered, least) in [
        ("persons", persons, own.persons),
        ("stays", stays, own.stays),
        ("hospitals", hospitals, own.hospitals),
    ] {
        if offered < least {
            let reason = format!("The witness opens no group of fewer than {least} {subject}.");
            return Err(refuse(RefusalCode::Offer, &format!("floor.{subject}"), &reason, again));
        }
    }
    if dominance_e4 > own.dominance_e4 {
        let most = own.dominance_e4;
        let reason = format!(
            "The witness opens no sum of money in which Σx² / (Σx)² over hospitals is more than \
             {most}/10000."
        );
        return Err(refuse(RefusalCode::Offer, "floor.dominance_e4", &reason, again));
    }
    if terms.lifetime_ms > max_lifetime_ms {
        let reason = format!("The witness keeps a round for at most {max_lifetime_ms} ms.");
        let instead = "The coordinator proposes a shorter life.";
        return Err(refuse(RefusalCode::Offer, "lifetime", &reason, instead));
    }
    Ok(())
}

// === impl Round ===

impl Round {
    /// Completes checked terms with the witness's nonce and key, and signs them.
    pub(crate) fn countersign(
        mut terms: Terms,
        roster: Arc<Roster>,
        guard: &Guard,
        key: &SigningKey,
        random: Random<'_>,
    ) -> Result<(Self, v1::Countersigned), SignError> {
        let seal_key = SealKey::from_random(&random()?);
        terms.nonce_b = *random()?;
        terms.witness_key = seal_key.public();
        let sid = terms.sid();
        let guard_key = guard.key(&sid);
        let sealed = terms.hospitals.iter().map(|hospital| {
            guard.sealed(hospital).cloned().ok_or_else(|| SignError::Key(hospital.clone()))
        });
        let guard_keys = sealed.collect::<Result<_, _>>()?;
        let reply = v1::Countersigned {
            nonce_b: terms.nonce_b.to_vec(),
            witness_key: terms.witness_key.to_vec(),
            signature: terms.sign(key).as_bytes().to_vec(),
            guard_keys,
        };
        Ok((Self { terms, sid, roster, guard_key, seal_key }, reply))
    }

    /// What was agreed on.
    pub(crate) const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The round's name.
    pub(crate) const fn sid(&self) -> &Sid {
        &self.sid
    }

    /// The coordinator's signing key.
    pub(crate) fn coordinator(&self) -> VerifyKey {
        self.roster.coordinator()
    }

    /// Entries of the witnessed columns.
    pub(crate) fn entries(&self) -> usize {
        self.terms.shape.witnessed().len() * self.terms.shape.cells()
    }

    /// Checks what the coordinator says of the sums: that it signed the round, and that each
    /// hospital vouches for its upload and for the seed that it sealed.
    pub(crate) fn admit(
        &self,
        header: v1::OpenHeader,
        quorum: usize,
    ) -> Result<Survivors, Refusal> {
        let signature = decode_signature(&header.signature)?;
        self.roster.coordinator().verify(Context::Offer, &self.sid, &signature).map_err(|_| {
            let reason = "The coordinator's signature does not fit the round.";
            refuse(RefusalCode::Offer, "coordinator", reason, "")
        })?;
        if header.uploads.len() > self.terms.hospitals.len() {
            return Err(not_asked());
        }
        let uploads: Vec<UploadProof> =
            header.uploads.into_iter().map(decode_upload).collect::<Result<_, _>>()?;
        if uploads.windows(2).any(|pair| pair[0].hospital >= pair[1].hospital) {
            let reason = "Uploads come in the order of their hospitals, each once.";
            return Err(refuse(RefusalCode::Request, "uploads", reason, ""));
        }
        if uploads.len() < quorum {
            return Err(too_few(quorum));
        }
        let seeds = each(&uploads, |upload| self.seed(upload));
        let seeds = seeds.into_iter().collect::<Result<_, _>>()?;
        let veiled = header.veiled.map(decode_veiled).transpose()?;
        let hospitals = uploads.into_iter().map(|upload| upload.hospital).collect();
        Ok(Survivors { hospitals, seeds, veiled })
    }

    fn seed(&self, upload: &UploadProof) -> Result<(HospitalId, Seed), Refusal> {
        let hospital = &upload.hospital;
        let keys = self.roster.hospitals().get(hospital);
        let asked = self.terms.hospitals.binary_search(hospital).is_ok();
        let keys = keys.filter(|_| asked).ok_or_else(not_asked)?;
        let receipt = Receipt::of(self.sid, self.terms.request, upload.hash, &upload.sealed_seed);
        receipt.verify(&keys.sign, &upload.receipt).map_err(|_| {
            let reason = "A hospital's signature does not fit its upload.";
            refuse(RefusalCode::Offer, "receipt", reason, "")
        })?;
        let bound = seed_binding(&self.sid, hospital, &upload.hash);
        let opened = self.seal_key.open("seed", &bound, &upload.sealed_seed).ok();
        let seed = opened.and_then(|seed| Seed::from_slice(&seed)).ok_or_else(|| {
            let reason = "A hospital's seed was not sealed for this round and upload.";
            refuse(RefusalCode::Offer, "sealed_seed", reason, "")
        })?;
        Ok((hospital.clone(), seed))
    }

    /// Takes the masks away from the summed witnessed columns.
    pub(crate) fn unmask(&self, sums: &mut [u128], survivors: &Survivors) -> Result<(), Tampered> {
        unmask(sums, &self.terms.shape, &self.sid, &survivors.seeds)
    }

    /// Decides on the summed guards which cells pass beside the populations that are `known`.
    pub(crate) fn judge(
        &self,
        guards: &[u128],
        survivors: &Survivors,
        known: &Known,
    ) -> Result<Verdict, Unopened> {
        let Terms { shape, floor, .. } = &self.terms;
        let (key, hospitals) = (&self.guard_key, survivors.hospitals.len());
        judge(guards, shape, floor, key, hospitals, (known, survivors.veiled.as_ref()))
    }

    /// Tags of cells that follow the sums.
    pub(crate) fn tags(&self) -> usize {
        if self.is_veiled() && self.terms.shape.sketched() == Sketched::Cells {
            self.terms.shape.cells()
        } else {
            0
        }
    }

    fn is_veiled(&self) -> bool {
        self.terms.veiled != [0; 32]
    }

    /// Takes the tags off the sums, and checks that where the cells stand is what the hospitals have found too.
    pub(crate) fn unveil(
        &self,
        sums: &mut Vec<u128>,
        survivors: &mut Survivors,
    ) -> Result<(), Refusal> {
        let tags = sums.split_off(sums.len().saturating_sub(self.tags()));
        let Some(veiled) = survivors.veiled.as_mut() else {
            return if self.is_veiled() { Err(elsewhere()) } else { Ok(()) };
        };
        veiled.tags = tags;
        if veiled.hash() == self.terms.veiled { Ok(()) } else { Err(elsewhere()) }
    }

    /// Adds up the masks of what passes. A round without measures is a discovery: then the passing
    /// buckets are signed too.
    pub(crate) fn open(
        &self,
        verdict: &Verdict,
        survivors: &Survivors,
        key: &SigningKey,
    ) -> (Opened, Option<Signature>) {
        let opened = mask_sums(verdict, &self.terms.shape, &self.sid, &survivors.seeds);
        let signature = self
            .is_discovery()
            .then(|| key.sign(Context::Buckets, &buckets_digest(&self.sid, &opened.places)));
        (opened, signature)
    }

    /// Adds up all masks, each less a draw from `seed`, which serves this round alone; nothing is judged. `None` when the
    /// round is exact.
    pub(crate) fn open_with_noise(
        &self,
        survivors: &Survivors,
        seed: &Zeroizing<[u8; 32]>,
    ) -> Option<Opened> {
        let noise = self.terms.noise.as_ref()?;
        Some(regional::open(noise, &self.terms.shape, (&self.sid, &survivors.seeds), seed))
    }

    fn is_discovery(&self) -> bool {
        self.terms.shape.measures().is_empty()
    }

    /// What is kept when the round was opened over `survivors`; everything else is erased.
    pub(crate) fn into_discovery(self, survivors: Survivors) -> Option<Discovery> {
        let hospitals = survivors.hospitals;
        let discovery = self.is_discovery();
        let Self { sid, roster, seal_key, .. } = self;
        discovery.then_some(Discovery { sid, roster, hospitals, seal_key })
    }
}

// === impl Survivors ===

impl Survivors {
    /// What the coordinator hides names with, by its hash.
    pub(crate) fn veil_key(&self) -> Option<[u8; 32]> {
        self.veiled.as_ref().map(|veiled| veiled.key)
    }

    /// Who they are, ascending.
    pub(crate) fn hospitals(&self) -> &[HospitalId] {
        &self.hospitals
    }
}

// === impl Discovery ===

impl Discovery {
    /// The union of the lists that the hospitals sealed, ascending. All hospitals whose sums were
    /// opened must have sent one: a union over fewer would say which names the others lack.
    pub(crate) fn unite(&self, mut lists: Vec<v1::SealedNames>) -> Result<Vec<Vec<u8>>, Refusal> {
        lists.sort_unstable_by(|a, b| a.hospital.cmp(&b.hospital));
        let named = lists.iter().map(|list| list.hospital.as_str());
        if !named.eq(self.hospitals.iter().map(HospitalId::as_str)) {
            return Err(refuse(
                RefusalCode::Quorum,
                "lists",
                "Names are united over exactly the hospitals whose sums were opened, each once; \
                 with one fewer, the union would tell what that one holds.",
                "Begin a new discovery with the hospitals that answer.",
            ));
        }
        let opened = self
            .hospitals
            .iter()
            .zip(&lists)
            .map(|(hospital, list)| self.open(hospital, list).ok_or_else(unreadable));
        let opened: Vec<_> = opened.collect::<Result<_, _>>()?;
        let union = unite(opened.iter().map(|list| list.as_slice())).map_err(|_| unreadable())?;
        Ok(union.into_iter().collect())
    }

    /// The list that `hospital` signed and sealed for this round.
    fn open(&self, hospital: &HospitalId, list: &v1::SealedNames) -> Option<Zeroizing<Vec<u8>>> {
        let keys = self.roster.hospitals().get(hospital)?;
        let signature = decode_signature(&list.signature).ok()?;
        let signed = names_digest(&self.sid, &list.sealed);
        keys.sign.verify(Context::Names, &signed, &signature).ok()?;
        let bound = seed_binding(&self.sid, hospital, &[0; 32]);
        self.seal_key.open("names", &bound, &list.sealed).ok()
    }
}

// === refusals ===

pub(crate) fn refuse(code: RefusalCode, subject: &str, reason: &str, instead: &str) -> Refusal {
    Refusal::new(code, subject, reason, instead)
}

fn too_few(quorum: usize) -> Refusal {
    let reason = format!("The witness opens sums of at least {quorum} hospitals.");
    refuse(RefusalCode::Quorum, "hospitals", &reason, "Ask again when more hospitals answer.")
}

fn not_asked() -> Refusal {
    let reason = "An upload is of a hospital that the round does not name.";
    refuse(RefusalCode::Request, "uploads", reason, "")
}

fn elsewhere() -> Refusal {
    let reason = "Where the round's cells stand is not what its terms are bound to.";
    refuse(RefusalCode::Offer, "veiled", reason, "Use matching versions of Consilium.")
}

fn unreadable() -> Refusal {
    let reason = "A hospital's names were not signed and sealed by it for this round.";
    refuse(RefusalCode::Offer, "lists", reason, "Begin a new discovery.")
}
