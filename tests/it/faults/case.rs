//! Who crashes at a point, over which question, and what the crash leaves in the records.

use std::ops::RangeInclusive;

use tests::Region;

use super::VICTIM;

/// Who crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Party {
    Node,
    Coordinator,
    Witness,
}

/// The question that meets the point.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    Pooled,
    PerHospital,
    /// The list of this column is discovered first.
    Discovering(&'static str),
}

/// A crash.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) party: Party,
    pub(super) asked: Asked,
    pub(super) left: Left,
}

/// What is new in the records when the crashed party has started again.
#[derive(Debug)]
pub(super) struct Left {
    /// At the node that crashed.
    pub(super) victim: Option<AtNode>,
    /// Releases at each other node.
    pub(super) releases: RangeInclusive<usize>,
    pub(super) coordinator: AtAuthority,
    pub(super) witness: AtAuthority,
}

/// What is left at a node that crashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AtNode {
    /// It had not paid yet.
    Nothing,
    /// It had paid and sent nothing: a reservation that is given back at the next start.
    Reserved,
    /// It had recorded the release, and may have sent it.
    Released,
}

/// What is left at an authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AtAuthority {
    pub(super) rounds: usize,
    pub(super) releases: usize,
}

const NOTHING: AtAuthority = AtAuthority { rounds: 0, releases: 0 };
const ROUND: AtAuthority = AtAuthority { rounds: 1, releases: 0 };
const ANSWERED: AtAuthority = AtAuthority { rounds: 1, releases: 1 };

// === impl Case ===

impl Case {
    /// The crash at `point`.
    ///
    /// # Panics
    /// When nobody has said yet what a crash there leaves.
    pub(super) fn of(point: &str) -> Self {
        match point {
            "node.offer.received" | "node.offer.admitted" => Self::in_offer(AtNode::Nothing),
            "node.offer.reserved"
            | "node.offer.computed"
            | "node.offer.concealed"
            | "node.offer.before_commit" => Self::in_offer(AtNode::Reserved),
            "node.offer.committed" | "node.upload.first_part" | "node.upload.last_part" => {
                Self::in_offer(AtNode::Released)
            }
            "node.release.reserved" | "node.release.before_commit" => {
                Self::in_release(AtNode::Reserved)
            }
            "node.release.committed" => Self::in_release(AtNode::Released),
            other if other.starts_with("coordinator.") => {
                Self { party: Party::Coordinator, asked: Asked::Pooled, left: led(other) }
            }
            "witness.unite.received" => Self::in_discovery("payer", ANSWERED, ROUND),
            "witness.unite.united" => Self::in_discovery("drg_code", ANSWERED, ANSWERED),
            other => Self { party: Party::Witness, asked: Asked::Pooled, left: witnessed(other) },
        }
    }

    /// A hospital goes, and the others are summed.
    fn in_offer(victim: AtNode) -> Self {
        let left = left(1..=1, ANSWERED, ROUND);
        let left = Left { victim: Some(victim), ..left };
        Self { party: Party::Node, asked: Asked::Pooled, left }
    }

    fn in_release(victim: AtNode) -> Self {
        let left = left(1..=1, NOTHING, NOTHING);
        let left = Left { victim: Some(victim), ..left };
        Self { party: Party::Node, asked: Asked::PerHospital, left }
    }

    /// The discovery of `column` goes, after its round.
    fn in_discovery(column: &'static str, coordinator: AtAuthority, witness: AtAuthority) -> Self {
        let left = left(1..=1, coordinator, witness);
        Self { party: Party::Witness, asked: Asked::Discovering(column), left }
    }
}

const fn left(
    releases: RangeInclusive<usize>,
    coordinator: AtAuthority,
    witness: AtAuthority,
) -> Left {
    Left { victim: None, releases, coordinator, witness }
}

/// What a crash of the coordinator leaves.
fn led(point: &str) -> Left {
    match point {
        "coordinator.round.before_propose" | "coordinator.round.countersigned" => {
            left(0..=0, NOTHING, NOTHING)
        }
        // Offers are on their way; who has recorded an upload by now, has.
        "coordinator.round.offered" | "coordinator.round.first_upload" => {
            left(0..=1, NOTHING, NOTHING)
        }
        "coordinator.round.collected" => left(1..=1, NOTHING, NOTHING),
        "coordinator.round.before_open" => left(1..=1, ROUND, NOTHING),
        "coordinator.round.opened" | "coordinator.round.before_record" => left(1..=1, ROUND, ROUND),
        "coordinator.round.recorded" => left(1..=1, ANSWERED, ROUND),
        other => panic!("say what a crash at {other} leaves"),
    }
}

/// What a crash of the witness leaves.
fn witnessed(point: &str) -> Left {
    match point {
        "witness.countersign.checked" | "witness.countersign.before_reply" => {
            left(0..=0, NOTHING, NOTHING)
        }
        "witness.open.checked" | "witness.open.summed" | "witness.open.before_record" => {
            left(1..=1, ROUND, NOTHING)
        }
        "witness.open.recorded"
        | "witness.open.judged"
        | "witness.open.first_part"
        | "witness.open.last_part" => left(1..=1, ROUND, ROUND),
        other => panic!("say what a crash at {other} leaves"),
    }
}

// === impl Party ===

impl Party {
    /// Ends this party's process and starts it again, to crash at `fault` if there is one.
    pub(super) async fn restart(self, region: &Region, fault: Option<&str>) {
        match self {
            Self::Node => {
                let site = region.site(VICTIM);
                site.kill();
                site.start_to_crash(fault).await.unwrap();
            }
            Self::Coordinator => {
                region.kill_coordinator();
                region.start_coordinator(fault).await.unwrap();
                // It knows every hospital before it is asked.
                region.hospitals().await.unwrap();
            }
            Self::Witness => {
                region.kill_witness();
                region.start_witness(fault).await.unwrap();
            }
        }
    }

    /// Waits until this party's process has ended, by a signal.
    pub(super) async fn has_crashed(self, region: &Region) {
        let code = match self {
            Self::Node => region.site(VICTIM).ended().await,
            Self::Coordinator => region.coordinator_ended().await,
            Self::Witness => region.witness_ended().await,
        };
        assert_eq!(code, None, "an exit is no crash");
    }
}
