//! What each authority sees, and what it cannot tell from that.

use std::collections::BTreeSet;

use super::*;
use crate::fixture::{Opening, columns_of, money, request_of};

/// Guards of every cell without the blinded ones, which depend on the key of the round.
fn multiset(fixture: &Fixture, data: &[Vec<Row>]) -> Vec<Vec<u128>> {
    let shape = &fixture.terms.shape;
    let total = fixture.total(data, &all(data));
    let guards = fixture.guards(total.witnessed(shape), &all(data));
    let blinded = shape.dominance(1);
    let plain = |column: &usize| !blinded.contains(column) && *column < shape.guards();
    let cell = |place| {
        (0..shape.guards()).filter(plain).map(|c| guards[c * shape.cells() + place]).collect()
    };
    let mut cells: Vec<Vec<u128>> = (0..shape.cells()).map(cell).collect();
    cells.sort_unstable();
    cells
}

#[test]
fn the_witness_sees_counts_without_labels() {
    // The same groups under other codes: the witness sees the same counts, in an order that the
    // round key decides.
    let data = data();
    let relabelled = |from: &Row| {
        let code = from.codes[0].as_deref().map(|code| match code {
            "a" => "d",
            "b" => "a",
            other => other,
        });
        Row { codes: vec![code.map(Into::into)], ..from.clone() }
    };
    let other: Vec<Vec<Row>> =
        data.iter().map(|rows| rows.iter().map(relabelled).collect()).collect();
    let seen = multiset(&fixture(1), &data);
    assert_eq!(seen, multiset(&fixture(1), &other));
    assert_eq!(seen, multiset(&fixture(2), &data));
    assert!(seen.iter().collect::<BTreeSet<_>>().len() > 2, "there are counts to be told apart");
    let places = |code: &str| -> BTreeSet<usize> {
        (0..64).map(|tag| fixture(tag).place(&[Some(code)])).collect()
    };
    assert_eq!(places("a").len(), 5, "a code can stand anywhere");
}

#[test]
fn the_witness_is_sent_counts_up_to_the_minimum_and_no_values() {
    let (fixture, data) = (fixture(1), data());
    let shape = &fixture.terms.shape;
    let total = fixture.total(&data, &all(&data));
    let first_value = shape.value_columns(0).0.start;
    assert_eq!(total.witnessed(shape).len(), first_value * shape.cells(), "guards and check only");
    let guards = fixture.guards(total.witnessed(shape), &all(&data));
    let place = fixture.place(&[Some("c")]);
    let seen = |column: usize| guards[column * shape.cells() + place];
    // Two hospitals with 30 stays of 30 persons each: at most eleven of each are told.
    assert_eq!([seen(0), seen(1), seen(2)], [22, 22, 2]);
    assert!(shape.supports(1).all(|column| seen(column) <= 22));
}

/// The blinded cost of a group that three hospitals hold alike.
fn blinded_cost(cost: i128, tag: u8) -> u128 {
    let fixture = Fixture::new(costs_by(&["a"]), 3, DEFAULT_FLOOR, tag);
    let data = vec![stays("a", 0..20, cost); 3];
    let shape = &fixture.terms.shape;
    let guards = fixture.guards(fixture.total(&data, &[0, 1, 2]).witnessed(shape), &[0, 1, 2]);
    let at = |limb: usize| {
        guards[(shape.dominance(1).start + limb) * shape.cells() + fixture.place(&[Some("a")])]
    };
    (at(1) << 64) + at(0)
}

#[test]
fn the_witness_sees_no_cost() {
    let costs = |cost: i128| -> Vec<u128> { (0..100).map(|tag| blinded_cost(cost, tag)).collect() };
    let (cheap, dear) = (costs(12_345), costs(1_234_500));
    let sum = 60 * 12_345;
    assert!(!cheap.contains(&sum), "the sum itself is not among them");
    assert_eq!(cheap.iter().collect::<BTreeSet<_>>().len(), 100, "each round has its own unit");
    // A hundred times the cost is not a larger number: the two overlap over most of their range.
    let above = |values: &[u128], limit: u128| values.iter().filter(|v| **v > limit).count();
    let lowest_dear = *dear.iter().min().unwrap();
    let highest_cheap = *cheap.iter().max().unwrap();
    assert!(above(&cheap, lowest_dear) > 30 && above(&dear, highest_cheap) < 70);
    // All that is certain: between one and 2^16 times the sum.
    assert!(cheap.iter().all(|value| (sum..sum << 16).contains(value)));
}

