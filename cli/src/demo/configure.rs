//! Configuration files of nodes, coordinator and client.
//!
//! A new file says port 0; once its process listens, the port that it got is written in, so that
//! a region starts again on the same ports and no port is ever guessed.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use model::HospitalId;
use serde::Serialize;

use super::REGION;
use super::folder::{Folder, toml_text, write, write_missing};
use super::sources::Member;
use crate::client::{ClientConfig, ClientFile, IdentityFile};
use crate::exit::Failure;

const ANY_PORT: &str = "127.0.0.1:0";

#[derive(Serialize)]
struct NodeFile<'a> {
    region: &'static str,
    listen: &'static str,
    data_dir: &'static str,
    policy: &'static str,
    hospital: HospitalFile<'a>,
    identity: IdentityFile<'static>,
    keys: KeysFile,
    engine: NodeEngine,
}

#[derive(Serialize)]
struct HospitalFile<'a> {
    id: &'a str,
    tier: &'a str,
    county: &'a str,
}

#[derive(Serialize)]
struct KeysFile {
    hmac: &'static str,
}

#[derive(Serialize)]
struct NodeEngine {
    threads: usize,
}

#[derive(Serialize)]
struct CoordinatorFile<'a> {
    region: &'static str,
    listen: String,
    policy: &'static str,
    identity: IdentityFile<'static>,
    hospital: Vec<EntryFile<'a>>,
}

#[derive(Serialize)]
struct EntryFile<'a> {
    id: &'a str,
    address: String,
}

/// Processors of this computer.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Writes the `node.toml` files that are missing.
///
/// # Errors
/// [`Failure::Output`].
pub fn write_nodes(folder: &Folder, members: &[Member]) -> Result<(), Failure> {
    // All nodes share this computer; together they use each processor once.
    let threads = (cores() / members.len().max(1)).max(1);
    for member in members {
        let file = NodeFile {
            region: REGION,
            listen: ANY_PORT,
            data_dir: "data",
            policy: "policy.toml",
            hospital: HospitalFile {
                id: member.id.as_str(),
                tier: &member.tier,
                county: &member.county,
            },
            identity: IdentityFile {
                certificate: "node.pem",
                key: "node.key",
                authority: "../../authority.pem",
            },
            keys: KeysFile { hmac: "hmac.key" },
            engine: NodeEngine { threads },
        };
        let text = toml_text("A hospital's node. Paths are relative to this file.", &file)?;
        write_missing(&folder.node(&member.id, "node.toml"), &text)?;
    }
    Ok(())
}

/// Writes `coordinator.toml` unless it names these nodes already.
///
/// # Errors
/// [`Failure::Output`], [`Failure::Configuration`] when the file that is there cannot be read.
pub fn write_coordinator(
    folder: &Folder,
    nodes: &[(HospitalId, SocketAddr)],
) -> Result<(), Failure> {
    let path = folder.coordinator("coordinator.toml");
    let mut listen = ANY_PORT.to_owned();
    if path.is_file() {
        let kept = coordinator::Config::load(&path)
            .map_err(|error| Failure::Configuration(error.to_string()))?;
        let named = kept.hospitals.iter().map(|entry| (&entry.id, entry.address.clone()));
        if named.eq(nodes.iter().map(|(id, address)| (id, address.to_string()))) {
            return Ok(());
        }
        listen = kept.listen;
    }
    let entry = |(id, address): &(HospitalId, SocketAddr)| (id.to_string(), address.to_string());
    let entries: Vec<_> = nodes.iter().map(entry).collect();
    let file = CoordinatorFile {
        region: REGION,
        listen,
        policy: "policy.toml",
        identity: IdentityFile {
            certificate: "coordinator.pem",
            key: "coordinator.key",
            authority: "../authority.pem",
        },
        hospital: entries
            .iter()
            .map(|(id, address)| EntryFile { id, address: address.clone() })
            .collect(),
    };
    write(&path, &toml_text("The coordinator. Paths are relative to this file.", &file)?)
}

/// Writes `client.toml` unless it names this coordinator already.
///
/// # Errors
/// [`Failure::Output`].
pub fn write_client(folder: &Folder, coordinator: SocketAddr) -> Result<(), Failure> {
    let path = folder.client();
    let kept = service::config::load::<ClientConfig>(&path);
    if kept.is_ok_and(|kept| kept.coordinator == coordinator.to_string()) {
        return Ok(());
    }
    let file = ClientFile {
        region: REGION,
        coordinator: coordinator.to_string(),
        identity: IdentityFile {
            certificate: "client/analyst.pem",
            key: "client/analyst.key",
            authority: "authority.pem",
        },
    };
    write(&path, &toml_text("An analyst's way into the region.", &file)?)
}

/// Writes the port that a process got into its file, if the file left it open.
///
/// # Errors
/// [`Failure::Output`].
pub fn settle_port(path: &Path, address: SocketAddr) -> Result<(), Failure> {
    let text = fs::read_to_string(path).map_err(Failure::output(path))?;
    let open = format!("listen = \"{ANY_PORT}\"");
    if !text.contains(&open) {
        return Ok(());
    }
    write(path, &text.replacen(&open, &format!("listen = \"{address}\""), 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_what_node_coordinator_and_client_read() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path()).unwrap();
        let member = Member {
            id: "h-001".parse().unwrap(),
            tier: "tertiary".to_owned(),
            county: "St. \"L\"".to_owned(),
            source: "h.csv".into(),
        };
        write_nodes(&folder, std::slice::from_ref(&member)).unwrap();
        let path = folder.node(&member.id, "node.toml");
        let address: SocketAddr = "127.0.0.1:4711".parse().unwrap();
        settle_port(&path, address).unwrap();
        let node = node::Config::load(&path).unwrap();
        assert_eq!((node.listen.as_str(), node.hospital.county.as_str()), {
            ("127.0.0.1:4711", "St. \"L\"")
        });
        let nodes = [(member.id.clone(), address)];
        write_coordinator(&folder, &nodes).unwrap();
        let path = folder.coordinator("coordinator.toml");
        settle_port(&path, "127.0.0.1:4712".parse().unwrap()).unwrap();
        write_coordinator(&folder, &nodes).unwrap();
        let kept = coordinator::Config::load(&path).unwrap();
        assert_eq!((kept.listen.as_str(), kept.hospitals.len()), ("127.0.0.1:4712", 1));
        write_client(&folder, address).unwrap();
        let client: ClientConfig = service::config::load(&folder.client()).unwrap();
        assert_eq!((client.region.as_str(), client.coordinator.as_str()), {
            (REGION, "127.0.0.1:4711")
        });
    }
}
