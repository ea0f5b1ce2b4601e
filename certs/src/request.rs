//! What an applicant sends to the authority: a file that shows who asks, and that it was asked.
//!
//! It guarantees that whoever made the request holds the TLS key (a PKCS #10 signing request is
//! signed by it), the signing key (it signs the whole request) and, to be enrolled, the one-time
//! token (its key signs the same bytes); and that no byte was changed since. It says nothing about
//! what the applicant may be: names, usages and times in the PKCS #10 part are not even read.

use privacy::seal;
use privacy::sign::{Context, Signature, VerifyKey, hex, unhex32};
use rcgen::{
    CertificateParams, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PublicKeyData,
    SubjectPublicKeyInfo,
};
use serde::{Deserialize, Serialize};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use zeroize::Zeroizing;

use crate::authority::common_name;
use crate::random::random;
use crate::{CertsError, PartyKeys, PublicKeys, Subject, Token};

/// Longest request that is looked at.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;
/// The only form there is so far.
const FORM: u32 = 1;

/// A request that proves what it says.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whom it asks a certificate for.
    pub subject: Subject,
    /// The applicant's keys.
    pub keys: PublicKeys,
    /// The image of the token that it was made with; a renewal has none.
    pub invitation: Option<VerifyKey>,
}

/// A file that is no request, or not the one that its maker wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not the expected JSON.
    #[error("it is no enrolment request: {0}; make one with: consilium region request")]
    Unreadable(String),
    /// Another version of this program wrote it.
    #[error("its form is {0}, this program reads form {FORM}; use the same version on both sides")]
    Form(u32),
    /// The signature under it is not the signing key's.
    #[error("it was altered: its signature does not verify; have it made and sent again")]
    Altered,
    /// The signature under it is not the token's.
    #[error("it was not made with the token that it names; have it made again with the token")]
    WithoutToken,
    /// The PKCS #10 part is damaged or not signed by its own key.
    #[error("its signing request (PKCS #10) does not prove that the applicant holds the key")]
    Possession,
    /// The key in the PKCS #10 part is of a kind that no peer accepts.
    #[error("its TLS key is neither ECDSA P-256 nor P-384")]
    KeyKind,
    /// The X25519 key is none.
    #[error("its key for sealed messages is none")]
    SealKey,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    request: Body,
    /// By the signing key, over the body.
    signature: String,
    /// By the token's key, over the same bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_signature: Option<String>,
}

/// What is signed: this struct's JSON, fields in this order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    form: u32,
    subject: Subject,
    sign: String,
    seal: String,
    /// The image of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invitation: Option<String>,
    /// PKCS #10, PEM.
    csr: String,
}

