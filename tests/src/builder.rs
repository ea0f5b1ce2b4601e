//! What a region shall be, and its start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::future::try_join_all;
use model::Role;
use privacy::Policy;
use service::Clock;
use tokio::sync::Semaphore;
use witness::RulesConfig;

use crate::party::Party;
use crate::pki::{Pki, peer};
use crate::region::{Region, USER};
use crate::site::{HospitalSource, Site};

/// How long a question may take: tests compare answers, on whatever machine.
const PATIENCE: Duration = Duration::from_secs(110);
/// Ingests at the same time.
const INGESTS: usize = 4;

/// What a region shall be.
#[derive(Debug)]
pub struct RegionBuilder {
    hospitals: Vec<HospitalSource>,
    policy: Policy,
    policies: BTreeMap<String, Policy>,
    rules: Option<RulesConfig>,
    proxied: bool,
    nodes_exe: Option<PathBuf>,
    coordinator_exe: Option<PathBuf>,
    coordinator_text: String,
    deadline: Option<Duration>,
    witness_exe: Option<PathBuf>,
}

impl Default for RegionBuilder {
    fn default() -> Self {
        Self {
            hospitals: Vec::new(),
            policy: Policy::answering(),
            policies: BTreeMap::new(),
            rules: None,
            proxied: false,
            nodes_exe: None,
            coordinator_exe: None,
            coordinator_text: String::new(),
            deadline: None,
            witness_exe: None,
        }
    }
}

impl RegionBuilder {
    /// Adds hospitals.
    #[must_use]
    pub fn hospitals(mut self, hospitals: impl IntoIterator<Item = HospitalSource>) -> Self {
        self.hospitals.extend(hospitals);
        self
    }

    /// The policy of every hospital and of the coordinator's early feedback; else the default rules with
    /// nobody who decides on each question.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The policy of one hospital.
    #[must_use]
    pub fn policy_of(mut self, hospital: &str, policy: Policy) -> Self {
        self.policies.insert(hospital.to_owned(), policy);
        self
    }

    /// The witness's own rules; else what the policy of [`RegionBuilder::policy`] demands, and a
    /// quorum of three.
    #[must_use]
    pub const fn rules(mut self, rules: RulesConfig) -> Self {
        self.rules = Some(rules);
        self
    }

    /// Puts a [`crate::Proxy`] before every node and before the witness.
    #[must_use]
    pub const fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// Runs every node as a process of its own.
    #[must_use]
    pub fn node_processes(mut self, exe: impl Into<PathBuf>) -> Self {
        self.nodes_exe = Some(exe.into());
        self
    }

    /// Runs the coordinator as a process of its own.
    #[must_use]
    pub fn coordinator_process(mut self, exe: impl Into<PathBuf>) -> Self {
        self.coordinator_exe = Some(exe.into());
        self
    }

    /// Adds tables to the coordinator's configuration, as TOML.
    #[must_use]
    pub fn coordinator_config(mut self, text: &str) -> Self {
        self.coordinator_text.push_str(text);
        self
    }

    /// Time of a question that asks for none.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Runs the witness as a process of its own.
    #[must_use]
    pub fn witness_process(mut self, exe: impl Into<PathBuf>) -> Self {
        self.witness_exe = Some(exe.into());
        self
    }

