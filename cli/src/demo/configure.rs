//! Configuration files of nodes, witness, coordinator and client.
//!
//! A new file says port 0; once its process listens, the port that it got is written in, so that
//! a region starts again on the same ports and no port is ever guessed.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use model::HospitalId;
use privacy::Floor;
use serde::Serialize;

use super::REGION;
use super::certificates::SIGNING_KEY;
use super::folder::{Folder, toml_text, write, write_missing};
use super::plan::Plan;
use super::sources::Member;
use crate::client::{ClientConfig, ClientFile, IdentityFile};
use crate::exit::Failure;
use crate::synth::{DRG_SCHEME, all_drg_names};

/// Mappings for which the coordinator ships published code lists; others are discovered.
const PUBLISHED: &[&str] = &["sparcs"];
/// The file of the generator's code lists.
const CODES: &str = "codes.toml";
const ANY_PORT: &str = "127.0.0.1:0";

#[derive(Serialize)]
struct NodeFile<'a> {
    region: &'static str,
    listen: &'static str,
    data_dir: &'static str,
    policy: &'static str,
    hospital: HospitalFile<'a>,
    identity: IdentityFile<'static>,
    signing: SigningFile,
    keys: KeysFile,
    engine: NodeEngine,
}

#[derive(Serialize)]
struct SigningFile {
    key: &'static str,
    roster: &'static str,
    authority: &'static str,
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
    code_lists: Vec<&'static str>,
    identity: IdentityFile<'static>,
    signing: SigningFile,
    witness: AddressFile,
    hospital: Vec<EntryFile<'a>>,
}

#[derive(Serialize)]
struct CodesFile {
    code_list: [ListFile; 1],
}

#[derive(Serialize)]
struct ListFile {
    column: &'static str,
    version: &'static str,
    names: BTreeMap<String, NameFile>,
}

#[derive(Serialize)]
struct NameFile {
    en: String,
    zh: String,
}

#[derive(Serialize)]
struct AddressFile {
    address: String,
}

#[derive(Serialize)]
struct WitnessFile {
    region: &'static str,
    listen: String,
    data_dir: &'static str,
    identity: IdentityFile<'static>,
    signing: SigningFile,
    rules: RulesFile,
}

#[derive(Serialize)]
struct RulesFile {
    minimum_persons: u32,
    minimum_stays: u32,
    minimum_hospitals: u32,
    dominance_e4: u32,
    minimum_quorum: u32,
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
                revocations: "../../revoked.crl.pem",
            },
            signing: SigningFile {
                key: SIGNING_KEY,
                roster: "../../roster.json",
                authority: "../../authority.key.pub",
            },
            keys: KeysFile { hmac: "hmac.key" },
            engine: NodeEngine { threads },
        };
        let text = toml_text("A hospital's node. Paths are relative to this file.", &file)?;
        write_missing(&folder.node(&member.id, "node.toml"), &text)?;
    }
    Ok(())
}

/// Writes `witness.toml` unless it is there; if `anew`, also then, with the port that it has.
///
/// # Errors
/// [`Failure::Output`], [`Failure::Configuration`] when the file that is there cannot be read.
pub fn write_witness(
    folder: &Folder,
    floor: Floor,
    quorum: u32,
    anew: bool,
) -> Result<(), Failure> {
    let path = folder.witness("witness.toml");
    let kept = path.is_file().then(|| witness::Config::load(&path)).transpose();
    let kept = kept.map_err(|error| Failure::Configuration(error.to_string()))?;
    if kept.is_some() && !anew {
        return Ok(());
    }
    let file = WitnessFile {
        region: REGION,
        listen: kept.map_or_else(|| ANY_PORT.to_owned(), |kept| kept.listen),
        data_dir: "data",
        identity: IdentityFile {
            certificate: "witness.pem",
            key: "witness.key",
            authority: "../authority.pem",
            revocations: "../revoked.crl.pem",
        },
        signing: beside_region(),
        rules: RulesFile {
            minimum_persons: floor.persons,
            minimum_stays: floor.stays,
            minimum_hospitals: floor.hospitals,
            dominance_e4: floor.dominance_e4,
            minimum_quorum: quorum,
        },
    };
    let comment = "The second authority's witness. Paths are relative to this file.";
    write(&path, &toml_text(comment, &file)?)
}

/// The signing section of a party whose folder lies in the region's.
const fn beside_region() -> SigningFile {
    SigningFile { key: SIGNING_KEY, roster: "../roster.json", authority: "../authority.key.pub" }
}

