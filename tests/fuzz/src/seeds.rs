//! Where corpora begin: real samples of everything that the targets read.

mod files;
mod messages;
mod texts;

use std::path::Path;

/// One input of a target.
#[derive(Debug)]
pub struct Seed {
    /// The target.
    pub target: &'static str,
    /// Names its file.
    pub name: String,
    /// The input.
    pub bytes: Vec<u8>,
}

impl Seed {
    /// An input whose first byte says what the others are.
    fn of(target: &'static str, kind: u8, name: &str, bytes: &[u8]) -> Self {
        let name = format!("{}-{name}", char::from(kind));
        Self { target, name, bytes: [&[kind], bytes].concat() }
    }
}

/// Samples for all targets.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    [messages::seeds(), texts::seeds(), files::seeds()].into_iter().flatten().collect()
}

/// Questions, by name: those of `crates/query/testdata/policy`, allowed and refused.
fn questions() -> Vec<(String, String)> {
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/query/testdata/policy");
    let mut found = Vec::new();
    for folder in ["allow", "refuse"] {
        for entry in std::fs::read_dir(policy.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            // The first line of a refused question is the reason, in a comment.
            let is_sql = |line: &&str| !line.starts_with("--");
            let sql: Vec<_> = text.lines().filter(is_sql).collect();
            found.push((name, sql.join("\n")));
        }
    }
    found.sort();
    found
}
