//! The cell kernel: from batches of rows to the cells of every group, in one pass.
//!
//! One kernel runs per partition and kernels are merged at the end. Sums are exact integers, so
//! neither the order of batches nor the number of partitions can change a bit. Distinct persons
//! are counted only as far as a rule needs ([`few`]); nothing grows with the number of rows except
//! the exact distinct counts that a question asks for by name, and what each person contributes to a
//! hospital's own sums of money.

mod distinct;
mod histogram;
mod joint;
mod keys;
mod moments;
mod populations;
pub(crate) mod step;
mod totals;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, UInt32Type};
use privacy::domain::Places;
use privacy::few::Few;
use privacy::measure::{Input, Measure, ROWS_CAP};
use privacy::partial::{PartialGroup, Support};
use privacy::request::MAX_GROUPS;
use privacy::sketch::{Population, Unmarked};

use crate::grid::Grid;
use crate::marks::Marks;
use histogram::Histogram;
use joint::Joint;
use keys::Keys;
pub(crate) use keys::labels;
pub(crate) use moments::VALUE_SETS;

use distinct::Distinct;
use moments::Moments;
use populations::Populations;
pub(crate) use totals::Totalled;

/// Most cells, groups times measures, that one node computes for one request.
const MAX_CELLS: usize = 1 << 20;
/// Most bins, groups times those of all histograms; each takes about fifty bytes.
const MAX_BINS: usize = 1 << 21;
/// Most groups, and combinations of branches in them, whose populations are sketched; a sketch takes 264 bytes.
const MAX_SKETCHES: usize = 1 << 18;

/// What the kernel computes; the same for all partitions.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    /// Number of leading dimension columns.
    pub dimensions: usize,
    /// What each dimension can be; empty where groups are known by the values themselves.
    pub places: Arc<[Places]>,
    /// Inputs, in column order after the dimensions.
    pub inputs: Vec<Input>,
    /// Number of branch columns, after the inputs.
    pub branches: usize,
    /// For each measure, its branch columns and how many values each has.
    pub branches_of: Vec<Vec<(usize, usize)>>,
    /// What is added up.
    pub measures: Vec<Measure>,
    /// The bins of each input that has a histogram.
    pub grids: BTreeMap<usize, Grid>,
    /// How many distinct persons or stays of a group must be told apart.
    pub cap: u32,
    /// How many distinct persons of the whole relation must be told apart.
    pub selectivity: u32,
    /// Where it matters who contributes how much to sums of money, by what these are judged.
    pub shares: Option<Totalled>,
    /// Each row is one stay, so stays need no set.
    pub one_row_per_stay: bool,
    /// What rows add to the sketches of groups, where these are wanted.
    pub marks: Option<Arc<Marks>>,
    /// The same for those of each combination of a measure's branches.
    pub part_marks: Option<Arc<Marks>>,
}

/// Why a kernel stopped. None of these texts depends on data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KernelError {
    /// The relation has more rows than the overflow proof covers.
    #[error("the relation has more than {ROWS_CAP} rows")]
    TooManyRows,
    /// The question has more groups than a node computes.
    #[error("the question has too many groups; group by fewer columns")]
    TooManyGroups,
    /// A column's type is not what its scale declares.
    #[error("a column's type does not fit its declared scale")]
    Type,
    /// The snapshot has no key for a person or stay.
    #[error("the snapshot has rows without keys")]
    Unmarked,
}

impl From<Unmarked> for KernelError {
    fn from(_: Unmarked) -> Self {
        Self::Unmarked
    }
}

/// Whether values of this type can be a dimension.
pub(crate) fn is_groupable_type(data_type: &DataType) -> bool {
    data_type.is_integer()
        || matches!(
            data_type,
            DataType::Utf8
                | DataType::Boolean
                | DataType::Date32
                | DataType::Timestamp(_, None)
                | DataType::Null
        )
}

#[derive(Debug, Default)]
struct Group {
    rows: u64,
    persons: Few,
    stays: Few,
}

#[derive(Debug)]
enum State {
    /// Read off the groups themselves.
    Group,
    /// Exact distinct keys.
    Distinct(Distinct),
    /// Sums of one input or of a pair.
    Moments(Box<Moments>),
    /// Rows and persons by bins.
    Histogram(Box<Histogram>),
}

/// Accumulates cells.
#[derive(Debug)]
pub(crate) struct Kernel {
    spec: Spec,
    keys: Keys,
    groups: Vec<Group>,
    populations: Populations,
    states: Vec<State>,
    /// One per measure; `None` where a measure has no conditions.
    joints: Vec<Option<Joint>>,
    selected: Few,
    rows: u64,
    group_of_row: Vec<u32>,
}

