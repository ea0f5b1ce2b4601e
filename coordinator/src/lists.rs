//! Code lists of pooled dimensions: published ones, and those that discovery finds under masks.
//!
//! A published list comes with the coordinator's configuration. Everything else is discovered when
//! a question first needs it: a masked round counts persons in hashed buckets, the witness signs
//! which of them pass, and only codes in these are named - to the witness, in a form that it cannot
//! read, so that nobody learns which hospital holds which code. What is rare in every hospital and
//! not rare in the region is found; what is rare in the region is not.
//!
//! The list of a hierarchical column is settled level by level from below ([`hierarchy`]), so that
//! what is too rare for a place of its own has one at an ancestor.

mod hierarchy;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use privacy::discover::NameKey;
use privacy::project::CODE_LISTS;
use privacy::{Domain, Project};
use proto::v1;
use query::domain::{DomainSpec, Listing};
use query::question::Question;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::codes::{CodeLists, Name};
use crate::progress::ProgressSender;
use crate::registry::{Absence, Registry, Site};
use crate::round::{Asked, RoundFailure, Rounds};
use crate::shelf::{Found, Shelf};

/// How long a list is used that some hospitals refused to search for: others would each ask them again, and
/// each search is paid for.
const PARTIAL_KEPT: Duration = Duration::from_secs(10);
/// Lists kept; a list is found again when it was dropped.
const MAX_LISTS: usize = 1_024;

/// Hospitals that are left out of a question, each with its reason.
pub(crate) type LeftOut = Vec<(Arc<Site>, Absence)>;

/// The region's code lists.
#[derive(Debug)]
pub(crate) struct Lists {
    published: CodeLists,
    bits: u8,
    found: Mutex<HashMap<String, Found>>,
    partial: Mutex<HashMap<String, Partial>>,
    shelf: Shelf,
}

/// A list over those hospitals whose policy or steward said yes.
#[derive(Debug, Clone)]
struct Partial {
    found: Found,
    absent: LeftOut,
    until: Instant,
}

/// What finding a list needs.
#[derive(Clone, Copy)]
pub(crate) struct Search<'a> {
    pub(crate) rounds: &'a Rounds,
    pub(crate) registry: &'a Registry,
    /// Whose question needs the list, if a project's.
    pub(crate) project: Option<&'a Project>,
    pub(crate) now: Instant,
    pub(crate) until: Instant,
    pub(crate) progress: &'a ProgressSender,
}

/// A list that is being found.
#[derive(Clone, Copy)]
struct Seeking<'a> {
    listing: &'a Listing,
    search: Search<'a>,
    bits: u8,
}

impl Lists {
    pub(crate) fn new(published: CodeLists, bits: u8, shelf: Shelf) -> Self {
        let found = Mutex::new(shelf.load());
        Self { published, bits, found, partial: Mutex::default(), shelf }
    }

    /// The domains of every request of a pooled question, and the hospitals that took no part in
    /// finding one of its lists: their codes may be missing from it, so that their stays would be
    /// added up under other codes. They are to be left out of the question as well.
    pub(crate) async fn domains(
        &self,
        question: &Question,
        search: Search<'_>,
    ) -> Result<(Vec<Vec<Domain>>, LeftOut), RoundFailure> {
        let (mut all, mut without) = (Vec::new(), Vec::new());
        for specs in question.specs() {
            let mut domains = Vec::new();
            for spec in specs {
                let codes = match spec {
                    DomainSpec::Closed(_) => Vec::new(),
                    DomainSpec::Listed(listing) => {
                        let (found, absent) = self.codes(listing, search).await?;
                        without.extend(absent);
                        found.as_ref().clone()
                    }
                };
                let domain = spec.domain(codes);
                domains.push(domain.map_err(|refusal| RoundFailure::Refused(Box::new(refusal)))?);
            }
            all.push(domains);
        }
        without.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        without.dedup_by(|(a, _), (b, _)| a.id == b.id);
        Ok((all, without))
    }

    /// The same, without asking anybody; `None` when a list has to be discovered first.
    pub(crate) async fn known_domains(&self, question: &Question) -> Option<Vec<Vec<Domain>>> {
        let found = self.found.lock().await;
        let codes = |spec: &DomainSpec| match spec {
            DomainSpec::Closed(_) => Some(Vec::new()),
            DomainSpec::Listed(listing) => {
                let published = self.published_codes(listing);
                let known = || found.get(&listing.key).map(|found| found.codes.clone());
                published.map(|codes| codes.as_ref().clone()).or_else(known)
            }
        };
        let domain = |spec: &DomainSpec| spec.domain(codes(spec)?).ok();
        question.specs().into_iter().map(|specs| specs.iter().map(domain).collect()).collect()
    }

    fn published_codes(&self, listing: &Listing) -> Option<Arc<Vec<String>>> {
        let (table, column) = listing.column?;
        self.published.get(&format!("{table}.{column}")).map(|list| Arc::clone(&list.codes))
    }