    /// Makes keys, certificates and files, ingests, starts everything, and waits until the coordinator
    /// has heard of every hospital.
    ///
    /// # Errors
    /// When any of it fails.
    pub async fn start(self) -> anyhow::Result<Region> {
        let root = tempfile::tempdir()?;
        let pki = Arc::new(Pki::create(&root.path().join("authority"))?);
        pki.enlist(self.hospitals.iter().map(|hospital| hospital.id.as_str()))?;
        let places = Arc::new(Semaphore::new(INGESTS));
        let sites = self.hospitals.iter().map(|hospital| {
            let (hospital, pki, places) = (hospital.clone(), Arc::clone(&pki), Arc::clone(&places));
            let policy = self.policies.get(&hospital.id).unwrap_or(&self.policy).clone();
            let (root, exe) = (root.path().to_owned(), self.nodes_exe.clone());
            async move {
                let _place = places.acquire().await?;
                let making = move || {
                    let site = Site::prepare(&root, &pki, &hospital, &policy, exe)?;
                    site.fill(&hospital)?;
                    anyhow::Ok(site)
                };
                let site = tokio::task::spawn_blocking(making);
                let site = site.await??;
                site.start().await.with_context(|| format!("node {}", site.id()))?;
                if self.proxied {
                    site.add_proxy().await?;
                }
                anyhow::Ok(Arc::new(site))
            }
        });
        let sites = try_join_all(sites).await?;
        let witness = self.start_witness(root.path(), &pki).await?;
        let coordinator = self.start_coordinator(root.path(), &pki, &witness, &sites).await?;
        let user =
            pki.issue(&root.path().join("users"), USER, &peer(Role::User, USER), Pki::validity())?;
        let to = peer(Role::Coordinator, "main");
        let line = Region::line(&user, Clock::system(), to, coordinator.address())?;
        let region = Region { sites, coordinator, witness, user, line, pki, root };
        region.hospitals().await.context("the coordinator does not answer")?;
        Ok(region)
    }

    async fn start_witness(&self, root: &Path, pki: &Pki) -> anyhow::Result<Party> {
        let rules = self.rules.unwrap_or_else(|| rules_of(&self.policy));
        let mut text = "[rules]\n".to_owned();
        for (name, value) in [
            ("minimum_persons", rules.minimum_persons),
            ("minimum_stays", rules.minimum_stays),
            ("minimum_hospitals", rules.minimum_hospitals),
            ("dominance_e4", rules.dominance_e4),
            ("minimum_quorum", rules.minimum_quorum),
        ] {
            text.extend(value.map(|value| format!("{name} = {value}\n")));
        }
        let (who, folder) = ((Role::Witness, "main"), root.join("witness"));
        let witness = Party::prepare(pki, who, folder, self.witness_exe.clone(), ("", &text))?;
        witness.start(None).await.context("the witness")?;
        if self.proxied {
            witness.add_proxy().await?;
        }
        Ok(witness)
    }

    async fn start_coordinator(
        &self,
        root: &Path,
        pki: &Pki,
        witness: &Party,
        sites: &[Arc<Site>],
    ) -> anyhow::Result<Party> {
        let mut text = format!("[witness]\naddress = \"{}\"\n", witness.public_address());
        text.push_str(&self.coordinator_text);
        for site in sites {
            let (id, address) = (site.id(), site.public_address());
            text.push_str(&format!("[[hospital]]\nid = \"{id}\"\naddress = \"{address}\"\n"));
        }
        let (who, folder) = ((Role::Coordinator, "main"), root.join("coordinator"));
        // As the demonstration does: what is published need not be discovered.
        let published = self.hospitals.iter().any(|hospital| hospital.mapping == "sparcs");
        let lists = if published { "code_lists = [\"sparcs\", \"apr-drg\"]\n" } else { "" };
        let deadline = self.deadline.unwrap_or(PATIENCE).as_millis();
        let head = format!("policy = \"policy.toml\"\ndeadline_ms = {deadline}\n{lists}");
        let config = (head.as_str(), text.as_str());
        let exe = self.coordinator_exe.clone();
        let coordinator = Party::prepare(pki, who, folder, exe, config)?;
        let policy = coordinator.folder().join("policy.toml");
        std::fs::write(policy, toml::to_string(&self.policy)?)?;
        coordinator.start(None).await.context("the coordinator")?;
        Ok(coordinator)
    }
}

/// The rules of a witness that demands what a policy demands.
fn rules_of(policy: &Policy) -> RulesConfig {
    RulesConfig {
        minimum_persons: policy.minimum.persons,
        minimum_stays: policy.minimum.stays,
        minimum_hospitals: Some(policy.pooled.hospitals),
        dominance_e4: Some(policy.pooled.dominance_e4),
        minimum_quorum: Some(3),
    }
}
