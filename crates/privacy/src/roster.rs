//! Who takes part in a region, signed by the region's authority.
//!
//! A roster is the defence against invented hospitals: a node masks its cells only among hospitals
//! whose keys the *authority* has vouched for, never on the coordinator's word. Its text is JSON;
//! what is signed is the exact text, so nothing has to be re-encoded to be checked.

use std::collections::BTreeMap;

use model::{HospitalId, Role};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::measure::HOSPITALS_CAP;
use crate::sign::{Context, KeyError, Signature, SigningKey, VerifyKey, hex, unhex32};

/// Fewest hospitals among which a sum hides anybody: with two, each can subtract itself.
pub const FEWEST_HOSPITALS: usize = 3;
/// Longest text of a roster, in bytes.
pub const MAX_ROSTER_BYTES: usize = 512 * 1024;

/// A hospital's public keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HospitalKeys {
    /// Verifies its receipts.
    pub sign: VerifyKey,
    /// X25519 key for messages that only this hospital may read.
    pub seal: [u8; 32],
}

/// A region's parties, as its authority vouches for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    region: String,
    version: u64,
    coordinator: VerifyKey,
    witness: VerifyKey,
    hospitals: BTreeMap<HospitalId, HospitalKeys>,
    hash: [u8; 32],
}

/// A roster as it travels and lies on disk: its text, then a line with the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRoster {
    text: String,
    signature: Signature,
}

/// Why a roster is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// The text cannot be read.
    #[error("the roster cannot be read: {0}")]
    Text(String),
    /// Its signature is not the authority's.
    #[error("the roster is not signed by the region's authority")]
    Forged,
    /// It is for another region.
    #[error("the roster is for region {0}")]
    Region(String),
    /// A key is not a key.
    #[error("the roster's key of {0} is not 64 hexadecimal digits")]
    Key(String),
    /// More hospitals than sums are proved for.
    #[error("the roster has more than {HOSPITALS_CAP} hospitals")]
    TooMany,
    /// Two parties have one key.
    #[error("{0} has the key of another party")]
    SharedKey(String),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    region: String,
    version: u64,
    coordinator: String,
    witness: String,
    hospitals: BTreeMap<String, KeysText>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysText {
    sign: String,
    seal: String,
}

impl SignedRoster {
    /// Writes and signs a roster with the region authority's key.
    #[must_use]
    pub fn sign(
        authority: &SigningKey,
        region: &str,
        version: u64,
        coordinator: VerifyKey,
        witness: VerifyKey,
        hospitals: &BTreeMap<HospitalId, HospitalKeys>,
    ) -> Self {
        let keys =
            |keys: &HospitalKeys| KeysText { sign: keys.sign.to_string(), seal: hex(&keys.seal) };
        let text = Text {
            region: region.to_owned(),
            version,
            coordinator: coordinator.to_string(),
            witness: witness.to_string(),
            hospitals: hospitals.iter().map(|(id, k)| (id.to_string(), keys(k))).collect(),
        };
        // Texts and numbers always have a JSON form.
        let text = serde_json::to_string(&text).unwrap_or_default();
        let signature = authority.sign(Context::Roster, text.as_bytes());
        Self { text, signature }
    }

    /// Reads a file's or message's bytes; nothing is verified yet.
    ///
    /// # Errors
    /// [`RosterError::Text`].
    pub fn parse(bytes: &[u8]) -> Result<Self, RosterError> {
        let wrong = |reason: &str| RosterError::Text(reason.to_owned());
        if bytes.len() > MAX_ROSTER_BYTES {
            return Err(wrong("it is longer than 512 KiB"));
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8"))?;
        let mut lines = whole.lines();
        let (Some(text), Some(signature), None) = (lines.next(), lines.next(), lines.next()) else {
            return Err(wrong("it is one line of JSON and one line of signature"));
        };
        let halves = (signature.len() == 128).then(|| signature.split_at_checked(64)).flatten();
        let (first, second) = halves
            .and_then(|(a, b)| Some((unhex32(a)?, unhex32(b)?)))
            .ok_or_else(|| wrong("its signature is not 128 hexadecimal digits"))?;
        let signature = Signature::try_from([first, second].concat().as_slice())
            .map_err(|error| RosterError::Text(error.to_string()))?;
        Ok(Self { text: text.to_owned(), signature })
    }

    /// The bytes of a file or message.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        format!("{}\n{}\n", self.text, hex(self.signature.as_bytes())).into_bytes()
    }

