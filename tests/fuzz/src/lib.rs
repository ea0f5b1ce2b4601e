//! What untrusted bytes go through, as functions that a fuzzer calls.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod hospital;
mod logs;
mod parties;
mod policy;
mod receipts;
mod records;
mod round;
pub mod seeds;
mod wire;

pub use logs::logs;
pub use policy::policy;
pub use receipts::receipts;
pub use wire::wire;

/// A function that takes any bytes and panics when something is wrong.
pub type Target = fn(&[u8]);

/// All targets; the corpus of each is the folder of that name.
pub const TARGETS: [(&str, Target); 4] =
    [("wire", wire), ("policy", policy), ("receipts", receipts), ("logs", logs)];
