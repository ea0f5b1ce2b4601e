//! One question: ask all hospitals at once, wait no longer than the deadline, add up, finish.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use model::schema::DRG_SCHEME;
use model::{Refusal, RefusalCode};
use privacy::request::{ReleaseRequest, Scope};
use privacy::{Claim, Combined, Domain, Project, Received};
use proto::{Assembler, WireError, encode_request, v1};
use query::question::{AnswerError, Planner, Question};
use service::Clock;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::Status;

use crate::lists::{LeftOut, Lists};
use crate::noisy::{self, Drawn, Noised};
use crate::pooled::PooledReplies;
use crate::progress::{ProgressSender, RETRY_PAUSE, count, millis};
use crate::provenance::provenance;
use crate::registry::{Absence, Registry, Site};
use crate::round::{RoundFailure, Rounds, Snapshots};

/// Part of the deadline kept back for adding up and finishing.
const FINISH_SHARE: u32 = 20;
/// Most time kept back for finishing.
const FINISH_LIMIT: Duration = Duration::from_secs(2);
/// Tries of one request; only a lost connection is tried again.
const TRIES: u32 = 2;

/// What one hospital sent for all requests of a question.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) parts: Vec<Received>,
    pub(crate) bytes: u64,
}

/// The answer and how it came about.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) provenance: v1::Provenance,
    /// Whose snapshots each masked sum is over; of hospitals' own cells nothing.
    pub(crate) over: Vec<Snapshots>,
    /// Hospitals that are missing in some sum.
    pub(crate) absent: LeftOut,
}

/// Why a question has no answer.
#[derive(Debug)]
pub(crate) enum AskError {
    /// Every hospital that was there refused, for the same reason.
    Refused(Box<Refusal>),
    /// No hospital answered; the text lists why.
    Nobody(String),
    /// The second authority cannot be reached, so nothing pooled can be opened.
    WitnessAway,
    /// The deadline passed while the answer was being finished.
    Deadline,
    /// An expression above the aggregates failed on released values.
    Above(String),
    /// The coordinator failed.
    Internal(String),
}

/// What asking needs.
#[derive(Debug)]
pub(crate) struct Asker<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) planner: &'a Planner,
    pub(crate) clock: &'a Clock,
    pub(crate) rounds: &'a Rounds,
    pub(crate) lists: &'a Lists,
    /// Noisy regional answers that are repeated.
    pub(crate) drawn: &'a Drawn,
    /// Hospitals that masked sums are without.
    pub(crate) without: &'a [(Arc<Site>, Absence)],
    /// Families whose masked sums are to be over the same hospitals as these.
    pub(crate) kin: &'a [[u8; 32]],
}

/// The column of codes that belong to a DIP list.
const DIP_CODE: &str = "dip_code";

fn quoted(names: &BTreeSet<&String>) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
    names.join(", ")
}

/// On whose behalf a question is asked, and which pack's question it says to be.
#[derive(Debug, Clone)]
pub(crate) struct Who<'a> {
    pub(crate) user: &'a str,
    pub(crate) claim: Option<Claim>,
    /// What noise may cost at each hospital, in millionths of ρ.
    pub(crate) rho_micro: Option<u64>,
    /// Whose question it is, if a project's.
    pub(crate) project: Option<Project>,
}

impl Who<'_> {
    /// The requests of `question` on behalf of this user.
    pub(crate) fn requests(
        &self,
        question: &Question,
        domains: &[Vec<Domain>],
    ) -> Result<Vec<ReleaseRequest>, Refusal> {
        let requests = question.requests(self.user, domains)?;
        Ok(requests.into_iter().map(|request| self.asks(request)).collect())
    }

    /// The request as this user asks it.
    pub(crate) fn asks(&self, request: ReleaseRequest) -> ReleaseRequest {
        let request = request.claiming(self.claim.clone()).with_noise(self.rho_micro);
        request.within(self.project.clone())
    }
}

