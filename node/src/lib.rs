//! The hospital's process: it keeps the records, decides what may leave, and answers with cells.
//!
//! [`ingest`] turns a hospital's own file into a snapshot. [`bind`] starts the service that
//! answers the region's coordinator: a request is parsed, admitted under the hospital's policy,
//! planned and walked again, computed on a runtime of its own, and leaves through the gate. The
//! node decides; the coordinator only asks.

mod answer;
mod books;
mod budget;
pub mod command;
mod config;
mod describe;
mod enroll;
mod holdings;
mod inbox;
pub mod ingest;
mod leave;
mod log;
mod releases;
mod round;
mod server;
pub mod steward;

pub use config::{Config, EngineConfig};
pub use server::{Bound, NodeError, bind};
