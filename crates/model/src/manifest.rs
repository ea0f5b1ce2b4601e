//! What a snapshot says about itself. Written once by ingest, read by the node, never changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::HospitalId;

/// Version of the snapshot layout; a node refuses to open any other.
pub const SNAPSHOT_FORMAT: u32 = 1;

/// Version of what ingest derives by itself; a snapshot of another one is made again by the next
/// ingest of the same source.
pub const DERIVATION: u32 = 2;

/// The manifest of an immutable snapshot, stored as `manifest.json` beside its Parquet files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`SNAPSHOT_FORMAT`] at the time of writing.
    pub format: u32,
    /// Hex SHA-256 over the hospital, the mapping, the key's id and every table's content hash.
    pub snapshot_id: String,
    /// Whose records these are.
    pub hospital: HospitalRecord,
    /// When ingest finished, RFC 3339 in UTC. Not part of `snapshot_id`.
    pub created_at: String,
    /// The file it was made from.
    pub source: SourceRecord,
    /// The mapping that made it.
    pub mapping: MappingRecord,
    /// First 16 hex digits of the SHA-256 of the hospital's HMAC key: which key made the keys.
    pub key_id: String,
    /// Table name to what was stored.
    pub tables: BTreeMap<String, TableRecord>,
    /// Distinct persons in the snapshot.
    pub persons: u64,
    /// [`DERIVATION`] at the time of writing; 0 before there was one.
    #[serde(default)]
    pub derivation: u32,
    /// The DIP list by which stays were coded, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dip_list: Option<ListRecord>,
    /// What was read, kept and put into quarantine.
    pub quality: Quality,
}

impl Manifest {
    /// Stays in the snapshot.
    #[must_use]
    pub fn stays(&self) -> u64 {
        self.tables.get("stay").map_or(0, |table| table.rows)
    }
}

/// The hospital's attributes; every stay carries them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HospitalRecord {
    /// `hospital_id` of every stay.
    pub id: HospitalId,
    /// `hospital_tier` of every stay.
    pub tier: String,
    /// `hospital_county` of every stay.
    pub county: String,
}

/// Where a snapshot came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceRecord {
    /// File name without its folder.
    pub file: String,
    /// Hex SHA-256 of the file as it lay on disk.
    pub sha256: String,
    /// Size in bytes as it lay on disk.
    pub bytes: u64,
    /// `utf-8` or `gb18030`.
    pub encoding: String,
    /// True when the encoding was detected rather than declared.
    pub encoding_detected: bool,
}

/// Which mapping made a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingRecord {
    /// Name of a shipped mapping, or the folder's name.
    pub name: String,
    /// Hex SHA-256 over the mapping's file names and contents.
    pub sha256: String,
}

/// A versioned code list by which ingest coded stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListRecord {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its own hash, hex SHA-256 over everything in it but the time when it was made.
    pub hash: String,
}

/// One stored table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableRecord {
    /// File name within the snapshot folder.
    pub file: String,
    /// Rows stored.
    pub rows: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// Hex SHA-256 of the file.
    pub sha256: String,
}

/// The quality report of an ingest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quality {
    /// Source rows read.
    pub read: u64,
    /// Stays accepted.
    pub accepted: u64,
    /// Rows put into quarantine, over all tables.
    pub quarantined: u64,
    /// Quarantined rows by rule.
    pub by_rule: BTreeMap<String, u64>,
}

impl Quality {
    /// Share of source rows that were accepted whole, in 0..=1; 1 when nothing was read.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        if self.read == 0 {
            return 1.0;
        }
        let bad = self.quarantined.min(self.read);
        ratio(self.read - bad, self.read)
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    use num_traits::ToPrimitive;
    part.to_f64().unwrap_or(0.0) / whole.to_f64().unwrap_or(1.0)
}
