//! A commission that has everything a real one has - certificate, signing key, roster - and does
//! what it likes with it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use model::{HospitalId, Role};
use privacy::blind::RoundKey;
use privacy::conceal::guard_binding;
use privacy::open::Opened;
use privacy::reveal::{Total, reveal};
use privacy::roster::{Roster, SignedRoster};
use privacy::seal::seal;
use privacy::sign::{Signature, SigningKey};
use privacy::sketch::Frame;
use privacy::terms::{Floor, Signatures};
use privacy::{Combined, Policy, ReleaseRequest, Shape, Terms, Veil, VeilKey, Veiled};
use proto::v1::open_part::Part;
use proto::v1::upload_part::Part as UploadPart;
use proto::{
    OpenedAssembler, cells_part, cells_parts, encode_offer, encode_terms, encode_veiled, v1,
};
use query::question::Planner;
use record::{Archive, Entry, FILE};
use ring::rand::{SecureRandom, SystemRandom};
use tests::{REGION, Region, USER, peer};
use tokio_stream::iter;
use tonic::Status;

/// Life of its rounds, and the deadline of its offers.
const LIFE_MS: u32 = 60_000;

/// The commission, and the region that it cheats.
pub(super) struct Chair<'a> {
    pub(super) region: &'a Region,
    pub(super) key: SigningKey,
    pub(super) roster: Roster,
    /// Where the requests stand that were planned here, by their hashes.
    frames: Mutex<HashMap<[u8; 32], Frame>>,
    veil: Veil,
}

/// A round that was countersigned.
#[derive(Debug, Clone)]
pub(super) struct Agreed {
    pub(super) terms: Terms,
    pub(super) signatures: Signatures,
    pub(super) request: ReleaseRequest,
    pub(super) round_key: RoundKey,
    pub(super) guard_keys: Vec<Vec<u8>>,
    pub(super) veil: Veil,
    pub(super) veiled: Option<Veiled>,
}

/// What one hospital sent.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) cells: Vec<u8>,
    pub(super) proof: v1::Upload,
}

/// Uploads by hospital.
pub(super) type Uploads = BTreeMap<&'static str, Upload>;

pub(super) fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).unwrap();
    bytes
}

/// The entries in the record of a party of a region, by its folder.
pub(super) fn entries(region: &Region, party: &str) -> Vec<Entry> {
    let file = region.folder().join(party).join("data").join(FILE);
    let entries = Archive::open(&file).unwrap().entries(u32::MAX).unwrap();
    entries.into_iter().map(|(_, entry)| entry).collect()
}

impl<'a> Chair<'a> {
    pub(super) fn of(region: &'a Region) -> Self {
        let file = |name: &str| std::fs::read(region.pki().folder().join(name)).unwrap();
        let authority = region.pki().roster_key().unwrap().verify_key();
        let signed = SignedRoster::parse(&file("roster.json")).unwrap();
        let roster = signed.verify(&authority, REGION).unwrap();
        let key = region.pki().signing_key(&peer(Role::Coordinator, "main")).unwrap();
        // The coordinator's own, who says nothing of where the data lie.
        let veil = Veil {
            key: VeilKey::new(key.derive("veil")),
            extents: BTreeMap::new(),
            constants: BTreeMap::new(),
        };
        Self { region, key, roster, frames: Mutex::default(), veil }
    }

    /// The request of a question that has no dimensions.
    pub(super) async fn request(&self, sql: &str) -> ReleaseRequest {
        let planner = Planner::new(64 << 20).unwrap();
        let question = planner.plan(sql, &Policy::answering()).await.unwrap();
        let request = question.requests(USER, &[Vec::new()]).unwrap().remove(0);
        let frame = question.frames().next().unwrap().clone();
        self.frames.lock().unwrap().insert(request.hash(), frame);
        request
    }

    /// What hides where cells stand.
    pub(super) fn veil(&self) -> Veil {
        self.veil.clone()
    }

    /// The same, with another veil.
    pub(super) fn under(&self, veil: Veil) -> Self {
        Self { veil, ..Chair::of(self.region) }
    }

