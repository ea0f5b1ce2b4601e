use std::collections::{BTreeMap, BTreeSet};

use privacy::roster::{Roster, SignedRoster};
use proptest::prelude::*;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, SanType};
use tempfile::TempDir;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;

use super::*;
use crate::{PartyKeys, PublicKeys, Request, Serial, Subject, Token};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn subject(text: &str) -> Subject {
    text.parse().unwrap()
}

/// A region in a folder, and beside it the folders of its parties.
struct Site {
    folder: TempDir,
    region: Region,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let region =
            Region::init(&folder.path().join("r"), "east", Terms::default(), start()).unwrap();
        Self { folder, region }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("r")
    }

    fn reopen(mut self) -> Self {
        drop(self.region);
        self.region = Region::open(&self.folder.path().join("r")).unwrap();
        self
    }

    fn keys(&self, name: &str) -> PartyKeys {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        PartyKeys::open_or_create(&folder.join("tls.key"), &folder.join("signing.key")).unwrap()
    }

    fn enrol(&mut self, who: &str, keys: &str, now: SystemTime) -> Admission {
        let token = self.region.invite(&subject(who), HOUR, now).unwrap();
        let request = request(who, &self.keys(keys), Some(&token));
        self.region.enrol(&request, now).unwrap()
    }

    fn roster(&self) -> Roster {
        let bytes = std::fs::read(self.region.layout().roster()).unwrap();
        let key = std::fs::read_to_string(self.region.layout().roster_verify_key()).unwrap();
        SignedRoster::parse(&bytes).unwrap().verify(&key.parse().unwrap(), "east").unwrap()
    }

    /// Serials on the published list, its number, and when it expires.
    fn list(&self) -> (BTreeSet<String>, u64, SystemTime) {
        let text = std::fs::read_to_string(self.region.layout().revocations()).unwrap();
        let bytes = der(&text);
        let (_, list) = CertificateRevocationList::from_der(&bytes).unwrap();
        let serials = list.iter_revoked_certificates().map(|one| {
            Serial::parse(&one.raw_serial_as_string().replace(':', "")).unwrap().to_string()
        });
        let until = list.next_update().unwrap().to_datetime().into();
        let number = Published::read(&text, self.region.authority()).unwrap().number;
        (serials.collect(), number, until)
    }
}

fn request(who: &str, keys: &PartyKeys, token: Option<&Token>) -> Request {
    let text = Request::write(&subject(who), keys, token).unwrap();
    Request::parse(text.as_bytes()).unwrap()
}

fn der(pem: &str) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents
}

fn refusal<T: std::fmt::Debug>(outcome: Result<T, RegionError>) -> EnrolmentRefusal {
    match outcome.unwrap_err() {
        RegionError::Refused(refusal) => refusal,
        other => panic!("{other}"),
    }
}

#[test]
fn a_new_region_is_empty_closed_to_forgery_and_never_overwritten() {
    let site = Site::new();
    let roster = site.roster();
    assert_eq!((roster.version(), roster.hospitals().len()), (1, 0));
    assert_ne!(roster.coordinator(), roster.witness(), "empty seats have keys of nobody");
    assert_eq!(site.list(), (BTreeSet::new(), 1, start() + 7 * DAY));
    #[cfg(unix)]
    for file in ["authority.key", "roster.key", "region.json"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(site.root().join("authority").join(file)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600, "{file}");
    }
    let busy = Region::open(&site.root()).unwrap_err();
    assert!(matches!(busy, RegionError::Busy { .. }), "{busy}");
    let root = site.root();
    let folder = site.reopen().folder;
    let again = Region::init(&root, "east", Terms::default(), start()).unwrap_err();
    assert!(matches!(again, RegionError::Exists { .. }), "{again}");
    let none = Region::open(folder.path()).unwrap_err();
    assert!(none.to_string().contains("consilium region init"), "{none}");
    let record = root.join("authority").join("region.json");
    let text = std::fs::read_to_string(&record).unwrap();
    std::fs::write(&record, text.replacen("\"form\": 1", "\"form\": 2", 1)).unwrap();
    let newer = Region::open(&root).unwrap_err();
    assert!(matches!(newer, RegionError::Newer { form: 2, .. }), "{newer}");
    std::fs::write(&record, &text[..text.len() / 2]).unwrap();
    let damaged = Region::open(&root).unwrap_err();
    assert!(damaged.to_string().contains("region.json is damaged"), "{damaged}");
}

