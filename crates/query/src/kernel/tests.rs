//! Cells of the kernel against sums taken by hand, and independence of partition and order.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, DictionaryArray, Float64Array, UInt32Array,
};
use arrow::datatypes::{Field, Schema};
use model::moments::Scale;

use super::*;

fn spec() -> Spec {
    Spec {
        dimensions: 2,
        inputs: vec![
            Input { scale: Scale::Decimal(4), bound: 1_000_000 },
            Input { scale: Scale::Binary(40), bound: 8 << 40 },
        ],
        branches: 0,
        branches_of: vec![Vec::new(); 5],
        measures: vec![
            Measure::Rows,
            Measure::Squares(0),
            Measure::Squares(1),
            Measure::Products(1, 1),
            Measure::Persons,
        ],
        cap: 3,
        selectivity: 4,
        one_row_per_stay: false,
    }
}

type Row = (Option<&'static str>, bool, Option<i128>, Option<f64>, u32);

fn batch(rows: &[Row]) -> RecordBatch {
    let code: DictionaryArray<Int32Type> = rows.iter().map(|r| r.0).collect();
    let flag: BooleanArray = rows.iter().map(|r| Some(r.1)).collect();
    let cost: Decimal128Array = rows.iter().map(|r| r.2).collect();
    let ratio: Float64Array = rows.iter().map(|r| r.3).collect();
    let persons: UInt32Array = rows.iter().map(|r| Some(r.4)).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(code),
        Arc::new(flag),
        Arc::new(cost.with_precision_and_scale(18, 4).unwrap()),
        Arc::new(ratio),
        Arc::new(persons.clone()),
        Arc::new(persons),
    ];
    let fields = columns
        .iter()
        .enumerate()
        .map(|(i, c)| Field::new(format!("c{i}"), c.data_type().clone(), true));
    RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns).unwrap()
}

use arrow::datatypes::Int32Type;

const ROWS: &[Row] = &[
    (Some("A"), true, Some(10_000), Some(0.5), 1),
    (Some("A"), true, Some(-5_000), None, 1),
    (Some("A"), true, None, Some(-1.25), 2),
    (None, false, Some(7), Some(f64::NAN), 3),
    (Some("A"), true, Some(2_000_000), Some(0.0), 4),
    (Some("B"), true, Some(1), Some(100.0), 5),
];

fn sorted(kernel: Kernel) -> Vec<PartialGroup> {
    let mut groups = kernel.into_groups();
    groups.sort_by(|a, b| a.key.cmp(&b.key));
    groups
}

#[test]
fn cells_are_exact_clamped_and_rounded_once() {
    let mut kernel = Kernel::new(spec());
    kernel.add(&batch(ROWS)).unwrap();
    assert_eq!(kernel.selected_persons(), 4, "counted up to the floor, not beyond");
    let groups = sorted(kernel);
    let a = &groups[1];
    assert_eq!(a.key, [Some("A".to_owned()), Some("true".to_owned())]);
    assert_eq!((a.rows, a.persons), (4, 3));
    // Cost: 1.0000 − 0.5000 + 200 clamped to 100.
    assert_eq!(
        a.cells[1..4],
        [3, 10_000 - 5_000 + 1_000_000, 100_000_000 + 25_000_000 + 10i128.pow(12)]
    );
    let one = 1i128 << 40;
    assert_eq!(a.cells[4..7], [3, one / 2 - one - one / 4, one / 4 + one + one / 2 + one / 16]);
    assert_eq!(a.cells[7..13], [3, a.cells[5], a.cells[5], a.cells[6], a.cells[6], a.cells[6]]);
    assert_eq!(a.cells[13], 3, "distinct persons");
    // With a value, other than zero, without a value.
    assert_eq!(a.supports[2].sets(), [3, 2, 1, 0]);
    assert_eq!((groups[0].key[0].as_ref(), groups[0].cells[4]), (None, 0), "NaN is absent");
    assert_eq!(groups[2].cells[5], 8 * one, "100 is clamped to the bound of 8");
}

#[test]
fn any_partition_in_any_order_gives_the_same_bits() {
    let mut whole = Kernel::new(spec());
    whole.add(&batch(ROWS)).unwrap();
    let whole = sorted(whole);
    for cut in 0..=ROWS.len() {
        let (left, right) = ROWS.split_at(cut);
        let (mut a, mut b) = (Kernel::new(spec()), Kernel::new(spec()));
        for row in right.iter().rev() {
            a.add(&batch(&[*row])).unwrap();
        }
        b.add(&batch(left)).unwrap();
        a.merge(b).unwrap();
        assert_eq!(sorted(a), whole, "cut at {cut}");
    }
}

#[test]
fn a_column_of_another_type_is_an_error_not_a_guess() {
    let mut spec = spec();
    spec.inputs[0].scale = Scale::Decimal(2);
    assert_eq!(Kernel::new(spec).add(&batch(ROWS)), Err(KernelError::Type));
}
