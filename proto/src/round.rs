//! Masked rounds on the wire: terms, offers, uploads, and what the witness opens.

use model::{HospitalId, Refusal, RefusalCode};
use privacy::blind::RoundKey;
use privacy::mask::{CELL_BYTES, write_cells};
use privacy::open::Opened;
use privacy::roster::SignedRoster;
use privacy::shape::MeasureShape;
use privacy::sign::Signature;
use privacy::terms::Signatures;
use privacy::{Floor, ReleaseRequest, Shape, Sid, Sketched, Terms, Veil};

use crate::chunks::{is_set, pack};
use crate::noise::{decode_round_noise, encode_round_noise};
use crate::request::{decode_request, encode_request};
use crate::veil::{decode_veil, encode_veil};
use crate::{CHUNK_BYTES, v1};

/// Places of one message.
const PLACES_PER_PART: usize = 64 * 1024;
/// Bins of joined histograms in one message: 64 KiB.
const RUNS_PER_PART: usize = 1 << 19;

/// An offer as it arrived: well-formed, and nothing in it verified.
#[derive(Debug, Clone)]
pub struct ReceivedOffer {
    /// What is asked.
    pub request: ReleaseRequest,
    /// Under which terms.
    pub terms: Terms,
    /// Both authorities' signatures.
    pub signatures: Signatures,
    /// The key that coordinator and nodes share.
    pub round_key: RoundKey,
    /// The key that witness and nodes share, sealed for this hospital.
    pub sealed_guard_key: Vec<u8>,
    /// How the witness is told where the cells stand.
    pub veil: Veil,
    /// The signed roster, when it was sent along.
    pub roster: Option<SignedRoster>,
    /// Time left, relative.
    pub deadline_ms: u64,
}

/// What stands behind one upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadProof {
    /// Whose it is.
    pub hospital: HospitalId,
    /// Its seed, sealed for the witness.
    pub sealed_seed: Vec<u8>,
    /// Its receipt's signature.
    pub receipt: Signature,
    /// BLAKE3 of its cells.
    pub hash: [u8; 32],
}

pub(crate) fn malformed(subject: &str) -> Refusal {
    Refusal::new(
        RefusalCode::Request,
        subject,
        "A message of the round is malformed.",
        "Use matching versions of Consilium.",
    )
}

pub(crate) fn bytes32(bytes: &[u8], subject: &str) -> Result<[u8; 32], Refusal> {
    bytes.try_into().map_err(|_| malformed(subject))
}

fn hospital(text: String) -> Result<HospitalId, Refusal> {
    HospitalId::try_from(text).map_err(|_| malformed("hospital"))
}

/// Reads a signature.
///
/// # Errors
/// A [`Refusal`] with code `request`.
pub fn decode_signature(bytes: &[u8]) -> Result<Signature, Refusal> {
    Signature::try_from(bytes).map_err(|_| malformed("signature"))
}

/// Reads a sid.
///
/// # Errors
/// A [`Refusal`] with code `request`.
pub fn decode_sid(bytes: &[u8]) -> Result<Sid, Refusal> {
    bytes32(bytes, "sid")
}

const fn encode_sketched(sketched: Sketched) -> v1::Sketched {
    match sketched {
        Sketched::Nothing => v1::Sketched::Nothing,
        Sketched::Cells => v1::Sketched::Cells,
        Sketched::Whole => v1::Sketched::Whole,
    }
}

const fn decode_sketched(wire: v1::Sketched) -> Option<Sketched> {
    match wire {
        v1::Sketched::Unspecified => None,
        v1::Sketched::Nothing => Some(Sketched::Nothing),
        v1::Sketched::Cells => Some(Sketched::Cells),
        v1::Sketched::Whole => Some(Sketched::Whole),
    }
}

