//! A record that is older than what was published from it.
//!
//! That is a restored backup. To publish from it as it is would undo every revocation since, and
//! parties refuse a roster whose version goes back. So what the authority itself has signed and
//! published is taken over: numbers go on from there, what was revoked stays revoked, and a party
//! that was revoked since is out of the roster again. Enrolments that were made since are lost:
//! their certificates run out, and they have to be invited again.

use privacy::roster::SignedRoster;
use privacy::sign::SigningKey;

use super::layout::Layout;
use super::record::{Record, Revoked, seconds};
use crate::files::read;
use crate::revocations::Published;
use crate::{Authority, CertsError};

/// Why a party was revoked, when only the list says so.
const REASON: &str = "on the list that was published before the record was restored";

/// Takes over what was published after `record` was written; says whether there was anything.
pub(super) fn carry_over(
    record: &mut Record,
    layout: &Layout,
    authority: &Authority,
    roster_key: &SigningKey,
) -> Result<bool, CertsError> {
    let mut older = false;
    let roster = read(&layout.roster())?;
    // What is damaged or signed by somebody else says nothing; the next command replaces it.
    let roster = roster.and_then(|text| SignedRoster::parse(text.as_bytes()).ok());
    let roster =
        roster.and_then(|signed| signed.verify(&roster_key.verify_key(), &record.region).ok());
    if let Some(version) = roster.map(|roster| roster.version())
        && version > record.roster_version
    {
        // One more, because the roster that follows from this record is another one.
        record.roster_version = version + 1;
        older = true;
    }
    let list = read(&layout.revocations())?;
    let list = list.and_then(|text| Published::read(&text, authority));
    if let Some(list) = list.filter(|list| list.number > record.list.number) {
        take_over(record, &list);
        older = true;
    }
    Ok(older)
}

fn take_over(record: &mut Record, list: &Published) {
    record.list.number = list.number + 1;
    record.list.this_update_s = seconds(list.this_update);
    for (serial, at) in &list.revoked {
        let (serial, at_s) = (serial.to_string(), seconds(*at));
        let Some(issued) = record.certificates.get_mut(&serial) else {
            record.carried.insert(serial, at_s);
            continue;
        };
        issued.revoked_s.get_or_insert(at_s);
        let subject = issued.subject.clone();
        let newest = record.active(&subject).is_some_and(|member| member.serial == serial);
        if newest {
            record.retire_keys(&subject);
            if let Some(member) = record.members.get_mut(&subject) {
                member.revoked = Some(Revoked { at_s, reason: REASON.to_owned() });
            }
        }
    }
}
