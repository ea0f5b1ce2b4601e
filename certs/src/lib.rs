//! A region's authority: certificates, the roster, enrolment and revocation.
//!
//! It exists so that every party of a region can be sure whom it speaks to (a certificate) and who
//! takes part (the roster), on the word of one authority. [`Region`] is that authority with its
//! folder, [`Request`] is what an applicant sends, [`PartyKeys`] what it keeps. It guarantees that
//! a leaf has one URI SAN (the peer), the key usages of its role and no others, a random serial
//! and a validity inside its authority's; that a private key is made by whom it belongs to,
//! written with mode 0600 and never over another file; and that every file is there whole or not
//! at all. It leaves out TLS itself (`service`), carrying files between parties, and storing the
//! authority's key anywhere but in a file (see `README.md`). Time is always an argument.

mod authority;
mod files;
mod keys;
mod leaf;
mod random;
pub mod region;
mod request;
mod revocations;
mod subject;
mod token;

pub use authority::{Authority, Validity, region_of};
pub use files::{Access, read, replace, write_private};
pub use keys::{PartyKeys, PublicKeys};
pub use leaf::{Leaf, Serial};
pub use region::{Admission, EnrolmentRefusal, Layout, Region, RegionError, Terms};
pub use request::{MAX_REQUEST_BYTES, Request, RequestError};
pub use revocations::RevocationList;
pub use subject::{InvalidSubject, Subject};
pub use token::Token;

/// Why a certificate, key or revocation list could not be made, read or written.
#[derive(Debug, thiserror::Error)]
pub enum CertsError {
    /// The authority vouches for one region only.
    #[error("the authority of region \"{authority}\" does not vouch for {peer}")]
    ForeignRegion {
        /// The authority's region.
        authority: String,
        /// The peer that asked.
        peer: String,
    },
    /// A region's name is one path segment of `A-Z a-z 0-9 . _ -`.
    #[error(transparent)]
    Region(#[from] model::peer::InvalidPeer),
    /// The end lies before the start, or outside what X.509 can say.
    #[error("the validity is empty or outside the years 1970 to 9999")]
    Validity,
    /// A leaf may not outlive its authority, nor start before it.
    #[error("the validity lies outside the authority's own")]
    OutsideAuthority,
    /// The file is not a certificate of an authority made by this crate.
    #[error("not an authority's certificate: {0}")]
    NotAnAuthority(&'static str),
    /// The key does not belong to the certificate.
    #[error("the authority's key does not match its certificate")]
    KeyMismatch,
    /// No randomness, or the encoder refused.
    #[error("cannot make the certificate: {0}")]
    Encode(String),
    /// A file is missing or cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key's file holds something else. It is never overwritten.
    #[error("{path} holds no {wanted}; put the key back, or move the file away to have a new one")]
    Key {
        /// The file.
        path: std::path::PathBuf,
        /// What it should hold.
        wanted: &'static str,
    },
    /// The file exists already or cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl From<rcgen::Error> for CertsError {
    fn from(error: rcgen::Error) -> Self {
        Self::Encode(error.to_string())
    }
}

#[cfg(test)]
mod tests;
