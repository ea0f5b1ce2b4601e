//! What asking and leading rounds share: telling how far they are, numbers of the wire, patience.

use std::time::Duration;

use proto::v1;
use tokio::sync::mpsc::Sender;

/// Pause before an unreachable hospital is tried a second time.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// How far a question is; sent whenever a hospital is done, unless the channel is full.
pub(crate) type ProgressSender = Sender<v1::Progress>;

/// A time as it travels.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A number as it travels.
pub(crate) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
