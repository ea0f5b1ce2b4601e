//! A pooled question: its code lists, one masked round for each request, and what is told of them.

use std::sync::Arc;
use std::time::Instant;

use futures::future::join_all;
use model::HospitalId;
use privacy::sign::hex;
use privacy::{Combined, Measure, ReleaseRequest};
use query::question::Question;
use service::clock::day;
use tokio::time::timeout;

use crate::ask::{Asker, Who};
use crate::lists::{Search, stamp};
use crate::noisy::{Key, Noised, Unlike};
use crate::progress::ProgressSender;
use crate::registry::{Absence, Site};
use crate::round::{Asked, Outcome, RoundFailure, Snapshots, internal};

/// Part of a noisy question's time for hearing which snapshots hospitals hold.
const REFRESH_SHARE: u32 = 4;

/// All rounds of a pooled question.
#[derive(Debug, Clone)]
pub(crate) struct PooledReplies {
    pub(crate) combined: Vec<Combined>,
    /// Hospitals in every sum.
    pub(crate) present: Vec<Arc<Site>>,
    /// Hospitals that are missing in some sum.
    pub(crate) absent: Vec<(Arc<Site>, Absence)>,
    pub(crate) bytes: u64,
    pub(crate) sids: Vec<String>,
    /// Whose snapshots each sum is over.
    pub(crate) over: Vec<Snapshots>,
    /// What came with sums that have noise.
    pub(crate) noised: Option<Noised>,
}

impl Asker<'_> {
    /// Leads the rounds of a pooled question, until `until`.
    pub(crate) async fn pooled(
        &self,
        question: &Question,
        who: &Who<'_>,
        until: Instant,
        progress: &ProgressSender,
    ) -> Result<PooledReplies, RoundFailure> {
        let (rounds, registry, project) = (self.rounds, self.registry, who.project.as_ref());
        let now = self.clock.monotonic();
        let search = Search { rounds, registry, project, now, until, progress };
        let (domains, mut without) = self.lists.domains(question, search).await?;
        without.extend(self.without.iter().cloned());
        let requests = who
            .requests(question, &domains)
            .map_err(|refusal| RoundFailure::Refused(Box::new(refusal)))?;
        let key = self.noisy_key(who, &requests, until).await;
        if let Some(kept) = key.as_ref().and_then(|key| self.drawn.recall(key)) {
            return Ok(kept);
        }
        let asked = requests.iter().zip(question.frames());
        let asked =
            asked.map(|(request, frame)| Asked { request, frame: Some(frame), kin: self.kin });
        let each = asked.map(|asked| self.one(asked, &without, until, progress));
        let outcomes = join_all(each).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let replies = PooledReplies::of(outcomes, &question.measures()).map_err(internal)?;
        if let Some(key) = key {
            self.drawn.keep(key, &replies);
        }
        Ok(replies)
    }

    /// What a noisy answer is kept under, once hospitals have said which snapshots they hold; none of an exact one.
    async fn noisy_key(
        &self,
        who: &Who<'_>,
        requests: &[ReleaseRequest],
        until: Instant,
    ) -> Option<Key> {
        who.rho_micro?;
        // Who does not say is as it was; the round itself will tell.
        let left = until.saturating_duration_since(self.clock.monotonic());
        let _ = timeout(left / REFRESH_SHARE, self.registry.refresh()).await;
        let today = day(self.clock.now());
        Some(Key {
            user: who.user.to_owned(),
            project: who.project.clone(),
            requests: requests.iter().map(ReleaseRequest::hash).collect(),
            stamp: stamp(self.registry),
            policies: self.registry.sites().iter().map(|site| site.noise()).collect(),
            year: today.split('-').next().unwrap_or_default().to_owned(),
        })
    }

    async fn one(
        &self,
        asked: Asked<'_>,
        without: &[(Arc<Site>, Absence)],
        until: Instant,
        progress: &ProgressSender,
    ) -> Result<Outcome, RoundFailure> {
        self.rounds.lead(self.registry, without, asked, until, progress).await
    }
}

impl PooledReplies {
    fn of(outcomes: Vec<Outcome>, measures: &[&[Measure]]) -> Result<Self, Unlike> {
        let mut replies = Self {
            combined: Vec::new(),
            present: Vec::new(),
            absent: Vec::new(),
            bytes: 0,
            sids: Vec::new(),
            over: Vec::new(),
            noised: None,
        };
        let mut seen: Vec<HospitalId> = Vec::new();
        for outcome in &outcomes {
            for (site, absence) in &outcome.absent {
                if !seen.contains(&site.id) {
                    seen.push(site.id.clone());
                    replies.absent.push((Arc::clone(site), absence.clone()));
                }
            }
        }
        if let Some(first) = outcomes.first() {
            let everywhere = |site: &&Arc<Site>| !seen.contains(&site.id);
            replies.present = first.present.iter().filter(everywhere).cloned().collect();
        }
        for (index, outcome) in outcomes.into_iter().enumerate() {
            if let (Some(noise), Some(own)) = (&outcome.noise, measures.get(index)) {
                let noised = replies.noised.get_or_insert_with(|| Noised::new(measures.len()));
                noised.take_sums(index, &outcome.combined, noise, own)?;
            }
            replies.bytes += outcome.bytes;
            replies.sids.push(hex(&outcome.sid));
            replies.combined.push(outcome.combined);
            replies.over.push(outcome.snapshots);
        }
        replies.absent.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        Ok(replies)
    }
}
