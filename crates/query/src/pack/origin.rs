//! Where a request comes from: a node makes the claimed question itself and compares.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use privacy::policy::Allow;
use privacy::{Claim, Policy, ReleaseRequest};

use super::{Arguments, Pack};
use crate::domain::DomainSpec;
use crate::question::{AnswerError, Planner, Question};

/// Memory of the planner that makes a pack's questions; it computes nothing.
const PLANNER_BYTES: usize = 64 << 20;
/// Questions that are kept planned.
const MAX_PLANNED: usize = 32;

/// Pack, question and arguments.
type Key = ([u8; 32], String, Arguments);

/// The packs that a node knows, and their questions as it plans them.
#[derive(Debug)]
pub struct Packs {
    planner: Planner,
    planned: Mutex<HashMap<Key, Arc<Question>>>,
}

impl Packs {
    /// The packs that ship with the platform.
    ///
    /// # Errors
    /// [`AnswerError`] when the planner cannot be set up.
    pub fn new() -> Result<Self, AnswerError> {
        Ok(Self { planner: Planner::new(PLANNER_BYTES)?, planned: Mutex::default() })
    }

    /// The content hash of the approved pack that `request` comes from, under a `policy` that cares: the claimed
    /// question, made here from the pack's own text, asks exactly this; or the request looks for
    /// the codes of a dimension of an approved pack's question.
    pub fn origin<'a>(
        &'a self,
        request: &'a ReleaseRequest,
        policy: &'a Policy,
    ) -> BoxFuture<'a, Option<[u8; 32]>> {
        Box::pin(self.origin_unboxed(request, policy))
    }

    async fn origin_unboxed(&self, request: &ReleaseRequest, policy: &Policy) -> Option<[u8; 32]> {
        if policy.questions.allow == Allow::Any {
            return None;
        }
        let approved = || Pack::shipped().iter().filter(|pack| policy.approves(&pack.hash()));
        if request.is_listing() {
            for pack in approved() {
                if self.discovers(pack, request, policy).await {
                    return Some(pack.hash());
                }
            }
            return None;
        }
        let Claim { pack, question, arguments } = request.claim()?;
        let pack = approved().find(|known| known.hash() == *pack)?;
        // Several cuts with a few patients in between tell about these; pairs of them are found at a hospital, and
        // more, or those of regional sums, are not. Whoever approves them has to name the pack.
        if pack.is_cut(question) && !policy.names(&pack.hash()) {
            return None;
        }
        let made = self.plan(pack, question, arguments, policy).await?;
        made.asks(request).then(|| pack.hash())
    }

    /// Whether some question of the pack groups by what `request` lists.
    async fn discovers(&self, pack: &Pack, request: &ReleaseRequest, policy: &Policy) -> bool {
        let choices = pack.choices();
        let mut wanted: Vec<(&str, &Arguments)> = Vec::new();
        for name in pack.questions() {
            wanted.extend(choices.iter().map(|chosen| (name, chosen)));
        }
        for (name, chosen) in wanted {
            // A question that needs more than columns groups by what its sisters group by.
            let Some(made) = self.plan(pack, name, chosen, policy).await else { continue };
            let mut specs = made.specs().into_iter().flatten();
            let is_listed = |spec: &DomainSpec| match spec {
                DomainSpec::Listed(listing) => listing.discovery_sql == request.relation_sql(),
                DomainSpec::Closed(_) => false,
            };
            if specs.any(is_listed) {
                return true;
            }
        }
        false
    }

    async fn plan(
        &self,
        pack: &Pack,
        question: &str,
        arguments: &Arguments,
        policy: &Policy,
    ) -> Option<Arc<Question>> {
        let key = (pack.hash(), question.to_owned(), arguments.clone());
        let known = self.planned.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if known.is_some() {
            return known;
        }
        let sql = pack.sql(question, arguments).ok()?;
        // A question that the policy refuses is refused again, with its reason, when it is computed.
        let made = Arc::new(self.planner.plan(&sql, policy).await.ok()?);
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        if planned.len() >= MAX_PLANNED {
            planned.clear();
        }
        planned.insert(key, Arc::clone(&made));
        Some(made)
    }
}
