//! The region's authority, and keys and a certificate for every party.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use certs::{PartyKeys, Region, RegionError, Subject, Terms};
use model::Role;
use service::Clock;

use super::REGION;
use super::folder::{Folder, write};
use super::sources::Member;
use crate::exit::Failure;
use crate::region::certs_failure;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Production's leaves last a day and its lists a week; nobody looks after a demonstration but
/// its next start.
const TERMS: Terms = Terms {
    leaf: DAY.saturating_mul(90),
    revocations: DAY.saturating_mul(90),
    authority: DAY.saturating_mul(3_650),
};
/// Name of the user in a demonstration.
const ANALYST: &str = "analyst";
/// Name of the signing key in every party's folder.
pub const SIGNING_KEY: &str = "signing.key";

/// A party and its files.
struct Place {
    subject: Subject,
    certificate: PathBuf,
    key: PathBuf,
    signing: PathBuf,
}

/// Makes the authority, keys and certificates that are missing, renews those that are old, and
/// signs the roster; returns the number of parties. A party that was revoked stays revoked.
///
/// # Errors
/// [`Failure`], naming the file.
pub fn issue(folder: &Folder, members: &[Member], clock: &Clock) -> Result<usize, Failure> {
    let now = clock.now();
    let mut region = authority(folder, now)?;
    let places = places(folder, members)?;
    let mut due = Vec::new();
    for place in &places {
        if let Some(parent) = place.key.parent() {
            fs::create_dir_all(parent).map_err(Failure::output(parent))?;
        }
        let keys = PartyKeys::open_or_create(&place.key, &place.signing).map_err(certs_failure)?;
        let public = keys.public().map_err(certs_failure)?;
        let missing = !place.certificate.is_file();
        if missing || region.needs(&place.subject, &public, now) {
            due.push((place, public));
        }
    }
    let parties: Vec<_> =
        due.iter().map(|(place, public)| (place.subject.clone(), public.clone())).collect();
    if !parties.is_empty() {
        let admissions = region.vouch(&parties, now).map_err(failure)?;
        for ((place, _), admission) in due.iter().zip(admissions) {
            write(&place.certificate, &admission.certificate_pem)?;
        }
    }
    if now + TERMS.revocations / 2 > region.summary(now).list_until {
        region.renew_list(now).map_err(failure)?;
    }
    Ok(places.len())
}

fn authority(folder: &Folder, now: SystemTime) -> Result<Region, Failure> {
    let root = folder.root();
    let region = if folder.authority().record().is_file() {
        Region::open(root)
    } else {
        Region::init(root, REGION, TERMS, now)
    };
    region.map_err(failure)
}

fn places(folder: &Folder, members: &[Member]) -> Result<Vec<Place>, Failure> {
    let place = |role: Role, name: &str, file: &dyn Fn(&str) -> PathBuf| {
        let subject = Subject::new(role, name).map_err(|error| Failure::Data(error.to_string()))?;
        let stem = if role == Role::User { name } else { role.as_str() };
        let (certificate, key) = (file(&format!("{stem}.pem")), file(&format!("{stem}.key")));
        Ok(Place { subject, certificate, key, signing: file(SIGNING_KEY) })
    };
    let mut places = vec![
        place(Role::User, ANALYST, &|file| folder.analyst(file))?,
        place(Role::Coordinator, "main", &|file| folder.coordinator(file))?,
        place(Role::Witness, "main", &|file| folder.witness(file))?,
    ];
    for member in members {
        places.push(place(Role::Node, member.id.as_str(), &|file| folder.node(&member.id, file))?);
    }
    Ok(places)
}

fn failure(error: RegionError) -> Failure {
    match error {
        RegionError::Certs(error) => certs_failure(error),
        other => Failure::Configuration(format!("{other}; or use another --dir")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use privacy::roster::{Roster, SignedRoster};
    use service::clock::ManualClock;
    use service::{IdentityConfig, TlsIdentity};

    fn member(id: &str) -> Member {
        Member {
            id: id.parse().unwrap(),
            tier: String::new(),
            county: String::new(),
            source: "h.csv".into(),
        }
    }

    fn roster(folder: &Folder) -> Roster {
        let layout = folder.authority();
        let key = fs::read_to_string(layout.roster_verify_key()).unwrap();
        let signed = SignedRoster::parse(&fs::read(layout.roster()).unwrap()).unwrap();
        signed.verify(&key.parse().unwrap(), REGION).unwrap()
    }

    #[test]
    fn keys_are_made_once_and_everybody_is_in_the_roster() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path()).unwrap();
        let members = ["h-001", "h-002", "h-003"].map(member);
        let hand = ManualClock::new(Clock::system().now());
        let clock = hand.clock();
        assert_eq!(issue(&folder, &members, &clock).unwrap(), 6);
        let first = roster(&folder);
        assert_eq!(first.hospitals().len(), 3);
        let read = |path: PathBuf| fs::read_to_string(path).unwrap();
        let certificate = || read(folder.node(&members[0].id, "node.pem"));
        let (key, signing, kept) = (
            read(folder.node(&members[0].id, "node.key")),
            read(folder.node(&members[0].id, SIGNING_KEY)),
            certificate(),
        );
        let owner = privacy::sign::SigningKey::parse(&signing).unwrap();
        assert_eq!(first.hospitals()[&members[0].id].sign, owner.verify_key());
        issue(&folder, &members, &clock).unwrap();
        assert_eq!(certificate(), kept, "nothing is made twice");

        // Sixty days later the next start renews certificates and the list, with the same keys.
        hand.advance(61 * DAY);
        issue(&folder, &members, &clock).unwrap();
        assert_ne!(certificate(), kept);
        assert_eq!(read(folder.node(&members[0].id, "node.key")), key);
        assert_eq!(roster(&folder).hash(), first.hash());
        let identity = IdentityConfig {
            certificate: folder.node(&members[0].id, "node.pem"),
            key: folder.node(&members[0].id, "node.key"),
            authority: folder.authority().certificate(),
            revocations: Some(folder.authority().revocations()),
        };
        let identity = TlsIdentity::load(&identity, &clock).unwrap();
        assert_eq!(identity.peer().to_string(), "spiffe://demo/node/h-001");
        assert!(identity.revocations_until().unwrap() > clock.now() + 80 * DAY);
        #[cfg(unix)]
        for key in [
            folder.authority().authority_key(),
            folder.authority().roster_key(),
            folder.analyst("analyst.key"),
            folder.witness(SIGNING_KEY),
        ] {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn whom_the_authority_has_revoked_the_next_start_leaves_revoked() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path()).unwrap();
        let members = ["h-001", "h-002"].map(member);
        let clock = Clock::system();
        issue(&folder, &members, &clock).unwrap();
        let mut region = Region::open(folder.root()).unwrap();
        region.revoke(&"node/h-002".parse().unwrap(), "stolen", clock.now()).unwrap();
        drop(region);
        issue(&folder, &members, &clock).unwrap();
        assert_eq!(roster(&folder).hospitals().len(), 1);
    }
}
