//! Published code lists: files in which a standard's codes stand, or a pattern that enumerates them.
//!
//! ```toml
//! [[code_list]]
//! column = "stay.drg_code"
//! version = "APR-DRG"
//! ranges = ["1..9", "10..99", "100..999"]
//!
//! [[code_list]]
//! column = "stay.sex"
//! version = "common data model 1"
//! codes = ["F", "M", "U"]
//! ```
//!
//! Codes may have names, in which case they stand in a table: `names = { F = { en = "female", zh =
//! "女" } }`. Lists that follow from the data model itself (`common.toml`) need not be configured.
//!
//! A range counts from its first code to its last, place by place: digits run from 0 to 9, letters
//! from A to Z, anything else stays as it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use privacy::domain::{MAX_CODE_BYTES, MAX_CODES};
use serde::Deserialize;
use service::config::{ConfigError, load};

/// Published lists by `table.column`.
pub(crate) type CodeLists = HashMap<String, CodeList>;

/// One published list.
#[derive(Debug, Clone, Default)]
pub(crate) struct CodeList {
    pub(crate) codes: Arc<Vec<String>>,
    /// What some of the codes are called.
    pub(crate) names: Arc<BTreeMap<String, Name>>,
}

/// What a code is called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Name {
    pub(crate) en: String,
    pub(crate) zh: String,
}

/// Lists of the data model itself; a list of the configuration takes their place.
const COMMON: &str = include_str!("../codes/common.toml");

/// Lists that ship with the coordinator, by name.
const SHIPPED: &[(&str, &str)] = &[
    ("apr-drg", include_str!("../codes/apr-drg.toml")),
    ("sparcs", include_str!("../codes/sparcs.toml")),
];

/// Where code lists come from: a shipped name or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Shipped(&'static str, &'static str),
    File(PathBuf),
}

/// A file of code lists.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    code_list: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    column: String,
    version: String,
    #[serde(default)]
    codes: Vec<String>,
    #[serde(default)]
    ranges: Vec<String>,
    /// Codes with their names; they are in the list too.
    #[serde(default)]
    names: BTreeMap<String, Name>,
}

/// A code list that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCodes {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// An entry of it is wrong.
    #[error("{path}: the list for {column}: {reason}")]
    Entry {
        /// The file.
        path: PathBuf,
        /// The entry's column.
        column: String,
        /// What is wrong, and what is accepted.
        reason: String,
    },
}

impl Source {
    /// What `name`, as it stands in a configuration in `folder`, means.
    pub(crate) fn of(name: &str, resolve: impl Fn(&str) -> PathBuf) -> Self {
        let shipped = SHIPPED.iter().find(|(known, _)| *known == name);
        shipped.map_or_else(|| Self::File(resolve(name)), |(name, text)| Self::Shipped(name, text))
    }

    fn entries(&self) -> Result<(PathBuf, Vec<Entry>), InvalidCodes> {
        match self {
            Self::File(path) => Ok((path.clone(), load::<File>(path)?.code_list)),
            Self::Shipped(name, text) => {
                let path = PathBuf::from(format!("{name}.toml (shipped)"));
                let file: Result<File, _> = toml::from_str(text);
                let file = file.map_err(|error| InvalidCodes::Entry {
                    path: path.clone(),
                    column: "every column".to_owned(),
                    reason: error.to_string(),
                })?;
                Ok((path, file.code_list))
            }
        }
    }
}

/// Reads all files; two lists for one column are one too many.
pub(crate) fn read(sources: &[Source]) -> Result<CodeLists, InvalidCodes> {
    let mut lists = CodeLists::new();
    for source in sources {
        let (path, entries) = source.entries()?;
        for entry in entries {
            let wrong = |reason: String| InvalidCodes::Entry {
                path: path.clone(),
                column: entry.column.clone(),
                reason,
            };
            let codes = Arc::new(codes_of(&entry).map_err(wrong)?);
            tracing::info!(column = entry.column, version = entry.version, "published code list");
            let list = CodeList { codes, names: Arc::new(entry.names.clone()) };
            if lists.insert(entry.column.clone(), list).is_some() {
                return Err(wrong("there is a second list for this column".to_owned()));
            }
        }
    }
    let (path, common) = Source::Shipped("common", COMMON).entries()?;
    for entry in common {
        let (path, column) = (path.clone(), entry.column.clone());
        let codes =
            codes_of(&entry).map_err(|reason| InvalidCodes::Entry { path, column, reason })?;
        let list = CodeList { codes: Arc::new(codes), names: Arc::new(entry.names) };
        lists.entry(entry.column).or_insert(list);
    }
    Ok(lists)
}

