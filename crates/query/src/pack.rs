//! Packs: versioned bundles of questions that hospitals approve once, by content hash.
//!
//! A pack is a text file: questions in SQL with named places `{parameter}` and `{where}`, and the
//! program that finishes their answers. Parameters are typed; whatever is given becomes column names
//! of a fixed list, calendar bounds, or quoted literals, so a pack's questions have the shape that
//! was approved, whoever fills them in. The content hash is the SHA-256 of the file, as `sha256sum`
//! prints it.

mod origin;
mod parameter;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use privacy::sha256;
use serde::Deserialize;

pub use origin::Packs;
pub use parameter::{Bound, bounds_argument};
use parameter::{Kind, Parameter};

/// Packs that ship with the platform.
const SHIPPED: &[&str] = &[
    include_str!("../packs/drg-cost.toml"),
    include_str!("../packs/alerts.toml"),
    include_str!("../packs/dip-catalogue.toml"),
    include_str!("../packs/payment.toml"),
];

/// The place of the conditions in a question.
const WHERE: &str = "where";

/// Arguments of a question, by parameter.
pub type Arguments = BTreeMap<String, String>;

/// A bundle of questions.
#[derive(Debug, Clone)]
pub struct Pack {
    name: String,
    version: u32,
    program: String,
    purpose: String,
    parameters: Vec<Parameter>,
    questions: Vec<Stored>,
    hash: [u8; 32],
    text: String,
}

/// A question of a pack.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    name: String,
    sql: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    version: u32,
    program: String,
    purpose: String,
    #[serde(default, rename = "parameter")]
    parameters: Vec<Parameter>,
    #[serde(rename = "question")]
    questions: Vec<Stored>,
}

/// A pack, or an argument for it, that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPack {
    /// The file is not a pack.
    #[error("this is no pack: {0}")]
    File(String),
    /// There is no such question.
    #[error("pack {pack} has no question \"{question}\"; it has {known}")]
    Question {
        /// The pack.
        pack: String,
        /// What was asked for.
        question: String,
        /// What there is.
        known: String,
    },
    /// An argument does not fit its parameter.
    #[error("pack {pack}, {parameter}: {reason}")]
    Argument {
        /// The pack.
        pack: String,
        /// The parameter.
        parameter: String,
        /// What is wrong, and what is accepted.
        reason: String,
    },
}

impl Pack {
    /// Reads a pack.
    ///
    /// # Errors
    /// [`InvalidPack::File`] naming line and field.
    pub fn parse(text: &str) -> Result<Self, InvalidPack> {
        let file: File =
            toml::from_str(text).map_err(|error| InvalidPack::File(error.to_string()))?;
        let File { name, version, program, purpose, parameters, questions } = file;
        for question in &questions {
            let mut places = question.sql.split('{').skip(1);
            let is_known = |place: &str| {
                let name = place.split_once('}').map_or(place, |(name, _)| name);
                name == WHERE || parameters.iter().any(|parameter| parameter.name == name)
            };
            if !places.all(is_known) {
                let reason =
                    format!("question {} has a place that no parameter fills", question.name);
                return Err(InvalidPack::File(reason));
            }
        }
        let hash = sha256(text.as_bytes());
        let text = text.to_owned();
        Ok(Self { name, version, program, purpose, parameters, questions, hash, text })
    }

