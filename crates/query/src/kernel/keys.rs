//! Groups: from dimension columns to dense group numbers.
//!
//! Where a dimension has a domain, a value becomes its place's label *before* rows are grouped, so
//! that a person with two codes of one place is one person there. The label is looked up once for
//! each value, not for each row. Rows whose value has no place are kept apart, in groups that are
//! never shown.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimeUnit};
use privacy::domain::Places;

use super::KernelError;

/// Codes per dimension when several are combined; 16 bits each.
const MAX_CODES: usize = 1 << 16;
const UNSET: u32 = u32::MAX;
/// The code of SQL's NULL in every dimension.
const NULL_CODE: u32 = 0;

#[derive(Debug, Default)]
struct Dimension {
    /// Codes of labels.
    codes: HashMap<Box<str>, u32>,
    /// Codes of values, where labels differ from them.
    value_codes: HashMap<Box<str>, u32>,
    whole_codes: HashMap<i64, u32>,
    /// Labels in the order of their codes.
    names: Vec<Box<str>>,
    /// The code of everything that has no place; its name is never read.
    left_out: Option<u32>,
    dictionary: Option<(ArrayRef, Vec<u32>)>,
}

/// Numbers the groups.
#[derive(Debug)]
pub(super) struct Keys {
    dimensions: Vec<Dimension>,
    /// One for each dimension, or none at all.
    places: Arc<[Places]>,
    /// Group of each code, when there is one dimension.
    single: Vec<u32>,
    combined: HashMap<u128, u32>,
    /// Codes of each group.
    groups: Vec<Vec<u32>>,
    scratch: Vec<Vec<u32>>,
}

impl Dimension {
    /// The code of a label.
    fn code_of(&mut self, label: &str) -> u32 {
        if let Some(code) = self.codes.get(label) {
            return *code;
        }
        let code = self.add_name(label);
        self.codes.insert(label.into(), code);
        code
    }

    fn add_name(&mut self, name: &str) -> u32 {
        self.names.push(name.into());
        u32::try_from(self.names.len()).unwrap_or(UNSET)
    }

    fn code_of_left_out(&mut self) -> u32 {
        if let Some(code) = self.left_out {
            return code;
        }
        let code = self.add_name("");
        self.left_out = Some(code);
        code
    }

    /// The code of a value's label.
    fn code_of_value(&mut self, value: &str, places: Option<&Places>) -> u32 {
        let Some(places) = places else { return self.code_of(value) };
        if let Some(code) = self.value_codes.get(value) {
            return *code;
        }
        let code = match places.label(value) {
            Some(Cow::Borrowed(label)) => self.code_of(label),
            Some(Cow::Owned(label)) => self.code_of(&label),
            None => self.code_of_left_out(),
        };
        self.value_codes.insert(value.into(), code);
        code
    }

    fn code_of_whole(&mut self, value: i64, places: Option<&Places>) -> u32 {
        if let Some(code) = self.whole_codes.get(&value) {
            return *code;
        }
        let code = self.code_of_value(&value.to_string(), places);
        self.whole_codes.insert(value, code);
        code
    }

    fn code_of_null(&mut self, places: Option<&Places>) -> u32 {
        if places.is_none_or(Places::has_null) { NULL_CODE } else { self.code_of_left_out() }
    }

    /// The label of a code; `None` is NULL.
    fn name_of(&self, code: u32) -> Option<&str> {
        let index = (code as usize).checked_sub(1)?;
        self.names.get(index).map(AsRef::as_ref)
    }

    fn encode(
        &mut self,
        array: &ArrayRef,
        places: Option<&Places>,
        out: &mut Vec<u32>,
    ) -> Result<(), KernelError> {
        out.clear();
        match array.data_type() {
            DataType::Dictionary(key, _) if **key == DataType::Int32 => {
                self.encode_dictionary(array, places, out)
            }
            DataType::Boolean => {
                let yes = self.code_of_value("true", places);
                let no = self.code_of_value("false", places);
                let null = self.code_of_null(places);
                out.extend(array.as_boolean().iter().map(|flag| match flag {
                    None => null,
                    Some(true) => yes,
                    Some(false) => no,
                }));
                Ok(())
            }
            DataType::Null => {
                out.resize(array.len(), self.code_of_null(places));
                Ok(())
            }
            DataType::Timestamp(_, None) => {
                let seconds = DataType::Timestamp(TimeUnit::Second, None);
                let seconds = cast(array, &seconds).map_err(|_| KernelError::Type)?;
                self.encode_whole(&seconds, places, out)
            }
            DataType::Date32 => {
                let days = cast(array, &DataType::Int32).map_err(|_| KernelError::Type)?;
                self.encode_whole(&days, places, out)
            }
            other if other.is_integer() => self.encode_whole(array, places, out),
            _ => self.encode_text(array, places, out),
        }
    }

