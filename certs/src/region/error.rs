//! Why an authority says no, and why it cannot say anything.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::authority::rfc3339;
use crate::{CertsError, RequestError, Subject};

/// A command of a region's authority that did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// A file cannot be read or written, or a certificate cannot be made.
    #[error(transparent)]
    Certs(#[from] CertsError),
    /// The request's file is wrong.
    #[error("the request cannot be used: {0}")]
    Request(#[from] RequestError),
    /// The request asks for something else than the command gives.
    #[error("this request is {found}; use: consilium region {command}")]
    Purpose {
        /// What it is.
        found: &'static str,
        /// What to use.
        command: &'static str,
    },
    /// The authority refuses.
    #[error(transparent)]
    Refused(#[from] EnrolmentRefusal),
    /// There is a region, or a part of one, in the folder.
    #[error(
        "{path} exists: nothing was written; use the region that is there, or another folder \
         (an authority without region.json was left by an interrupted init and can be removed)"
    )]
    Exists {
        /// The file that was found.
        path: PathBuf,
    },
    /// There is no region in the folder.
    #[error("{path} does not exist; make a region with: consilium region init")]
    Absent {
        /// The file that was looked for.
        path: PathBuf,
    },
    /// The record cannot be read.
    #[error(
        "{path} is damaged: {reason}; put its last backup in its place, what was published since \
         is taken over"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The record was written by a newer version.
    #[error("{path} has form {form}, which this program does not know; use the newer version")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its form.
        form: u32,
    },
    /// Another command holds the folder.
    #[error("another command is at work in {path}; try again when it has ended")]
    Busy {
        /// The lock.
        path: PathBuf,
    },
}

/// Why a party is not enrolled or renewed. The authority's record decides, never the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnrolmentRefusal {
    /// No invitation has this token.
    #[error("no invitation of this region has the token; check it, or invite again")]
    UnknownToken,
    /// The token enrolled somebody already.
    #[error("the token was used at {}; a token enrols once, invite again", rfc3339(*.at))]
    UsedToken {
        /// When.
        at: SystemTime,
    },
    /// The token was not used in time.
    #[error("the token expired at {}; invite again", rfc3339(*.at))]
    ExpiredToken {
        /// When.
        at: SystemTime,
    },
    /// A later invitation or a revocation took the token's place.
    #[error("the invitation was withdrawn at {}; invite again", rfc3339(*.at))]
    WithdrawnToken {
        /// When.
        at: SystemTime,
    },
    /// The token invites somebody else.
    #[error("the token invites {invited}, but the request is of {asked}")]
    OtherSubject {
        /// Who was invited.
        invited: Subject,
        /// Who asks.
        asked: Subject,
    },
    /// A key of the request was revoked, or replaced by an earlier enrolment.
    #[error("a key of {0} was revoked or replaced earlier; remove its key files, make new ones")]
    RetiredKey(Subject),
    /// A key of the request is another party's.
    #[error("{subject} has a key of {other}; every party makes its own")]
    SharedKey {
        /// Who asks.
        subject: Subject,
        /// Whose key it is.
        other: Subject,
    },
    /// Nobody of this name was ever enrolled.
    #[error("{0} is not enrolled in this region; invite it first")]
    Unknown(Subject),
    /// The party was revoked.
    #[error("{subject} was revoked at {}; only a new invitation brings it back", rfc3339(*.at))]
    Revoked {
        /// Who.
        subject: Subject,
        /// When.
        at: SystemTime,
    },
    /// A renewal keeps the keys; this one has others.
    #[error("the keys of {0} are not those that it was enrolled with; new keys take an invitation")]
    OtherKeys(Subject),
    /// The certificate is still young.
    #[error(
        "the certificate of {subject} can be renewed from {} on, at two thirds of its life",
        rfc3339(*.after)
    )]
    TooEarly {
        /// Who.
        subject: Subject,
        /// From when on.
        after: SystemTime,
    },
    /// A region has a bound.
    #[error("the region has {0} hospitals, as many as sums are proved for")]
    Full(usize),
}
