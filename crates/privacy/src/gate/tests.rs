//! Each rule of the gate, with the attack it stops.

use model::moments::Scale;

use super::*;
use crate::admit::admit;
use crate::dominance::Shares;
use crate::measure::Input;
use crate::policy::Policy;
use crate::request::{ReleaseRequest, RequestParts, Scope};
use crate::sketch::{Mark, Population};

/// What passes when nothing was told before.
fn release(partial: Partial) -> Released {
    super::release(partial, &Known::default()).unwrap()
}

fn partial(groups: Vec<PartialGroup>, selected: u64, selective: bool) -> Partial {
    let parts = RequestParts {
        scope: Scope::PerHospital,
        asker: "ana".into(),
        relation_sql: String::new(),
        dimensions: ["drg_code", "sex"]
            .into_iter()
            .take(groups.first().map_or(1, |group| group.key.len()))
            .map(Into::into)
            .collect(),
        domains: Vec::new(),
        inputs: vec![Input { scale: Scale::Decimal(4), bound: 1_000, money: true }],
        measures: vec![Measure::Rows, Measure::Sum(0)],
        supports: vec![0, 5],
    };
    let request = ReleaseRequest::try_from(parts).unwrap();
    let admitted = admit(request, &Policy::answering(), crate::Leave::None).unwrap();
    let population = Population::Cells(groups.iter().map(sketch).collect());
    Partial::new(admitted, groups, population, selected, selective)
}

/// A group's persons, of whom nobody is in another one.
fn sketch(group: &PartialGroup) -> Sketch {
    let mut sketch = Sketch::default();
    for person in 0..group.persons {
        let hash = crate::canonical::sha256(format!("{:?} {person}", group.key).as_bytes());
        let hmac = std::array::from_fn(|index| hash[index]);
        sketch.add(Mark::of(&hmac, &hmac));
    }
    sketch
}

/// So many persons who cost the same.
fn even(persons: u64) -> Shares {
    Shares::of((0..u32::try_from(persons).unwrap()).map(|person| (person, 100)))
}

/// A group of so many persons with a stay each, of whom the first costs `first` and the others 100.
fn costly(code: &str, persons: u64, first: u128) -> PartialGroup {
    let mut group = group(code, persons, persons, 0);
    let cost = |person| (person, if person == 0 { first } else { 100 });
    let sets: Support = [persons, 0, persons].into_iter().collect();
    let each = (0..u32::try_from(persons).unwrap()).map(cost);
    group.supports[1] = sets.with_shares(vec![Shares::of(each)]);
    group
}

fn group(code: &str, stays: u64, persons: u64, with: u64) -> PartialGroup {
    // With a value, without, other than zero, and the two branches of the condition.
    let condition: Support = [persons, 0, with, with, persons - with].into_iter().collect();
    let condition = condition.with_shares(vec![even(persons)]);
    PartialGroup {
        key: vec![Some(code.into())],
        rows: stays,
        stays,
        persons,
        cells: vec![i128::from(stays), 7, 700],
        supports: vec![Support::group(), condition],
        bins: Vec::new(),
    }
}

#[test]
fn many_stays_of_few_persons_do_not_pass() {
    // Trap: counting rows instead of persons. Thirty stays of ten persons are ten persons.
    let groups = vec![group("A", 30, 10, 0), group("B", 11, 11, 0), group("C", 20, 1, 0)];
    let released = release(partial(groups, 21, false));
    assert_eq!(released.groups().len(), 1);
    assert_eq!(released.groups()[0].key(), [Some("B".to_owned())]);
    assert_eq!((released.withheld_groups(), released.withheld_rows()), (2, 50));
}

#[test]
fn a_group_without_group_by_is_gated_like_any_other() {
    // Trap: a global aggregate that skips the threshold.
    let mut global = group("", 10, 10, 0);
    global.key = Vec::new();
    assert!(release(partial(vec![global], 10, false)).groups().is_empty());
}

#[test]
fn a_condition_met_by_a_few_or_by_all_but_a_few_is_withheld() {
    // Trap: checking a column's total but not its categories.
    for (with, withheld) in [(0, false), (1, true), (10, true), (11, false), (29, false)] {
        let released = release(partial(vec![group("A", 40, 40, with)], 40, false));
        assert_eq!(released.groups()[0].withheld(), [false, withheld], "{with} of 40");
    }
    for with in [30, 39] {
        let released = release(partial(vec![group("A", 40, 40, with)], 40, false));
        let one = &released.groups()[0];
        assert_eq!(one.withheld(), [false, true], "all but {} of 40", 40 - with);
        assert_eq!(one.cells(), [40, 0, 0], "a withheld cell carries nothing");
        assert_eq!(released.withheld_measures(), 1);
    }
}

#[test]
fn a_small_filtered_set_is_silent() {
    let small = release(partial(vec![group("A", 19, 19, 0)], 19, true));
    let empty = release(partial(Vec::new(), 0, true));
    assert_eq!(small, empty, "a handful must look exactly like nobody");
    assert_eq!(release(partial(vec![group("A", 20, 20, 0)], 20, true)).groups().len(), 1);
}

#[test]
fn a_withheld_count_cannot_be_read_off_the_coverage() {
    for (rows, told) in [(5, 11), (6, 11), (10, 11), (11, 22), (16, 22), (17, 22)] {
        let groups = vec![group("A", 40, 40, 0), group("B", rows, 5, 0), group("C", 6, 6, 0)];
        assert_eq!(release(partial(groups, 51, true)).withheld_rows(), told);
    }
}

