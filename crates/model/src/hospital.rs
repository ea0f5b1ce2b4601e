//! The name by which a region knows a hospital.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest hospital id in bytes; it travels in certificates, file names and every answer.
pub const MAX_HOSPITAL_ID_BYTES: usize = 64;

/// A hospital's id: 1 to 64 characters of `A-Z a-z 0-9 . _ -`, starting with a letter or digit.
///
/// The alphabet is that of a SPIFFE path segment, so an id is safe in a URI, a file name and SQL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HospitalId(String);

/// Why a text is not a hospital id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a hospital id: use 1 to {MAX_HOSPITAL_ID_BYTES} letters, digits, '.', '_' or \
     '-', starting with a letter or digit"
)]
pub struct InvalidHospitalId(String);

impl HospitalId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HospitalId {
    type Error = InvalidHospitalId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let all_allowed =
            text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if starts_well && all_allowed && text.len() <= MAX_HOSPITAL_ID_BYTES {
            Ok(Self(text))
        } else {
            Err(InvalidHospitalId(text.chars().take(MAX_HOSPITAL_ID_BYTES).collect()))
        }
    }
}

impl std::str::FromStr for HospitalId {
    type Err = InvalidHospitalId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl From<HospitalId> for String {
    fn from(id: HospitalId) -> Self {
        id.0
    }
}

impl fmt::Display for HospitalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_safe_path_segments() {
        for good in ["1169", "h-001", "Renji.Hospital_2", "a"] {
            assert_eq!(good.parse::<HospitalId>().unwrap().as_str(), good);
        }
        for bad in ["", "-x", "../etc", "a/b", "医院", "a b", &"x".repeat(65)] {
            assert!(bad.parse::<HospitalId>().is_err(), "{bad} must be refused");
        }
    }
}
