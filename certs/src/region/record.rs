//! What an authority remembers: one JSON file, replaced as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use model::{HospitalId, Role};
use privacy::roster::{HospitalKeys, SignedRoster};
use privacy::sign::{SigningKey, VerifyKey};
use serde::{Deserialize, Serialize};

use super::Terms;
use crate::random::random;
use crate::revocations::RevocationList;
use crate::{CertsError, PublicKeys, Serial, Subject};

/// The form that this program writes.
pub(super) const FORM: u32 = 1;
/// An invitation that is over is remembered this long, so that its token is "used" or "expired"
/// and not "unknown".
const INVITATION_MEMORY: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// The record of a region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) form: u32,
    pub(super) region: String,
    /// How long a certificate lasts.
    pub(super) leaf_s: u64,
    /// How long a revocation list lasts.
    pub(super) list_s: u64,
    pub(super) roster_version: u64,
    pub(super) list: ListRecord,
    pub(super) vacant: Vacant,
    pub(super) members: BTreeMap<Subject, Member>,
    /// By the token's image.
    pub(super) invitations: BTreeMap<String, Invitation>,
    /// By serial. Those that are over and listed no more are dropped.
    pub(super) certificates: BTreeMap<String, Issued>,
    /// Serials that a published list named when this record had forgotten them, and since when.
    pub(super) carried: BTreeMap<String, u64>,
    /// Keys that were revoked or replaced: nobody is enrolled with one again.
    pub(super) retired_keys: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListRecord {
    pub(super) number: u64,
    pub(super) this_update_s: u64,
}

/// Keys that stand in the roster while a seat is empty. Their secrets were thrown away, so
/// nothing is ever signed with them: a roster always has both seats, and an empty one signs
/// nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vacant {
    #[serde(with = "verify_key")]
    coordinator: VerifyKey,
    #[serde(with = "verify_key")]
    witness: VerifyKey,
}

/// A party that was enrolled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Member {
    #[serde(with = "verify_key")]
    pub(super) sign: VerifyKey,
    #[serde(with = "bytes")]
    pub(super) seal: [u8; 32],
    /// SHA-256 of its TLS key.
    pub(super) tls_hash: String,
    pub(super) enrolled_s: u64,
    /// Of its newest certificate.
    pub(super) serial: String,
    pub(super) not_before_s: u64,
    pub(super) not_after_s: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) revoked: Option<Revoked>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Revoked {
    pub(super) at_s: u64,
    pub(super) reason: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Invitation {
    pub(super) subject: Subject,
    pub(super) expires_s: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) used_s: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) withdrawn_s: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Issued {
    pub(super) subject: Subject,
    pub(super) not_after_s: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) revoked_s: Option<u64>,
}

// === impl Record ===

impl Record {
    /// A region in which nobody is enrolled.
    pub(super) fn new(region: &str, terms: Terms, now_s: u64) -> Result<Self, CertsError> {
        let nobody = || Ok::<_, CertsError>(SigningKey::from_seed(random()?).verify_key());
        Ok(Self {
            form: FORM,
            region: region.to_owned(),
            leaf_s: terms.leaf.as_secs(),
            list_s: terms.revocations.as_secs(),
            roster_version: 1,
            list: ListRecord { number: 1, this_update_s: now_s },
            vacant: Vacant { coordinator: nobody()?, witness: nobody()? },
            members: BTreeMap::new(),
            invitations: BTreeMap::new(),
            certificates: BTreeMap::new(),
            carried: BTreeMap::new(),
            retired_keys: BTreeSet::new(),
        })
    }

    /// A member that was not revoked.
    pub(super) fn active(&self, subject: &Subject) -> Option<&Member> {
        self.members.get(subject).filter(|member| member.revoked.is_none())
    }

    /// Hospitals that take part.
    pub(super) fn hospitals(&self) -> BTreeMap<HospitalId, HospitalKeys> {
        let active = self.members.iter().filter(|(_, member)| member.revoked.is_none());
        let node = |(subject, member): (&Subject, &Member)| {
            let keys = HospitalKeys { sign: member.sign, seal: member.seal };
            subject.hospital().map(|id| (id, keys))
        };
        active.filter_map(node).collect()
    }

