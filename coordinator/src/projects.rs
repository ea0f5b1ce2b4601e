//! The region's projects: files in the data folder, and who may ask under which version.
//!
//! A version never changes; who joins later makes another one, on which hospitals' stewards decide again. Each
//! member asks under the oldest version that has them, so that nobody who joins takes an accepted project
//! away from its members.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;
use model::{Refusal, RefusalCode};
use privacy::Project;
use privacy::admit::name_of;
use privacy::project::is_name;
use proto::{decode_project, encode_project, v1};
use serde::{Deserialize, Serialize};

use crate::registry::Registry;

/// Most projects that are kept: their list is one message.
const MAX_PROJECTS: usize = 500;
/// Most of one owner.
const MAX_OWNED: usize = 50;
/// Versions that hospitals are asked about, the newest.
const MAX_REPORTED: usize = 8;
/// Most people who wait to be taken in.
const MAX_ASKING: usize = 64;

/// A project, as its file holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    owner: String,
    created_at: String,
    versions: Vec<Version>,
    #[serde(default)]
    asking: BTreeSet<String>,
}

/// One version, as the file holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Version {
    name: String,
    purpose: String,
    owner: String,
    members: BTreeSet<String>,
    pooled: bool,
    per_hospital: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rho_year_micro: Option<u64>,
    questions: u64,
    until: u32,
}

/// The folder of projects.
#[derive(Debug, Clone)]
pub(crate) struct Projects {
    folder: PathBuf,
    /// Held while a file is changed.
    changing: Arc<Mutex<()>>,
}

/// Why nothing is done about a project.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProjectError {
    #[error("{}", .0.reason)]
    Refused(Refusal),
    #[error("{file}: {source}")]
    File { file: String, source: io::Error },
}

impl From<Refusal> for ProjectError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

fn refuse(name: &str, reason: &str, instead: &str) -> ProjectError {
    Refusal::new(RefusalCode::Project, name, reason, instead).into()
}

fn unknown(name: &str) -> ProjectError {
    refuse(
        name,
        "There is no project of this name.",
        "`consilium project list` shows those that there are.",
    )
}

impl From<&Project> for Version {
    fn from(project: &Project) -> Self {
        let wire = encode_project(project);
        Self {
            name: wire.name,
            purpose: wire.purpose,
            owner: wire.owner,
            members: wire.members.into_iter().collect(),
            pooled: wire.pooled,
            per_hospital: wire.per_hospital,
            rho_year_micro: wire.rho_year_micro,
            questions: wire.questions,
            until: wire.until,
        }
    }
}

impl TryFrom<&Version> for Project {
    type Error = Refusal;

    fn try_from(version: &Version) -> Result<Self, Refusal> {
        decode_project(v1::Project {
            name: version.name.clone(),
            purpose: version.purpose.clone(),
            owner: version.owner.clone(),
            members: version.members.iter().cloned().collect(),
            pooled: version.pooled,
            per_hospital: version.per_hospital,
            rho_year_micro: version.rho_year_micro,
            questions: version.questions,
            until: version.until,
        })
    }
}

impl Kept {
    fn is_member(&self, user: &str) -> bool {
        self.versions.iter().any(|version| version.members.contains(user))
    }

    fn newest(&self, name: &str) -> Result<&Version, ProjectError> {
        self.versions.last().ok_or_else(|| unknown(name))
    }
}

