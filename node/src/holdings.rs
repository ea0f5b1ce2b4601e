//! What the node holds right now: the snapshot in force under the policy in force.
//!
//! Both are looked at before each question, so a finished ingest and a changed policy take effect
//! without a restart. A policy that cannot be read closes the node; a snapshot that cannot be
//! opened leaves it without data. Neither falls back to what was in force before.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use privacy::Policy;
use privacy::policy::Minimum;
use query::engine::{Engine, Limits, runtime};
use service::config::load;

use crate::config::Config;
use crate::ingest::current;

/// What distinguishes one state of the folder from another, cheaply.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    snapshot: Option<String>,
    policy: Option<(SystemTime, u64)>,
}

/// What answers the next question.
#[derive(Debug, Clone)]
pub(crate) struct InForce {
    /// The policy, closed when the file cannot be used.
    pub(crate) policy: Policy,
    /// SHA-256 of the policy, for the record.
    pub(crate) policy_hash: [u8; 32],
    /// The engine over the snapshot, when there is one.
    pub(crate) engine: Option<Arc<Engine>>,
}

#[derive(Debug)]
struct Opened {
    stamp: Stamp,
    in_force: InForce,
}

fn hash_of(policy: &Policy) -> [u8; 32] {
    // A policy is numbers and names, which always have a JSON form, with fields in one order.
    let text = serde_json::to_vec(policy).unwrap_or_default();
    privacy::sha256(&text)
}

/// The snapshot and policy in force.
#[derive(Debug)]
pub(crate) struct Holdings {
    config: Config,
    runtime: Arc<query::engine::Runtime>,
    opened: Mutex<Option<Opened>>,
}

/// The engine's shared memory pool could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the engine cannot start: {0}")]
pub struct EngineStart(String);

/// Where questions spill, in the data folder.
const SPILL: &str = "spill";

/// Reads a policy file.
///
/// # Errors
/// The reason, naming file, line and field.
pub(crate) fn read_policy(path: &Path) -> Result<Policy, String> {
    load::<Policy>(path).map_err(|error| error.to_string())
}

fn closed() -> Policy {
    Policy { minimum: Minimum::default(), ..Policy::default() }
}

impl Holdings {
    /// Sets up the engine's memory and spill folder; opens nothing yet.
    pub(crate) fn new(config: Config) -> Result<Self, EngineStart> {
        const MIB: usize = 1 << 20;
        let spill_folder = config.data_dir.join(SPILL);
        fs::create_dir_all(&spill_folder)
            .map_err(|error| EngineStart(format!("{}: {error}", spill_folder.display())))?;
        let limits = Limits {
            threads: config.engine.threads,
            memory_bytes: config.engine.memory_mb * MIB,
            spill_folder,
            spill_bytes: config.engine.spill_mb << 20,
        };
        let runtime = runtime(&limits).map_err(|error| EngineStart(error.to_string()))?;
        Ok(Self { config, runtime, opened: Mutex::new(None) })
    }

    fn stamp(&self) -> Stamp {
        let pointer = self.config.data_dir.join("CURRENT");
        let policy = fs::metadata(&self.config.policy).ok();
        Stamp {
            snapshot: fs::read_to_string(pointer).ok(),
            policy: policy.and_then(|file| Some((file.modified().ok()?, file.len()))),
        }
    }

    /// The policy in force and, when there is a snapshot, the engine over it. May read files.
    pub(crate) fn now(&self) -> InForce {
        let stamp = self.stamp();
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = opened.as_ref().filter(|known| known.stamp == stamp) {
            return known.in_force.clone();
        }
        let policy = read_policy(&self.config.policy).and_then(|policy| {
            let problems = policy.problems();
            if problems.is_empty() { Ok(policy) } else { Err(problems.join("; ")) }
        });
        let policy = policy.unwrap_or_else(|error| {
            tracing::error!(error, "the policy cannot be used; the node is closed");
            closed()
        });
        let engine = self.open(&policy).unwrap_or_else(|error| {
            tracing::error!(error, "the snapshot in force cannot be used");
            None
        });
        if let Some(engine) = &engine {
            tracing::info!(snapshot = engine.manifest().snapshot_id, "snapshot in force");
        }
        let in_force = InForce { policy_hash: hash_of(&policy), policy, engine };
        *opened = Some(Opened { stamp, in_force: in_force.clone() });
        in_force
    }

    /// The engine over the snapshot in force, if there is one.
    ///
    /// # Errors
    /// Why it cannot be used, for the operator.
    pub(crate) fn open(&self, policy: &Policy) -> Result<Option<Arc<Engine>>, String> {
        let found = current(&self.config.data_dir).map_err(|error| error.to_string())?;
        let Some((folder, manifest)) = found else { return Ok(None) };
        if manifest.hospital.id != self.config.hospital.id {
            return Err(format!("the snapshot belongs to hospital {}", manifest.hospital.id));
        }
        let threads = self.config.engine.threads;
        let runtime = Arc::clone(&self.runtime);
        let engine = Engine::open(&folder, manifest, policy.clone(), threads, runtime);
        engine.map(|engine| Some(Arc::new(engine))).map_err(|error| error.to_string())
    }

    /// Removes what questions spilled before a crash. Only whoever holds the data folder's record
    /// may do so, and before its own engine starts.
    pub(crate) fn clear_spill(data_dir: &Path) {
        let spill = data_dir.join(SPILL);
        for entry in fs::read_dir(&spill).into_iter().flatten().flatten() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
