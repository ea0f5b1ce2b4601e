//! The terms of a masked round, and the sid that binds everybody to them.
//!
//! The coordinator proposes, the witness countersigns, each node checks. The sid is the hash of
//! all terms, so a signature over the sid is one over every term: nobody can show different nodes
//! different requests, rosters or floors under one sid.

use model::{HospitalId, Refusal, RefusalCode};

use crate::canonical::Writer;
use crate::noise::regional::RoundNoise;
use crate::policy::{DOMINANCE_OFF_E4, LARGEST_MINIMUM, Policy};
use crate::request::ReleaseRequest;
use crate::roster::{FEWEST_HOSPITALS, Roster};
use crate::shape::{MeasureShape, Shape};
use crate::sign::{Context, Signature, SigningKey};
use crate::sketch::Sketched;

/// Longest life of a round, in milliseconds.
pub const MAX_LIFETIME_MS: u32 = 600_000;

/// The name of a round: the hash of its terms.
pub type Sid = [u8; 32];

/// What every opened group must reach; at least what each hospital's own policy demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floor {
    /// Distinct persons, added up over hospitals.
    pub persons: u32,
    /// Stays.
    pub stays: u32,
    /// Hospitals that contribute.
    pub hospitals: u32,
    /// Most that Σx² / (Σx)² may be in money sums, in 1/10,000.
    pub dominance_e4: u32,
}

/// The terms of one round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The region.
    pub region: String,
    /// 32 random bytes of the coordinator.
    pub nonce_a: [u8; 32],
    /// 32 random bytes of the witness.
    pub nonce_b: [u8; 32],
    /// Hash of the request; the witness never sees the request itself.
    pub request: [u8; 32],
    /// Hash of what the request is about.
    pub family: [u8; 32],
    /// Commitment to the key that coordinator and nodes share.
    pub round_key: [u8; 32],
    /// Hash of where the cells stand among others ([`crate::Veiled`]); zeros when populations are not compared.
    pub veiled: [u8; 32],
    /// The witness's X25519 key of this round.
    pub witness_key: [u8; 32],
    /// What every opened group must reach.
    pub floor: Floor,
    /// Hash of the roster by which the hospitals are known.
    pub roster: [u8; 32],
    /// The hospitals that are asked, ascending.
    pub hospitals: Vec<HospitalId>,
    /// The form of an upload.
    pub shape: Shape,
    /// Milliseconds that the round lives, counted by everybody from when they hear of it.
    pub lifetime_ms: u32,
    /// With which noise the sums are opened; without, exactly.
    pub noise: Option<RoundNoise>,
}

/// Both authorities' signatures over a sid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signatures {
    /// The coordinator's.
    pub coordinator: Signature,
    /// The witness's.
    pub witness: Signature,
}

/// Terms that are in order and that both authorities of one roster have signed. Only
/// [`Terms::vouched`] makes them.
#[derive(Debug, Clone)]
pub struct Vouched {
    terms: Terms,
    sid: Sid,
}

impl Vouched {
    /// The terms.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The round's name.
    #[must_use]
    pub const fn sid(&self) -> &Sid {
        &self.sid
    }

    pub(crate) fn into_parts(self) -> (Terms, Sid) {
        (self.terms, self.sid)
    }
}

impl Floor {
    /// The floor that satisfies one policy; `None` when its minima are unset.
    #[must_use]
    pub fn of(policy: &Policy) -> Option<Self> {
        Some(Self {
            persons: policy.minimum.persons?,
            stays: policy.minimum.stays?,
            hospitals: policy.pooled.hospitals,
            dominance_e4: policy.pooled.dominance_e4,
        })
    }

    /// The stricter of both, rule by rule.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            persons: self.persons.max(other.persons),
            stays: self.stays.max(other.stays),
            hospitals: self.hospitals.max(other.hospitals),
            dominance_e4: self.dominance_e4.min(other.dominance_e4),
        }
    }

    /// Whether this floor is at least as strict as `other`, in every rule.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.max(other) == self
    }

    /// Whether its numbers are those of a floor at all.
    #[must_use]
    pub fn is_sane(self) -> bool {
        let minimum = |value: u32| (1..=LARGEST_MINIMUM).contains(&value);
        minimum(self.persons)
            && minimum(self.stays)
            && minimum(self.hospitals)
            && (1..=DOMINANCE_OFF_E4).contains(&self.dominance_e4)
    }
}

fn refuse(subject: &str, reason: &str, instead: &str) -> Refusal {
    Refusal::new(RefusalCode::Offer, subject, reason, instead)
}

impl Terms {
    /// The hash of all terms.
    #[must_use]
    pub fn sid(&self) -> Sid {
        let mut writer = Writer::new("consilium/terms/v4");
        writer.text(&self.region);
        for hash in [&self.nonce_a, &self.nonce_b, &self.request, &self.family] {
            writer.bytes(hash);
        }
        for hash in [&self.round_key, &self.veiled, &self.witness_key, &self.roster] {
            writer.bytes(hash);
        }
        let Floor { persons, stays, hospitals, dominance_e4 } = self.floor;
        for number in [persons, stays, hospitals, dominance_e4, self.lifetime_ms] {
            writer.number(u64::from(number));
        }
        writer.number(self.hospitals.len() as u64);
        self.hospitals.iter().for_each(|hospital| writer.text(hospital.as_str()));
        writer.number(self.shape.cells() as u64);
        writer.number(match self.shape.sketched() {
            Sketched::Nothing => 0,
            Sketched::Cells => 1,
            Sketched::Whole => 2,
        });
        writer.number(self.shape.measures().len() as u64);
        for MeasureShape { supports, money, width, bins, tallies, whole } in self.shape.measures() {
            [supports, money, width].into_iter().for_each(|n| writer.number(u64::from(*n)));
            // Bins have one tally, and groups more parts than one, unless the upper half says otherwise.
            let more = u64::from(tallies.saturating_sub(1)) | u64::from(*whole) << 16;
            writer.number(u64::from(*bins) | more << 32);
        }
        if let Some(RoundNoise { rho_micro, rows_per_person, money, number, deviations }) =
            &self.noise
        {
            writer.text("noise");
            writer.number(*rho_micro);
            [rows_per_person, money, number].into_iter().for_each(|n| writer.number((*n).into()));
            writer.number(deviations.len() as u64);
            deviations.iter().for_each(|deviation| writer.bytes(&deviation.to_le_bytes()));
        }
        writer.hash()
    }

