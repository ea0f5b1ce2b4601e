//! Adding up what hospitals released. Addition of integers: order and partition do not matter.

use std::collections::BTreeMap;

use crate::measure::{JOINED, Measure};

/// One hospital's release as it arrived: the decoded form of `Released`, checked for shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Groups that the hospital released.
    pub groups: Vec<ReceivedGroup>,
    /// Groups it withheld.
    pub withheld_groups: u64,
    /// Measures it withheld in released groups.
    pub withheld_measures: u64,
    /// Rows in withheld groups, as the hospital's gate rounds them.
    pub withheld_rows: u64,
}

/// One group of one hospital.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedGroup {
    /// One code per dimension.
    pub key: Vec<Option<String>>,
    /// Rows of the group.
    pub rows: u64,
    /// Cells of all measures, in the request's order.
    pub cells: Vec<i128>,
    /// For each measure, whether the hospital withheld it.
    pub withheld: Vec<bool>,
}

/// One group over all hospitals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CombinedGroup {
    /// Sums over the hospitals that released the group.
    pub cells: Vec<i128>,
    /// For each measure, whether some hospital withheld it: then its sum is not known.
    pub withheld: Vec<bool>,
}

/// Sums over hospitals, groups in key order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Combined {
    /// Group key to sums.
    pub groups: BTreeMap<Vec<Option<String>>, CombinedGroup>,
    /// Hospital cells (one group of one hospital) that were released.
    pub released_cells: u64,
    /// Hospital cells that were withheld.
    pub withheld_cells: u64,
    /// Measures withheld in released hospital cells.
    pub withheld_measures: u64,
    /// Rows behind released cells.
    pub released_rows: u64,
    /// Rows behind withheld cells, as the gates rounded them.
    pub withheld_rows: u64,
    /// Masked sums: whether the number of withheld rows could be told; if not, only those of
    /// passing groups without a name are counted.
    pub withheld_rows_known: bool,
}

/// A sum left the range that the request's bounds prove; some node sent what no gate releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cell exceeds the range that the request's bounds allow")]
pub struct OutOfRange;

impl Combined {
    /// Adds one hospital's release.
    ///
    /// # Errors
    /// [`OutOfRange`] when a sum would wrap; the combination must then be thrown away.
    pub fn add(&mut self, received: Received, measures: &[Measure]) -> Result<(), OutOfRange> {
        self.released_cells += received.groups.len() as u64;
        self.withheld_cells += received.withheld_groups;
        self.withheld_measures += received.withheld_measures;
        self.withheld_rows = self.withheld_rows.saturating_add(received.withheld_rows);
        for group in received.groups {
            self.released_rows = self.released_rows.saturating_add(group.rows);
            match self.groups.entry(group.key) {
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(CombinedGroup { cells: group.cells, withheld: group.withheld });
                }
                std::collections::btree_map::Entry::Occupied(mut place) => {
                    place.get_mut().add(&group.cells, &group.withheld, measures)?;
                }
            }
        }
        Ok(())
    }
}

impl CombinedGroup {
    fn add(
        &mut self,
        cells: &[i128],
        withheld: &[bool],
        measures: &[Measure],
    ) -> Result<(), OutOfRange> {
        debug_assert_eq!(withheld.len(), measures.len());
        let mut offset = 0;
        for measure in measures {
            let own = offset..offset + measure.width();
            offset = own.end;
            let (Some(sums), Some(cells)) = (self.cells.get_mut(own.clone()), cells.get(own))
            else {
                return Err(OutOfRange);
            };
            if measure.bins() > 0 {
                add_bins(sums, cells)?;
                continue;
            }
            for (sum, cell) in sums.iter_mut().zip(cells) {
                *sum = sum.checked_add(*cell).ok_or(OutOfRange)?;
            }
        }
        for (any, one) in self.withheld.iter_mut().zip(withheld) {
            *any |= *one;
        }
        Ok(())
    }
}

/// Adds one released histogram to another: a run ends where it ends in both.
fn add_bins(sums: &mut [i128], cells: &[i128]) -> Result<(), OutOfRange> {
    let mut carried = 0i128;
    for (sum, cell) in sums.iter_mut().zip(cells) {
        let (mine, theirs) = (*sum, *cell);
        for rows in [mine, theirs].into_iter().filter(|rows| *rows != JOINED) {
            if rows < 0 {
                return Err(OutOfRange);
            }
            carried = carried.checked_add(rows).ok_or(OutOfRange)?;
        }
        let ends = mine != JOINED && theirs != JOINED;
        *sum = if ends { std::mem::take(&mut carried) } else { JOINED };
    }
    // The last bin ends a run in every release.
    if sums.last() == Some(&JOINED) { Err(OutOfRange) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_add_up_over_the_runs_that_both_have() {
        let mut sums = [JOINED, 12, 0, JOINED, 30, 11];
        let cells = [11, JOINED, JOINED, 20, 12, 0];
        add_bins(&mut sums, &cells).unwrap();
        assert_eq!(sums, [JOINED, JOINED, JOINED, JOINED, 85, 11]);
        // Withheld measures are zeros: a run of nobody each, which changes no sum.
        let before = sums;
        add_bins(&mut sums, &[0; 6]).unwrap();
        assert_eq!(sums, before);
        for bad in [[0, 0, 0, 0, 0, JOINED], [0, -2, 0, 0, 0, 0]] {
            assert_eq!(add_bins(&mut sums.clone(), &bad), Err(OutOfRange));
        }
    }
}
