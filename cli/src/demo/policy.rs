//! The policy of every node of a demonstration.

use std::path::Path;

use privacy::{Floor, Policy};

use super::folder::{self, Folder};
use super::sources::Member;
use crate::exit::Failure;

/// A new hospital's policy.
pub const NEW: &str = include_str!("../../../node/examples/policy.toml");
/// Where a new hospital's policy says that its steward decides on each question.
const ASKS: &str = "\nallow = \"ask\" ";
/// Every minimum 1: shows the machinery and protects nobody.
pub const OPEN: &str = include_str!("../../../node/examples/open.toml");

/// A new hospital's policy whose steward need not decide on each question, and a budget for answers with
/// noise: nobody waits for twelve stewards to see what it does.
fn demonstration() -> String {
    format!("{}\n[noise]\n", NEW.replacen(ASKS, "\nallow = \"any\" ", 1))
}

/// The text of the policy that was asked for; `None` when none was.
///
/// # Errors
/// [`Failure::Configuration`] when the file cannot be read, or would close the nodes.
pub fn chosen(wanted: Option<&str>) -> Result<Option<String>, Failure> {
    let path = match wanted {
        None => return Ok(None),
        Some("demo") => return Ok(Some(demonstration())),
        Some("default") => return Ok(Some(NEW.to_owned())),
        Some("open") => return Ok(Some(OPEN.to_owned())),
        Some(path) => Path::new(path),
    };
    let policy: Policy =
        service::config::load(path).map_err(|error| Failure::Configuration(error.to_string()))?;
    let problems = policy.problems();
    if !problems.is_empty() {
        let problems = problems.join("\n  ");
        return Err(Failure::Configuration(format!("{}:\n  {problems}", path.display())));
    }
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::Configuration(format!("cannot read {}: {error}", path.display()))
    })?;
    Ok(Some(text))
}

/// Gives every node and the coordinator the policy: the one asked for, else what they have,
/// else the demonstration's.
///
/// # Errors
/// [`Failure::Output`].
pub fn write(folder: &Folder, members: &[Member], text: Option<&str>) -> Result<(), Failure> {
    let give = |path: &Path| match text {
        Some(text) => folder::write(path, text),
        None => folder::write_missing(path, &demonstration()),
    };
    give(&folder.coordinator("policy.toml"))?;
    members.iter().try_for_each(|member| give(&folder.node(&member.id, "policy.toml")))
}

/// What the witness asks of every opened group: the coordinator's policy.
///
/// # Errors
/// [`Failure::Configuration`].
pub fn floor(folder: &Folder) -> Result<Floor, Failure> {
    let path = folder.coordinator("policy.toml");
    let policy: Policy =
        service::config::load(&path).map_err(|error| Failure::Configuration(error.to_string()))?;
    let unset = || {
        let path = path.display();
        Failure::Configuration(format!("{path}: [minimum] persons and stays must be set"))
    };
    Ok(Floor {
        persons: policy.minimum.persons.ok_or_else(unset)?,
        stays: policy.minimum.stays.ok_or_else(unset)?,
        hospitals: policy.pooled.hospitals,
        dominance_e4: policy.pooled.dominance_e4,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_policies_parse_and_a_bad_file_is_explained() {
        let new: Policy = toml::from_str(NEW).unwrap();
        assert_eq!(new, Policy::default());
        let demonstration: Policy = toml::from_str(&demonstration()).unwrap();
        let noise = Some(privacy::Noise::default());
        assert_eq!(demonstration, Policy { noise, ..Policy::answering() });
        let open: Policy = toml::from_str(OPEN).unwrap();
        assert_eq!((open.minimum.persons, open.minimum.stays), (Some(1), Some(1)));
        assert_eq!((open.granularity.age_years, open.granularity.money), (1, 1));
        assert!(open.problems().is_empty());
        assert_eq!(chosen(None).unwrap(), None);
        assert_eq!(chosen(Some("open")).unwrap().as_deref(), Some(OPEN));

        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        std::fs::write(path, "[minimum]\npersons = 11\n").unwrap();
        let error = chosen(Some(path)).unwrap_err();
        assert_eq!(error.code(), 78);
        assert!(error.to_string().contains("minimum.stays is not set"), "{error}");
        assert_eq!(chosen(Some("/no/such.toml")).unwrap_err().code(), 78);
    }
}