#[test]
fn a_token_enrols_one_party_once() {
    let mut site = Site::new();
    let who = subject("node/h-051");
    let token = site.region.invite(&who, HOUR, start()).unwrap();
    let wrong = request("node/h-052", &site.keys("b"), Some(&token));
    let said = refusal(site.region.enrol(&wrong, start()));
    assert_eq!(said, EnrolmentRefusal::OtherSubject { invited: who, asked: wrong.subject.clone() });

    let right = request("node/h-051", &site.keys("a"), Some(&token));
    let admission = site.region.enrol(&right, start() + HOUR / 2).unwrap();
    assert_eq!(admission.peer.to_string(), "spiffe://east/node/h-051");
    let roster = site.roster();
    let hospital = roster.hospitals()[&"h-051".parse().unwrap()];
    assert_eq!((hospital.sign, hospital.seal), (right.keys.sign, right.keys.seal));
    assert_eq!(roster.version(), 2);

    let mut site = site.reopen();
    let used = EnrolmentRefusal::UsedToken { at: start() + HOUR / 2 };
    let twice = request("node/h-051", &site.keys("c"), Some(&token));
    assert_eq!(refusal(site.region.enrol(&twice, start() + HOUR / 2)), used);
    assert_eq!(refusal(site.region.enrol(&right, start() + 9 * HOUR)), used, "used beats expired");
    let record = std::fs::read_to_string(site.region.layout().record()).unwrap();
    assert!(!record.contains(token.to_text().as_str()), "the token is not kept");
}

#[test]
fn unknown_expired_and_withdrawn_tokens_are_told_apart() {
    let mut site = Site::new();
    let who = subject("user/ana");
    let stranger = request("user/ana", &site.keys("a"), Some(&Token::random().unwrap()));
    assert_eq!(refusal(site.region.enrol(&stranger, start())), EnrolmentRefusal::UnknownToken);

    let first = site.region.invite(&who, HOUR, start()).unwrap();
    let late = request("user/ana", &site.keys("a"), Some(&first));
    let said = refusal(site.region.enrol(&late, start() + HOUR));
    assert_eq!(said, EnrolmentRefusal::ExpiredToken { at: start() + HOUR });

    let second = site.region.invite(&who, HOUR, start() + HOUR / 2).unwrap();
    let at = start() + HOUR / 2;
    let said = refusal(site.region.enrol(&late, start() + HOUR / 2));
    assert_eq!(said, EnrolmentRefusal::WithdrawnToken { at });
    let renewal = request("user/ana", &site.keys("a"), None);
    let said = site.region.enrol(&renewal, at).unwrap_err();
    assert!(said.to_string().contains("consilium region renew"), "{said}");
    let version = site.roster().version();
    let admitted = request("user/ana", &site.keys("a"), Some(&second));
    site.region.enrol(&admitted, at).unwrap();
    assert_eq!(site.roster().version(), version, "users do not stand in the roster");
    let said = site.region.renew(&admitted, at).unwrap_err();
    assert!(said.to_string().contains("consilium region enroll"), "{said}");
}

#[test]
fn what_a_signing_request_asks_for_is_ignored() {
    let mut site = Site::new();
    let (who, keys) = (subject("user/ana"), site.keys("a"));
    let token = site.region.invite(&who, HOUR, start()).unwrap();
    let mut wishes = CertificateParams::default();
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    wishes.subject_alt_names =
        vec![uri("spiffe://east/coordinator/main"), uri("spiffe://w/node/x")];
    wishes.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    wishes.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    wishes.not_after = rcgen::date_time_ymd(2999, 1, 1);
    let text = Request::write_with(&who, &keys, Some(&token), &wishes).unwrap();
    let request = Request::parse(text.as_bytes()).unwrap();
    let admission = site.region.enrol(&request, start()).unwrap();

    let bytes = der(&admission.certificate_pem);
    let (_, certificate) = X509Certificate::from_der(&bytes).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap().value;
    assert_eq!(names.general_names, [GeneralName::URI("spiffe://east/user/ana")]);
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any, "a person serves nobody");
    assert!(!certificate.is_ca());
    let until: SystemTime = certificate.validity().not_after.to_datetime().into();
    assert_eq!((until, admission.not_after), (start() + DAY, start() + DAY));
    assert_eq!(Serial::of_certificate(&admission.certificate_pem).unwrap(), admission.serial);
}

