//! The node's audit log, shown to the coordinator and cosigned by others.

use model::{Peer, Role};
use proto::{encode_checkpoint, v1};
use record::cosign::CosignatureError;
use service::status::internal_status;
use tokio::task::spawn_blocking;
use tonic::Status;

use crate::answer::Desk;

/// Cosignatures taken in one message: coordinator and witness.
const MAX_LINES: usize = 2;

fn stopped<T>(_: T) -> Status {
    Status::internal("the ledger's thread has stopped")
}

impl Desk {
    /// A checkpoint of the log as it is now, with the proof that it continues an earlier one.
    pub(crate) async fn checkpoint(
        &self,
        wire: v1::CheckpointRequest,
    ) -> Result<v1::CheckpointResponse, Status> {
        let store = self.books.store().clone();
        let standing = self.standing.clone();
        let work = spawn_blocking(move || store.show(standing.key(), wire.old_size));
        let (checkpoint, proof) = work
            .await
            .map_err(stopped)?
            .map_err(|error| internal_status("making a checkpoint", &error))?;
        Ok(encode_checkpoint(checkpoint.to_text(), &proof))
    }

    /// Keeps the cosignatures of coordinator and witness under an own checkpoint.
    pub(crate) async fn cosigned(&self, wire: v1::CosignedNote) -> Result<(), Status> {
        let roster = self.standing.roster();
        let roster = roster.map_err(|error| internal_status("reading the roster", &error))?;
        let mut lines = Vec::new();
        for one in wire.lines.into_iter().take(MAX_LINES) {
            let unknown = || Status::invalid_argument("a cosignature names no party of the region");
            let peer: Peer = one.peer.parse().map_err(|_| unknown())?;
            let key = match peer.role() {
                Role::Coordinator => roster.coordinator(),
                Role::Witness => roster.witness(),
                Role::Node | Role::User => return Err(unknown()),
            };
            lines.push((peer, key, one.line));
        }
        let store = self.books.store().clone();
        let work = spawn_blocking(move || {
            for (peer, key, line) in lines {
                store.add_cosignature(wire.size, &line, &peer, &key)?;
            }
            Ok::<_, CosignatureError>(())
        });
        work.await.map_err(stopped)?.map_err(|error| {
            tracing::warn!(%error, "a cosignature was refused");
            Status::invalid_argument("the cosignature does not belong to this log")
        })
    }
}
