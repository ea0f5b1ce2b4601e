//! Keeping each other honest: checkpoints of every party's log, cosigned by the two authorities.
//!
//! Now and then the coordinator asks each node and the witness for the checkpoint of their log,
//! checks that it continues the one it accepted before, cosigns it, has the witness cosign it as
//! well, and gives the lines back. A log that does not continue itself has two histories; that is
//! an alarm for the operator, and nobody cosigns it.

use std::sync::Arc;
use std::time::Duration;

use model::{HospitalId, Peer, Role};
use privacy::sign::VerifyKey;
use proto::v1;
use record::cosign::{CosignError, Shown};
use service::clock::rfc3339;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tonic::Status;

use crate::registry::{Registry, Site};
use crate::round::Rounds;

/// Longest time for one party.
const PATIENCE: Duration = Duration::from_secs(5);

/// Somebody whose log is looked at.
enum Party<'a> {
    Node(&'a Site),
    Witness,
}

fn hashes(wire: &[Vec<u8>]) -> Option<Vec<[u8; 32]>> {
    wire.iter().map(|hash| hash.as_slice().try_into().ok()).collect()
}

impl Rounds {
    /// Looks at every party's log once.
    pub(crate) async fn look_at_logs(&self, registry: &Registry) {
        let each = registry.sites().iter().map(|site| async move {
            let id: &HospitalId = &site.id;
            let Ok(peer) = Peer::new(&self.region, Role::Node, id.as_str()) else { return };
            self.look_at(&Party::Node(site), &peer).await;
        });
        futures::future::join_all(each).await;
        if let Ok(peer) = Peer::new(&self.region, Role::Witness, "main") {
            self.look_at(&Party::Witness, &peer).await;
        }
        self.show_own_log().await;
    }

    async fn look_at(&self, party: &Party<'_>, peer: &Peer) {
        match timeout(PATIENCE, self.cosign_log(party, peer)).await {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => tracing::warn!(%peer, problem, "a log was not cosigned"),
            Err(_) => tracing::debug!(%peer, "a log could not be looked at in time"),
        }
    }

    fn key_of(&self, peer: &Peer) -> Option<VerifyKey> {
        self.standing.roster().ok()?.key_of(peer.role(), peer.name())
    }

    async fn cosign_log(&self, party: &Party<'_>, peer: &Peer) -> Result<(), String> {
        let store = self.store.clone();
        let origin = peer.clone();
        let accepted = spawn_blocking(move || store.accepted(&origin)).await;
        let accepted = accepted.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
        let old_size = accepted.map_or(0, |checkpoint| checkpoint.size());
        let Ok(shown) = self.checkpoint(party, old_size).await else { return Ok(()) };
        let key = self.key_of(peer).ok_or("the roster does not know it")?;
        let proof = hashes(&shown.consistency).ok_or("its proof is malformed")?;
        let (store, own) = (self.store.clone(), self.standing.key().clone());
        let note = shown.note.clone();
        let cosigned = spawn_blocking(move || {
            store.cosign(Shown { checkpoint: note.as_bytes(), proof: &proof }, &key, &own)
        });
        let line = match cosigned.await.map_err(|e| e.to_string())? {
            Ok(line) => line,
            Err(error @ (CosignError::TwoHistories { .. } | CosignError::Shorter { .. })) => {
                tracing::error!(%peer, %error, "a log has two histories");
                return Ok(());
            }
            Err(error) => return Err(error.to_string()),
        };
        let own = Peer::new(&self.region, Role::Coordinator, "main").map_err(|e| e.to_string())?;
        let mut lines = vec![v1::CosignatureLine { peer: own.to_string(), line }];
        if let Party::Node(_) = party {
            lines.extend(self.witness_line(party, &shown.note, old_size).await);
        }
        let size = size_of(&shown.note).ok_or("its note is malformed")?;
        let back = v1::CosignedNote { size, lines };
        let given = match party {
            Party::Node(site) => site.client().cosigned(back).await.map(|_| ()),
            Party::Witness => self.witness.client().cosigned(back).await.map(|_| ()),
        };
        given.map_err(|status| format!("it did not take the cosignatures: {:?}", status.code()))
    }

    async fn checkpoint(
        &self,
        party: &Party<'_>,
        old_size: u64,
    ) -> Result<v1::CheckpointResponse, Status> {
        let request = v1::CheckpointRequest { old_size };
        let answer = match party {
            Party::Node(site) => site.client().checkpoint(request).await,
            Party::Witness => self.witness.client().checkpoint(request).await,
        };
        answer.map(tonic::Response::into_inner)
    }

    /// The witness's line under a node's checkpoint; its proof may have to begin elsewhere.
    async fn witness_line(
        &self,
        party: &Party<'_>,
        note: &str,
        old_size: u64,
    ) -> Option<v1::CosignatureLine> {
        let peer = Peer::new(&self.region, Role::Witness, "main").ok()?;
        let mut old_size = old_size;
        for _ in 0..2 {
            let shown = self.checkpoint(party, old_size).await.ok()?;
            if size_of(&shown.note) != size_of(note) {
                // The log has grown meanwhile; the next look will see it.
                return None;
            }
            let request = v1::CosignRequest {
                note: note.to_owned(),
                old_size,
                consistency: shown.consistency,
            };
            let answer = self.witness.client().cosign(request).await.ok()?.into_inner();
            if !answer.line.is_empty() {
                return Some(v1::CosignatureLine { peer: peer.to_string(), line: answer.line });
            }
            old_size = answer.accepted_size;
        }
        None
    }

    /// Has the witness cosign the coordinator's own log.
    async fn show_own_log(&self) {
        if let Err(problem) = self.show().await {
            tracing::warn!(problem, "the own log was not cosigned");
        }
    }

    async fn show(&self) -> Result<(), String> {
        let witness = Peer::new(&self.region, Role::Witness, "main").map_err(|e| e.to_string())?;
        let key = self.key_of(&witness).ok_or("the roster has no witness")?;
        let own = self.standing.key().clone();
        let mut old_size = 0;
        for _ in 0..2 {
            let (store, own) = (self.store.clone(), own.clone());
            let shown = spawn_blocking(move || store.show(&own, old_size)).await;
            let (checkpoint, proof) =
                shown.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
            let request = v1::CosignRequest {
                note: checkpoint.to_text(),
                old_size,
                consistency: proof.into_iter().map(|hash| hash.to_vec()).collect(),
            };
            let asked = timeout(PATIENCE, self.witness.client().cosign(request)).await;
            let Ok(Ok(answer)) = asked else { return Ok(()) };
            let answer = answer.into_inner();
            if answer.line.is_empty() {
                old_size = answer.accepted_size;
                continue;
            }
            let store = self.store.clone();
            let kept = spawn_blocking(move || {
                store.add_cosignature(checkpoint.size(), &answer.line, &witness, &key)
            });
            return kept.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string());
        }
        Err("the witness accepts no beginning".to_owned())
    }
}

/// The number of entries that a note is about: its second line.
fn size_of(note: &str) -> Option<u64> {
    note.lines().nth(1)?.parse().ok()
}

/// Looks at the logs for ever, every `interval`.
pub(crate) async fn watch(rounds: Arc<Rounds>, registry: Arc<Registry>, interval: Duration) {
    let mut interval = tokio::time::interval(interval);
    loop {
        interval.tick().await;
        rounds.look_at_logs(&registry).await;
        tracing::trace!(at = rfc3339(rounds.clock.now()), "logs looked at");
    }
}
