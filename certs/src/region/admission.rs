//! The decisions: invite, enrol, vouch, renew, revoke.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use model::{Peer, Role};
use privacy::measure::HOSPITALS_CAP;

use super::record::{Invitation, Issued, Member, Record, Revoked, seconds, time};
use super::{EnrolmentRefusal, LEAF_EARLIER, Region, RegionError, stem};
use crate::files::{Access, read, replace, write_error};
use crate::{CertsError, PublicKeys, Request, Serial, Subject, Token, Validity};

/// A certificate that was issued.
#[derive(Debug, Clone)]
pub struct Admission {
    /// Whom it names.
    pub peer: Peer,
    /// The certificate.
    pub certificate_pem: String,
    /// What a revocation list would name.
    pub serial: Serial,
    /// Its last moment.
    pub not_after: SystemTime,
}

impl Region {
    /// Invites `subject` to enrol within `valid`; an earlier invitation that is still open is
    /// withdrawn. The token is told to the applicant and not kept.
    ///
    /// # Errors
    /// [`EnrolmentRefusal::Full`], or what files say.
    pub fn invite(
        &mut self,
        subject: &Subject,
        valid: Duration,
        now: SystemTime,
    ) -> Result<Token, RegionError> {
        has_room(&self.record, subject)?;
        let now_s = seconds(now);
        let token = Token::random()?;
        let mut record = self.record.clone();
        record.withdraw(subject, now_s);
        let invitation = Invitation {
            subject: subject.clone(),
            expires_s: now_s.saturating_add(valid.as_secs()),
            used_s: None,
            withdrawn_s: None,
        };
        record.invitations.insert(token.image().to_string(), invitation);
        self.commit(record, now)?;
        Ok(token)
    }

    /// Enrols whoever made `request` with an open token: burns the token, and vouches for the
    /// applicant's keys in a certificate and, unless it is a user, in the roster. Certificates
    /// that the party had before are revoked, so that it is in one place only.
    ///
    /// The token is burnt durably before there is a certificate to be seen: a crash in between
    /// costs a token, never a second certificate.
    ///
    /// # Errors
    /// [`RegionError::Refused`]; then nothing has changed.
    pub fn enrol(&mut self, request: &Request, now: SystemTime) -> Result<Admission, RegionError> {
        let now_s = seconds(now);
        let image = self.invited(request, now_s)?;
        let mut record = self.record.clone();
        if let Some(invitation) = record.invitations.get_mut(&image) {
            invitation.used_s = Some(now_s);
        }
        let admission = self.admit(&mut record, &request.subject, &request.keys, now)?;
        self.commit(record, now)?;
        Ok(admission)
    }

    /// Enrols parties on the authority's own word, without tokens: for a region whose parties all
    /// live in one place, such as a demonstration. Who is enrolled with these keys already gets
    /// another certificate.
    ///
    /// # Errors
    /// [`RegionError::Refused`] as for [`Region::enrol`], and for a revoked party; then nothing
    /// has changed.
    pub fn vouch(
        &mut self,
        parties: &[(Subject, PublicKeys)],
        now: SystemTime,
    ) -> Result<Vec<Admission>, RegionError> {
        let mut record = self.record.clone();
        let mut admissions = Vec::with_capacity(parties.len());
        for (subject, keys) in parties {
            not_revoked(&record, subject)?;
            let same = record.active(subject).is_some_and(|member| member.has(keys));
            admissions.push(if same {
                self.certify(&mut record, subject, keys, now)?
            } else {
                self.admit(&mut record, subject, keys, now)?
            });
        }
        self.commit(record, now)?;
        Ok(admissions)
    }

    /// Whether [`Region::vouch`] has something to do: the party is not enrolled with these keys,
    /// or its certificate has passed two thirds of its life. Never for a revoked party.
    #[must_use]
    pub fn needs(&self, subject: &Subject, keys: &PublicKeys, now: SystemTime) -> bool {
        self.record.members.get(subject).is_none_or(|member| {
            member.revoked.is_none() && (!member.has(keys) || now >= member.renew_after())
        })
    }

