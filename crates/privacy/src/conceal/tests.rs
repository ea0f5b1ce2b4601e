//! An upload is uniform and of one length, and says nothing without the witness.

mod vectors;

use zeroize::Zeroizing;

use super::*;
use crate::fixture::{
    Fixture, Row, blank, costs_by, groups_of, hospital_key, no_floor, policy_of, stays, wire,
};
use crate::policy::Selectivity;
use crate::terms::Floor;

/// A round over enough cells for statistics: 1,024 of them.
fn wide(tag: u8) -> Fixture {
    let codes: Vec<String> = (0..1_023).map(|code| format!("{code:04}")).collect();
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    Fixture::new(costs_by(&codes), 3, no_floor(), tag)
}

/// A hospital with one stay in every code, of one cost: as far from random as data can be.
fn monotonous(cost: i128) -> Vec<Row> {
    (0..1_023).flat_map(|code| stays(&format!("{code:04}"), 0..1, cost)).collect()
}

fn cells(fixture: &Fixture, rows: &[Row]) -> Vec<u128> {
    let round = fixture.round(0);
    let groups = groups_of(rows, &fixture.request);
    let nobody = blank(&round, groups.len());
    lay_out(Partial::new(round.admitted().clone(), groups, nobody, 1_000, false), &round)
}

#[test]
fn two_data_sets_under_one_seed_differ_exactly_by_the_data() {
    let fixture = wide(1);
    let sets = [Vec::new(), monotonous(70_000), monotonous(-3), stays("0007", 0..40, 1 << 39)];
    for one in &sets {
        for other in &sets {
            let (a, b) = (fixture.upload(0, one), fixture.upload(0, other));
            let (x, y) = (cells(&fixture, one), cells(&fixture, other));
            let of_uploads = a.entries().iter().zip(b.entries()).map(|(a, b)| a.wrapping_sub(*b));
            let of_data = x.iter().zip(&y).map(|(x, y)| x.wrapping_sub(*y));
            assert!(of_uploads.eq(of_data));
        }
    }
    assert!(fixture.upload(0, &sets[0]).entries().iter().all(|entry| *entry != 0));
}

/// Pearson's chi-square of a column's bytes against the uniform distribution, 255 degrees of
/// freedom: mean 255, standard deviation 22.6.
fn chi_square(column: &[u128]) -> f64 {
    let mut counts = [0u32; 256];
    column.iter().flat_map(|cell| cell.to_le_bytes()).for_each(|b| counts[usize::from(b)] += 1);
    let bytes: u32 = counts.iter().sum();
    let expected = f64::from(bytes) / 256.0;
    counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum()
}

/// Standard deviations by which the number of ones in a column is off.
fn monobit(column: &[u128]) -> f64 {
    let ones: u32 = column.iter().map(|cell| cell.count_ones()).sum();
    let bits = f64::from(u32::try_from(column.len()).unwrap() * u128::BITS);
    (f64::from(ones) - bits / 2.0).abs() / (bits / 4.0).sqrt()
}

/// Bounds of five standard deviations: a uniform column is outside with probability 1e-6 (the
/// chi-square distribution being skewed, 2e-6), and the seeds here are fixed.
fn is_uniform(column: &[u128]) -> bool {
    (142.0..368.0).contains(&chi_square(column)) && monobit(column) < 5.0
}

