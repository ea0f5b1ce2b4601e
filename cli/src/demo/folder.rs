//! The layout of a region folder, and how files come into it.

use std::fs;
use std::path::{Path, PathBuf};

use certs::Layout;
use model::HospitalId;

use crate::client::CLIENT_FILE;
use crate::exit::Failure;

/// A region folder.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder at `root`, absolute; made when it does not exist.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn new(root: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(root).map_err(Failure::output(root))?;
        let root = fs::canonicalize(root).map_err(Failure::output(root))?;
        Ok(Self { root })
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the region was made from; marks the folder as a demonstration region.
    #[must_use]
    pub fn plan(&self) -> PathBuf {
        self.root.join("demo.toml")
    }

    /// Where the region's authority keeps what; `consilium region` works on the same folder.
    #[must_use]
    pub fn authority(&self) -> Layout {
        Layout::new(&self.root)
    }

    /// The client's configuration.
    #[must_use]
    pub fn client(&self) -> PathBuf {
        self.root.join(CLIENT_FILE)
    }

    /// A file of the analyst.
    #[must_use]
    pub fn analyst(&self, file: &str) -> PathBuf {
        self.root.join("client").join(file)
    }

    /// A file of the coordinator.
    #[must_use]
    pub fn coordinator(&self, file: &str) -> PathBuf {
        self.root.join("coordinator").join(file)
    }

    /// A file of the witness.
    #[must_use]
    pub fn witness(&self, file: &str) -> PathBuf {
        self.root.join("witness").join(file)
    }

    /// A file of a hospital's node.
    #[must_use]
    pub fn node(&self, hospital: &HospitalId, file: &str) -> PathBuf {
        self.root.join("nodes").join(hospital.as_str()).join(file)
    }

    /// The hospitals' own files, `<id>.csv`.
    #[must_use]
    pub fn sources(&self) -> PathBuf {
        self.root.join("sources")
    }
}

/// Writes a file so that it is there whole or not at all.
///
/// # Errors
/// [`Failure::Output`].
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    put(path, |partial| fs::write(partial, text))
}

/// As [`write()`], unless the file exists.
///
/// # Errors
/// [`Failure::Output`].
pub fn write_missing(path: &Path, text: &str) -> Result<(), Failure> {
    if path.exists() { Ok(()) } else { write(path, text) }
}

/// Lets `fill` write a file under another name, then gives it its own.
///
/// # Errors
/// [`Failure::Output`].
pub fn put(path: &Path, fill: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<(), Failure> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(Failure::output(parent))?;
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    fill(&partial).and_then(|()| fs::rename(&partial, path)).map_err(Failure::output(path))
}

/// A configuration as TOML with a comment above it.
///
/// # Errors
/// [`Failure::Internal`] when the value has no TOML form.
pub fn toml_text(comment: &str, value: &impl serde::Serialize) -> Result<String, Failure> {
    let text = toml::to_string(value)
        .map_err(|error| Failure::Internal(format!("a configuration has no TOML form: {error}")))?;
    Ok(format!("# {comment}\n{text}"))
}
