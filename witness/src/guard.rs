//! The secret that the witness shares with hospitals, sealed for each of them.
//!
//! It serves one roster, for a day at most: a hospital that is no longer in the roster does not know
//! the next one. The coordinator carries the sealed copies and can open none.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use model::HospitalId;
use privacy::blind::{GuardKey, GuardSecret};
use privacy::conceal::guard_binding;
use privacy::roster::Roster;
use privacy::seal::seal;
use service::random::NoRandomness;

use crate::parallel::each;
use crate::round::Random;

/// How long a secret serves: a hospital that loses it endangers the rounds of a day at most.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// A secret and its sealed copies.
#[derive(Debug)]
pub(crate) struct Guard {
    roster: [u8; 32],
    until: Instant,
    secret: GuardSecret,
    sealed: BTreeMap<HospitalId, Vec<u8>>,
}

impl Guard {
    /// Draws a secret and seals it for every hospital of the roster.
    pub(crate) fn draw(
        roster: &Roster,
        now: Instant,
        random: Random<'_>,
    ) -> Result<Self, NoRandomness> {
        let secret = GuardSecret::new(random()?);
        let hash = roster.hash();
        let mut hospitals = Vec::with_capacity(roster.hospitals().len());
        for (hospital, keys) in roster.hospitals() {
            hospitals.push((hospital, keys, random()?));
        }
        let sealed = each(&hospitals, |(hospital, keys, random)| {
            let bound = guard_binding(&hash, hospital);
            let sealed = seal(&keys.seal, "guard", &bound, secret.as_bytes(), random.clone());
            // Without a usable key a hospital takes part in no round; others do.
            sealed.ok().map(|sealed| ((*hospital).clone(), sealed))
        });
        let sealed = sealed.into_iter().flatten().collect();
        Ok(Self { roster: hash, until: now + LIFE, secret, sealed })
    }

    /// Whether it is for this roster and still young enough.
    pub(crate) fn is_for(&self, roster: &Roster, now: Instant) -> bool {
        self.roster == roster.hash() && now < self.until
    }

    /// The key of one round.
    pub(crate) fn key(&self, sid: &[u8; 32]) -> GuardKey {
        self.secret.key(sid)
    }

    /// The secret, sealed for one hospital.
    pub(crate) fn sealed(&self, hospital: &HospitalId) -> Option<&Vec<u8>> {
        self.sealed.get(hospital)
    }
}

#[cfg(test)]
mod tests {
    use privacy::roster::{HospitalKeys, SignedRoster};
    use privacy::seal::SealKey;
    use privacy::sign::SigningKey;
    use service::random::secret32;

    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed([seed; 32])
    }

    fn roster(version: u64) -> Roster {
        let keys = |seed: u8| HospitalKeys {
            sign: key(seed).verify_key(),
            seal: SealKey::from_signing(&key(seed)).public(),
        };
        let hospitals = (1..4).map(|n| (format!("h-{n}").parse().unwrap(), keys(10 + n))).collect();
        let (a, b) = (key(2).verify_key(), key(3).verify_key());
        let signed = SignedRoster::sign(&key(1), "east", version, a, b, &hospitals);
        signed.verify(&key(1).verify_key(), "east").unwrap()
    }

    #[test]
    fn each_hospital_opens_its_own_copy_under_its_own_roster() {
        let (roster, now) = (roster(1), service::Clock::system().monotonic());
        let guard = Guard::draw(&roster, now, &mut secret32).unwrap();
        let own: HospitalId = "h-1".parse().unwrap();
        let sealed = guard.sealed(&own).unwrap();
        let open = |seed: u8, hash: [u8; 32], hospital: &HospitalId| {
            let bound = guard_binding(&hash, hospital);
            let opened = SealKey::from_signing(&key(seed)).open("guard", &bound, sealed).ok()?;
            GuardSecret::from_slice(&opened)
        };
        let secret = open(11, roster.hash(), &own).unwrap();
        assert_eq!(secret.as_bytes(), guard.secret.as_bytes());
        assert!(open(12, roster.hash(), &own).is_none(), "another hospital's key");
        assert!(open(11, [9; 32], &own).is_none(), "another roster");
        assert!(open(11, roster.hash(), &"h-2".parse().unwrap()).is_none(), "another name");
        assert!(guard.sealed(&"h-9".parse().unwrap()).is_none());
    }

    #[test]
    fn a_secret_serves_one_roster_for_a_day() {
        let (first, now) = (roster(1), service::Clock::system().monotonic());
        let guard = Guard::draw(&first, now, &mut secret32).unwrap();
        assert!(guard.is_for(&first, now) && guard.is_for(&first, now + LIFE / 2));
        assert!(!guard.is_for(&first, now + LIFE) && !guard.is_for(&roster(2), now));
        let other = Guard::draw(&first, now, &mut secret32).unwrap();
        assert_ne!(guard.secret.as_bytes(), other.secret.as_bytes());
    }
}