#[test]
fn an_upload_is_uniform_in_every_column_and_an_unmasked_one_is_not() {
    let rows = monotonous(123_456);
    for tag in 1..=3 {
        let fixture = wide(tag);
        let upload = fixture.upload(0, &rows);
        let columns = upload.entries().chunks(fixture.terms.shape.cells());
        assert_eq!(columns.len(), fixture.terms.shape.columns());
        for (index, column) in columns.enumerate() {
            assert!(is_uniform(column), "column {index} of round {tag}");
        }
    }
    // The same tests on what would leave if masking failed, wholly or by half.
    let fixture = wide(1);
    let (bare, upload) = (cells(&fixture, &rows), fixture.upload(0, &rows));
    let cells = fixture.terms.shape.cells();
    let check = fixture.terms.shape.guards();
    for (index, (bare, masked)) in
        bare.chunks(cells).zip(upload.entries().chunks(cells)).enumerate()
    {
        let low: Vec<u128> = bare
            .iter()
            .zip(masked)
            .map(|(x, y)| x >> 64 << 64 | y & u128::from(u64::MAX))
            .collect();
        let half: Vec<u128> = [&masked[..cells / 2], &bare[cells / 2..]].concat();
        assert!(index == check || !is_uniform(bare), "column {index} unmasked");
        assert!(index == check || !is_uniform(&low), "column {index} masked in its lower half");
        assert!(index == check || !is_uniform(&half), "column {index} masked in half its cells");
    }
}

#[test]
fn uploads_of_one_data_set_under_two_seeds_have_nothing_in_common() {
    let rows = monotonous(5);
    let (first, second) = (wide(1), wide(2));
    let (a, b) = (first.upload(0, &rows), second.upload(0, &rows));
    let difference: Vec<u128> =
        a.entries().iter().zip(b.entries()).map(|(a, b)| a.wrapping_sub(*b)).collect();
    assert!(difference.chunks(first.terms.shape.cells()).all(is_uniform));
    // And two hospitals of one round with the same rows do not resemble each other either.
    let other = first.upload(1, &rows);
    let difference: Vec<u128> =
        a.entries().iter().zip(other.entries()).map(|(a, b)| a.wrapping_sub(*b)).collect();
    assert!(difference.chunks(first.terms.shape.cells()).all(is_uniform));
}

#[test]
fn an_upload_has_one_length_whatever_the_hospital_holds() {
    let fixture = wide(1);
    let nothing = fixture.upload(0, &[]);
    assert_eq!(nothing.entries().len() * CELL_BYTES, fixture.terms.shape.bytes());
    for rows in [stays("0001", 0..1, 5), monotonous(i128::from(i32::MAX)), stays("?", 0..9, 1)] {
        assert_eq!(fixture.upload(0, &rows).entries().len(), nothing.entries().len());
    }
}

#[test]
fn a_small_selection_uploads_exactly_what_an_empty_hospital_does() {
    let mut fixture = wide(1);
    fixture.policy.selectivity = Selectivity { persons: 20 };
    let round = fixture.round(0);
    let upload = |rows: &[Row], selected, selective| {
        let groups = groups_of(rows, &fixture.request);
        let nobody = blank(&round, groups.len());
        let partial = Partial::new(round.admitted().clone(), groups, nobody, selected, selective);
        conceal(partial, &round, &fixture.seed(0)).unwrap().hash()
    };
    let empty = upload(&[], 0, true);
    assert_eq!(upload(&stays("0001", 0..19, 7), 19, true), empty);
    assert_ne!(upload(&stays("0001", 0..20, 7), 20, true), empty);
    assert_ne!(upload(&stays("0001", 0..19, 7), 19, false), empty, "no selection");
}

#[test]
fn groups_below_the_local_minimum_are_left_out_whole() {
    let mut fixture = Fixture::new(costs_by(&["a", "b"]), 3, no_floor(), 1);
    fixture.policy.pooled.local_minimum = 3;
    let rows = [stays("a", 0..3, 7), stays("b", 0..2, 9)].concat();
    assert_eq!(cells(&fixture, &rows), cells(&fixture, &stays("a", 0..3, 7)));
    // Four stays of two persons: both counts have to reach it.
    let repeated = [stays("b", 0..2, 9), stays("b", 0..2, 9)].concat();
    assert!(cells(&fixture, &repeated).iter().all(|cell| *cell == 0));
}

