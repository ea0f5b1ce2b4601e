//! The region's authority and a certificate for every peer.

use std::fs;
use std::path::Path;
use std::time::Duration;

use certs::{Authority, CertsError, Validity, write_private};
use model::{Peer, Role};
use service::Clock;

use super::REGION;
use super::folder::{Folder, write};
use super::sources::Member;
use crate::exit::Failure;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AUTHORITY_DAYS: u32 = 3_650;
/// Production's leaves last a day; nobody renews those of a demonstration.
const LEAF_DAYS: u32 = 90;
/// Clocks of one computer agree, those of a restored virtual machine nearly.
const AUTHORITY_EARLIER: Duration = Duration::from_secs(60 * 60);
const LEAF_EARLIER: Duration = Duration::from_secs(5 * 60);
/// Name of the user in a demonstration.
const ANALYST: &str = "analyst";

/// Makes the authority and the certificates that are missing; returns the number of peers.
///
/// # Errors
/// [`Failure`], naming the file.
pub fn issue(folder: &Folder, members: &[Member], clock: &Clock) -> Result<usize, Failure> {
    let authority = authority(folder, clock)?;
    let analyst = (folder.analyst("analyst.pem"), folder.analyst("analyst.key"));
    let coordinator =
        (folder.coordinator("coordinator.pem"), folder.coordinator("coordinator.key"));
    let mut peers = vec![(Role::User, ANALYST, analyst), (Role::Coordinator, "main", coordinator)];
    for member in members {
        let files = (folder.node(&member.id, "node.pem"), folder.node(&member.id, "node.key"));
        peers.push((Role::Node, member.id.as_str(), files));
    }
    for (role, name, (certificate, key)) in &peers {
        let peer =
            Peer::new(REGION, *role, name).map_err(|error| Failure::Data(error.to_string()))?;
        leaf(&authority, &peer, certificate, key, clock)?;
    }
    Ok(peers.len())
}

fn authority(folder: &Folder, clock: &Clock) -> Result<Authority, Failure> {
    let (certificate, key) = (folder.authority(), folder.authority_key());
    if certificate.is_file() {
        let read = |path: &Path| {
            fs::read_to_string(path).map_err(|error| {
                let path = path.display();
                Failure::Configuration(format!("cannot read {path}: {error}; use another --dir"))
            })
        };
        return Authority::load(&read(&certificate)?, &read(&key)?).map_err(|error| {
            let path = certificate.display();
            Failure::Configuration(format!("{path}: {error}; use another --dir"))
        });
    }
    let start = clock.now() - AUTHORITY_EARLIER;
    let validity = Validity::starting(start, DAY * AUTHORITY_DAYS);
    let made = Authority::create(REGION, validity).map_err(|error| failure(&error))?;
    private(&key, &made.key_pem())?;
    write(&certificate, made.certificate_pem())?;
    Ok(made)
}

fn leaf(
    authority: &Authority,
    peer: &Peer,
    certificate: &Path,
    key: &Path,
    clock: &Clock,
) -> Result<(), Failure> {
    if certificate.is_file() && key.is_file() {
        return Ok(());
    }
    let validity = Validity::starting(clock.now() - LEAF_EARLIER, DAY * LEAF_DAYS);
    let made = authority.issue(peer, validity).map_err(|error| failure(&error))?;
    private(key, &made.key_pem)?;
    write(certificate, &made.certificate_pem)
}

/// Writes a key. One without its certificate, left by an interrupted run, is worth nothing.
fn private(path: &Path, text: &str) -> Result<(), Failure> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(Failure::output(parent))?;
    }
    if path.exists() {
        fs::remove_file(path).map_err(Failure::output(path))?;
    }
    write_private(path, text).map_err(|error| failure(&error))
}

fn failure(error: &CertsError) -> Failure {
    Failure::Configuration(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_made_once_and_keys_are_private() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path()).unwrap();
        let member = Member {
            id: "h-001".parse().unwrap(),
            tier: String::new(),
            county: String::new(),
            source: "h.csv".into(),
        };
        let clock = Clock::system();
        let members = [member];
        assert_eq!(issue(&folder, &members, &clock).unwrap(), 3);
        let certificate = folder.node(&members[0].id, "node.pem");
        let first = fs::read(&certificate).unwrap();
        issue(&folder, &members, &clock).unwrap();
        assert_eq!(fs::read(&certificate).unwrap(), first, "nothing is made twice");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            for key in [folder.authority_key(), folder.analyst("analyst.key")] {
                assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
            }
        }
    }
}
