//! A demonstration PKI: one authority per region, one leaf per peer, and revocation lists.
//!
//! It exists so that the demo region and the tests speak real TLS with certificates of exactly
//! the shape that production must issue. It guarantees that a leaf has one URI SAN (the peer),
//! the key usages of its role and no others, a random serial and a validity inside its
//! authority's; and that a private key is written with mode 0600 and never over another file.
//! It leaves out enrolment, the roster and key storage: production runs its own authority
//! (see `README.md`). Time is always an argument.

mod authority;
mod files;
mod leaf;

pub use authority::{Authority, Validity};
pub use files::write_private;
pub use leaf::{Leaf, Serial};

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
