//! A real program, run as a child process.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use crate::wait;

/// A child process; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Process {
    /// Starts `exe` with `words`, its output kept.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(exe: &Path, words: &[&str]) -> anyhow::Result<Self> {
        Self::start_with(exe, words, &[])
    }

    /// The same, with variables in its environment.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_with(
        exe: &Path,
        words: &[&str],
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(exe);
        command.envs(variables.iter().copied());
        command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let log = Arc::new(Mutex::new(String::new()));
        if let Some(out) = child.stdout.take() {
            keep(out, &log);
        }
        if let Some(err) = child.stderr.take() {
            keep(err, &log);
        }
        Ok(Self { child, log })
    }

    /// Everything it has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where it listens, once it says so.
    pub async fn address(&mut self) -> SocketAddr {
        wait::until_some("the process listens", || {
            let ended = self.child.try_wait().ok().flatten();
            let log = self.log();
            assert!(ended.is_none(), "the process ended ({ended:?}): {log}");
            let found = log.split("address=").nth(1).and_then(|rest| {
                rest.split_whitespace().next().and_then(|address| address.parse().ok())
            });
            std::future::ready(found)
        })
        .await
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// `kill -TERM`.
    ///
    /// # Panics
    /// When the signal cannot be sent.
    pub fn terminate(&self) {
        let command = format!("kill -TERM {}", self.child.id());
        let status = Command::new("sh").args(["-c", &command]).status().expect("sh runs");
        assert!(status.success(), "the signal was not sent");
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().ok().flatten().is_some()
    }

    /// Waits for its end; the exit code, `None` after a signal.
    pub async fn exit_code(&mut self) -> Option<i32> {
        wait::until_some("the process ends", || {
            std::future::ready(self.child.try_wait().expect("a child can be waited for"))
        })
        .await
        .code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn keep(from: impl std::io::Read + Send + 'static, log: &Arc<Mutex<String>>) {
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&line);
            log.push('\n');
        }
    });
}