    /// The roster, when `authority` has signed it for `region`.
    ///
    /// # Errors
    /// [`RosterError`].
    pub fn verify(&self, authority: &VerifyKey, region: &str) -> Result<Roster, RosterError> {
        authority
            .verify(Context::Roster, self.text.as_bytes(), &self.signature)
            .map_err(|_| RosterError::Forged)?;
        let text: Text = serde_json::from_str(&self.text)
            .map_err(|error| RosterError::Text(error.to_string()))?;
        if text.region != region {
            return Err(RosterError::Region(text.region));
        }
        if text.hospitals.len() > HOSPITALS_CAP {
            return Err(RosterError::TooMany);
        }
        let key = |name: &str, text: &str| {
            text.parse::<VerifyKey>().map_err(|_: KeyError| RosterError::Key(name.to_owned()))
        };
        let mut hospitals = BTreeMap::new();
        let coordinator = key("the coordinator", &text.coordinator)?;
        let witness = key("the witness", &text.witness)?;
        let mut seen = vec![coordinator];
        let mut only_once = |name: &str, key: VerifyKey| {
            if seen.contains(&key) {
                return Err(RosterError::SharedKey(name.to_owned()));
            }
            seen.push(key);
            Ok(())
        };
        only_once("the witness", witness)?;
        for (name, keys) in &text.hospitals {
            let id: HospitalId =
                name.parse().map_err(|_| RosterError::Text(format!("{name:?} is no hospital")))?;
            let sign = key(name, &keys.sign)?;
            only_once(name, sign)?;
            let seal = unhex32(&keys.seal).ok_or_else(|| RosterError::Key(name.clone()))?;
            hospitals.insert(id, HospitalKeys { sign, seal });
        }
        let mut hash = [0u8; 32];
        hash.copy_from_slice(digest(&SHA256, self.text.as_bytes()).as_ref());
        Ok(Roster {
            region: text.region,
            version: text.version,
            coordinator,
            witness,
            hospitals,
            hash,
        })
    }
}

impl Roster {
    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Grows with every change.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// SHA-256 of its text; offers are bound to it.
    #[must_use]
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Verifies the coordinator's signatures.
    #[must_use]
    pub const fn coordinator(&self) -> VerifyKey {
        self.coordinator
    }

    /// Verifies the witness's signatures.
    #[must_use]
    pub const fn witness(&self) -> VerifyKey {
        self.witness
    }

    /// The hospitals and their keys.
    #[must_use]
    pub const fn hospitals(&self) -> &BTreeMap<HospitalId, HospitalKeys> {
        &self.hospitals
    }

    /// The key of a party by role and name, for checking its checkpoints.
    #[must_use]
    pub fn key_of(&self, role: Role, name: &str) -> Option<VerifyKey> {
        match role {
            Role::Coordinator => Some(self.coordinator),
            Role::Witness => Some(self.witness),
            Role::Node => {
                let id: HospitalId = name.parse().ok()?;
                self.hospitals.get(&id).map(|keys| keys.sign)
            }
            Role::User => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed([seed; 32])
    }

    fn signed(authority: &SigningKey) -> SignedRoster {
        let hospital = |seed: u8| HospitalKeys { sign: key(seed).verify_key(), seal: [seed; 32] };
        let hospitals = (1..=3).map(|n| (format!("h-{n}").parse().unwrap(), hospital(10 + n)));
        let (a, b) = (key(1).verify_key(), key(2).verify_key());
        SignedRoster::sign(authority, "east", 4, a, b, &hospitals.collect())
    }

    #[test]
    fn a_roster_round_trips_and_names_everybody() {
        let authority = key(9);
        let again = SignedRoster::parse(&signed(&authority).to_bytes()).unwrap();
        let roster = again.verify(&authority.verify_key(), "east").unwrap();
        assert_eq!((roster.version(), roster.hospitals().len()), (4, 3));
        assert_eq!(roster.key_of(Role::Node, "h-2"), Some(key(12).verify_key()));
        assert_eq!(roster.key_of(Role::Node, "h-9"), None);
    }

    #[test]
    fn a_roster_with_an_invented_hospital_does_not_verify() {
        let authority = key(9);
        let honest = signed(&authority);
        let padded = honest.text.replace("\"h-3\"", "\"h-4\"");
        let forged = SignedRoster { text: padded, ..honest.clone() };
        let verify = |roster: &SignedRoster, region| roster.verify(&authority.verify_key(), region);
        assert_eq!(verify(&forged, "east"), Err(RosterError::Forged));
        assert_eq!(verify(&signed(&key(8)), "east"), Err(RosterError::Forged));
        assert_eq!(verify(&honest, "west"), Err(RosterError::Region("east".into())));
    }

    #[test]
    fn one_party_cannot_stand_for_two() {
        let authority = key(9);
        let shared = HospitalKeys { sign: key(11).verify_key(), seal: [0; 32] };
        let twice = [("h-1", shared), ("h-2", shared)];
        let hospitals = twice.map(|(id, keys)| (id.parse().unwrap(), keys)).into();
        let (a, b) = (key(1).verify_key(), key(2).verify_key());
        let roster = SignedRoster::sign(&authority, "east", 1, a, b, &hospitals);
        let error = roster.verify(&authority.verify_key(), "east").unwrap_err();
        assert_eq!(error, RosterError::SharedKey("h-2".into()));
    }

    #[test]
    fn damaged_files_are_refused() {
        for bad in ["", "{}", "{}\nzz\n", "{}\n00\nmore\n", "\u{e9}\n"] {
            assert!(SignedRoster::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
