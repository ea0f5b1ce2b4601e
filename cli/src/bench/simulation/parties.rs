//! The parties of a simulated round, their keys, and what each hospital holds.
//!
//! Keys are derived from fixed texts: nothing here protects anybody. The question is planned as any
//! other, so the form of an upload is a real one. All hospitals hold the same: every group of the
//! domain, with enough persons that it is opened, so that no step of the round has less to do.

use std::collections::BTreeMap;

use model::HospitalId;
use privacy::blind::{GuardKey, GuardSecret, RoundKey};
use privacy::conceal::{Receipt, seed_binding, upload_hash};
use privacy::mask::{Expander, Seed};
use privacy::partial::{PartialGroup, Support};
use privacy::policy::Minimum;
use privacy::roster::{HospitalKeys, SignedRoster};
use privacy::seal::{SealKey, seal};
use privacy::sign::{Signature, SigningKey, VerifyKey, derive};
use privacy::sketch::{Population, Sketch};
use privacy::terms::Signatures;
use privacy::{
    Floor, Measure, Offer, Partial, Policy, ReleaseRequest, Shape, Sid, Terms, Veil, VeilKey,
    admit_round, conceal,
};
use query::question::Planner;

use super::wrong;
use crate::exit::Failure;
use crate::run::runtime;

/// A count and two sums of money.
const QUESTION: &str = "SELECT drg_code, count(*) AS stays, sum(total_cost) AS cost, \
    sum(fund_paid) AS paid FROM stay GROUP BY drg_code";
const REGION: &str = "bench";
const PLANNER_BYTES: usize = 64 << 20;
/// Places of a code list that have no code: NULL and OTHER.
const UNNAMED: u32 = 2;

/// A region that has agreed on a round.
pub(super) struct Parties {
    pub(super) request: ReleaseRequest,
    pub(super) terms: Terms,
    pub(super) sid: Sid,
    pub(super) round_key: RoundKey,
    pub(super) guard_key: GuardKey,
    pub(super) hospitals: Vec<Hospital>,
    signatures: Signatures,
    roster: privacy::roster::Roster,
    policy: Policy,
    witness: SealKey,
}

/// One hospital.
pub(super) struct Hospital {
    pub(super) id: HospitalId,
    pub(super) seed: Seed,
    sign: SigningKey,
}

/// What the witness is sent beside the sums.
pub(super) struct Proof {
    hospital: HospitalId,
    verify: VerifyKey,
    upload: [u8; 32],
    sealed_seed: Vec<u8>,
    receipt: Signature,
}

fn secret(purpose: &str) -> [u8; 32] {
    derive(&[0; 32], &[purpose.as_bytes()])
}

/// The pooled request over a list of codes that has `cells` places.
fn request(cells: u32) -> Result<ReleaseRequest, Failure> {
    let planner = Planner::new(PLANNER_BYTES).map_err(wrong)?;
    let policy = Policy::answering();
    let question = runtime()?.block_on(planner.plan(QUESTION, &policy)).map_err(wrong)?;
    let codes = |index: u32| format!("{index:06}");
    let list: Vec<_> = (0..cells.saturating_sub(UNNAMED)).map(codes).collect();
    let domains = question.specs().into_iter().map(|specs| {
        specs.iter().map(|spec| spec.domain(list.clone())).collect::<Result<Vec<_>, _>>()
    });
    let domains = domains.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    let requests = question.requests("bench", &domains).map_err(wrong)?;
    requests.into_iter().next().ok_or_else(|| wrong("the question has no request"))
}

/// Rows of a group in each hospital. Four persons in each of three hospitals are enough for the
/// floor of eleven.
const fn rows(code: u32) -> u32 {
    4 + code % 3
}

impl Hospital {
    fn new(index: usize) -> Result<Self, Failure> {
        let seed = secret(&format!("seed {index}"));
        Ok(Self {
            id: format!("h-{index:04}").parse().map_err(wrong)?,
            seed: Seed::from_slice(&seed).ok_or_else(|| wrong("a seed has 32 bytes"))?,
            sign: SigningKey::from_seed(secret(&format!("hospital {index}"))),
        })
    }

    fn keys(&self) -> HospitalKeys {
        let seal = SealKey::from_signing(&self.sign).public();
        HospitalKeys { sign: self.sign.verify_key(), seal }
    }
}

impl Parties {
    /// `hospitals` hospitals that are asked for `cells` groups.
    pub(super) fn new(hospitals: usize, cells: u32) -> Result<Self, Failure> {
        let hospitals = (0..hospitals).map(Hospital::new).collect::<Result<Vec<_>, _>>()?;
        let [authority, coordinator, witness] = ["authority", "coordinator", "witness"]
            .map(|party| SigningKey::from_seed(secret(party)));
        let keys: BTreeMap<_, _> = hospitals.iter().map(|h| (h.id.clone(), h.keys())).collect();
        let (a, b) = (coordinator.verify_key(), witness.verify_key());
        let roster = SignedRoster::sign(&authority, REGION, 1, a, b, &keys);
        let roster = roster.verify(&authority.verify_key(), REGION).map_err(wrong)?;
        let minimum = Minimum { persons: Some(11), stays: Some(11) };
        let policy = Policy { minimum, ..Policy::answering() };
        let request = request(cells)?;
        let round_key = RoundKey::new(secret("round").into());
        let witness_key = SealKey::from_random(&secret("witness of the round").into());
        let terms = Terms {
            region: REGION.to_owned(),
            nonce_a: secret("nonce a"),
            nonce_b: secret("nonce b"),
            request: request.hash(),
            family: request.family(),
            round_key: round_key.commitment(),
            veiled: [0; 32],
            noise: None,
            witness_key: witness_key.public(),
            floor: Floor::of(&policy).ok_or_else(|| wrong("the policy has minima"))?,
            roster: roster.hash(),
            hospitals: hospitals.iter().map(|hospital| hospital.id.clone()).collect(),
            shape: Shape::of(&request).map_err(wrong)?,
            lifetime_ms: 600_000,
        };
        let signatures =
            Signatures { coordinator: terms.sign(&coordinator), witness: terms.sign(&witness) };
        let sid = terms.sid();
        Ok(Self {
            sid,
            request,
            terms,
            round_key,
            guard_key: GuardSecret::new(secret("guard").into()).key(&sid),
            hospitals,
            signatures,
            roster,
            policy,
            witness: witness_key,
        })
    }

