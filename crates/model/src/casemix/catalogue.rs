//! The DIP catalogue: core and mixed groups with their weights, from released cells (F8, F9).
//!
//! A combination of diagnosis and procedures with enough stays over all years is a *core* group;
//! the others are merged into the *mixed* group of their category and way of treatment, and what is
//! too rare even there into that of the way of treatment, or of everything. Every stay with a cost
//! is in one group.
//! Weights are F8: the mean cost of a group over the mean cost of all, each a mean of yearly means
//! weighted from the oldest year to the newest. Sums of money stay whole ten-thousandths; a double
//! is made once, from exact fractions, so equal sums have equal bits. Standard deviations are
//! doubles already when they are released, and are merged in the order of the codes.

mod list;
mod split;

use std::collections::{BTreeMap, BTreeSet};

use num_bigint::BigInt;
use num_traits::{ToPrimitive as _, Zero as _};

pub use list::{CodeList, DipGroup, DipList, DipMade, DipPart, DipSource, DipSplit, LIST_FORMAT};
pub use split::{Part, Split};

use super::combination::{Combination, SEPARATOR};
pub use super::parameters::CatalogueRules;
use crate::moments::quotient;

/// One released cell: a combination or an ancestor, with its year.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// `2024|surgery|K35|K35.8:47.01`, or an ancestor.
    pub combination: String,
    /// Stays with a cost.
    pub stays: u64,
    /// Their costs, in ten-thousandths of the currency unit.
    pub cost_e4: i128,
    /// Sample standard deviation, in currency units; `None` for a single stay.
    pub sd: Option<f64>,
}

/// A cell of one part of its combination: a severity, an age band.
#[derive(Debug, Clone, PartialEq)]
pub struct PartCell {
    /// Which part.
    pub part: String,
    /// The cell.
    pub cell: Cell,
}

/// What a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupKind {
    /// One combination.
    Core,
    /// What is too rare, by category or class.
    Mixed,
}

impl GroupKind {
    /// The name in a code list.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Mixed => "mixed",
        }
    }
}

/// One group of the catalogue. Amounts in currency units a stay.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Combination or ancestor, without year; empty for what is rare everywhere.
    pub path: String,
    /// Core or mixed.
    pub kind: GroupKind,
    /// Stays of the period.
    pub stays: u64,
    /// Mean over all of them.
    pub mean: f64,
    /// Mean of yearly means, weighted (F8).
    pub weighted_mean: f64,
    /// Years that have stays.
    pub years: Vec<u16>,
    /// Sample standard deviation; `None` for a single stay.
    pub sd: Option<f64>,
    /// Coefficient of variation.
    pub cv: Option<f64>,
    /// Relative weight (F8); `None` when the region's mean is not positive.
    pub weight: Option<f64>,
    /// The auxiliary split, where there is one.
    pub split: Option<Split>,
}

/// A catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalogue {
    /// Years of the period, oldest first, each with its weight.
    pub years: Vec<(u16, u32)>,
    /// Groups, ascending by path.
    pub groups: Vec<Group>,
    /// Stays in groups.
    pub stays: u64,
    /// Stays whose cell has no year: in no group.
    pub unplaced: u64,
    /// Share of stays in core groups.
    pub core_coverage: f64,
    /// That share is below what the rules want.
    pub below_core_share: bool,
    /// The region's weighted mean cost, against which weights are.
    pub mean: f64,
    /// The same as an exact fraction.
    region: (BigInt, BigInt),
}

/// Why there is no catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoCatalogue {
    /// No cell of the period has a cost.
    #[error("no cell of the period has a cost")]
    Empty,
    /// Years without weights.
    #[error("the period has {years} years and there are weights for {weights}")]
    Years {
        /// Years of the period.
        years: usize,
        /// Weights.
        weights: usize,
    },
}

/// Sums of one year or group.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sums {
    stays: u64,
    cost_e4: i128,
    /// Sum of squared distances from the mean, in squared currency units.
    squares: f64,
}

/// Sums by year.
#[derive(Debug, Clone, Default, PartialEq)]
struct Yearly(BTreeMap<u16, Sums>);

