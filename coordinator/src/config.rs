//! The coordinator's configuration file, `coordinator.toml`.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::HospitalId;
use privacy::domain::MAX_BUCKET_BITS;
use privacy::measure::HOSPITALS_CAP;
use serde::Deserialize;
use service::config::{ConfigError, load, resolve};
use service::telemetry::LogConfig;
use service::{IdentityConfig, SigningConfig};

use crate::codes::Source;

/// Seconds between two looks at the logs, unless the file says otherwise.
const LOG_INTERVAL_S: NonZeroU32 = match NonZeroU32::new(30) {
    Some(seconds) => seconds,
    None => NonZeroU32::MIN,
};

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
    /// Signing key, roster, and who signs rosters.
    pub signing: SigningConfig,
    /// The second authority; without it, pooled questions cannot be asked.
    pub witness: WitnessEntry,
    /// The rounds that were led, and their log.
    #[serde(default = "default_data_dir")]
    pub data_dir: PathBuf,
    /// How pooled questions are asked.
    #[serde(default)]
    pub pooled: PooledConfig,
    /// Published code lists: shipped names (`sparcs`) or files.
    #[serde(default)]
    pub code_lists: Vec<String>,
    /// How the logs of all parties are watched.
    #[serde(default)]
    pub audit: AuditConfig,
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

/// Where the second authority listens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessEntry {
    /// `host:port`; it must present the region's certificate `witness/main`.
    pub address: String,
}

/// How pooled questions are asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PooledConfig {
    /// Fewest hospitals whose uploads make a sum; never below 3.
    pub quorum: usize,
    /// log2 of the buckets into which discovery hashes codes. More buckets cost bandwidth, fewer
    /// let a rare code be named because it shares its bucket with a common one.
    pub discovery_bits: u8,
}

impl Default for PooledConfig {
    fn default() -> Self {
        Self { quorum: 3, discovery_bits: 16 }
    }
}

/// How the logs of all parties are watched.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    /// Seconds between two looks at the logs, at which they are cosigned.
    pub interval_s: NonZeroU32,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { interval_s: LOG_INTERVAL_S }
    }
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

fn default_data_dir() -> PathBuf {
    PathBuf::from("data")
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
    /// Buckets that discovery cannot have.
    #[error("{path}: pooled.discovery_bits = {bits} is outside 4..={MAX_BUCKET_BITS}")]
    Buckets {
        /// The file.
        path: String,
        /// What it says.
        bits: u8,
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
        config.signing = config.signing.resolved(path);
        config.policy = config.policy.map(|policy| resolve(path, &policy));
        config.data_dir = resolve(path, &config.data_dir);
        for list in &mut config.code_lists {
            if let Source::File(file) = Source::of(list, |name| resolve(path, Path::new(name))) {
                *list = file.to_string_lossy().into_owned();
            }
        }
        let file = || path.display().to_string();
        let mut seen = BTreeSet::new();
        for hospital in &config.hospitals {
            if !seen.insert(&hospital.id) {
                return Err(InvalidConfig::Twice { path: file(), id: hospital.id.clone() });
            }
        }
        let count = config.hospitals.len();
        let bits = config.pooled.discovery_bits;
        if !(4..=MAX_BUCKET_BITS).contains(&bits) {
            return Err(InvalidConfig::Buckets { path: file(), bits });
        }
        if count > HOSPITALS_CAP {
            return Err(InvalidConfig::TooMany { path: file(), count });
        }
        Ok(config)
    }

    /// Where the published code lists come from.
    pub(crate) fn code_sources(&self) -> Vec<Source> {
        self.code_lists.iter().map(|name| Source::of(name, |file| PathBuf::from(file))).collect()
    }

    /// Time between two looks at the logs of all parties.
    #[must_use]
    pub fn log_interval(&self) -> Duration {
        Duration::from_secs(self.audit.interval_s.get().into())
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
        assert_eq!(config.log_interval(), Duration::from_secs(30));
        assert_eq!(config.audit.interval_s, AuditConfig::default().interval_s);
    }

    #[test]
    fn a_hospital_listed_twice_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("coordinator.toml");
        let entry = "[[hospital]]\nid = \"h-1\"\naddress = \"127.0.0.1:1\"\n";
        let head = "region = \"r\"\nlisten = \"127.0.0.1:0\"\n[identity]\ncertificate = \"a\"\n\
                    key = \"b\"\nauthority = \"c\"\n[witness]\naddress = \"127.0.0.1:2\"\n\
                    [signing]\nkey = \"d\"\nroster = \"e\"\nauthority = \"f\"\n";
        std::fs::write(&path, format!("{head}{entry}{entry}")).unwrap();
        assert!(Config::load(&path).unwrap_err().to_string().contains("\"h-1\" is listed twice"));
    }
}
