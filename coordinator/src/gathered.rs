//! What came of the uploads of a round: kept or added up as they come, settled, and revealed.
//!
//! Settling and revealing run on threads for it, so that large rounds hold up nobody else.

use std::collections::BTreeMap;

use model::HospitalId;
use privacy::blind::RoundKey;
use privacy::open::Opened;
use privacy::reveal::{RevealError, Total, reveal, reveal_noisy};
use privacy::{Combined, ReleaseRequest, RoundNoise, Shape};
use proto::UploadProof;
use tokio::task::spawn_blocking;

use crate::round::{RoundFailure, internal};
use crate::upload::Arrived;

/// Complete uploads.
pub(crate) struct Gathered {
    total: Total,
    kept: Option<BTreeMap<HospitalId, Vec<u8>>>,
    pub(crate) proofs: BTreeMap<HospitalId, UploadProof>,
    pub(crate) snapshots: BTreeMap<HospitalId, String>,
    pub(crate) bytes: u64,
}

/// A sum over chosen hospitals.
pub(crate) struct Settled {
    pub(crate) total: Total,
    /// The proofs of its uploads, in the order of their hospitals.
    pub(crate) proofs: Vec<UploadProof>,
    /// What the witness sees of it.
    pub(crate) witnessed: Vec<u128>,
}

impl Gathered {
    /// Nothing yet. Uploads that are kept can be left out of the sum later.
    pub(crate) fn new(shape: &Shape, keep: bool) -> Self {
        Self {
            total: Total::new(shape),
            kept: keep.then(BTreeMap::new),
            proofs: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Whether uploads can still be left out.
    pub(crate) const fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Takes in one more.
    pub(crate) fn add(&mut self, arrived: Arrived) -> Result<(), RevealError> {
        self.bytes += arrived.cells.len() as u64;
        let hospital = arrived.proof.hospital.clone();
        match &mut self.kept {
            Some(kept) => {
                kept.insert(hospital.clone(), arrived.cells);
            }
            None => self.total.add(&arrived.cells)?,
        }
        self.snapshots.insert(hospital.clone(), arrived.snapshot);
        self.proofs.insert(hospital, arrived.proof);
        Ok(())
    }

    /// The sum over the chosen hospitals.
    pub(crate) fn settle(
        self,
        chosen: &[HospitalId],
        shape: &Shape,
    ) -> Result<Settled, RevealError> {
        let Self { mut total, kept, proofs, .. } = self;
        for hospital in chosen {
            if let Some(cells) = kept.as_ref().and_then(|kept| kept.get(hospital)) {
                total.add(cells)?;
            }
        }
        let proofs = proofs.into_iter().filter(|(id, _)| chosen.contains(id)).map(|(_, p)| p);
        let witnessed = total.witnessed(shape).to_vec();
        Ok(Settled { total, proofs: proofs.collect(), witnessed })
    }
}

/// Runs `work` where it may compute for long or wait for the disk.
pub(crate) async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, RoundFailure> {
    spawn_blocking(work).await.map_err(internal)
}

/// Takes the opened masks away and gives every group its codes back; of a noisy round groups of so many
/// rows.
pub(crate) async fn revealed(
    total: Total,
    opened: Opened,
    request: ReleaseRequest,
    shape: Shape,
    (key, noise): (RoundKey, Option<(RoundNoise, u64)>),
) -> Result<(Combined, Opened), RoundFailure> {
    let revealed = on_thread(move || {
        let combined = match &noise {
            Some((noise, least)) => {
                reveal_noisy(&total, &opened, &request, &shape, &key, (noise, *least))
            }
            None => reveal(&total, &opened, &request, &shape, &key),
        };
        combined.map(|combined| (combined, opened))
    });
    revealed.await?.map_err(|error| {
        tracing::error!(%error, "a round was thrown away");
        internal(error)
    })
}
