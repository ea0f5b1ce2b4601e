//! Audit logs: the witness's own, and the cosigning of others'.

use std::sync::{Arc, PoisonError};

use model::{Peer, Refusal, RefusalCode, Role};
use privacy::roster::Roster;
use proto::{encode_checkpoint, v1};
use record::Checkpoint;
use record::cosign::{CosignError, CosignatureError, Shown};
use record::log::MAX_PROOF_HASHES;
use service::status::internal_status;
use tonic::Status;

use crate::desk::{Desk, on_thread, refused, unrecorded};
use crate::round::refuse;

fn refuse_note(reason: &str) -> Status {
    refused(&refuse(RefusalCode::Request, "note", reason, ""))
}

impl Desk {
    fn roster(&self) -> Result<Arc<Roster>, Status> {
        self.standing.roster().map_err(|error| internal_status("reading the roster", &error))
    }

    /// Cosigns another party's checkpoint, when the proof says that its log has only grown. Without
    /// a proof that begins at the last accepted one, says where it has to begin.
    pub(crate) async fn cosign(
        self: &Arc<Self>,
        request: v1::CosignRequest,
    ) -> Result<v1::CosignResponse, Status> {
        let desk = Arc::clone(self);
        on_thread(move || desk.cosign_now(&request)).await?
    }

    fn cosign_now(&self, request: &v1::CosignRequest) -> Result<v1::CosignResponse, Status> {
        let note = request.note.as_bytes();
        let checkpoint =
            Checkpoint::parse(note).map_err(|_| refuse_note("The note is no checkpoint."))?;
        let origin = checkpoint.origin();
        let key = self.roster()?.key_of(origin.role(), origin.name());
        let key = key.ok_or_else(|| refuse_note("The roster does not know the log's owner."))?;
        if request.consistency.len() > MAX_PROOF_HASHES {
            return Err(refuse_note("The proof is longer than any proof."));
        }
        let hashes = request.consistency.iter().map(|hash| hash.as_slice().try_into());
        let proof: Vec<[u8; 32]> = hashes
            .collect::<Result<_, _>>()
            .map_err(|_| refuse_note("The proof has a hash that is none."))?;
        let _one = self.cosigning.lock().unwrap_or_else(PoisonError::into_inner);
        let accepted = self.store.accepted(origin).map_err(|error| unrecorded(&error))?;
        let accepted_size = accepted.map_or(0, |accepted| accepted.size());
        if request.old_size != accepted_size {
            return Ok(v1::CosignResponse { line: Vec::new(), accepted_size });
        }
        let shown = Shown { checkpoint: note, proof: &proof };
        let line = self.store.cosign(shown, &key, self.standing.key()).map_err(not_cosigned)?;
        Ok(v1::CosignResponse { line, accepted_size: checkpoint.size() })
    }

    /// A checkpoint of the witness's log as it is now, with the proof that it continues an earlier
    /// one.
    pub(crate) async fn checkpoint(
        self: &Arc<Self>,
        request: v1::CheckpointRequest,
    ) -> Result<v1::CheckpointResponse, Status> {
        let desk = Arc::clone(self);
        let made = on_thread(move || desk.store.show(desk.standing.key(), request.old_size));
        let (checkpoint, proof) = made.await?.map_err(|error| unrecorded(&error))?;
        Ok(encode_checkpoint(checkpoint.to_text(), &proof))
    }

    /// Keeps the coordinator's cosignature under an own checkpoint.
    pub(crate) async fn cosigned(
        self: &Arc<Self>,
        note: v1::CosignedNote,
    ) -> Result<v1::CosignedAck, Status> {
        let desk = Arc::clone(self);
        on_thread(move || {
            let roster = desk.roster()?;
            let cosigner = Peer::new(roster.region(), Role::Coordinator, "main")
                .map_err(|error| internal_status("naming the coordinator", &error))?;
            let name = cosigner.to_string();
            let line =
                note.lines.iter().find(|line| line.peer == name).ok_or_else(|| {
                    refuse_note("The coordinator has not cosigned the checkpoint.")
                })?;
            let key = roster.coordinator();
            let kept = desk.store.add_cosignature(note.size, &line.line, &cosigner, &key);
            kept.map(|()| v1::CosignedAck {}).map_err(|error| match error {
                CosignatureError::Record(error) => unrecorded(&error),
                error => refuse_note(&format!("Here {error}.")),
            })
        })
        .await?
    }
}

fn not_cosigned(error: CosignError) -> Status {
    if let CosignError::Record(error) = error {
        return unrecorded(&error);
    }
    // Whoever runs the witness should know of a log that was cut or rewritten.
    tracing::error!(%error, "a checkpoint is not cosigned");
    let reason = format!("The checkpoint is not cosigned: {error}.");
    refused(&Refusal::new(RefusalCode::Request, "note", reason, "Ask its owner for its record."))
}
