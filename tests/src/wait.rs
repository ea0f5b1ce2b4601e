//! Waiting for a condition, never for a time.

use std::future::Future;
use std::time::Duration;

use tokio::time::{sleep, timeout};

/// Longest wait of a test; it only bounds a test that fails.
pub const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not hold within [`PATIENCE`].
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    until_some(what, || std::future::ready(condition().then_some(()))).await;
}

/// Waits until `attempt` gives something.
///
/// # Panics
/// When it does not within [`PATIENCE`].
pub async fn until_some<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut attempt: impl FnMut() -> F,
) -> T {
    let polling = async {
        loop {
            if let Some(found) = attempt().await {
                return found;
            }
            sleep(POLL).await;
        }
    };
    let Ok(found) = timeout(PATIENCE, polling).await else { panic!("waited in vain until {what}") };
    found
}
