//! The region's hospitals: persistent connections and what is known of each.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures::future::join_all;
use model::{HospitalId, Peer, Role};
use privacy::sketch::Extent;
use privacy::{Floor, Noise};
use proto::v1;
use proto::v1::node_client::NodeClient;
use proto::{decode_constants, decode_extents, decode_noise_policy};
use service::connect::{ConnectOptions, Line, explain};
use service::{Clock, ConnectFailure, Connector, ReloadingIdentity};
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::config::HospitalEntry;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for a description.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for a description with code lists, which may have to be computed.
const CODE_LISTS_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a hospital is not in an answer. The texts are part of the JSON that scripts read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Absence {
    /// No connection.
    Unreachable,
    /// It did not answer in time.
    Deadline,
    /// Its certificate, or ours, was not accepted.
    Identity,
    /// It has not ingested anything yet.
    NoSnapshot,
    /// Its policy or checks said no.
    Refused(Box<model::Refusal>),
    /// It failed, or sent what no gate releases.
    Failed,
    /// It answered, and is left out so that this answer and an earlier one do not give it away.
    HeldBack,
}

impl Absence {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Unreachable => "unreachable".to_owned(),
            Self::Deadline => "deadline".to_owned(),
            Self::Identity => "identity".to_owned(),
            Self::NoSnapshot => "no_snapshot".to_owned(),
            Self::Refused(refusal) => format!("refused: {}", refusal.code),
            Self::Failed => "failed".to_owned(),
            Self::HeldBack => "held_back".to_owned(),
        }
    }

    pub(crate) const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// Reads a node's status.
    pub(crate) fn of(status: &Status) -> Self {
        if let Some(refusal) = service::status::refusal_of(status) {
            return Self::Refused(Box::new(refusal));
        }
        // A request that waits when its connection goes is cancelled here and not by the node;
        // unlike a status that was received, it has a cause.
        let lost = status.source().is_some();
        match status.code() {
            Code::DeadlineExceeded => Self::Deadline,
            Code::Cancelled if !lost => Self::Deadline,
            Code::NotFound => Self::NoSnapshot,
            Code::PermissionDenied | Code::Unauthenticated => Self::Identity,
            Code::Internal => Self::Failed,
            _ => match explain(status) {
                ConnectFailure::WrongPeer
                | ConnectFailure::IdentityRejected
                | ConnectFailure::Expired => Self::Identity,
                ConnectFailure::Unreachable | ConnectFailure::Other => Self::Unreachable,
            },
        }
    }
}

/// Where a hospital's data lie.
#[derive(Debug)]
pub(crate) struct Values {
    /// The months of times.
    pub(crate) extents: BTreeMap<String, Extent>,
    /// Columns that have one value in all rows.
    pub(crate) constants: BTreeMap<String, String>,
}

/// What is known of a hospital.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) description: Option<v1::DescribeResponse>,
    values: Option<Arc<Values>>,
    pub(crate) last_seen: Option<SystemTime>,
    pub(crate) absence: Option<Absence>,
}

/// One hospital.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) id: HospitalId,
    pub(crate) address: String,
    line: Line,
    known: Mutex<Known>,
}

impl Site {
    /// A client over the persistent connection.
    pub(crate) fn client(&self) -> NodeClient<Channel> {
        NodeClient::new(self.line.channel()).max_decoding_message_size(proto::MAX_MESSAGE_BYTES)
    }

