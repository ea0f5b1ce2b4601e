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

pub use answer::{Answer, ask};
pub use builder::RegionBuilder;
pub use pki::{DAY, Pki, REGION, now, peer};
pub use process::Process;
pub use proxy::{Passed, Proxy};
pub use region::{Region, USER};
pub use site::{HospitalSource, Site};
