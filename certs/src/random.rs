//! The system's randomness: serials, tokens and keys come from here and from nowhere else.

use ring::rand::{SecureRandom, SystemRandom};

use crate::CertsError;

/// `N` random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], CertsError> {
    let mut bytes = [0_u8; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| CertsError::Encode("the system has no randomness".to_owned()))?;
    Ok(bytes)
}