#[test]
fn a_renewal_keeps_the_keys_and_waits_for_two_thirds() {
    let mut site = Site::new();
    let first = site.enrol("node/h-1", "a", start());
    let renewal = request("node/h-1", &site.keys("a"), None);
    let early = refusal(site.region.renew(&renewal, start() + 15 * HOUR));
    let EnrolmentRefusal::TooEarly { after, .. } = early else { panic!("{early}") };
    assert!(after > start() + 15 * HOUR && after < start() + 16 * HOUR);

    let version = site.roster().version();
    let second = site.region.renew(&renewal, after).unwrap();
    assert_ne!(second.serial, first.serial);
    assert_eq!(second.not_after, after + DAY);
    let over = site.region.renew(&renewal, after + 30 * DAY).unwrap();
    assert_eq!(over.not_after, after + 31 * DAY, "also when the old one is over");
    assert_eq!(site.roster().version(), version, "the keys are the same");
    assert!(site.list().0.is_empty(), "an old certificate runs out by itself");

    let other = request("node/h-1", &site.keys("b"), None);
    let later = start() + 90 * DAY;
    let said = refusal(site.region.renew(&other, later));
    assert_eq!(said, EnrolmentRefusal::OtherKeys(subject("node/h-1")));
    // The TLS key alone is not enough, nor is the signing key.
    for file in ["tls.key", "signing.key"] {
        let mixed = site.folder.path().join(format!("mixed-{file}"));
        std::fs::create_dir_all(&mixed).unwrap();
        std::fs::copy(site.folder.path().join("a").join(file), mixed.join(file)).unwrap();
        let keys = PartyKeys::open_or_create(&mixed.join("tls.key"), &mixed.join("signing.key"));
        let stolen = request("node/h-1", &keys.unwrap(), None);
        let said = refusal(site.region.renew(&stolen, later));
        assert_eq!(said, EnrolmentRefusal::OtherKeys(subject("node/h-1")), "{file}");
    }
    let unknown = request("node/h-2", &site.keys("b"), None);
    let said = refusal(site.region.renew(&unknown, later));
    assert_eq!(said, EnrolmentRefusal::Unknown(subject("node/h-2")));
}

#[test]
fn a_revoked_party_is_listed_out_of_the_roster_and_comes_back_with_new_keys_only() {
    let mut site = Site::new();
    let who = subject("node/h-1");
    let first = site.enrol("node/h-1", "a", start());
    site.enrol("coordinator/main", "c", start());
    site.enrol("witness/main", "w", start());
    assert_eq!(site.roster().coordinator(), site.keys("c").public().unwrap().sign);
    let open = site.region.invite(&who, DAY, start()).unwrap();
    let at = start() + HOUR;
    assert_eq!(site.region.revoke(&who, "key stolen", at).unwrap(), at);
    let (serials, number, until) = site.list();
    assert_eq!(serials, BTreeSet::from([first.serial.to_string()]));
    assert_eq!((number, until), (2, at + 7 * DAY));
    assert!(site.roster().hospitals().is_empty());
    let version = site.roster().version();
    assert_eq!(site.region.revoke(&who, "again", at + HOUR).unwrap(), at, "once is enough");
    assert_eq!((site.roster().version(), site.list().1), (version, 2));

    let mut site = site.reopen();
    let renewal = request("node/h-1", &site.keys("a"), None);
    let said = refusal(site.region.renew(&renewal, at + 20 * HOUR));
    assert_eq!(said, EnrolmentRefusal::Revoked { subject: who.clone(), at });
    let stale = request("node/h-1", &site.keys("b"), Some(&open));
    let said = refusal(site.region.enrol(&stale, at));
    assert_eq!(said, EnrolmentRefusal::WithdrawnToken { at });
    let token = site.region.invite(&who, DAY, at).unwrap();
    let old_keys = request("node/h-1", &site.keys("a"), Some(&token));
    let said = refusal(site.region.enrol(&old_keys, at));
    assert_eq!(said, EnrolmentRefusal::RetiredKey(who.clone()));
    let new_keys = request("node/h-1", &site.keys("b"), Some(&token));
    site.region.enrol(&new_keys, at).unwrap();
    assert_eq!(site.roster().hospitals().len(), 1);
    assert_eq!(site.list().0.len(), 1, "the old certificate stays on the list");

    // An empty seat is nobody's, not the last holder's.
    let witness = site.roster().witness();
    site.region.revoke(&subject("witness/main"), "", at).unwrap();
    assert_ne!(site.roster().witness(), witness);
    let unknown = refusal(site.region.revoke(&subject("user/nobody"), "", at));
    assert_eq!(unknown, EnrolmentRefusal::Unknown(subject("user/nobody")));
}