    /// The packs that ship with the platform.
    #[must_use]
    pub fn shipped() -> &'static [Self] {
        static PACKS: LazyLock<Vec<Pack>> = LazyLock::new(|| {
            // A test reads each of them.
            SHIPPED.iter().filter_map(|text| Pack::parse(text).ok()).collect()
        });
        &PACKS
    }

    /// The shipped pack of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::shipped().iter().find(|pack| pack.name == name)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// Name and version of the program that finishes its answers.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }

    /// What it is for, in a sentence.
    #[must_use]
    pub fn purpose(&self) -> &str {
        &self.purpose
    }

    /// SHA-256 of the file.
    #[must_use]
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// The file.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Names of its questions.
    pub fn questions(&self) -> impl Iterator<Item = &str> {
        self.questions.iter().map(|question| question.name.as_str())
    }

    /// The SQL of a question with these arguments. Parameters without an argument take their
    /// default, or leave out their condition.
    ///
    /// # Errors
    /// [`InvalidPack`] naming the question or the parameter.
    pub fn sql(&self, question: &str, arguments: &Arguments) -> Result<String, InvalidPack> {
        let stored = self.questions.iter().find(|stored| stored.name == question);
        let stored = stored.ok_or_else(|| InvalidPack::Question {
            pack: self.name.clone(),
            question: question.to_owned(),
            known: self.questions().collect::<Vec<_>>().join(", "),
        })?;
        let wrong = |parameter: &str, reason: String| InvalidPack::Argument {
            pack: self.name.clone(),
            parameter: parameter.to_owned(),
            reason,
        };
        if let Some(unknown) = arguments.keys().find(|name| self.parameter(name).is_none()) {
            let known: Vec<_> = self.parameters.iter().map(|one| one.name.as_str()).collect();
            let reason = format!("there is no such parameter; there are {}", known.join(", "));
            return Err(wrong(unknown, reason));
        }
        let (mut conditions, mut texts) = (Vec::new(), BTreeMap::new());
        for parameter in &self.parameters {
            let given = arguments.get(&parameter.name).map(String::as_str);
            let column = |name: &str| self.column(name, arguments);
            let text = parameter
                .render(given, &column)
                .map_err(|reason| wrong(&parameter.name, reason))?;
            match (text, parameter.kind) {
                (Some(text), Kind::Column | Kind::Bounds) => {
                    texts.insert(parameter.name.as_str(), text);
                }
                (Some(text), Kind::Period | Kind::Code) => conditions.push(text),
                (None, _) => {}
            }
        }
        let condition = match conditions.as_slice() {
            [] => String::new(),
            several => format!("WHERE {}", several.join(" AND ")),
        };
        texts.insert(WHERE, condition);
        fill(stored.sql.trim(), &texts)
            .map_err(|name| wrong(&name, "this question needs it".to_owned()))
    }

    /// Whether who asks this question says where amounts are cut.
    pub(crate) fn is_cut(&self, question: &str) -> bool {
        let stored = self.questions.iter().find(|stored| stored.name == question);
        let mut bounds = self.parameters.iter().filter(|one| one.kind == Kind::Bounds);
        let names = |stored: &Stored| {
            bounds.any(|parameter| stored.sql.contains(&format!("{{{}}}", parameter.name)))
        };
        stored.is_none_or(names)
    }

    /// Every choice of columns that the parameters leave.
    fn choices(&self) -> Vec<Arguments> {
        let columns = self.parameters.iter().filter(|one| one.kind == Kind::Column);
        columns.fold(vec![Arguments::new()], |all, parameter| {
            let with = |(chosen, column): (Arguments, &String)| {
                let mut chosen = chosen;
                chosen.insert(parameter.name.clone(), column.clone());
                chosen
            };
            let each = all.iter().flat_map(|chosen| {
                parameter.choices().iter().map(move |column| (chosen.clone(), column))
            });
            each.map(with).collect()
        })
    }

    fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    /// The column that `name` stands for: `{parameter}` is that parameter's argument.
    fn column(&self, name: &str, arguments: &Arguments) -> Option<String> {
        let Some(inner) = name.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
            return Some(name.to_owned());
        };
        let parameter = self.parameter(inner).filter(|one| one.kind == Kind::Column)?;
        let given = arguments.get(inner).map(String::as_str);
        parameter.render(given, &|_| None).ok().flatten()
    }
}

/// Puts texts in the places `{name}` of a template, in one pass: what was put in is not looked at
/// again, so no argument can open a place for another.
///
/// # Errors
/// The name of a place that has no text.
fn fill(template: &str, texts: &BTreeMap<&str, String>) -> Result<String, String> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}').ok_or_else(|| after.to_owned())?;
        filled.push_str(before);
        filled.push_str(texts.get(name).ok_or_else(|| name.to_owned())?);
        rest = behind;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests;