impl Request {
    /// Writes a request of `subject`: for enrolment with a token, for renewal without.
    ///
    /// # Errors
    /// [`CertsError::Encode`].
    pub fn write(
        subject: &Subject,
        keys: &PartyKeys,
        token: Option<&Token>,
    ) -> Result<String, CertsError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(&subject.to_string());
        Self::write_with(subject, keys, token, &params)
    }

    /// As [`Request::write`], with a PKCS #10 part that asks for `params`.
    pub(crate) fn write_with(
        subject: &Subject,
        keys: &PartyKeys,
        token: Option<&Token>,
        params: &CertificateParams,
    ) -> Result<String, CertsError> {
        let public = keys.public()?;
        let body = Body {
            form: FORM,
            subject: subject.clone(),
            sign: public.sign.to_string(),
            seal: hex(&public.seal),
            invitation: token.map(|token| token.image().to_string()),
            csr: params.serialize_request(keys.tls())?.pem()?,
        };
        let bytes = body.signed_bytes();
        let signature = keys.signing().sign(Context::Enrolment, &bytes);
        let document = Document {
            request: body,
            signature: hex(signature.as_bytes()),
            token_signature: token.map(|token| hex(token.prove(&bytes).as_bytes())),
        };
        let text = serde_json::to_string_pretty(&document)
            .map_err(|error| CertsError::Encode(error.to_string()))?;
        Ok(text + "\n")
    }

    /// Reads a request and checks all that it proves by itself.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        let unreadable = |reason: &str| RequestError::Unreadable(reason.to_owned());
        if bytes.len() > MAX_REQUEST_BYTES {
            return Err(unreadable("it is longer than 64 KiB"));
        }
        let Document { request: body, signature, token_signature } =
            serde_json::from_slice(bytes).map_err(|error| unreadable(&error.to_string()))?;
        if body.form != FORM {
            return Err(RequestError::Form(body.form));
        }
        let signed = body.signed_bytes();
        let key = |text: &str| text.parse::<VerifyKey>().map_err(|e| unreadable(&e.to_string()));
        let verifies = |key: &VerifyKey, text: &str| {
            let signature = signature_of(text)?;
            key.verify(Context::Enrolment, &signed, &signature).ok()
        };
        let sign = key(&body.sign)?;
        verifies(&sign, &signature).ok_or(RequestError::Altered)?;
        let invitation = body.invitation.as_deref().map(key).transpose()?;
        match (&invitation, &token_signature) {
            (None, None) => {}
            (Some(image), Some(proof)) => {
                verifies(image, proof).ok_or(RequestError::WithoutToken)?;
            }
            _ => return Err(RequestError::WithoutToken),
        }
        let seal = sealing_key(&body.seal)?;
        let tls = possessed_key(&body.csr)?;
        Ok(Self { subject: body.subject, keys: PublicKeys { tls, sign, seal }, invitation })
    }
}

impl Body {
    fn signed_bytes(&self) -> Vec<u8> {
        // Texts and numbers always have a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

fn signature_of(text: &str) -> Option<Signature> {
    let (first, second) = text.split_at_checked(64)?;
    let bytes = [unhex32(first)?, unhex32(second)?].concat();
    Signature::try_from(bytes.as_slice()).ok()
}

/// A key to which messages can be sealed. Points of small order are none: whatever is sealed to
/// them, everybody opens.
fn sealing_key(text: &str) -> Result<[u8; 32], RequestError> {
    let key = unhex32(text).ok_or(RequestError::SealKey)?;
    let random = random().map_err(|_| RequestError::SealKey)?;
    seal::seal(&key, "enrolment", &[], &[], Zeroizing::new(random))
        .map_err(|_| RequestError::SealKey)?;
    Ok(key)
}

/// The public key of a PKCS #10 request that its private key has signed.
fn possessed_key(csr_pem: &str) -> Result<SubjectPublicKeyInfo, RequestError> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(csr_pem.as_bytes())
        .map_err(|_| RequestError::Possession)?;
    let (_, csr) =
        X509CertificationRequest::from_der(&pem.contents).map_err(|_| RequestError::Possession)?;
    let key = SubjectPublicKeyInfo::from_der(csr.certification_request_info.subject_pki.raw)
        .map_err(|_| RequestError::KeyKind)?;
    if ![&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384].contains(&key.algorithm()) {
        return Err(RequestError::KeyKind);
    }
    csr.verify_signature().map_err(|_| RequestError::Possession)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(folder: &std::path::Path) -> PartyKeys {
        PartyKeys::open_or_create(&folder.join("node.key"), &folder.join("signing.key")).unwrap()
    }

    #[test]
    fn a_request_proves_what_it_says_and_every_change_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (keys, token) = (keys(folder.path()), Token::random().unwrap());
        let subject: Subject = "node/h-051".parse().unwrap();
        let text = Request::write(&subject, &keys, Some(&token)).unwrap();
        let request = Request::parse(text.as_bytes()).unwrap();
        assert_eq!((&request.subject, request.invitation), (&subject, Some(token.image())));
        assert_eq!(request.keys, keys.public().unwrap());
        assert!(!text.contains(token.to_text().as_str()), "the token does not travel");
        assert!(!text.contains("PRIVATE"));

        let renewal = Request::write(&subject, &keys, None).unwrap();
        assert_eq!(Request::parse(renewal.as_bytes()).unwrap().invitation, None);

        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let parse = |document: &serde_json::Value| {
            Request::parse(document.to_string().as_bytes()).unwrap_err()
        };
        let other = Token::random().unwrap();
        for (field, value) in [
            ("subject", "node/h-052".to_owned()),
            ("seal", "09".to_owned() + &"00".repeat(31)),
            ("invitation", other.image().to_string()),
            ("csr", document["request"]["csr"].as_str().unwrap().replacen("MI", "MJ", 1)),
        ] {
            let mut altered = document.clone();
            altered["request"][field] = value.into();
            assert_eq!(parse(&altered), RequestError::Altered, "{field}");
        }
        let mut bare = document.clone();
        bare.as_object_mut().unwrap().remove("token_signature");
        assert_eq!(parse(&bare), RequestError::WithoutToken);
        let mut newer = document;
        newer["request"]["form"] = 2.into();
        assert_eq!(parse(&newer), RequestError::Form(2));
        assert!(matches!(Request::parse(b"{}"), Err(RequestError::Unreadable(_))));
    }