/// What came back for all requests of a question.
pub(crate) struct Gathered {
    pub(crate) combined: Vec<Combined>,
    pub(crate) present: Vec<Arc<Site>>,
    pub(crate) absent: LeftOut,
    pub(crate) bytes: u64,
    pub(crate) sids: Vec<String>,
    pub(crate) noised: Option<Noised>,
    over: Vec<Snapshots>,
}

impl Asker<'_> {
    /// Asks `question` on behalf of `user`, within `deadline` from now.
    pub(crate) async fn ask(
        &self,
        question: &Question,
        who: &Who<'_>,
        deadline: Duration,
        progress: &ProgressSender,
    ) -> Result<Answer, AskError> {
        let refused = |refusal| AskError::Refused(Box::new(refusal));
        self.check_schemes(question).await.map_err(refused)?;
        noisy::check(question, who.rho_micro).map_err(refused)?;
        let started = self.clock.monotonic();
        let reserve = (deadline / FINISH_SHARE).min(FINISH_LIMIT);
        let patience = deadline.saturating_sub(reserve);
        let gathered = match question.scope() {
            Scope::Pooled => {
                let until = started + patience;
                let replies = self.pooled(question, who, until, progress).await;
                Gathered::from(replies.map_err(AskError::from)?)
            }
            Scope::PerHospital => self.per_hospital(question, who, patience, progress).await?,
        };
        let spent = self.clock.monotonic().duration_since(started);
        let finish = match &gathered.noised {
            None => self.planner.answer(question, &gathered.combined),
            Some(noised) => {
                self.planner.answer_noisy(question, &gathered.combined, &noised.spreads)
            }
        };
        let batches = match timeout(deadline.saturating_sub(spent).max(reserve), finish).await {
            Ok(Ok(batches)) => batches,
            Ok(Err(AnswerError::Above(text))) => return Err(AskError::Above(text)),
            Ok(Err(AnswerError::Finish(error))) => return Err(AskError::Above(error.to_string())),
            Err(_) => return Err(AskError::Deadline),
        };
        let mut provenance = provenance(question, &gathered);
        provenance.elapsed_ms = millis(self.clock.monotonic().duration_since(started));
        let Gathered { over, absent, .. } = gathered;
        Ok(Answer { batches, provenance, over, absent })
    }

    /// Groups of unlike grouper schemes, or of unlike DIP lists, are neither added up nor compared.
    async fn check_schemes(&self, question: &Question) -> Result<(), Refusal> {
        let (schemes, lists) = (question.mixes_schemes(), question.uses(DIP_CODE));
        if !schemes && !lists {
            return Ok(());
        }
        let is_told = |site: &Arc<Site>| site.known().description.is_some();
        if !self.registry.sites().iter().all(is_told) {
            self.registry.refresh().await;
        }
        let told: Vec<_> =
            self.registry.sites().iter().filter_map(|site| site.known().description).collect();
        let found: BTreeSet<_> = told.iter().flat_map(|one| one.drg_schemes.iter()).collect();
        if schemes && found.len() > 1 {
            return Err(Refusal::new(
                RefusalCode::Scheme,
                DRG_SCHEME,
                format!("The region's groups are of unlike grouper schemes: {}.", quoted(&found)),
                "Add WHERE drg_scheme = '...' (`--scheme` of a benchmark), or group by drg_scheme \
                 too; a hospital whose groups are \"unnamed\" names its scheme in its mapping.",
            ));
        }
        let coded = told.iter().map(|one| &one.dip_list).filter(|list| !list.is_empty());
        let found: BTreeSet<_> = coded.collect();
        if lists && found.len() > 1 {
            return Err(Refusal::new(
                RefusalCode::Scheme,
                DIP_CODE,
                format!("The region's stays are coded by unlike DIP lists: {}.", quoted(&found)),
                "Hospitals ingest again with one list: consilium-node ingest --dip-list FILE.",
            ));
        }
        Ok(())
    }

    /// Asks each hospital for its own cells and adds up what its gate releases.
    async fn per_hospital(
        &self,
        question: &Question,
        who: &Who<'_>,
        patience: Duration,
        progress: &ProgressSender,
    ) -> Result<Gathered, AskError> {
        let requests = who.requests(question, &[]).map_err(|r| AskError::Refused(Box::new(r)))?;
        let (answered, absent) = self.collect(&Arc::new(requests), patience, progress).await;
        if answered.is_empty() {
            return Err(nobody(&absent));
        }
        let measures = question.measures();
        let combined = vec![Combined::default(); measures.len()];
        let noised = who.rho_micro.map(|_| Noised::new(measures.len()));
        let (present, sids, over) = (Vec::new(), Vec::new(), Vec::new());
        let mut gathered = Gathered { combined, present, absent, bytes: 0, sids, noised, over };
        for (site, reply) in answered {
            let is_noisy = |received: &Received| received.noise.is_some();
            if reply.parts.iter().any(|part| is_noisy(part) != who.rho_micro.is_some()) {
                tracing::warn!(hospital = %site.id, "a release is not as noisy as the question");
                gathered.absent.push((site, Absence::Failed));
                continue;
            }
            let failed =
                |error: &dyn std::fmt::Display| AskError::Internal(format!("{}: {error}", site.id));
            gathered.bytes += reply.bytes;
            for (index, (received, measures)) in reply.parts.into_iter().zip(&measures).enumerate()
            {
                if let Some(noised) = &mut gathered.noised {
                    let taken = noised.take(site.id.as_str(), index, &received, measures);
                    taken.map_err(|error| failed(&error))?;
                }
                let Some(sum) = gathered.combined.get_mut(index) else { continue };
                sum.add(received, measures).map_err(|error| failed(&error))?;
            }
            gathered.present.push(site);
        }
        Ok(gathered)
    }

    /// Sends the requests to every hospital and gathers until all are done or time is up.
    pub(crate) async fn collect(
        &self,
        requests: &Arc<Vec<ReleaseRequest>>,
        patience: Duration,
        progress: &ProgressSender,
    ) -> (Vec<(Arc<Site>, Reply)>, Vec<(Arc<Site>, Absence)>) {
        let sites = self.registry.sites();
        let mut tasks = JoinSet::new();
        for (index, site) in sites.iter().enumerate() {
            let (site, requests) = (Arc::clone(site), Arc::clone(requests));
            let clock = self.clock.clone();
            tasks.spawn(async move {
                let until = clock.monotonic() + patience;
                let reply = timeout(patience, ask_site(&site, &requests, until, &clock)).await;
                (index, reply.unwrap_or(Err(Absence::Deadline)))
            });
        }
        let mut replies: Vec<Option<Result<Reply, Absence>>> = sites.iter().map(|_| None).collect();
        let mut state = v1::Progress { asked: count(sites.len()), answered: 0, failed: 0 };
        while let Some(joined) = tasks.join_next().await {
            let Ok((index, reply)) = joined else { continue };
            let outcome = reply.as_ref().map(|_| ()).map_err(Clone::clone);
            sites[index].note(outcome, self.clock.now());
            if reply.is_ok() {
                state.answered += 1;
            } else {
                state.failed += 1;
            }
            replies[index] = Some(reply);
            // Progress is a courtesy: a full channel must not slow the answer.
            let _ = progress.try_send(state);
        }
        let (mut answered, mut absent) = (Vec::new(), Vec::new());
        for (site, reply) in sites.iter().zip(replies) {
            match reply.unwrap_or(Err(Absence::Failed)) {
                Ok(reply) => answered.push((Arc::clone(site), reply)),
                Err(absence) => absent.push((Arc::clone(site), absence)),
            }
        }
        (answered, absent)
    }
}

