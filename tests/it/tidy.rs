//! The rules of the repository itself: the crate graph, who owns what, and the shape of files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Our crates and what of ours each may depend on (DESIGN.md, section 3). Roles never see each
/// other; `service` and `certs` may use `model` for the names of peers.
const GRAPH: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("privacy", &["model"]),
    ("proto", &["model", "privacy"]),
    ("learn", &["model", "privacy"]),
    ("query", &["model", "privacy", "learn"]),
    ("record", &["model", "privacy"]),
    ("service", &["model"]),
    ("certs", &["model", "privacy"]),
    ("node", &["model", "privacy", "query", "record", "service", "proto", "certs"]),
    ("coordinator", &["model", "privacy", "learn", "query", "record", "service", "proto"]),
    ("witness", &["model", "privacy", "proto", "record", "service"]),
    ("cli", ALL),
    ("tests", ALL),
    ("fuzz", &["model", "privacy", "proto", "learn", "query", "record", "node"]),
];
const ALL: &[&str] = &[
    "model",
    "privacy",
    "proto",
    "learn",
    "query",
    "record",
    "service",
    "certs",
    "node",
    "coordinator",
    "witness",
    "cli",
];
/// What of ours a crate may use in its own tests only.
const IN_TESTS: &[(&str, &str)] = &[("service", "certs"), ("tests", "fuzz")];
/// Heavy dependencies and their one owner.
const OWNERS: &[(&str, &str)] = &[
    ("datafusion", "query"),
    ("rusqlite", "record"),
    ("tlog_tiles", "record"),
    ("signed_note", "record"),
    ("rustls", "service"),
    ("tokio-rustls", "service"),
    ("webpki", "service"),
    ("rcgen", "certs"),
    ("prost", "proto"),
    ("tonic-prost", "proto"),
    ("tonic-prost-build", "proto"),
];
/// Packages of which the lock file may hold one version.
const ONE_VERSION: &[&str] = &["arrow", "parquet", "datafusion", "tonic", "prost", "rustls"];
/// Packages that the lock file may not hold.
const FORBIDDEN: &[&str] =
    &["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys", "libssh2-sys"];
const BANNED_MODULES: &[&str] =
    &["mod", "utils", "util", "helpers", "helper", "common", "manager", "handler", "processor"];
const MAX_LINES: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn manifests() -> BTreeMap<String, toml::Table> {
    let workspace = read_toml(&root().join("Cargo.toml"));
    let members = workspace["workspace"]["members"].as_array().unwrap().clone();
    let each = members.iter().map(|member| {
        let table = read_toml(&root().join(member.as_str().unwrap()).join("Cargo.toml"));
        (table["package"]["name"].as_str().unwrap().to_owned(), table)
    });
    each.collect()
}