/// Terms as they travel.
#[must_use]
pub fn encode_terms(terms: &Terms) -> v1::Terms {
    let Floor { persons, stays, hospitals, dominance_e4 } = terms.floor;
    let measure = |m: &MeasureShape| v1::MeasureShape {
        supports: m.supports,
        money: m.money,
        width: m.width,
        bins: m.bins,
        tallies: m.tallies,
        whole: m.whole,
    };
    v1::Terms {
        region: terms.region.clone(),
        nonce_a: terms.nonce_a.to_vec(),
        nonce_b: terms.nonce_b.to_vec(),
        request: terms.request.to_vec(),
        family: terms.family.to_vec(),
        round_key: terms.round_key.to_vec(),
        witness_key: terms.witness_key.to_vec(),
        floor: Some(v1::Floor { persons, stays, hospitals, dominance_e4 }),
        roster: terms.roster.to_vec(),
        hospitals: terms.hospitals.iter().map(ToString::to_string).collect(),
        shape: Some(v1::RoundShape {
            cells: u32::try_from(terms.shape.cells()).unwrap_or(u32::MAX),
            measures: terms.shape.measures().iter().map(measure).collect(),
            sketched: encode_sketched(terms.shape.sketched()).into(),
        }),
        lifetime_ms: terms.lifetime_ms,
        veiled: if terms.veiled == [0; 32] { Vec::new() } else { terms.veiled.to_vec() },
        noise: terms.noise.as_ref().map(encode_round_noise),
    }
}

/// Parses terms. A proposal has no nonce and key of the witness yet; `proposed` lets them be
/// absent.
///
/// # Errors
/// A [`Refusal`] with code `request`.
pub fn decode_terms(wire: v1::Terms, proposed: bool) -> Result<Terms, Refusal> {
    let later = |bytes: &[u8], subject: &str| {
        if proposed && bytes.is_empty() { Ok([0; 32]) } else { bytes32(bytes, subject) }
    };
    let floor = wire.floor.ok_or_else(|| malformed("floor"))?;
    let shape = wire.shape.ok_or_else(|| malformed("shape"))?;
    let measure = |m: &v1::MeasureShape| MeasureShape {
        supports: m.supports,
        money: m.money,
        width: m.width,
        bins: m.bins,
        tallies: m.tallies,
        whole: m.whole,
    };
    let measures = shape.measures.iter().map(measure).collect();
    let sketched = decode_sketched(shape.sketched()).ok_or_else(|| malformed("shape"))?;
    Ok(Terms {
        region: wire.region,
        nonce_a: bytes32(&wire.nonce_a, "nonce_a")?,
        nonce_b: later(&wire.nonce_b, "nonce_b")?,
        request: bytes32(&wire.request, "request")?,
        family: bytes32(&wire.family, "family")?,
        round_key: bytes32(&wire.round_key, "round_key")?,
        veiled: match wire.veiled.as_slice() {
            [] => [0; 32],
            veiled => bytes32(veiled, "veiled")?,
        },
        witness_key: later(&wire.witness_key, "witness_key")?,
        floor: Floor {
            persons: floor.persons,
            stays: floor.stays,
            hospitals: floor.hospitals,
            dominance_e4: floor.dominance_e4,
        },
        roster: bytes32(&wire.roster, "roster")?,
        hospitals: wire.hospitals.into_iter().map(hospital).collect::<Result<_, _>>()?,
        shape: Shape::new(shape.cells as usize, measures, sketched)
            .map_err(|_| malformed("shape"))?,
        lifetime_ms: wire.lifetime_ms,
        noise: wire.noise.map(decode_round_noise).transpose()?,
    })
}

/// An offer for one hospital.
#[must_use]
pub fn encode_offer(
    terms: &Terms,
    signatures: &Signatures,
    request: &ReleaseRequest,
    (round_key, veil): (&RoundKey, &Veil),
    sealed_guard_key: &[u8],
    deadline_ms: u64,
) -> v1::Offer {
    v1::Offer {
        terms: Some(encode_terms(terms)),
        coordinator_signature: signatures.coordinator.as_bytes().to_vec(),
        witness_signature: signatures.witness.as_bytes().to_vec(),
        request: Some(encode_request(request, deadline_ms)),
        round_key: round_key.as_bytes().to_vec(),
        guard_key: sealed_guard_key.to_vec(),
        roster: Vec::new(),
        veil: Some(encode_veil(veil)),
    }
}

