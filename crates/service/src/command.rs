//! What the command lines of all roles share: exit codes, failures, and the report of `check`.
//!
//! Exit codes are those of sysexits: 0 done, 65 bad data, 69 cannot listen or serve, 74 input or
//! output failed, 78 configuration. A failure is one line on standard error. It leaves out the
//! arguments: each role has its own.

use std::fmt::Display;
use std::net::ToSocketAddrs as _;
use std::process::ExitCode;

use model::Peer;
use tokio::runtime::{Builder, Runtime};

use crate::clock::{Clock, rfc3339};
use crate::config::IdentityConfig;
use crate::identity::TlsIdentity;
use crate::output::{line, note};
use crate::role::RoleError;
use crate::telemetry::{self, LogConfig};

const USAGE: u8 = 64;
const DATA: u8 = 65;
const UNAVAILABLE: u8 = 69;
const INPUT_OUTPUT: u8 = 74;
const CONFIGURATION: u8 = 78;

/// Why a command did not do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    code: u8,
    text: String,
}

/// What `check` finds: lines about what is in force, and problems.
#[derive(Debug, Default)]
pub struct Check {
    problems: Vec<String>,
}

// === impl Failure ===

impl Failure {
    fn new(code: u8, error: &dyn Display) -> Self {
        Self { code, text: error.to_string() }
    }

    /// Wrong arguments (64).
    #[must_use]
    pub fn usage(error: &dyn Display) -> Self {
        Self::new(USAGE, error)
    }

    /// Data that cannot be used (65).
    #[must_use]
    pub fn data(error: &dyn Display) -> Self {
        Self::new(DATA, error)
    }

    /// Cannot listen or serve (69).
    #[must_use]
    pub fn unavailable(error: &dyn Display) -> Self {
        Self::new(UNAVAILABLE, error)
    }

    /// Reading or writing failed (74).
    #[must_use]
    pub fn input_output(error: &dyn Display) -> Self {
        Self::new(INPUT_OUTPUT, error)
    }

    /// The configuration, or a file that it names, is wrong (78).
    #[must_use]
    pub fn configuration(error: &dyn Display) -> Self {
        Self::new(CONFIGURATION, error)
    }

    /// The exit code.
    #[must_use]
    pub const fn code(&self) -> u8 {
        self.code
    }
}

impl From<&RoleError> for Failure {
    fn from(error: &RoleError) -> Self {
        match error {
            RoleError::Listen { .. } => Self::unavailable(error),
            _ => Self::configuration(error),
        }
    }
}

/// Ends a command of `program`: says why it failed, if it did.
#[must_use]
pub fn finish(program: &str, outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            note(&format!("{program}: {}", failure.text));
            ExitCode::from(failure.code)
        }
    }
}

/// Starts logging as configured.
///
/// # Errors
/// [`Failure`] when the filter cannot be understood.
pub fn start_logging(config: &LogConfig) -> Result<(), Failure> {
    telemetry::init(config.filter.as_deref(), config.format)
        .map_err(|error| Failure::configuration(&error))
}

/// A runtime that `describe` has adjusted.
///
/// # Errors
/// [`Failure`] when the system gives no threads.
pub fn runtime(describe: impl FnOnce(&mut Builder)) -> Result<Runtime, Failure> {
    let mut builder = Builder::new_multi_thread();
    builder.enable_all();
    describe(&mut builder);
    builder.build().map_err(|error| Failure::unavailable(&error))
}

// === impl Check ===

impl Check {
    /// Shows one thing that is in force.
    pub fn line(&self, name: &str, value: &dyn Display) {
        line(&format!("{name:<11} {value}"));
    }

    /// Notes a problem.
    pub fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    /// Notes problems.
    pub fn problems(&mut self, problems: impl IntoIterator<Item = String>) {
        self.problems.extend(problems);
    }

    /// Shows where it will listen, or notes that it is no address.
    pub fn listen(&mut self, address: &str) {
        self.line("listen", &address);
        if let Err(error) = address.to_socket_addrs() {
            self.problem(format!("listen = \"{address}\" is no host:port: {error}"));
        }
    }

    /// Shows how long the record is, or notes what is wrong with it.
    pub fn record<E: Display>(&mut self, entries: Result<Option<u64>, E>) {
        match entries {
            Ok(Some(entries)) => self.line("record", &format_args!("{entries} entries")),
            Ok(None) => self.line("record", &"none yet"),
            Err(error) => self.problem(error.to_string()),
        }
    }

    /// Shows the identity, or notes what is wrong with it. `expected` is who the configuration
    /// says this is.
    pub fn identity(&mut self, expected: &Peer, config: &IdentityConfig, clock: &Clock) {
        match TlsIdentity::load(config, clock) {
            Ok(identity) => {
                let (peer, until) = (identity.peer(), rfc3339(identity.not_after()));
                self.line("identity", &format_args!("{peer} until {until}"));
                if let Some(list) = identity.revocations_until() {
                    self.line("revocations", &format_args!("until {}", rfc3339(list)));
                    if list < clock.now() {
                        self.problem(format!("the revocation list expired at {}", rfc3339(list)));
                    }
                }
                if peer != expected {
                    self.problem(format!("the certificate says {peer}, but this is {expected}"));
                }
            }
            Err(error) => self.problem(error.to_string()),
        }
    }

    /// Lists the problems.
    ///
    /// # Errors
    /// [`Failure`] when there are any.
    pub fn finish(self) -> Result<(), Failure> {
        for problem in &self.problems {
            self.line("problem", problem);
        }
        match self.problems.len() {
            0 => {
                line("ready");
                Ok(())
            }
            1 => Err(Failure::configuration(&"1 problem")),
            count => Err(Failure::configuration(&format_args!("{count} problems"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_keep_their_codes_and_a_check_without_problems_is_none() {
        let listen = RoleError::Listen {
            role: "node",
            address: "a:1".to_owned(),
            source: std::io::Error::other("taken"),
        };
        assert_eq!(Failure::from(&listen).code(), 69);
        let name = Peer::new("", model::Role::Node, "h").unwrap_err();
        assert_eq!(Failure::from(&RoleError::Name(name)).code(), 78);
        assert_eq!((Failure::data(&"x").code(), Failure::input_output(&"x").code()), (65, 74));
        assert_eq!(Check::default().finish(), Ok(()));
        let mut check = Check::default();
        check.problems(["one".to_owned(), "two".to_owned()]);
        assert_eq!(check.finish(), Err(Failure::configuration(&"2 problems")));
    }
}
