//! The overflow proof at its edge: as many hospitals, rows and units as there may be.

use model::moments::Scale;

use crate::fixture::{Fixture, request_of, wire};
use crate::measure::{HOSPITALS_CAP, Input, Measure, ROWS_CAP};
use crate::partial::PartialGroup;
use crate::reveal::Total;
use crate::terms::Floor;

/// The regional sums of `cells` that every hospital of the largest region holds alike, under a
/// rule of dominance that all must pass.
fn largest(bound_bits: u32, measure: Measure, cells: &[i128]) -> Vec<i128> {
    let input = Input { scale: Scale::Decimal(0), bound: 1 << bound_bits, money: true };
    let floor = Floor { persons: 1_000, stays: 1_000, hospitals: 1_000, dominance_e4: 10 };
    let request = request_of(Vec::new(), vec![input], vec![measure]);
    let fixture = Fixture::new(request, HOSPITALS_CAP, floor, 1);
    let group = PartialGroup {
        key: Vec::new(),
        rows: ROWS_CAP,
        stays: ROWS_CAP,
        persons: ROWS_CAP,
        cells: cells.to_vec(),
        supports: vec![[ROWS_CAP, 0, ROWS_CAP].into_iter().collect()],
        bins: Vec::new(),
    };
    let mut total = Total::new(&fixture.terms.shape);
    for hospital in 0..HOSPITALS_CAP {
        total.add(&wire(&fixture.upload_groups(hospital, vec![group.clone()]))).unwrap();
    }
    let everybody: Vec<usize> = (0..HOSPITALS_CAP).collect();
    let shape = &fixture.terms.shape;
    let verdict = fixture.judge(total.witnessed(shape), &everybody).unwrap();
    assert_eq!(verdict.cells, [0b11], "1,024 equal hospitals share evenly");
    let seeds = fixture.seeds(&everybody);
    let opened = crate::open::mask_sums(&verdict, shape, &fixture.terms.sid(), &seeds);
    let mut combined = fixture.reveal(&total, &opened).unwrap();
    assert_eq!(combined.released_rows, ROWS_CAP * HOSPITALS_CAP as u64);
    combined.groups.remove(&Vec::new()).unwrap().cells
}

#[test]
fn the_largest_sums_of_the_largest_region_come_back_to_the_bit() {
    let (rows, everybody) = (i128::from(ROWS_CAP), HOSPITALS_CAP as i128);
    for sign in [1, -1] {
        let sum = (sign * rows) << 85;
        let cells = largest(85, Measure::Sum(0), &[rows, sum]);
        assert_eq!(cells, [rows * everybody, sum * everybody]);
        assert_eq!(cells[1].unsigned_abs(), 1 << 125);
    }
}

#[test]
fn the_largest_squares_come_back_to_the_bit() {
    let (rows, everybody) = (i128::from(ROWS_CAP), HOSPITALS_CAP as i128);
    let (sum, squares) = (-rows << 42, rows << 84);
    let cells = largest(42, Measure::Squares(0), &[rows, sum, squares]);
    assert_eq!(cells, [rows * everybody, sum * everybody, squares * everybody]);
}
