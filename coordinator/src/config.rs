//! The coordinator's configuration file, `coordinator.toml`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::HospitalId;
use privacy::measure::HOSPITALS_CAP;
use serde::Deserialize;
use service::IdentityConfig;
use service::config::{ConfigError, load, resolve};
use service::telemetry::LogFormat;

/// `coordinator.toml`. Paths are relative to the file's folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The region's name, as it stands in certificates.
    pub region: String,
    /// Address to listen on, `host:port`.
    pub listen: String,
    /// Rules for early feedback; hospitals apply their own in any case.
    #[serde(default)]
    pub policy: Option<PathBuf>,
    /// Time for a question that names none.
    #[serde(default = "default_deadline_ms")]
    pub deadline_ms: u64,
    /// Certificate, key, authority.
    pub identity: IdentityConfig,
    /// What finishing an answer may use.
    #[serde(default)]
    pub engine: EngineConfig,
    /// Logging.
    #[serde(default)]
    pub log: LogConfig,
    /// The region's hospitals.
    #[serde(default, rename = "hospital")]
    pub hospitals: Vec<HospitalEntry>,
}

/// One hospital of the region.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HospitalEntry {
    /// Its id; the node must present a certificate with it.
    pub id: HospitalId,
    /// Where its node listens, `host:port`.
    pub address: String,
}

/// What finishing an answer may use.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineConfig {
    /// Memory for sorting, joining and windows over released values.
    pub memory_mb: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { memory_mb: 512 }
    }
}

/// Logging.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// What to log, as `tracing` filters are written; `CONSILIUM_LOG` or `info` when absent.
    pub filter: Option<String>,
    /// `text` or `json`.
    pub format: LogFormat,
}

const fn default_deadline_ms() -> u64 {
    30_000
}

/// A configuration that can be read but not used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidConfig {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// Two entries have one id.
    #[error("{path}: hospital \"{id}\" is listed twice")]
    Twice {
        /// The file.
        path: String,
        /// The id.
        id: HospitalId,
    },
    /// More hospitals than sums are proved for.
    #[error("{path}: {count} hospitals are more than the {HOSPITALS_CAP} of one region")]
    TooMany {
        /// The file.
        path: String,
        /// How many are listed.
        count: usize,
    },
}

impl Config {
    /// Reads the file and makes its paths absolute to its folder.
    ///
    /// # Errors
    /// [`InvalidConfig`] naming file, line, column and field.
    pub fn load(path: &Path) -> Result<Self, InvalidConfig> {
        let mut config: Self = load(path)?;
        config.identity = config.identity.resolved(path);
        config.policy = config.policy.map(|policy| resolve(path, &policy));
        let file = || path.display().to_string();
        let mut seen = BTreeSet::new();
        for hospital in &config.hospitals {
            if !seen.insert(&hospital.id) {
                return Err(InvalidConfig::Twice { path: file(), id: hospital.id.clone() });
            }
        }
        let count = config.hospitals.len();
        if count > HOSPITALS_CAP {
            return Err(InvalidConfig::TooMany { path: file(), count });
        }
        Ok(config)
    }

    /// Time for a question that names none.
    #[must_use]
    pub const fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_file_is_what_the_coordinator_reads() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/coordinator.toml");
        let config = Config::load(&example).unwrap();
        assert_eq!(config.hospitals.len(), 2);
        assert_eq!(config.deadline(), Duration::from_secs(30));
    }

    #[test]
    fn a_hospital_listed_twice_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("coordinator.toml");
        let entry = "[[hospital]]\nid = \"h-1\"\naddress = \"127.0.0.1:1\"\n";
        let head = "region = \"r\"\nlisten = \"127.0.0.1:0\"\n[identity]\ncertificate = \"a\"\n\
                    key = \"b\"\nauthority = \"c\"\n";
        std::fs::write(&path, format!("{head}{entry}{entry}")).unwrap();
        assert!(Config::load(&path).unwrap_err().to_string().contains("\"h-1\" is listed twice"));
    }
}