    /// What the witness is to be told of where the request stands.
    pub(super) fn veiled(&self, request: &ReleaseRequest, round_key: &RoundKey) -> Option<Veiled> {
        let frame = self.frames.lock().unwrap().get(&request.hash())?.clone();
        self.veil().over(&frame, request, &Shape::of(request).unwrap(), round_key)
    }

    /// Terms for a request and these hospitals.
    pub(super) fn terms(
        &self,
        request: &ReleaseRequest,
        round_key: &RoundKey,
        hospitals: &[&str],
    ) -> Terms {
        Terms {
            region: REGION.to_owned(),
            nonce_a: random(),
            nonce_b: [0; 32],
            request: request.hash(),
            family: request.family(),
            round_key: round_key.commitment(),
            veiled: self.veiled(request, round_key).map_or([0; 32], |veiled| veiled.hash()),
            noise: None,
            witness_key: [0; 32],
            floor: Floor::of(&Policy::answering()).unwrap(),
            roster: self.roster.hash(),
            hospitals: hospitals.iter().map(|id| id.parse().unwrap()).collect(),
            shape: Shape::of(request).unwrap(),
            lifetime_ms: LIFE_MS,
        }
    }

    /// Proposes to the witness.
    pub(super) async fn propose(
        &self,
        proposed: v1::Terms,
        roster: Vec<u8>,
    ) -> Result<v1::Countersigned, Status> {
        let commission = peer(Role::Coordinator, "main");
        let mut witness = self.region.witness_client_as(&commission).unwrap();
        let terms = v1::Terms { nonce_b: Vec::new(), witness_key: Vec::new(), ..proposed };
        let proposal = v1::Proposal { terms: Some(terms), roster };
        Ok(witness.countersign(proposal).await?.into_inner())
    }

    /// An honest beginning: a round over these hospitals that the witness has countersigned.
    pub(super) async fn agree(&self, request: &ReleaseRequest, hospitals: &[&str]) -> Agreed {
        let round_key = RoundKey::from_slice(&random()).unwrap();
        let terms = self.terms(request, &round_key, hospitals);
        self.agree_on(request, terms, round_key).await
    }

    /// A round under these terms that the witness has countersigned.
    pub(super) async fn agree_on(
        &self,
        request: &ReleaseRequest,
        mut terms: Terms,
        round_key: RoundKey,
    ) -> Agreed {
        let reply = self.propose(encode_terms(&terms), Vec::new()).await.unwrap();
        terms.nonce_b = reply.nonce_b.as_slice().try_into().unwrap();
        terms.witness_key = reply.witness_key.as_slice().try_into().unwrap();
        let witness = Signature::try_from(reply.signature.as_slice()).unwrap();
        let signatures = Signatures { coordinator: terms.sign(&self.key), witness };
        let (veil, veiled) = (self.veil(), self.veiled(request, &round_key));
        let (request, guard_keys) = (request.clone(), reply.guard_keys);
        Agreed { terms, signatures, request, round_key, guard_keys, veil, veiled }
    }

    /// Terms that coordinator and witness sign without looking, both against the hospitals.
    pub(super) fn conspire(
        &self,
        request: &ReleaseRequest,
        change: impl FnOnce(&mut Terms),
    ) -> Agreed {
        let round_key = RoundKey::from_slice(&random()).unwrap();
        let mut terms = self.terms(request, &round_key, &["h-1", "h-2", "h-3"]);
        (terms.nonce_b, terms.witness_key) = (random(), random());
        change(&mut terms);
        let witness = self.region.pki().signing_key(&peer(Role::Witness, "main")).unwrap();
        let signatures =
            Signatures { coordinator: terms.sign(&self.key), witness: terms.sign(&witness) };
        let sealed = |hospital: &HospitalId| {
            let keys = self.roster.hospitals().get(hospital);
            let bound = guard_binding(&terms.roster, hospital);
            let drawn = SigningKey::from_seed(random()).derive("drawn");
            let sealed = keys.map(|keys| seal(&keys.seal, "guard", &bound, &random(), drawn));
            sealed.transpose().unwrap().unwrap_or_default()
        };
        let guard_keys = terms.hospitals.iter().map(sealed).collect();
        let (veil, veiled) = (self.veil(), self.veiled(request, &round_key));
        let request = request.clone();
        Agreed { terms, signatures, request, round_key, guard_keys, veil, veiled }
    }