/// Parses an offer.
///
/// # Errors
/// A [`Refusal`] with code `request`, `bounds` or `too_large`.
pub fn decode_offer(wire: v1::Offer) -> Result<ReceivedOffer, Refusal> {
    let request = wire.request.ok_or_else(|| malformed("request"))?;
    let roster = if wire.roster.is_empty() {
        None
    } else {
        Some(SignedRoster::parse(&wire.roster).map_err(|_| malformed("roster"))?)
    };
    let deadline_ms = request.deadline_ms;
    Ok(ReceivedOffer {
        request: decode_request(request)?,
        terms: decode_terms(wire.terms.ok_or_else(|| malformed("terms"))?, false)?,
        signatures: Signatures {
            coordinator: decode_signature(&wire.coordinator_signature)?,
            witness: decode_signature(&wire.witness_signature)?,
        },
        round_key: RoundKey::from_slice(&wire.round_key).ok_or_else(|| malformed("round_key"))?,
        sealed_guard_key: wire.guard_key,
        veil: decode_veil(wire.veil.ok_or_else(|| malformed("veil"))?)?,
        roster,
        deadline_ms,
    })
}

/// A log's checkpoint, a signed note, with the proof that it continues an earlier one.
#[must_use]
pub fn encode_checkpoint(note: String, proof: &[[u8; 32]]) -> v1::CheckpointResponse {
    v1::CheckpointResponse { note, consistency: proof.iter().map(|hash| hash.to_vec()).collect() }
}

/// What stands behind an upload, as it travels.
#[must_use]
pub fn encode_upload(proof: &UploadProof) -> v1::Upload {
    v1::Upload {
        hospital: proof.hospital.to_string(),
        sealed_seed: proof.sealed_seed.clone(),
        receipt: proof.receipt.as_bytes().to_vec(),
        hash: proof.hash.to_vec(),
    }
}

/// Parses what stands behind an upload.
///
/// # Errors
/// A [`Refusal`] with code `request`.
pub fn decode_upload(wire: v1::Upload) -> Result<UploadProof, Refusal> {
    Ok(UploadProof {
        hospital: hospital(wire.hospital)?,
        sealed_seed: wire.sealed_seed,
        receipt: decode_signature(&wire.receipt)?,
        hash: bytes32(&wire.hash, "hash")?,
    })
}

/// Number of messages in which [`cells_part`] hands over `entries` cells.
#[must_use]
pub const fn cells_parts(entries: usize) -> usize {
    entries.div_ceil(CHUNK_BYTES / CELL_BYTES)
}

/// Message `index` of a vector of cells; made one at a time, so that a vector is never held twice.
#[must_use]
pub fn cells_part(entries: &[u128], index: usize) -> v1::Cells {
    let per_part = CHUNK_BYTES / CELL_BYTES;
    let part = entries.chunks(per_part).nth(index).unwrap_or_default();
    let mut cells = Vec::new();
    write_cells(part, &mut cells);
    v1::Cells { cells }
}

/// Appends the cells of one message to a vector that shall have `limit` of them.
///
/// # Errors
/// A [`Refusal`] with code `request` when the message is no whole number of cells or the vector
/// would be too long.
pub fn add_cells(vector: &mut Vec<u128>, wire: &v1::Cells, limit: usize) -> Result<(), Refusal> {
    let (cells, rest) = wire.cells.as_chunks::<CELL_BYTES>();
    if !rest.is_empty() || vector.len() + cells.len() > limit {
        return Err(malformed("cells"));
    }
    vector.extend(cells.iter().map(|cell| u128::from_le_bytes(*cell)));
    Ok(())
}