#[test]
fn counts_are_told_up_to_the_stricter_minimum_and_rows_in_full() {
    let floor = Floor { persons: 11, stays: 13, hospitals: 3, dominance_e4: 5_625 };
    let mut fixture = Fixture::new(costs_by(&["a"]), 3, floor, 1);
    fixture.policy = policy_of(no_floor());
    let (cells, shape) = (cells(&fixture, &stays("a", 0..500, 7)), &fixture.terms.shape);
    let at = |column: usize| cells[column * shape.cells() + fixture.place(&[Some("a")])];
    assert_eq!([at(0), at(1), at(2)], [13, 13, 1]);
    assert_eq!(shape.supports(1).map(at).collect::<Vec<_>>(), [13, 0, 13]);
    assert_eq!(at(shape.value_columns(0).0.start), 500);
}

#[test]
fn a_hospital_is_one_contributor_however_often_it_names_a_group() {
    // A kernel that did not merge the codes of one place must not look like two hospitals.
    let fixture = Fixture::new(costs_by(&["a"]), 3, no_floor(), 1);
    let mut groups = groups_of(&stays("a", 0..4, 7), &fixture.request);
    groups.push(groups[0].clone());
    let round = fixture.round(0);
    let nobody = blank(&round, groups.len());
    let partial = Partial::new(round.admitted().clone(), groups, nobody, 1_000, false);
    let cells = lay_out(partial, &round);
    let shape = &fixture.terms.shape;
    assert_eq!(cells[2 * shape.cells() + fixture.place(&[Some("a")])], 1);
}

#[test]
fn the_hash_is_that_of_the_bytes_that_travel() {
    let fixture = Fixture::new(costs_by(&["a"]), 3, no_floor(), 1);
    let upload = fixture.upload(0, &stays("a", 0..4, 7));
    assert_eq!(upload.hash(), upload_hash(&wire(&upload)));
    assert_ne!(upload.hash(), fixture.upload(1, &stays("a", 0..4, 7)).hash());
    assert_eq!(format!("{upload:?}"), format!("Concealed({} entries)", upload.entries().len()));
}

#[test]
fn a_receipt_is_for_one_round_one_request_one_upload_and_one_seed() {
    let key = hospital_key(0);
    let receipt = Receipt { sid: [1; 32], request: [2; 32], upload: [3; 32], sealed: [4; 32] };
    let signature = receipt.sign(&key);
    assert_eq!(receipt.verify(&key.verify_key(), &signature), Ok(()));
    let changes: [fn(&mut Receipt); 5] = [
        |r| r.sid[0] ^= 1,
        |r| r.request[0] ^= 1,
        |r| r.upload[0] ^= 1,
        |r| r.sealed[0] ^= 1,
        |r| std::mem::swap(&mut r.upload, &mut r.sealed),
    ];
    for change in changes {
        let mut other = receipt;
        change(&mut other);
        assert!(other.verify(&key.verify_key(), &signature).is_err());
    }
    assert!(receipt.verify(&hospital_key(1).verify_key(), &signature).is_err());
}

#[test]
fn a_sealed_seed_is_bound_to_round_hospital_and_upload() {
    let bind = |sid: u8, hospital: &str, upload: u8| {
        seed_binding(&[sid; 32], &hospital.parse().unwrap(), &[upload; 32])
    };
    let all = [bind(1, "h", 1), bind(2, "h", 1), bind(1, "i", 1), bind(1, "h", 2)];
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
    let guard =
        |roster: u8, hospital: &str| guard_binding(&[roster; 32], &hospital.parse().unwrap());
    assert!(guard(1, "h") != guard(2, "h") && guard(1, "h") != guard(1, "i"));
    assert!(Seed::from_slice(&[0; 31]).is_none());
    let seed = Seed::new(Zeroizing::new([5; 32]));
    assert_eq!(Seed::from_slice(seed.as_bytes()).unwrap().as_bytes(), &[5; 32]);
}