    pub(crate) fn known(&self) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Rows of a table of its snapshot, as far as it tells: 0 says that it does not, having too few.
    pub(crate) fn rows(&self, table: &str) -> Option<u64> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let tables = &known.description.as_ref()?.tables;
        let rows = tables.iter().find(|one| one.table == table).map(|one| one.rows);
        rows.filter(|rows| *rows > 0)
    }

    /// The floor that its policy demands of masked sums, as far as it tells.
    pub(crate) fn floor(&self) -> Option<Floor> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let told = known.description.as_ref()?;
        let floor = Floor {
            persons: told.minimum_persons,
            stays: told.minimum_stays,
            hospitals: told.pooled_hospitals,
            dominance_e4: told.dominance_e4,
        };
        floor.is_sane().then_some(floor)
    }

    /// What its policy says about noise, as far as it tells.
    pub(crate) fn noise(&self) -> Option<Noise> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.description.as_ref()?.noise.and_then(decode_noise_policy)
    }

    /// Where its data lie, as far as it tells.
    pub(crate) fn values(&self) -> Option<Arc<Values>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).values.clone()
    }

    /// Whether nothing was ever heard of it.
    pub(crate) fn is_stranger(&self) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.description.is_none() && known.absence.is_none()
    }

    /// Notes that the hospital has answered, or why not.
    pub(crate) fn note(&self, outcome: Result<(), Absence>, now: SystemTime) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => (known.last_seen, known.absence) = (Some(now), None),
            // A refusal is an answer: the hospital is there.
            Err(absence @ Absence::Refused(_)) => {
                (known.last_seen, known.absence) = (Some(now), Some(absence));
            }
            Err(absence) => known.absence = Some(absence),
        }
    }

    /// Tells the hospital of a project, and hears how far it is with it.
    pub(crate) async fn consider(&self, project: v1::Project) -> v1::ProjectAt {
        let mut client = self.client();
        let heard = timeout(DESCRIBE_TIMEOUT, client.consider(project)).await;
        let (considered, reason) = match heard {
            Ok(Ok(response)) => (Some(response.into_inner()), String::new()),
            Ok(Err(status)) => (None, Absence::of(&status).text()),
            Err(_) => (None, Absence::Deadline.text()),
        };
        v1::ProjectAt { hospital: self.id.to_string(), considered, reason }
    }

    /// A description with what it says of where the data lie.
    fn read(
        &self,
        mut told: v1::DescribeResponse,
    ) -> Result<(v1::DescribeResponse, Values), Absence> {
        let extents = decode_extents(std::mem::take(&mut told.extents));
        let constants = decode_constants(std::mem::take(&mut told.constants));
        match (extents, constants) {
            (Ok(extents), Ok(constants)) => Ok((told, Values { extents, constants })),
            (Err(refusal), _) | (_, Err(refusal)) => {
                tracing::warn!(hospital = %self.id, %refusal, "a description was not usable");
                Err(Absence::Failed)
            }
        }
    }

    /// Asks the hospital to describe itself, and remembers it.
    pub(crate) async fn describe(
        &self,
        clock: &Clock,
        code_lists: bool,
    ) -> Option<v1::DescribeResponse> {
        let limit = if code_lists { CODE_LISTS_TIMEOUT } else { DESCRIBE_TIMEOUT };
        let mut client = self.client();
        let answer = timeout(limit, client.describe(v1::DescribeRequest { code_lists })).await;
        let outcome = match answer {
            Ok(Ok(response)) => self.read(response.into_inner()),
            Ok(Err(status)) => Err(Absence::of(&status)),
            Err(_) => Err(Absence::Deadline),
        };
        self.note(outcome.as_ref().map(|_| ()).map_err(Clone::clone), clock.now());
        let (mut description, values) = outcome.ok()?;
        let full = description.clone();
        description.code_lists.clear();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        (known.description, known.values) = (Some(description), Some(Arc::new(values)));
        Some(full)
    }
}

/// All hospitals of the region, in the order of the configuration.
#[derive(Debug)]
pub(crate) struct Registry {
    sites: Vec<Arc<Site>>,
    clock: Clock,
}

impl Registry {
    /// Prepares connections; none is made before it is needed.
    pub(crate) fn new(
        region: &str,
        hospitals: Vec<HospitalEntry>,
        identity: &Arc<ReloadingIdentity>,
        clock: Clock,
    ) -> Result<Self, model::peer::InvalidPeer> {
        let connector = Connector::new(Arc::clone(identity));
        let options =
            ConnectOptions { connect_timeout: CONNECT_TIMEOUT, ..ConnectOptions::default() };
        let sites = hospitals.into_iter().map(|entry| {
            let peer = Peer::new(region, Role::Node, entry.id.as_str())?;
            let line = connector.line(peer, entry.address.clone(), options);
            let known = Mutex::default();
            Ok(Arc::new(Site { id: entry.id, address: entry.address, line, known }))
        });
        Ok(Self { sites: sites.collect::<Result<_, _>>()?, clock })
    }

    pub(crate) fn sites(&self) -> &[Arc<Site>] {
        &self.sites
    }

    /// Asks every hospital to describe itself.
    pub(crate) async fn refresh(&self) {
        join_all(self.sites.iter().map(|site| site.describe(&self.clock, false))).await;
    }

    /// Descriptions with code lists of the hospitals that answer.
    pub(crate) async fn code_lists(&self) -> Vec<v1::DescribeResponse> {
        let all = join_all(self.sites.iter().map(|site| site.describe(&self.clock, true))).await;
        all.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_is_not_a_deadline() {
        let told = Status::cancelled("the node gave up");
        assert_eq!(Absence::of(&told), Absence::Deadline);
        let mut lost = Status::cancelled("operation was canceled");
        lost.set_source(Arc::new(std::io::Error::other("connection closed")));
        assert_eq!(Absence::of(&lost), Absence::Unreachable);
    }
}