    /// A new certificate for a party that is enrolled and not revoked, from two thirds of the old
    /// one's life on, also when that is over: what vouches is the record, not the certificate.
    ///
    /// The request must carry the same TLS key (its PKCS #10 part is signed with it) and be
    /// signed with the same signing key. Keeping the key means that one file changes, by one
    /// rename, and a running process never holds a certificate without its key; and who stole
    /// only one of the two keys cannot renew. New keys take a new invitation.
    ///
    /// # Errors
    /// [`RegionError::Refused`]; then nothing has changed.
    pub fn renew(&mut self, request: &Request, now: SystemTime) -> Result<Admission, RegionError> {
        if request.invitation.is_some() {
            let (found, command) = ("for enrolment, with a token", "enroll");
            return Err(RegionError::Purpose { found, command });
        }
        let subject = &request.subject;
        not_revoked(&self.record, subject)?;
        let member = self
            .record
            .active(subject)
            .ok_or_else(|| EnrolmentRefusal::Unknown(subject.clone()))?;
        if !member.has(&request.keys) {
            return Err(EnrolmentRefusal::OtherKeys(subject.clone()).into());
        }
        let after = member.renew_after();
        if now < after {
            return Err(EnrolmentRefusal::TooEarly { subject: subject.clone(), after }.into());
        }
        let mut record = self.record.clone();
        let admission = self.certify(&mut record, subject, &request.keys, now)?;
        self.commit(record, now)?;
        Ok(admission)
    }

    /// Ends a party's part in the region: its certificates go on the revocation list, its keys out
    /// of the roster and never in again, its open invitations are withdrawn. Revoking twice
    /// changes nothing but makes sure that list and roster say so; returns since when it is so.
    ///
    /// # Errors
    /// [`EnrolmentRefusal::Unknown`].
    pub fn revoke(
        &mut self,
        subject: &Subject,
        reason: &str,
        now: SystemTime,
    ) -> Result<SystemTime, RegionError> {
        let now_s = seconds(now);
        let mut record = self.record.clone();
        record.retire_keys(subject);
        record.withdraw(subject, now_s);
        let listed = record.end_certificates(subject, now_s);
        let member = record
            .members
            .get_mut(subject)
            .ok_or_else(|| EnrolmentRefusal::Unknown(subject.clone()))?;
        let since = match &member.revoked {
            Some(earlier) => time(earlier.at_s),
            None => {
                member.revoked = Some(Revoked { at_s: now_s, reason: reason.to_owned() });
                record.roster_version += u64::from(is_listed(subject));
                time(now_s)
            }
        };
        if listed {
            record.renew_list(now_s);
        }
        self.commit(record, now)?;
        Ok(since)
    }

    /// Signs the revocation list anew, before the last one expires; returns when this one will.
    ///
    /// # Errors
    /// What files say.
    pub fn renew_list(&mut self, now: SystemTime) -> Result<SystemTime, RegionError> {
        let mut record = self.record.clone();
        record.renew_list(seconds(now));
        self.commit(record, now)?;
        Ok(self.record.revocation_list().next_update)
    }

    /// Writes what a party needs into `folder`: its certificate as `<role>.pem`, and the region's
    /// public files. Returns the files.
    ///
    /// # Errors
    /// [`RegionError::Certs`].
    pub fn deliver(
        &self,
        admission: &Admission,
        folder: &Path,
    ) -> Result<Vec<PathBuf>, RegionError> {
        std::fs::create_dir_all(folder).map_err(|source| write_error(folder, source))?;
        let mut files = Vec::new();
        for from in self.layout.public() {
            let text = read(&from)?.ok_or_else(|| RegionError::Absent { path: from.clone() })?;
            let to = folder.join(from.file_name().unwrap_or_default());
            // Delivering into the region's own folder must not touch what is there.
            if read(&to)?.as_deref() != Some(&text) {
                replace(&to, text.as_bytes(), Access::Public)?;
            }
            files.push(to);
        }
        let to = folder.join(format!("{}.pem", stem(admission.peer.role())));
        replace(&to, admission.certificate_pem.as_bytes(), Access::Public)?;
        files.push(to);
        Ok(files)
    }

    /// The image of the token of an invitation that is open for this request.
    fn invited(&self, request: &Request, now_s: u64) -> Result<String, RegionError> {
        let Some(image) = &request.invitation else {
            let (found, command) = ("for renewal, without a token", "renew");
            return Err(RegionError::Purpose { found, command });
        };
        let image = image.to_string();
        let invitation =
            self.record.invitations.get(&image).ok_or(EnrolmentRefusal::UnknownToken)?;
        if let Some(at_s) = invitation.used_s {
            return Err(EnrolmentRefusal::UsedToken { at: time(at_s) }.into());
        }
        if let Some(at_s) = invitation.withdrawn_s {
            return Err(EnrolmentRefusal::WithdrawnToken { at: time(at_s) }.into());
        }
        if !invitation.is_open(now_s) {
            return Err(EnrolmentRefusal::ExpiredToken { at: time(invitation.expires_s) }.into());
        }
        if invitation.subject != request.subject {
            let (invited, asked) = (invitation.subject.clone(), request.subject.clone());
            return Err(EnrolmentRefusal::OtherSubject { invited, asked }.into());
        }
        Ok(image)
    }