    /// Groups that every hospital holds, and rows of all of them in one hospital.
    pub(super) fn held(&self) -> (usize, u64) {
        let codes = self.codes();
        (codes.len(), codes.map(|code| u64::from(rows(code))).sum())
    }

    fn codes(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.terms.shape.cells()).unwrap_or(u32::MAX).saturating_sub(UNNAMED)
    }

    fn group(&self, code: u32) -> PartialGroup {
        let rows = rows(code);
        let cost = i128::from(rows) * (20_000_000 + i128::from(code) * 7_919 % 100_000_000);
        let cells = |measure: &Measure| match measure {
            Measure::Sum(input) => {
                vec![rows.into(), if *input == 0 { cost } else { cost * 6 / 10 }]
            }
            other => vec![rows.into(); other.width()],
        };
        let sets = |sets: &u32| (0..*sets).map(|_| u64::from(rows)).collect::<Support>();
        PartialGroup {
            key: vec![Some(format!("{code:06}"))],
            rows: rows.into(),
            stays: rows.into(),
            persons: rows.into(),
            cells: self.request.measures().iter().flat_map(cells).collect(),
            supports: self.request.supports().iter().map(sets).collect(),
            bins: Vec::new(),
        }
    }

    /// The cells of a hospital as they are before the mask, with their checks.
    pub(super) fn laid_out(&self) -> Result<Vec<u128>, Failure> {
        let first = self.hospitals.first().ok_or_else(|| wrong("there is no hospital"))?;
        let terms = self.terms.clone().vouched(&self.roster, &self.signatures).map_err(wrong)?;
        let offer = Offer {
            request: self.request.clone(),
            terms,
            round_key: self.round_key.clone(),
            guard_key: self.guard_key.clone(),
            veil: Veil {
                key: VeilKey::new(secret("veil").into()),
                extents: BTreeMap::new(),
                constants: BTreeMap::new(),
            },
        };
        let round =
            admit_round(offer, &self.policy, &first.id, privacy::Leave::None).map_err(wrong)?;
        let groups: Vec<_> = self.codes().map(|code| self.group(code)).collect();
        // Nobody in particular: what sketches say does not change the work.
        let nobody = Population::Cells(vec![Sketch::default(); groups.len()]);
        let partial = Partial::new(round.admitted().clone(), groups, nobody, 0, false);
        let mut entries = conceal(partial, &round, &first.seed).map_err(wrong)?.entries().to_vec();
        let mut expander = Expander::default();
        expander.subtract(&first.seed.stream(&self.sid, &first.id), 0, &mut entries);
        Ok(entries)
    }

    /// What a hospital sends along with its upload, whose hash it has.
    pub(super) fn prove(&self, hospital: &Hospital, upload: [u8; 32]) -> Result<Proof, Failure> {
        let bound = seed_binding(&self.sid, &hospital.id, &upload);
        let random = secret(&format!("sealing {}", hospital.id)).into();
        let (key, seed) = (&self.terms.witness_key, hospital.seed.as_bytes());
        let sealed_seed = seal(key, "seed", &bound, seed, random).map_err(wrong)?;
        let receipt = self.receipt(upload, &sealed_seed).sign(&hospital.sign);
        let (id, verify) = (hospital.id.clone(), hospital.sign.verify_key());
        Ok(Proof { hospital: id, verify, upload, sealed_seed, receipt })
    }

    fn receipt(&self, upload: [u8; 32], sealed_seed: &[u8]) -> Receipt {
        let (sid, request) = (self.sid, self.terms.request);
        Receipt::of(sid, request, upload, sealed_seed)
    }

    /// What the witness does with a proof: the receipt is checked, the seed opened.
    pub(super) fn open(&self, proof: &Proof) -> Result<(HospitalId, Seed), Failure> {
        let Proof { hospital, verify, upload, sealed_seed, receipt } = proof;
        self.receipt(*upload, sealed_seed).verify(verify, receipt).map_err(wrong)?;
        let bound = seed_binding(&self.sid, hospital, upload);
        let seed = self.witness.open("seed", &bound, sealed_seed).map_err(wrong)?;
        let seed = Seed::from_slice(&seed).ok_or_else(|| wrong("a seed has 32 bytes"))?;
        Ok((hospital.clone(), seed))
    }
}

/// The hash of an upload, as hospital and coordinator compute it.
pub(super) fn hash(upload: &[u8]) -> [u8; 32] {
    upload_hash(upload)
}
