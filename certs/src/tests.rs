use std::time::{Duration, SystemTime};

use model::peer::{Peer, Role};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::{Authority, CertsError, Leaf, Serial, Validity, write_private};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn authority() -> Authority {
    Authority::create("east", Validity::starting(start(), 30 * DAY)).unwrap()
}

fn der(pem: &str) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents
}

fn purposes(leaf: &Leaf) -> (bool, bool) {
    let der = der(&leaf.certificate_pem);
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    (usage.server_auth, usage.client_auth)
}

#[test]
fn a_leaf_is_its_peer_and_nothing_else() {
    let authority = authority();
    let peer = Peer::new("east", Role::Node, "h-001").unwrap();
    let leaf = authority.issue(&peer, Validity::starting(start(), DAY)).unwrap();
    let bytes = der(&leaf.certificate_pem);
    let (_, certificate) = X509Certificate::from_der(&bytes).unwrap();

    let names = certificate.subject_alternative_name().unwrap().unwrap().value;
    assert_eq!(names.general_names, [GeneralName::URI("spiffe://east/node/h-001")]);
    assert!(!certificate.is_ca());
    assert_eq!(purposes(&leaf), (true, true));
    let usage = certificate.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && usage.flags == 1, "{usage:?}");
    assert_eq!(certificate.subject().to_string(), "CN=node/h-001");
    assert_eq!(Serial::of_certificate(&leaf.certificate_pem).unwrap(), leaf.serial);
    assert!(!format!("{leaf:?} {authority:?}").contains("PRIVATE"));

    let user = Peer::new("east", Role::User, "ana").unwrap();
    let user = authority.issue(&user, Validity::starting(start(), DAY)).unwrap();
    assert_eq!(purposes(&user), (false, true), "a person serves nobody");
    assert_ne!(user.serial, leaf.serial);
}

#[test]
fn an_authority_has_its_extensions_and_its_bounds() {
    let authority = authority();
    let bytes = der(authority.certificate_pem());
    let (_, certificate) = X509Certificate::from_der(&bytes).unwrap();
    let constraints = certificate.basic_constraints().unwrap().unwrap().value;
    assert_eq!((constraints.ca, constraints.path_len_constraint), (true, Some(0)));
    let usage = certificate.key_usage().unwrap().unwrap().value;
    assert!(usage.key_cert_sign() && usage.crl_sign() && !usage.digital_signature());

    let here = Peer::new("east", Role::Coordinator, "main").unwrap();
    let there = Peer::new("west", Role::Coordinator, "main").unwrap();
    let short = Validity::starting(start(), DAY);
    assert!(matches!(authority.issue(&there, short), Err(CertsError::ForeignRegion { .. })));
    let long = Validity::starting(start(), 31 * DAY);
    assert!(matches!(authority.issue(&here, long), Err(CertsError::OutsideAuthority)));
    let empty = Validity::starting(start(), Duration::ZERO);
    assert!(matches!(authority.issue(&here, empty), Err(CertsError::Validity)));
    assert!(matches!(Authority::create("a/b", short), Err(CertsError::Region(_))));
}

#[test]
fn an_authority_comes_back_from_its_files() {
    let (first, other) = (authority(), authority());
    let again = Authority::load(first.certificate_pem(), &first.key_pem()).unwrap();
    assert_eq!(again.region(), "east");
    let peer = Peer::new("east", Role::User, "ana").unwrap();
    let validity = Validity::starting(start(), DAY);
    let leaf = again.issue(&peer, validity).unwrap();
    let bytes = der(&leaf.certificate_pem);
    let (_, certificate) = X509Certificate::from_der(&bytes).unwrap();
    let root = der(first.certificate_pem());
    let (_, root) = X509Certificate::from_der(&root).unwrap();
    assert_eq!(certificate.issuer(), root.subject());

    let mixed = Authority::load(first.certificate_pem(), &other.key_pem());
    assert!(matches!(mixed, Err(CertsError::KeyMismatch)));
    let not_one = Authority::load(&leaf.certificate_pem, &leaf.key_pem);
    assert!(matches!(not_one, Err(CertsError::NotAnAuthority(_))));
}

#[test]
fn a_revocation_list_names_its_serials() {
    let authority = authority();
    let serial = Serial::random().unwrap();
    let pem = authority.revocation_list(&[serial], start(), start() + DAY).unwrap();
    assert!(pem.starts_with("-----BEGIN X509 CRL-----"), "{pem}");
    let bytes = der(&pem);
    let (_, list) =
        x509_parser::revocation_list::CertificateRevocationList::from_der(&bytes).unwrap();
    assert_eq!(list.iter_revoked_certificates().count(), 1);
    assert!(authority.revocation_list(&[], start(), start() + DAY).is_ok());
    assert!(authority.revocation_list(&[], start(), start()).is_err());
}

#[test]
fn a_key_file_is_private_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.key");
    write_private(&path, "secret").unwrap();
    assert!(matches!(write_private(&path, "other"), Err(CertsError::Write { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "secret");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
