//! Auxiliary splits of groups whose costs vary too much (F9).
//!
//! A split is made only where every part is known: the parts hold all stays of the group, none has
//! fewer than the minimum, and together they lower the coefficient of variation by enough.

use std::collections::BTreeMap;

use super::super::combination::{Combination, ancestry};
use super::{Catalogue, CatalogueRules, Group, PartCell, Sums, Yearly, double, weight};

/// A group taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// By which attribute of a stay: `severity`, `age`.
    pub by: &'static str,
    /// Parts, ascending by name.
    pub parts: Vec<Part>,
    /// Stays-weighted mean of the parts' coefficients of variation.
    pub mean_cv: f64,
}

/// A part of a group. Amounts in currency units a stay.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The attribute's value.
    pub part: String,
    /// Stays.
    pub stays: u64,
    /// Mean.
    pub mean: f64,
    /// Sample standard deviation.
    pub sd: Option<f64>,
    /// Coefficient of variation.
    pub cv: Option<f64>,
    /// Relative weight (F8).
    pub weight: Option<f64>,
}

impl Catalogue {
    /// Whether some group varies so much that it may be split.
    #[must_use]
    pub fn wants_splits(&self, rules: &CatalogueRules) -> bool {
        self.groups.iter().any(|group| varies(group, rules))
    }

    /// Splits groups by one attribute. Where a group has a split already, the one that lowers the
    /// variation further stays.
    pub fn split(&mut self, by: &'static str, cells: &[PartCell], rules: &CatalogueRules) {
        let places: BTreeMap<&str, usize> = self
            .groups
            .iter()
            .enumerate()
            .filter(|(_, group)| varies(group, rules))
            .map(|(place, group)| (group.path.as_str(), place))
            .collect();
        let known: BTreeMap<&str, usize> =
            self.groups.iter().enumerate().map(|(at, group)| (group.path.as_str(), at)).collect();
        let mut ordered: Vec<&PartCell> = cells.iter().filter(|c| c.cell.stays > 0).collect();
        ordered.sort_by_key(|one| (&one.cell.combination, &one.part));
        let mut parts: BTreeMap<usize, BTreeMap<&str, Yearly>> = BTreeMap::new();
        for PartCell { part, cell } in ordered {
            let Combination { year: Some(year), path } = Combination::of(&cell.combination) else {
                continue;
            };
            // The group of a stay is the longest that is listed, whether it may be split or not.
            let group = ancestry(path).chain([""]).find(|path| known.contains_key(path));
            let Some(place) = group.and_then(|path| places.get(path)) else { continue };
            let sums = parts.entry(*place).or_default().entry(part).or_default();
            sums.add(year, &Sums::of(cell));
        }
        let found: Vec<_> = parts
            .into_iter()
            .filter_map(|(place, parts)| {
                let split = self.judge(by, &self.groups[place], &parts, rules)?;
                Some((place, split))
            })
            .collect();
        for (place, split) in found {
            let current = self.groups[place].split.as_ref();
            if current.is_none_or(|current| split.mean_cv < current.mean_cv) {
                self.groups[place].split = Some(split);
            }
        }
    }

    fn judge(
        &self,
        by: &'static str,
        group: &Group,
        parts: &BTreeMap<&str, Yearly>,
        rules: &CatalogueRules,
    ) -> Option<Split> {
        let whole: u64 = parts.values().map(Yearly::stays).sum();
        let small = parts.values().any(|part| part.stays() < rules.split_minimum);
        if parts.len() < 2 || whole != group.stays || small {
            return None;
        }
        let mut mean_cv = 0.0;
        for part in parts.values() {
            mean_cv += part.whole().cv()? * double(part.stays()) / double(whole);
        }
        let enough = mean_cv <= group.cv? * (1.0 - rules.split_gain);
        let make = |(name, sums): (&&str, &Yearly)| {
            let whole = sums.whole();
            let own = sums.weighted(&self.years);
            Part {
                part: (*name).to_owned(),
                stays: whole.stays,
                mean: whole.mean(),
                sd: whole.sd(),
                cv: whole.cv(),
                weight: weight(&own, &self.region),
            }
        };
        enough.then(|| Split { by, parts: parts.iter().map(make).collect(), mean_cv })
    }
}

fn varies(group: &Group, rules: &CatalogueRules) -> bool {
    group.cv.is_some_and(|cv| cv >= rules.split_cv)
}