fn double(count: u64) -> f64 {
    count.to_f64().unwrap_or(f64::NAN)
}

/// A fraction of exact numbers as the nearest double; NaN for a denominator of zero.
fn ratio(numerator: &BigInt, denominator: &BigInt) -> f64 {
    quotient(numerator, denominator).unwrap_or(f64::NAN)
}

/// Ten-thousandths in a currency unit.
const UNIT_E4: i64 = 10_000;

impl Sums {
    fn of(cell: &Cell) -> Self {
        let freedom = double(cell.stays.saturating_sub(1));
        let squares = cell.sd.map_or(0.0, |sd| sd * sd * freedom);
        Self { stays: cell.stays, cost_e4: cell.cost_e4, squares }
    }

    fn mean(&self) -> f64 {
        ratio(&BigInt::from(self.cost_e4), &(BigInt::from(self.stays) * UNIT_E4))
    }

    /// Takes in others (T. F. Chan, G. H. Golub, R. J. LeVeque 1983).
    fn add(&mut self, other: &Self) {
        if self.stays == 0 || other.stays == 0 {
            if self.stays == 0 {
                *self = *other;
            }
            return;
        }
        let distance = self.mean() - other.mean();
        let (a, b) = (double(self.stays), double(other.stays));
        self.squares += other.squares + distance * distance * (a * b / (a + b));
        self.stays += other.stays;
        self.cost_e4 += other.cost_e4;
    }

    fn sd(&self) -> Option<f64> {
        let freedom = self.stays.checked_sub(1).filter(|freedom| *freedom > 0)?;
        Some((self.squares / double(freedom)).sqrt())
    }

    /// Coefficient of variation; `None` unless the mean is positive.
    fn cv(&self) -> Option<f64> {
        let mean = self.mean();
        self.sd().filter(|_| mean > 0.0).map(|sd| sd / mean)
    }
}

impl Yearly {
    fn add(&mut self, year: u16, sums: &Sums) {
        self.0.entry(year).or_default().add(sums);
    }

    fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(year, sums)| self.add(*year, sums));
    }

    fn stays(&self) -> u64 {
        self.0.values().map(|sums| sums.stays).sum()
    }

    fn whole(&self) -> Sums {
        let mut whole = Sums::default();
        self.0.values().for_each(|sums| whole.add(sums));
        whole
    }

    /// Mean of yearly means as an exact fraction (F8). Years without stays have no mean: the
    /// weights of the others are scaled up.
    fn weighted(&self, weights: &[(u16, u32)]) -> (BigInt, BigInt) {
        let (mut top, mut bottom) = (BigInt::zero(), BigInt::from(1));
        let mut total = BigInt::zero();
        for (year, weight) in weights {
            let Some(sums) = self.0.get(year).filter(|sums| sums.stays > 0) else { continue };
            // top/bottom + weight * cost / stays
            top = top * sums.stays + BigInt::from(sums.cost_e4) * *weight * &bottom;
            bottom *= sums.stays;
            total += *weight;
        }
        (top, bottom * total * UNIT_E4)
    }
}

/// The period's years with their weights: the newest has the last weight.
fn weigh(years: &BTreeSet<u16>, weights: &[u32]) -> Result<Vec<(u16, u32)>, NoCatalogue> {
    let newest = *years.last().ok_or(NoCatalogue::Empty)?;
    let weigh = |year: u16| {
        let back = usize::from(newest - year);
        let place = weights.len().checked_sub(back + 1)?;
        weights.get(place).map(|weight| (year, *weight))
    };
    let weighed: Option<Vec<_>> = years.iter().map(|year| weigh(*year)).collect();
    let span = years.first().map_or(0, |oldest| usize::from(newest - oldest) + 1);
    weighed.ok_or(NoCatalogue::Years { years: span, weights: weights.len() })
}

fn depth(path: &str) -> usize {
    path.split(SEPARATOR).count()
}

