//! A witness that lies, and uploads that no honest hospital makes: an error, never a wrong answer.

use crate::combine::Combined;
use crate::fixture::{
    Fixture, Opening, all, columns_of, costs_by, groups_of, no_floor, stays, wire,
};
use crate::open::Opened;
use crate::reveal::{RevealError, Total};
use crate::terms::Floor;

/// Changes that a linear check alone would notice badly or not at all are among these.
const DELTAS: [u128; 6] = [1, u128::MAX, 1 << 64, 3 << 100, 1 << 126, 1 << 127];

/// Three hospitals; groups a and b pass, b without its cost; c and d do not, but do together.
fn round(tag: u8) -> (Fixture, Opening) {
    let floor = Floor { persons: 11, stays: 11, hospitals: 3, dominance_e4: 5_625 };
    let fixture = Fixture::new(costs_by(&["a", "b", "c", "d", "e"]), 3, floor, tag);
    let hospital = |index: i128| {
        [
            stays("a", 0..20, 40_000 + index),
            stays("b", 20..40, if index == 0 { 9_000_000 } else { 10 }),
            stays("c", 40..43, -500 - index),
            stays("d", 43..46, 77),
        ]
        .concat()
    };
    let data: Vec<_> = (0..3).map(hospital).collect();
    let opening = fixture.open(&data, &all(&data));
    (fixture, opening)
}

fn lie(change: impl Fn(&mut Opened)) -> Result<Combined, RevealError> {
    let (fixture, Opening { total, mut opened, .. }) = round(1);
    change(&mut opened);
    fixture.reveal(&total, &opened)
}

#[test]
fn the_honest_reply_is_accepted() {
    let combined = lie(|_| ()).unwrap();
    assert_eq!(combined.groups.len(), 2);
    assert_eq!((combined.withheld_cells, combined.withheld_measures), (2, 1));
    assert_eq!((combined.withheld_rows_known, combined.withheld_rows), (true, 18));
    assert_eq!(combined.groups[&vec![Some("a".into())]].cells[2], 20 * (120_000 + 3));
}

#[test]
fn a_wrong_mask_in_any_column_is_noticed() {
    let (fixture, Opening { total, opened, .. }) = round(1);
    for index in 0..opened.masks.len() {
        for delta in DELTAS {
            let mut lying = opened.clone();
            lying.masks[index] = lying.masks[index].wrapping_add(delta);
            let answer = fixture.reveal(&total, &lying);
            assert_eq!(answer, Err(RevealError::Check), "mask {index} + {delta}");
        }
    }
}

#[test]
fn the_change_that_needs_no_guess_breaks_the_bounds() {
    // 2^127 times any odd coefficient is 2^127: value and check change alike, and the check holds.
    let (fixture, Opening { total, opened, .. }) = round(1);
    let shape = &fixture.terms.shape;
    let mut at = 0;
    for bits in &opened.verdicts {
        let columns: Vec<usize> = columns_of(shape, *bits);
        for part in (0..=2).filter(|part| bits >> part & 1 == 1) {
            let (values, check) = shape.value_columns(part);
            let index = |column| at + columns.iter().position(|c| *c == column).unwrap();
            for value in values {
                let mut lying = opened.clone();
                for column in [value, check.start] {
                    let mask = &mut lying.masks[index(column)];
                    *mask = mask.wrapping_add(1 << 127);
                }
                assert_eq!(fixture.reveal(&total, &lying), Err(RevealError::Check));
            }
        }
        at += columns.len();
    }
}