    /// Offers the round to one hospital; anything that is no whole upload is a failed test.
    pub(super) async fn offer(&self, hospital: &str, offer: v1::Offer) -> Result<Upload, Status> {
        let commission = peer(Role::Coordinator, "main");
        let mut node = self.region.node_client_as(hospital, &commission).unwrap();
        let mut parts = node.join(offer).await?.into_inner();
        let (mut cells, mut proof) = (Vec::new(), None);
        while let Some(part) = parts.message().await? {
            match part.part.unwrap() {
                UploadPart::Cells(part) => cells.extend(part.cells),
                UploadPart::End(end) => proof = end.upload,
            }
        }
        Ok(Upload { cells, proof: proof.unwrap() })
    }

    /// Leads an agreed round up to the sum, honestly.
    pub(super) async fn collect(&self, agreed: &Agreed, hospitals: &[&'static str]) -> Uploads {
        let mut uploads = Uploads::new();
        for hospital in hospitals {
            let upload = self.offer(hospital, agreed.offer(hospital)).await.unwrap();
            uploads.insert(hospital, upload);
        }
        uploads
    }

    /// Has the witness open a round over these parts.
    pub(super) async fn open(
        &self,
        shape: &Shape,
        header: v1::OpenHeader,
        witnessed: &[u128],
    ) -> Result<Opened, Status> {
        let commission = peer(Role::Coordinator, "main");
        let mut witness = self.region.witness_client_as(&commission).unwrap();
        let cells = (0..cells_parts(witnessed.len())).map(|n| cells_part(witnessed, n));
        let parts = [Part::Header(header)].into_iter().chain(cells.map(Part::Cells));
        let parts: Vec<_> = parts.map(|part| v1::OpenPart { part: Some(part) }).collect();
        let mut opened = witness.open(iter(parts)).await?.into_inner();
        let mut assembler = OpenedAssembler::new(shape);
        while let Some(part) = opened.message().await? {
            assembler.add(part).unwrap();
        }
        Ok(assembler.finish().unwrap().0)
    }

    /// Opens honestly, over exactly these uploads.
    pub(super) async fn finish(
        &self,
        agreed: &Agreed,
        uploads: &Uploads,
    ) -> Result<Combined, Status> {
        let Agreed { terms, request, round_key, .. } = agreed;
        let total = total(&terms.shape, uploads);
        let witnessed = agreed.witnessed(&total);
        let opened = self.open(&terms.shape, agreed.header(uploads), &witnessed).await?;
        Ok(reveal(&total, &opened, request, &terms.shape, round_key).unwrap())
    }
}

/// The sum of uploads.
pub(super) fn total(shape: &Shape, uploads: &Uploads) -> Total {
    let mut total = Total::new(shape);
    uploads.values().for_each(|upload| total.add(&upload.cells).unwrap());
    total
}

impl Agreed {
    /// The offer for one hospital.
    pub(super) fn offer(&self, hospital: &str) -> v1::Offer {
        let place = self.terms.hospitals.iter().position(|id| id.as_str() == hospital);
        let sealed = place.map(|place| self.guard_keys[place].clone()).unwrap_or_default();
        encode_offer(
            &self.terms,
            &self.signatures,
            &self.request,
            (&self.round_key, &self.veil),
            &sealed,
            LIFE_MS.into(),
        )
    }

    /// The sums and tags that go to the witness.
    pub(super) fn witnessed(&self, total: &Total) -> Vec<u128> {
        let tags = self.veiled.iter().flat_map(|veiled| veiled.tags.iter().copied());
        total.witnessed(&self.terms.shape).iter().copied().chain(tags).collect()
    }

    /// What is said to the witness when the sums are of these uploads.
    pub(super) fn header(&self, uploads: &Uploads) -> v1::OpenHeader {
        v1::OpenHeader {
            sid: self.terms.sid().to_vec(),
            signature: self.signatures.coordinator.as_bytes().to_vec(),
            uploads: uploads.values().map(|upload| upload.proof.clone()).collect(),
            veiled: self.veiled.as_ref().map(encode_veiled),
        }
    }
}
