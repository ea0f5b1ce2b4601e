//! A step of fitting a model over batches: [`learn::kernel`] adds up, this reads columns for it.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, UInt32Type};
use learn::kernel::{Batch, Kernel, NOWHERE, Plan, Sum, TooManyPatterns};
use privacy::Domain;
use privacy::few::Few;
use privacy::measure::ROWS_CAP;
use privacy::partial::{PartialGroup, Support};
use privacy::sketch::{Population, Sketch};

use super::KernelError;
use super::keys::PlaceReader;
use crate::marks::Marks;

/// Reads the batches of a model's relation.
#[derive(Debug)]
pub(crate) struct Reader {
    readers: Vec<PlaceReader>,
    selected: Few,
    selectivity: u32,
    marks: Arc<Marks>,
    sketch: Sketch,
    rows: u64,
    /// For each factor, the place of each row's value.
    pub(crate) places: Vec<Vec<u32>>,
    /// For each input, its values, NaN where there is none.
    pub(crate) values: Vec<Vec<f64>>,
}

/// Accumulates the sums of one partition.
#[derive(Debug)]
pub(crate) struct StepKernel {
    kernel: Kernel,
    reader: Reader,
}

impl From<TooManyPatterns> for KernelError {
    fn from(_: TooManyPatterns) -> Self {
        Self::TooManyGroups
    }
}

impl StepKernel {
    /// Distinct persons are told apart up to `cap`.
    pub(crate) fn new(plan: &Arc<Plan>, cap: u32, reader: Reader) -> Self {
        Self { kernel: Kernel::new(Arc::clone(plan), cap), reader }
    }

    /// Adds one batch: factors, inputs, `person_key`, `stay_key`.
    ///
    /// # Errors
    /// [`KernelError`].
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<(), KernelError> {
        let persons = self.reader.read(batch)?;
        let Reader { places, values, .. } = &self.reader;
        Ok(self.kernel.add(&Batch {
            factors: places,
            inputs: values,
            persons: persons.values(),
        })?)
    }

    /// Takes in what another partition has seen.
    ///
    /// # Errors
    /// [`KernelError`].
    pub(crate) fn merge(&mut self, other: &Self) -> Result<(), KernelError> {
        self.reader.merge(&other.reader)?;
        Ok(self.kernel.merge(&other.kernel)?)
    }

    /// Distinct persons of the whole relation, exact up to the selectivity floor.
    pub(crate) fn selected_persons(&self) -> u64 {
        self.reader.selected_persons()
    }

    /// One group for each place that some stay is about, and who is behind them all.
    pub(crate) fn into_parts(self) -> (Vec<PartialGroup>, Population) {
        let groups = self.kernel.finish().into_iter().map(group_of).collect();
        (groups, Population::Whole(Box::new(self.reader.sketch)))
    }
}

/// The group of a place.
pub(crate) fn group_of(sum: Sum) -> PartialGroup {
    PartialGroup {
        key: vec![Some(sum.place.to_string())],
        rows: sum.rows,
        stays: sum.rows,
        persons: sum.persons,
        cells: vec![sum.sum],
        supports: vec![sum.sets.into_iter().collect::<Support>()],
        bins: Vec::new(),
    }
}

impl Reader {
    /// Of a relation with these factors and so many inputs; distinct persons are told apart up to
    /// `selectivity`, and each row adds its mark.
    pub(crate) fn new(
        factors: &[Domain],
        inputs: usize,
        selectivity: u32,
        marks: Arc<Marks>,
    ) -> Self {
        let readers = factors.iter().map(Domain::places).map(PlaceReader::new).collect();
        Self {
            readers,
            selected: Few::default(),
            selectivity,
            marks,
            sketch: Sketch::default(),
            rows: 0,
            places: vec![Vec::new(); factors.len()],
            values: vec![Vec::new(); inputs],
        }
    }

    /// Reads one batch: factors, inputs, `person_key`, `stay_key`. The persons.
    ///
    /// # Errors
    /// [`KernelError`].
    pub(crate) fn read(&mut self, batch: &RecordBatch) -> Result<UInt32Array, KernelError> {
        self.rows += batch.num_rows() as u64;
        if self.rows > ROWS_CAP {
            return Err(KernelError::TooManyRows);
        }
        let column = |index: usize| batch.columns().get(index).ok_or(KernelError::Type);
        for (index, (reader, places)) in self.readers.iter_mut().zip(&mut self.places).enumerate() {
            reader.read(column(index)?, NOWHERE, places)?;
        }
        for (index, values) in self.values.iter_mut().enumerate() {
            let doubles = column(self.readers.len() + index)?;
            let doubles = cast(doubles, &DataType::Float64).map_err(|_| KernelError::Type)?;
            let doubles = doubles.as_primitive::<Float64Type>();
            values.clear();
            values.extend(doubles.iter().map(|value| value.unwrap_or(f64::NAN)));
        }
        let persons = column(self.readers.len() + self.values.len())?;
        let persons = persons.as_primitive_opt::<UInt32Type>().ok_or(KernelError::Type)?;
        if persons.null_count() > 0 {
            return Err(KernelError::Type);
        }
        for person in persons.values() {
            if !self.selected.is_open() {
                break;
            }
            self.selected.insert(*person, self.selectivity);
        }
        let stays = column(self.readers.len() + self.values.len() + 1)?;
        let stays = stays.as_primitive_opt::<UInt32Type>().ok_or(KernelError::Type)?;
        for (row, stay) in stays.values().iter().enumerate() {
            // Who has a value without a place is in no sum.
            if self.places.iter().all(|places| places[row] != NOWHERE) {
                self.marks.add(&mut self.sketch, *stay)?;
            }
        }
        Ok(persons.clone())
    }

    /// Takes in what another partition has seen.
    ///
    /// # Errors
    /// [`KernelError`].
    pub(crate) fn merge(&mut self, other: &Self) -> Result<(), KernelError> {
        self.rows += other.rows;
        if self.rows > ROWS_CAP {
            return Err(KernelError::TooManyRows);
        }
        self.selected.merge(&other.selected, self.selectivity);
        self.sketch.merge(&other.sketch);
        Ok(())
    }

    /// Distinct persons of the whole relation, exact up to the selectivity floor.
    pub(crate) fn selected_persons(&self) -> u64 {
        self.selected.count()
    }

    /// Who is in the relation.
    pub(crate) fn sketch(&self) -> &Sketch {
        &self.sketch
    }
}