    /// Makes `subject` a member with these keys, in `record`.
    fn admit(
        &self,
        record: &mut Record,
        subject: &Subject,
        keys: &PublicKeys,
        now: SystemTime,
    ) -> Result<Admission, RegionError> {
        has_room(record, subject)?;
        own_keys(record, subject, keys)?;
        let now_s = seconds(now);
        let same = record.members.get(subject).is_some_and(|member| member.has(keys));
        if !same {
            record.retire_keys(subject);
        }
        if record.end_certificates(subject, now_s) {
            record.renew_list(now_s);
        }
        let member = Member {
            sign: keys.sign,
            seal: keys.seal,
            tls_hash: keys.tls_hash(),
            enrolled_s: now_s,
            serial: String::new(),
            not_before_s: now_s,
            not_after_s: now_s,
            revoked: None,
        };
        record.members.insert(subject.clone(), member);
        record.roster_version += u64::from(is_listed(subject));
        self.certify(record, subject, keys, now)
    }

    /// Issues a certificate to a member, and notes it in `record`.
    fn certify(
        &self,
        record: &mut Record,
        subject: &Subject,
        keys: &PublicKeys,
        now: SystemTime,
    ) -> Result<Admission, RegionError> {
        let peer = subject.peer(&record.region).map_err(CertsError::from)?;
        let not_after = now + Duration::from_secs(record.leaf_s);
        let validity = Validity { not_before: now - LEAF_EARLIER, not_after };
        let serial = Serial::random()?;
        let text = serial.to_string();
        // 127 random bits do not repeat; if they do, the randomness is broken.
        if record.certificates.contains_key(&text) {
            return Err(CertsError::Encode("a serial number came twice".to_owned()).into());
        }
        let certificate_pem = self.authority.certify(&peer, &keys.tls, validity, &serial)?;
        let not_after_s = seconds(not_after);
        if let Some(member) = record.members.get_mut(subject) {
            member.serial = text.clone();
            (member.not_before_s, member.not_after_s) = (seconds(validity.not_before), not_after_s);
        }
        let issued = Issued { subject: subject.clone(), not_after_s, revoked_s: None };
        record.certificates.insert(text, issued);
        Ok(Admission { peer, certificate_pem, serial, not_after })
    }
}

/// Users ask; they do not stand in the roster.
fn is_listed(subject: &Subject) -> bool {
    subject.role() != Role::User
}

fn has_room(record: &Record, subject: &Subject) -> Result<(), EnrolmentRefusal> {
    let is_new = subject.role() == Role::Node && record.active(subject).is_none();
    if is_new && record.hospitals().len() >= HOSPITALS_CAP {
        return Err(EnrolmentRefusal::Full(HOSPITALS_CAP));
    }
    Ok(())
}

fn not_revoked(record: &Record, subject: &Subject) -> Result<(), EnrolmentRefusal> {
    let revoked = record.members.get(subject).and_then(|member| member.revoked.as_ref());
    revoked.map_or(Ok(()), |revoked| {
        Err(EnrolmentRefusal::Revoked { subject: subject.clone(), at: time(revoked.at_s) })
    })
}

/// One key, one party: else one could speak for another, and a roster would not verify.
fn own_keys(record: &Record, subject: &Subject, keys: &PublicKeys) -> Result<(), EnrolmentRefusal> {
    let tls_hash = keys.tls_hash();
    if [&keys.sign.to_string(), &tls_hash].iter().any(|key| record.retired_keys.contains(*key)) {
        return Err(EnrolmentRefusal::RetiredKey(subject.clone()));
    }
    let shared = record.members.iter().find(|(other, member)| {
        *other != subject && (member.sign == keys.sign || member.tls_hash == tls_hash)
    });
    shared.map_or(Ok(()), |(other, _)| {
        Err(EnrolmentRefusal::SharedKey { subject: subject.clone(), other: other.clone() })
    })
}
