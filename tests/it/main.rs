//! Integration tests over whole regions, and the rules of the repository itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod differential;
mod smoke;