    #[test]
    fn no_flipped_bit_changes_what_a_request_says() {
        let folder = tempfile::tempdir().unwrap();
        let (keys, token) = (keys(folder.path()), Token::random().unwrap());
        let subject: Subject = "node/h-051".parse().unwrap();
        let text = Request::write(&subject, &keys, Some(&token)).unwrap().into_bytes();
        let said =
            |request: &Request| (request.subject.clone(), request.keys.clone(), request.invitation);
        let original = said(&Request::parse(&text).unwrap());
        for at in 0..text.len() {
            for bit in [1, 0x20] {
                let mut flipped = text.clone();
                flipped[at] ^= bit;
                // Hexadecimal digits may change their case; nothing else may pass.
                if let Ok(request) = Request::parse(&flipped) {
                    assert_eq!(said(&request), original, "byte {at}");
                }
            }
        }
    }

    #[test]
    fn a_request_for_another_token_or_another_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let keys = keys(folder.path());
        let sign = |mut body: Body, token: &Token, csr: Option<String>| {
            body.csr = csr.unwrap_or(body.csr);
            let bytes = body.signed_bytes();
            let signature = hex(keys.signing().sign(Context::Enrolment, &bytes).as_bytes());
            let token_signature = Some(hex(token.prove(&bytes).as_bytes()));
            let document = Document { request: body, signature, token_signature };
            Request::parse(&serde_json::to_vec(&document).unwrap()).unwrap_err()
        };
        let token = Token::random().unwrap();
        let subject: Subject = "user/ana".parse().unwrap();
        let body = || {
            let text = Request::write(&subject, &keys, Some(&token)).unwrap();
            serde_json::from_str::<Document>(&text).unwrap().request
        };
        // Whoever has seen the invitation's image but not the token.
        let guess = Token::random().unwrap();
        assert_eq!(sign(body(), &guess, None), RequestError::WithoutToken);
        // A PKCS #10 part whose key somebody else holds: its last lines are its signature.
        let csr = body().csr;
        let mut lines: Vec<String> = csr.lines().map(str::to_owned).collect();
        let at = lines.len() - 3;
        let other = if lines[at].ends_with('A') { "B" } else { "A" };
        lines[at].replace_range(63.., other);
        assert_eq!(sign(body(), &token, Some(lines.join("\n"))), RequestError::Possession);
        let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let csr = CertificateParams::default().serialize_request(&ed25519).unwrap().pem().unwrap();
        assert_eq!(sign(body(), &token, Some(csr)), RequestError::KeyKind);
        let zero = Body { seal: "00".repeat(32), ..body() };
        assert_eq!(sign(zero, &token, None), RequestError::SealKey);
    }
}