impl Kernel {
    /// # Errors
    /// [`KernelError::Type`] when a histogram's input has no bins.
    pub(crate) fn new(spec: Spec) -> Result<Self, KernelError> {
        let states = spec.measures.iter().map(|measure| {
            Ok(match *measure {
                Measure::Histogram(x, _) => {
                    let grid = spec.grids.get(&x).cloned().ok_or(KernelError::Type)?;
                    State::Histogram(Box::new(Histogram::new(x, grid, &spec)))
                }
                // Of a step, `step` adds up.
                Measure::Step | Measure::Gradients(..) => return Err(KernelError::Type),
                Measure::Rows | Measure::Contributors => State::Group,
                Measure::Persons | Measure::Stays => State::Distinct(Distinct::default()),
                Measure::Count(_)
                | Measure::Sum(_)
                | Measure::Squares(_)
                | Measure::Products(..) => State::Moments(Box::new(Moments::new(*measure, &spec))),
            })
        });
        let states = states.collect::<Result<Vec<_>, KernelError>>()?;
        let joint = |columns: &Vec<_>| {
            let marks = (spec.part_marks.clone(), spec.one_row_per_stay);
            (!columns.is_empty()).then(|| Joint::new(columns.clone(), spec.cap, marks))
        };
        let joints = spec.branches_of.iter().map(joint);
        Ok(Self {
            keys: Keys::new(spec.dimensions, Arc::clone(&spec.places)),
            groups: Vec::new(),
            populations: Populations::new(spec.marks.clone(), spec.one_row_per_stay),
            joints: joints.collect(),
            states,
            selected: Few::default(),
            rows: 0,
            group_of_row: Vec::new(),
            spec,
        })
    }

