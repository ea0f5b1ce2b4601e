//! A receipt: one entry of a log, shown to somebody who has nothing but the owner's key.
//!
//! It is JSON and holds the entry, the proof that it is in the log, and the checkpoint that the
//! proof leads to, with whatever cosignatures it has. It is checked offline.

use model::Peer;
use privacy::sign::{VerifyKey, hex, unhex32};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::cosign;
use crate::entry::{Entry, EntryError, Json};
use crate::log::{self, InvalidProof, MAX_PROOF_HASHES, leaf_hash, verify_inclusion};
use crate::store::{RecordError, Store};

/// Version of the JSON form.
const VERSION: u32 = 1;
/// Longest receipt in bytes.
pub const MAX_RECEIPT_BYTES: usize = 64 * 1024;

/// An entry with its proof.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// Its place in the log, from 0.
    pub index: u64,
    /// The entry.
    pub entry: Entry,
    /// Hashes from the leaf's sibling to the root's child.
    pub proof: Vec<[u8; 32]>,
    /// What the proof leads to.
    pub checkpoint: Checkpoint,
}

/// Why a receipt shows nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// It is not a receipt.
    #[error("the receipt cannot be read: {0}")]
    Json(String),
    /// Its entry is none.
    #[error("the receipt's entry: {0}")]
    Entry(#[from] EntryError),
    /// Its checkpoint is none, or not signed by the owner of the key.
    #[error("the receipt's checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The entry is not in the log of the checkpoint at that index.
    #[error("the receipt's proof: {0}")]
    Proof(#[from] InvalidProof),
}

/// The JSON form; the checkpoint is the text of its note, hashes are hexadecimal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    version: u32,
    index: u64,
    entry: Json,
    proof: Vec<String>,
    checkpoint: String,
}

// === impl Receipt ===

impl Receipt {
    /// Checks, with the key of the log's owner, that the entry is in the log; returns the owner.
    ///
    /// # Errors
    /// [`ReceiptError`].
    pub fn verify(&self, key: &VerifyKey) -> Result<&Peer, ReceiptError> {
        self.checkpoint.verify(key)?;
        let leaf = leaf_hash(&self.entry.to_bytes()?);
        let (size, root) = (self.checkpoint.size(), self.checkpoint.root());
        verify_inclusion(&self.proof, size, root, self.index, &leaf)?;
        Ok(self.checkpoint.origin())
    }

    /// The receipt as JSON.
    ///
    /// # Errors
    /// [`ReceiptError::Entry`] when the entry has parts that entries do not have.
    pub fn to_json(&self) -> Result<String, ReceiptError> {
        let text = Text {
            version: VERSION,
            index: self.index,
            entry: Json::try_from(&self.entry)?,
            proof: self.proof.iter().map(|hash| hex(hash)).collect(),
            checkpoint: String::from_utf8_lossy(&self.checkpoint.to_bytes()).into_owned(),
        };
        serde_json::to_string(&text).map_err(|error| ReceiptError::Json(error.to_string()))
    }

    /// Reads a receipt; nothing is verified yet.
    ///
    /// # Errors
    /// [`ReceiptError`].
    pub fn parse(json: &[u8]) -> Result<Self, ReceiptError> {
        let wrong = |reason: &str| ReceiptError::Json(reason.to_owned());
        if json.len() > MAX_RECEIPT_BYTES {
            return Err(wrong("it is longer than 64 KiB"));
        }
        let text: Text =
            serde_json::from_slice(json).map_err(|error| ReceiptError::Json(error.to_string()))?;
        if text.version != VERSION {
            return Err(wrong("its version is unknown"));
        }
        if text.proof.len() > MAX_PROOF_HASHES {
            return Err(wrong("its proof is longer than a proof can be"));
        }
        let proof = text.proof.iter().map(|hash| unhex32(hash)).collect::<Option<_>>();
        let entry = Entry::try_from(text.entry)?;
        // What has no encoding is in no log, and its texts could be anything.
        entry.to_bytes()?;
        Ok(Self {
            index: text.index,
            entry,
            proof: proof.ok_or_else(|| wrong("a hash of its proof is none"))?,
            checkpoint: Checkpoint::parse(text.checkpoint.as_bytes())?,
        })
    }
}

