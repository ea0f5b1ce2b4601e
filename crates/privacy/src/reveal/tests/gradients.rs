//! Sums of gradients through a whole round: runs hold the minimum of both siblings, and lies show.

use model::glm::{Family, Transform};

use super::*;
use crate::fixture::wire;
use crate::growth::{Asked, Feature, Growth, GrowthAsk, Split};
use crate::open::{Opened, mask_sums};
use crate::partial::{PartialGroup, Support};
use crate::request::StepParts;
use crate::reveal::{RevealError, Total};
use crate::step::{Number, Response};
use crate::{Combined, Scope};

const FLOOR: Floor = Floor { persons: 11, stays: 11, hospitals: 3, dominance_e4: 10_000 };
const BINS: usize = 4;

/// The left child of a root that was split by its only feature, which has four bins.
fn request() -> ReleaseRequest {
    let days = Input { scale: Scale::Decimal(0), bound: 60, money: false };
    let growth = Growth {
        factors: Vec::new(),
        features: vec![Feature::Number(0, vec![1.0, 2.0, 3.0])],
        response: Response::Number(Number { input: 1, transform: Transform::Identity }),
        unit: 1.0,
        family: Family::Poisson,
        planned: 1,
        start: 0.0,
        trees: Vec::new(),
        splits: vec![Some(Split { feature: 0, bin: 1 })],
        ask: GrowthAsk::Nodes(vec![Asked { node: 1, ends: Vec::new() }]),
    };
    let parts = StepParts {
        scope: Scope::Pooled,
        asker: "ana".into(),
        relation_sql: String::new(),
        inputs: vec![days, days],
        fitting: growth.into(),
    };
    ReleaseRequest::try_from(parts).unwrap()
}

/// What one hospital adds: persons of the node and of its sibling in each bin, one stay each, whose
/// gradients are the bin's number less 2, and whose second derivatives are 1.
fn group(own: [u64; BINS], beside: [u64; BINS]) -> PartialGroup {
    let rows = own.map(i128::from);
    let gradients = (0i128..).zip(rows).map(|(bin, rows)| (bin - 2) * rows);
    let sum = own.iter().sum();
    PartialGroup {
        key: vec![Some("0".into())],
        rows: sum,
        stays: sum,
        persons: sum,
        cells: rows.into_iter().chain(gradients).chain(rows).collect(),
        supports: vec![[0, beside.iter().sum()].into_iter().collect::<Support>()],
        bins: own.into_iter().chain(beside).collect(),
    }
}

fn opened(fixture: &Fixture, groups: &[PartialGroup]) -> (Total, Opened) {
    let shape = &fixture.terms.shape;
    let mut total = Total::new(shape);
    for (hospital, group) in groups.iter().enumerate() {
        let upload = fixture.upload_groups(hospital, vec![group.clone()]);
        total.add(&wire(&upload)).unwrap();
    }
    let all: Vec<usize> = (0..groups.len()).collect();
    let verdict = fixture.judge(total.witnessed(shape), &all).unwrap();
    let seeds = fixture.seeds(&all);
    let opened = mask_sums(&verdict, shape, &fixture.terms.sid(), &seeds);
    (total, opened)
}

fn told(groups: &[PartialGroup]) -> Combined {
    let fixture = Fixture::new(request(), groups.len(), FLOOR, 1);
    let (total, opened) = opened(&fixture, groups);
    fixture.reveal(&total, &opened).unwrap()
}

fn cells(combined: &Combined) -> Vec<i128> {
    let group = combined.groups.values().next().unwrap();
    assert_eq!(group.withheld, [false]);
    group.cells.clone()
}

#[test]
fn runs_hold_the_minimum_of_both_siblings() {
    const J: i128 = JOINED;
    // The node has enough in every bin; its sibling only up to the second and above.
    let groups = vec![group([5, 5, 5, 5], [1, 3, 2, 4]); 3];
    let expected = [J, 30, J, 30, 0, -45, 0, 15, 0, 30, 0, 30];
    assert_eq!(cells(&told(&groups)), expected);
    // The other way round it is the same.
    let groups = vec![group([1, 3, 2, 4], [5, 5, 5, 5]); 3];
    assert_eq!(cells(&told(&groups))[..BINS], [J, 12, J, 18]);
    // What is left at the top joins the last run.
    let groups = vec![group([4, 4, 4, 1], [4, 4, 4, 1]); 3];
    assert_eq!(cells(&told(&groups))[..BINS], [12, 12, J, 15]);
}

