//! Logs: to stderr, as text for people or JSON lines for machines.
//!
//! It exists so that every binary logs alike. What may be logged is a rule of the house, not of
//! this module: fields instead of sentences; never a row value, a key or a small count.

use serde::Deserialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// The environment variable that sets the filter when none is given.
pub const LOG_VARIABLE: &str = "CONSILIUM_LOG";

const DEFAULT_FILTER: &str = "info";

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The `[log]` section of every role's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// What to log, as `tracing` filters are written; `CONSILIUM_LOG` or `info` when absent.
    pub filter: Option<String>,
    /// `text` or `json`.
    pub format: LogFormat,
}

/// The filter cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("the log filter \"{filter}\" is not valid: {reason}")]
pub struct InvalidFilter {
    filter: String,
    reason: String,
}

/// Starts logging. The filter is `filter`, else the variable `CONSILIUM_LOG`, else `info`
/// (syntax of tracing-subscriber's `EnvFilter`). A second call changes nothing, so tests may
/// call it freely.
///
/// # Errors
/// [`InvalidFilter`].
pub fn init(filter: Option<&str>, format: LogFormat) -> Result<(), InvalidFilter> {
    let text = filter
        .map(str::to_owned)
        .or_else(filter_from_environment)
        .unwrap_or_else(|| DEFAULT_FILTER.to_owned());
    let filter = EnvFilter::builder()
        .parse(&text)
        .map_err(|error| InvalidFilter { filter: text, reason: error.to_string() })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // The only failure is that a subscriber is set already, and then that one stays.
    let _ = match format {
        LogFormat::Text => lines.with_ansi(false).finish().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
    };
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "the environment is read here, once")]
fn filter_from_environment() -> Option<String> {
    std::env::var(LOG_VARIABLE).ok().filter(|text| !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn init_is_idempotent_and_explains_a_bad_filter() {
        init(Some("warn,service=debug"), LogFormat::Text).unwrap();
        init(Some("info"), LogFormat::Json).unwrap();
        let error = init(Some("service=loud"), LogFormat::Text).unwrap_err();
        assert!(error.to_string().contains("\"service=loud\""), "{error}");
    }
}
