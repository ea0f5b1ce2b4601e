//! One peer's certificate, its key and its serial number.

use std::fmt;

use x509_parser::prelude::{FromDer, X509Certificate};

use crate::CertsError;
use crate::random::random;

/// Bytes of a random serial; RFC 5280 allows 20, and 127 random bits never collide.
const SERIAL_BYTES: usize = 16;

/// A certificate's serial number: what a revocation list names.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Serial(Vec<u8>);

/// A peer's certificate and private key, both PEM. `Debug` does not show the key.
#[derive(Clone)]
pub struct Leaf {
    /// The certificate alone; the authority's is known to every peer.
    pub certificate_pem: String,
    /// PKCS #8. Write it with [`crate::write_private`] and nothing else.
    pub key_pem: String,
    /// The certificate's serial, for revoking it.
    pub serial: Serial,
}

// === impl Serial ===

impl Serial {
    /// A positive random serial.
    pub(crate) fn random() -> Result<Self, CertsError> {
        let mut bytes = random::<SERIAL_BYTES>()?;
        // Positive (top bit clear) and of full length (next bit set), as DER integers want it.
        bytes[0] = (bytes[0] & 0x7f) | 0x40;
        Ok(Self(bytes.to_vec()))
    }

    /// The serial of a certificate that was issued earlier.
    ///
    /// # Errors
    /// [`CertsError::Encode`] when the text holds no
    /// certificate.
    pub fn of_certificate(certificate_pem: &str) -> Result<Self, CertsError> {
        let unreadable = || CertsError::Encode("the text holds no certificate".to_owned());
        let (_, pem) = x509_parser::pem::parse_x509_pem(certificate_pem.as_bytes())
            .map_err(|_| unreadable())?;
        let (_, certificate) =
            X509Certificate::from_der(&pem.contents).map_err(|_| unreadable())?;
        Ok(Self(certificate.tbs_certificate.serial.to_bytes_be()))
    }

    /// The serial with these bytes, as certificates and lists hold it.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// Reads a serial as [`Serial`]'s text shows it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        let hexadecimal = digits.iter().all(u8::is_ascii_hexdigit);
        if digits.is_empty() || digits.len() % 2 == 1 || !hexadecimal {
            return None;
        }
        let pairs = digits
            .chunks_exact(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        pairs.collect::<Option<_>>().map(Self)
    }

    pub(crate) fn to_rcgen(&self) -> rcgen::SerialNumber {
        rcgen::SerialNumber::from_slice(&self.0)
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

// === impl Leaf ===

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf").field("serial", &self.serial).finish_non_exhaustive()
    }
}
