//! Placeholder.
pub mod ingest;
