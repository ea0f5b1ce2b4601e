//! What a node lends to its engine: threads, memory, and where to spill.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};

use super::ComputeError;

/// What a node lends to its engine.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Partitions per question.
    pub threads: usize,
    /// Memory pool of all questions together, in bytes.
    pub memory_bytes: usize,
    /// Where sorts and joins may spill.
    pub spill_folder: PathBuf,
    /// Most bytes spilled at a time.
    pub spill_bytes: u64,
}

/// The memory pool and spill folder that all snapshots of a node share.
///
/// # Errors
/// [`ComputeError::Engine`] when the runtime cannot be set up.
pub fn runtime(limits: &Limits) -> Result<Arc<RuntimeEnv>, ComputeError> {
    let spill = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![limits.spill_folder.clone()]))
        .with_max_temp_directory_size(limits.spill_bytes);
    RuntimeEnvBuilder::new()
        .with_memory_limit(limits.memory_bytes, 1.0)
        .with_disk_manager_builder(spill)
        .build_arc()
        .map_err(|error| ComputeError::Engine(error.strip_backtrace()))
}
