//! The harness of the integration tests: a whole region inside one test.
//!
//! [`Region`] makes keys and certificates, writes the configuration files that the programs read,
//! ingests, and starts nodes, a witness and a coordinator with real TLS on loopback ports that the
//! system chooses, in a folder of its own that goes away with it. Nothing is shared between two
//! regions, so tests run in parallel. [`Proxy`] injects network faults at exact points;
//! [`Process`] runs the real programs; [`fixture`] writes small sources.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod answer;
mod builder;
pub mod fixture;
mod party;
mod pki;
mod process;
mod proxy;
mod region;
mod site;
pub mod wait;

use privacy::{Dominance, Policy};

pub use answer::{Answer, ask, put};
pub use builder::RegionBuilder;
pub use pki::{DAY, Pki, REGION, now, peer};
pub use process::Process;
pub use proxy::{Passed, Proxy};
pub use region::{Region, USER};
pub use site::{HospitalSource, Site};

/// The policy of a hospital that withholds nothing: every minimum is 1, and no rule of dominance holds.
#[must_use]
pub fn open_policy() -> Policy {
    let mut policy = Policy { dominance: Dominance::OFF, ..Policy::answering() };
    (policy.minimum.persons, policy.minimum.stays) = (Some(1), Some(1));
    policy.selectivity.persons = 1;
    (policy.pooled.hospitals, policy.pooled.dominance_e4) = (1, 10_000);
    policy.usage.requests_per_day = u64::MAX >> 1;
    policy
}
