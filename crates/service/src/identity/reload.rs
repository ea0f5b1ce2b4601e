//! New certificates and revocation lists without a restart.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use model::Peer;

use super::{IdentityError, TlsIdentity};
use crate::clock::{Clock, rfc3339};
use crate::config::IdentityConfig;

/// The files are looked at this often at most, and only when a connection is made.
pub const RELOAD_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// An identity that follows its files.
///
/// When a file has changed, the next new connection uses it; connections that stand keep what
/// they were made with, and their age is bounded. When the new files cannot be used, the old
/// identity stays, the reason is logged once and the files are tried again.
#[derive(Debug)]
pub struct ReloadingIdentity {
    config: IdentityConfig,
    clock: Clock,
    peer: Peer,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    current: Arc<TlsIdentity>,
    stamps: Vec<Stamp>,
    checked: Instant,
    complaint: Option<String>,
    warned: Warned,
}

/// What the operator was told of the files in use.
#[derive(Debug, Default, Clone, Copy)]
struct Warned {
    renewal: bool,
    list: bool,
}

/// What tells one version of a file from the next; `None` when it is missing.
type Stamp = Option<(SystemTime, u64)>;

// === impl ReloadingIdentity ===

impl ReloadingIdentity {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// [`IdentityError`], as [`TlsIdentity::load`].
    pub fn open(config: IdentityConfig, clock: Clock) -> Result<Arc<Self>, IdentityError> {
        // Stamps come before contents: a change in between is seen again, not missed.
        let stamps = stamps(&config);
        let current = Arc::new(TlsIdentity::load(&config, &clock)?);
        let peer = current.peer().clone();
        let checked = clock.monotonic();
        let warned = Warned::default();
        let mut state = State { current, stamps, checked, complaint: None, warned };
        state.warn(&config, clock.now());
        Ok(Arc::new(Self { config, clock, peer, state: Mutex::new(state) }))
    }

    /// Who this process is; a reload never changes it.
    #[must_use]
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// When the certificate in use expires.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.current().not_after()
    }

    /// The identity in force, read anew if its files have changed. It reads a few small files,
    /// at most once in [`RELOAD_CHECK_INTERVAL`].
    #[must_use]
    pub fn current(&self) -> Arc<TlsIdentity> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.monotonic();
        if now.duration_since(state.checked) >= RELOAD_CHECK_INTERVAL {
            state.checked = now;
            self.refresh(&mut state);
            state.warn(&self.config, self.clock.now());
        }
        Arc::clone(&state.current)
    }

    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    fn refresh(&self, state: &mut State) {
        let stamps = stamps(&self.config);
        if stamps == state.stamps {
            return;
        }
        match self.load_same_peer() {
            Ok(new) => {
                let not_after = rfc3339(new.not_after());
                tracing::info!(peer = %self.peer, not_after, "certificate files reloaded");
                state.current = Arc::new(new);
                state.stamps = stamps;
                state.complaint = None;
                state.warned = Warned::default();
            }
            Err(error) => {
                let complaint = Some(error.to_string());
                if state.complaint != complaint {
                    tracing::error!(peer = %self.peer, %error, "keeping the old certificate");
                    state.complaint = complaint;
                }
            }
        }
    }

    fn load_same_peer(&self) -> Result<TlsIdentity, IdentityError> {
        let new = TlsIdentity::load(&self.config, &self.clock)?;
        if new.peer() == &self.peer {
            return Ok(new);
        }
        Err(IdentityError::OtherPeer { current: self.peer.clone(), new: new.peer().clone() })
    }
}

impl State {
    /// Says once what the operator has to renew.
    fn warn(&mut self, config: &IdentityConfig, now: SystemTime) {
        let until = self.current.revocations_until().filter(|until| now > *until);
        if let (Some(until), Some(path), false) = (until, &config.revocations, self.warned.list) {
            let (path, expired) = (path.display(), rfc3339(until));
            tracing::error!(
                %path,
                expired,
                "the revocation list is out of date: nobody is let in until the authority's new \
                 one (consilium region crl) is in its place"
            );
            self.warned.list = true;
        }
        if now > self.current.renew_after() && !self.warned.renewal {
            let (path, not_after) = (config.certificate.display(), rfc3339(self.current.not_after));
            tracing::warn!(%path, not_after, "the certificate is due to be renewed");
            self.warned.renewal = true;
        }
    }
}

fn stamps(config: &IdentityConfig) -> Vec<Stamp> {
    let files = [&config.certificate, &config.key, &config.authority];
    files.into_iter().chain(config.revocations.as_ref()).map(|path| stamp(path)).collect()
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
