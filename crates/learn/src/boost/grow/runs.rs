//! Runs of bins, as they are told, and what follows from them.

use num_traits::ToPrimitive;
use privacy::growth::{Feature, GRADIENT_UNITS};

/// Bins of a feature after the first tree's root has been seen; LightGBM has 255.
pub(super) const COARSE_BINS: usize = 64;

/// Consecutive bins that were told together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Run {
    /// Last bin.
    pub(super) end: usize,
    pub(super) sums: Sums,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) rows: u64,
    pub(super) g: i128,
    pub(super) h: i128,
}

impl Sums {
    pub(super) const fn with(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, g: self.g + other.g, h: self.h + other.h }
    }

    pub(super) fn without(self, other: Self) -> Option<Self> {
        let rows = self.rows.checked_sub(other.rows)?;
        Some(Self { rows, g: self.g - other.g, h: self.h - other.h })
    }

    pub(super) fn value(units: i128) -> f64 {
        units.to_f64().unwrap_or(f64::NAN) / GRADIENT_UNITS
    }

    pub(super) fn gain(self, penalty: f64) -> f64 {
        let (g, h) = (Self::value(self.g), Self::value(self.h));
        if h + penalty > 0.0 { g * g / (h + penalty) } else { 0.0 }
    }
}

/// Runs from what was told of each bin.
pub(super) fn runs(bins: &[(Option<u64>, i128, i128)]) -> Vec<Run> {
    let told = bins.iter().enumerate();
    told.filter_map(|(end, (rows, g, h))| {
        Some(Run { end, sums: Sums { rows: (*rows)?, g: *g, h: *h } })
    })
    .collect()
}

pub(super) fn total(runs: &[Run]) -> Sums {
    runs.iter().fold(Sums::default(), |sum, run| sum.with(run.sums))
}

/// A child's runs, which end only where its parent's do; `None` where they do not. Under a minimum of one
/// empty bins are runs of their own, and say nothing.
pub(super) fn nested(above: &[Run], own: Vec<Run>) -> Option<Vec<Run>> {
    let known = |run: &Run| above.iter().any(|above| above.end == run.end);
    if above.is_empty() || own.iter().all(known) {
        return Some(own);
    }
    let (kept, others): (Vec<Run>, Vec<Run>) = own.into_iter().partition(known);
    others.iter().all(|run| run.sums == Sums::default()).then_some(kept)
}

/// A parent's runs less those of one child; `None` unless each of these is a part of them. No runs where
/// one of them is withheld.
pub(super) fn difference(above: &[Run], own: &[Run]) -> Option<Vec<Run>> {
    if above.is_empty() || own.is_empty() {
        return Some(Vec::new());
    }
    let mut above = above.iter();
    let mut beside = Vec::new();
    for run in own {
        let mut sums = Sums::default();
        let mut end = None;
        for part in above.by_ref() {
            sums = sums.with(part.sums);
            end = Some(part.end);
            if part.end >= run.end {
                break;
            }
        }
        // The witness has ended a run where the parent has none.
        end.filter(|end| *end == run.end)?;
        beside.push(Run { end: run.end, sums: sums.without(run.sums)? });
    }
    Some(beside)
}

/// A feature with the bins that were told, adjacent ones joined while there are too many. Codes are put
/// in the order of their mean response: that of their mean gradient, the other way round.
pub(super) fn coarse(feature: &Feature, runs: &[Run]) -> Feature {
    let mut told: Vec<&Run> = runs.iter().filter(|run| run.sums.rows > 0).collect();
    match feature {
        Feature::Number(input, edges) => {
            let mut ends: Vec<usize> = fewer(&told).iter().map(|last| told[*last].end).collect();
            // The last run goes on to the end.
            ends.pop();
            let inner = ends.into_iter().filter_map(|end| edges.get(end).copied());
            Feature::Number(*input, inner.collect())
        }
        Feature::Factor(factor, bins) => {
            let mean = |run: &Run| {
                let rows = run.sums.rows.to_f64().unwrap_or(f64::NAN);
                -Sums::value(run.sums.g) / rows
            };
            told.sort_by(|a, b| mean(a).total_cmp(&mean(b)));
            let lasts = fewer(&told);
            let bin = |old: &u8| {
                let run = runs.iter().find(|run| run.end >= usize::from(*old));
                let place = told.iter().position(|told| run.is_some_and(|run| run.end == told.end));
                // A code without rows stands with the last.
                let place = place.unwrap_or(told.len());
                let last = lasts.len().saturating_sub(1);
                lasts.partition_point(|last| *last < place).min(last).to_u8().unwrap_or(u8::MAX)
            };
            Feature::Factor(*factor, bins.iter().map(bin).collect())
        }
    }
}

/// The last of each of at most [`COARSE_BINS`] stretches of runs with about as many rows each.
fn fewer(runs: &[&Run]) -> Vec<usize> {
    if runs.len() <= COARSE_BINS {
        return (0..runs.len()).collect();
    }
    let mut left: u64 = runs.iter().map(|run| run.sums.rows).sum();
    let (mut lasts, mut seen) = (Vec::new(), 0);
    for (index, run) in runs.iter().enumerate() {
        seen += run.sums.rows;
        let share = left / COARSE_BINS.saturating_sub(lasts.len()).max(1) as u64;
        if seen >= share || index + 1 == runs.len() {
            (left, seen) = (left - seen, 0);
            lasts.push(index);
        }
    }
    lasts
}