fn read_toml(path: &Path) -> toml::Table {
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

fn dependencies(manifest: &toml::Table, sections: &[&str]) -> BTreeSet<String> {
    let tables = sections.iter().filter_map(|name| manifest.get(*name)?.as_table());
    tables.flat_map(|table| table.keys().cloned()).collect()
}

/// Files that belong to the repository: everything but build output and what `.gitignore` names
/// at the top.
fn files() -> Vec<PathBuf> {
    let ignored = std::fs::read_to_string(root().join(".gitignore")).unwrap_or_default();
    let ignored: Vec<_> = ignored.lines().filter_map(|line| line.strip_prefix('/')).collect();
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let top = folder == root() && ignored.contains(&name.as_str());
            if top || name == ".git" || name == "target" {
                continue;
            }
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    assert!(found.len() > 100, "the repository was not found");
    found
}

#[test]
fn arrows_point_down() {
    let manifests = manifests();
    let named: BTreeSet<_> = GRAPH.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(named, manifests.keys().cloned().collect(), "a new crate needs a reason");
    let ours = |set: BTreeSet<String>| set.into_iter().filter(|name| named.contains(name));
    for (name, allowed) in GRAPH {
        let manifest = &manifests[*name];
        for used in ours(dependencies(manifest, &["dependencies", "build-dependencies"])) {
            assert!(allowed.contains(&used.as_str()), "{name} may not depend on {used}");
        }
        for used in ours(dependencies(manifest, &["dev-dependencies"])) {
            let fine = allowed.contains(&used.as_str()) || IN_TESTS.contains(&(name, &used));
            assert!(fine, "{name}'s tests may not depend on {used}");
        }
    }
}

#[test]
fn heavy_dependencies_have_one_owner() {
    const SECTIONS: [&str; 3] = ["dependencies", "build-dependencies", "dev-dependencies"];
    for (name, manifest) in manifests() {
        let used = dependencies(&manifest, &SECTIONS);
        for (dependency, owner) in OWNERS {
            assert!(
                name == *owner || !used.contains(*dependency),
                "{name} may not depend on {dependency}: it belongs to {owner}"
            );
        }
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        assert_eq!(lints, Some(&toml::Value::Boolean(true)), "{name} has the workspace's lints");
        for section in SECTIONS {
            for (dependency, value) in
                manifest.get(section).and_then(|t| t.as_table()).into_iter().flatten()
            {
                let decided = value.get("workspace") == Some(&toml::Value::Boolean(true));
                assert!(decided, "{name}: {dependency} is decided in the workspace");
            }
        }
    }
}

#[test]
fn the_lock_file_holds_one_of_each_and_no_foreign_tls() {
    let lock = read_toml(&root().join("Cargo.lock"));
    let packages = lock["package"].as_array().unwrap();
    let count = |name: &str| packages.iter().filter(|p| p["name"].as_str() == Some(name)).count();
    for name in FORBIDDEN {
        assert_eq!(count(name), 0, "{name} is in Cargo.lock");
    }
    for name in ONE_VERSION {
        assert_eq!(count(name), 1, "versions of {name} in Cargo.lock");
    }
}

#[test]
fn generated_types_are_made_in_proto_only() {
    for path in files() {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let made = path.extension().is_some_and(|e| e == "rs")
            && text.contains(concat!("include", "_proto!"));
        assert!(!made || path.starts_with(root().join("proto")), "{}", path.display());
    }
}

#[test]
fn files_are_small_and_say_why_they_exist() {
    for path in files().iter().filter(|path| path.extension().is_some_and(|e| e == "rs")) {
        let text = std::fs::read_to_string(path).unwrap();
        let shown = path.strip_prefix(root()).unwrap().display();
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{shown} has {lines} lines");
        let stem = path.file_stem().unwrap().to_string_lossy();
        assert!(!BANNED_MODULES.contains(&stem.as_ref()), "{shown} has a name that says nothing");
        // Unit tests in a file of their own are described by the module that they test.
        let is_tests = stem == "tests" || stem.ends_with("_tests");
        let documented = text.starts_with("//!");
        assert!(documented || is_tests || stem == "build", "{shown} does not start with //!");
    }
}

#[test]
fn no_key_and_no_machine_is_in_the_repository() {
    let homes = ["home", "Users", "root", "work"].map(|name| format!("/{name}/"));
    let secret = concat!("-----BEGIN ", "PRIVATE KEY");
    for path in files() {
        let shown = path.strip_prefix(root()).unwrap().display();
        let extension = path.extension().map(|e| e.to_string_lossy().into_owned());
        let is_key = extension.is_some_and(|e| ["pem", "key", "p12", "pfx", "crl"].contains(&&*e));
        assert!(!is_key, "{shown} looks like a key or certificate");
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        assert!(!text.contains(secret), "{shown} holds a private key");
        for home in &homes {
            let mut found = text.match_indices(home.as_str()).filter(|(at, _)| {
                // A path, not the middle of a URL or of a relative path.
                !text[..*at].ends_with(|c: char| c.is_alphanumeric() || "./_-".contains(c))
            });
            assert!(found.next().is_none(), "{shown} names a machine's folder {home}");
        }
    }
}
