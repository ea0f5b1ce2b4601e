//! The secret that the witness shares with hospitals, sealed for each of them.
//!
//! It lives as long as the process and the roster: a hospital that is no longer in the roster does not
//! know the next one. The coordinator carries the sealed copies and can open none.

use std::collections::BTreeMap;

use model::HospitalId;
use privacy::blind::{GuardKey, GuardSecret};
use privacy::conceal::guard_binding;
use privacy::roster::Roster;
use privacy::seal::seal;

use crate::parallel::each;
use crate::round::{Random, SignError};

/// A secret and its sealed copies.
#[derive(Debug)]
pub(crate) struct Guard {
    roster: [u8; 32],
    secret: GuardSecret,
    sealed: BTreeMap<HospitalId, Vec<u8>>,
}

impl Guard {
    /// Draws a secret and seals it for every hospital of the roster.
    pub(crate) fn draw(roster: &Roster, random: Random<'_>) -> Result<Self, SignError> {
        let secret = GuardSecret::new(random()?);
        let hash = roster.hash();
        let mut hospitals = Vec::with_capacity(roster.hospitals().len());
        for (hospital, keys) in roster.hospitals() {
            hospitals.push((hospital, keys, random()?));
        }
        let sealed = each(&hospitals, |(hospital, keys, random)| {
            let bound = guard_binding(&hash, hospital);
            let sealed = seal(&keys.seal, "guard", &bound, secret.as_bytes(), random.clone());
            let unknown = |_| SignError::Key((*hospital).clone());
            Ok(((*hospital).clone(), sealed.map_err(unknown)?))
        });
        let sealed = sealed.into_iter().collect::<Result<_, SignError>>()?;
        Ok(Self { roster: hash, secret, sealed })
    }

    /// Whether it is for this roster.
    pub(crate) fn is_for(&self, roster: &Roster) -> bool {
        self.roster == roster.hash()
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