#[test]
fn two_money_sums_of_a_cell_do_not_tell_their_ratio() {
    let request = request_of(Vec::new(), vec![money(); 2], vec![Measure::Products(0, 1)]);
    let mut ratios = BTreeSet::new();
    for tag in 0..32 {
        let fixture = Fixture::new(request.clone(), 3, DEFAULT_FLOOR, tag);
        let row = |person| Row {
            person,
            codes: Vec::new(),
            values: vec![Some(3_000_000), Some(1_000_000)],
        };
        let data = vec![(0..9).map(row).collect::<Vec<_>>(); 3];
        let shape = &fixture.terms.shape;
        let guards = fixture.guards(fixture.total(&data, &[0, 1, 2]).witnessed(shape), &[0, 1, 2]);
        let [x, y] = [0, DOMINANCE_COLUMNS].map(|offset| guards[shape.dominance(0).start + offset]);
        ratios.insert((1000 * x / y, u8::from(3 * y > x)));
    }
    assert!(ratios.len() > 24, "one factor for both would show 3000 every time");
    assert_eq!(ratios.iter().map(|(_, larger)| larger).collect::<BTreeSet<_>>().len(), 2);
}

/// Three data sets that differ in a group that fails in all of them.
fn failing(cost: i128, c_persons: u32) -> Vec<Vec<Row>> {
    let hospital = |index: u32| {
        let mut rows = stays("a", 0..9, i128::from(1_000 + index));
        rows.extend(stays("b", 20..23, cost));
        rows.extend(stays("c", 40..40 + c_persons, 5));
        rows
    };
    (0..3).map(hospital).collect()
}

#[test]
fn what_is_opened_does_not_depend_on_what_is_withheld() {
    let fixture = Fixture::new(costs_by(&["a", "b", "c"]), 3, DEFAULT_FLOOR, 1);
    for c_persons in [0, 1] {
        // With c, both together reach the floor; without, a is withheld beside b.
        let open = |cost| fixture.open(&failing(cost, c_persons), &[0, 1, 2]);
        let (first, second) = (open(10), open(99_999_999));
        assert_eq!(first.opened, second.opened);
        assert_eq!(first.opened.places.len(), usize::from(c_persons == 1));
        assert!(first.opened.remainder.is_some());
        let reveal = |opening: &Opening| fixture.reveal(&opening.total, &opening.opened).unwrap();
        assert_eq!(reveal(&first), reveal(&second));
    }
}

#[test]
fn any_value_of_a_withheld_cell_explains_all_that_the_coordinator_holds() {
    // The coordinator holds the uploads, the keys of the round and what was opened. For any other
    // value of the failing cell there are masks under which it would hold the very same bytes. And
    // since masks come from a stream that nobody without a seed can predict, and no
    // other mask of the failing cell is opened, none of these values is likelier than another.
    let fixture = Fixture::new(costs_by(&["a", "b", "c"]), 3, DEFAULT_FLOOR, 1);
    let data = failing(10, 1);
    let (shape, sid) = (&fixture.terms.shape, fixture.terms.sid());
    let opened = fixture.open(&data, &[0, 1, 2]).opened;
    let uploads: Vec<_> = (0..3).map(|h| fixture.upload(h, &data[h])).collect();
    let masks = |h: usize| -> Vec<u128> {
        let stream = fixture.seed(h).stream(&sid, &crate::fixture::hospital(h));
        stream.take(shape.columns() * shape.cells())
    };
    let real: Vec<Vec<u128>> = (0..3).map(masks).collect();
    let place = fixture.place(&[Some("b")]);
    assert!(!opened.places.contains(&u32::try_from(place).unwrap()));
    for cost in [0, 11, -77, 1 << 39] {
        // Hospital 0 with the other value, in the same round: only the failing cell differs.
        let other = fixture.upload(0, &failing(cost, 1)[0]);
        let mut explained = real.clone();
        for (index, mask) in explained[0].iter_mut().enumerate() {
            let cell = other.entries()[index].wrapping_sub(*mask);
            let needed = uploads[0].entries()[index].wrapping_sub(cell);
            assert!(needed == *mask || index % shape.cells() == place);
            *mask = needed;
        }
        let differing = explained[0].iter().zip(&real[0]).filter(|(a, b)| a != b).count();
        assert!(differing >= 4, "cost, squares, and both checks");
        assert_eq!(opened_by(&opened, shape, &explained), opened.masks);
    }
    assert_eq!(opened_by(&opened, shape, &real), opened.masks);
}

/// The masks that a reply with these places and verdicts consists of, when these are everybody's.
fn opened_by(opened: &Opened, shape: &Shape, masks: &[Vec<u128>]) -> Vec<u128> {
    let mut sums = Vec::new();
    for (place, bits) in opened.places.iter().zip(&opened.verdicts) {
        for column in columns_of(shape, *bits) {
            let at = column * shape.cells() + *place as usize;
            sums.push(masks.iter().fold(0u128, |sum, masks| sum.wrapping_add(masks[at])));
        }
    }
    sums
}
