//! Each rule of the gate, with the attack it stops.

use model::moments::Scale;

use super::*;
use crate::admit::admit;
use crate::measure::Input;
use crate::policy::Policy;
use crate::request::{ReleaseRequest, RequestParts, Scope};
use crate::sketch::Population;

/// What passes when nothing was told before.
fn release(partial: Partial) -> Released {
    super::release(partial, &Known::default()).unwrap()
}

fn partial(groups: Vec<PartialGroup>, selected: u64, selective: bool) -> Partial {
    let parts = RequestParts {
        scope: Scope::PerHospital,
        asker: "ana".into(),
        relation_sql: String::new(),
        dimensions: vec!["drg_code".into()],
        domains: Vec::new(),
        inputs: vec![Input { scale: Scale::Decimal(4), bound: 1_000, money: true }],
        measures: vec![Measure::Rows, Measure::Sum(0)],
        supports: vec![0, 5],
    };
    let request = ReleaseRequest::try_from(parts).unwrap();
    let admitted = admit(request, &Policy::default(), None).unwrap();
    let nobody = Population::Cells(vec![Sketch::default(); groups.len()]);
    Partial::new(admitted, groups, nobody, selected, selective)
}

fn group(code: &str, stays: u64, persons: u64, with: u64) -> PartialGroup {
    // With a value, without, other than zero, and the two branches of the condition.
    let condition = [persons, 0, with, with, persons - with].into_iter().collect();
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
    let released = release(partial(vec![group("A", 30, 10, 0), group("B", 11, 11, 0)], 21, false));
    assert_eq!(released.groups().len(), 1);
    assert_eq!(released.groups()[0].key(), [Some("B".to_owned())]);
    assert_eq!((released.withheld_groups(), released.withheld_rows()), (1, 30));
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
    for (rows, told) in [(1, 0), (5, 0), (6, 11), (10, 11), (17, 22)] {
        let groups = vec![group("A", 40, 40, 0), group("B", rows, 1, 0)];
        assert_eq!(release(partial(groups, 41, true)).withheld_rows(), told);
    }
}

#[test]
fn a_policy_without_minimum_closes_the_node() {
    let admitted = partial(Vec::new(), 0, false).admitted().clone();
    let mut policy = Policy::default();
    policy.minimum.persons = None;
    let refusal = admit(admitted.request().clone(), &policy, None).unwrap_err();
    assert_eq!(refusal.code, model::RefusalCode::PolicyUnset);
    policy.minimum.persons = Some(0);
    assert!(admit(admitted.request().clone(), &policy, None).is_err(), "zero is not a minimum");
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
