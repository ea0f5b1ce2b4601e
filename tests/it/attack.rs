//! Traps that other systems fell into (DESIGN.md, section 15), one file each.

mod absent_not_zero;
mod conditional;
mod distinct;
mod error_texts;
mod explain;
mod global_aggregate;
mod log_lines;
mod persons_not_rows;
mod policy_owner;
mod policy_unset;
mod same_bits;
mod selectivity;
mod usage;

use privacy::Policy;
use tests::fixture::{self, Stay};
use tests::{Answer, HospitalSource, Region};

/// A region of one hospital with these stays under the default policy.
async fn hospital(stays: Vec<Stay>) -> Region {
    hospital_under(Policy::default(), stays).await
}

async fn hospital_under(policy: Policy, stays: Vec<Stay>) -> Region {
    let folder = tempfile::tempdir().unwrap();
    let source = fixture::write(folder.path(), "h-1", stays);
    let hospital = HospitalSource::small("h-1", source);
    Region::builder().hospitals([hospital]).policy(policy).start().await.unwrap()
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

/// What an asker can see of an answer, apart from its name and its duration.
fn visible(answer: &Answer) -> (Vec<Vec<String>>, [u64; 4], Option<f64>, u32) {
    let release = &answer.release;
    let numbers = [
        release.cells_released,
        release.cells_withheld,
        release.measures_withheld,
        release.bytes_received,
    ];
    (answer.rows(), numbers, release.stays_coverage, release.hospitals_answered)
}