#[test]
fn one_key_is_one_partys_and_a_party_is_in_one_place() {
    let mut site = Site::new();
    let first = site.enrol("node/h-1", "a", start());
    let token = site.region.invite(&subject("node/h-2"), HOUR, start()).unwrap();
    let shared = request("node/h-2", &site.keys("a"), Some(&token));
    let said = refusal(site.region.enrol(&shared, start()));
    let other = subject("node/h-1");
    assert_eq!(said, EnrolmentRefusal::SharedKey { subject: subject("node/h-2"), other });

    let again = site.enrol("node/h-1", "b", start() + HOUR);
    assert_eq!(site.list().0, BTreeSet::from([first.serial.to_string()]));
    assert_ne!(again.serial, first.serial);
    assert_eq!(site.roster().hospitals().len(), 1);
}

#[test]
fn a_crash_costs_a_token_but_never_shows_a_certificate_that_is_not_on_record() {
    let mut site = Site::new();
    let token = site.region.invite(&subject("node/h-1"), HOUR, start()).unwrap();
    let enrolment = request("node/h-1", &site.keys("a"), Some(&token));
    // The roster cannot be written: the command ends between the record and the certificate.
    let roster = site.region.layout().roster();
    std::fs::remove_file(&roster).unwrap();
    std::fs::create_dir(&roster).unwrap();
    assert!(site.region.enrol(&enrolment, start()).is_err());
    std::fs::remove_dir(&roster).unwrap();
    let mut site = site.reopen();
    let said = refusal(site.region.enrol(&enrolment, start()));
    assert_eq!(said, EnrolmentRefusal::UsedToken { at: start() });
    let summary = site.region.summary(start());
    assert_eq!(summary.parties.len(), 1, "the record knows what it issued");

    // A revocation that was cut before its list was published: any next command publishes it.
    let list = site.region.layout().revocations();
    let before = std::fs::read(&list).unwrap();
    site.region.revoke(&subject("node/h-1"), "", start()).unwrap();
    std::fs::write(&list, before).unwrap();
    std::fs::remove_file(&roster).unwrap();
    let mut site = site.reopen();
    site.region.invite(&subject("user/ana"), HOUR, start()).unwrap();
    assert_eq!((site.list().0.len(), site.list().1), (1, 2));
    assert!(site.roster().hospitals().is_empty());
    let leftovers = |folder: PathBuf| {
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().contains("partial")).count()
    };
    assert_eq!(leftovers(site.root()) + leftovers(site.root().join("authority")), 0);
}

#[test]
fn a_restored_backup_undoes_no_revocation() {
    let mut site = Site::new();
    let stolen = site.enrol("node/h-1", "a", start());
    site.enrol("node/h-2", "b", start());
    let record = site.region.layout().record();
    let backup = std::fs::read(&record).unwrap();
    site.region.revoke(&subject("node/h-1"), "", start()).unwrap();
    let forgotten = site.enrol("node/h-3", "c", start());
    site.region.revoke(&subject("node/h-3"), "", start()).unwrap();
    let (version, number) = (site.roster().version(), site.list().1);
    std::fs::write(&record, backup).unwrap();

    let mut site = site.reopen();
    assert!(site.region.was_restored());
    site.region.invite(&subject("user/ana"), HOUR, start()).unwrap();
    let (listed, next, _) = site.list();
    let both = [stolen.serial.to_string(), forgotten.serial.to_string()];
    assert_eq!(listed, BTreeSet::from(both), "also of whom the record knows nothing");
    assert!(next > number && site.roster().version() > version);
    let left: Vec<_> = site.roster().hospitals().keys().map(ToString::to_string).collect();
    assert_eq!(left, ["h-2"]);
    let renewal = request("node/h-1", &site.keys("a"), None);
    let said = refusal(site.region.renew(&renewal, start() + 20 * HOUR));
    assert!(matches!(said, EnrolmentRefusal::Revoked { .. }), "{said}");
    let site = site.reopen();
    assert!(!site.region.was_restored(), "once");

    // A roster or list of somebody else says nothing.
    let other = Site::new();
    let (from, to) = (site.region.layout(), other.region.layout());
    std::fs::copy(from.roster(), to.roster()).unwrap();
    std::fs::copy(from.revocations(), to.revocations()).unwrap();
    let mut other = other.reopen();
    assert!(!other.region.was_restored());
    other.region.invite(&subject("user/ana"), HOUR, start()).unwrap();
    assert_eq!((other.roster().version(), other.list().1), (1, 1));
}

