//! A release request: what a coordinator asks a hospital to add up. Parsed once, at the border.

mod fitting;

use std::collections::BTreeMap;

use model::{Refusal, RefusalCode};

use crate::canonical::Writer;
use crate::domain::{Domain, MAX_CELLS, Outside};
use crate::measure::{Input, MAX_INPUTS, MAX_MEASURES, Measure};
use crate::project::Project;

pub use fitting::Fitting;

/// Version of the request's meaning; a node refuses any other.
pub const REQUEST_VERSION: u32 = 2;
/// Longest canonical SQL of a relation, in bytes.
pub const MAX_SQL_BYTES: usize = 64 * 1024;
/// Most dimensions of one request.
pub const MAX_DIMENSIONS: usize = 8;
/// Most groups that one hospital may release for one request.
pub const MAX_GROUPS: usize = 1 << 20;

/// The name of a step's only dimension.
const STEP_DIMENSION: &str = "sum";

/// Whose cells a question opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Regional sums only.
    Pooled,
    /// Each hospital's own cells, because the question names hospitals.
    PerHospital,
}

impl Scope {
    /// The name used in policies and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pooled => "pooled",
            Self::PerHospital => "per_hospital",
        }
    }
}

/// A well-formed request. Its SQL is still untrusted: the node plans and walks it itself.
///
/// The relation's output columns are, in order: one per dimension, one per input, `person_key`,
/// `stay_key`. Of a step of fitting a model they are, in order: one per factor, one per input, the same keys; its only
/// dimension is the place of a sum.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleaseRequest {
    scope: Scope,
    asker: String,
    relation_sql: String,
    dimensions: Vec<String>,
    domains: Vec<Domain>,
    inputs: Vec<Input>,
    measures: Vec<Measure>,
    supports: Vec<u32>,
    fitting: Option<Fitting>,
    claim: Option<Claim>,
    rho_micro: Option<u64>,
    project: Option<Box<Project>>,
}

/// What a request says of itself: that it is a question of a pack, with these arguments. Nobody
/// believes it; a node makes the question from its own copy of the pack and compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Content hash of the pack.
    pub pack: [u8; 32],
    /// Name of the question in it.
    pub question: String,
    /// Arguments of the question by name.
    pub arguments: BTreeMap<String, String>,
}

/// The parts of a request, before they are checked against each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestParts {
    /// Whose cells are asked for.
    pub scope: Scope,
    /// The user on whose behalf the coordinator asks; for the usage rule and the record.
    pub asker: String,
    /// Canonical SQL of the row-level relation.
    pub relation_sql: String,
    /// Names of the dimensions.
    pub dimensions: Vec<String>,
    /// What each dimension can be; pooled requests only, else empty.
    pub domains: Vec<Domain>,
    /// Inputs of the measures.
    pub inputs: Vec<Input>,
    /// What is added up.
    pub measures: Vec<Measure>,
    /// For each measure, the sets of persons that stand behind it.
    pub supports: Vec<u32>,
}

fn malformed(subject: &str, reason: &str) -> Refusal {
    Refusal::new(RefusalCode::Request, subject, reason, "")
}

fn too_large(subject: &str, reason: impl Into<String>, instead: &str) -> Refusal {
    Refusal::new(RefusalCode::TooLarge, subject, reason, instead)
}

impl TryFrom<RequestParts> for ReleaseRequest {
    type Error = Refusal;

    fn try_from(parts: RequestParts) -> Result<Self, Refusal> {
        let of_models =
            |measure: &Measure| matches!(measure, Measure::Step | Measure::Gradients(..));
        if parts.measures.iter().any(of_models) {
            return Err(malformed("step", "The request says no step whose sums it asks for."));
        }
        Self::checked(parts)
    }
}

fn subject(name: &str, scope: Scope, relation_sql: &str) -> Writer {
    let mut writer = Writer::new(name);
    writer.text(scope.as_str());
    writer.text(relation_sql);
    writer
}

/// The family of requests about this relation, see [`ReleaseRequest::family`].
#[must_use]
pub fn family_of(scope: Scope, relation_sql: &str) -> [u8; 32] {
    subject("consilium/family/v3", scope, relation_sql).hash()
}

