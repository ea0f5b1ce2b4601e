//! Cells of the kernel against sums taken by hand, and independence of partition and order.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, DictionaryArray, Float64Array, Int32Array,
    StringArray, TimestampSecondArray, UInt32Array,
};
use arrow::datatypes::{Field, Schema};
use model::moments::Scale;
use privacy::domain::bucket;
use privacy::dominance::Shares;
use privacy::{Domain, Dominance};

use super::*;

fn spec() -> Spec {
    Spec {
        dimensions: 2,
        places: Arc::from([]),
        inputs: vec![
            Input { scale: Scale::Decimal(4), bound: 1_000_000, money: true },
            Input { scale: Scale::Binary(40), bound: 8 << 40, money: false },
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
        grids: BTreeMap::new(),
        cap: 3,
        selectivity: 4,
        shares: Some(Totalled { rule: Dominance::default(), most: vec![None; 2] }),
        one_row_per_stay: false,
        marks: None,
        part_marks: None,
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
    let mut groups = kernel.into_parts().unwrap().0;
    groups.sort_by(|a, b| a.key.cmp(&b.key));
    groups
}

#[test]
fn cells_are_exact_clamped_and_rounded_once() {
    let mut kernel = Kernel::new(spec()).unwrap();
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
    // Person 1 paid 1.5000 in absolute amounts; what is not money has no shares.
    let largest = [Some((4, 1_000_000)), Some((1, 15_000))];
    assert_eq!(a.supports[1].shares(), [Shares { total: 1_015_000, largest }]);
    assert!(a.supports[2].shares().is_empty());
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
fn a_large_total_needs_no_persons_and_a_small_one_does() {
    // Nobody has more than 1,000,000 of any sum; from 2,352,942 on, two of those are at most 85 %.
    let judged = || Totalled { rule: Dominance::default(), most: vec![Some(1_000_000), None] };
    let rows = |count: u32| -> Vec<Row> {
        (0..count).map(|person| (Some("A"), true, Some(100_000), None, person)).collect()
    };
    let shares = |rows: &[Row], cut: usize| {
        let spec = || Spec { shares: Some(judged()), ..spec() };
        let (mut a, mut b) = (Kernel::new(spec()).unwrap(), Kernel::new(spec()).unwrap());
        a.add(&batch(&rows[..cut])).unwrap();
        b.add(&batch(&rows[cut..])).unwrap();
        a.merge(b).unwrap();
        sorted(a).remove(0).supports[1].shares()[0].clone()
    };
    for cut in [0, 3, 20, 23] {
        let few = shares(&rows(23), cut);
        assert_eq!(
            few,
            Shares { total: 2_300_000, largest: [Some((0, 100_000)), Some((1, 100_000))] }
        );
        let many = shares(&rows(24), cut);
        assert_eq!((many.total, many.largest[0].map(|one| one.1)), (2_400_000, Some(1_000_000)));
        assert!(Dominance::default().allows(&many));
    }
}

#[test]
fn any_partition_in_any_order_gives_the_same_bits() {
    let mut whole = Kernel::new(spec()).unwrap();
    whole.add(&batch(ROWS)).unwrap();
    let whole = sorted(whole);
    for cut in 0..=ROWS.len() {
        let (left, right) = ROWS.split_at(cut);
        let (mut a, mut b) = (Kernel::new(spec()).unwrap(), Kernel::new(spec()).unwrap());
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
    assert_eq!(Kernel::new(spec).unwrap().add(&batch(ROWS)), Err(KernelError::Type));
}

/// A kernel that only counts groups of `dimensions` over `domains`.
fn counting(dimensions: usize, domains: &[Domain]) -> Kernel {
    Kernel::new(Spec {
        dimensions,
        places: domains.iter().map(Domain::places).collect(),
        inputs: Vec::new(),
        branches: 0,
        branches_of: Vec::new(),
        measures: Vec::new(),
        grids: BTreeMap::new(),
        cap: 100,
        selectivity: 100,
        shares: None,
        one_row_per_stay: false,
        marks: None,
        part_marks: None,
    })
    .unwrap()
}

/// One row per person given, each a stay of its own.
fn keyed(dimensions: Vec<ArrayRef>, persons: &[u32]) -> RecordBatch {
    let stays: UInt32Array = (0..).take(persons.len()).map(Some).collect();
    let mut columns = dimensions;
    columns.extend([Arc::new(UInt32Array::from(persons.to_vec())) as ArrayRef, Arc::new(stays)]);
    let field =
        |(i, c): (usize, &ArrayRef)| Field::new(format!("c{i}"), c.data_type().clone(), true);
    let fields: Vec<_> = columns.iter().enumerate().map(field).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn persons_of(kernel: Kernel) -> Vec<(Option<String>, u64, u64)> {
    let groups = sorted(kernel).into_iter();
    groups.map(|group| (group.key[0].clone(), group.rows, group.persons)).collect()
}

#[test]
fn a_person_with_two_rare_codes_is_one_person_of_the_others() {
    let domain = Domain::open(vec!["A".into(), "B".into()], true).unwrap();
    let codes = [Some("A"), Some("X"), Some("Y"), None, Some("Z"), Some("OTHER"), Some("A")];
    let persons = [1, 7, 7, 7, 8, 8, 7];
    let text = Arc::new(StringArray::from_iter(codes)) as ArrayRef;
    let dictionary = Arc::new(DictionaryArray::<Int32Type>::from_iter(codes)) as ArrayRef;
    let expected = [
        (None, 1, 1),
        (Some("A".to_owned()), 2, 2),
        // X, Y of person 7; Z and a code that is really called so of person 8.
        (Some("OTHER".to_owned()), 4, 2),
    ];
    for column in [text, dictionary] {
        let mut whole = counting(1, std::slice::from_ref(&domain));
        whole.add(&keyed(vec![Arc::clone(&column)], &persons)).unwrap();
        assert_eq!(persons_of(whole), expected);
        for cut in 0..=persons.len() {
            let batch = keyed(vec![Arc::clone(&column)], &persons);
            let (mut a, mut b) = (
                counting(1, std::slice::from_ref(&domain)),
                counting(1, std::slice::from_ref(&domain)),
            );
            a.add(&batch.slice(0, cut)).unwrap();
            b.add(&batch.slice(cut, persons.len() - cut)).unwrap();
            a.merge(b).unwrap();
            assert_eq!(persons_of(a), expected, "cut at {cut}");
        }
    }
}

#[test]
fn values_of_every_type_meet_the_list_in_their_written_form() {
    let month = 1_704_067_200;
    let times = Arc::new(TimestampSecondArray::from(vec![Some(month), Some(month + 1), None]));
    let numbers = Arc::new(Int32Array::from(vec![Some(-2), Some(7), None]));
    let flags = Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]));
    let listed = |code: &str, text| Domain::open(vec![code.to_owned()], text).unwrap();
    let closed = Domain::closed(vec!["false".into(), "true".into()]).unwrap();
    let columns: [(ArrayRef, Domain, [&str; 2]); 3] = [
        (times, listed("1704067200", false), ["1704067200", "OTHER"]),
        (numbers, listed("-2", false), ["-2", "OTHER"]),
        (flags, closed, ["true", "false"]),
    ];
    for (column, domain, labels) in columns {
        let places = domain.places();
        let mut kernel = counting(1, &[domain]);
        kernel.add(&keyed(vec![column], &[1, 2, 3])).unwrap();
        let keys: Vec<_> = persons_of(kernel).into_iter().map(|(key, ..)| key).collect();
        assert_eq!(keys.len(), 3);
        for label in [None, Some(labels[0]), Some(labels[1])] {
            assert!(keys.contains(&label.map(str::to_owned)), "{label:?} in {keys:?}");
            assert!(places.of_label(label).is_some());
        }
    }
}

#[test]
fn a_bucket_counts_a_person_with_two_of_its_codes_once() {
    let (salt, bits) = ([9; 32], 3);
    let domain = Domain::Buckets { bits, level: 0, salt };
    let codes: Vec<String> = (0..200).map(|n| format!("C{n}")).collect();
    // Every person has two codes of their bucket, half of them in another partition.
    let bucket_of = |code: &str| bucket(&salt, Some(code), bits);
    let persons: Vec<u32> = codes
        .iter()
        .scan([0u32; 8], |seen, code| {
            let place = bucket_of(code);
            seen[place] += 1;
            Some(u32::try_from(place).unwrap() * 1_000 + (seen[place] - 1) / 2)
        })
        .collect();
    let column = |from, to| Arc::new(StringArray::from_iter_values(&codes[from..to])) as ArrayRef;
    let (mut a, mut b) =
        (counting(1, std::slice::from_ref(&domain)), counting(1, std::slice::from_ref(&domain)));
    a.add(&keyed(vec![column(0, 77)], &persons[..77])).unwrap();
    a.add(&keyed(vec![Arc::new(StringArray::new_null(50))], &[5; 50])).unwrap();
    b.add(&keyed(vec![column(77, 200)], &persons[77..])).unwrap();
    a.merge(b).unwrap();
    let groups = persons_of(a);
    assert_eq!(groups.len(), 8, "and none for NULL, which is not a code");
    for (label, rows, persons) in groups {
        let place = domain.places().of_label(label.as_deref()).unwrap();
        let own = codes.iter().filter(|code| bucket_of(code) == place).count() as u64;
        assert_eq!((rows, persons), (own, own.div_ceil(2)), "bucket {place}");
    }
}

#[test]
fn rows_without_a_place_are_in_no_group_and_disturb_none() {
    let closed = Domain::closed(vec!["A".into()]).unwrap();
    let open = Domain::open(vec!["1".into()], false).unwrap();
    let domains = [closed, open];
    let letters = [Some("A"), Some("B"), None, Some("A"), Some("B")];
    let numbers = [Some(1), Some(1), Some(2), Some(3), None];
    let batch = keyed(
        vec![Arc::new(StringArray::from_iter(letters)), Arc::new(Int32Array::from_iter(numbers))],
        &[1, 2, 3, 4, 5],
    );
    let mut a = counting(2, &domains);
    a.add(&batch.slice(1, 1)).unwrap();
    let mut b = counting(2, &domains);
    b.add(&batch).unwrap();
    a.merge(b).unwrap();
    let keys: Vec<_> = sorted(a).into_iter().map(|group| (group.key, group.rows)).collect();
    let key = |a: Option<&str>, b: Option<&str>| vec![a.map(str::to_owned), b.map(str::to_owned)];
    let expected = [
        (key(None, Some("OTHER")), 1),
        (key(Some("A"), Some("1")), 1),
        (key(Some("A"), Some("OTHER")), 1),
    ];
    assert_eq!(keys, expected);
}

#[test]
fn too_many_codes_of_a_combined_dimension_never_fall_together() {
    // Packed into 16 bits each, (1, 0) and (0, 65536) would be one group.
    let many: Vec<String> = (0..70_000).map(|n| n.to_string()).collect();
    let column = Arc::new(StringArray::from_iter_values(&many)) as ArrayRef;
    let persons = vec![1; many.len()];
    let batch = keyed(vec![Arc::clone(&column), column], &persons);
    assert_eq!(counting(2, &[]).add(&batch), Err(KernelError::TooManyGroups));
}

#[test]
fn bins_count_rows_and_each_person_once_whatever_the_partitions() {
    let days = Input { scale: Scale::Decimal(0), bound: 3_660, money: false };
    let column = model::schema::table("stay").unwrap().column("los_days").unwrap();
    let grid = crate::grid::Grid::of(column, &days).unwrap();
    let measure = grid.measure(0).unwrap();
    let kernel = || {
        Kernel::new(Spec {
            dimensions: 0,
            places: Arc::from([]),
            inputs: vec![days],
            branches: 0,
            branches_of: vec![Vec::new()],
            measures: vec![measure],
            grids: BTreeMap::from([(0, grid.clone())]),
            cap: 3,
            selectivity: 4,
            shares: None,
            one_row_per_stay: true,
            marks: None,
            part_marks: None,
        })
        .unwrap()
    };
    // Person 9 stays one day and three; five persons stay three days, and one is not known.
    let rows = [
        (9, Some(1)),
        (9, Some(3)),
        (1, Some(3)),
        (2, Some(3)),
        (3, Some(3)),
        (4, Some(3)),
        (5, Some(3)),
        (6, None),
    ];
    let batch = |rows: &[(u32, Option<i32>)]| {
        let values: ArrayRef = Arc::new(Int32Array::from_iter(rows.iter().map(|row| row.1)));
        let persons: Vec<u32> = rows.iter().map(|row| row.0).collect();
        keyed(vec![values], &persons)
    };
    let whole = |parts: &[&[(u32, Option<i32>)]]| {
        let mut parts = parts.iter().map(|part| {
            let mut kernel = kernel();
            kernel.add(&batch(part)).unwrap();
            kernel
        });
        let mut first = parts.next().unwrap();
        parts.for_each(|part| first.merge(part).unwrap());
        first.into_parts().unwrap().0.remove(0)
    };
    let group = whole(&[&rows]);
    assert_eq!((group.cells[0], group.cells[1], group.cells[2]), (1, 0, 6));
    // Three of the six of day 3 are known, the smallest keys; person 9 counts on day 1.
    assert_eq!(group.bins[..4], [1, 0, 3, 0]);
    assert_eq!(group.supports[0].sets()[..3], [3, 0, 1], "with a value, -, without one");
    let without = Spec { grids: BTreeMap::new(), ..kernel().spec };
    assert!(matches!(Kernel::new(without), Err(KernelError::Type)), "no bins, no histogram");
    for cut in 1..rows.len() {
        let (front, back) = rows.split_at(cut);
        assert_eq!(whole(&[back, front]), group, "cut at {cut}");
    }
}
