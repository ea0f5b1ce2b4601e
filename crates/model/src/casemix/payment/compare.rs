//! A shadow run beside the live rules: who would get more, who less, and for what.

use std::collections::{BTreeMap, BTreeSet};

use super::{Settled, Settlement};

/// What changes for a hospital, in cents, before prepayments. A hospital in only one of the two
/// gets nothing in the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Hospital.
    pub hospital: String,
    /// Under the live rules.
    pub live_cents: i128,
    /// Under the shadow rules.
    pub shadow_cents: i128,
    /// `shadow - live`.
    pub difference_cents: i128,
    /// The same by group, by code; it adds up to the hospital's.
    pub by_group: Vec<GroupDifference>,
}

/// What changes for a group of a hospital, in cents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDifference {
    /// Code of the group.
    pub group: String,
    /// Under the live rules.
    pub live_cents: i128,
    /// Under the shadow rules.
    pub shadow_cents: i128,
    /// `shadow - live`.
    pub difference_cents: i128,
}

/// Every hospital of either run, by name.
#[must_use]
pub fn compare(live: &Settled, shadow: &Settled) -> Vec<Difference> {
    let (live, shadow) = (by_hospital(live), by_hospital(shadow));
    let hospitals: BTreeSet<&str> = live.keys().chain(shadow.keys()).copied().collect();
    let difference = |hospital: &str| {
        let (live, shadow) = (live.get(hospital).copied(), shadow.get(hospital).copied());
        let gross = |side: Option<&Settlement>| side.map_or(0, |side| side.gross_cents);
        Difference {
            hospital: hospital.to_owned(),
            live_cents: gross(live),
            shadow_cents: gross(shadow),
            difference_cents: gross(shadow) - gross(live),
            by_group: groups(live, shadow),
        }
    };
    hospitals.into_iter().map(difference).collect()
}

fn by_hospital(settled: &Settled) -> BTreeMap<&str, &Settlement> {
    settled.settlements.iter().map(|row| (row.hospital.as_str(), row)).collect()
}

fn groups(live: Option<&Settlement>, shadow: Option<&Settlement>) -> Vec<GroupDifference> {
    let mut cents: BTreeMap<&str, (i128, i128)> = BTreeMap::new();
    for (group, amount) in live.map(|row| &row.by_group).into_iter().flatten() {
        cents.entry(group).or_default().0 += amount;
    }
    for (group, amount) in shadow.map(|row| &row.by_group).into_iter().flatten() {
        cents.entry(group).or_default().1 += amount;
    }
    let difference = |(group, (live_cents, shadow_cents)): (&str, (i128, i128))| GroupDifference {
        group: group.to_owned(),
        live_cents,
        shadow_cents,
        difference_cents: shadow_cents - live_cents,
    };
    cents.into_iter().map(difference).collect()
}