impl ReleaseRequest {
    fn checked(parts: RequestParts) -> Result<Self, Refusal> {
        if parts.asker.is_empty() || parts.asker.len() > 64 {
            return Err(malformed("asker", "A request names its asker in 1 to 64 bytes."));
        }
        if parts.relation_sql.len() > MAX_SQL_BYTES {
            let reason = format!("The relation's SQL is longer than {MAX_SQL_BYTES} bytes.");
            return Err(Refusal::new(
                RefusalCode::Bounds,
                "relation",
                reason,
                "Shorten its lists.",
            ));
        }
        if parts.dimensions.len() > MAX_DIMENSIONS {
            let reason = format!("A question has at most {MAX_DIMENSIONS} dimensions.");
            return Err(too_large("GROUP BY", reason, "Group by fewer columns."));
        }
        if parts.inputs.len() > MAX_INPUTS || parts.measures.len() > MAX_MEASURES {
            let reason = format!("A question has at most {MAX_MEASURES} different aggregates.");
            return Err(too_large("SELECT", reason, "Ask in several questions."));
        }
        check_domains(&parts)?;
        for measure in &parts.measures {
            measure.check(&parts.inputs).map_err(|overflow| {
                too_large("aggregate", format!("In this aggregate {overflow}."), "")
            })?;
        }
        Ok(Self {
            scope: parts.scope,
            asker: parts.asker,
            relation_sql: parts.relation_sql,
            dimensions: parts.dimensions,
            domains: parts.domains,
            inputs: parts.inputs,
            measures: parts.measures,
            supports: parts.supports,
            fitting: None,
            claim: None,
            rho_micro: None,
            project: None,
        })
    }
}

/// A step's request, before it is checked.
#[derive(Debug, Clone, PartialEq)]
pub struct StepParts {
    /// Whose sums are asked for.
    pub scope: Scope,
    /// On whose behalf.
    pub asker: String,
    /// Canonical SQL of the row-level relation.
    pub relation_sql: String,
    /// Inputs of the design, the response, the weight and the offset.
    pub inputs: Vec<Input>,
    /// What is added up.
    pub fitting: Fitting,
}

impl TryFrom<StepParts> for ReleaseRequest {
    type Error = Refusal;

    fn try_from(parts: StepParts) -> Result<Self, Refusal> {
        let StepParts { scope, asker, relation_sql, inputs, fitting } = parts;
        fitting.check(inputs.len())?;
        let measure = fitting.measure();
        if scope == Scope::PerHospital && matches!(measure, Measure::Gradients(..)) {
            return Err(malformed("scope", "Trees grow from regional sums only."));
        }
        let places = u32::try_from(fitting.places()).unwrap_or(u32::MAX);
        let request = Self::checked(RequestParts {
            scope,
            asker,
            relation_sql,
            dimensions: vec![STEP_DIMENSION.to_owned()],
            domains: match scope {
                Scope::Pooled => vec![Domain::Numbered(places)],
                Scope::PerHospital => Vec::new(),
            },
            inputs,
            measures: vec![measure],
            supports: vec![fitting.supports()],
        })?;
        Ok(Self { fitting: Some(fitting), ..request })
    }
}

fn check_domains(parts: &RequestParts) -> Result<(), Refusal> {
    let expected = match parts.scope {
        Scope::Pooled => parts.dimensions.len(),
        Scope::PerHospital => 0,
    };
    if parts.domains.len() != expected || parts.supports.len() != parts.measures.len() {
        return Err(malformed("domains", "A pooled request has one code list per dimension."));
    }
    for (name, domain) in parts.dimensions.iter().zip(&parts.domains) {
        domain.check().map_err(|error| malformed(name, &format!("Here {error}.")))?;
    }
    let sizes = parts.domains.iter().map(Domain::size);
    match sizes.clone().try_fold(1usize, usize::checked_mul) {
        Some(cells) if cells <= MAX_CELLS => Ok(()),
        _ => {
            let sizes: Vec<_> = sizes.map(|size| size.to_string()).collect();
            let reason = format!(
                "The code lists have {} cells, more than the {MAX_CELLS} of one pooled question.",
                sizes.join(" x ")
            );
            Err(too_large("GROUP BY", reason, "Group by fewer or coarser columns."))
        }
    }
}

impl ReleaseRequest {
    /// Whose cells are asked for.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// On whose behalf.
    #[must_use]
    pub fn asker(&self) -> &str {
        &self.asker
    }

    /// The relation's SQL, untrusted.
    #[must_use]
    pub fn relation_sql(&self) -> &str {
        &self.relation_sql
    }

    /// The same request with `sid` as the salt of its bucket domains, as nodes demand it. The hash
    /// to which the sid is bound stays the same.
    #[must_use]
    pub fn salted(&self, sid: &[u8; 32]) -> Self {
        let mut salted = self.clone();
        for domain in &mut salted.domains {
            if let Domain::Buckets { salt, .. } = domain {
                *salt = *sid;
            }
        }
        salted
    }

    /// The same request with a claim. What is computed does not depend on it, so the hash does not
    /// either.
    #[must_use]
    pub fn claiming(self, claim: Option<Claim>) -> Self {
        Self { claim, ..self }
    }

    /// Which pack's question it says to be.
    #[must_use]
    pub const fn claim(&self) -> Option<&Claim> {
        self.claim.as_ref()
    }

    /// The same request, as a question of a project. What is computed does not depend on it, so the hash does
    /// not either.
    #[must_use]
    pub fn within(self, project: Option<Project>) -> Self {
        Self { project: project.map(Box::new), ..self }
    }

