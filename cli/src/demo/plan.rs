//! What a region is made from, and the memory of it in its folder.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folder::{Folder, toml_text, write};
use crate::args::DemoArgs;
use crate::exit::Failure;
use crate::synth::SynthParams;

/// A region that nobody described.
const DEFAULTS: SynthParams =
    SynthParams { hospitals: 12, stays: 60_000, seed: 1, years: 1, subgroups: 1, alike: false };

/// Where the hospitals' data comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "data", rename_all = "snake_case")]
pub enum Plan {
    /// Made up.
    Synthetic(SynthParams),
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
        Ok(Self::Synthetic(given(args, DEFAULTS)))
    }

    /// Options that were given must say what the folder says.
    fn agrees(&self, folder: &Folder, args: &DemoArgs) -> Result<(), Failure> {
        let agrees = match self {
            Self::Synthetic(kept) => args.source.is_none() && given(args, *kept) == *kept,
            Self::Source { .. } => {
                // Options of the generator are nobody's here.
                !generates(args) && (args.source.is_none() || Self::of(args)? == *self)
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
            Self::Synthetic(params) => options(params),
            Self::Source { file, mapping, split_by } => {
                format!("--source {} --mapping {mapping} --split-by {split_by}", file.display())
            }
        }
    }

    /// Whether the data is made up.
    #[must_use]
    pub const fn is_synthetic(&self) -> bool {
        matches!(self, Self::Synthetic(_))
    }

    /// The mapping that reads the hospitals' files.
    #[must_use]
    pub fn mapping(&self) -> &str {
        match self {
            Self::Synthetic(_) => "synthetic",
            Self::Source { mapping, .. } => mapping,
        }
    }
}

/// What the options say, and `kept` where they say nothing.
fn given(args: &DemoArgs, kept: SynthParams) -> SynthParams {
    SynthParams {
        hospitals: args.hospitals.unwrap_or(kept.hospitals),
        stays: args.stays.unwrap_or(kept.stays),
        seed: args.seed.unwrap_or(kept.seed),
        years: args.years.unwrap_or(kept.years),
        subgroups: args.subgroups.unwrap_or(kept.subgroups),
        alike: args.alike || kept.alike,
    }
}

/// Whether some option of the generator was given.
const fn generates(args: &DemoArgs) -> bool {
    args.hospitals.is_some()
        || args.stays.is_some()
        || args.seed.is_some()
        || args.years.is_some()
        || args.subgroups.is_some()
        || args.alike
}

/// The options that make such a region.
fn options(params: &SynthParams) -> String {
    let SynthParams { hospitals, stays, seed, years, subgroups, alike } = params;
    let mut text = format!("--hospitals {hospitals} --stays {stays} --seed {seed}");
    for (option, value) in [("years", years), ("subgroups", subgroups)] {
        if *value != 1 {
            text.push_str(&format!(" --{option} {value}"));
        }
    }
    if *alike {
        text.push_str(" --alike");
    }
    text
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