    /// The family of rounds whose sets of hospitals are compared with this one's: those about the same rows. Noise is
    /// paid for, whatever is subtracted from what, so a noisy round is alone in its own, by its sid.
    #[must_use]
    pub fn compared_family(&self) -> [u8; 32] {
        if self.noise.is_some() { self.sid() } else { self.family }
    }

    /// Signs the sid.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> Signature {
        key.sign(Context::Offer, &self.sid())
    }

    /// Checks what is true of every honest round, whoever looks.
    ///
    /// # Errors
    /// A [`Refusal`] with code `offer`.
    pub fn check(&self, roster: &Roster) -> Result<(), Refusal> {
        if self.region != roster.region() {
            return Err(refuse("region", "The offer is for another region.", ""));
        }
        if self.roster != roster.hash() {
            return Err(Refusal::new(
                RefusalCode::RosterUnknown,
                "roster",
                "The offer is bound to a roster that this party does not hold.",
                "The coordinator sends the signed roster along.",
            ));
        }
        let ascending = self.hospitals.windows(2).all(|pair| pair[0] < pair[1]);
        let known = self.hospitals.iter().all(|id| roster.hospitals().contains_key(id));
        if !ascending || !known {
            let reason = "The offer names a hospital that the region's authority does not know.";
            return Err(refuse("hospitals", reason, "Enrol it first."));
        }
        if self.hospitals.len() < FEWEST_HOSPITALS {
            let reason = format!(
                "A pooled question needs at least {FEWEST_HOSPITALS} hospitals; with fewer, one \
                 could subtract its own part."
            );
            return Err(refuse("hospitals", &reason, "Ask when more hospitals are there."));
        }
        if !self.floor.is_sane() {
            return Err(refuse("floor", "The offer's minima are not set.", ""));
        }
        if self.lifetime_ms == 0 || self.lifetime_ms > MAX_LIFETIME_MS {
            return Err(refuse("lifetime", "The offer has no proper end.", ""));
        }
        self.noise.as_ref().map_or(Ok(()), |noise| noise.check(&self.shape))
    }

    /// Checks the terms as everybody does, and that both authorities have signed them.
    ///
    /// # Errors
    /// A [`Refusal`] with code `offer` or `roster_unknown`.
    pub fn vouched(self, roster: &Roster, signatures: &Signatures) -> Result<Vouched, Refusal> {
        self.check(roster)?;
        let sid = self.verify(roster, signatures)?;
        Ok(Vouched { terms: self, sid })
    }

    /// Checks that both authorities have signed exactly these terms.
    ///
    /// # Errors
    /// A [`Refusal`] with code `offer`.
    pub fn verify(&self, roster: &Roster, signatures: &Signatures) -> Result<Sid, Refusal> {
        let sid = self.sid();
        let parties = [
            ("coordinator", roster.coordinator(), &signatures.coordinator),
            ("witness", roster.witness(), &signatures.witness),
        ];
        for (name, key, signature) in parties {
            key.verify(Context::Offer, &sid, signature).map_err(|_| {
                refuse(name, &format!("The {name}'s signature does not fit the offer."), "")
            })?;
        }
        Ok(sid)
    }

    /// Checks, as a node, that these are terms for `request` and keep to the own `policy`.
    ///
    /// # Errors
    /// A [`Refusal`] with code `offer` or `policy_unset`.
    pub fn bind(
        &self,
        request: &ReleaseRequest,
        policy: &Policy,
        own: &HospitalId,
    ) -> Result<(), Refusal> {
        let shape = Shape::of(request).map_err(|error| {
            let reason = format!("The question is too large to be masked: {error}.");
            Refusal::new(RefusalCode::TooLarge, "question", reason, "Group by fewer columns.")
        })?;
        let bound = self.request == request.hash()
            && self.family == request.family()
            && self.shape == shape;
        if !bound {
            return Err(refuse("request", "The offer is for another request.", ""));
        }
        if self.hospitals.binary_search(own).is_err() {
            return Err(refuse("hospitals", "The offer does not name this hospital.", ""));
        }
        let demanded = Floor::of(policy).filter(|floor| floor.is_sane()).ok_or_else(|| {
            Refusal::new(
                RefusalCode::PolicyUnset,
                "minimum",
                "The hospital has not set its minimum cell, so its node is closed.",
                "Its steward sets minimum.persons and minimum.stays in the policy file.",
            )
        })?;
        if !self.floor.covers(demanded) {
            return Err(refuse(
                "floor",
                "The offer's minima are below those of the hospital's policy.",
                "The coordinator asks again with the stricter floor.",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
