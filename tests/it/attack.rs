//! Traps that other systems fell into (DESIGN.md, section 15), one file each.
//!
//! A trap that exists for a hospital's own cells and for masked regional sums is set for both: the
//! sums with the same stays, spread over three hospitals.

mod absent_not_zero;
mod adversary;
mod conditional;
mod cut_points;
mod differencing;
mod distinct;
mod dominance;
mod error_texts;
mod explain;
mod global_aggregate;
mod log_lines;
mod noise;
mod persons_not_rows;
mod policy_owner;
mod policy_unset;
mod reconstruction;
mod regional_noise;
mod same_bits;
mod selectivity;
mod stretches;
mod timing;
mod tracker;
mod usage;

use model::Refusal;
use privacy::Policy;
use tests::fixture::{self, Stay};
use tests::{Answer, HospitalSource, Region};
use tonic::Status;

/// The hospitals of [`spread`]: as few as can hide in a sum.
const SPREAD: [&str; 3] = ["h-1", "h-2", "h-3"];

/// The grouper scheme of all stays.
const SCHEME: &str = "CHS-DRG@2.0";

/// A region of one hospital with these stays under the default policy, for questions by hospital.
async fn hospital(stays: Vec<Stay>) -> Region {
    hospital_under(Policy::answering(), stays).await
}

async fn hospital_under(policy: Policy, stays: Vec<Stay>) -> Region {
    let folder = tempfile::tempdir().unwrap();
    let source = fixture::write(folder.path(), "h-1", stays);
    let mapping = fixture::mapping_with(folder.path(), SCHEME);
    let hospital = HospitalSource { mapping, ..HospitalSource::small("h-1", source) };
    Region::builder().hospitals([hospital]).policy(policy).start().await.unwrap()
}

/// The same stays, the first at the first of three hospitals, the second at the second, and so
/// on: for pooled questions.
async fn spread(stays: Vec<Stay>) -> Region {
    spread_under(Policy::answering(), stays).await
}

async fn spread_under(policy: Policy, stays: Vec<Stay>) -> Region {
    let folder = tempfile::tempdir().unwrap();
    let mapping = fixture::mapping_with(folder.path(), SCHEME);
    let hospitals = SPREAD.into_iter().enumerate().map(|(turn, id)| {
        let own = stays.iter().skip(turn).step_by(SPREAD.len()).cloned();
        let source = fixture::write(folder.path(), id, own);
        HospitalSource { mapping: mapping.clone(), ..HospitalSource::small(id, source) }
    });
    Region::builder().hospitals(hospitals).policy(policy).start().await.unwrap()
}

/// `count` plain stays, the first `few` of them changed.
fn stays(count: u32, few: u32, change: impl Fn(&mut Stay)) -> Vec<Stay> {
    let each = (0..count).map(|number| {
        let mut stay = Stay::plain(number);
        if number < few {
            change(&mut stay);
        }
        stay
    });
    each.collect()
}

/// What an asker can see of an answer, apart from its names and its duration.
#[derive(Debug, Clone, PartialEq)]
struct Visible {
    rows: Vec<Vec<String>>,
    /// Groups.
    released: u64,
    withheld: u64,
    measures_withheld: u64,
    bytes: u64,
    coverage: Option<f64>,
    answered: u32,
    missing: Vec<(String, String)>,
    rounds: u32,
    named_rounds: usize,
}

fn visible(answer: &Answer) -> Visible {
    let release = &answer.release;
    let missing = answer.missing().into_iter();
    Visible {
        rows: answer.rows(),
        released: release.cells_released,
        withheld: release.cells_withheld,
        measures_withheld: release.measures_withheld,
        bytes: release.bytes_received,
        coverage: release.stays_coverage,
        answered: release.hospitals_answered,
        missing: missing.map(|(id, reason)| (id.to_owned(), reason.to_owned())).collect(),
        rounds: release.rounds,
        named_rounds: release.sids.len(),
    }
}

/// The refusal that a question met; an error of another kind is a failed test.
fn refusal(outcome: Result<Answer, Status>) -> Refusal {
    let status = outcome.unwrap_err();
    service::status::refusal_of(&status).unwrap_or_else(|| panic!("no refusal: {status:?}"))
}
