//! The masked protocol over whole regions: real servers, real certificates, real bytes.
//!
//! The formulas are proved in `privacy`, the parties' own decisions in their crates. Here is what
//! only a region can show: what each party hears ([`sight`]), that a commission with valid keys
//! cannot cheat nodes ([`offers`]) or the witness ([`openings`], [`places`]), that lying nodes and a lying
//! witness are found out ([`liars`]), which groups appear ([`thresholds`]), and that what a region
//! did can be verified afterwards and not be changed ([`audit`]).

mod audit;
mod chair;
mod front;
mod liars;
mod offers;
mod openings;
mod places;
mod sight;
mod thresholds;

use model::{Refusal, RefusalCode};
use tests::fixture::{self, Stay};
use tests::{HospitalSource, Region, RegionBuilder};
use tonic::Status;

/// A region, described further, whose hospitals `h-1`, `h-2`, ... hold these stays.
async fn region(
    each: impl IntoIterator<Item = Vec<Stay>>,
    describe: impl FnOnce(RegionBuilder) -> RegionBuilder,
) -> Region {
    let folder = tempfile::tempdir().unwrap();
    let sources = each.into_iter().zip(1..).map(|(stays, number)| {
        let id = format!("h-{number}");
        let source = fixture::write(folder.path(), &id, stays);
        HospitalSource::small(&id, source)
    });
    describe(Region::builder().hospitals(sources)).start().await.unwrap()
}

/// `count` plain stays, changed.
fn stays(count: u32, change: impl Fn(&mut Stay)) -> Vec<Stay> {
    let each = (0..count).map(|number| {
        let mut stay = Stay::plain(number);
        change(&mut stay);
        stay
    });
    each.collect()
}

/// Several lists of stays in one hospital, whose persons are all different.
fn together(lists: impl IntoIterator<Item = Vec<Stay>>) -> Vec<Stay> {
    let all = lists.into_iter().flatten().enumerate().map(|(number, stay)| Stay {
        stay: format!("s{number}"),
        person: format!("p{number}"),
        ..stay
    });
    all.collect()
}

/// The refusal that was met; anything else is a failed test.
fn refusal<T: std::fmt::Debug>(outcome: Result<T, Status>) -> Refusal {
    let status = outcome.unwrap_err();
    service::status::refusal_of(&status).unwrap_or_else(|| panic!("no refusal: {status:?}"))
}

/// Its code and what it is about.
fn refused<T: std::fmt::Debug>(outcome: Result<T, Status>) -> (RefusalCode, String) {
    let Refusal { code, subject, .. } = refusal(outcome);
    (code, subject)
}

fn is(code: RefusalCode, subject: &str) -> (RefusalCode, String) {
    (code, subject.to_owned())
}
