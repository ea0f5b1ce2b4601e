//! Projects, both ways.

use model::Refusal;
use privacy::Project;
use privacy::project::{Mode, ProjectParts};

use crate::request::malformed;
use crate::v1;

/// A project as it travels.
#[must_use]
pub fn encode_project(project: &Project) -> v1::Project {
    let parts = project.parts();
    v1::Project {
        name: parts.name.clone(),
        purpose: parts.purpose.clone(),
        owner: parts.owner.clone(),
        members: parts.members.iter().cloned().collect(),
        pooled: parts.pooled,
        per_hospital: parts.per_hospital,
        rho_year_micro: match parts.mode {
            Mode::Exact => None,
            Mode::Noise { rho_year_micro } => Some(rho_year_micro),
        },
        questions: parts.questions,
        until: parts.until,
    }
}

/// Reads a project.
///
/// # Errors
/// A [`Refusal`] with code `project` or `request`.
pub fn decode_project(wire: v1::Project) -> Result<Project, Refusal> {
    if wire.members.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(malformed("members", "The members are not in the order of their names."));
    }
    Project::try_from(ProjectParts {
        name: wire.name,
        purpose: wire.purpose,
        owner: wire.owner,
        members: wire.members.into_iter().collect(),
        pooled: wire.pooled,
        per_hospital: wire.per_hospital,
        mode: wire
            .rho_year_micro
            .map_or(Mode::Exact, |rho_year_micro| Mode::Noise { rho_year_micro }),
        questions: wire.questions,
        until: wire.until,
    })
}
