//! Who takes part, for people.

use std::time::SystemTime;

use model::Role;

use super::Region;
use super::record::{seconds, time};
use crate::Subject;

/// A region at one moment.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Its name.
    pub region: String,
    /// Grows with every change of who takes part.
    pub roster_version: u64,
    /// Number of the revocation list.
    pub list_number: u64,
    /// When the revocation list expires, and every door with it.
    pub list_until: SystemTime,
    /// Serials on the list.
    pub listed: usize,
    /// Coordinator and witness, when nobody is enrolled as such.
    pub vacant: Vec<Subject>,
    /// Everybody who was ever enrolled.
    pub parties: Vec<Party>,
    /// Invitations that are open.
    pub invited: Vec<Invited>,
}

/// A party that was enrolled.
#[derive(Debug, Clone)]
pub struct Party {
    /// Who.
    pub subject: Subject,
    /// Since when, with the keys it has now.
    pub enrolled: SystemTime,
    /// When its newest certificate expires.
    pub until: SystemTime,
    /// From when on that may be renewed.
    pub renew_after: SystemTime,
    /// Serial of that certificate.
    pub serial: String,
    /// Since when it is revoked, and why.
    pub revoked: Option<(SystemTime, String)>,
}

/// An invitation that is open.
#[derive(Debug, Clone)]
pub struct Invited {
    /// Who.
    pub subject: Subject,
    /// Until when.
    pub expires: SystemTime,
}

impl Region {
    /// Who takes part at `now`.
    #[must_use]
    pub fn summary(&self, now: SystemTime) -> Summary {
        let record = &self.record;
        let seats = [Role::Coordinator, Role::Witness].into_iter();
        let list = record.revocation_list();
        let parties = record.members.iter().map(|(subject, member)| Party {
            subject: subject.clone(),
            enrolled: time(member.enrolled_s),
            until: time(member.not_after_s),
            renew_after: member.renew_after(),
            serial: member.serial.clone(),
            revoked: member.revoked.as_ref().map(|r| (time(r.at_s), r.reason.clone())),
        });
        let open = record.invitations.values().filter(|one| one.is_open(seconds(now)));
        let invited = open.map(|invitation| Invited {
            subject: invitation.subject.clone(),
            expires: time(invitation.expires_s),
        });
        Summary {
            region: record.region.clone(),
            roster_version: record.roster_version,
            list_number: list.number,
            list_until: list.next_update,
            listed: list.revoked.len(),
            vacant: seats
                .filter_map(|role| Subject::new(role, "main").ok())
                .filter(|subject| record.active(subject).is_none())
                .collect(),
            parties: parties.collect(),
            invited: invited.collect(),
        }
    }
}
