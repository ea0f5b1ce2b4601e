//! A one-time token: whoever has it may enrol one party, once.

use std::fmt;

use privacy::sign::{Context, KeyError, Signature, SigningKey, VerifyKey};
use zeroize::Zeroizing;

use crate::CertsError;
use crate::random::random;

/// 32 random bytes, told to one applicant over a channel that the operators trust.
///
/// A token never travels and its authority does not keep it. Both would be impossible with a
/// message authentication code, whose checker must hold the key: so the token is the seed of a
/// signature key, the authority stores the public half ([`Token::image`]) and the applicant signs
/// its request. A stolen list of invitations enrols nobody.
pub struct Token {
    secret: Zeroizing<[u8; 32]>,
}

impl Token {
    /// A new token.
    ///
    /// # Errors
    /// [`CertsError::Encode`] when the system has no randomness.
    pub fn random() -> Result<Self, CertsError> {
        Ok(Self { secret: Zeroizing::new(random()?) })
    }

    /// Reads a token as it was told: 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`KeyError::NotAKey`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = privacy::sign::unhex32(text.trim()).ok_or(KeyError::NotAKey)?;
        Ok(Self { secret: Zeroizing::new(bytes) })
    }

    /// The token as it is told.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(privacy::sign::hex(self.secret.as_ref()))
    }

    /// What the authority keeps: it recognises the token and does not tell it.
    #[must_use]
    pub fn image(&self) -> VerifyKey {
        self.key().verify_key()
    }

    /// Proof that whoever made `bytes` had the token.
    pub(crate) fn prove(&self, bytes: &[u8]) -> Signature {
        self.key().sign(Context::Enrolment, bytes)
    }

    fn key(&self) -> SigningKey {
        let seed = privacy::sign::derive(&self.secret, &[b"invitation"]);
        SigningKey::from_seed(seed)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_round_trips_and_is_never_printed() {
        let token = Token::random().unwrap();
        let again = Token::parse(&format!(" {}\n", *token.to_text())).unwrap();
        assert_eq!(again.image(), token.image());
        assert_ne!(token.image(), Token::random().unwrap().image());
        assert_ne!(token.image().to_string(), *token.to_text());
        assert_eq!(format!("{token:?}"), "Token(..)");
        assert!(Token::parse("12").is_err());
    }
}
