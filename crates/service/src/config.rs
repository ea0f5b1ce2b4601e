//! Reading a configuration file.
//!
//! It exists so that every binary reports a wrong configuration alike: file, line, column,
//! field, the line itself and what would have been accepted. It guarantees that a file is read
//! once and within a bound. It leaves out meaning: each binary turns its file into its own
//! checked types.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A configuration larger than this is a mistake.
const CONFIG_MAX_BYTES: u64 = 1024 * 1024;

/// Where a process finds its certificate, its key and whom it trusts. All files are PEM.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityConfig {
    /// The own certificate, followed by intermediates if there are any.
    pub certificate: PathBuf,
    /// The own private key.
    pub key: PathBuf,
    /// The region's authority, or two while it is being replaced.
    pub authority: PathBuf,
    /// The authority's revocation list. When it is given it is enforced, with its expiry.
    #[serde(default)]
    pub revocations: Option<PathBuf>,
}

/// Where a process finds the key that it signs with, and who else may sign.
///
/// These are paths only: what the files hold is checked by whoever signs and verifies.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningConfig {
    /// The own signing key, 64 hexadecimal digits, mode 0600. It is not the TLS key.
    pub key: PathBuf,
    /// The region's roster, as its authority signed it.
    pub roster: PathBuf,
    /// The authority's key that verifies rosters, 64 hexadecimal digits.
    pub authority: PathBuf,
}

/// Why a configuration could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is missing or may not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is larger than a configuration can be.
    #[error("{path} is larger than {CONFIG_MAX_BYTES} bytes; is it a configuration?")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is not the expected TOML.
    #[error(transparent)]
    Invalid(Box<InvalidConfig>),
}

/// The place in a configuration that is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{}:{line}:{column}: in {field}: {message}\n{excerpt}", path.display())]
pub struct InvalidConfig {
    /// The file.
    pub path: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// The dotted name of the field or table.
    pub field: String,
    /// What is wrong, with the accepted names or values.
    pub message: String,
    /// The line with a marker below it.
    pub excerpt: String,
}

/// Reads a TOML file into `T`.
///
/// # Errors
/// [`ConfigError`], whose text names file, line, column, field and what is accepted.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let read = |source| ConfigError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(read)?;
    let mut text = String::new();
    let length = file.take(CONFIG_MAX_BYTES + 1).read_to_string(&mut text).map_err(read)?;
    if u64::try_from(length).unwrap_or(u64::MAX) > CONFIG_MAX_BYTES {
        return Err(ConfigError::TooLarge { path: path.to_owned() });
    }
    toml::from_str(&text)
        .map_err(|error| ConfigError::Invalid(Box::new(InvalidConfig::at(path, &text, &error))))
}

/// A path in a configuration is relative to that file's folder.
#[must_use]
pub fn resolve(base_file: &Path, relative_path: &Path) -> PathBuf {
    base_file.parent().unwrap_or_else(|| Path::new("")).join(relative_path)
}

impl IdentityConfig {
    /// The same files, with paths relative to the folder of `base_file`.
    #[must_use]
    pub fn resolved(&self, base_file: &Path) -> Self {
        Self {
            certificate: resolve(base_file, &self.certificate),
            key: resolve(base_file, &self.key),
            authority: resolve(base_file, &self.authority),
            revocations: self.revocations.as_deref().map(|path| resolve(base_file, path)),
        }
    }
}

impl SigningConfig {
    /// The same files, with paths relative to the folder of `base_file`.
    #[must_use]
    pub fn resolved(&self, base_file: &Path) -> Self {
        Self {
            key: resolve(base_file, &self.key),
            roster: resolve(base_file, &self.roster),
            authority: resolve(base_file, &self.authority),
        }
    }
}

impl InvalidConfig {
    fn at(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let offset = error.span().map_or(0, |span| span.start).min(text.len());
        let before = text.get(..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let content = text[line_start..].lines().next().unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        let indent = " ".repeat(column - 1);
        Self {
            path: path.to_owned(),
            line,
            column,
            field: field_at(before, content),
            message: error.message().trim().to_owned(),
            excerpt: format!("{number} | {content}\n{gutter} | {indent}^"),
        }
    }
}

/// The dotted name of what stands in the line `content`, for the reader of an error: the last
/// table header above it and the key before `=`.
fn field_at(before: &str, content: &str) -> String {
    let header = |line: &str| {
        let line = line.trim();
        line.starts_with('[').then(|| line.trim_matches(['[', ']', ' ']).to_owned())
    };
    if let Some(table) = header(content) {
        return table;
    }
    let table = before.lines().rev().find_map(header);
    let key = content.split_once('=').map(|(key, _)| key.trim().to_owned());
    match (table, key) {
        (Some(table), Some(key)) => format!("{table}.{key}"),
        (Some(name), None) | (None, Some(name)) => name,
        (None, None) => "the file".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        #[allow(dead_code, reason = "parsed only")]
        name: String,
        identity: IdentityConfig,
    }

    fn parse(text: &str) -> Result<Example, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        load(file.path())
    }

    #[test]
    fn an_error_names_the_place_and_what_is_accepted() {
        let good = "name = \"n\"\n[identity]\ncertificate = \"a.pem\"\nkey = \"a.key\"\n";
        let text = format!("{good}authorty = \"ca.pem\"\n");
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains(":5:1: in identity.authorty: unknown field `authorty`"), "{error}");
        assert!(error.contains("`authority`"), "the accepted names: {error}");
        assert!(error.contains("5 | authorty = \"ca.pem\"\n  | ^"), "{error}");

        let error = parse(good).unwrap_err().to_string();
        assert!(error.contains("in identity: missing field `authority`"), "{error}");
        let error = parse("name = \"é\" x\n").unwrap_err().to_string();
        assert!(error.contains(":1:12: in name: "), "{error}");
        let error = parse("name = 3\n").unwrap_err().to_string();
        assert!(error.contains(":1:8: in name: invalid type: integer"), "{error}");
        let error = load::<Example>(Path::new("/no/such.toml")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read /no/such.toml: "), "{error}");
    }

    #[test]
    fn paths_are_relative_to_their_file() {
        let base = Path::new("/etc/consilium/node.toml");
        assert_eq!(resolve(base, Path::new("a.pem")), Path::new("/etc/consilium/a.pem"));
        assert_eq!(resolve(base, Path::new("/b.pem")), Path::new("/b.pem"));
        assert_eq!(resolve(Path::new("node.toml"), Path::new("a.pem")), Path::new("a.pem"));
        let text = "name = \"n\"\n[identity]\ncertificate = \"a.pem\"\nkey = \"a.key\"\n\
                    authority = \"ca.pem\"\n";
        let identity = parse(text).unwrap().identity.resolved(base);
        assert_eq!(identity.key, Path::new("/etc/consilium/a.key"));
        assert_eq!(identity.revocations, None);
    }
}