    /// Adds one batch: dimensions, inputs, branches, `person_key`, `stay_key`.
    ///
    /// # Errors
    /// [`KernelError`] when a limit is reached or a column has another type than declared.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<(), KernelError> {
        let rows = batch.num_rows();
        if rows == 0 {
            return Ok(());
        }
        self.rows += rows as u64;
        if self.rows > ROWS_CAP {
            return Err(KernelError::TooManyRows);
        }
        let first_branch = self.spec.dimensions + self.spec.inputs.len();
        let first_key = first_branch + self.spec.branches;
        let key = |index: usize| {
            let array = batch.columns().get(index).ok_or(KernelError::Type)?;
            let array = array.as_primitive_opt::<UInt32Type>().ok_or(KernelError::Type)?;
            if array.null_count() > 0 { Err(KernelError::Type) } else { Ok(array.values()) }
        };
        let (persons, stays) = (key(first_key)?, key(first_key + 1)?);
        let (dimensions, inputs) = batch.columns()[..first_branch].split_at(self.spec.dimensions);
        let branches = &batch.columns()[first_branch..first_key];
        self.keys.assign(dimensions, rows, &mut self.group_of_row)?;
        self.grow()?;
        self.count(persons, stays);
        self.populations.add(&self.group_of_row, stays)?;
        for state in &mut self.states {
            match state {
                State::Group | State::Distinct(_) => {}
                State::Moments(moments) => moments.add(inputs, &self.group_of_row, persons)?,
                State::Histogram(histogram) => {
                    histogram.add(inputs, &self.group_of_row, persons)?;
                }
            }
        }
        for joint in self.joints.iter_mut().flatten() {
            joint.add(branches, &self.group_of_row, (persons, stays))?;
        }
        self.count_distinct(persons, stays);
        Ok(())
    }

    fn grow(&mut self) -> Result<(), KernelError> {
        let groups = self.keys.len();
        let bins: usize = self.spec.measures.iter().map(|measure| measure.bins()).sum();
        let fits = groups * (1 + self.states.len()) <= MAX_CELLS && groups * bins <= MAX_BINS;
        let parts: usize = self.joints.iter().flatten().map(Joint::sketched).sum();
        let sketches = groups * (usize::from(self.populations.are_wanted()) + parts);
        if groups > MAX_GROUPS || !fits || sketches > MAX_SKETCHES {
            return Err(KernelError::TooManyGroups);
        }
        self.groups.resize_with(groups, Group::default);
        self.populations.grow(groups);
        for state in &mut self.states {
            match state {
                State::Moments(moments) => moments.grow(groups),
                State::Histogram(histogram) => histogram.grow(groups),
                State::Distinct(seen) => seen.grow(groups),
                State::Group => {}
            }
        }
        self.joints.iter_mut().flatten().try_for_each(|joint| joint.grow(groups))
    }

    fn count(&mut self, persons: &[u32], stays: &[u32]) {
        let cap = self.spec.cap;
        for (row, &group) in self.group_of_row.iter().enumerate() {
            let group = &mut self.groups[group as usize];
            group.rows += 1;
            if group.persons.is_open() {
                group.persons.insert(persons[row], cap);
            }
            if !self.spec.one_row_per_stay && group.stays.is_open() {
                group.stays.insert(stays[row], cap);
            }
        }
        for &person in persons {
            if !self.selected.is_open() {
                break;
            }
            self.selected.insert(person, self.spec.selectivity);
        }
    }

    fn count_distinct(&mut self, persons: &[u32], stays: &[u32]) {
        for (measure, state) in self.spec.measures.iter().zip(&mut self.states) {
            if let State::Distinct(seen) = state {
                let keys = if *measure == Measure::Stays { stays } else { persons };
                seen.add(&self.group_of_row, keys);
            }
        }
    }

    /// Takes in what another partition's kernel has seen.
    ///
    /// # Errors
    /// [`KernelError`] when both together exceed a limit.
    pub(crate) fn merge(&mut self, other: Self) -> Result<(), KernelError> {
        self.rows += other.rows;
        if self.rows > ROWS_CAP {
            return Err(KernelError::TooManyRows);
        }
        let places = self.keys.absorb(&other.keys)?;
        self.grow()?;
        let cap = self.spec.cap;
        for (group, &place) in other.groups.iter().zip(&places) {
            let mine = &mut self.groups[place as usize];
            mine.rows += group.rows;
            mine.persons.merge(&group.persons, cap);
            mine.stays.merge(&group.stays, cap);
        }
        self.populations.merge(other.populations, &places);
        self.selected.merge(&other.selected, self.spec.selectivity);
        for (mine, theirs) in self.joints.iter_mut().zip(other.joints) {
            if let (Some(mine), Some(theirs)) = (mine, theirs) {
                mine.merge(theirs, &places);
            }
        }
        for (mine, theirs) in self.states.iter_mut().zip(other.states) {
            match (mine, theirs) {
                (State::Distinct(mine), State::Distinct(theirs)) => mine.merge(theirs, &places),
                (State::Moments(mine), State::Moments(theirs)) => mine.merge(&theirs, &places),
                (State::Histogram(mine), State::Histogram(theirs)) => mine.merge(&theirs, &places),
                _ => {}
            }
        }
        Ok(())
    }

    /// Distinct persons of the whole relation, exact up to the selectivity floor.
    pub(crate) fn selected_persons(&self) -> u64 {
        self.selected.count()
    }

    /// The groups with their cells in the order of their keys, and who is behind them; rows that have no place
    /// in the domains are in none of them.
    ///
    /// # Errors
    /// [`KernelError::Unmarked`].
    pub(crate) fn into_parts(mut self) -> Result<(Vec<PartialGroup>, Population), KernelError> {
        let shares = self.states.iter().map(|state| match state {
            State::Moments(moments) => moments.shares(),
            _ => Vec::new(),
        });
        let mut shares: Vec<_> = shares.collect();
        let parts = self.joints.iter_mut().map(|joint| match joint {
            Some(joint) => joint.parts(),
            None => Ok(Vec::new()),
        });
        let mut parts: Vec<_> = parts.collect::<Result<_, _>>()?;
        let sketches = self.populations.finish()?;
        let mut found = Vec::new();
        for (index, group) in self.groups.iter().enumerate() {
            let Some(mut group) = self.group(index, group) else { continue };
            let behind = shares.iter_mut().zip(&mut parts);
            for (support, (shares, parts)) in group.supports.iter_mut().zip(behind) {
                let shares = shares.get_mut(index).map(std::mem::take).unwrap_or_default();
                let parts = parts.get_mut(index).map(std::mem::take).unwrap_or_default();
                *support = std::mem::take(support).with_shares(shares).with_parts(parts);
            }
            found.push((group, index));
        }
        // In which order partitions ended decides nothing.
        found.sort_by(|(one, _), (other, _)| one.key.cmp(&other.key));
        let population = match sketches {
            Some(all) => {
                let own = found.iter().filter_map(|(_, index)| all.get(*index).cloned());
                Population::Cells(own.collect())
            }
            None => Population::Untold,
        };
        Ok((found.into_iter().map(|(group, _)| group).collect(), population))
    }

    fn group(&self, index: usize, group: &Group) -> Option<PartialGroup> {
        let key = self.keys.texts(index)?;
        let mut cells = Vec::new();
        let (mut supports, mut bins) = (Vec::new(), Vec::new());
        for (at, (measure, state)) in self.spec.measures.iter().zip(&self.states).enumerate() {
            let joint = || self.joints[at].iter().flat_map(|joint| joint.sets(index));
            let support = match state {
                State::Moments(moments) => {
                    moments.cells(index, &mut cells).into_iter().chain(joint()).collect()
                }
                State::Histogram(histogram) => {
                    let own = histogram.cells(index, &mut cells, &mut bins);
                    own.into_iter().chain(joint()).collect()
                }
                State::Distinct(seen) => {
                    cells.push(i128::from(seen.count(index)));
                    Support::group()
                }
                State::Group if *measure == Measure::Contributors => {
                    cells.push(1);
                    Support::group()
                }
                State::Group => {
                    cells.push(i128::from(group.rows));
                    Support::group()
                }
            };
            supports.push(support);
        }
        Some(PartialGroup {
            key,
            rows: group.rows,
            stays: if self.spec.one_row_per_stay { group.rows } else { group.stays.count() },
            persons: group.persons.count(),
            cells,
            supports,
            bins,
        })
    }
}

#[cfg(test)]
mod tests;
