//! The commission's process: it asks hospitals for cells, adds them up and answers analysts.
//!
//! A question is planned and cut by `query`; `ask` sends each hospital its release requests over
//! mutual TLS, waits no longer than the question's deadline, adds up what came, and finishes the
//! answer. Everything that arrives has passed a hospital's own gate. Pooled questions are, for
//! now, sums of what each hospital releases by itself (mode `clear`); masked sums will take that
//! place, with a second authority, the witness.

mod ask;
mod catalog;
pub mod command;
mod config;
mod encode;
mod explain;
mod output;
mod registry;
mod server;

pub use config::{Config, HospitalEntry, InvalidConfig};
pub use server::{Bound, CoordinatorError, bind};
