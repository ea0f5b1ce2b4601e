//! A region's authority: it vouches for the peers of one region and for nobody else.

use std::fmt;
use std::time::{Duration, SystemTime};

use model::peer::{Peer, Role};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::{CertsError, Leaf, Serial};

/// X.509's upper bound of a common name (`ub-common-name`), in bytes.
const COMMON_NAME_MAX: usize = 64;

/// A region's certificate authority with its key. `Debug` does not show the key.
pub struct Authority {
    region: String,
    validity: Validity,
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// From when until when a certificate holds. X.509 knows whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub not_before: SystemTime,
    /// The last moment.
    pub not_after: SystemTime,
}

// === impl Validity ===

impl Validity {
    /// Valid from `start` for `length`.
    #[must_use]
    pub fn starting(start: SystemTime, length: Duration) -> Self {
        Self { not_before: start, not_after: start + length }
    }

    fn bounds(self) -> Result<(OffsetDateTime, OffsetDateTime), CertsError> {
        let (from, to) = (to_utc(self.not_before)?, to_utc(self.not_after)?);
        if from < to { Ok((from, to)) } else { Err(CertsError::Validity) }
    }
}

// === impl Authority ===

impl Authority {
    /// Makes a new authority for `region`: self-signed, ECDSA P-256, `CA:TRUE, pathlen:0`,
    /// keyCertSign and cRLSign, with the trust domain `spiffe://<region>` as its one SAN.
    ///
    /// # Errors
    /// [`CertsError::Region`], [`CertsError::Validity`], [`CertsError::Encode`].
    pub fn create(region: &str, validity: Validity) -> Result<Self, CertsError> {
        Peer::new(region, Role::Coordinator, "main")?;
        let (not_before, not_after) = validity.bounds()?;
        let mut params = CertificateParams::default();
        params.not_before = not_before;
        params.not_after = not_after;
        params.serial_number = Some(Serial::random()?.to_rcgen());
        params.subject_alt_names = vec![uri(&format!("spiffe://{region}"))?];
        params.distinguished_name = common_name(&format!("{region} authority"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate_pem = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        Ok(Self { region: region.to_owned(), validity, certificate_pem, issuer })
    }

    /// Reads an authority that [`Authority::create`] made.
    ///
    /// # Errors
    /// [`CertsError::NotAnAuthority`] when the certificate is none of ours,
    /// [`CertsError::KeyMismatch`] when the key is another's.
    pub fn load(certificate_pem: &str, key_pem: &str) -> Result<Self, CertsError> {
        let key = KeyPair::from_pem(key_pem)
            .map_err(|_| CertsError::NotAnAuthority("the key file holds no private key"))?;
        let (_, pem) = x509_parser::pem::parse_x509_pem(certificate_pem.as_bytes())
            .map_err(|_| CertsError::NotAnAuthority("the file holds no certificate"))?;
        let (_, certificate) = X509Certificate::from_der(&pem.contents)
            .map_err(|_| CertsError::NotAnAuthority("the certificate cannot be read"))?;
        if !certificate.is_ca() {
            return Err(CertsError::NotAnAuthority("it may not issue certificates"));
        }
        if certificate.public_key().subject_public_key.data != key.public_key_raw() {
            return Err(CertsError::KeyMismatch);
        }
        let region = trust_domain(&certificate)?;
        let validity = Validity {
            not_before: certificate.validity().not_before.to_datetime().into(),
            not_after: certificate.validity().not_after.to_datetime().into(),
        };
        let issuer = Issuer::from_ca_cert_pem(certificate_pem, key)?;
        Ok(Self { region, validity, certificate_pem: certificate_pem.to_owned(), issuer })
    }

    /// The region this authority vouches for.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The authority's certificate: public, every peer of the region has it.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The authority's private key, PKCS #8. Write it with [`crate::write_private`].
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Makes a key and a certificate for `peer`: ECDSA P-256, one URI SAN, digitalSignature,
    /// clientAuth, and serverAuth too unless the peer is a user.
    ///
    /// # Errors
    /// [`CertsError::ForeignRegion`], [`CertsError::Validity`],
    /// [`CertsError::OutsideAuthority`], [`CertsError::Encode`].
    pub fn issue(&self, peer: &Peer, validity: Validity) -> Result<Leaf, CertsError> {
        let key = KeyPair::generate()?;
        let serial = Serial::random()?;
        let certificate_pem = self.certify(peer, &key, validity, &serial)?;
        Ok(Leaf { certificate_pem, key_pem: key.serialize_pem(), serial })
    }

    /// A certificate for `peer` over a key that the peer keeps. Everything in it but the key is
    /// the authority's own word.
    pub(crate) fn certify(
        &self,
        peer: &Peer,
        key: &impl PublicKeyData,
        validity: Validity,
        serial: &Serial,
    ) -> Result<String, CertsError> {
        if peer.region() != self.region {
            return Err(CertsError::ForeignRegion {
                authority: self.region.clone(),
                peer: peer.to_string(),
            });
        }
        let (not_before, not_after) = validity.bounds()?;
        let (authority_from, authority_to) = self.validity.bounds()?;
        if not_before < authority_from || not_after > authority_to {
            return Err(CertsError::OutsideAuthority);
        }
        let mut params = CertificateParams::default();
        params.not_before = not_before;
        params.not_after = not_after;
        params.serial_number = Some(serial.to_rcgen());
        params.subject_alt_names = vec![uri(&peer.to_string())?];
        params.distinguished_name =
            common_name(&format!("{}/{}", peer.role().as_str(), peer.name()));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = purposes(peer.role());
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(key, &self.issuer)?.pem())
    }

    pub(crate) const fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("region", &self.region)
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

fn purposes(role: Role) -> Vec<ExtendedKeyUsagePurpose> {
    match role {
        Role::User => vec![ExtendedKeyUsagePurpose::ClientAuth],
        Role::Node | Role::Coordinator | Role::Witness => {
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
        }
    }
}

fn uri(text: &str) -> Result<SanType, CertsError> {
    Ok(SanType::URI(text.try_into()?))
}

/// The common name is for people only; identity is the SAN, so cutting it loses nothing.
pub(crate) fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text.chars().take(COMMON_NAME_MAX).collect::<String>());
    name
}

