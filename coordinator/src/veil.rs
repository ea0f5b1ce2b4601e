//! What hospitals have told of where their data lie, for the witness to be told where cells stand.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use model::RefusalCode;
use privacy::sketch::Extent;
use privacy::veil::EXTENTS;
use service::Clock;

use crate::registry::{Absence, Site};

/// Asks those to describe themselves of whom nothing was ever heard.
pub(crate) async fn acquaint(sites: &[Arc<Site>], clock: &Clock) {
    let is_stranger = |site: &&Arc<Site>| {
        let known = site.known();
        known.description.is_none() && known.absence.is_none()
    };
    join_all(sites.iter().filter(is_stranger).map(|site| site.describe(clock, false))).await;
}

/// Where the data of all `sites` together begin and end, as far as they have told.
pub(crate) fn extents(sites: &[Arc<Site>]) -> BTreeMap<String, Extent> {
    let mut all = BTreeMap::<String, Extent>::new();
    for (column, own) in sites.iter().flat_map(|site| site.extents()) {
        let joined = all.get(&column).map_or(own, |other| Extent {
            least: own.least.min(other.least),
            most: own.most.max(other.most),
            nulls: own.nulls || other.nulls,
        });
        all.insert(column, joined);
    }
    all
}

/// Columns that have one value in all rows of all `sites`; none unless all have told.
pub(crate) fn constants(sites: &[Arc<Site>]) -> BTreeMap<String, String> {
    let each: Option<Vec<_>> = sites.iter().map(|site| site.constants()).collect();
    let mut each = each.unwrap_or_default().into_iter();
    let mut all = each.next().unwrap_or_default();
    for own in each {
        all.retain(|column, label| own.get(column) == Some(label));
    }
    all
}

/// Asks hospitals to describe themselves again whose data lie elsewhere than they last told. Whether there are any.
pub(crate) async fn heard_anew(absent: &[(Arc<Site>, Absence)], clock: &Clock) -> bool {
    let lies_elsewhere = |absence: &Absence| {
        matches!(absence, Absence::Refused(refusal)
            if refusal.code == RefusalCode::Offer && refusal.subject == EXTENTS)
    };
    let moved = absent.iter().filter(|(_, absence)| lies_elsewhere(absence));
    !join_all(moved.map(|(site, _)| site.describe(clock, false))).await.is_empty()
}
