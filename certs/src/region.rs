//! A region's authority at work: who is invited, enrolled, renewed and revoked.
//!
//! It exists because a roster is the region's defence against invented hospitals: somebody must
//! vouch for every key, and it must be the same somebody who issues certificates. It guarantees
//! that one token enrols one party once; that what stands in a certificate is the authority's own
//! record and never the request's word; that the record is durable before anything that follows
//! from it is shown; and that a crash at any point leaves a record whose roster and revocation
//! list the next command publishes. It leaves out carrying files between parties, and time: every
//! command is told when it is.

mod admission;
mod error;
mod layout;
mod reconcile;
mod record;
mod summary;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use privacy::sign::{SigningKey, VerifyKey};

pub use admission::Admission;
pub use error::{EnrolmentRefusal, RegionError};
pub use layout::{Layout, stem};
pub use summary::{Invited, Party, Summary};

use self::reconcile::carry_over;
use self::record::{FORM, Record, seconds};
use crate::files::{Access, read, replace, write_error, write_private};
use crate::keys::signing_key;
use crate::random::random;
use crate::revocations::Published;
use crate::{Authority, CertsError, Validity};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Clocks differ: an authority and its certificates begin a little before they are made.
const AUTHORITY_EARLIER: Duration = Duration::from_secs(60 * 60);
const LEAF_EARLIER: Duration = Duration::from_secs(5 * 60);

/// How long what an authority signs is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// A party's certificate.
    pub leaf: Duration,
    /// A revocation list.
    pub revocations: Duration,
    /// The authority itself.
    pub authority: Duration,
}

/// A region's authority with its folder. Only one exists at a time for a folder: a lock is held
/// until it is dropped. `Debug` shows no key.
#[derive(Debug)]
pub struct Region {
    layout: Layout,
    record: Record,
    authority: Authority,
    roster_key: SigningKey,
    restored: bool,
    _lock: File,
}

// === impl Terms ===

impl Default for Terms {
    /// Certificates of a day, lists of a week, an authority of ten years.
    fn default() -> Self {
        Self { leaf: DAY, revocations: 7 * DAY, authority: 3_650 * DAY }
    }
}

// === impl Region ===

impl Region {
    /// Makes the authority of the new region `name` in `root`: keys, an empty roster and an
    /// empty revocation list.
    ///
    /// # Errors
    /// [`RegionError::Exists`] when there is an authority in the folder; nothing is overwritten.
    pub fn init(
        root: &Path,
        name: &str,
        terms: Terms,
        now: SystemTime,
    ) -> Result<Self, RegionError> {
        let layout = Layout::new(root);
        private_folder(&layout.secrets())?;
        let lock = lock(&layout)?;
        let parts = [layout.record(), layout.authority_key(), layout.certificate()];
        if let Some(path) = parts.into_iter().find(|path| path.exists()) {
            return Err(RegionError::Exists { path });
        }
        let validity = Validity::starting(now - AUTHORITY_EARLIER, terms.authority);
        let authority = Authority::create(name, validity)?;
        let roster_key = SigningKey::from_seed(random()?);
        write_private(&layout.authority_key(), &authority.key_pem())?;
        write_private(&layout.roster_key(), &roster_key.to_text())?;
        let record = Record::new(name, terms, seconds(now))?;
        let first = record.clone();
        let restored = false;
        let mut region =
            Self { layout, record: first, authority, roster_key, restored, _lock: lock };
        region.commit(record, now)?;
        Ok(region)
    }

    /// Opens the authority that [`Region::init`] made in `root`.
    ///
    /// # Errors
    /// [`RegionError`] naming the file at fault and the way out.
    pub fn open(root: &Path) -> Result<Self, RegionError> {
        let layout = Layout::new(root);
        let record_path = layout.record();
        if !record_path.is_file() {
            return Err(RegionError::Absent { path: record_path });
        }
        let lock = lock(&layout)?;
        let mut record = read_record(&record_path)?;
        let text = |path: PathBuf| read(&path)?.ok_or(RegionError::Absent { path });
        let (certificate, key) = (text(layout.certificate())?, text(layout.authority_key())?);
        let authority = Authority::load(&certificate, &key)?;
        if authority.region() != record.region {
            let reason = format!("it is of another region than {}", layout.certificate().display());
            return Err(RegionError::Damaged { path: record_path, reason });
        }
        let roster_key = signing_key(&layout.roster_key())?;
        let restored = carry_over(&mut record, &layout, &authority, &roster_key)?;
        Ok(Self { layout, record, authority, roster_key, restored, _lock: lock })
    }

    /// The region's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.record.region
    }

    /// Where its files are.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The certificate authority.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// What verifies its rosters.
    #[must_use]
    pub fn roster_verify_key(&self) -> VerifyKey {
        self.roster_key.verify_key()
    }

    /// Whether the record was older than what had been published from it, as a restored backup is:
    /// revocations and numbers were taken over from there, enrolments since are lost.
    #[must_use]
    pub const fn was_restored(&self) -> bool {
        self.restored
    }

    /// Makes `record` the record, durably; then publishes what follows from it.
    fn commit(&mut self, mut record: Record, now: SystemTime) -> Result<(), RegionError> {
        record.prune(seconds(now));
        let text = serde_json::to_string_pretty(&record)
            .map_err(|error| CertsError::Encode(error.to_string()))?;
        replace(&self.layout.record(), text.as_bytes(), Access::Private)?;
        self.record = record;
        self.publish()
    }

    /// Brings the public files up to the record. A file that says so already is left alone.
    fn publish(&self) -> Result<(), RegionError> {
        let layout = &self.layout;
        let put = |path: PathBuf, text: &str| match read(&path)? {
            Some(kept) if kept == text => Ok(()),
            _ => replace(&path, text.as_bytes(), Access::Public),
        };
        put(layout.certificate(), self.authority.certificate_pem())?;
        put(layout.roster_verify_key(), &format!("{}\n", self.roster_verify_key()))?;
        let roster = self.record.roster(&self.roster_key).to_bytes();
        put(layout.roster(), &String::from_utf8_lossy(&roster))?;
        let path = layout.revocations();
        let published = read(&path)?.and_then(|text| Published::read(&text, &self.authority));
        if published.map(|list| list.number) != Some(self.record.list.number) {
            let list = self.authority.sign_list(&self.record.revocation_list())?;
            replace(&path, list.as_bytes(), Access::Public)?;
        }
        Ok(())
    }
}

/// A folder that only its owner may look into.
fn private_folder(path: &Path) -> Result<(), CertsError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|source| write_error(parent, source))?;
    }
    let mut folder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    match folder.create(path) {
        Err(error) if !path.is_dir() => Err(write_error(path, error)),
        _ => Ok(()),
    }
}

fn lock(layout: &Layout) -> Result<File, RegionError> {
    let path = layout.lock();
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| write_error(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RegionError::Busy { path }),
        Err(TryLockError::Error(source)) => Err(write_error(&path, source).into()),
    }
}

fn read_record(path: &Path) -> Result<Record, RegionError> {
    #[derive(serde::Deserialize)]
    struct Form {
        form: u32,
    }
    let damaged = |error: serde_json::Error| RegionError::Damaged {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let text = read(path)?.ok_or_else(|| RegionError::Absent { path: path.to_owned() })?;
    let Form { form } = serde_json::from_str(&text).map_err(damaged)?;
    if form > FORM {
        return Err(RegionError::Newer { path: path.to_owned(), form });
    }
    serde_json::from_str(&text).map_err(damaged)
}

#[cfg(test)]
mod tests;