impl Projects {
    pub(crate) fn of(data_dir: &Path) -> Self {
        Self { folder: data_dir.join("projects"), changing: Arc::default() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    /// The project called `name`.
    pub(crate) fn get(&self, name: &str) -> Result<Kept, ProjectError> {
        if !is_name(name) {
            return Err(unknown(name));
        }
        let path = self.file(name);
        let failed = |source| ProjectError::File { file: path.display().to_string(), source };
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(io::Error::other).map_err(failed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(unknown(name)),
            Err(error) => Err(failed(error)),
        }
    }

    /// All projects, by name.
    pub(crate) fn list(&self) -> Vec<v1::ProjectSummary> {
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let name = |file: fs::DirEntry| {
            file.file_name().into_string().ok()?.strip_suffix(".json").map(str::to_owned)
        };
        let mut names: Vec<_> = files.filter_map(name).collect();
        names.sort_unstable();
        let summary = |name: &String| {
            let kept =
                self.get(name).inspect_err(|error| tracing::error!(%error, "a project")).ok()?;
            let project = Project::try_from(kept.versions.last()?).ok()?;
            Some(v1::ProjectSummary { owner: kept.owner, project: Some(encode_project(&project)) })
        };
        names.iter().filter_map(summary).collect()
    }

    /// Makes a project of `owner`, who becomes a member.
    pub(crate) fn create(
        &self,
        owner: &str,
        mut wire: v1::Project,
        (at, today): (&str, u32),
    ) -> Result<Kept, ProjectError> {
        owner.clone_into(&mut wire.owner);
        wire.members.push(owner.to_owned());
        wire.members.sort_unstable();
        wire.members.dedup();
        let project = decode_project(wire)?;
        let name = project.name();
        if project.parts().until < today {
            let reason = "The project's last day is over already.";
            return Err(refuse(name, reason, "Choose another --until."));
        }
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.file(name).exists() {
            let reason = "There is a project of this name, and projects are not replaced: their budgets go on.";
            return Err(refuse(name, reason, "Choose another name."));
        }
        let all = self.list();
        let own = all.iter().filter(|project| project.owner == owner).count();
        if all.len() >= MAX_PROJECTS || own >= MAX_OWNED {
            return Err(refuse(name, "There are as many projects as are kept.", ""));
        }
        let kept = Kept {
            owner: owner.to_owned(),
            created_at: at.to_owned(),
            versions: vec![Version::from(&project)],
            asking: BTreeSet::new(),
        };
        self.keep(name, kept)
    }

    /// Notes that `user` asks the owner to become a member.
    pub(crate) fn join(&self, name: &str, user: &str) -> Result<Kept, ProjectError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = self.get(name)?;
        if kept.is_member(user) || kept.asking.contains(user) {
            return Ok(kept);
        }
        if kept.asking.len() >= MAX_ASKING {
            return Err(refuse(name, "Too many wait to be taken in.", "Ask the owner."));
        }
        kept.asking.insert(user.to_owned());
        self.keep(name, kept)
    }

    /// What the `owner` says to `member`, who asked to join: a new version, or nothing.
    pub(crate) fn admit(
        &self,
        owner: &str,
        order: &v1::AdmitRequest,
    ) -> Result<Kept, ProjectError> {
        let v1::AdmitRequest { name, member, decline } = order;
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = self.get(name)?;
        if kept.owner != *owner {
            let reason = "Only its owner takes members into a project.";
            return Err(refuse(name, reason, &format!("Ask {}.", kept.owner)));
        }
        if !kept.asking.remove(member) {
            let reason = "Nobody of this name asks to join.";
            return Err(refuse(member, reason, "`consilium project show` lists who does."));
        }
        if !decline {
            let mut next = kept.newest(name)?.clone();
            next.members.insert(member.clone());
            kept.versions.push(Version::from(&Project::try_from(&next)?));
        }
        self.keep(name, kept)
    }

    /// The version under which `user` asks: the oldest that has them.
    pub(crate) fn of_member(&self, name: &str, user: &str) -> Result<Project, ProjectError> {
        let kept = self.get(name)?;
        let mut own = kept.versions.iter().filter(|version| version.members.contains(user));
        let own = own.next().ok_or_else(|| {
            let reason = "You are no member of the project.";
            refuse(name, reason, "Ask its owner to take you in: consilium project join.")
        })?;
        Ok(Project::try_from(own)?)
    }

    fn keep(&self, name: &str, kept: Kept) -> Result<Kept, ProjectError> {
        let path = self.file(name);
        let partial = path.with_extension("incoming");
        let write = || {
            fs::create_dir_all(&self.folder)?;
            let mut file = fs::File::create(&partial)?;
            file.write_all(&serde_json::to_vec_pretty(&kept)?)?;
            // A project that a power cut took could be made again by somebody else, whose budget it
            // would share.
            file.sync_all()?;
            fs::rename(&partial, &path)?;
            fs::File::open(&self.folder)?.sync_all()
        };
        let failed = |source| ProjectError::File { file: path.display().to_string(), source };
        write().map_err(failed)?;
        Ok(kept)
    }
}

/// What a question's project asks of it, for people.
pub(crate) fn rule(project: &Project) -> String {
    let terms = project.terms().map(|(label, text)| format!("{label}: {text}"));
    format!(
        "asked in the project {} ({}), at hospitals whose stewards have accepted it",
        project.name(),
        terms.join("; ")
    )
}

/// A project, and how far each hospital is with each version of it. Stewards who had not heard of one have now.
pub(crate) async fn report(kept: Kept, registry: &Registry) -> Result<v1::ProjectReport, Refusal> {
    let newest = kept.versions.iter().rev().take(MAX_REPORTED).rev();
    let projects: Vec<Project> = newest.map(Project::try_from).collect::<Result<_, _>>()?;
    let versions = projects.iter().map(|project| async move {
        let wire = encode_project(project);
        let sites = registry.sites().iter();
        let hospitals = join_all(sites.map(|site| site.consider(wire.clone()))).await;
        let id = name_of(&project.hash());
        v1::ProjectVersion { project: Some(wire), id, hospitals }
    });
    let versions = join_all(versions).await;
    let asking = kept.asking.into_iter().collect();
    Ok(v1::ProjectReport { owner: kept.owner, created_at: kept.created_at, versions, asking })
}

#[cfg(test)]
mod tests;
