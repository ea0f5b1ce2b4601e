//! `consilium`: the client of a region, and the demonstration that makes one.
//!
//! It guarantees that data and nothing else goes to stdout, that every ending has a documented
//! exit code ([`exit`]), and that the shapes it prints are stable. It decides nothing: what may be
//! asked is for the coordinator and the nodes to say. It leaves out the hospital's own commands,
//! which are `consilium-node`'s.

pub mod alerts;
pub mod answer;
pub mod args;
pub mod audit;
pub mod bench;
pub mod benchmark;
pub mod catalog;
pub mod client;
pub mod columns;
pub mod console;
pub mod demo;
pub mod dip;
pub mod duration;
pub mod exit;
pub mod fit;
pub mod hospitals;
pub mod message;
pub mod models;
mod noise;
pub mod pack;
pub mod payment;
pub mod project;
pub mod query;
pub mod region;
pub mod report;
pub mod rules;
pub mod run;
pub mod sheet;
pub mod synth;
pub mod told;
