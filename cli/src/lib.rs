//! Placeholder.
pub mod synth;
