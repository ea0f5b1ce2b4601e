//! The witness's verdict over sums of a coordinator's and a hospital's making.
//!
//! Whoever knows a round's guard key can make sums whose check is right. Whatever they are, the witness
//! opens no group below the floor, and no measure behind which there are a few persons.

use std::sync::LazyLock;

use privacy::blind::{GuardKey, GuardSecret};
use privacy::open::{Verdict, guard_check, judge, mask_sums};
use privacy::sketch::{Known, Mark, SKETCH_COLUMNS, Sketch};
use privacy::{Floor, Policy, ReleaseRequest, Shape, Sketched};
use zeroize::Zeroizing;

use crate::parties::{parties, question};

/// Hospitals of the round.
const HOSPITALS: usize = 3;
/// Most orders of one input.
const MOST_ORDERS: usize = 256;

/// Questions of unlike shapes: groups with money and a histogram, a whole, a listing.
fn shapes() -> &'static [Shape] {
    static SHAPES: LazyLock<Vec<Shape>> = LazyLock::new(|| {
        let whole = question("SELECT count(*), avg(los_days) FROM stay");
        let whole = whole.requests("ana", &[Vec::new()]).unwrap().remove(0);
        let of = |request: &ReleaseRequest| Shape::of(request).unwrap();
        let listing = Shape::new(16, Vec::new(), Sketched::Nothing).unwrap();
        vec![of(&parties().round.request), of(&whole), listing]
    });
    &SHAPES
}

/// Sums that are being made up.
struct Sums<'a> {
    shape: &'a Shape,
    columns: Vec<u128>,
}

impl Sums<'_> {
    fn at(&self, column: usize, cell: usize) -> u128 {
        self.columns[column * self.shape.cells() + cell]
    }

    fn place(&mut self, column: u8, cell: u8) -> &mut u128 {
        let (column, cell) = (usize::from(column), usize::from(cell));
        let place = column % self.shape.guards() * self.shape.cells() + cell % self.shape.cells();
        &mut self.columns[place]
    }

    /// Adds persons who are in one cell, as three honest hospitals would.
    fn people(&mut self, cell: u8, persons: u8, first: u8) {
        for column in [0, 1] {
            let place = self.place(column, cell);
            *place = place.wrapping_add(u128::from(persons));
        }
        *self.place(2, cell) = 3;
        if self.shape.sketched() != Sketched::Cells {
            return;
        }
        let mut sketch = Sketch::default();
        for person in first..first.saturating_add(persons) {
            sketch.add(Mark::of(&[person.wrapping_mul(167); 16], &[person | 1; 16]));
        }
        let start = self.shape.sketches().start;
        for (index, more) in sketch.to_cells().into_iter().enumerate().take(SKETCH_COLUMNS) {
            let place =
                (start + index) * self.shape.cells() + usize::from(cell) % self.shape.cells();
            self.columns[place] = self.columns[place].wrapping_add(more);
        }
    }

    /// One order: what is to be done, and where; returns what follows it.
    fn order<'b>(&mut self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let ([order, column, cell, value], rest) = bytes.split_first_chunk()?;
        match order % 4 {
            0 => *self.place(*column, *cell) = u128::from(*value),
            1 => self.people(*cell, *value % 40, *column),
            2 => *self.place(*column, *cell) = 1 << (value % 128),
            _ => {
                let (number, rest) = rest.split_first_chunk()?;
                *self.place(*column, *cell) = u128::from_le_bytes(*number);
                return Some(rest);
            }
        }
        Some(rest)
    }
}

/// Makes sums from orders and judges them.
pub(crate) fn judged(bytes: &[u8]) {
    static KEY: LazyLock<GuardKey> =
        LazyLock::new(|| GuardSecret::new(Zeroizing::new([4; 32])).key(&[5; 32]));
    let Some((which, mut bytes)) = bytes.split_first() else { return };
    let shape = &shapes()[usize::from(*which) % shapes().len()];
    let columns = vec![0; shape.guards() * shape.cells()];
    let mut sums = Sums { shape, columns };
    for _ in 0..MOST_ORDERS {
        let Some(rest) = sums.order(bytes) else { break };
        bytes = rest;
    }
    let check = guard_check(&sums.columns, shape, &KEY);
    let guards = [sums.columns.as_slice(), &check].concat();
    let floor = Floor::of(&Policy::answering()).unwrap();
    let known = Known::default();
    let Ok(verdict) = judge(&guards, shape, &floor, &KEY, HOSPITALS, (&known, None)) else {
        return;
    };
    passes(&verdict, &sums, &floor);
    let opened = mask_sums(&verdict, shape, &[5; 32], &[]);
    assert_eq!(opened.places.len(), opened.verdicts.len());
}

/// What a verdict lets through is what the floor allows.
fn passes(verdict: &Verdict, sums: &Sums<'_>, floor: &Floor) {
    let minimum = u128::from(floor.persons.max(floor.stays));
    for (cell, bits) in verdict.cells.iter().enumerate() {
        if bits & 1 == 0 {
            assert_eq!(*bits, 0, "a measure of a group that is withheld");
            continue;
        }
        assert!(sums.at(0, cell) >= u128::from(floor.persons));
        assert!(sums.at(1, cell) >= u128::from(floor.stays));
        assert!(sums.at(2, cell) >= u128::from(floor.hospitals));
        let passing = (0..sums.shape.measures().len()).filter(|n| bits >> (n + 1) & 1 == 1);
        for column in passing.flat_map(|measure| sums.shape.supports(measure)) {
            let persons = sums.at(column, cell);
            assert!(persons == 0 || persons >= minimum, "{persons} stand behind a measure");
        }
    }
    if sums.shape.sketched() == Sketched::Cells {
        let told = verdict.cells.iter().filter(|bits| **bits & 1 == 1).count();
        assert!(verdict.told.len() >= told, "what was told will be known");
    }
}
