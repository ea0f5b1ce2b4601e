//! How a process is asked to stop.
//!
//! It exists so that every task learns of it from one value. It guarantees that a request to
//! stop is never lost, whoever waits first. The first signal drains, the second ends the drain.
//! It leaves out exiting: `main` returns when its tasks have.

use std::sync::Arc;

use tokio::sync::watch;

/// A request to stop, shared by its clones.
#[derive(Debug, Clone)]
pub struct Shutdown(Arc<watch::Sender<Stage>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Running,
    Draining,
    Immediate,
}

// === impl Shutdown ===

impl Shutdown {
    /// One that only [`Shutdown::trigger`] sets off.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Stage::Running)))
    }

    /// One that SIGTERM and SIGINT set off: the first drains, the second ends the drain.
    ///
    /// # Errors
    /// The system's, when the process may not listen for signals.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::new();
        let mut signals = Signals::listen()?;
        let remote = shutdown.clone();
        tokio::spawn(async move {
            loop {
                let signal = signals.next().await;
                tracing::info!(signal, "asked to stop");
                remote.trigger();
            }
        });
        Ok(shutdown)
    }

    /// Asks to stop; asks a second time, and the drain ends at once.
    pub fn trigger(&self) {
        self.0.send_modify(|stage| {
            *stage = match stage {
                Stage::Running => Stage::Draining,
                Stage::Draining | Stage::Immediate => Stage::Immediate,
            };
        });
    }

    /// Whether anybody asked to stop.
    #[must_use]
    pub fn is_triggered(&self) -> bool {
        *self.0.borrow() >= Stage::Draining
    }

    /// Waits until somebody asks to stop.
    pub async fn wait(&self) {
        self.reached(Stage::Draining).await;
    }

    /// Waits until somebody has asked twice.
    pub async fn wait_immediate(&self) {
        self.reached(Stage::Immediate).await;
    }

    async fn reached(&self, wanted: Stage) {
        // The sender lives as long as `self`, so the channel cannot close under the wait.
        let _ = self.0.subscribe().wait_for(|stage| *stage >= wanted).await;
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "CTRL-C"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_request_is_immediate_and_none_is_lost() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.is_triggered());
        let early = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.wait().await }
        });
        shutdown.trigger();
        early.await.unwrap();
        shutdown.wait().await;
        assert!(shutdown.is_triggered());
        let immediate = shutdown.wait_immediate();
        tokio::pin!(immediate);
        tokio::select! {
            biased;
            () = &mut immediate => panic!("one request only drains"),
            () = std::future::ready(()) => {}
        }
        shutdown.trigger();
        immediate.await;
    }
}