#[test]
fn a_lucky_guess_still_cannot_move_a_sum_beyond_its_bounds() {
    // With the round key in hand a liar needs no luck. What it can say is then bounded by what the
    // request declares: the number of rows times the largest contribution.
    let (fixture, Opening { total, opened, .. }) = round(1);
    let shape = &fixture.terms.shape;
    let (values, check) = shape.value_columns(2);
    let coefficients = fixture.round_key.coefficients(shape.columns() - shape.guards() - 1);
    // Group a has all its measures; of group b, four masks are opened.
    let columns: Vec<usize> = columns_of(shape, 0b111);
    let before = if opened.verdicts[0] == 0b111 { 0 } else { 4 };
    let index = |column| before + columns.iter().position(|c| *c == column).unwrap();
    let moved_with = |column: usize, check: usize, delta: u128| {
        let mut lying = opened.clone();
        let mask = &mut lying.masks[index(column)];
        *mask = mask.wrapping_sub(delta);
        let mask = &mut lying.masks[index(check)];
        *mask = mask.wrapping_sub(delta.wrapping_mul(coefficients[column - shape.guards() - 1]));
        fixture.reveal(&total, &lying)
    };
    let moved = |column, delta| moved_with(column, check.start, delta);
    assert!(moved(values.start + 1, 1).is_ok(), "this is what the check is for");
    // 60 rows of at most 2^40 units each; squares of at most 2^80.
    for (column, delta) in [(0, 61), (1, 60 << 40), (2, 60 << 80), (1, 1 << 125), (2, 1 << 125)] {
        let column = values.start + column;
        assert_eq!(moved(column, delta), Err(RevealError::Check));
        assert_eq!(moved(column, (2 * delta).wrapping_neg()), Err(RevealError::Check));
    }
    // Rows themselves: no region has more than 2^40, in a group or beside all groups.
    let (rows, check) = shape.value_columns(0);
    assert!(moved_with(rows.start, check.start, 1).is_ok());
    assert_eq!(moved_with(rows.start, check.start, 1 << 40), Err(RevealError::Check));
    let mut lying = opened.clone();
    let deltas = [1u128 << 40, coefficients[0] << 40];
    for (sum, delta) in lying.remainder.as_mut().unwrap().iter_mut().zip(deltas) {
        *sum = sum.wrapping_sub(delta);
    }
    assert_eq!(fixture.reveal(&total, &lying), Err(RevealError::Check));
}

#[test]
fn masks_of_another_cell_or_round_do_not_fit() {
    let swapped = lie(|opened| {
        // Rows and check of both groups, in the places of the other.
        let second = opened.masks.len() - 4;
        for index in 0..2 {
            opened.masks.swap(index, second + index);
        }
    });
    assert_eq!(swapped, Err(RevealError::Check));
    let (fixture, Opening { total, opened, .. }) = round(1);
    let (other, foreign) = round(2);
    let mut replayed = foreign.opened.clone();
    replayed.places.clone_from(&opened.places);
    replayed.verdicts.clone_from(&opened.verdicts);
    assert_eq!(fixture.reveal(&total, &replayed), Err(RevealError::Check));
    assert_eq!(fixture.reveal(&foreign.total, &opened), Err(RevealError::Check));
    let stale = crate::reveal::reveal(
        &total,
        &opened,
        &fixture.request,
        &fixture.terms.shape,
        &other.round_key,
    );
    assert_eq!(stale, Err(RevealError::Check), "the round key of another round");
}

#[test]
fn a_verdict_that_was_not_earned_is_no_verdict() {
    for bits in [0u64, 0b010, 0b100, 0b1001, 1 << 63 | 1] {
        for row in 0..2 {
            assert_eq!(lie(|o| o.verdicts[row] = bits), Err(RevealError::Shape), "{bits:b}");
        }
    }
    let beyond = lie(|opened| opened.verdicts.iter_mut().for_each(|bits| *bits |= 1 << 3));
    assert_eq!(beyond, Err(RevealError::Shape), "a measure that there is not");
    // Every bit set and the count made to fit: now masks are missing, or not those of the cell.
    let grasping = |filler: &[u128]| {
        lie(|opened| {
            opened.verdicts = vec![0b111, 0b111];
            opened.withheld_measures = 0;
            opened.masks.extend(filler);
        })
    };
    assert!(grasping(&[]).is_err());
    assert_eq!(grasping(&[0; 4]), Err(RevealError::Check));
}

#[test]
fn a_failing_group_is_not_opened_by_saying_so() {
    let (fixture, _) = round(1);
    let failing = u32::try_from(fixture.place(&[Some("c")])).unwrap();
    for bits in [0b001u64, 0b111] {
        let answer = lie(|opened| {
            let at = opened.places.partition_point(|place| *place < failing);
            opened.places.insert(at, failing);
            opened.verdicts.insert(at, bits);
            opened.withheld_measures += u64::from(2 - (bits >> 1).count_ones());
            let mut before = 0;
            for bits in &opened.verdicts[..at] {
                before += columns_of(&fixture.terms.shape, *bits).len();
            }
            let wanted = columns_of(&fixture.terms.shape, bits).len();
            opened.masks.splice(before..before, std::iter::repeat_n(0, wanted));
        });
        assert_eq!(answer, Err(RevealError::Check));
    }
}

