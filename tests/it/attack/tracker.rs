//! A tracker of three sets: each is about many, they differ by many, and together they solve one patient
//! (Denning, Denning and Schwartz, ACM TODS 4 (1979) 76). Pairs do not show it, so a new hospital's steward
//! decides who may ask so; what needs no steward has noise.

use model::RefusalCode;
use privacy::{Noise, Policy};
use proto::v1;
use tests::fixture::Stay;
use tests::{Region, put};
use tonic::Status;

use super::{hospital_under, stays};

/// What the patient's stay costs.
const COST: f64 = 4_321.0;
/// The groups of the sets: each set is two of these, and the patient is a group of their own.
const SETS: [[&str; 2]; 3] = [["DA1", "DC1"], ["DB1", "DC1"], ["DA1", "DB1"]];
/// A tenth of what one user may spend in a year, for each question.
const RHO: u64 = 5_000;

/// Two groups of forty, and one patient.
fn world() -> Vec<Stay> {
    let mut all = stays(81, 0, |_| ());
    for (number, stay) in (0..).zip(&mut all) {
        stay.drg = ["DA1", "DB1"][number % 2];
    }
    all[80].drg = "DC1";
    all[80].cost_cents = 432_100;
    all
}

async fn sum(region: &Region, set: [&str; 2], noise: Option<u64>) -> Result<f64, Status> {
    let [one, other] = set;
    let sql = format!(
        "SELECT hospital_id, sum(total_cost) AS cost FROM stay WHERE drg_code IN ('{one}', '{other}') \
         GROUP BY 1"
    );
    let question = v1::Question { sql, rho_micro: noise, ..v1::Question::default() };
    let answer = put(region.client(), question).await?;
    Ok(answer.rows()[0][1].parse().unwrap())
}

/// What the three sums say of the patient.
async fn solved(region: &Region, noise: Option<u64>) -> Result<f64, Status> {
    let [a, b, both] = SETS;
    let with = sum(region, a, noise).await? + sum(region, b, noise).await?;
    Ok((with - sum(region, both, noise).await?) / 2.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn three_sums_solve_one_patient_where_nobody_decides_and_not_at_a_new_hospital() {
    // Where a hospital answers whatever the other rules admit, the attack works: that is why it is not
    // what a new one does.
    let open = hospital_under(Policy::answering(), world()).await;
    let found = solved(&open, None).await.unwrap();
    assert!((found - COST).abs() < 0.005, "{found}");

    let noise = Some(Noise::default());
    let new = hospital_under(Policy { noise, ..Policy::default() }, world()).await;
    for set in SETS {
        let refused = service::status::refusal_of(&sum(&new, set, None).await.unwrap_err());
        assert_eq!(refused.unwrap().code, RefusalCode::Waiting);
    }
    // With noise: its deviation is hundreds of times what is looked for.
    let found = solved(&new, Some(RHO)).await.unwrap();
    assert!((found - COST).abs() > 0.05 * COST, "{found}");
}