    fn encode_whole(
        &mut self,
        array: &ArrayRef,
        places: Option<&Places>,
        out: &mut Vec<u32>,
    ) -> Result<(), KernelError> {
        let whole = cast(array, &DataType::Int64).map_err(|_| KernelError::Type)?;
        let whole = whole.as_primitive::<Int64Type>();
        let mut last = None;
        out.extend(whole.iter().map(|value| match (value, last) {
            (None, _) => self.code_of_null(places),
            (Some(value), Some((known, code))) if known == value => code,
            (Some(value), _) => {
                let code = self.code_of_whole(value, places);
                last = Some((value, code));
                code
            }
        }));
        Ok(())
    }

    fn encode_text(
        &mut self,
        array: &ArrayRef,
        places: Option<&Places>,
        out: &mut Vec<u32>,
    ) -> Result<(), KernelError> {
        let text = cast(array, &DataType::Utf8).map_err(|_| KernelError::Type)?;
        out.extend(text.as_string::<i32>().iter().map(|value| match value {
            None => self.code_of_null(places),
            Some(value) => self.code_of_value(value, places),
        }));
        Ok(())
    }

    /// Dictionaries are shared by the batches of a row group: each is looked up once.
    fn encode_dictionary(
        &mut self,
        array: &ArrayRef,
        places: Option<&Places>,
        out: &mut Vec<u32>,
    ) -> Result<(), KernelError> {
        let dictionary = array.as_dictionary::<Int32Type>();
        let values = dictionary.values();
        let known = matches!(&self.dictionary, Some((known, _)) if Arc::ptr_eq(known, values));
        if !known {
            let mut table = Vec::with_capacity(values.len());
            self.encode_text(values, places, &mut table)?;
            self.dictionary = Some((Arc::clone(values), table));
        }
        let null = if dictionary.null_count() == 0 { NULL_CODE } else { self.code_of_null(places) };
        let table = self.dictionary.as_ref().map_or(&[][..], |(_, table)| table);
        let code = |key: i32| {
            usize::try_from(key).ok().and_then(|key| table.get(key)).copied().unwrap_or(null)
        };
        let keys = dictionary.keys();
        if keys.null_count() == 0 {
            out.extend(keys.values().iter().map(|&key| code(key)));
        } else {
            out.extend(keys.iter().map(|key| key.map_or(null, code)));
        }
        Ok(())
    }
}

impl Keys {
    /// No groups yet; `places` has one entry for each dimension, or none.
    pub(super) fn new(dimensions: usize, places: Arc<[Places]>) -> Self {
        Self {
            dimensions: (0..dimensions).map(|_| Dimension::default()).collect(),
            places,
            single: Vec::new(),
            combined: HashMap::new(),
            groups: Vec::new(),
            scratch: vec![Vec::new(); dimensions],
        }
    }

    /// Number of groups seen so far.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Numbers the group of each row.
    pub(super) fn assign(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        out: &mut Vec<u32>,
    ) -> Result<(), KernelError> {
        out.clear();
        let mut scratch = std::mem::take(&mut self.scratch);
        let each = self.dimensions.iter_mut().zip(columns).zip(&mut scratch);
        for (index, ((dimension, column), codes)) in each.enumerate() {
            dimension.encode(column, self.places.get(index), codes)?;
            // Codes of several dimensions are packed; one that is too large would fall together
            // with a neighbour's.
            if columns.len() > 1 && dimension.names.len() >= MAX_CODES {
                return Err(KernelError::TooManyGroups);
            }
        }
        match scratch.as_slice() {
            [] => {
                if self.groups.is_empty() {
                    self.groups.push(Vec::new());
                }
                out.resize(rows, 0);
            }
            [codes] => {
                let known = self.dimensions[0].names.len() + 1;
                self.single.resize(known, UNSET);
                for &code in codes {
                    let mut group = self.single[code as usize];
                    if group == UNSET {
                        group = self.place(&[code])?;
                    }
                    out.push(group);
                }
            }
            several => self.combine(several, rows, out)?,
        }
        self.scratch = scratch;
        Ok(())
    }

