//! The second authority, as the coordinator reaches it.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use model::{Peer, Refusal, RefusalCode, Role};
use privacy::open::Opened;
use privacy::shape::Shape;
use privacy::sign::Signature;
use privacy::{Sid, Terms, Veiled};
use proto::v1;
use proto::v1::open_part::Part;
use proto::v1::witness_client::WitnessClient;
use proto::{
    OpenedAssembler, UploadProof, cells_part, cells_parts, encode_terms, encode_upload,
    encode_veiled,
};
use service::connect::{ConnectOptions, Line};
use service::status::refusal_of;
use service::{Connector, ReloadingIdentity};
use tonic::transport::Channel;
use tonic::{Code, Status};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The witness of the region.
#[derive(Debug)]
pub(crate) struct Witness {
    line: Line,
}

/// Why the witness did not do its part.
#[derive(Debug)]
pub(crate) enum WitnessError {
    /// It said no.
    Refused(Box<Refusal>),
    /// It cannot be reached, or was lost in the middle; the round is over and nothing was learned.
    Away,
    /// It sent what no witness sends.
    Broken,
}

impl From<Status> for WitnessError {
    fn from(status: Status) -> Self {
        match refusal_of(&status) {
            Some(refusal) => Self::Refused(Box::new(refusal)),
            None if matches!(status.code(), Code::Internal | Code::InvalidArgument) => Self::Broken,
            None => {
                tracing::warn!(code = ?status.code(), "the witness is away");
                Self::Away
            }
        }
    }
}

impl From<Refusal> for WitnessError {
    fn from(_: Refusal) -> Self {
        Self::Broken
    }
}

/// What the witness adds to proposed terms.
#[derive(Debug)]
pub(crate) struct Countersigned {
    pub(crate) terms: Terms,
    pub(crate) signature: Signature,
    /// The guard key, sealed for each hospital, in the order of the terms.
    pub(crate) guard_keys: Vec<Vec<u8>>,
}

impl Witness {
    /// Prepares a connection; none is made before it is needed.
    ///
    /// # Errors
    /// When the region's name cannot stand in a certificate.
    pub(crate) fn new(
        region: &str,
        address: String,
        identity: &Arc<ReloadingIdentity>,
    ) -> Result<Self, model::peer::InvalidPeer> {
        let peer = Peer::new(region, Role::Witness, "main")?;
        let options =
            ConnectOptions { connect_timeout: CONNECT_TIMEOUT, ..ConnectOptions::default() };
        Ok(Self { line: Connector::new(Arc::clone(identity)).line(peer, address, options) })
    }

    /// A client over the persistent connection.
    pub(crate) fn client(&self) -> WitnessClient<Channel> {
        WitnessClient::new(self.line.channel()).max_decoding_message_size(proto::MAX_MESSAGE_BYTES)
    }

    /// Has proposed terms countersigned; the roster goes along when the witness lacks it.
    pub(crate) async fn countersign(
        &self,
        mut terms: Terms,
        roster: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Result<Countersigned, WitnessError> {
        let mut proposed = encode_terms(&terms);
        (proposed.nonce_b, proposed.witness_key) = (Vec::new(), Vec::new());
        let proposal = v1::Proposal { terms: Some(proposed), roster: Vec::new() };
        let mut answer = self.client().countersign(proposal.clone()).await;
        let unknown = |status: &Status| {
            refusal_of(status).is_some_and(|refusal| refusal.code == RefusalCode::RosterUnknown)
        };
        if answer.as_ref().is_err_and(unknown)
            && let Some(roster) = roster()
        {
            answer = self.client().countersign(v1::Proposal { roster, ..proposal }).await;
        }
        let answer = answer?.into_inner();
        let bytes = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).map_err(|_| WitnessError::Broken);
        terms.nonce_b = bytes(&answer.nonce_b)?;
        terms.witness_key = bytes(&answer.witness_key)?;
        if answer.guard_keys.len() != terms.hospitals.len() {
            return Err(WitnessError::Broken);
        }
        let signature = proto::decode_signature(&answer.signature)?;
        Ok(Countersigned { terms, signature, guard_keys: answer.guard_keys })
    }

    /// Has the sums of a round judged and what passes opened.
    pub(crate) async fn open(
        &self,
        sid: &Sid,
        shape: &Shape,
        signature: &Signature,
        proofs: &[UploadProof],
        (mut sums, veiled): (Vec<u128>, Option<&Veiled>),
    ) -> Result<(Opened, Option<Signature>), WitnessError> {
        let header = v1::OpenHeader {
            sid: sid.to_vec(),
            signature: signature.as_bytes().to_vec(),
            uploads: proofs.iter().map(encode_upload).collect(),
            veiled: veiled.map(encode_veiled),
        };
        sums.extend(veiled.into_iter().flat_map(|veiled| &veiled.tags));
        let parts = cells_parts(sums.len());
        let cells = stream::iter(0..parts).map(move |index| Part::Cells(cells_part(&sums, index)));
        let parts = stream::iter([Part::Header(header)]).chain(cells);
        let parts = parts.map(|part| v1::OpenPart { part: Some(part) });
        let mut answer = self.client().open(parts).await?.into_inner();
        let mut assembler = OpenedAssembler::new(shape);
        while let Some(part) = answer.message().await? {
            assembler.add(part)?;
        }
        Ok(assembler.finish()?)
    }

    /// The union of sealed lists, still hidden.
    pub(crate) async fn unite(
        &self,
        sid: &Sid,
        lists: Vec<v1::SealedNames>,
    ) -> Result<Vec<Vec<u8>>, WitnessError> {
        let request = v1::UniteRequest { sid: sid.to_vec(), lists };
        Ok(self.client().unite(request).await?.into_inner().names)
    }
}
