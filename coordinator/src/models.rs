//! The region's models: cards as files in the data folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use learn::card::Card;
use model::{Refusal, RefusalCode};
use privacy::project::is_name;
use proto::v1;

/// Most models that are kept; a region has as many as people have questions.
const MAX_MODELS: usize = 10_000;

/// The folder of models.
#[derive(Debug, Clone)]
pub(crate) struct Models {
    folder: PathBuf,
    /// Held while a name is taken.
    taking: Arc<Mutex<()>>,
}

/// A model could not be kept or read.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {source}")]
pub(crate) struct ModelFile {
    file: String,
    source: io::Error,
}

impl Models {
    pub(crate) fn of(data_dir: &Path) -> Self {
        Self { folder: data_dir.join("models"), taking: Arc::default() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    /// A refusal unless a new model can be called `name`.
    pub(crate) fn check_name(&self, name: &str) -> Result<(), Refusal> {
        if !is_name(name) {
            return Err(Refusal::new(
                RefusalCode::Model,
                name,
                "A model is called by 1 to 64 small letters, digits, - and _.",
                "Choose another --name.",
            ));
        }
        if self.file(name).exists() {
            return Err(Refusal::new(
                RefusalCode::Model,
                name,
                "There is a model of this name, and models are not replaced.",
                "Choose another --name; `consilium model list` shows those that there are.",
            ));
        }
        Ok(())
    }

    /// A name that no model has: `stem`, or with a number behind it.
    pub(crate) fn free_name(&self, stem: &str) -> String {
        let numbered = (2..).map(|number| format!("{stem}-{number}"));
        let mut names = std::iter::once(stem.to_owned()).chain(numbered);
        names.find(|name| !self.file(name).exists()).unwrap_or_default()
    }

    /// Keeps a model, by another name when its own was taken in the meantime; nothing is left when
    /// that fails.
    pub(crate) fn keep(&self, mut card: Card) -> Result<Card, ModelFile> {
        let _taking = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
        if self.file(&card.name).exists() {
            let name = self.free_name(&card.name);
            card.notes
                .push(format!("the name {} was taken meanwhile, the model is {name}", card.name));
            card.name = name;
        }
        let path = self.file(&card.name);
        let fail = |source: io::Error| ModelFile { file: path.display().to_string(), source };
        fs::create_dir_all(&self.folder).map_err(fail)?;
        if fs::read_dir(&self.folder).map_err(fail)?.count() >= MAX_MODELS {
            return Err(fail(io::Error::other(format!("there are {MAX_MODELS} models"))));
        }
        let partial = path.with_extension("incoming");
        let text = serde_json::to_vec_pretty(&card).map_err(io::Error::other).map_err(fail)?;
        fs::write(&partial, text).map_err(fail)?;
        fs::rename(&partial, &path).map_err(fail)?;
        Ok(card)
    }

    /// The card of a model.
    pub(crate) fn card(&self, name: &str) -> Result<Card, Refusal> {
        let unknown = || {
            Refusal::new(
                RefusalCode::Model,
                name,
                "There is no model of this name.",
                "`consilium model list` shows those that there are.",
            )
        };
        if !is_name(name) {
            return Err(unknown());
        }
        let text = fs::read(self.file(name)).map_err(|_| unknown())?;
        serde_json::from_slice(&text).map_err(|error| {
            tracing::error!(model = name, %error, "a model cannot be read");
            Refusal::new(RefusalCode::Model, name, "The model's card cannot be read.", "")
        })
    }

    /// All models, newest first.
    pub(crate) fn list(&self) -> Vec<v1::ModelSummary> {
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = files.filter_map(|file| {
            let name = file.file_name().into_string().ok()?;
            name.strip_suffix(".json").map(str::to_owned)
        });
        let mut all: Vec<_> =
            names.filter_map(|name| self.card(&name).ok()).map(|card| summary(&card)).collect();
        all.sort_by(|a, b| (&b.created_at, &b.name).cmp(&(&a.created_at, &a.name)));
        all
    }
}

fn summary(card: &Card) -> v1::ModelSummary {
    v1::ModelSummary {
        name: card.name.clone(),
        created_at: card.created_at.clone(),
        asker: card.asker.clone(),
        formula: card.formula.clone(),
        family: card.family.clone(),
        link: card.link.clone(),
        condition: card.condition.clone(),
        stays: card.fit.stays,
        hospitals: crate::progress::count(card.provenance.snapshots.len()),
        deviance: card.fit.deviance,
        aic: card.fit.aic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_of_files_and_are_not_taken_twice() {
        for bad in ["", "A", "a/b", "..", "a b", "费用", &"x".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
        let folder = tempfile::tempdir().unwrap();
        let models = Models::of(folder.path());
        assert!(models.list().is_empty());
        assert!(models.check_name("cost-2024").is_ok());
        assert_eq!(models.free_name("cost"), "cost");
        fs::create_dir_all(folder.path().join("models")).unwrap();
        fs::write(folder.path().join("models/cost.json"), b"{").unwrap();
        assert_eq!(models.free_name("cost"), "cost-2");
        assert!(models.check_name("cost").is_err());
        assert!(models.list().is_empty(), "what cannot be read is not listed");
        assert!(models.card("cost").unwrap_err().reason.contains("cannot be read"));
        assert!(models.card("../cost").unwrap_err().reason.contains("no model"));
    }
}
