//! A hospital's policy: what its node will do, owned by the hospital and never by the asker.
//!
//! Rules (DESIGN, section 6): persons and stays per cell ≥ 11 unless the hospital says otherwise;
//! selectivity: a filtered set of fewer than 20 persons contributes nothing and says nothing;
//! dominance: of a sum of money two persons have at most 85 %, and the rest at least a tenth of the largest;
//! granularity: months, five-year ages, bounded literals; usage: questions a day. A minimum that
//! is not set closes the node; nothing is ever "off when unset".

use serde::{Deserialize, Serialize};

use crate::dominance::Dominance;
use crate::growth::MAX_TREES;
use crate::noise::Noise;
use crate::request::Scope;
use crate::step::MAX_COLUMNS;

/// The default minimum of persons and of stays per cell.
pub const DEFAULT_MINIMUM: u32 = 11;
/// The default floor of persons in a filtered set.
pub const DEFAULT_SELECTIVITY: u32 = 20;
/// The share, in 1/10,000, at which the rule of dominance is switched off.
pub const DOMINANCE_OFF_E4: u32 = 10_000;
/// Largest minimum a policy may ask for; it bounds the node's memory per group.
pub const LARGEST_MINIMUM: u32 = 1_000;

/// The policy file. Sections that are absent take the safe default; minima have none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Smallest cell that may be released.
    #[serde(default)]
    pub minimum: Minimum,
    /// Smallest filtered set that may contribute.
    #[serde(default)]
    pub selectivity: Selectivity,
    /// What sums of money must keep to.
    #[serde(default)]
    pub dominance: Dominance,
    /// Which scopes are answered.
    #[serde(default)]
    pub scopes: Scopes,
    /// What masked regional sums must keep to.
    #[serde(default)]
    pub pooled: Pooled,
    /// Which questions are answered at all.
    #[serde(default)]
    pub questions: Questions,
    /// Which columns may be used, and how.
    #[serde(default)]
    pub columns: Columns,
    /// How finely conditions may cut.
    #[serde(default)]
    pub granularity: Granularity,
    /// How long conditions may be.
    #[serde(default)]
    pub literals: Literals,
    /// Which models are fitted.
    #[serde(default)]
    pub models: Models,
    /// How often the hospital may be asked.
    #[serde(default)]
    pub usage: Usage,
    /// What noisy answers may cost; without this section there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<Noise>,
}

/// Minimum persons and stays per cell. Unset means closed: the node releases nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Minimum {
    /// Distinct persons per released cell.
    pub persons: Option<u32>,
    /// Stays per released cell.
    pub stays: Option<u32>,
}

/// The selectivity floor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Selectivity {
    /// Distinct persons that a filtered or joined set must hold.
    pub persons: u32,
}

impl Default for Selectivity {
    fn default() -> Self {
        Self { persons: DEFAULT_SELECTIVITY }
    }
}

/// The scopes that the hospital answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scopes {
    /// Regional sums.
    pub pooled: bool,
    /// This hospital's own cells.
    pub per_hospital: bool,
}

impl Default for Scopes {
    fn default() -> Self {
        Self { pooled: true, per_hospital: true }
    }
}

/// Which questions are answered, before any other rule is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Questions {
    /// Everything that the other rules admit, approved packs only, or what the steward approves too.
    pub allow: Allow,
    /// Content hashes of the approved packs, in hex, as `consilium pack list` prints them; or
    /// [`SHIPPED`], those that came with the hospital's own program, except for questions whose parameters
    /// say where to cut: their pack has to be named by its hash. None in a section that does not say.
    #[serde(default = "Vec::new")]
    pub packs: Vec<String>,
}

/// Stands for all packs that came with the node's program.
pub const SHIPPED: &str = "shipped";

impl Default for Questions {
    fn default() -> Self {
        Self { allow: Allow::default(), packs: vec![SHIPPED.to_owned()] }
    }
}

/// Which questions a hospital answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allow {
    /// Everything that the other rules of the policy admit. Exact answers are equations: who may ask as
    /// many as there are patients can solve them.
    Any,
    /// Questions of approved packs only.
    Packs,
    /// Questions of approved packs, and those that the steward approves one by one; others wait.
    #[default]
    Ask,
}

/// Rules of masked regional sums. What is opened is the regional sum only, so a hospital may
/// contribute cells below its own minimum; that is what makes rare groups visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pooled {
    /// Local cells of fewer persons or stays are left out of the sum.
    pub local_minimum: u32,
    /// Hospitals that must contribute to a group.
    pub hospitals: u32,
    /// Most that Σx² / (Σx)² over hospitals may be in a sum of money, in 1/10,000: 5625 means that
    /// no hospital has more than about 75 %. 10,000 switches the rule off.
    pub dominance_e4: u32,
}

