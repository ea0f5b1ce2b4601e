//! A catalogue as a versioned code list: the file that `consilium dip catalogue` writes and nodes
//! load to code stays.
//!
//! The hash covers everything but itself and how the list was made, so the same cells, rules, name
//! and version have the same hash, whatever the number of hospitals. Numbers are rounded to
//! decimals (amounts four, all others eight), so that every reader of JSON reads what was hashed.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::super::combination::{Combination, ancestry, dip_code};
use super::{Catalogue, Group};
use crate::manifest::ListRecord;

/// Version of the file's form.
pub const LIST_FORMAT: u32 = 1;
const SCHEME: &str = "DIP";

/// The file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DipList {
    /// [`LIST_FORMAT`].
    pub format: u32,
    /// Name of the list.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `DIP`.
    pub scheme: String,
    /// Hex SHA-256 of [`DipList::hashed`].
    pub hash: String,
    /// How it was made; not hashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<DipMade>,
    /// What it was made of.
    pub source: DipSource,
    /// Groups, ascending by combination.
    pub groups: Vec<DipGroup>,
    /// Share of stays in core groups.
    pub core_coverage: f64,
    /// That share is below what the rules want.
    pub below_core_share: bool,
}

/// How a list was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DipMade {
    /// RFC 3339 in UTC.
    pub at: String,
    /// `pooled` or `per_hospital`.
    pub scope: String,
    /// Hospitals that answered.
    pub hospitals: u32,
    /// Share of the region's stays in released cells, when it is known.
    pub coverage: Option<f64>,
}

/// What a list was made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DipSource {
    /// Years of discharge, oldest first, each with its weight.
    pub years: Vec<(u16, u32)>,
    /// Stays in groups.
    pub stays: u64,
    /// Released stays in no group: without a combination or a cost.
    pub unplaced: u64,
    /// Mean cost against which weights are.
    pub mean: f64,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DipGroup {
    /// Its code.
    pub dip_code: String,
    /// Combination or ancestor, without year.
    pub combination: String,
    /// `core` or `mixed`.
    pub kind: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Stays.
    pub stays: u64,
    /// Years that have stays.
    pub years: Vec<u16>,
    /// Mean cost.
    pub mean: f64,
    /// Mean of yearly means, weighted.
    pub weighted_mean: f64,
    /// Sample standard deviation.
    pub sd: Option<f64>,
    /// Coefficient of variation.
    pub cv: Option<f64>,
    /// Relative weight.
    pub weight: Option<f64>,
    /// The auxiliary split, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<DipSplit>,
}

/// An auxiliary split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DipSplit {
    /// By what.
    pub by: String,
    /// Stays-weighted mean of the parts' coefficients of variation.
    pub mean_cv: f64,
    /// Parts.
    pub parts: Vec<DipPart>,
}

/// A part of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DipPart {
    /// The attribute's value.
    pub part: String,
    /// Stays.
    pub stays: u64,
    /// Mean cost.
    pub mean: f64,
    /// Sample standard deviation.
    pub sd: Option<f64>,
    /// Coefficient of variation.
    pub cv: Option<f64>,
    /// Relative weight.
    pub weight: Option<f64>,
}

/// Codes of combinations, for coding stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodeList(HashMap<String, String>);

impl DipList {
    /// The list of a catalogue, not hashed yet. Groups whose path is not one of combinations are
    /// left out.
    #[must_use]
    pub fn of(catalogue: &Catalogue, name: &str, version: &str) -> Self {
        Self {
            format: LIST_FORMAT,
            name: name.to_owned(),
            version: version.to_owned(),
            scheme: SCHEME.to_owned(),
            hash: String::new(),
            made: None,
            source: DipSource {
                years: catalogue.years.clone(),
                stays: catalogue.stays,
                unplaced: catalogue.unplaced,
                mean: amount(catalogue.mean),
            },
            groups: catalogue.groups.iter().filter_map(group).collect(),
            core_coverage: share(catalogue.core_coverage),
            below_core_share: catalogue.below_core_share,
        }
    }

    /// What is hashed.
    #[must_use]
    pub fn hashed(&self) -> Self {
        Self { hash: String::new(), made: None, ..self.clone() }
    }

    /// Why the file cannot be used: the field, what is wrong, and the way out.
    ///
    /// # Errors
    /// For people.
    pub fn check(&self) -> Result<(), String> {
        if self.format != LIST_FORMAT {
            let format = self.format;
            return Err(format!("format: is {format}, this version reads {LIST_FORMAT}"));
        }
        if self.scheme != SCHEME {
            return Err(format!("scheme: is {}, a DIP list has {SCHEME}", self.scheme));
        }
        if self.groups.is_empty() {
            return Err("groups: there is none; make the catalogue again".to_owned());
        }
        for (number, pair) in self.groups.windows(2).enumerate() {
            if pair[0].combination >= pair[1].combination {
                let number = number + 1;
                return Err(format!(
                    "groups[{number}].combination: is not after the one before it; do not sort or \
                     join lists by hand, make the catalogue again"
                ));
            }
        }
        for (number, group) in self.groups.iter().enumerate() {
            if dip_code(&group.combination).as_ref() != Some(&group.dip_code) {
                return Err(format!(
                    "groups[{number}].dip_code: is not the code of its combination; make the \
                     catalogue again"
                ));
            }
        }
        Ok(())
    }

    /// What a manifest says of the list.
    #[must_use]
    pub fn record(&self) -> ListRecord {
        ListRecord {
            name: self.name.clone(),
            version: self.version.clone(),
            hash: self.hash.clone(),
        }
    }

    /// The codes, for coding stays.
    #[must_use]
    pub fn codes(&self) -> CodeList {
        let codes = self.groups.iter();
        CodeList(codes.map(|g| (g.combination.clone(), g.dip_code.clone())).collect())
    }
}

impl CodeList {
    /// The code of a combination: that of its longest listed ancestor.
    #[must_use]
    pub fn code_of(&self, combination: &str) -> Option<String> {
        let path = Combination::of(combination).path;
        ancestry(path).chain([""]).find_map(|path| self.0.get(path)).cloned()
    }
}

/// To four decimals, as money is.
fn amount(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// To eight decimals.
fn share(value: f64) -> f64 {
    (value * 1e8).round() / 1e8
}

fn group(group: &Group) -> Option<DipGroup> {
    let part = |part: &super::Part| DipPart {
        part: part.part.clone(),
        stays: part.stays,
        mean: amount(part.mean),
        sd: part.sd.map(amount),
        cv: part.cv.map(share),
        weight: part.weight.map(share),
    };
    Some(DipGroup {
        dip_code: dip_code(&group.path)?,
        combination: group.path.clone(),
        kind: group.kind.as_str().to_owned(),
        name: None,
        stays: group.stays,
        years: group.years.clone(),
        mean: amount(group.mean),
        weighted_mean: amount(group.weighted_mean),
        sd: group.sd.map(amount),
        cv: group.cv.map(share),
        weight: group.weight.map(share),
        split: group.split.as_ref().map(|split| DipSplit {
            by: split.by.to_owned(),
            mean_cv: share(split.mean_cv),
            parts: split.parts.iter().map(part).collect(),
        }),
    })
}
