//! Answers read by the names of their columns.

use std::collections::HashMap;

use model::casemix::benchmark::Bounded;
use model::casemix::money::{E4, parse_e4};
use num_traits::ToPrimitive as _;

use crate::answer::{Answer, Block, Cell};
use crate::exit::Failure;

/// An answer whose columns have names.
#[derive(Debug)]
pub struct Columns {
    places: HashMap<String, usize>,
    blocks: Vec<Block>,
}

/// One row of it.
#[derive(Debug)]
pub struct Row<'a> {
    places: &'a HashMap<String, usize>,
    cells: Vec<Cell<'a>>,
}

impl Columns {
    /// Reads an answer that has the columns `needed`: a column that is not there would look like one
    /// that is withheld.
    ///
    /// # Errors
    /// [`Failure::Internal`] when a column is missing or cannot be read.
    pub fn of(answer: &Answer, needed: &[&str]) -> Result<Self, Failure> {
        let headings = answer.headings().into_iter().enumerate();
        let places: HashMap<_, _> =
            headings.map(|(place, heading)| (heading.name, place)).collect();
        if let Some(missing) = needed.iter().find(|name| !places.contains_key(**name)) {
            return Err(Failure::Internal(format!("the answer has no column {missing}")));
        }
        let blocks = answer.blocks().collect::<Result<_, _>>();
        let blocks = blocks.map_err(|error| Failure::Internal(error.to_string()))?;
        Ok(Self { places, blocks })
    }

    /// Its rows.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.blocks.iter().flat_map(|block| {
            (0..block.rows())
                .map(|row| Row { places: &self.places, cells: block.row(row).collect() })
        })
    }
}

impl Row<'_> {
    fn cell(&self, name: &str) -> Cell<'_> {
        let cell = self.places.get(name).and_then(|place| self.cells.get(*place));
        cell.copied().unwrap_or(Cell::Null)
    }

    /// A text; `None` for NULL.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        match self.cell(name) {
            Cell::Text(text) => Some(text.to_owned()),
            _ => None,
        }
    }

    /// A number; `None` for NULL.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        self.cell(name).number()
    }

    /// A count; `None` for NULL.
    #[must_use]
    pub fn count(&self, name: &str) -> Option<u64> {
        match self.cell(name) {
            Cell::Integer(value) => u64::try_from(value).ok(),
            Cell::Unsigned(value) => Some(value),
            other => other.number().and_then(|value| value.to_u64()),
        }
    }

    /// An exact amount in 10^-4; `None` for NULL.
    #[must_use]
    pub fn e4(&self, name: &str) -> Option<E4> {
        match self.cell(name) {
            Cell::Text(text) => parse_e4(text).ok(),
            Cell::Integer(value) => Some(i128::from(value) * 10_000),
            _ => None,
        }
    }

    /// A percentile with how far off it can be.
    #[must_use]
    pub fn bounded(&self, name: &str, error: &str) -> Option<Bounded> {
        Some(Bounded { value: self.number(name)?, error: self.number(error)? })
    }
}