    /// The roster that this record stands for. Same record, same bytes.
    pub(super) fn roster(&self, key: &SigningKey) -> SignedRoster {
        let seat = |role, vacant| {
            let taken = Subject::new(role, "main").ok();
            let member = taken.and_then(|subject| self.active(&subject));
            member.map_or(vacant, |member| member.sign)
        };
        let coordinator = seat(Role::Coordinator, self.vacant.coordinator);
        let witness = seat(Role::Witness, self.vacant.witness);
        let hospitals = self.hospitals();
        let version = self.roster_version;
        SignedRoster::sign(key, &self.region, version, coordinator, witness, &hospitals)
    }

    /// The revocation list that this record stands for.
    pub(super) fn revocation_list(&self) -> RevocationList {
        let issued = self.certificates.iter();
        let known = issued.filter_map(|(serial, issued)| Some((serial, issued.revoked_s?)));
        let carried = self.carried.iter().map(|(serial, at_s)| (serial, *at_s));
        let revoked = known
            .chain(carried)
            .filter_map(|(serial, at_s)| Some((Serial::parse(serial)?, time(at_s))));
        let this_update = time(self.list.this_update_s);
        RevocationList {
            number: self.list.number,
            this_update,
            next_update: this_update + Duration::from_secs(self.list_s),
            revoked: revoked.collect(),
        }
    }

    /// A new list takes the place of the last.
    pub(super) fn renew_list(&mut self, now_s: u64) {
        self.list = ListRecord { number: self.list.number + 1, this_update_s: now_s };
    }

    /// Revokes all certificates of `subject` that may still be shown; says whether there were any.
    pub(super) fn end_certificates(&mut self, subject: &Subject, now_s: u64) -> bool {
        let mut any = false;
        for issued in self.certificates.values_mut() {
            if issued.subject == *subject && issued.revoked_s.is_none() {
                issued.revoked_s = Some(now_s);
                any = true;
            }
        }
        any
    }

    /// The member's keys are never accepted again.
    pub(super) fn retire_keys(&mut self, subject: &Subject) {
        if let Some(member) = self.members.get(subject) {
            let keys = [member.sign.to_string(), member.tls_hash.clone()];
            self.retired_keys.extend(keys);
        }
    }

    /// Withdraws the invitations of `subject` that are open.
    pub(super) fn withdraw(&mut self, subject: &Subject, now_s: u64) {
        for invitation in self.invitations.values_mut() {
            if invitation.subject == *subject && invitation.is_open(now_s) {
                invitation.withdrawn_s = Some(now_s);
            }
        }
    }

    /// Forgets what no longer matters: invitations that are long over, and certificates that have
    /// expired so long ago that every list that had to name them is out of date.
    pub(super) fn prune(&mut self, now_s: u64) {
        let list_s = self.list_s;
        self.certificates.retain(|_, issued| issued.not_after_s.saturating_add(list_s) >= now_s);
        let memory_s = INVITATION_MEMORY.as_secs();
        self.invitations
            .retain(|_, invitation| invitation.expires_s.saturating_add(memory_s) >= now_s);
    }
}

impl Invitation {
    /// Whether its token still enrols.
    pub(super) const fn is_open(&self, now_s: u64) -> bool {
        self.used_s.is_none() && self.withdrawn_s.is_none() && now_s < self.expires_s
    }
}

impl Member {
    /// Whether these are the keys that the member was enrolled with.
    pub(super) fn has(&self, keys: &PublicKeys) -> bool {
        self.sign == keys.sign && self.seal == keys.seal && self.tls_hash == keys.tls_hash()
    }

    /// From when on its certificate may be renewed: at two thirds of its life.
    pub(super) fn renew_after(&self) -> SystemTime {
        let life_s = self.not_after_s.saturating_sub(self.not_before_s);
        time(self.not_before_s.saturating_add(life_s / 3 * 2))
    }
}

/// Whole seconds since 1970; what lies before is 1970.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The time that [`seconds`] stands for.
pub(super) fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(FARTHEST_S))
}

/// The end of the year 9999, beyond which X.509 knows no time.
const FARTHEST_S: u64 = 253_402_300_799;

mod verify_key {
    //! A verify key as 64 hexadecimal digits.

    use privacy::sign::VerifyKey;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(key: &VerifyKey, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(key)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<VerifyKey, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

mod bytes {
    //! 32 bytes as 64 hexadecimal digits.

    use privacy::sign::{hex, unhex32};
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        unhex32(&text).ok_or_else(|| de::Error::custom("a key is 64 hexadecimal digits"))
    }
}