impl Default for Pooled {
    fn default() -> Self {
        Self { local_minimum: 1, hospitals: 3, dominance_e4: 5_625 }
    }
}

/// Column lists: `"*"` is everything that the data model allows, `"stay.sex"` one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Columns {
    /// May be grouped by.
    pub groupable: Vec<String>,
    /// May stand in a condition.
    pub filterable: Vec<String>,
    /// May be added up.
    pub measurable: Vec<String>,
    /// May not be used at all, whatever the lists above say.
    pub denied: Vec<String>,
}

impl Default for Columns {
    fn default() -> Self {
        let all = || vec!["*".to_owned()];
        Self { groupable: all(), filterable: all(), measurable: all(), denied: Vec::new() }
    }
}

/// The finest calendar unit of a condition or a dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CalendarUnit {
    /// Months and coarser.
    Month,
    /// Quarters and coarser.
    Quarter,
    /// Years only.
    Year,
}

impl CalendarUnit {
    /// The unit as SQL's `date_trunc` and `date_part` name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }
}

/// How finely conditions may cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Granularity {
    /// Finest calendar unit.
    pub time: CalendarUnit,
    /// Ages in conditions are multiples of this many years; no cut above 90.
    pub age_years: u32,
    /// Amounts in conditions are multiples of this many units of currency.
    pub money: u32,
}

impl Default for Granularity {
    fn default() -> Self {
        Self { time: CalendarUnit::Month, age_years: 5, money: 100 }
    }
}

/// How long conditions may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Literals {
    /// Characters of one text literal.
    pub max_text_chars: usize,
    /// Literals of one question.
    pub max_count: usize,
    /// Depth of one expression.
    pub max_depth: usize,
}

impl Default for Literals {
    fn default() -> Self {
        Self { max_text_chars: 80, max_count: 500, max_depth: 32 }
    }
}

/// Which models the hospital takes part in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Models {
    /// Whether in any.
    pub fit: bool,
    /// Most parameters of one.
    pub parameters: u32,
    /// Most boosted trees of one; 0 for none at all.
    pub trees: u32,
}

impl Default for Models {
    fn default() -> Self {
        Self { fit: true, parameters: 128, trees: 400 }
    }
}

/// How often the hospital may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Usage {
    /// Requests of one user in one UTC day.
    pub requests_per_day: u64,
}

impl Default for Usage {
    fn default() -> Self {
        Self { requests_per_day: 2_000 }
    }
}

/// What a column would be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// As a dimension.
    Group,
    /// In a condition.
    Filter,
    /// As an input of a measure.
    Measure,
}

impl Default for Policy {
    /// The policy that `consilium-node policy --write` gives a new hospital.
    fn default() -> Self {
        Self {
            minimum: Minimum { persons: Some(DEFAULT_MINIMUM), stays: Some(DEFAULT_MINIMUM) },
            selectivity: Selectivity::default(),
            dominance: Dominance::default(),
            scopes: Scopes::default(),
            pooled: Pooled::default(),
            questions: Questions::default(),
            columns: Columns::default(),
            granularity: Granularity::default(),
            literals: Literals::default(),
            models: Models::default(),
            usage: Usage::default(),
            noise: None,
        }
    }
}

impl Policy {
    /// Whether this hospital answers questions of `scope`.
    #[must_use]
    pub const fn allows_scope(&self, scope: Scope) -> bool {
        match scope {
            Scope::Pooled => self.scopes.pooled,
            Scope::PerHospital => self.scopes.per_hospital,
        }
    }

    /// The default rules with nobody who decides on each question: what those rules are tested and
    /// measured with.
    #[must_use]
    pub fn answering() -> Self {
        let questions = Questions { allow: Allow::Any, ..Questions::default() };
        Self { questions, ..Self::default() }
    }

    /// Whether a pack that the hospital's own program came with, and whose content hash this is, is
    /// approved.
    #[must_use]
    pub fn approves(&self, pack: &[u8; 32]) -> bool {
        self.questions.packs.iter().any(|entry| entry == SHIPPED) || self.names(pack)
    }

    /// Whether the pack with this content hash is approved by its hash, and not as one of those that were shipped.
    #[must_use]
    pub fn names(&self, pack: &[u8; 32]) -> bool {
        let hash = crate::sign::hex(pack);
        self.questions.packs.iter().any(|entry| entry.eq_ignore_ascii_case(&hash))
    }

