//! Checkpoints: a party's word on how long its log is and what is in it.
//!
//! A checkpoint is a C2SP signed note: the log's origin (its party's SPIFFE id), the number of
//! entries and the root hash, then one signature line for the owner and one for each party that
//! has seen a proof of consistency. Signatures are plain Ed25519 over the note's text (note key
//! type 1), so any tool that verifies signed notes verifies them. It guarantees that what was
//! parsed is well formed; who signed is told by the `verify` functions only.

use std::fmt;

use model::Peer;
use privacy::sign::{Context, Signature as RawSignature, SigningKey, VerifyKey};
use signed_note::{Note, Signature, Verifier, VerifierList, key_id};
use tlog_tiles::Hash;

/// Longest checkpoint in bytes: a text and a few dozen signatures.
pub const MAX_CHECKPOINT_BYTES: usize = 16 * 1024;
/// Longest signature line in bytes.
pub const MAX_LINE_BYTES: usize = 512;
/// Most signatures on one checkpoint.
pub const MAX_SIGNATURES: usize = 32;
/// Note key type of plain Ed25519 (C2SP signed-note).
const ED25519: u8 = 1;

/// A well-formed checkpoint. Nothing about it is verified yet.
#[derive(Clone, PartialEq)]
pub struct Checkpoint {
    origin: Peer,
    size: u64,
    root: [u8; 32],
    signatures: Vec<Signature>,
}

/// Why a checkpoint is not one, or not somebody's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note is not well formed.
    #[error("the note cannot be read: {0}")]
    Malformed(&'static str),
    /// A party has not signed it.
    #[error("{0} has not signed it")]
    Unsigned(String),
    /// A signature is not that party's over this text.
    #[error("the signature of {0} does not verify")]
    Forged(String),
    /// There is no room for another signature.
    #[error("it has more than {MAX_SIGNATURES} signatures")]
    TooMany,
}

// === impl Checkpoint ===

impl Checkpoint {
    /// The checkpoint of `origin`'s log, signed by its owner.
    ///
    /// # Errors
    /// [`CheckpointError`] when the name cannot stand in a note.
    pub fn sign(
        origin: &Peer,
        size: u64,
        root: [u8; 32],
        key: &SigningKey,
    ) -> Result<Self, CheckpointError> {
        let mut checkpoint = Self { origin: origin.clone(), size, root, signatures: Vec::new() };
        let own = signature(origin, key, &checkpoint.text())?;
        checkpoint.signatures.push(own);
        Ok(checkpoint)
    }