/// Sums by path, and the stays of cells that have none.
fn by_path(cells: &[Cell]) -> (BTreeMap<String, Yearly>, u64, BTreeSet<u16>) {
    let mut ordered: Vec<&Cell> = cells.iter().filter(|cell| cell.stays > 0).collect();
    // Cells of one combination (of several hospitals) are told apart by what they hold, so that
    // the order in which they came decides nothing.
    let key = |cell: &Cell| (cell.stays, cell.cost_e4, cell.sd.map(f64::to_bits));
    ordered.sort_by(|a, b| a.combination.cmp(&b.combination).then_with(|| key(a).cmp(&key(b))));
    let (mut paths, mut unplaced, mut years) = (BTreeMap::new(), 0, BTreeSet::new());
    for cell in ordered {
        let Combination { year, path } = Combination::of(&cell.combination);
        match year {
            Some(year) => {
                years.insert(year);
                let yearly: &mut Yearly = paths.entry(path.to_owned()).or_default();
                yearly.add(year, &Sums::of(cell));
            }
            None => unplaced += cell.stays,
        }
    }
    (paths, unplaced, years)
}

/// Merges what is too rare into its ancestor, the longest paths first.
fn merge(paths: &mut BTreeMap<String, Yearly>, minimum: u64) {
    let deepest = paths.keys().map(|path| depth(path)).max().unwrap_or(0);
    for level in (1..=deepest).rev() {
        let rare = |(path, sums): &(&String, &Yearly)| {
            !path.is_empty() && depth(path) == level && sums.stays() < minimum
        };
        let rare: Vec<String> = paths.iter().filter(rare).map(|(path, _)| path.clone()).collect();
        for path in rare {
            let Some(sums) = paths.remove(&path) else { continue };
            let ancestor = path.rsplit_once(SEPARATOR).map_or("", |(ancestor, _)| ancestor);
            paths.entry(ancestor.to_owned()).or_default().merge(&sums);
        }
    }
}

/// Levels of a combination without its year.
const CORE_LEVELS: usize = 3;

/// Makes the catalogue of one period's cells, whatever their order.
///
/// # Errors
/// [`NoCatalogue`].
pub fn catalogue(cells: &[Cell], rules: &CatalogueRules) -> Result<Catalogue, NoCatalogue> {
    let (mut paths, unplaced, years) = by_path(cells);
    let years = weigh(&years, &rules.year_weights)?;
    merge(&mut paths, rules.core_minimum);
    let mut all = Yearly::default();
    paths.values().for_each(|sums| all.merge(sums));
    let region = all.weighted(&years);
    let group = |(path, sums): (String, Yearly)| {
        let kind = if depth(&path) < CORE_LEVELS { GroupKind::Mixed } else { GroupKind::Core };
        group_of(path, kind, &sums, (&years, &region))
    };
    let groups: Vec<Group> = paths.into_iter().map(group).collect();
    let core = groups.iter().filter(|group| group.kind == GroupKind::Core);
    let (stays, core) = (all.stays(), core.map(|group| group.stays).sum::<u64>());
    let core_coverage = double(core) / double(stays);
    Ok(Catalogue {
        groups,
        stays,
        unplaced,
        core_coverage,
        below_core_share: core_coverage < rules.core_share,
        mean: ratio(&region.0, &region.1),
        years,
        region,
    })
}

fn group_of(
    path: String,
    kind: GroupKind,
    sums: &Yearly,
    (years, region): (&[(u16, u32)], &(BigInt, BigInt)),
) -> Group {
    let (whole, weighted) = (sums.whole(), sums.weighted(years));
    Group {
        path,
        kind,
        stays: whole.stays,
        mean: whole.mean(),
        weighted_mean: ratio(&weighted.0, &weighted.1),
        years: sums.0.keys().copied().collect(),
        sd: whole.sd(),
        cv: whole.cv(),
        weight: weight(&weighted, region),
        split: None,
    }
}

/// F8: the group's mean over the region's, as one fraction.
fn weight(own: &(BigInt, BigInt), region: &(BigInt, BigInt)) -> Option<f64> {
    (region.0 > BigInt::zero()).then(|| ratio(&(&own.0 * &region.1), &(&own.1 * &region.0)))
}

#[cfg(test)]
mod tests;
