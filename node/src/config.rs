//! The node's configuration file, `node.toml`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use model::HospitalId;
use model::manifest::HospitalRecord;
use serde::Deserialize;
use service::config::{ConfigError, load, resolve};
use service::telemetry::LogConfig;
use service::{IdentityConfig, SigningConfig};

/// `node.toml`. Paths are relative to the file's folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The region's name, as it stands in certificates.
    pub region: String,
    /// Address to listen on, `host:port`.
    pub listen: String,
    /// Snapshots, quarantine, usage.
    pub data_dir: PathBuf,
    /// The hospital's policy.
    pub policy: PathBuf,
    /// Who this is.
    pub hospital: HospitalConfig,
    /// Certificate, key, authority.
    pub identity: IdentityConfig,
    /// Signing key, roster, and who signs rosters.
    pub signing: SigningConfig,
    /// Keys that stay in the hospital.
    pub keys: KeysConfig,
    /// Code lists by which ingest codes stays.
    #[serde(default)]
    pub codes: CodesConfig,
    /// What the engine may use.
    #[serde(default)]
    pub engine: EngineConfig,
    /// Logging.
    #[serde(default)]
    pub log: LogConfig,
}

/// The hospital's own attributes; every stay carries them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HospitalConfig {
    /// Its id in the region.
    pub id: HospitalId,
    /// tertiary, secondary, primary; `unknown` unless set.
    #[serde(default = "unknown")]
    pub tier: String,
    /// County or district; `unknown` unless set.
    #[serde(default = "unknown")]
    pub county: String,
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// Key files.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysConfig {
    /// The HMAC key of stay and person keys; made by the first ingest.
    pub hmac: PathBuf,
}

/// Code lists by which ingest codes stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CodesConfig {
    /// A DIP catalogue, as `consilium dip catalogue` writes it.
    pub dip: Option<PathBuf>,
}

/// What the engine may use.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineConfig {
    /// Threads of the query runtime and partitions of a question.
    pub threads: usize,
    /// Memory pool of all questions together.
    pub memory_mb: usize,
    /// Most that joins and sorts may spill to disk.
    pub spill_mb: u64,
    /// Longest time for one question.
    pub max_deadline_ms: u64,
    /// Questions computed at the same time; more wait.
    pub max_concurrent: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            threads: 2,
            memory_mb: 256,
            spill_mb: 2_048,
            max_deadline_ms: 120_000,
            max_concurrent: 8,
        }
    }
}

impl EngineConfig {
    /// Longest time for one question.
    #[must_use]
    pub const fn max_deadline(&self) -> Duration {
        Duration::from_millis(self.max_deadline_ms)
    }
}

impl Config {
    /// Reads the file and makes its paths absolute to its folder.
    ///
    /// # Errors
    /// [`ConfigError`] naming file, line, column and field.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = load(path)?;
        for file in [&mut config.data_dir, &mut config.policy, &mut config.keys.hmac] {
            *file = resolve(path, file);
        }
        if let Some(list) = &mut config.codes.dip {
            *list = resolve(path, list);
        }
        config.identity = config.identity.resolved(path);
        config.signing = config.signing.resolved(path);
        Ok(config)
    }

    /// What every stay of this hospital carries.
    #[must_use]
    pub fn hospital_record(&self) -> HospitalRecord {
        HospitalRecord {
            id: self.hospital.id.clone(),
            tier: self.hospital.tier.clone(),
            county: self.hospital.county.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_files_are_what_the_node_reads() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let config = Config::load(&examples.join("node.toml")).unwrap();
        assert_eq!(config.hospital.id.as_str(), "h-001");
        assert!(config.policy.ends_with("examples/policy.toml"));
        assert!(config.signing.roster.ends_with("examples/roster.json"));
        let policy: privacy::Policy = load(&examples.join("policy.toml")).unwrap();
        assert_eq!(policy, privacy::Policy::default(), "the example shows the defaults");
        let text = std::fs::read_to_string(examples.join("policy.toml")).unwrap();
        let noise: Vec<_> = text.lines().skip_while(|line| *line != "# [noise]").collect();
        let noise = noise.iter().filter_map(|line| line.strip_prefix("# ")).collect::<Vec<_>>();
        let noise: privacy::Policy = toml::from_str(&noise.join("\n")).unwrap();
        assert_eq!(
            noise.noise,
            Some(privacy::Noise::default()),
            "the section that is commented out"
        );
        let open: privacy::Policy = load(&examples.join("open.toml")).unwrap();
        assert_eq!((open.minimum.persons, open.selectivity.persons), (Some(1), 1));
        assert!(open.dominance.is_off());
    }

    #[test]
    fn an_unknown_field_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.toml");
        std::fs::write(&path, "region = \"demo\"\nlisten = \"127.0.0.1:1\"\nport = 3\n").unwrap();
        let text = Config::load(&path).unwrap_err().to_string();
        assert!(text.contains("port") && text.contains('3'), "{text}");
    }
}
