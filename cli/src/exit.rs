//! How a command ends. The codes are those of `sysexits.h`, and scripts may rely on them:
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 64 | usage: wrong arguments |
//! | 65 | data: an input file is wrong |
//! | 69 | unavailable: no coordinator, or no hospital answered in time |
//! | 70 | internal error |
//! | 74 | output or a folder cannot be written |
//! | 75 | waiting for approval by hospitals' stewards; ask again later |
//! | 77 | refused by policy |
//! | 78 | configuration: region folder, certificates, policy file |

use std::io;
use std::path::Path;

use model::{Refusal, RefusalCode};

/// Done.
pub const EX_OK: u8 = 0;
/// Wrong arguments.
pub const EX_USAGE: u8 = 64;
/// An input file is wrong.
pub const EX_DATA: u8 = 65;
/// Nobody answers.
pub const EX_UNAVAILABLE: u8 = 69;
/// A defect.
pub const EX_INTERNAL: u8 = 70;
/// Output cannot be written.
pub const EX_IO: u8 = 74;
/// Waiting for approval: the same command may be given again later.
pub const EX_WAITING: u8 = 75;
/// Refused by policy.
pub const EX_REFUSED: u8 = 77;
/// Configuration.
pub const EX_CONFIG: u8 = 78;

/// The table above, for `--help`.
pub const HELP: &str = "\
Exit codes:
   0  done
  64  wrong arguments
  65  an input file is wrong
  69  unavailable: no coordinator, or no hospital answered in time
  70  internal error
  74  output or a folder cannot be written
  75  waiting for approval by hospitals' stewards; ask again later
  77  refused by policy
  78  configuration: region folder, certificates, policy file";

/// Why a command ends without its result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The arguments do not go together.
    #[error("{0}")]
    Usage(String),
    /// An input file is wrong.
    #[error("{0}")]
    Data(String),
    /// Nobody answers, or not in time.
    #[error("{0}")]
    Unavailable(String),
    /// A defect, here or at the coordinator.
    #[error("{0}")]
    Internal(String),
    /// A file or stdout cannot be written.
    #[error("cannot write {place}: {source}")]
    Output {
        /// The file, or `stdout`.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// The question is not allowed.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// Refused by a coordinator whose code this version does not know.
    #[error("{0}")]
    RefusedOtherwise(String),
    /// Region folder, certificates or a policy file.
    #[error("{0}")]
    Configuration(String),
}

impl Failure {
    /// The exit code.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => EX_USAGE,
            Self::Data(_) => EX_DATA,
            Self::Unavailable(_) => EX_UNAVAILABLE,
            Self::Internal(_) => EX_INTERNAL,
            Self::Output { .. } => EX_IO,
            Self::Refused(refusal) if matches!(refusal.code, RefusalCode::Waiting) => EX_WAITING,
            Self::Refused(_) | Self::RefusedOtherwise(_) => EX_REFUSED,
            Self::Configuration(_) => EX_CONFIG,
        }
    }

    /// `path` cannot be written.
    pub fn output(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Output { place: path.display().to_string(), source }
    }

    /// Whether the reader of stdout went away, as `head` does; that is no failure.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        let Self::Output { source, .. } = self else { return false };
        let within = source.get_ref().and_then(|inner| inner.downcast_ref::<csv::Error>());
        let inner = within.and_then(|error| match error.kind() {
            csv::ErrorKind::Io(error) => Some(error.kind()),
            _ => None,
        });
        inner.unwrap_or(source.kind()) == io::ErrorKind::BrokenPipe
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::RefusalCode;

    #[test]
    fn every_ending_has_its_documented_code() {
        let refusal = Refusal::new(RefusalCode::Syntax, "s", "r", "i");
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        let cases = [
            (Failure::Usage(String::new()), 64),
            (Failure::Data(String::new()), 65),
            (Failure::Unavailable(String::new()), 69),
            (Failure::Internal(String::new()), 70),
            (Failure::output(Path::new("a"))(broken()), 74),
            (Failure::Refused(Box::new(refusal)), 77),
            (Failure::RefusedOtherwise(String::new()), 77),
            (Failure::Configuration(String::new()), 78),
        ];
        for (failure, code) in cases {
            assert_eq!(failure.code(), code, "{failure:?}");
            assert!(HELP.contains(&format!("  {code}  ")), "{code} is in --help");
        }
        assert!(Failure::output(Path::new("stdout"))(broken()).is_closed_pipe());
    }
}
