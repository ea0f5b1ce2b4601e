//! A union of sets: each is about many, they differ by many, and together they solve one patient (Denning,
//! Denning and Schwartz, ACM TODS 4 (1979) 76). Three sets the guard finds by the signs in its sketches; four
//! it does not, so a new hospital's steward decides who may ask so; what needs no steward has noise.

use model::RefusalCode;
use privacy::{Noise, Policy};
use proto::v1;
use tests::fixture::Stay;
use tests::{Region, put};
use tonic::Status;

use super::{hospital_under, stays};

/// What the patient's stay costs.
const COST: f64 = 4_321.0;
/// The whole, with the patient, who is a group of their own, and what makes up the rest.
const UNION: [&[&str]; 4] = [&["DA1", "DB1", "DE1", "DC1"], &["DA1"], &["DB1"], &["DE1"]];
/// Three sets that have the patient or another group in common.
const TRACKER: [&[&str]; 3] = [&["DA1", "DC1"], &["DB1", "DC1"], &["DA1", "DB1"]];
/// A tenth of what one user may spend in a year, for each question.
const RHO: u64 = 5_000;

/// Three groups of two hundred, and one patient.
fn world() -> Vec<Stay> {
    let mut all = stays(601, 0, |_| ());
    for (number, stay) in (0..).zip(&mut all) {
        stay.drg = ["DA1", "DB1", "DE1"][number % 3];
    }
    all[600].drg = "DC1";
    all[600].cost_cents = 432_100;
    all
}

async fn sum(region: &Region, set: &[&str], noise: Option<u64>) -> Result<f64, RefusalCode> {
    let sql = format!(
        "SELECT hospital_id, sum(total_cost) AS cost FROM stay WHERE drg_code IN ('{}') GROUP BY 1",
        set.join("', '")
    );
    let question = v1::Question { sql, rho_micro: noise, ..v1::Question::default() };
    let refused = |status: Status| service::status::refusal_of(&status).unwrap().code;
    let answer = put(region.client(), question).await.map_err(refused)?;
    Ok(answer.rows()[0][1].parse().unwrap())
}

/// What the sums say of the patient.
async fn solved(region: &Region, noise: Option<u64>) -> Result<f64, RefusalCode> {
    let mut found = sum(region, UNION[0], noise).await?;
    for part in &UNION[1..] {
        found -= sum(region, part, noise).await?;
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_union_solves_one_patient_where_nobody_decides_and_not_at_a_new_hospital() {
    // Where a hospital answers whatever the other rules admit, the attack works: that is why it is not
    // what a new one does.
    let open = hospital_under(Policy::answering(), world()).await;
    let found = solved(&open, None).await.unwrap();
    assert!((found - COST).abs() < 0.005, "{found}");

    let noise = Some(Noise::default());
    let new = hospital_under(Policy { noise, ..Policy::default() }, world()).await;
    for set in UNION {
        assert_eq!(sum(&new, set, None).await, Err(RefusalCode::Waiting));
    }
    // With noise: its deviation is hundreds of times what is looked for.
    let found = solved(&new, Some(RHO)).await.unwrap();
    assert!((found - COST).abs() > 0.05 * COST, "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_sets_that_solve_one_patient_are_not_all_told() {
    let open = hospital_under(Policy::answering(), world()).await;
    let [with, also_with, without] = TRACKER;
    sum(&open, with, None).await.unwrap();
    sum(&open, also_with, None).await.unwrap();
    // The first but the last is the second but the patient, twice.
    assert_eq!(sum(&open, without, None).await, Err(RefusalCode::Differencing));
}
