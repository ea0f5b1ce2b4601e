//! Named points at which a test may end the process, as if its power were cut.
//!
//! `CONSILIUM_FAULT=name` aborts the process when it reaches the point `name`; `name:3` at the third
//! time. Nothing is flushed and no destructor runs, so what a test finds afterwards is what a crash
//! leaves. Unset, a point costs one load. It gives nobody a power that setting a process's
//! environment does not give already.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The environment variable.
pub const VARIABLE: &str = "CONSILIUM_FAULT";

/// Every point of each party, in the order in which a round meets them.
pub const POINTS: &[&str] = &[
    "coordinator.round.before_propose",
    "coordinator.round.countersigned",
    "coordinator.round.offered",
    "coordinator.round.first_upload",
    "coordinator.round.collected",
    "coordinator.round.before_open",
    "coordinator.round.opened",
    "coordinator.round.before_record",
    "coordinator.round.recorded",
    "node.offer.received",
    "node.offer.admitted",
    "node.offer.reserved",
    "node.offer.computed",
    "node.offer.concealed",
    "node.offer.before_commit",
    "node.offer.committed",
    "node.upload.first_part",
    "node.upload.last_part",
    "node.release.reserved",
    "node.release.before_commit",
    "node.release.committed",
    "witness.countersign.checked",
    "witness.countersign.before_reply",
    "witness.open.checked",
    "witness.open.summed",
    "witness.open.before_record",
    "witness.open.recorded",
    "witness.open.judged",
    "witness.open.first_part",
    "witness.open.last_part",
    "witness.unite.received",
    "witness.unite.united",
];

struct Fault {
    name: String,
    left: AtomicU32,
}

static FAULT: OnceLock<Option<Fault>> = OnceLock::new();

fn parse(text: &str) -> Fault {
    let (name, times) = text.split_once(':').unwrap_or((text, "1"));
    Fault { name: name.to_owned(), left: AtomicU32::new(times.parse().unwrap_or(1)) }
}

/// Ends the process here if a test asked for it.
#[allow(clippy::disallowed_methods, reason = "the environment is read here, once")]
pub fn point(name: &'static str) {
    debug_assert!(POINTS.contains(&name), "{name} is not listed");
    let fault = FAULT.get_or_init(|| std::env::var(VARIABLE).ok().map(|text| parse(&text)));
    if let Some(fault) = fault
        && fault.name == name
        && fault.left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_distinct_and_a_number_counts_down() {
        let mut names = POINTS.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), POINTS.len());
        let fault = parse("node.offer.reserved:3");
        assert_eq!((fault.name.as_str(), fault.left.into_inner()), ("node.offer.reserved", 3));
        assert_eq!(parse("x").left.into_inner(), 1);
    }
}