impl Store {
    /// The receipt for entry `index`: against the newest cosigned checkpoint that holds it, else
    /// the newest that does; `None` when no checkpoint holds it yet.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn receipt(&self, index: u64) -> Result<Option<Receipt>, RecordError> {
        self.read(|transaction| {
            let Some(entry) = log::entry(transaction, index)? else { return Ok(None) };
            let Some(checkpoint) = cosign::covering(transaction, index)? else { return Ok(None) };
            let proof = log::inclusion(transaction, index, checkpoint.size())?;
            Ok(Some(Receipt { index, entry, proof, checkpoint }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Kind;
    use privacy::sign::SigningKey;

    const NOW: &str = "2026-11-21T08:30:00Z";

    fn store(folder: &std::path::Path) -> Store {
        let party = "spiffe://east/node/h-1".parse().unwrap();
        Store::open(&folder.join(crate::FILE), &party, NOW).unwrap()
    }

    #[test]
    fn a_receipt_is_checked_with_nothing_but_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let key = SigningKey::from_seed([1; 32]);
        for number in 0..11u8 {
            let entry =
                Entry { request: Some([number; 32]), ..Entry::new(NOW, Kind::Release, "released") };
            store.append(&entry).unwrap();
        }
        assert_eq!(store.receipt(4).unwrap(), None, "no checkpoint yet");
        store.checkpoint(&key).unwrap();
        assert_eq!(store.receipt(11).unwrap(), None, "no such entry");
        for index in 0..11 {
            let receipt = store.receipt(index).unwrap().unwrap();
            let receipt = Receipt::parse(receipt.to_json().unwrap().as_bytes()).unwrap();
            assert_eq!(receipt.verify(&key.verify_key()), Ok(store.party()));
            assert_eq!(u64::from(receipt.entry.request.unwrap()[0]), index);
        }
    }

    #[test]
    fn a_text_that_no_entry_has_is_refused_before_anything_is_verified() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        store.append(&Entry::new(NOW, Kind::Refusal, "waiting")).unwrap();
        store.checkpoint(&SigningKey::from_seed([1; 32])).unwrap();
        let json = store.receipt(0).unwrap().unwrap().to_json().unwrap();
        let sentence = json.replacen("waiting", "all is well", 1);
        let refused = Err(ReceiptError::Entry(EntryError::Text { field: "outcome" }));
        assert_eq!(Receipt::parse(sentence.as_bytes()), refused);
    }

    #[test]
    fn a_receipt_of_another_entry_index_or_log_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let key = SigningKey::from_seed([1; 32]);
        for outcome in ["one", "two", "three"] {
            store.append(&Entry::new(NOW, Kind::Refusal, outcome)).unwrap();
        }
        store.checkpoint(&key).unwrap();
        let good = store.receipt(1).unwrap().unwrap();
        let wrong = Err(ReceiptError::Proof(InvalidProof));
        let verify = |receipt: &Receipt| receipt.verify(&key.verify_key()).cloned();
        assert_eq!(verify(&Receipt { index: 0, ..good.clone() }), wrong);
        assert_eq!(verify(&Receipt { index: 9, ..good.clone() }), wrong);
        let entry = Entry { outcome: "other".into(), ..good.entry.clone() };
        assert_eq!(verify(&Receipt { entry, ..good.clone() }), wrong);
        assert_eq!(verify(&Receipt { proof: vec![], ..good.clone() }), wrong);
        let other = SigningKey::from_seed([2; 32]);
        let checkpoint =
            Checkpoint::sign(store.party(), 3, *good.checkpoint.root(), &other).unwrap();
        let forged = verify(&Receipt { checkpoint, ..good });
        assert!(matches!(forged, Err(ReceiptError::Checkpoint(CheckpointError::Forged(_)))));
    }
}
