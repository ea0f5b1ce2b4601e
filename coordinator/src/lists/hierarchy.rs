//! The list of a hierarchical column: when it was found, no place of it was too rare to be opened.
//!
//! Codes are found by their hashes as everywhere, at the two lowest levels; of the levels above
//! these, ancestors of found codes are known anyway. Then, from the lowest level upwards, a round
//! counts persons at the candidates of one level. Rows that stand at a code which was confirmed
//! before are counted there, so a candidate is confirmed by what is *left* for it, and what fails is
//! left for the level above.
//!
//! A confirmation says which candidates pass and nothing else: nodes upload no rows for it, as for a
//! discovery, so no difference of two rounds is the count of what failed in between. What passes then
//! may fail later, when a hospital is away; its stays are then withheld, as everywhere.

use std::collections::BTreeSet;

use privacy::domain::ancestors;
use privacy::project::CODE_LISTS;

use super::{LeftOut, Search, Seeking};
use crate::round::{Asked, RoundFailure};

/// Levels at which codes are found, counted from the lowest.
const FOUND_LEVELS: u8 = 2;

fn parents(codes: &BTreeSet<String>) -> impl Iterator<Item = String> + '_ {
    codes.iter().filter_map(|code| ancestors(code).next().map(str::to_owned))
}

fn leave_out(without: &mut LeftOut, absent: LeftOut) {
    for (site, absence) in absent {
        if !without.iter().any(|(other, _)| other.id == site.id) {
            without.push((site, absence));
        }
    }
}

impl Seeking<'_> {
    pub(super) async fn hierarchy(&self) -> Result<(Vec<String>, LeftOut), RoundFailure> {
        let levels = self.listing.levels;
        let mut without = LeftOut::new();
        let (mut listed, mut below) = (BTreeSet::new(), BTreeSet::new());
        for level in (1..=levels).rev() {
            let mut candidates: BTreeSet<String> = parents(&below).collect();
            if level + FOUND_LEVELS > levels {
                let (found, absent) = self.discover(level, &without).await?;
                candidates.extend(found);
                leave_out(&mut without, absent);
            }
            if !candidates.is_empty() {
                let confirmed = self.confirm(&listed, &candidates, &mut without).await?;
                listed.extend(confirmed);
            }
            below = candidates;
        }
        Ok((listed.into_iter().collect(), without))
    }

    /// The candidates that may be opened beside what is `listed`.
    async fn confirm(
        &self,
        listed: &BTreeSet<String>,
        candidates: &BTreeSet<String>,
        without: &mut LeftOut,
    ) -> Result<Vec<String>, RoundFailure> {
        let codes = listed.union(candidates).cloned().collect();
        let request = self
            .listing
            .confirmation(CODE_LISTS, codes)
            .map_err(|refusal| RoundFailure::Refused(Box::new(refusal)))?
            .within(self.search.project.cloned());
        let Search { rounds, registry, until, progress, .. } = self.search;
        let asked = Asked { request: &request, frame: None, kin: &[] };
        let outcome = rounds.lead(registry, without, asked, until, progress).await?;
        leave_out(without, outcome.absent);
        let opened = outcome.combined.groups.into_keys().flatten().flatten();
        Ok(opened.filter(|code| candidates.contains(code)).collect())
    }
}