fn codes_of(entry: &Entry) -> Result<Vec<String>, String> {
    let known = entry.column.split_once('.').and_then(|(table, column)| {
        model::schema::table(table)?.column(column).filter(|column| column.is_groupable())
    });
    if known.is_none() {
        return Err("the data model has no such column that can be grouped by".to_owned());
    }
    let mut codes: BTreeSet<String> =
        entry.codes.iter().chain(entry.names.keys()).cloned().collect();
    for range in &entry.ranges {
        codes.extend(enumerate(range)?);
    }
    let too_long = codes.iter().any(|code| code.len() > MAX_CODE_BYTES);
    if codes.is_empty() || codes.len() > MAX_CODES || too_long {
        return Err(format!("a list has 1 to {MAX_CODES} codes of at most {MAX_CODE_BYTES} bytes"));
    }
    Ok(codes.into_iter().collect())
}

/// The next code after `code`, place by place; `None` after the last.
fn next(code: &[u8]) -> Option<Vec<u8>> {
    let mut code = code.to_vec();
    for place in code.iter_mut().rev() {
        match *place {
            b'9' => *place = b'0',
            b'Z' => *place = b'A',
            b'0'..=b'8' | b'A'..=b'Y' => {
                *place += 1;
                return Some(code);
            }
            _ => {}
        }
    }
    None
}

fn enumerate(range: &str) -> Result<Vec<String>, String> {
    let wrong = || {
        format!(
            "the range \"{range}\" is not FIRST..LAST with codes of one form, such as 001..999 or \
             A00..Z99"
        )
    };
    let (first, last) = range.split_once("..").ok_or_else(wrong)?;
    let form = |code: &str| -> Vec<u8> {
        code.bytes()
            .map(|byte| match byte {
                b'0'..=b'9' => b'9',
                b'A'..=b'Z' => b'Z',
                other => other,
            })
            .collect()
    };
    if first.is_empty() || !range.is_ascii() || form(first) != form(last) || first > last {
        return Err(wrong());
    }
    let mut codes = Vec::new();
    let mut code = Some(first.as_bytes().to_vec());
    while let Some(current) = code {
        codes.push(String::from_utf8(current.clone()).map_err(|_| wrong())?);
        if current == last.as_bytes() {
            return Ok(codes);
        }
        if codes.len() > MAX_CODES {
            return Err(format!("the range \"{range}\" has more than {MAX_CODES} codes"));
        }
        code = next(&current);
    }
    Err(wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<CodeLists, InvalidCodes> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("codes.toml");
        std::fs::write(&path, text).unwrap();
        read(&[Source::of("codes.toml", |_| path.clone())])
    }

    #[test]
    fn ranges_count_place_by_place() {
        let codes = enumerate("001..999").unwrap();
        assert_eq!((codes.len(), codes[0].as_str(), codes[998].as_str()), (999, "001", "999"));
        let codes = enumerate("A98..B01").unwrap();
        assert_eq!(codes, ["A98", "A99", "B00", "B01"]);
        assert_eq!(enumerate("A00..Z99").unwrap().len(), 2_600);
        assert_eq!(enumerate("K35.0..K35.9").unwrap().len(), 10);
        for bad in ["", "1..", "9..1", "A1..11", "1-9", "é..é", "00000000..99999999"] {
            assert!(enumerate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shipped_lists_can_be_used() {
        let shipped = SHIPPED.iter().map(|(name, _)| Source::of(name, |_| PathBuf::new()));
        let lists = read(&shipped.collect::<Vec<_>>()).unwrap();
        assert_eq!(lists["stay.drg_code"].codes.len(), 999);
        assert_eq!(*lists["stay.sex"].codes, ["F", "M", "U"]);
        assert_eq!(lists["fee.class"].codes.len(), 15, "the data model's own");
    }

    #[test]
    fn a_file_names_columns_and_its_errors_say_where() {
        let text = "[[code_list]]\ncolumn = \"stay.drg_code\"\nversion = \"APR\"\nranges = \
                    [\"001..003\"]\ncodes = [\"955\"]\n";
        let lists = read_text(text).unwrap();
        assert_eq!(*lists["stay.drg_code"].codes, ["001", "002", "003", "955"]);
        for (from, to, says) in [
            ("drg_code", "drg", "no such column"),
            ("drg_code", "total_cost", "no such column"),
            ("001..003", "003..001", "is not FIRST..LAST"),
            ("ranges", "range", "range"),
        ] {
            let error = read_text(&text.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("codes.toml"), "{error}");
        }
        let error = read_text(&format!("{text}{text}")).unwrap_err().to_string();
        assert!(error.contains("second list"), "{error}");
    }
}
