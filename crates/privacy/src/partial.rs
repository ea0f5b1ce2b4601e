//! What a node has computed and not yet shown. It has no wire form, on purpose.

use crate::admit::Admitted;
use crate::dominance::Shares;
use crate::request::ReleaseRequest;
use crate::sketch::{Frame, Population, Sketch};

/// One group inside one hospital.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialGroup {
    /// One code per dimension, or the label of its place where the dimension has a domain
    /// ([`crate::domain::Places::label`]); `None` is SQL's NULL.
    pub key: Vec<Option<String>>,
    /// Rows of the relation in this group, exact.
    pub rows: u64,
    /// Distinct stays; exact up to the threshold, at least the threshold beyond it.
    pub stays: u64,
    /// Distinct persons; exact up to the threshold, at least the threshold beyond it.
    pub persons: u64,
    /// Cells of all measures, in the request's order.
    pub cells: Vec<i128>,
    /// For each measure, who stands behind its cells.
    pub supports: Vec<Support>,
    /// For each bin of each histogram in turn, the persons who are counted in it, exact up to the
    /// threshold. A person with rows in several bins is counted in the lowest, so that no sum of
    /// bins counts somebody twice.
    pub bins: Vec<u64>,
}

impl PartialGroup {
    /// The only group of a question without dimensions, with nobody in it.
    pub(crate) fn empty(request: &ReleaseRequest) -> Self {
        Self {
            key: Vec::new(),
            rows: 0,
            stays: 0,
            persons: 0,
            cells: vec![0; request.width()],
            supports: Vec::new(),
            bins: Vec::new(),
        }
    }
}

/// Who stands behind one measure of one group: sizes of sets of persons, each of which must be
/// empty or numerous enough, and who contributes how much to sums of money. Counts are exact up to the
/// threshold.
///
/// The sets are those with a value, without one, with a value other than zero, and, where the
/// measure contains conditions, those in each combination of its branches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Support {
    sets: Vec<u64>,
    shares: Vec<Shares>,
    parts: Vec<Sketch>,
}

impl Support {
    /// The support of a measure that is the group itself, such as its number of rows.
    #[must_use]
    pub const fn group() -> Self {
        Self { sets: Vec::new(), shares: Vec::new(), parts: Vec::new() }
    }

    /// With the shares of each input that is an amount of money.
    #[must_use]
    pub fn with_shares(mut self, shares: Vec<Shares>) -> Self {
        self.shares = shares;
        self
    }

    /// With the population of each combination of its branches.
    #[must_use]
    pub fn with_parts(mut self, parts: Vec<Sketch>) -> Self {
        self.parts = parts;
        self
    }

    /// The population of each combination of its branches, where these were computed.
    #[must_use]
    pub fn parts(&self) -> &[Sketch] {
        &self.parts
    }

    /// The sizes of the sets.
    #[must_use]
    pub fn sets(&self) -> &[u64] {
        &self.sets
    }

    /// The shares of each input that is an amount of money, where these were computed.
    #[must_use]
    pub fn shares(&self) -> &[Shares] {
        &self.shares
    }

    /// Takes in the support of another group: who is in both counts twice.
    pub(crate) fn join(&mut self, other: &Self) {
        self.sets.resize(self.sets.len().max(other.sets.len()), 0);
        self.sets.iter_mut().zip(&other.sets).for_each(|(sum, more)| *sum += more);
        self.parts.resize(self.parts.len().max(other.parts.len()), Sketch::default());
        self.parts.iter_mut().zip(&other.parts).for_each(|(sum, more)| sum.merge(more));
        self.shares.resize(self.shares.len().max(other.shares.len()), Shares::default());
        self.shares.iter_mut().zip(&other.shares).for_each(|(sum, more)| sum.join(more));
    }
}

impl FromIterator<u64> for Support {
    fn from_iter<T: IntoIterator<Item = u64>>(sets: T) -> Self {
        Self { sets: sets.into_iter().collect(), ..Self::default() }
    }
}

/// The cells of one admitted request in one hospital, before the gate.
#[derive(Debug, Clone)]
pub struct Partial {
    admitted: Admitted,
    groups: Vec<PartialGroup>,
    population: Population,
    selected_persons: u64,
    selective: bool,
    frame: Option<Frame>,
}

impl Partial {
    /// The result of computing `admitted`.
    ///
    /// `population` says who is behind the groups. `selected_persons` counts the distinct persons of
    /// the whole relation, exact up to the selectivity floor; `selective` says that the relation
    /// filters or joins, so that the floor applies.
    #[must_use]
    pub const fn new(
        admitted: Admitted,
        groups: Vec<PartialGroup>,
        population: Population,
        selected_persons: u64,
        selective: bool,
    ) -> Self {
        Self { admitted, groups, population, selected_persons, selective, frame: None }
    }

    /// The same, of which it is known where it stands among other questions.
    #[must_use]
    pub fn framed(self, frame: Frame) -> Self {
        Self { frame: Some(frame), ..self }
    }

    /// Where it stands among other questions.
    pub(crate) const fn frame(&self) -> Option<&Frame> {
        self.frame.as_ref()
    }

    /// What was asked.
    #[must_use]
    pub const fn admitted(&self) -> &Admitted {
        &self.admitted
    }

    /// True when the relation's filtered set is below the hospital's floor.
    #[must_use]
    pub const fn is_below_selectivity(&self) -> bool {
        self.selective && self.selected_persons < self.admitted.thresholds().selectivity as u64
    }

    /// True when the relation filters or joins.
    #[must_use]
    pub const fn is_selective(&self) -> bool {
        self.selective
    }

    /// The groups, and who is behind them.
    pub(crate) fn into_parts(self) -> (Vec<PartialGroup>, Population) {
        (self.groups, self.population)
    }
}