    /// The project whose question it is.
    #[must_use]
    pub fn project(&self) -> Option<&Project> {
        self.project.as_deref()
    }

    /// The same request, to be answered with noise that costs so many millionths of ρ; without, exactly.
    #[must_use]
    pub fn with_noise(self, rho_micro: Option<u64>) -> Self {
        Self { rho_micro, ..self }
    }

    /// What its noise may cost, in millionths of ρ; `None` asks for exact cells.
    #[must_use]
    pub const fn rho_micro(&self) -> Option<u64> {
        self.rho_micro
    }

    /// The step of fitting a model that it asks for.
    #[must_use]
    pub const fn fitting(&self) -> Option<&Fitting> {
        self.fitting.as_ref()
    }

    /// Leading columns of its relation.
    #[must_use]
    pub fn leading(&self) -> usize {
        self.fitting().map_or(self.dimensions.len(), |fitting| fitting.factors().len())
    }

    /// Whether it counts the codes of one dimension, and asks for nothing else: a discovery, or the
    /// confirmation of a hierarchical list.
    #[must_use]
    pub fn is_listing(&self) -> bool {
        let counts = |domain: &Domain| match domain {
            Domain::Buckets { .. } => true,
            Domain::Codes { outside, .. } => *outside == Outside::AncestorOnly,
            Domain::Numbered(_) => false,
        };
        matches!(self.domains.as_slice(), [domain] if counts(domain)) && self.measures.is_empty()
    }

    /// Names of the dimensions.
    #[must_use]
    pub fn dimensions(&self) -> &[String] {
        &self.dimensions
    }

    /// What each dimension can be; empty unless the request is pooled.
    #[must_use]
    pub fn domains(&self) -> &[Domain] {
        &self.domains
    }

    /// Groups of the domain: the product of the code lists.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.domains.iter().map(Domain::size).product()
    }

    /// For each measure, the sets of persons that stand behind it.
    #[must_use]
    pub fn supports(&self) -> &[u32] {
        &self.supports
    }

    /// SHA-256 of everything that decides the cells; not of who asks.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut writer = self.subject("consilium/request/v2");
        self.groups(&mut writer);
        writer.number(self.inputs.len() as u64);
        for input in &self.inputs {
            writer.text(&format!("{:?} {} {}", input.scale, input.bound, input.money));
        }
        self.measures.iter().for_each(|measure| writer.text(&format!("{measure:?}")));
        self.supports.iter().for_each(|sets| writer.number(u64::from(*sets)));
        // Doubles are written so that they read back as the same bits.
        match &self.fitting {
            Some(Fitting::Step(step)) => writer.text(&format!("{step:?}")),
            Some(Fitting::Growth(growth)) => growth.encode(&mut writer),
            None => {}
        }
        if let Some(rho) = self.rho_micro {
            writer.text("noise");
            writer.number(rho);
        }
        writer.hash()
    }

    /// SHA-256 of what the question is about: its relation, whatever is added up and however the
    /// groups are called. Two rounds of one family must not be over nearly the same hospitals, or
    /// their difference is one hospital's part; so a code list or a name, which a coordinator can
    /// change without changing the sums, does not make another family.
    #[must_use]
    pub fn family(&self) -> [u8; 32] {
        family_of(self.scope, &self.relation_sql)
    }

    /// SHA-256 of what a steward decides on: who asks about which relation in which scope, whether
    /// for codes, sums, the steps of a model or trees, and how many of the relation's columns are
    /// groups and how many are measured. Whatever is added up over them is the same question, or
    /// every step of a model would wait.
    #[must_use]
    pub fn question(&self) -> [u8; 32] {
        let mut writer = self.subject("consilium/question/v1");
        writer.text(&self.asker);
        writer.text(self.purpose());
        writer.number(self.leading() as u64);
        writer.number(self.inputs.len() as u64);
        writer.hash()
    }

    /// What it is for.
    #[must_use]
    pub fn purpose(&self) -> &'static str {
        match &self.fitting {
            Some(Fitting::Step(_)) => "model",
            Some(Fitting::Growth(_)) => "trees",
            None if self.is_listing() => "codes",
            None => "sums",
        }
    }

    fn subject(&self, name: &str) -> Writer {
        subject(name, self.scope, &self.relation_sql)
    }

    fn groups(&self, writer: &mut Writer) {
        writer.number(self.domains.len() as u64);
        self.domains.iter().for_each(|domain| domain.encode(writer));
        writer.number(self.dimensions.len() as u64);
        self.dimensions.iter().for_each(|name| writer.text(name));
    }

    /// Inputs of the measures.
    #[must_use]
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// What is added up.
    #[must_use]
    pub fn measures(&self) -> &[Measure] {
        &self.measures
    }

    /// Cells per group over all measures.
    #[must_use]
    pub fn width(&self) -> usize {
        self.measures.iter().map(|measure| measure.width()).sum()
    }
}
