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
        let state = Mutex::new(State { current, stamps, checked, complaint: None });
        Ok(Arc::new(Self { config, clock, peer, state }))
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

fn stamps(config: &IdentityConfig) -> Vec<Stamp> {
    let files = [&config.certificate, &config.key, &config.authority];
    files.into_iter().chain(config.revocations.as_ref()).map(|path| stamp(path)).collect()
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
