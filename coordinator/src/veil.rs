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
    let strangers = sites.iter().filter(|site| site.is_stranger());
    join_all(strangers.map(|site| site.describe(clock, false))).await;
}

/// Where the data of all `sites` together begin and end, as far as they have told.
pub(crate) fn extents(sites: &[Arc<Site>]) -> BTreeMap<String, Extent> {
    let mut all = BTreeMap::<String, Extent>::new();
    for values in sites.iter().filter_map(|site| site.values()) {
        for (column, own) in &values.extents {
            let joined = all.get(column).map_or(*own, |other| Extent {
                least: own.least.min(other.least),
                most: own.most.max(other.most),
                nulls: own.nulls || other.nulls,
            });
            all.insert(column.clone(), joined);
        }
    }
    all
}

/// Columns that have one value in all rows of all `sites`; none unless all have told.
pub(crate) fn constants(sites: &[Arc<Site>]) -> BTreeMap<String, String> {
    let each: Option<Vec<_>> = sites.iter().map(|site| site.values()).collect();
    let mut each = each.into_iter().flatten();
    let Some(first) = each.next() else { return BTreeMap::new() };
    let mut all = first.constants.clone();
    for own in each {
        all.retain(|column, label| own.constants.get(column) == Some(label));
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