/// Writes `coordinator.toml` unless it names these nodes and this witness already.
///
/// # Errors
/// [`Failure::Output`], [`Failure::Configuration`] when the file that is there cannot be read.
pub fn write_coordinator(
    folder: &Folder,
    nodes: &[(HospitalId, SocketAddr)],
    witness: SocketAddr,
    plan: &Plan,
) -> Result<(), Failure> {
    let path = folder.coordinator("coordinator.toml");
    let mut listen = ANY_PORT.to_owned();
    if path.is_file() {
        let kept = coordinator::Config::load(&path)
            .map_err(|error| Failure::Configuration(error.to_string()))?;
        let named = kept.hospitals.iter().map(|entry| (&entry.id, entry.address.clone()));
        let same_witness = kept.witness.address == witness.to_string();
        if same_witness && named.eq(nodes.iter().map(|(id, address)| (id, address.to_string()))) {
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
        code_lists: code_lists(folder, plan)?,
        identity: IdentityFile {
            certificate: "coordinator.pem",
            key: "coordinator.key",
            authority: "../authority.pem",
            revocations: "../revoked.crl.pem",
        },
        signing: beside_region(),
        witness: AddressFile { address: witness.to_string() },
        hospital: entries
            .iter()
            .map(|(id, address)| EntryFile { id, address: address.clone() })
            .collect(),
    };
    write(&path, &toml_text("The coordinator. Paths are relative to this file.", &file)?)
}

/// The code lists that are published for data of this mapping: shipped ones, or those of the
/// generator, which are written here.
fn code_lists(folder: &Folder, plan: &Plan) -> Result<Vec<&'static str>, Failure> {
    if !plan.is_synthetic() {
        return Ok(PUBLISHED.iter().copied().filter(|name| *name == plan.mapping()).collect());
    }
    let subgroups = if let Plan::Synthetic(params) = plan { params.subgroups } else { 1 };
    let names =
        all_drg_names(subgroups).map(|(code, en, zh)| (code, NameFile { en, zh })).collect();
    let (column, version) = ("stay.drg_code", DRG_SCHEME);
    let file = CodesFile { code_list: [ListFile { column, version, names }] };
    let text = toml_text("Groups of the made-up region. They mean nothing more.", &file)?;
    write(&folder.coordinator(CODES), &text)?;
    Ok(vec![CODES])
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
            revocations: "revoked.crl.pem",
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
        assert_eq!(
            node.identity.revocations,
            Some(folder.node(&member.id, "../../revoked.crl.pem"))
        );
        assert_eq!(node.signing.key, folder.node(&member.id, "signing.key"));
        let nodes = [(member.id.clone(), address)];
        let plan = Plan::Source {
            file: "f.csv".into(),
            mapping: "sparcs".to_owned(),
            split_by: "c".to_owned(),
        };
        let second: SocketAddr = "127.0.0.1:4713".parse().unwrap();
        write_coordinator(&folder, &nodes, second, &plan).unwrap();
        let path = folder.coordinator("coordinator.toml");
        settle_port(&path, "127.0.0.1:4712".parse().unwrap()).unwrap();
        let settled = fs::read_to_string(&path).unwrap();
        write_coordinator(&folder, &nodes, second, &plan).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), settled, "nothing has changed");
        write_coordinator(&folder, &nodes, address, &plan).unwrap();
        let kept = coordinator::Config::load(&path).unwrap();
        assert_eq!((kept.listen.as_str(), kept.hospitals.len()), ("127.0.0.1:4712", 1));
        assert_eq!(kept.witness.address, address.to_string());
        let floor = Floor { persons: 11, stays: 12, hospitals: 3, dominance_e4: 5_625 };
        write_witness(&folder, floor, 4, false).unwrap();
        let path = folder.witness("witness.toml");
        settle_port(&path, second).unwrap();
        write_witness(&folder, Floor { stays: 1, ..floor }, 3, false).unwrap();
        let witness = witness::Config::load(&path).unwrap();
        assert_eq!(witness.rules.problems(), [""; 0]);
        let rules = witness.rules;
        assert_eq!((rules.minimum_stays, rules.minimum_quorum), (Some(12), Some(4)));
        assert_eq!(witness.signing.roster, folder.witness("../roster.json"));
        write_witness(&folder, Floor { stays: 1, ..floor }, 3, true).unwrap();
        let witness = witness::Config::load(&path).unwrap();
        assert_eq!((witness.rules.minimum_stays, witness.listen), (Some(1), second.to_string()));
        write_client(&folder, address).unwrap();
        let client: ClientConfig = service::config::load(&folder.client()).unwrap();
        assert_eq!((client.region.as_str(), client.coordinator.as_str()), {
            (REGION, "127.0.0.1:4711")
        });
    }
}
