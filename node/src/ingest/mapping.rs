//! A mapping as files: shipped inside the program or in a folder of the hospital's own.

use std::fs;
use std::path::Path;

use model::schema::TABLES;
use query::mapping::{Statement, nearest};
use ring::digest;
use serde::Deserialize;

use super::error::IngestError;
use super::source::hex;

/// File names and contents of a shipped mapping.
type Files = &'static [(&'static str, &'static str)];

const BUILTIN: &[(&str, Files)] = &[
    (
        "sparcs",
        &[
            ("diagnosis.sql", include_str!("../../mappings/sparcs/diagnosis.sql")),
            ("mapping.toml", include_str!("../../mappings/sparcs/mapping.toml")),
            ("procedure.sql", include_str!("../../mappings/sparcs/procedure.sql")),
            ("stay.sql", include_str!("../../mappings/sparcs/stay.sql")),
        ],
    ),
    (
        "synthetic",
        &[
            ("diagnosis.sql", include_str!("../../mappings/synthetic/diagnosis.sql")),
            ("fee.sql", include_str!("../../mappings/synthetic/fee.sql")),
            ("mapping.toml", include_str!("../../mappings/synthetic/mapping.toml")),
            ("procedure.sql", include_str!("../../mappings/synthetic/procedure.sql")),
            ("stay.sql", include_str!("../../mappings/synthetic/stay.sql")),
        ],
    ),
];
const NOTES: &str = "mapping.toml";

/// What `mapping.toml` says to people; nothing in it changes what is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingNotes {
    /// Which layout the mapping reads.
    #[serde(default)]
    pub description: String,
    /// What identifies a person in this layout.
    #[serde(default)]
    pub person_id: String,
    /// What the layout leaves open.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl MappingNotes {
    /// Everything it says, one text after the other.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        let texts = [&self.description, &self.person_id].into_iter().chain(&self.notes);
        texts.map(String::as_str).filter(|text| !text.is_empty())
    }
}

/// A mapping ready to be planned.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub(crate) name: String,
    pub(crate) sha256: String,
    pub(crate) notes: MappingNotes,
    /// Name of a governed table and its statement, in the order of the governed tables.
    pub(crate) statements: Vec<(&'static str, Statement)>,
}

/// Names of the mappings inside the program.
pub fn builtin_mappings() -> impl Iterator<Item = &'static str> {
    BUILTIN.iter().map(|(name, _)| *name)
}

impl Mapping {
    /// The shipped mapping of this name, or else the folder.
    pub(crate) fn load(wanted: &str) -> Result<Self, IngestError> {
        if let Some((name, files)) = BUILTIN.iter().find(|(name, _)| *name == wanted) {
            let files = files.iter().map(|(n, text)| ((*n).to_owned(), (*text).to_owned()));
            return Self::build(wanted, (*name).to_owned(), files.collect());
        }
        let folder = Path::new(wanted);
        if !folder.is_dir() {
            let names: Vec<_> = builtin_mappings().collect();
            let reason = format!("is neither a folder nor one of: {}", names.join(", "));
            return Err(IngestError::Mapping { name: wanted.to_owned(), reason });
        }
        let name = folder.file_name().map_or(wanted.into(), |n| n.to_string_lossy());
        Self::build(wanted, name.into_owned(), read_folder(folder)?)
    }

    fn build(
        wanted: &str,
        name: String,
        files: Vec<(String, String)>,
    ) -> Result<Self, IngestError> {
        let fail = |reason: String| IngestError::Mapping { name: wanted.to_owned(), reason };
        let mut context = digest::Context::new(&digest::SHA256);
        let mut notes = MappingNotes::default();
        let mut statements = Vec::new();
        for (file, text) in files {
            for part in [&file, &text] {
                context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
                context.update(part.as_bytes());
            }
            if file == NOTES {
                notes = toml::from_str(&text).map_err(|e| fail(format!("{NOTES}: {e}")))?;
                continue;
            }
            let stem = file.strip_suffix(".sql").unwrap_or(&file);
            let Some(table) = TABLES.iter().find(|table| table.name == stem) else {
                let names: Vec<_> = TABLES.iter().map(|table| table.name).collect();
                let near = nearest(stem, &names).join(", ");
                return Err(fail(format!("{file} is named after no governed table: {near}")));
            };
            statements.push((table.name, Statement { file, sql: text }));
        }
        statements.sort_by_key(|(name, _)| TABLES.iter().position(|table| table.name == *name));
        if statements.first().is_none_or(|(name, _)| *name != "stay") {
            return Err(fail("has no stay.sql; every mapping needs one".to_owned()));
        }
        let sha256 = hex(context.finish().as_ref());
        Ok(Self { name, sha256, notes, statements })
    }
}

/// SQL files and notes of a folder, by name.
fn read_folder(folder: &Path) -> Result<Vec<(String, String)>, IngestError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(IngestError::io("read", folder))? {
        let path = entry.map_err(IngestError::io("read", folder))?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if name == NOTES || path.extension().is_some_and(|extension| extension == "sql") {
            let text = fs::read_to_string(&path).map_err(IngestError::io("read", &path))?;
            files.push((name, text));
        }
    }
    files.sort();
    Ok(files)
}