#[test]
fn an_authority_may_vouch_for_all_at_once_but_not_for_the_revoked() {
    let mut site = Site::new();
    let party = |site: &Site, who: &str| (subject(who), site.keys(who).public().unwrap());
    let all: Vec<(Subject, PublicKeys)> =
        ["node/h-1", "node/h-2", "user/ana"].map(|who| party(&site, who)).to_vec();
    let needs = |site: &Site, at: usize, now| site.region.needs(&all[at].0, &all[at].1, now);
    assert!(needs(&site, 0, start()));
    assert_eq!(site.region.vouch(&all, start()).unwrap().len(), 3);
    assert!(!needs(&site, 0, start()) && needs(&site, 0, start() + 20 * HOUR));
    let version = site.roster().version();
    site.region.vouch(&all[..1], start() + 20 * HOUR).unwrap();
    assert_eq!(site.roster().version(), version, "nothing new for the roster");
    assert!(site.list().0.is_empty());
    site.region.revoke(&all[1].0, "", start()).unwrap();
    assert!(!needs(&site, 1, start() + 30 * DAY), "nobody comes back unasked");
    let said = refusal(site.region.vouch(&all[1..2], start()));
    assert_eq!(said, EnrolmentRefusal::Revoked { subject: all[1].0.clone(), at: start() });
    let summary = site.region.summary(start());
    assert_eq!((summary.parties.len(), summary.listed, summary.vacant.len()), (3, 1, 2));
}

#[test]
fn delivery_holds_what_a_party_needs_and_no_secret() {
    let mut site = Site::new();
    let admission = site.enrol("node/h-1", "a", start());
    let out = site.folder.path().join("out");
    let files = site.region.deliver(&admission, &out).unwrap();
    let names: BTreeSet<_> =
        files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    let wanted =
        ["authority.pem", "authority.key.pub", "node.pem", "revoked.crl.pem", "roster.json"];
    assert_eq!(names, BTreeSet::from(wanted));
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), wanted.len());
    let certificate = std::fs::read_to_string(out.join("node.pem")).unwrap();
    assert_eq!(certificate, admission.certificate_pem);
    for path in files {
        assert!(!std::fs::read_to_string(path).unwrap().contains("PRIVATE"));
    }
}

#[derive(Debug, Clone, Copy)]
enum Deed {
    Enrol(u8),
    Renew(u8),
    Revoke(u8),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        (0..4_u8).prop_map(Deed::Enrol),
        (0..4_u8).prop_map(Deed::Renew),
        (0..4_u8).prop_map(Deed::Revoke)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    /// Whatever an authority does: no serial repeats, every version and number grows or stays, the
    /// list names exactly what was ended, and the roster holds exactly who takes part.
    #[test]
    fn no_issued_serial_repeats(deeds in prop::collection::vec(deed(), 1..16)) {
        let mut site = Site::new();
        let mut serials = BTreeSet::new();
        let mut last = (0, 0);
        let mut keys: BTreeMap<u8, String> = BTreeMap::new();
        for (step, deed) in deeds.into_iter().enumerate() {
            let now = start() + HOUR * u32::try_from(step).unwrap() * 8;
            let name = |who: u8| format!("node/h-{who}");
            let issued = match deed {
                Deed::Enrol(who) => {
                    keys.insert(who, format!("k-{step}"));
                    Some(site.enrol(&name(who), &keys[&who], now))
                }
                // Refused when it is early, when nobody is enrolled or after a revocation.
                Deed::Renew(who) => keys.get(&who).and_then(|keys| {
                    site.region.renew(&request(&name(who), &site.keys(keys), None), now).ok()
                }),
                Deed::Revoke(who) => {
                    let _ = site.region.revoke(&subject(&name(who)), "", now);
                    None
                }
            };
            if let Some(admission) = issued {
                prop_assert!(serials.insert(admission.serial.to_string()), "a serial repeats");
            }
            let summary = site.region.summary(now);
            let (listed, number, _) = site.list();
            let versions = (site.roster().version(), number);
            prop_assert!(versions.0 >= last.0 && versions.1 >= last.1);
            last = versions;
            prop_assert_eq!(listed.len(), summary.listed);
            prop_assert!(listed.is_subset(&serials));
            let active = summary.parties.iter().filter(|party| party.revoked.is_none());
            for party in active.clone() {
                prop_assert!(!listed.contains(&party.serial));
            }
            prop_assert_eq!(site.roster().hospitals().len(), active.count());
        }
    }
}

#[test]
fn random_serials_are_positive_of_one_length_and_differ() {
    let serials: BTreeSet<String> =
        (0..20_000).map(|_| Serial::random().unwrap().to_string()).collect();
    assert_eq!(serials.len(), 20_000);
    assert!(
        serials.iter().all(|text| text.len() == 32 && matches!(&text[..1], "4" | "5" | "6" | "7"))
    );
}
