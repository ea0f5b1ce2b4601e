//! Every hospital's own file: made up, or its part of a real one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use model::HospitalId;
use node::ingest::split_source;

use super::folder::{Folder, put};
use super::load::ingest_failure;
use super::plan::Plan;
use super::workers;
use crate::exit::Failure;
use crate::synth::{self, SynthHospital, SynthParams};

/// What is said of a hospital's tier or county when its file does not tell.
const UNKNOWN: &str = "unknown";

/// A hospital of the region.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its id.
    pub id: HospitalId,
    /// tertiary, secondary, primary, or unknown.
    pub tier: String,
    /// County or district, or unknown.
    pub county: String,
    /// Its own export.
    pub source: PathBuf,
}

/// Makes the files that are missing.
///
/// # Errors
/// [`Failure`], naming the file.
pub fn make(folder: &Folder, plan: &Plan) -> Result<Vec<Member>, Failure> {
    match plan {
        Plan::Synthetic(params) => {
            workers::each(&synth::hospitals(params), |hospital| made_up(folder, params, hospital))
        }
        Plan::Source { file, split_by, .. } => split(folder, file, split_by),
    }
}

fn made_up(
    folder: &Folder,
    params: &SynthParams,
    hospital: &SynthHospital,
) -> Result<Member, Failure> {
    let source = folder.sources().join(format!("{}.csv", hospital.id));
    if !source.exists() {
        put(&source, |partial| synth::write_csv(hospital, params, File::create(partial)?))?;
    }
    Ok(Member {
        id: hospital_id(&hospital.id)?,
        tier: hospital.tier.to_owned(),
        county: hospital.county.to_owned(),
        source,
    })
}

/// The folder of parts appears whole or not at all, so that its files are all of them.
fn split(folder: &Folder, file: &Path, split_by: &str) -> Result<Vec<Member>, Failure> {
    let sources = folder.sources();
    if !sources.exists() {
        let partial = folder.root().join("sources.partial");
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(Failure::output(&partial))?;
        }
        split_source(file, split_by, &partial).map_err(|error| ingest_failure(&error))?;
        fs::rename(&partial, &sources).map_err(Failure::output(&sources))?;
    }
    let mut members = Vec::new();
    for entry in fs::read_dir(&sources).map_err(Failure::output(&sources))? {
        let source = entry.map_err(Failure::output(&sources))?.path();
        if source.extension().is_none_or(|extension| extension != "csv") {
            continue;
        }
        let name = source.file_stem().unwrap_or_default().to_string_lossy();
        let id = hospital_id(&name)?;
        let county = county(&source).unwrap_or_else(|| UNKNOWN.to_owned());
        members.push(Member { id, tier: UNKNOWN.to_owned(), county, source });
    }
    members.sort_by(|a, b| a.id.cmp(&b.id));
    if members.is_empty() {
        return Err(Failure::Data(format!("{} has no rows", file.display())));
    }
    Ok(members)
}

fn hospital_id(name: &str) -> Result<HospitalId, Failure> {
    name.parse().map_err(|error| Failure::Data(format!("{error}")))
}

/// A county that the hospital's own rows state: the first row's value of a column named so.
fn county(source: &Path) -> Option<String> {
    let mut rows = csv::ReaderBuilder::new().flexible(true).from_path(source).ok()?;
    let names = rows.headers().ok()?.clone();
    let column = names.iter().position(|name| name.to_ascii_lowercase().contains("county"))?;
    let first = rows.records().next()?.ok()?;
    first.get(column).map(str::trim).filter(|county| !county.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_file_becomes_one_file_for_each_hospital() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(&place.path().join("region")).unwrap();
        let file = place.path().join("all.csv");
        fs::write(&file, "Hospital.County,site,cost\nBronx,b,1\nKings,a,2\nBronx,b,3\n").unwrap();
        let members = split(&folder, &file, "site").unwrap();
        let told: Vec<_> = members.iter().map(|m| (m.id.as_str(), m.county.as_str())).collect();
        assert_eq!(told, [("a", "Kings"), ("b", "Bronx")]);
        fs::remove_file(&file).unwrap();
        assert_eq!(split(&folder, &file, "site").unwrap().len(), 2, "parts are used again");
    }
}
