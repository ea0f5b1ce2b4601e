//! A pooled question: its code lists, one masked round for each request, and what is told of them.

use std::sync::Arc;
use std::time::Instant;

use futures::future::join_all;
use model::HospitalId;
use privacy::Combined;
use privacy::sign::hex;
use query::question::Question;

use crate::ask::{Asker, Who};
use crate::lists::Search;
use crate::progress::ProgressSender;
use crate::registry::{Absence, Site};
use crate::round::{Asked, Outcome, RoundFailure, Snapshots};

/// All rounds of a pooled question.
#[derive(Debug)]
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
        let asked = requests.iter().zip(question.frames());
        let asked =
            asked.map(|(request, frame)| Asked { request, frame: Some(frame), kin: self.kin });
        let each = asked.map(|asked| self.one(asked, &without, until, progress));
        let outcomes = join_all(each).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(PooledReplies::of(outcomes))
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
    fn of(outcomes: Vec<Outcome>) -> Self {
        let mut replies = Self {
            combined: Vec::new(),
            present: Vec::new(),
            absent: Vec::new(),
            bytes: 0,
            sids: Vec::new(),
            over: Vec::new(),
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
        for outcome in outcomes {
            replies.bytes += outcome.bytes;
            replies.sids.push(hex(&outcome.sid));
            replies.combined.push(outcome.combined);
            replies.over.push(outcome.snapshots);
        }
        replies.absent.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        replies
    }
}