#[test]
fn a_single_small_group_does_not_follow_from_the_total() {
    // Attack: the total of the table minus all groups that are told.
    let told = |groups| -> Vec<String> {
        let released = release(partial(groups, 100, false));
        released.groups().iter().flat_map(|group| group.key().to_vec()).flatten().collect()
    };
    let sized = |code, size| group(code, size, size, 0);
    let one = told(vec![sized("A", 40), sized("B", 3), sized("C", 12), sized("D", 20)]);
    assert_eq!(one, ["A", "D"], "the smallest other group goes with it");
    let two = told(vec![sized("A", 40), sized("B", 3), sized("C", 12), sized("D", 9)]);
    assert_eq!(two, ["A", "C"], "twelve patients are withheld together");
    assert!(told(vec![sized("A", 40), sized("B", 3)]).is_empty());
    assert_eq!(told(vec![sized("A", 40), sized("B", 12)]).len(), 2);
}

#[test]
fn a_group_does_not_nearly_follow_from_margins() {
    // No group follows from the margins, and each of these is about eleven at least; but along the circle of those that are
    // withheld nothing can move by more than four.
    let sizes = [[4, 10, 90], [80, 10, 4], [10, 70, 10]];
    let cell = |(row, column): (usize, usize)| {
        let size = sizes[row][column];
        let mut group = group(&format!("D{row}"), size, size, size);
        group.key.push(Some(format!("S{column}")));
        group
    };
    let all = (0..3).flat_map(|row| (0..3).map(move |column| (row, column)));
    let released = release(partial(all.map(cell).collect(), 300, false));
    let told: Vec<u64> = released.groups().iter().map(ReleasedGroup::rows).collect();
    assert_eq!(told, [90, 70], "the 80 is withheld as well");
}

#[test]
fn a_sum_that_is_nearly_one_patients_is_withheld() {
    // Attack: ask for the sum of a group in which one patient costs a hundred times the others.
    let groups = || vec![costly("A", 12, 10_000), costly("B", 12, 100), costly("C", 13, 1_100)];
    let released = release(partial(groups(), 37, false));
    let withheld: Vec<_> = released.groups().iter().map(|group| group.withheld()[1]).collect();
    // C's largest has less than half of it. B goes with A, or A would follow from a total.
    assert_eq!(withheld, [true, true, false]);
    assert!(released.groups().iter().all(|group| !group.withheld()[0]), "counts are told");
    assert_eq!(released.groups()[0].cells(), [12, 0, 0]);
}

#[test]
fn a_dominated_sum_hides_among_enough_others_or_nothing_is_told() {
    let mut groups = vec![costly("A", 12, 10_000)];
    groups.extend((0..5).map(|n| group(&format!("B{n}"), 12, 12, 0)));
    let even = |groups: Vec<PartialGroup>| {
        let released = release(partial(groups, 100, false));
        released.groups().iter().filter(|group| !group.withheld()[1]).count()
    };
    // Persons 0 and 1 have 10,100 of A's 11,100, and with B0 10,300 of 12,300: enough.
    assert_eq!(even(groups), 4);
    // A total that is not told either tells nothing of its parts.
    let giant = vec![costly("A", 12, 1_000_000), group("B", 12, 12, 0), group("C", 12, 12, 0)];
    assert_eq!(even(giant), 2);
}

#[test]
fn without_shares_no_sum_of_money_is_told() {
    let mut bare = group("A", 40, 40, 40);
    bare.supports[1] = [40, 0, 40].into_iter().collect();
    assert_eq!(release(partial(vec![bare], 40, false)).groups()[0].withheld(), [false, true]);
}

#[test]
fn a_few_without_a_value_in_one_group_do_not_follow_from_the_others() {
    // Attack: the sum over all, minus the groups' sums.
    let lacking = |code: &str, persons: u64, without: u64| {
        let mut one = group(code, persons, persons, 0);
        let sets: Support = [persons - without, without, persons - without].into_iter().collect();
        one.supports[1] = sets.with_shares(vec![even(persons - without)]);
        one
    };
    let groups = vec![lacking("A", 40, 3), lacking("B", 30, 0), lacking("C", 50, 20)];
    let released = release(partial(groups, 120, false));
    let withheld: Vec<_> = released.groups().iter().map(|group| group.withheld()[1]).collect();
    assert_eq!(withheld, [true, false, true], "C has enough without a value, B would not help");
}

#[test]
fn a_policy_without_minimum_closes_the_node() {
    let admitted = partial(Vec::new(), 0, false).admitted().clone();
    let mut policy = Policy::answering();
    policy.minimum.persons = None;
    let refusal = admit(admitted.request().clone(), &policy, crate::Leave::None).unwrap_err();
    assert_eq!(refusal.code, model::RefusalCode::PolicyUnset);
    policy.minimum.persons = Some(0);
    assert!(
        admit(admitted.request().clone(), &policy, crate::Leave::None).is_err(),
        "zero is not a minimum"
    );
}

#[test]
fn groups_without_their_populations_are_not_told() {
    let partial = partial(vec![group("A", 40, 40, 0)], 40, false);
    let (admitted, (groups, _)) = (partial.admitted().clone(), partial.into_parts());
    for population in
        [Population::Untold, Population::Cells(Vec::new()), Population::Whole(Box::default())]
    {
        let partial = Partial::new(admitted.clone(), groups.clone(), population, 40, false);
        assert!(release(partial).groups().is_empty());
    }
}

#[test]
fn codes_are_named_without_what_would_hide_others() {
    let groups = || vec![group("C", 12, 12, 0), group("A", 40, 40, 0), group("B", 30, 3, 0)];
    assert_eq!(codes(partial(groups(), 55, false)), ["A", "C"]);
    assert!(codes(partial(groups(), 19, true)).is_empty());
}