#[test]
fn a_group_cannot_vanish_from_a_reply_by_itself() {
    let answer = lie(|opened| {
        let kept = if opened.verdicts[0] == 0b111 { opened.masks.len() - 4 } else { 4 };
        opened.withheld_measures = u64::from(opened.verdicts[0] != 0b111);
        opened.places.truncate(1);
        opened.verdicts.truncate(1);
        opened.masks.truncate(kept);
    });
    assert_eq!(answer, Err(RevealError::Check), "its rows are missing from the remainder");
}

#[test]
fn a_reply_of_another_form_is_refused() {
    let changes: [fn(&mut Opened); 8] = [
        |o| o.masks.truncate(o.masks.len() - 1),
        |o| o.masks.push(0),
        |o| o.places.reverse(),
        |o| o.places[1] = o.places[0],
        |o| o.places[1] = u32::MAX,
        |o| o.verdicts.truncate(1),
        |o| o.places.truncate(1),
        |o| o.withheld_measures += 1,
    ];
    for (index, change) in changes.into_iter().enumerate() {
        assert_eq!(lie(change), Err(RevealError::Shape), "change {index}");
    }
}

#[test]
fn a_wrong_remainder_is_noticed() {
    for delta in DELTAS {
        for part in 0..2 {
            let answer = lie(|opened| {
                let sums = opened.remainder.as_mut().unwrap();
                sums[part] = sums[part].wrapping_add(delta);
            });
            assert_eq!(answer, Err(RevealError::Check), "part {part} + {delta}");
        }
    }
    let unnoticed_by_the_check = lie(|opened| {
        opened.remainder = opened.remainder.map(|sums| sums.map(|s| s.wrapping_add(1 << 127)));
    });
    assert_eq!(unnoticed_by_the_check, Err(RevealError::Check));
}

#[test]
fn an_upload_has_one_length() {
    let fixture = Fixture::new(costs_by(&["a"]), 3, no_floor(), 1);
    let upload = wire(&fixture.upload(0, &stays("a", 0..3, 1)));
    let mut total = Total::new(&fixture.terms.shape);
    assert_eq!(total.add(&upload), Ok(()));
    let longer = [upload.as_slice(), &[0; 16]].concat();
    for wrong in [&[][..], &upload[..upload.len() - 16], &upload[..upload.len() - 1], &longer] {
        assert_eq!(total.add(wrong), Err(RevealError::Length));
    }
}

#[test]
fn cells_beyond_their_bounds_are_no_answer() {
    // A node that lies consistently, checks included: 3 rows cannot hold 10^9 units of currency.
    let fixture = Fixture::new(costs_by(&["a"]), 3, no_floor(), 1);
    let honest = groups_of(&stays("a", 0..3, 10), &fixture.request);
    let of_three = |cells: &[(usize, i128)]| {
        let mut lying = honest.clone();
        cells.iter().for_each(|(index, value)| lying[0].cells[*index] = *value);
        let mut total = Total::new(&fixture.terms.shape);
        total.add(&wire(&fixture.upload_groups(0, lying))).unwrap();
        (1..3).for_each(|h| total.add(&wire(&fixture.upload_groups(h, honest.clone()))).unwrap());
        let shape = &fixture.terms.shape;
        let verdict = fixture.judge(total.witnessed(shape), &[0, 1, 2]).unwrap();
        let seeds = fixture.seeds(&[0, 1, 2]);
        let opened = crate::open::mask_sums(&verdict, shape, &fixture.terms.sid(), &seeds);
        fixture.reveal(&total, &opened)
    };
    assert!(of_three(&[]).is_ok());
    // Nine rows in all: more stays than rows, and sums that nine rows cannot have.
    for lie in [(0, 4), (1, 4), (2, 10 << 40), (2, -(10 << 40)), (3, 10 << 80), (3, -(10 << 80))] {
        assert_eq!(of_three(&[lie]), Err(RevealError::Check), "{lie:?}");
    }
}
