//! A made-up region whose keys are known here: what is signed in the corpora is signed by these.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::LazyLock;

use model::HospitalId;
use privacy::blind::RoundKey;
use privacy::roster::{HospitalKeys, Roster, SignedRoster};
use privacy::seal::SealKey;
use privacy::sign::{SigningKey, VerifyKey};
use privacy::terms::Signatures;
use privacy::{Floor, Policy, ReleaseRequest, Shape, Terms};
use query::question::{Planner, Question};
use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

/// Memory of a planner here; it computes nothing large.
const PLANNER_BYTES: usize = 64 << 20;
/// A question about regional sums, with a sum of money, squares, a percentile and two dimensions.
pub(crate) const POOLED: &str = "SELECT drg_code, sex, count(*), sum(total_cost), \
     stddev(los_days), approx_median(los_days) FROM stay GROUP BY drg_code, sex";
/// The same about cells of hospitals, with covariances.
pub(crate) const PER_HOSPITAL: &str = "SELECT hospital_id, drg_code, count(*), sum(total_cost), \
     stddev(total_cost), corr(los_days, total_cost), count(DISTINCT person_key), \
     approx_percentile_cont(los_days, 0.9) FROM stay GROUP BY hospital_id, drg_code";

/// The region.
#[derive(Debug)]
pub(crate) struct Parties {
    pub(crate) authority: VerifyKey,
    pub(crate) signed_roster: SignedRoster,
    pub(crate) roster: Roster,
    pub(crate) round: Round,
}

/// A masked round to which both authorities have agreed.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) request: ReleaseRequest,
    pub(crate) terms: Terms,
    pub(crate) signatures: Signatures,
    pub(crate) key: RoundKey,
}

/// The key of the party with this number.
pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_seed([number; 32])
}

/// Runs what is asynchronous only because the engine is.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_current_thread().enable_all().build().unwrap());
    RUNTIME.block_on(future)
}

pub(crate) fn planner() -> Planner {
    Planner::new(PLANNER_BYTES).unwrap()
}

/// A question under the default policy.
pub(crate) fn question(sql: &str) -> Question {
    wait(planner().plan(sql, &Policy::answering())).unwrap()
}

/// The request of [`PER_HOSPITAL`].
pub(crate) fn per_hospital() -> ReleaseRequest {
    question(PER_HOSPITAL).requests("ana", &[]).unwrap().remove(0)
}

pub(crate) fn parties() -> &'static Parties {
    static PARTIES: LazyLock<Parties> = LazyLock::new(|| {
        let signed_roster = roster();
        let authority = key(1).verify_key();
        let roster = signed_roster.verify(&authority, "east").unwrap();
        let round = round(&roster);
        Parties { authority, signed_roster, roster, round }
    });
    &PARTIES
}

fn roster() -> SignedRoster {
    let hospital = |number: u8| {
        let id: HospitalId = format!("h-{number}").parse().unwrap();
        let own = key(10 + number);
        let seal = SealKey::from_signing(&own).public();
        (id, HospitalKeys { sign: own.verify_key(), seal })
    };
    let hospitals: BTreeMap<_, _> = (1..=3).map(hospital).collect();
    let (coordinator, witness) = (key(2).verify_key(), key(3).verify_key());
    SignedRoster::sign(&key(1), "east", 7, coordinator, witness, &hospitals)
}

fn round(roster: &Roster) -> Round {
    let question = question(POOLED);
    let codes = ["D1", "D2", "F", "M"].map(str::to_owned);
    let specs = question.specs();
    let domains = specs.iter().map(|of_request| {
        of_request.iter().map(|spec| spec.domain(codes.to_vec()).unwrap()).collect()
    });
    let domains: Vec<_> = domains.collect();
    let request = question.requests("ana", &domains).unwrap().remove(0);
    let key_of_round = RoundKey::new(Zeroizing::new([5; 32]));
    let terms = Terms {
        region: "east".to_owned(),
        nonce_a: [8; 32],
        nonce_b: [9; 32],
        request: request.hash(),
        family: request.family(),
        round_key: key_of_round.commitment(),
        veiled: [8; 32],
        noise: None,
        witness_key: SealKey::from_signing(&key(4)).public(),
        floor: Floor::of(&Policy::answering()).unwrap(),
        roster: roster.hash(),
        hospitals: roster.hospitals().keys().cloned().collect(),
        shape: Shape::of(&request).unwrap(),
        lifetime_ms: 60_000,
    };
    let signatures = Signatures { coordinator: terms.sign(&key(2)), witness: terms.sign(&key(3)) };
    Round { request, terms, signatures, key: key_of_round }
}
