//! The witness's configuration file, `witness.toml`.

use std::path::{Path, PathBuf};

use privacy::Floor;
use privacy::measure::HOSPITALS_CAP;
use privacy::policy::{DOMINANCE_OFF_E4, LARGEST_MINIMUM};
use privacy::roster::FEWEST_HOSPITALS;
use privacy::terms::MAX_LIFETIME_MS;
use serde::Deserialize;
use service::config::{ConfigError, load, resolve};
use service::telemetry::LogConfig;
use service::{IdentityConfig, SigningConfig};

/// Most rounds that may be kept in memory; each takes up to 64 KiB.
const MOST_OPEN_ROUNDS: usize = 1 << 14;
/// Most rounds that may be opened at the same time.
const MOST_CONCURRENT: usize = 64;

/// `witness.toml`. Paths are relative to the file's folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The region's name, as it stands in certificates.
    pub region: String,
    /// Address to listen on, `host:port`.
    pub listen: String,
    /// The record of opened rounds.
    pub data_dir: PathBuf,
    /// Certificate, key, authority.
    pub identity: IdentityConfig,
    /// Signing key, roster and the authority's key.
    pub signing: SigningConfig,
    /// What every opened group must reach.
    #[serde(default)]
    pub rules: RulesConfig,
    /// What the process may use.
    #[serde(default)]
    pub limits: Limits,
    /// Logging.
    #[serde(default)]
    pub log: LogConfig,
}

/// The witness's rules as they are written. One that is not set closes the witness.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RulesConfig {
    /// Distinct persons of an opened group, added up over hospitals.
    pub minimum_persons: Option<u32>,
    /// Stays of an opened group.
    pub minimum_stays: Option<u32>,
    /// Hospitals that contribute to an opened group.
    pub minimum_hospitals: Option<u32>,
    /// Most that Σx² / (Σx)² may be in an opened money sum, in 1/10,000.
    pub dominance_e4: Option<u32>,
    /// Hospitals whose uploads are in the sums.
    pub minimum_quorum: Option<u32>,
}

/// What the process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Rounds whose keys are kept in memory; further ones are put off.
    pub max_open_rounds: usize,
    /// Rounds that are opened at the same time; others wait. Each takes at most 256 MiB.
    pub max_concurrent: usize,
    /// Longest life of a round, in milliseconds.
    pub max_lifetime_ms: u32,
}

/// The rules in force: all set, all possible. Only [`RulesConfig::in_force`] makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) floor: Floor,
    pub(crate) quorum: usize,
}

// === impl Config ===

impl Config {
    /// Reads the file and makes its paths absolute to its folder.
    ///
    /// # Errors
    /// [`ConfigError`] naming file, line, column and field.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = load(path)?;
        config.data_dir = resolve(path, &config.data_dir);
        config.identity = config.identity.resolved(path);
        config.signing = config.signing.resolved(path);
        Ok(config)
    }
}

// === impl RulesConfig ===

impl RulesConfig {
    /// The rules, when all are set and possible; else the witness is closed.
    pub(crate) fn in_force(&self) -> Option<Rules> {
        if !self.problems().is_empty() {
            return None;
        }
        let floor = Floor {
            persons: self.minimum_persons?,
            stays: self.minimum_stays?,
            hospitals: self.minimum_hospitals?,
            dominance_e4: self.dominance_e4?,
        };
        Some(Rules { floor, quorum: usize::try_from(self.minimum_quorum?).ok()? })
    }

    /// What is wrong with the rules, for people; empty when nothing is.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let fewest = u32::try_from(FEWEST_HOSPITALS).unwrap_or(u32::MAX);
        let cap = u32::try_from(HOSPITALS_CAP).unwrap_or(u32::MAX);
        let rules = [
            ("minimum_persons", self.minimum_persons, 1, LARGEST_MINIMUM),
            ("minimum_stays", self.minimum_stays, 1, LARGEST_MINIMUM),
            ("minimum_hospitals", self.minimum_hospitals, 1, LARGEST_MINIMUM),
            ("dominance_e4", self.dominance_e4, 1, DOMINANCE_OFF_E4),
            ("minimum_quorum", self.minimum_quorum, fewest, cap),
        ];
        let problem = |(name, value, least, most): (&str, Option<u32>, u32, u32)| match value {
            None => Some(format!(
                "rules.{name} is not set, so the witness is closed and countersigns nothing; set \
                 it within {least}..={most}"
            )),
            Some(value) if !(least..=most).contains(&value) => {
                Some(format!("rules.{name} = {value} is outside {least}..={most}"))
            }
            Some(_) => None,
        };
        rules.into_iter().filter_map(problem).collect()
    }
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self { max_open_rounds: 1_024, max_concurrent: 4, max_lifetime_ms: MAX_LIFETIME_MS }
    }
}

impl Limits {
    /// What is wrong with the limits, for people; empty when nothing is.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut within = |name: &str, fits: bool, most: usize| {
            if !fits {
                problems.push(format!("limits.{name} is outside 1..={most}"));
            }
        };
        let life = usize::try_from(MAX_LIFETIME_MS).unwrap_or(usize::MAX);
        let fits = |value: usize, most: usize| (1..=most).contains(&value);
        let rounds = fits(self.max_open_rounds, MOST_OPEN_ROUNDS);
        within("max_open_rounds", rounds, MOST_OPEN_ROUNDS);
        within("max_concurrent", fits(self.max_concurrent, MOST_CONCURRENT), MOST_CONCURRENT);
        within("max_lifetime_ms", (1..=MAX_LIFETIME_MS).contains(&self.max_lifetime_ms), life);
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_file_is_what_the_witness_reads() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/witness.toml");
        let config = Config::load(&example).unwrap();
        assert!(config.signing.roster.ends_with("examples/roster.json"));
        let policy = privacy::Policy::default();
        let rules = config.rules.in_force().unwrap();
        assert_eq!(Some(rules.floor), Floor::of(&policy), "the example shows the defaults");
        assert_eq!(rules.quorum, FEWEST_HOSPITALS);
        assert_eq!(config.limits, Limits::default());
        assert!(config.limits.problems().is_empty());
    }

    #[test]
    fn a_rule_that_is_unset_or_impossible_closes_the_witness() {
        let set = RulesConfig {
            minimum_persons: Some(11),
            minimum_stays: Some(11),
            minimum_hospitals: Some(3),
            dominance_e4: Some(10_000),
            minimum_quorum: Some(3),
        };
        assert!(set.in_force().is_some());
        assert_eq!(RulesConfig::default().problems().len(), 5);
        assert!(RulesConfig::default().problems()[0].contains("closed"));
        for (closed, name) in [
            (RulesConfig { minimum_persons: None, ..set }, "minimum_persons"),
            (RulesConfig { minimum_stays: Some(0), ..set }, "minimum_stays"),
            (RulesConfig { minimum_hospitals: Some(1_001), ..set }, "minimum_hospitals"),
            (RulesConfig { dominance_e4: Some(10_001), ..set }, "dominance_e4"),
            (RulesConfig { minimum_quorum: Some(2), ..set }, "minimum_quorum"),
        ] {
            assert_eq!(closed.in_force(), None);
            assert!(closed.problems()[0].contains(name), "{:?}", closed.problems());
        }
        let limits = Limits { max_concurrent: 0, max_lifetime_ms: 600_001, ..Limits::default() };
        assert_eq!(limits.problems().len(), 2);
    }
}