    /// Reads a note.
    ///
    /// # Errors
    /// [`CheckpointError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        use CheckpointError::Malformed;
        if bytes.len() > MAX_CHECKPOINT_BYTES {
            return Err(Malformed("it is longer than 16 KiB"));
        }
        if std::str::from_utf8(bytes).is_err() {
            return Err(Malformed("it is no UTF-8 text"));
        }
        let note = Note::from_bytes(bytes).map_err(|_| Malformed("it is no signed note"))?;
        let head = tlog_tiles::Checkpoint::from_bytes(note.text())
            .map_err(|_| Malformed("its text is no checkpoint"))?;
        if !head.extension().is_empty() {
            return Err(Malformed("it has lines that checkpoints here do not have"));
        }
        let origin =
            head.origin().parse().map_err(|_| Malformed("its origin does not name a party"))?;
        // The note ends with its signature lines; its text and an empty line come before them.
        let lines = bytes.get(note.text().len() + 1..).unwrap_or_default();
        let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let signatures: Vec<_> = lines
            .map(Signature::from_bytes)
            .collect::<Result<_, _>>()
            .map_err(|_| Malformed("a line is no signature"))?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(CheckpointError::TooMany);
        }
        let checkpoint = Self { origin, size: head.size(), root: head.hash().0, signatures };
        if checkpoint.to_bytes() == bytes {
            Ok(checkpoint)
        } else {
            Err(Malformed("it is not in the one form that notes have"))
        }
    }

    /// The note.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.text();
        bytes.push(b'\n');
        bytes.extend(self.signatures.iter().flat_map(Signature::to_bytes));
        bytes
    }

    /// The note as text, which every note that was signed or parsed here is.
    #[must_use]
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.to_bytes()).into_owned()
    }

    /// Whose log it is about.
    #[must_use]
    pub const fn origin(&self) -> &Peer {
        &self.origin
    }

    /// How many entries the log has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root over them.
    #[must_use]
    pub const fn root(&self) -> &[u8; 32] {
        &self.root
    }

    /// Names on signature lines other than the owner's, whether or not they verify.
    #[must_use]
    pub fn cosigners(&self) -> Vec<&str> {
        let origin = self.origin.to_string();
        self.signatures.iter().map(Signature::name).filter(|name| *name != origin).collect()
    }

    /// Checks the owner's signature.
    ///
    /// # Errors
    /// [`CheckpointError::Unsigned`] or [`CheckpointError::Forged`].
    pub fn verify(&self, key: &VerifyKey) -> Result<(), CheckpointError> {
        self.verify_by(&self.origin, key)
    }

    /// Checks the signature of `party`.
    ///
    /// # Errors
    /// [`CheckpointError::Unsigned`] or [`CheckpointError::Forged`].
    pub fn verify_by(&self, party: &Peer, key: &VerifyKey) -> Result<(), CheckpointError> {
        let name = party.to_string();
        let signatures: Vec<_> =
            self.signatures.iter().filter(|signature| signature.name() == name).cloned().collect();
        if signatures.is_empty() {
            return Err(CheckpointError::Unsigned(name));
        }
        let forged = || CheckpointError::Forged(name.clone());
        let note = Note::new(&self.text(), &signatures).map_err(|_| forged())?;
        let verifiers = VerifierList::new(vec![Box::new(Verifying::new(party, key))]);
        let (verified, other) = note.verify(&verifiers).map_err(|_| forged())?;
        if verified.len() == signatures.len() && other.is_empty() { Ok(()) } else { Err(forged()) }
    }

    /// The signature line of `party` under this checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError`] when the name cannot stand in a note.
    pub fn cosignature(&self, party: &Peer, key: &SigningKey) -> Result<Vec<u8>, CheckpointError> {
        Ok(signature(party, key, &self.text())?.to_bytes())
    }

    /// Adds the signature line of `party` after verifying it; one by the same party is replaced.
    ///
    /// # Errors
    /// [`CheckpointError`]; the checkpoint is then as it was.
    pub fn add_cosignature(
        &mut self,
        line: &[u8],
        party: &Peer,
        key: &VerifyKey,
    ) -> Result<(), CheckpointError> {
        use CheckpointError::Malformed;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.len() > MAX_LINE_BYTES {
            return Err(Malformed("a signature line is longer than 512 bytes"));
        }
        let signature =
            Signature::from_bytes(line).map_err(|_| Malformed("a line is no signature"))?;
        let name = party.to_string();
        if signature.name() != name {
            return Err(CheckpointError::Unsigned(name));
        }
        let mut more = self.clone();
        more.signatures.retain(|known| known.name() != name);
        more.signatures.push(signature);
        if more.signatures.len() > MAX_SIGNATURES {
            return Err(CheckpointError::TooMany);
        }
        more.verify_by(party, key)?;
        *self = more;
        Ok(())
    }

    fn text(&self) -> Vec<u8> {
        format!("{}\n{}\n{}\n", self.origin, self.size, Hash(self.root)).into_bytes()
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checkpoint({}, {})", self.origin, self.size)
    }
}

/// The key as it goes into a key id.
fn encoded(key: &VerifyKey) -> Vec<u8> {
    [&[ED25519], key.as_bytes().as_slice()].concat()
}

fn signature(party: &Peer, key: &SigningKey, text: &[u8]) -> Result<Signature, CheckpointError> {
    let name = party.to_string();
    let id = key_id(&name, &encoded(&key.verify_key()));
    let signed = key.sign(Context::Checkpoint, text);
    Signature::new(name, id, signed.as_bytes().to_vec())
        .map_err(|_| CheckpointError::Malformed("the party's name cannot stand in a note"))
}

/// One party's key, as notes see it.
struct Verifying {
    name: String,
    id: u32,
    key: VerifyKey,
}

impl Verifying {
    fn new(party: &Peer, key: &VerifyKey) -> Self {
        let name = party.to_string();
        Self { id: key_id(&name, &encoded(key)), name, key: *key }
    }
}

impl Verifier for Verifying {
    fn name(&self) -> &str {
        &self.name
    }

    fn key_id(&self) -> u32 {
        self.id
    }

    fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        RawSignature::try_from(signature)
            .is_ok_and(|signature| self.key.verify(Context::Checkpoint, text, &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use signed_note::StandardVerifier;

    fn party(uri: &str) -> Peer {
        uri.parse().unwrap()
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed([seed; 32])
    }

    fn node() -> Peer {
        party("spiffe://east/node/h-1")
    }

    #[test]
    fn other_tools_verify_our_notes() {
        let checkpoint = Checkpoint::sign(&node(), 5, [7; 32], &key(1)).unwrap();
        let note = Note::from_bytes(&checkpoint.to_bytes()).unwrap();
        let name = node().to_string();
        let public = encoded(&key(1).verify_key());
        // The key in the text form that signed_note's own tools read.
        let key_text = format!("{name}+{:08x}+{}", key_id(&name, &public), encode(&public));
        let verifier = StandardVerifier::new(&key_text).unwrap();
        let (verified, other) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
        assert_eq!((verified.len(), other.len()), (1, 0));
    }

    /// Standard base64, from the one place where our dependencies show it: a hash of 32 bytes.
    fn encode(key: &[u8]) -> String {
        assert_eq!(key.len(), 33, "a key type and a key");
        // 33 bytes are 44 characters without padding; the first 30 bytes are 40 of them.
        let mut first = [0u8; 32];
        first[..30].copy_from_slice(&key[..30]);
        let mut last = [0u8; 32];
        last[..3].copy_from_slice(&key[30..]);
        let (first, last) = (Hash(first).to_string(), Hash(last).to_string());
        format!("{}{}", &first[..40], &last[..4])
    }

    #[test]
    fn a_checkpoint_round_trips_with_its_cosignatures() {
        let mut checkpoint = Checkpoint::sign(&node(), 5, [7; 32], &key(1)).unwrap();
        let witness = party("spiffe://east/witness/main");
        let line = checkpoint.cosignature(&witness, &key(2)).unwrap();
        checkpoint.add_cosignature(&line, &witness, &key(2).verify_key()).unwrap();
        checkpoint.add_cosignature(&line, &witness, &key(2).verify_key()).unwrap();
        let again = Checkpoint::parse(&checkpoint.to_bytes()).unwrap();
        assert_eq!((again.origin(), again.size(), again.root()), (&node(), 5, &[7; 32]));
        assert_eq!(again.cosigners(), ["spiffe://east/witness/main"]);
        assert_eq!(again.verify(&key(1).verify_key()), Ok(()));
        assert_eq!(again.verify_by(&witness, &key(2).verify_key()), Ok(()));
    }

    #[test]
    fn signatures_of_others_over_other_texts_and_under_other_names_are_refused() {
        let mut checkpoint = Checkpoint::sign(&node(), 5, [7; 32], &key(1)).unwrap();
        let witness = party("spiffe://east/witness/main");
        let forged = |name: &Peer| Err(CheckpointError::Forged(name.to_string()));
        let unsigned = |name: &Peer| Err(CheckpointError::Unsigned(name.to_string()));
        assert_eq!(checkpoint.verify(&key(2).verify_key()), forged(&node()));
        assert_eq!(checkpoint.verify_by(&witness, &key(2).verify_key()), unsigned(&witness));
        let other = Checkpoint::sign(&node(), 6, [7; 32], &key(1)).unwrap();
        let line = other.cosignature(&witness, &key(2)).unwrap();
        let mut add =
            |line: &[u8]| checkpoint.add_cosignature(line, &witness, &key(2).verify_key());
        assert_eq!(add(&line), forged(&witness));
        assert_eq!(add(&other.cosignature(&node(), &key(2)).unwrap()), unsigned(&witness));
        assert!(matches!(add(b"nonsense"), Err(CheckpointError::Malformed(_))));
        assert!(checkpoint.cosigners().is_empty());
    }

    #[test]
    fn no_byte_of_a_checkpoint_can_be_changed() {
        let mut checkpoint = Checkpoint::sign(&node(), 1_234, [7; 32], &key(1)).unwrap();
        let witness = party("spiffe://east/witness/main");
        let line = checkpoint.cosignature(&witness, &key(2)).unwrap();
        checkpoint.add_cosignature(&line, &witness, &key(2).verify_key()).unwrap();
        let bytes = checkpoint.to_bytes();
        let both = |checkpoint: &Checkpoint| {
            checkpoint.verify_by(&node(), &key(1).verify_key())?;
            checkpoint.verify_by(&witness, &key(2).verify_key())
        };
        for position in 0..bytes.len() {
            for flip in [0x01, 0x20, 0x80] {
                let mut changed = bytes.clone();
                changed[position] ^= flip;
                let verified = Checkpoint::parse(&changed).and_then(|changed| both(&changed));
                assert!(verified.is_err(), "byte {position} changed by {flip}");
            }
        }
        assert_eq!(both(&Checkpoint::parse(&bytes).unwrap()), Ok(()));
    }
}