    /// Whether `table.column` may be used so; the data model's own rules come on top.
    #[must_use]
    pub fn allows_column(&self, table: &str, column: &str, usage: Use) -> bool {
        let list = match usage {
            Use::Group => &self.columns.groupable,
            Use::Filter => &self.columns.filterable,
            Use::Measure => &self.columns.measurable,
        };
        let names = |entry: &String| {
            entry.split_once('.').is_some_and(|(t, c)| t == table && (c == "*" || c == column))
        };
        list.iter().any(|entry| entry == "*" || names(entry))
            && !self.columns.denied.iter().any(names)
    }

    /// What is wrong with this policy, for people; empty when nothing is.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut minimum = |name: &str, value: Option<u32>| match value {
            None => problems.push(format!(
                "{name} is not set, so the node is closed and releases nothing; set it to \
                 {DEFAULT_MINIMUM} or more"
            )),
            Some(value) if value == 0 || value > LARGEST_MINIMUM => {
                problems.push(format!("{name} = {value} is outside 1..={LARGEST_MINIMUM}"));
            }
            Some(_) => {}
        };
        minimum("minimum.persons", self.minimum.persons);
        minimum("minimum.stays", self.minimum.stays);
        if self.selectivity.persons == 0 || self.selectivity.persons > LARGEST_MINIMUM {
            problems.push(format!("selectivity.persons is outside 1..={LARGEST_MINIMUM}"));
        }
        problems.extend(self.dominance.problems());
        problems.extend(self.noise.iter().flat_map(Noise::problems));
        if self.pooled.local_minimum == 0 || self.pooled.local_minimum > LARGEST_MINIMUM {
            problems.push(format!("pooled.local_minimum is outside 1..={LARGEST_MINIMUM}"));
        }
        if self.pooled.hospitals == 0 || self.pooled.hospitals > LARGEST_MINIMUM {
            problems.push(format!("pooled.hospitals is outside 1..={LARGEST_MINIMUM}"));
        }
        if self.pooled.dominance_e4 == 0 || self.pooled.dominance_e4 > DOMINANCE_OFF_E4 {
            problems.push(format!("pooled.dominance_e4 is outside 1..={DOMINANCE_OFF_E4}"));
        }
        if self.granularity.age_years == 0 || self.granularity.money == 0 {
            problems.push("granularity.age_years and granularity.money are at least 1".to_owned());
        }
        if !(1..=MAX_COLUMNS).contains(&(self.models.parameters as usize)) {
            problems.push(format!("models.parameters is outside 1..={MAX_COLUMNS}"));
        }
        if self.models.trees as usize > MAX_TREES {
            problems.push(format!("models.trees is outside 0..={MAX_TREES}"));
        }
        let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let is_no_hash = |text: &&String| *text != SHIPPED && !is_hash(text);
        for entry in self.questions.packs.iter().filter(is_no_hash) {
            problems.push(format!(
                "questions.packs: \"{entry}\" is neither \"{SHIPPED}\" nor a content hash of 64 hex \
                 digits; `consilium pack list` prints them"
            ));
        }
        if self.questions.allow == Allow::Packs && self.questions.packs.is_empty() {
            problems.push(
                "questions.allow = \"packs\", but questions.packs approves none, so the node answers \
                 nothing"
                    .to_owned(),
            );
        }
        let lists = [
            ("groupable", &self.columns.groupable),
            ("filterable", &self.columns.filterable),
            ("measurable", &self.columns.measurable),
            ("denied", &self.columns.denied),
        ];
        for (list, entries) in lists {
            for entry in entries.iter().filter(|entry| !is_known(entry)) {
                problems.push(format!("columns.{list}: the data model has no column \"{entry}\""));
            }
        }
        problems
    }
}

fn is_known(entry: &str) -> bool {
    if entry == "*" {
        return true;
    }
    let Some((table, column)) = entry.split_once('.') else { return false };
    model::schema::table(table).is_some_and(|t| column == "*" || t.column(column).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unset_minima_are_named_as_a_closed_node() {
        let policy = Policy { minimum: Minimum::default(), ..Policy::default() };
        assert_eq!(policy.problems().len(), 2);
        assert!(policy.problems()[0].contains("closed"));
        assert!(Policy::default().problems().is_empty());
    }

    #[test]
    fn denial_wins_over_every_list() {
        let mut policy = Policy::default();
        policy.columns.denied = vec!["stay.sex".to_owned()];
        assert!(!policy.allows_column("stay", "sex", Use::Group));
        assert!(policy.allows_column("stay", "payer", Use::Group));
        policy.columns.groupable = vec!["fee.*".to_owned()];
        assert!(policy.allows_column("fee", "class", Use::Group));
        assert!(!policy.allows_column("stay", "payer", Use::Group));
        policy.columns.denied = vec!["fee.clas".to_owned(), "fee".to_owned()];
        assert_eq!(policy.problems().len(), 2, "a denial that denies nothing is a mistake");
    }
}
