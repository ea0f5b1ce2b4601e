//! Adding up what hospitals released. Addition of integers: order and partition do not matter.

use std::collections::BTreeMap;

use crate::measure::{JOINED, Measure, ROWS_CAP};

/// One hospital's release as it arrived: the decoded form of `Released`, checked for shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// Groups that the hospital released.
    pub groups: Vec<ReceivedGroup>,
    /// Groups it withheld.
    pub withheld_groups: u64,
    /// Measures it withheld in released groups.
    pub withheld_measures: u64,
    /// Rows in withheld groups, as the hospital's gate rounds them.
    pub withheld_rows: u64,
    /// What its noise is; `None` when its cells are exact.
    pub noise: Option<ReceivedNoise>,
}

/// What a hospital says of its noise ([`crate::noise::Statement`]).
#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedNoise {
    /// What the question cost, in millionths of ρ.
    pub rho_micro: u64,
    /// ε of a year's whole budget, at `delta`.
    pub epsilon_year: f64,
    /// δ of a year.
    pub delta: f64,
    /// Rows that one person contributes at most.
    pub rows_per_person: u32,
    /// Groups of fewer noisy rows than this are not told.
    pub least_rows: u64,
    /// Standard deviation of a group's number of rows.
    pub rows_deviation: f64,
    /// Standard deviation of each cell, in units of its scale.
    pub deviations: Vec<f64>,
    /// Up to where values of each input count, in units of its scale.
    pub bounds: Vec<f64>,
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
    /// Rows of the group.
    pub rows: u64,
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
        self.released_cells = self.released_cells.saturating_add(received.groups.len() as u64);
        self.withheld_cells = self.withheld_cells.saturating_add(received.withheld_groups);
        self.withheld_measures = self.withheld_measures.saturating_add(received.withheld_measures);
        self.withheld_rows = self.withheld_rows.saturating_add(received.withheld_rows);
        for group in received.groups {
            check_bins(&group, measures)?;
            self.released_rows = self.released_rows.saturating_add(group.rows);
            match self.groups.entry(group.key) {
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(CombinedGroup {
                        rows: group.rows,
                        cells: group.cells,
                        withheld: group.withheld,
                    });
                }
                std::collections::btree_map::Entry::Occupied(mut place) => {
                    let sum = place.get_mut();
                    sum.rows = sum.rows.saturating_add(group.rows);
                    sum.add(&group.cells, &group.withheld, measures)?;
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

/// The histograms of a group as they arrived: runs of rows that the group has, to the last bin.
fn check_bins(group: &ReceivedGroup, measures: &[Measure]) -> Result<(), OutOfRange> {
    let most = i128::from(group.rows.min(ROWS_CAP));
    let mut cells = group.cells.as_slice();
    for measure in measures {
        let (own, rest) = cells.split_at_checked(measure.width()).ok_or(OutOfRange)?;
        cells = rest;
        let runs = || own.iter().filter(|cell| **cell != JOINED);
        let in_range = runs().all(|rows| (0..=most).contains(rows)) && runs().sum::<i128>() <= most;
        if measure.bins() > 0 && (!in_range || own.last() == Some(&JOINED)) {
            return Err(OutOfRange);
        }
    }
    Ok(())
}

/// Adds one checked histogram to another: a run ends where it ends in both.
fn add_bins(sums: &mut [i128], cells: &[i128]) -> Result<(), OutOfRange> {
    let mut carried = 0i128;
    for (sum, cell) in sums.iter_mut().zip(cells) {
        let (mine, theirs) = (*sum, *cell);
        for rows in [mine, theirs].into_iter().filter(|rows| *rows != JOINED) {
            carried = carried.checked_add(rows).ok_or(OutOfRange)?;
        }
        let ends = mine != JOINED && theirs != JOINED;
        *sum = if ends { std::mem::take(&mut carried) } else { JOINED };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(cells: [i128; 6]) -> Received {
        let group = ReceivedGroup {
            key: vec![Some("a".to_owned())],
            rows: 100,
            cells: cells.to_vec(),
            withheld: vec![false],
        };
        Received {
            groups: vec![group],
            withheld_groups: 0,
            withheld_measures: 0,
            withheld_rows: 0,
            noise: None,
        }
    }

    fn added(releases: &[[i128; 6]]) -> Result<Vec<i128>, OutOfRange> {
        let mut combined = Combined::default();
        for cells in releases {
            combined.add(release(*cells), &[Measure::Histogram(0, 6)])?;
        }
        Ok(combined.groups.into_values().next().unwrap().cells)
    }

    #[test]
    fn histograms_add_up_over_the_runs_that_both_have() {
        let sum = [[JOINED, 12, 0, JOINED, 30, 11], [11, JOINED, JOINED, 20, 12, 0]];
        let expected = [JOINED, JOINED, JOINED, JOINED, 85, 11];
        assert_eq!(added(&sum).unwrap(), expected);
        // Withheld measures are zeros: a run of nobody each, which changes no sum.
        assert_eq!(added(&[sum[0], sum[1], [0; 6]]).unwrap(), expected);
    }

    #[test]
    fn what_no_gate_releases_is_refused_from_the_first_hospital_on() {
        for bad in [
            [0, 0, 0, 0, 0, JOINED],
            [0, -2, 0, 0, 0, 0],
            [0, 0, 101, 0, 0, 0],
            [60, 0, 0, 0, 0, 60],
            [i128::MAX, i128::MAX, 0, 0, 0, 0],
        ] {
            assert_eq!(added(&[bad]), Err(OutOfRange), "{bad:?}");
        }
        let short = Received {
            groups: vec![ReceivedGroup { cells: vec![1], ..release([0; 6]).groups.remove(0) }],
            ..release([0; 6])
        };
        let mut combined = Combined::default();
        assert_eq!(combined.add(short, &[Measure::Histogram(0, 6)]), Err(OutOfRange));
    }
}
