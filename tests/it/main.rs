//! Integration tests over whole regions, and the rules of the repository itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod attack;
mod bypass;
mod casemix;
mod client;
mod corpora;
mod differential;
mod dip;
mod enrolment;
mod failure;
mod faults;
mod identity;
mod models;
mod percentiles;
mod project;
mod report;
mod rounds;
mod smoke;
mod sparcs;
mod steward;
mod tidy;
mod witness;
