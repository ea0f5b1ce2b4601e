//! Who takes part in a fit: the same hospitals with the same snapshots in all of its regional sums, those that told
//! its levels included. An estimate is never a mixture.

use std::collections::BTreeSet;

use model::HospitalId;

use crate::lists::LeftOut;
use crate::registry::Absence;
use crate::round::Snapshots;

/// Who takes part, and what has been received so far.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// Fixed by the first sum; none before.
    pub(super) snapshots: Snapshots,
    /// Whoever is not in the first sum, or in one with which something has changed, stays out of the next ones.
    pub(super) without: LeftOut,
    /// Whether `snapshots` are those of an earlier fit, and of this one there was no sum yet.
    is_recalled: bool,
    /// The families of all sums: hospitals are chosen so that each of them can be over the same.
    pub(super) kin: Vec<[u8; 32]>,
    pub(super) sids: Vec<String>,
    pub(super) bytes: u64,
    pub(super) restarts: u32,
    pub(super) notes: Vec<String>,
}

/// Why a hospital is not there. Who was held back because of another is not the reason.
fn reason(id: &HospitalId, absent: &LeftOut) -> Option<String> {
    let mut own = absent.iter().filter(|(site, _)| site.id == *id);
    own.find(|(_, why)| *why != Absence::HeldBack).map(|(_, why)| why.text())
}

/// Of hospitals that are not there, the first with a reason of its own.
fn gone<'a>(missing: impl Iterator<Item = &'a HospitalId>, absent: &LeftOut) -> Option<String> {
    let mut missing: Vec<_> = missing.map(|id| (id, reason(id, absent))).collect();
    missing.sort_by_key(|(_, why)| why.is_none());
    missing.first().map(|(id, why)| match why {
        Some(why) => format!("{id} is not there any more ({why})"),
        None => format!("{id} is not there any more"),
    })
}

impl Roster {
    /// Nobody yet, of a fit whose sums are of these families.
    pub(super) fn of(kin: Vec<[u8; 32]>) -> Self {
        Self { kin, ..Self::default() }
    }

    /// Fixes the roster with the first sum; says what has changed in a later one, which is then what is fixed.
    pub(super) fn changed(&mut self, snapshots: Snapshots, absent: LeftOut) -> Option<String> {
        let is_first = self.snapshots.is_empty();
        let missing = self.snapshots.keys().filter(|id| !snapshots.contains_key(*id));
        let gone = gone(missing, &absent);
        let is_anew = |(id, known): &(&HospitalId, &String)| {
            snapshots.get(*id).is_some_and(|snapshot| snapshot != *known)
        };
        let anew = self.snapshots.iter().find(is_anew);
        let come = snapshots.keys().find(|id| !is_first && !self.snapshots.contains_key(*id));
        let anew = anew.map(|(id, _)| format!("{id} has ingested anew"));
        let why = gone.or(anew).or_else(|| come.map(|id| format!("{id} has come")));
        if is_first || self.is_recalled || why.is_some() {
            self.without = absent;
            self.snapshots = snapshots;
        }
        self.is_recalled = false;
        why
    }

    /// The same of several sums that were asked for at once. Where they are not over the same, nothing is fixed but
    /// who stays out: whoever is missing in one of them.
    pub(super) fn changed_in(&mut self, sums: Vec<(Snapshots, LeftOut)>) -> Option<String> {
        let mut absent: LeftOut = Vec::new();
        for (site, why) in sums.iter().flat_map(|(_, absent)| absent) {
            match absent.iter_mut().find(|(known, _)| known.id == site.id) {
                // A reason of its own is why others held it back.
                Some((_, known)) if *known == Absence::HeldBack => *known = why.clone(),
                Some(_) => {}
                None => absent.push((site.clone(), why.clone())),
            }
        }
        let mut each = sums.into_iter().map(|(snapshots, _)| snapshots);
        let first = each.next()?;
        let others: Vec<Snapshots> = each.collect();
        let Some(other) = others.iter().find(|other| **other != first) else {
            return self.changed(first, absent);
        };
        let all: BTreeSet<&HospitalId> = first.keys().chain(other.keys()).collect();
        let unlike = || all.iter().copied().filter(|id| first.get(*id) != other.get(*id));
        let missing = unlike().filter(|id| !first.contains_key(*id) || !other.contains_key(*id));
        let why = gone(missing, &absent);
        let anew = || unlike().next().map(|id| format!("{id} has ingested anew"));
        let why = why.or_else(anew);
        // Who was only held back in one of them may be in all, chosen anew.
        absent.retain(|(_, why)| *why != Absence::HeldBack);
        self.without = absent;
        self.snapshots.clear();
        why
    }

    /// Begins with what an earlier fit was over.
    pub(super) fn recall(&mut self, snapshots: Snapshots) {
        self.snapshots = snapshots;
        self.is_recalled = true;
    }

    /// Begins anew, with whoever is there.
    pub(super) fn forget(&mut self) {
        self.snapshots.clear();
        self.without.clear();
    }
}
