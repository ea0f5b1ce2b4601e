//! Keys for stays and persons: HMACs that only the hospital can make, and dense numbers for them.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use ring::rand::SecureRandom as _;
use ring::{digest, hmac, rand};

use super::error::IngestError;
use super::source::hex;

/// Bytes of the hospital's key.
const KEY_BYTES: usize = 32;
/// Bytes kept of an HMAC-SHA256: enough that 2^32 keys collide with a chance below 2^-64.
pub(crate) const HMAC_BYTES: usize = 16;
/// Access for anyone but the owner.
const OTHERS: u32 = 0o077;

/// A truncated HMAC, as two words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hmac(u64, u64);

impl std::hash::Hash for Hmac {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

impl Hmac {
    pub(crate) fn bytes(self) -> [u8; HMAC_BYTES] {
        ((u128::from(self.0) << 64) | u128::from(self.1)).to_be_bytes()
    }

    #[cfg(test)]
    pub(crate) const fn of_number(number: u64) -> Self {
        Self(number, 0)
    }
}

/// An HMAC is already uniform and unpredictable to who writes the source: its first word is its
/// hash.
#[derive(Debug, Default)]
pub(crate) struct FirstWord(u64);

impl Hasher for FirstWord {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _bytes: &[u8]) {}
    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }
}

/// The hospital's secret key.
pub(crate) struct HospitalKey {
    hmac: hmac::Key,
    /// First 16 hex digits of the key's SHA-256.
    pub(crate) id: String,
}

impl std::fmt::Debug for HospitalKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HospitalKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl HospitalKey {
    /// Reads the key; makes it when there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, IngestError> {
        let key = match File::open(path) {
            Ok(file) => read(path, file)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => create(path)?,
            Err(error) => return Err(IngestError::io("read", path)(error)),
        };
        let mut id = hex(digest::digest(&digest::SHA256, &key).as_ref());
        id.truncate(16);
        Ok(Self { hmac: hmac::Key::new(hmac::HMAC_SHA256, &key), id })
    }

    /// The HMAC of a stay's or person's id; `domain` keeps the two apart.
    pub(crate) fn sign(&self, domain: &str, id: &str) -> Hmac {
        let mut context = hmac::Context::with_key(&self.hmac);
        context.update(domain.as_bytes());
        context.update(id.as_bytes());
        let tag = context.sign();
        let word = |bytes: &[u8]| bytes.iter().fold(0_u64, |w, b| (w << 8) | u64::from(*b));
        let (first, rest) = tag.as_ref().split_at(8);
        Hmac(word(first), word(&rest[..8]))
    }
}

fn key_error(path: &Path, reason: &str) -> IngestError {
    IngestError::Key { path: path.to_owned(), reason: reason.to_owned() }
}

fn read(path: &Path, mut file: File) -> Result<Vec<u8>, IngestError> {
    let metadata = file.metadata().map_err(IngestError::io("read", path))?;
    if metadata.mode() & OTHERS != 0 {
        return Err(key_error(path, "can be read by others; chmod 600 it"));
    }
    let mut key = Vec::with_capacity(KEY_BYTES);
    file.read_to_end(&mut key).map_err(IngestError::io("read", path))?;
    if key.len() == KEY_BYTES {
        Ok(key)
    } else {
        Err(key_error(path, "is not 32 bytes long; restore it, or move it away to start a new one"))
    }
}

fn create(path: &Path) -> Result<Vec<u8>, IngestError> {
    let mut key = vec![0; KEY_BYTES];
    rand::SystemRandom::new()
        .fill(&mut key)
        .map_err(|_| key_error(path, "the system gives no random bytes"))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(IngestError::io("create", folder))?;
    }
    let io = IngestError::io("create", path);
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    opened.and_then(|mut file| file.write_all(&key).and_then(|()| file.sync_all())).map_err(io)?;
    Ok(key)
}

/// Dense numbers for HMACs, in order of first appearance.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    numbers: HashMap<Hmac, u32, BuildHasherDefault<FirstWord>>,
}

impl Numbers {
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(crate) fn find(&self, key: Hmac) -> Option<u32> {
        self.numbers.get(&key).copied()
    }

    /// The key's number, and whether it is new.
    pub(crate) fn number(&mut self, key: Hmac) -> Result<(u32, bool), IngestError> {
        let next = u32::try_from(self.numbers.len()).map_err(|_| IngestError::TooMany {
            what: "stays or persons in one snapshot".to_owned(),
            limit: usize::try_from(u32::MAX).unwrap_or(usize::MAX),
            way_out: "split the source",
        })?;
        let number = *self.numbers.entry(key).or_insert(next);
        Ok((number, number == next))
    }

    /// All keys in order of their numbers.
    pub(crate) fn into_ordered(self) -> Vec<Hmac> {
        let mut ordered = vec![Hmac(0, 0); self.numbers.len()];
        for (key, number) in self.numbers {
            if let Some(place) = usize::try_from(number).ok().and_then(|n| ordered.get_mut(n)) {
                *place = key;
            }
        }
        ordered
    }
}
