//! The second authority's process: without it nobody can open a masked sum.
//!
//! Hospitals hide their cells under masks whose seeds only the witness can read; the coordinator
//! holds the masked cells. The witness countersigns what the coordinator proposes (`desk`), which
//! makes a round; later it is shown the sums of the guard columns, decides on these unlabelled
//! counts which cells may be opened (`round`), and returns the masks of those cells only (`open`). Of a round with noise
//! it returns the masks of all cells, each less a draw, and looks at no count.
//!
//! It guarantees, whatever the coordinator does: a round opens once, and is on disk before it
//! does; its hospitals are those of the region's roster, have signed what they uploaded, are at
//! least three, and are, without noise, not almost those of an earlier round of the same question; every opened
//! group reaches the witness's own rules, or has the noise that its hospitals have agreed to. Keys and seeds of a round are in memory only and are
//! erased when it ends. It never holds a label, a cost or a row.
//!
//! It leaves out everything else, so that it can be read in an hour: it knows no SQL, no data
//! model and no hospital's address, and answers nobody but the region's coordinator.

mod book;
pub mod command;
mod config;
mod desk;
mod guard;
mod log;
mod open;
mod parallel;
mod round;
mod server;
mod veil;

pub use config::{Config, Limits, RulesConfig};
pub use server::{Bound, WitnessError, bind};
pub use veil::VeilFileError;

#[cfg(test)]
mod desk_tests;
#[cfg(test)]
mod fixture;