    fn combine(
        &mut self,
        columns: &[Vec<u32>],
        rows: usize,
        out: &mut Vec<u32>,
    ) -> Result<(), KernelError> {
        let mut last = (u128::MAX, UNSET);
        let mut codes = vec![0; columns.len()];
        for row in 0..rows {
            let packed = columns.iter().fold(0u128, |key, c| (key << 16) | u128::from(c[row]));
            if packed != last.0 {
                let group = match self.combined.get(&packed) {
                    Some(group) => *group,
                    None => {
                        codes.iter_mut().zip(columns).for_each(|(code, c)| *code = c[row]);
                        self.place(&codes)?
                    }
                };
                last = (packed, group);
            }
            out.push(last.1);
        }
        Ok(())
    }

    /// The group of these codes, made if it is new.
    fn place(&mut self, codes: &[u32]) -> Result<u32, KernelError> {
        let next = u32::try_from(self.groups.len()).map_err(|_| KernelError::TooManyGroups)?;
        match codes {
            [] => {
                if self.groups.is_empty() {
                    self.groups.push(Vec::new());
                }
                return Ok(0);
            }
            [code] => {
                let known = self.dimensions[0].names.len() + 1;
                self.single.resize(known, UNSET);
                let slot = &mut self.single[*code as usize];
                if *slot != UNSET {
                    return Ok(*slot);
                }
                *slot = next;
            }
            several => {
                if several.iter().any(|code| *code as usize >= MAX_CODES) {
                    return Err(KernelError::TooManyGroups);
                }
                let packed = several.iter().fold(0u128, |key, c| (key << 16) | u128::from(*c));
                if let Some(group) = self.combined.get(&packed) {
                    return Ok(*group);
                }
                self.combined.insert(packed, next);
            }
        }
        self.groups.push(codes.to_vec());
        Ok(next)
    }

    /// Takes in another partition's groups; tells where each of them now is.
    pub(super) fn absorb(&mut self, other: &Self) -> Result<Vec<u32>, KernelError> {
        let mut places = Vec::with_capacity(other.groups.len());
        for codes in &other.groups {
            let mut mine = Vec::with_capacity(codes.len());
            for (index, &code) in codes.iter().enumerate() {
                let (theirs, own) = (&other.dimensions[index], &mut self.dimensions[index]);
                mine.push(match theirs.name_of(code) {
                    None => NULL_CODE,
                    Some(_) if theirs.left_out == Some(code) => own.code_of_left_out(),
                    Some(name) => own.code_of(name),
                });
            }
            places.push(self.place(&mine)?);
        }
        Ok(places)
    }

    /// The labels of a group; times as seconds, dates as days since 1970. `None` when one of its
    /// values has no place.
    pub(super) fn texts(&self, group: usize) -> Option<Vec<Option<String>>> {
        let codes = self.groups[group].iter().zip(&self.dimensions);
        let text = |(&code, dimension): (&u32, &Dimension)| {
            let shown = dimension.left_out != Some(code);
            shown.then(|| dimension.name_of(code).map(str::to_owned))
        };
        codes.map(text).collect()
    }
}

/// Finds the place of each row's value in the domain of one column.
#[derive(Debug)]
pub(super) struct PlaceReader {
    dimension: Dimension,
    places: Places,
    /// Of each code.
    known: Vec<u32>,
    codes: Vec<u32>,
}

impl PlaceReader {
    pub(super) fn new(places: Places) -> Self {
        Self { dimension: Dimension::default(), places, known: Vec::new(), codes: Vec::new() }
    }

    /// Places of all rows of `array`; 0 is NULL, `nowhere` stands for a value that has none.
    pub(super) fn read(
        &mut self,
        array: &ArrayRef,
        nowhere: u32,
        out: &mut Vec<u32>,
    ) -> Result<(), KernelError> {
        self.dimension.encode(array, Some(&self.places), &mut self.codes)?;
        for code in self.known.len()..=self.dimension.names.len() {
            let code = u32::try_from(code).map_err(|_| KernelError::TooManyGroups)?;
            let is_left_out = self.dimension.left_out == Some(code);
            let label = self.dimension.name_of(code);
            let place = self.places.of_label(label).filter(|_| !is_left_out);
            let place = place.and_then(|place| u32::try_from(place).ok());
            self.known.push(place.unwrap_or(nowhere));
        }
        out.clear();
        out.extend(self.codes.iter().map(|code| self.known[*code as usize]));
        Ok(())
    }
}

/// Values as the texts that groups of them are known by; `None` is NULL.
pub(crate) fn labels(array: &ArrayRef) -> Result<Vec<Option<String>>, KernelError> {
    let (mut dimension, mut codes) = (Dimension::default(), Vec::new());
    dimension.encode(array, None, &mut codes)?;
    Ok(codes.into_iter().map(|code| dimension.name_of(code).map(str::to_owned)).collect())
}
