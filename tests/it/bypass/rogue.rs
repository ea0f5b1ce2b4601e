//! A coordinator that has gone bad: it has its certificate and its signing key, and a witness that
//! countersigns in good faith, because it never sees what is asked.

use std::collections::BTreeMap;

use model::{HospitalId, Role};
use privacy::blind::RoundKey;
use privacy::policy::Policy;
use privacy::roster::{Roster, SignedRoster};
use privacy::sign::{Context, SigningKey};
use privacy::sketch::Frame;
use privacy::terms::Signatures;
use privacy::{Floor, ReleaseRequest, Shape, Sid, Terms, Veil, VeilKey};
use proto::v1;
use proto::v1::node_client::NodeClient;
use proto::v1::upload_part::Part;
use proto::v1::witness_client::WitnessClient;
use proto::{decode_request, decode_signature, encode_offer, encode_terms};
use ring::rand::{SecureRandom as _, SystemRandom};
use tests::{REGION, Region, peer};
use tonic::Status;
use tonic::transport::Channel;

/// The hospital that is attacked.
pub(super) const VICTIM: &str = "h-1";
const LIFETIME_MS: u32 = 20_000;

/// See the module.
pub(super) struct Rogue {
    key: SigningKey,
    roster: Roster,
    node: NodeClient<Channel>,
    witness: WitnessClient<Channel>,
}

/// Terms that both authorities have signed, with the guard key sealed for each hospital.
pub(super) struct Agreed {
    pub(super) terms: Terms,
    pub(super) signatures: Signatures,
    pub(super) guard_keys: Vec<Vec<u8>>,
}

pub(super) fn random32() -> [u8; 32] {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).unwrap();
    bytes
}

/// The key that coordinator and nodes share in every round of this coordinator.
fn round_key() -> RoundKey {
    RoundKey::from_slice(&[7; 32]).unwrap()
}

impl Rogue {
    pub(super) fn of(region: &Region) -> Self {
        let who = peer(Role::Coordinator, "main");
        let pki = region.pki();
        let signed = std::fs::read(pki.folder().join("roster.json")).unwrap();
        let authority = pki.roster_key().unwrap().verify_key();
        Self {
            key: pki.signing_key(&who).unwrap(),
            roster: SignedRoster::parse(&signed).unwrap().verify(&authority, REGION).unwrap(),
            node: region.node_client_as(VICTIM, &who).unwrap(),
            witness: region.witness_client_as(&who).unwrap(),
        }
    }

    fn veil(&self) -> Veil {
        Veil {
            key: VeilKey::new(self.key.derive("veil")),
            extents: BTreeMap::new(),
            constants: BTreeMap::new(),
        }
    }

    /// What the terms are bound to when `request` is about all stays by group.
    fn veiled(&self, request: &ReleaseRequest) -> [u8; 32] {
        let frame = Frame {
            base: privacy::sha256(b"FROM stay"),
            pins: BTreeMap::new(),
            dimensions: vec![Some("stay.drg_code".to_owned())],
            locals: Vec::new(),
            local_dimensions: Vec::new(),
            has_whole: true,
            spans: BTreeMap::new(),
            extents: BTreeMap::new(),
            constants: BTreeMap::new(),
            told_apart: Vec::new(),
        };
        let shape = Shape::of(request).unwrap();
        let veiled = self.veil().over(&frame, request, &shape, &round_key());
        veiled.map_or([0; 32], |veiled| veiled.hash())
    }

    /// What the coordinator would have signed by both for `request`.
    pub(super) fn proposal(&self, request: &ReleaseRequest) -> Terms {
        Terms {
            region: REGION.to_owned(),
            nonce_a: random32(),
            nonce_b: [0; 32],
            request: request.hash(),
            family: request.family(),
            round_key: round_key().commitment(),
            veiled: self.veiled(request),
            noise: None,
            witness_key: [0; 32],
            floor: Floor::of(&Policy::answering()).unwrap(),
            roster: self.roster.hash(),
            hospitals: self.roster.hospitals().keys().cloned().collect(),
            shape: Shape::of(request).unwrap(),
            lifetime_ms: LIFETIME_MS,
        }
    }

    /// Has a round for `request` countersigned by the witness, and signs it.
    pub(super) async fn agree(&mut self, request: &ReleaseRequest) -> Agreed {
        let mut terms = self.proposal(request);
        let mut proposed = encode_terms(&terms);
        (proposed.nonce_b, proposed.witness_key) = (Vec::new(), Vec::new());
        let proposal = v1::Proposal { terms: Some(proposed), roster: Vec::new() };
        let signed = self.witness.countersign(proposal).await.unwrap().into_inner();
        terms.nonce_b = signed.nonce_b.try_into().unwrap();
        terms.witness_key = signed.witness_key.try_into().unwrap();
        let witness = decode_signature(&signed.signature).unwrap();
        let signatures = Signatures { coordinator: terms.sign(&self.key), witness };
        Agreed { terms, signatures, guard_keys: signed.guard_keys }
    }

    /// A round for `request`, in good order but for what is asked. What cannot be parsed travels
    /// under the terms of `fine`.
    pub(super) async fn offer(
        &mut self,
        request: v1::ReleaseRequest,
        fine: &ReleaseRequest,
    ) -> v1::Offer {
        let parsed = decode_request(request.clone());
        let parsed = parsed.as_ref().unwrap_or(fine);
        let agreed = self.agree(parsed).await;
        v1::Offer { request: Some(request), ..self.encode(&agreed, parsed) }
    }

    /// The offer to the victim.
    pub(super) fn encode(&self, agreed: &Agreed, request: &ReleaseRequest) -> v1::Offer {
        let Agreed { terms, signatures, guard_keys } = agreed;
        let victim: HospitalId = VICTIM.parse().unwrap();
        let place = terms.hospitals.iter().position(|id| *id == victim);
        let sealed = place.and_then(|place| guard_keys.get(place)).cloned().unwrap_or_default();
        let veil = self.veil();
        let keys = (&round_key(), &veil);
        encode_offer(terms, signatures, request, keys, &sealed, LIFETIME_MS.into())
    }

    /// Signs a sid in the coordinator's name.
    pub(super) fn sign(&self, sid: &Sid) -> Vec<u8> {
        self.key.sign(Context::Offer, sid).as_bytes().to_vec()
    }

    pub(super) async fn release(
        &mut self,
        request: v1::ReleaseRequest,
    ) -> Result<Vec<v1::ReleaseChunk>, Status> {
        let mut stream = self.node.release(request).await?.into_inner();
        let mut chunks = Vec::new();
        while let Some(chunk) = stream.message().await? {
            chunks.push(chunk);
        }
        Ok(chunks)
    }

    /// Offers a round to the victim; the bytes of its upload.
    pub(super) async fn join(&mut self, offer: v1::Offer) -> Result<Vec<u8>, Status> {
        let mut stream = self.node.join(offer).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(part) = stream.message().await? {
            if let Some(Part::Cells(cells)) = part.part {
                bytes.extend(cells.cells);
            }
        }
        Ok(bytes)
    }
}