/// The region that an authority's certificate vouches for. Nothing is verified.
///
/// # Errors
/// [`CertsError::NotAnAuthority`].
pub fn region_of(certificate_pem: &str) -> Result<String, CertsError> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(certificate_pem.as_bytes())
        .map_err(|_| CertsError::NotAnAuthority("the file holds no certificate"))?;
    let (_, certificate) = X509Certificate::from_der(&pem.contents)
        .map_err(|_| CertsError::NotAnAuthority("the certificate cannot be read"))?;
    trust_domain(&certificate)
}

fn trust_domain(certificate: &X509Certificate<'_>) -> Result<String, CertsError> {
    let none = CertsError::NotAnAuthority("it names no region (one URI SAN, spiffe://<region>)");
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Err(none) };
    let [GeneralName::URI(uri)] = names.value.general_names.as_slice() else { return Err(none) };
    let region = uri.strip_prefix("spiffe://").ok_or(none)?;
    Peer::new(region, Role::Coordinator, "main")?;
    Ok(region.to_owned())
}

pub(crate) fn to_utc(time: SystemTime) -> Result<OffsetDateTime, CertsError> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| CertsError::Validity)?;
    let seconds = i64::try_from(since.as_secs()).map_err(|_| CertsError::Validity)?;
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| CertsError::Validity)
}

/// `2026-11-21T08:30:00Z`, for messages.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    use time::format_description::well_known::Rfc3339;
    let shown = to_utc(time).ok().and_then(|time| time.format(&Rfc3339).ok());
    shown.unwrap_or_else(|| "an unknown time".to_owned())
}
