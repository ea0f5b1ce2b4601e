//! Groups: from dimension columns to dense group numbers.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimeUnit};

use super::KernelError;

/// Codes per dimension when several are combined; 16 bits each.
const MAX_CODES: usize = 1 << 16;
const UNSET: u32 = u32::MAX;
/// The code of SQL's NULL in every dimension.
const NULL_CODE: u32 = 0;

#[derive(Debug, Default)]
struct Dimension {
    codes: HashMap<Box<str>, u32>,
    whole_codes: HashMap<i64, u32>,
    names: Vec<Box<str>>,
    dictionary: Option<(ArrayRef, Vec<u32>)>,
}

/// Numbers the groups.
#[derive(Debug)]
pub(super) struct Keys {
    dimensions: Vec<Dimension>,
    /// Group of each code, when there is one dimension.
    single: Vec<u32>,
    combined: HashMap<u128, u32>,
    /// Codes of each group.
    groups: Vec<Vec<u32>>,
    scratch: Vec<Vec<u32>>,
}

impl Dimension {
    fn code_of(&mut self, text: &str) -> u32 {
        if let Some(code) = self.codes.get(text) {
            return *code;
        }
        self.names.push(text.into());
        let code = u32::try_from(self.names.len()).unwrap_or(UNSET);
        self.codes.insert(text.into(), code);
        code
    }

    fn code_of_whole(&mut self, value: i64) -> u32 {
        if let Some(code) = self.whole_codes.get(&value) {
            return *code;
        }
        let code = self.code_of(&value.to_string());
        self.whole_codes.insert(value, code);
        code
    }

    fn name_of(&self, code: u32) -> Option<&str> {
        let index = (code as usize).checked_sub(1)?;
        self.names.get(index).map(AsRef::as_ref)
    }

    fn encode(&mut self, array: &ArrayRef, out: &mut Vec<u32>) -> Result<(), KernelError> {
        out.clear();
        match array.data_type() {
            DataType::Dictionary(key, _) if **key == DataType::Int32 => {
                self.encode_dictionary(array, out)
            }
            DataType::Boolean => {
                let flags = array.as_boolean();
                let (yes, no) = (self.code_of("true"), self.code_of("false"));
                out.extend(flags.iter().map(|flag| match flag {
                    None => NULL_CODE,
                    Some(true) => yes,
                    Some(false) => no,
                }));
                Ok(())
            }
            DataType::Null => {
                out.resize(array.len(), NULL_CODE);
                Ok(())
            }
            DataType::Timestamp(_, None) => {
                let seconds = DataType::Timestamp(TimeUnit::Second, None);
                let seconds = cast(array, &seconds).map_err(|_| KernelError::Type)?;
                self.encode_whole(&seconds, out)
            }
            DataType::Date32 => {
                let days = cast(array, &DataType::Int32).map_err(|_| KernelError::Type)?;
                self.encode_whole(&days, out)
            }
            other if other.is_integer() => self.encode_whole(array, out),
            _ => self.encode_text(array, out),
        }
    }

    fn encode_whole(&mut self, array: &ArrayRef, out: &mut Vec<u32>) -> Result<(), KernelError> {
        let whole = cast(array, &DataType::Int64).map_err(|_| KernelError::Type)?;
        let whole = whole.as_primitive::<Int64Type>();
        let mut last = None;
        out.extend(whole.iter().map(|value| match (value, last) {
            (None, _) => NULL_CODE,
            (Some(value), Some((known, code))) if known == value => code,
            (Some(value), _) => {
                let code = self.code_of_whole(value);
                last = Some((value, code));
                code
            }
        }));
        Ok(())
    }

    fn encode_text(&mut self, array: &ArrayRef, out: &mut Vec<u32>) -> Result<(), KernelError> {
        let text = cast(array, &DataType::Utf8).map_err(|_| KernelError::Type)?;
        let text = text.as_string::<i32>();
        out.extend(text.iter().map(|value| value.map_or(NULL_CODE, |value| self.code_of(value))));
        Ok(())
    }

    /// Dictionaries are shared by the batches of a row group: each is looked up once.
    fn encode_dictionary(
        &mut self,
        array: &ArrayRef,
        out: &mut Vec<u32>,
    ) -> Result<(), KernelError> {
        let dictionary = array.as_dictionary::<Int32Type>();
        let values = dictionary.values();
        let known = matches!(&self.dictionary, Some((known, _)) if Arc::ptr_eq(known, values));
        if !known {
            let mut table = Vec::with_capacity(values.len());
            self.encode_text(values, &mut table)?;
            self.dictionary = Some((Arc::clone(values), table));
        }
        let table = self.dictionary.as_ref().map_or(&[][..], |(_, table)| table);
        let code = |key: i32| {
            usize::try_from(key).ok().and_then(|key| table.get(key)).copied().unwrap_or(NULL_CODE)
        };
        let keys = dictionary.keys();
        if keys.null_count() == 0 {
            out.extend(keys.values().iter().map(|&key| code(key)));
        } else {
            out.extend(keys.iter().map(|key| key.map_or(NULL_CODE, code)));
        }
        Ok(())
    }
}

impl Keys {
    pub(super) fn new(dimensions: usize) -> Self {
        Self {
            dimensions: (0..dimensions).map(|_| Dimension::default()).collect(),
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
        for ((dimension, column), codes) in
            self.dimensions.iter_mut().zip(columns).zip(&mut scratch)
        {
            dimension.encode(column, codes)?;
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
                let name = other.dimensions[index].name_of(code);
                mine.push(name.map_or(NULL_CODE, |name| self.dimensions[index].code_of(name)));
            }
            places.push(self.place(&mine)?);
        }
        Ok(places)
    }

    /// The codes of a group as texts; times as seconds, dates as days since 1970.
    pub(super) fn texts(&self, group: usize) -> Vec<Option<String>> {
        let codes = self.groups[group].iter().zip(&self.dimensions);
        codes.map(|(&code, dimension)| dimension.name_of(code).map(str::to_owned)).collect()
    }
}
