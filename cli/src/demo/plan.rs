//! What a region is made from, and the memory of it in its folder.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folder::{Folder, toml_text, write};
use crate::args::DemoArgs;
use crate::exit::Failure;

/// Hospitals, stays and seed of a region that nobody described.
const DEFAULTS: (u16, u64, u64) = (12, 60_000, 1);

const fn one() -> u16 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_one(years: &u16) -> bool {
    *years == one()
}

/// Where the hospitals' data comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "data", rename_all = "snake_case")]
pub enum Plan {
    /// Made up.
    Synthetic {
        /// How many.
        hospitals: u16,
        /// Over all hospitals.
        stays: u64,
        /// Same seed, same data.
        seed: u64,
        /// Over how many years, the last being 2024.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        years: u16,
    },
    /// A real file.
    Source {
        /// CSV, plain or gzip; absolute.
        file: PathBuf,
        /// A shipped mapping, or a folder; absolute.
        mapping: String,
        /// One hospital for each value of this column.
        split_by: String,
    },
}

impl Plan {
    /// The plan of the folder if it has one (then `true`), else a new one from the options.
    ///
    /// # Errors
    /// [`Failure::Usage`] when the folder is something else, or was made from other options.
    pub fn settle(folder: &Folder, args: &DemoArgs) -> Result<(Self, bool), Failure> {
        let file = folder.plan();
        if file.is_file() {
            let kept: Self = service::config::load(&file)
                .map_err(|error| Failure::Configuration(error.to_string()))?;
            kept.agrees(folder, args)?;
            return Ok((kept, true));
        }
        let root = folder.root();
        let mut entries = fs::read_dir(root).map_err(Failure::output(root))?;
        if entries.next().is_some() {
            let root = root.display();
            return Err(Failure::Usage(format!(
                "{root} is not empty and no demonstration region; nothing was written, choose \
                 another --dir"
            )));
        }
        let plan = Self::of(args)?;
        write(&file, &toml_text("What this demonstration region was made from.", &plan)?)?;
        Ok((plan, false))
    }

    fn of(args: &DemoArgs) -> Result<Self, Failure> {
        if let (Some(source), Some(mapping), Some(split_by)) =
            (&args.source, &args.mapping, &args.split_by)
        {
            let file = absolute(source)?;
            let mapping = mapping_name(mapping)?;
            return Ok(Self::Source { file, mapping, split_by: split_by.clone() });
        }
        Ok(Self::Synthetic {
            hospitals: args.hospitals.unwrap_or(DEFAULTS.0),
            stays: args.stays.unwrap_or(DEFAULTS.1),
            seed: args.seed.unwrap_or(DEFAULTS.2),
            years: args.years.unwrap_or(one()),
        })
    }

    /// Options that were given must say what the folder says.
    fn agrees(&self, folder: &Folder, args: &DemoArgs) -> Result<(), Failure> {
        let agrees = match self {
            Self::Synthetic { hospitals, stays, seed, years } => {
                args.source.is_none()
                    && args.hospitals.is_none_or(|given| given == *hospitals)
                    && args.stays.is_none_or(|given| given == *stays)
                    && args.seed.is_none_or(|given| given == *seed)
                    && args.years.is_none_or(|given| given == *years)
            }
            Self::Source { .. } => {
                let numbers = args.hospitals.is_some() || args.years.is_some();
                let synthetic = numbers || args.stays.is_some() || args.seed.is_some();
                !synthetic && (args.source.is_none() || Self::of(args)? == *self)
            }
        };
        if agrees {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "{} holds a region that was made from other options ({}); use another --dir, or the \
             same options",
            folder.root().display(),
            self.describe()
        )))
    }

    fn describe(&self) -> String {
        match self {
            Self::Synthetic { hospitals, stays, seed, years } => {
                let years = if is_one(years) { String::new() } else { format!(" --years {years}") };
                format!("--hospitals {hospitals} --stays {stays} --seed {seed}{years}")
            }
            Self::Source { file, mapping, split_by } => {
                format!("--source {} --mapping {mapping} --split-by {split_by}", file.display())
            }
        }
    }

    /// Whether the data is made up.
    #[must_use]
    pub const fn is_synthetic(&self) -> bool {
        matches!(self, Self::Synthetic { .. })
    }

    /// The mapping that reads the hospitals' files.
    #[must_use]
    pub fn mapping(&self) -> &str {
        match self {
            Self::Synthetic { .. } => "synthetic",
            Self::Source { mapping, .. } => mapping,
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    fs::canonicalize(path)
        .map_err(|error| Failure::Data(format!("cannot read {}: {error}", path.display())))
}

/// A shipped mapping's name as it is, a folder absolute.
fn mapping_name(mapping: &str) -> Result<String, Failure> {
    if node::ingest::builtin_mappings().any(|name| name == mapping) {
        return Ok(mapping.to_owned());
    }
    let folder = Path::new(mapping);
    if !folder.is_dir() {
        let shipped: Vec<_> = node::ingest::builtin_mappings().collect();
        let shipped = shipped.join(", ");
        let reason = format!("--mapping {mapping} is neither a folder nor one of: {shipped}");
        return Err(Failure::Usage(reason));
    }
    Ok(absolute(folder)?.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn args(line: &str) -> DemoArgs {
        let words = ["consilium", "demo"].into_iter().chain(line.split_whitespace());
        match crate::args::Cli::parse_from(words).command {
            crate::args::Command::Demo(args) => args,
            other => panic!("{other:?} is not demo"),
        }
    }

    #[test]
    fn a_folder_remembers_its_plan_and_foreign_folders_are_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path()).unwrap();
        let (plan, kept) = Plan::settle(&folder, &args("--stays 500 --hospitals 3")).unwrap();
        assert_eq!((plan.mapping(), kept), ("synthetic", false));
        assert_eq!(Plan::settle(&folder, &args("")).unwrap(), (plan.clone(), true));
        assert_eq!(Plan::settle(&folder, &args("--stays 500")).unwrap(), (plan, true));
        let error = Plan::settle(&folder, &args("--seed 9")).unwrap_err();
        assert_eq!(error.code(), 64);
        assert!(error.to_string().contains("--hospitals 3 --stays 500 --seed 1"), "{error}");

        let foreign = tempfile::tempdir().unwrap();
        fs::write(foreign.path().join("thesis.doc"), "x").unwrap();
        let folder = Folder::new(foreign.path()).unwrap();
        assert_eq!(Plan::settle(&folder, &args("")).unwrap_err().code(), 64);
        assert_eq!(fs::read_dir(foreign.path()).unwrap().count(), 1, "nothing was written");
    }
}
