//! One hospital's part of a masked round: it is offered, and its upload taken in, whole and vouched
//! for.

use std::sync::Arc;

use model::RefusalCode;
use privacy::conceal::{Receipt, upload_hash};
use privacy::roster::Roster;
use privacy::{Sid, Terms};
use proto::{UploadProof, decode_upload, v1};
use service::status::refusal_of;
use tonic::Status;

use crate::progress::RETRY_PAUSE;
use crate::registry::{Absence, Site};

/// What an upload has to fit.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) terms: Terms,
    pub(crate) sid: Sid,
    pub(crate) roster: Arc<Roster>,
}

/// A complete upload.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) proof: UploadProof,
    pub(crate) cells: Vec<u8>,
    /// The snapshot that it is over, as the hospital says.
    pub(crate) snapshot: String,
}

/// Offers the round to one hospital and takes in its upload, whole and vouched for.
pub(crate) async fn upload(
    site: &Site,
    offer: v1::Offer,
    expected: &Expected,
    signed_roster: &[u8],
) -> Result<Arrived, Absence> {
    match take_in(site, offer.clone(), expected).await {
        Err(Absence::Refused(refusal)) if refusal.code == RefusalCode::RosterUnknown => {
            let offer = v1::Offer { roster: signed_roster.to_vec(), ..offer };
            take_in(site, offer, expected).await
        }
        Err(Absence::Unreachable) => {
            tokio::time::sleep(RETRY_PAUSE).await;
            match take_in(site, offer, expected).await {
                // The first offer had reached it: the answer was lost, and is not given twice.
                Err(Absence::Refused(refusal)) if refusal.code == RefusalCode::Replay => {
                    Err(Absence::Unreachable)
                }
                outcome => outcome,
            }
        }
        outcome => outcome,
    }
}

async fn take_in(site: &Site, offer: v1::Offer, expected: &Expected) -> Result<Arrived, Absence> {
    use v1::upload_part::Part;
    let status = |status: Status| {
        let refused = refusal_of(&status).is_some();
        tracing::debug!(hospital = %site.id, code = ?status.code(), refused, "no upload");
        Absence::of(&status)
    };
    let unusable = |why: &'static str| {
        tracing::warn!(hospital = %site.id, why, "an upload was not usable");
        Absence::Failed
    };
    let size = expected.terms.shape.bytes();
    let mut cells: Vec<u8> = Vec::with_capacity(size);
    let mut client = site.client();
    let mut stream = client.join(offer).await.map_err(status)?.into_inner();
    let end = loop {
        let part = stream.message().await.map_err(status)?.and_then(|message| message.part);
        match part {
            Some(Part::Cells(part)) if cells.len() + part.cells.len() <= size => {
                cells.extend(part.cells);
            }
            Some(Part::Cells(_)) => return Err(unusable("it is longer than its request")),
            Some(Part::End(end)) => break end,
            None => return Err(unusable("it ended too early")),
        }
    };
    if stream.message().await.map_err(status)?.is_some() {
        return Err(unusable("it went on after its end"));
    }
    let snapshot = end.snapshot_id;
    let proof = end.upload.and_then(|upload| decode_upload(upload).ok());
    let proof = proof.ok_or_else(|| unusable("it has no receipt"))?;
    let keys = expected.roster.hospitals().get(&site.id).ok_or(Absence::Identity)?;
    let receipt = Receipt::of(expected.sid, expected.terms.request, proof.hash, &proof.sealed_seed);
    let vouched = receipt.verify(&keys.sign, &proof.receipt).is_ok();
    if cells.len() != size || proof.hospital != site.id || !vouched {
        return Err(unusable("it is not the one that its receipt vouches for"));
    }
    if upload_hash(&cells) != proof.hash {
        return Err(unusable("its cells are not those of its receipt"));
    }
    Ok(Arrived { proof, cells, snapshot })
}
