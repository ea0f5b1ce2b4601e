//! Loading a DIP catalogue, so that ingest codes stays by it.

use std::path::Path;

use model::casemix::catalogue::{self, CodeList};
use model::manifest::ListRecord;

use super::error::IngestError;
use super::source::hex;

/// A list larger than this is none.
const MAX_BYTES: u64 = 256 << 20;

/// A DIP catalogue that was read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DipList {
    /// Name, version and hash, as they stand in the manifest.
    pub record: ListRecord,
    /// Codes by combination.
    pub codes: CodeList,
}

/// Reads and checks a list that `consilium dip catalogue` wrote.
///
/// # Errors
/// [`IngestError::CodeList`], naming file, field and way out.
pub fn read_dip_list(path: &Path) -> Result<catalogue::DipList, IngestError> {
    let fail = |reason: String| IngestError::CodeList { path: path.to_owned(), reason };
    let size = std::fs::metadata(path).map_err(IngestError::io("read", path))?.len();
    if size > MAX_BYTES {
        return Err(fail(format!("is larger than {MAX_BYTES} bytes: it is no DIP list")));
    }
    let text = std::fs::read(path).map_err(IngestError::io("read", path))?;
    let list: catalogue::DipList = serde_json::from_slice(&text).map_err(|error| {
        fail(format!("{error}; give the file that `consilium dip catalogue --out` wrote"))
    })?;
    list.check().map_err(fail)?;
    let hashed = serde_json::to_vec(&list.hashed()).map_err(IngestError::write)?;
    if list.hash != hex(&privacy::sha256(&hashed)) {
        let reason = "hash: is not that of the list's contents; the file was changed after it was \
                      made, get it again from the commission";
        return Err(fail(reason.to_owned()));
    }
    Ok(list)
}

impl DipList {
    /// Reads a list for coding stays.
    ///
    /// # Errors
    /// As [`read_dip_list`].
    pub fn read(path: &Path) -> Result<Self, IngestError> {
        let list = read_dip_list(path)?;
        Ok(Self { record: list.record(), codes: list.codes() })
    }
}
