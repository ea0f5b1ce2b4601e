//! The section `[catalogue]` of a file of parameters.

use std::path::Path;

use model::casemix::catalogue::CatalogueRules;
use serde::Deserialize;
use service::config::load;

use crate::exit::Failure;

/// A file of parameters; other sections are for others.
#[derive(Debug, Deserialize)]
struct File {
    #[serde(default)]
    catalogue: Section,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Section {
    core_minimum: Option<u64>,
    core_share: Option<f64>,
    year_weights: Option<Vec<u32>>,
    split_cv: Option<f64>,
    split_gain: Option<f64>,
    split_minimum: Option<u64>,
}

/// The rules of a file; what it does not say, and everything without a file, is the default.
///
/// # Errors
/// [`Failure::Configuration`], naming file and field.
pub fn rules(file: Option<&Path>) -> Result<CatalogueRules, Failure> {
    let default = CatalogueRules::default();
    let Some(path) = file else { return Ok(default) };
    let read: File = load(path).map_err(|error| Failure::Configuration(error.to_string()))?;
    let section = read.catalogue;
    let rules = CatalogueRules {
        core_minimum: section.core_minimum.unwrap_or(default.core_minimum),
        core_share: section.core_share.unwrap_or(default.core_share),
        year_weights: section.year_weights.unwrap_or(default.year_weights),
        split_cv: section.split_cv.unwrap_or(default.split_cv),
        split_gain: section.split_gain.unwrap_or(default.split_gain),
        split_minimum: section.split_minimum.unwrap_or(default.split_minimum),
    };
    let share = |value: f64| (0.0..=1.0).contains(&value);
    let wrong = [
        ("core_minimum", rules.core_minimum < 1, "at least 1"),
        ("core_share", !share(rules.core_share), "between 0 and 1"),
        (
            "year_weights",
            rules.year_weights.is_empty() || rules.year_weights.contains(&0),
            "positive whole numbers, oldest year first",
        ),
        ("split_cv", rules.split_cv.is_nan() || rules.split_cv <= 0.0, "above 0"),
        ("split_gain", !share(rules.split_gain), "between 0 and 1"),
        ("split_minimum", rules.split_minimum < 2, "at least 2"),
    ];
    match wrong.into_iter().find(|(_, is_wrong, _)| *is_wrong) {
        None => Ok(rules),
        Some((field, _, right)) => {
            let path = path.display();
            Err(Failure::Configuration(format!("{path}: catalogue.{field} must be {right}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_differs_and_its_errors_name_the_field() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.toml");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            rules(Some(&path))
        };
        assert_eq!(rules(None).unwrap(), CatalogueRules::default());
        assert_eq!(read("[payment]\nfund = 1\n").unwrap(), CatalogueRules::default());
        let found = read("[catalogue]\ncore_minimum = 20\nyear_weights = [3, 7]\n").unwrap();
        let expected =
            CatalogueRules { core_minimum: 20, year_weights: vec![3, 7], ..Default::default() };
        assert_eq!(found, expected);
        for (text, field) in [
            ("year_weights = []", "year_weights"),
            ("year_weights = [1, 0]", "year_weights"),
            ("core_share = 85", "core_share"),
            ("core = 1", "core"),
        ] {
            let error = read(&format!("[catalogue]\n{text}\n")).unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
            assert_eq!(error.code(), 78);
        }
    }
}
