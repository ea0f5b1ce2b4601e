//! Revocation lists: which certificates are over before their time.

use std::time::SystemTime;

use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams};
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;

use crate::authority::to_utc;
use crate::{Authority, CertsError, Serial};

/// A list to be signed.
#[derive(Debug, Clone)]
pub struct RevocationList {
    /// Grows with every list of one authority.
    pub number: u64,
    /// When it was made.
    pub this_update: SystemTime,
    /// Peers that enforce the list refuse everyone once this has passed.
    pub next_update: SystemTime,
    /// The serials and since when. An empty list is a statement too.
    pub revoked: Vec<(Serial, SystemTime)>,
}

impl Authority {
    /// Signs a list: PEM.
    ///
    /// # Errors
    /// [`CertsError::Validity`], [`CertsError::Encode`].
    pub fn sign_list(&self, list: &RevocationList) -> Result<String, CertsError> {
        let (this_update, next_update) = (to_utc(list.this_update)?, to_utc(list.next_update)?);
        if this_update >= next_update {
            return Err(CertsError::Validity);
        }
        let revoked = |(serial, at): &(Serial, SystemTime)| {
            Ok(RevokedCertParams {
                serial_number: serial.to_rcgen(),
                revocation_time: to_utc(*at)?,
                reason_code: Some(RevocationReason::Unspecified),
                invalidity_date: None,
            })
        };
        let params = CertificateRevocationListParams {
            this_update,
            next_update,
            crl_number: list.number.into(),
            issuing_distribution_point: None,
            revoked_certs: list.revoked.iter().map(revoked).collect::<Result<_, CertsError>>()?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(self.issuer())?.pem()?)
    }

    /// A list that names `serials`, numbered with `this_update` in seconds, so that later lists
    /// have higher numbers. For who keeps no record; a [`crate::Region`] does.
    ///
    /// # Errors
    /// [`CertsError::Validity`], [`CertsError::Encode`].
    pub fn revocation_list(
        &self,
        serials: &[Serial],
        this_update: SystemTime,
        next_update: SystemTime,
    ) -> Result<String, CertsError> {
        let since = this_update.duration_since(SystemTime::UNIX_EPOCH);
        let number = since.map_err(|_| CertsError::Validity)?.as_secs();
        let revoked = serials.iter().map(|serial| (serial.clone(), this_update)).collect();
        self.sign_list(&RevocationList { number, this_update, next_update, revoked })
    }
}

/// A list that was published earlier.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) number: u64,
    pub(crate) this_update: SystemTime,
    pub(crate) revoked: Vec<(Serial, SystemTime)>,
}

impl Published {
    /// Reads a list that `authority` has signed; `None` when the text is none.
    pub(crate) fn read(list_pem: &str, authority: &Authority) -> Option<Self> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(list_pem.as_bytes()).ok()?;
        let (_, list) = CertificateRevocationList::from_der(&pem.contents).ok()?;
        let issuer = authority.certificate_pem().as_bytes();
        let (_, issuer) = x509_parser::pem::parse_x509_pem(issuer).ok()?;
        let (_, issuer) = X509Certificate::from_der(&issuer.contents).ok()?;
        list.verify_signature(issuer.public_key()).ok()?;
        let time = |time: ASN1Time| SystemTime::from(time.to_datetime());
        let revoked = list.iter_revoked_certificates();
        Some(Self {
            number: list.crl_number()?.to_string().parse().ok()?,
            this_update: time(list.last_update()),
            revoked: revoked
                .map(|one| (Serial::from_bytes(one.raw_serial()), time(one.revocation_date)))
                .collect(),
        })
    }
}