impl From<PooledReplies> for Gathered {
    fn from(replies: PooledReplies) -> Self {
        let PooledReplies { combined, present, absent, bytes, sids, over, noised } = replies;
        Self { combined, present, absent, bytes, sids, noised, over }
    }
}

impl From<RoundFailure> for AskError {
    fn from(failure: RoundFailure) -> Self {
        match failure {
            RoundFailure::Refused(refusal) => Self::Refused(refusal),
            RoundFailure::Missing(absent) => nobody(&absent),
            RoundFailure::WitnessAway => Self::WitnessAway,
            RoundFailure::Deadline => Self::Deadline,
            RoundFailure::Internal(text) => Self::Internal(text),
        }
    }
}

async fn ask_site(
    site: &Site,
    requests: &[ReleaseRequest],
    until: Instant,
    clock: &Clock,
) -> Result<Reply, Absence> {
    let mut reply = Reply { parts: Vec::new(), bytes: 0 };
    let each = requests.iter().map(|request| ask_once_more(site, request, until, clock));
    for part in futures::future::join_all(each).await {
        let (received, bytes) = part?;
        reply.parts.push(received);
        reply.bytes += bytes;
    }
    Ok(reply)
}

async fn ask_once_more(
    site: &Site,
    request: &ReleaseRequest,
    until: Instant,
    clock: &Clock,
) -> Result<(Received, u64), Absence> {
    let mut tries = 1;
    loop {
        let left = until.saturating_duration_since(clock.monotonic());
        match release(site, request, left).await {
            Err(Absence::Unreachable) if tries < TRIES && left > RETRY_PAUSE * 2 => {
                tries += 1;
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            other => return other,
        }
    }
}

async fn release(
    site: &Site,
    request: &ReleaseRequest,
    left: Duration,
) -> Result<(Received, u64), Absence> {
    let mut assembler = Assembler::new(request);
    let wire = encode_request(request, millis(left));
    let mut client = site.client();
    let status = |status: Status| {
        tracing::debug!(hospital = %site.id, code = ?status.code(), "no release");
        Absence::of(&status)
    };
    let malformed = |error: WireError| {
        tracing::warn!(hospital = %site.id, %error, "a release was not usable");
        Absence::Failed
    };
    let mut stream = client.release(wire).await.map_err(status)?.into_inner();
    while let Some(chunk) = stream.message().await.map_err(status)? {
        assembler.add(chunk).map_err(malformed)?;
    }
    let bytes = assembler.bytes();
    Ok((assembler.finish().map_err(malformed)?, bytes))
}

pub(crate) fn nobody(absent: &[(Arc<Site>, Absence)]) -> AskError {
    // In the order of the hospitals, not of their answers: who asks again reads the same.
    let mut in_order: Vec<_> = absent.iter().collect();
    in_order.sort_by(|(one, _), (other, _)| one.id.cmp(&other.id));
    let refusals = || {
        in_order.iter().filter_map(|(_, absence)| match absence {
            Absence::Refused(refusal) => Some(refusal),
            _ => None,
        })
    };
    // Waiting helps as long as no steward has said no.
    let declined = refusals().any(|refusal| refusal.code == RefusalCode::Declined);
    let waits = refusals().find(|one| one.code == RefusalCode::Waiting).filter(|_| !declined);
    if let Some(first) = waits.or_else(|| refusals().next()) {
        return AskError::Refused(first.clone());
    }
    if absent.is_empty() {
        return AskError::Nobody("the region has no hospitals".to_owned());
    }
    let reasons: Vec<_> = absent
        .iter()
        .take(5)
        .map(|(site, absence)| format!("{}: {}", site.id, absence.text()))
        .collect();
    let more = absent.len().saturating_sub(5);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    AskError::Nobody(format!(
        "none of {} hospitals answered ({}{more})",
        absent.len(),
        reasons.join(", ")
    ))
}