    /// What the codes of `column` (`table.column`) are called, as far as a published list says it.
    pub(crate) fn names(&self, column: &str) -> impl Iterator<Item = (&String, &Name)> {
        self.published.get(column).into_iter().flat_map(|list| list.names.iter())
    }

    async fn codes(
        &self,
        listing: &Listing,
        search: Search<'_>,
    ) -> Result<(Arc<Vec<String>>, LeftOut), RoundFailure> {
        if let Some(codes) = self.published_codes(listing) {
            return Ok((codes, Vec::new()));
        }
        let stamp = stamp(search.registry);
        // One discovery at a time: a second question waits for the first one's list.
        let mut found = self.found.lock().await;
        if let Some(known) = found.get(&listing.key).filter(|known| known.stamp == stamp) {
            return Ok((Arc::new(known.codes.clone()), Vec::new()));
        }
        let mut partial = self.partial.lock().await;
        partial.retain(|_, one| one.found.stamp == stamp && one.until > search.now);
        if let Some(Partial { found, absent, .. }) = partial.get(&listing.key) {
            return Ok((Arc::new(found.codes.clone()), absent.clone()));
        }
        let seeking = Seeking { listing, search, bits: self.bits };
        let (codes, absent) = match listing.levels {
            0 => seeking.discover(0, &Vec::new()).await?,
            _ => seeking.hierarchy().await?,
        };
        if !absent.is_empty() {
            // Found again soon, in the hope that all are there.
            if absent.iter().all(|(_, absence)| absence.is_refusal()) {
                let found = Found { stamp, codes: codes.clone() };
                let (absent, until) = (absent.clone(), search.now + PARTIAL_KEPT);
                partial.insert(listing.key.clone(), Partial { found, absent, until });
            }
            return Ok((Arc::new(codes), absent));
        }
        if found.len() >= MAX_LISTS {
            found.clear();
        }
        found.insert(listing.key.clone(), Found { stamp, codes: codes.clone() });
        let (shelf, lists) = (self.shelf.clone(), found.clone());
        // A list that is not kept is found again.
        let _ = spawn_blocking(move || shelf.save(&lists)).await;
        Ok((Arc::new(codes), Vec::new()))
    }
}

impl Seeking<'_> {
    /// Finds codes over all hospitals but for those `without`; of hierarchical codes the first
    /// `level` levels.
    async fn discover(
        &self,
        level: u8,
        without: &LeftOut,
    ) -> Result<(Vec<String>, LeftOut), RoundFailure> {
        let Self { listing, search, bits } = *self;
        let Search { rounds, registry, until, progress, .. } = search;
        // The round puts its sid in the place of the salt.
        let request = listing
            .discovery(CODE_LISTS, (bits, level), [0; 32])
            .map_err(|refusal| RoundFailure::Refused(Box::new(refusal)))?
            .within(search.project.cloned());
        let asked = Asked { request: &request, frame: None, kin: &[] };
        let outcome = rounds.lead(registry, without, asked, until, progress).await?;
        let Some((places, signature)) = outcome.passing else {
            return Err(RoundFailure::Internal("the witness signed no buckets".into()));
        };
        let signed = v1::NameRequest {
            sid: outcome.sid.to_vec(),
            places,
            signature: signature.as_bytes().to_vec(),
        };
        let lists = join_all(outcome.present.iter().map(|site| names(site, signed.clone()))).await;
        let lists: Vec<_> = lists.into_iter().flatten().collect();
        let failed = |error: privacy::discover::Unreadable| {
            RoundFailure::Internal(format!("reading names: {error}"))
        };
        let hidden = rounds.witness.unite(&outcome.sid, lists).await?;
        let key = NameKey::new(&outcome.round_key).map_err(failed)?;
        let codes = hidden.iter().map(|name| key.read(name)).collect::<Result<Vec<_>, _>>();
        let mut codes = codes.map_err(failed)?;
        codes.sort_unstable();
        tracing::info!(dimension = listing.key, level, "code list found");
        Ok((codes, outcome.absent))
    }
}

async fn names(site: &Site, request: v1::NameRequest) -> Option<v1::SealedNames> {
    let answer = site.client().name(request).await;
    match answer {
        Ok(answer) => {
            let v1::NameResponse { sealed, signature } = answer.into_inner();
            Some(v1::SealedNames { hospital: site.id.to_string(), sealed, signature })
        }
        Err(status) => {
            // The witness unites nothing without it; the next question discovers again.
            tracing::warn!(hospital = %site.id, code = ?status.code(), "no names");
            None
        }
    }
}

/// The snapshots that the region holds, as far as hospitals have told.
pub(crate) fn stamp(registry: &Registry) -> String {
    let mut stamp = String::new();
    for site in registry.sites() {
        let known = site.known().description.map(|one| one.snapshot_id).unwrap_or_default();
        stamp.push_str(&format!("{} {known}\n", site.id));
    }
    stamp
}