#[test]
fn bins_of_too_few_hospitals_are_joined() {
    let mut groups = vec![group([9, 0, 9, 9], [9; BINS]); 3];
    groups[0] = group([9, 90, 9, 9], [9; BINS]);
    assert_eq!(cells(&told(&groups))[..BINS], [27, JOINED, 117, 27]);
}

#[test]
fn a_node_beside_few_tells_nothing() {
    // Two patients went right: the left child is the parent but for them, and so is its number of rows.
    let mut groups = vec![group([9; BINS], [0; BINS]); 3];
    groups[1] = group([9; BINS], [0, 1, 1, 0]);
    let combined = told(&groups);
    assert!(combined.groups.is_empty());
    assert_eq!((combined.withheld_rows, combined.withheld_rows_known), (0, false));
    // The same when they are where nobody went left.
    let mut groups = vec![group([9; BINS], [0; BINS]); 4];
    groups[3] = group([0; BINS], [0, 5, 0, 0]);
    assert!(told(&groups).groups.is_empty());
    groups[3] = group([0; BINS], [0; BINS]);
    assert_eq!(told(&groups).groups.len(), 1, "and nobody went right");
    // And a node of few is no group at all.
    let groups = vec![self::group([1, 1, 1, 0], [9; BINS]); 3];
    assert!(told(&groups).groups.is_empty());
}

#[test]
fn a_hospital_without_the_node_is_no_contributor() {
    let mut groups = vec![group([0; BINS], [20; BINS]); 3];
    groups[0] = group([20; BINS], [20; BINS]);
    groups[1] = group([20; BINS], [20; BINS]);
    assert!(told(&groups).groups.is_empty(), "two hospitals have it, and three are asked for");
}

#[test]
fn gradients_of_a_few_that_are_out_of_bounds_take_the_node_with_them() {
    let mut groups = vec![group([9; BINS], [9; BINS]); 3];
    assert_eq!(told(&groups).groups.len(), 1);
    groups[2].supports = vec![[1, 36].into_iter().collect::<Support>()];
    assert!(told(&groups).groups.is_empty());
}

#[test]
fn a_minimum_of_one_opens_every_bin() {
    let floor = Floor { persons: 1, stays: 1, hospitals: 1, ..FLOOR };
    let fixture = Fixture::new(request(), 3, floor, 2);
    let (total, opened) = opened(&fixture, &vec![group([1, 0, 2, 0], [0, 0, 1, 0]); 3]);
    let combined = fixture.reveal(&total, &opened).unwrap();
    assert_eq!(cells(&combined), [3, 0, 6, 0, -6, 0, 0, 0, 3, 0, 6, 0]);
}

#[test]
fn a_witness_cannot_move_gradients() {
    let fixture = Fixture::new(request(), 3, FLOOR, 3);
    let (total, opened) = opened(&fixture, &vec![group([5; BINS], [5; BINS]); 3]);
    assert!(fixture.reveal(&total, &opened).is_ok());
    // Rows of the group and their check, then of each of four runs rows, both sums and the check.
    assert_eq!(opened.masks.len(), 2 + 4 * 4);
    for (from, to) in [(3, 7), (4, 8), (3, 4), (2, 3), (4, 5), (7, 3)] {
        let mut lying = opened.clone();
        lying.masks[from] = lying.masks[from].wrapping_add(1);
        lying.masks[to] = lying.masks[to].wrapping_sub(1);
        assert_eq!(fixture.reveal(&total, &lying), Err(RevealError::Check), "{from} to {to}");
    }
    let changes: [fn(&mut Opened); 3] = [
        |opened| opened.runs[0] = false,
        |opened| *opened.runs.last_mut().unwrap() = false,
        |opened| opened.runs.push(true),
    ];
    for change in changes {
        let mut lying = opened.clone();
        change(&mut lying);
        assert!(fixture.reveal(&total, &lying).is_err());
    }
}

#[test]
fn gradients_beyond_their_bounds_are_not_believed() {
    let fixture = Fixture::new(request(), 3, FLOOR, 4);
    let mut groups = vec![group([5; BINS], [5; BINS]); 3];
    // A hospital knows the round key, so its check fits whatever it uploads.
    groups[0].cells[BINS] = 1 << 60;
    let (total, opened) = opened(&fixture, &groups);
    assert_eq!(fixture.reveal(&total, &opened), Err(RevealError::Check));
}
