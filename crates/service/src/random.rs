//! The system's randomness, for secrets that live as long as a round.

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

/// The system gave no random bytes; nothing secret may be made then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system has no randomness")]
pub struct NoRandomness;

/// 32 random bytes, erased when dropped.
///
/// # Errors
/// [`NoRandomness`].
pub fn secret32() -> Result<Zeroizing<[u8; 32]>, NoRandomness> {
    let mut bytes = Zeroizing::new([0u8; 32]);
    SystemRandom::new().fill(bytes.as_mut()).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ() {
        assert_ne!(*secret32().unwrap(), *secret32().unwrap());
    }
}