/// What the witness opens, as messages; `signature` is over the passing buckets of a discovery.
pub fn encode_opened<'a>(
    opened: &'a Opened,
    signature: Option<&Signature>,
) -> impl Iterator<Item = v1::OpenedPart> + use<'a> {
    use v1::opened_part::Part;
    let header = v1::OpenedHeader {
        withheld_groups: opened.withheld_groups,
        withheld_measures: opened.withheld_measures,
        remainder: opened.remainder.map(|sums| sums.map(u128::to_le_bytes).concat()),
        signature: signature.map(|one| one.as_bytes().to_vec()).unwrap_or_default(),
    };
    let verdicts = opened.verdicts.chunks(PLACES_PER_PART);
    let places = opened.places.chunks(PLACES_PER_PART).zip(verdicts).map(|(places, verdicts)| {
        Part::Places(v1::OpenedPlaces { places: places.to_vec(), verdicts: verdicts.to_vec() })
    });
    let runs = opened.runs.chunks(RUNS_PER_PART).map(|ends| {
        let bins = u32::try_from(ends.len()).unwrap_or(u32::MAX);
        Part::Runs(v1::OpenedRuns { bins, ends: pack(ends.iter().copied()) })
    });
    let masks = (0..cells_parts(opened.masks.len()))
        .map(|index| Part::Masks(cells_part(&opened.masks, index)));
    let parts = [Part::Header(header)].into_iter().chain(places).chain(runs).chain(masks);
    parts.map(|part| v1::OpenedPart { part: Some(part) })
}

/// Puts together what the witness opened.
#[derive(Debug)]
pub struct OpenedAssembler {
    opened: Opened,
    signature: Vec<u8>,
    begun: bool,
    max_masks: usize,
}

impl OpenedAssembler {
    /// An assembler for a round of this shape.
    #[must_use]
    pub fn new(shape: &Shape) -> Self {
        let max_masks = shape.cells() * (shape.columns() - shape.guards());
        Self { opened: Opened::default(), signature: Vec::new(), begun: false, max_masks }
    }

    /// Takes in the next message.
    ///
    /// # Errors
    /// A [`Refusal`] with code `request`.
    pub fn add(&mut self, wire: v1::OpenedPart) -> Result<(), Refusal> {
        use v1::opened_part::Part;
        match wire.part {
            Some(Part::Header(header)) if !self.begun => {
                self.begun = true;
                self.opened.withheld_groups = header.withheld_groups;
                self.opened.withheld_measures = header.withheld_measures;
                let remainder = header.remainder.map(|bytes| match bytes.as_chunks().0 {
                    [rows, check] if bytes.len() == 2 * CELL_BYTES => {
                        Ok([*rows, *check].map(u128::from_le_bytes))
                    }
                    _ => Err(malformed("remainder")),
                });
                self.opened.remainder = remainder.transpose()?;
                self.signature = header.signature;
                Ok(())
            }
            Some(Part::Places(places)) if self.begun => {
                let lengths = places.places.len() == places.verdicts.len();
                if !lengths || self.opened.places.len() + places.places.len() > self.max_masks {
                    return Err(malformed("places"));
                }
                self.opened.places.extend(places.places);
                self.opened.verdicts.extend(places.verdicts);
                Ok(())
            }
            Some(Part::Runs(runs)) if self.begun => {
                let bins = runs.bins as usize;
                let fits = runs.ends.len() == bins.div_ceil(8) && bins <= RUNS_PER_PART;
                if !fits || self.opened.runs.len() + bins > self.max_masks {
                    return Err(malformed("runs"));
                }
                self.opened.runs.extend((0..bins).map(|bin| is_set(&runs.ends, bin)));
                Ok(())
            }
            Some(Part::Masks(cells)) if self.begun => {
                add_cells(&mut self.opened.masks, &cells, self.max_masks)
            }
            _ => Err(malformed("opened")),
        }
    }

    /// What was opened, and the signature of a discovery.
    ///
    /// # Errors
    /// A [`Refusal`] with code `request` when nothing came.
    pub fn finish(self) -> Result<(Opened, Option<Signature>), Refusal> {
        if !self.begun {
            return Err(malformed("opened"));
        }
        let signature =
            if self.signature.is_empty() { None } else { Some(decode_signature(&self.signature)?) };
        Ok((self.opened, signature))
    }
}

#[cfg(test)]
mod tests;
