//! The commission's process: it asks hospitals for cells, adds them up and answers analysts.
//!
//! A question is planned and cut by `query`. When it names hospitals, `ask` sends each its release
//! requests over mutual TLS and adds up what their gates let pass. Every other question is pooled:
//! `lists` finds the public codes of its dimensions, `round` leads a masked round for each request,
//! and only regional sums that the witness lets pass are ever readable here. `notary` looks after
//! everybody's audit log.

mod ask;
mod catalog;
mod choose;
mod codes;
pub mod command;
mod config;
mod encode;
mod explain;
mod fit;
mod gathered;
mod lists;
mod models;
mod noisy;
mod notary;
mod pooled;
mod progress;
mod projects;
mod provenance;
mod registry;
mod round;
mod server;
mod shelf;
mod state;
mod upload;
mod veil;
mod witness;

pub use codes::InvalidCodes;
pub use config::{Config, HospitalEntry, InvalidConfig};
pub use server::{Bound, CoordinatorError, bind};
