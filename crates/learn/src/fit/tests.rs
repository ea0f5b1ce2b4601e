//! Fits over made-up stays, through the kernel, in several partitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::glm::{Family, Link};
use proptest::prelude::*;

use super::*;
use crate::card::{Law, step};
use crate::design::{Design, Levels};
use crate::formula::Formula;
use crate::kernel::{Batch, Kernel, NOWHERE, Plan};

/// Stays: places of two factors and of the event, then cost and days.
#[derive(Debug, Clone, Default)]
struct Stays {
    factors: [Vec<u32>; 3],
    inputs: [Vec<f64>; 2],
}

const LEVELS: [[&str; 3]; 2] = [["a", "b", "c"], ["F", "M", ""]];

/// A small generator of its own: the same stays on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.next() % u64::from(bound)).unwrap()
    }

    fn unit(&mut self) -> f64 {
        f64::from(self.below(1 << 30)) / f64::from(1 << 30)
    }
}

fn made_up(count: usize) -> Stays {
    let mut random = Random(42);
    let mut stays = Stays::default();
    for _ in 0..count {
        let (severity, sex) = (random.below(3), random.below(2));
        let days = 1 + random.below(20);
        let died = random.unit() < 0.05 + 0.1 * f64::from(severity);
        let level = f64::from(severity) * 0.4 + f64::from(sex) * 0.1 + f64::from(days).ln() * 0.5;
        let cost = (1_000.0 * level.exp() * (0.5 + random.unit())).round();
        stays.factors[0].push(severity + 1);
        stays.factors[1].push(sex + 1);
        stays.factors[2].push(if died { 2 } else { 1 });
        stays.inputs[0].push(cost);
        stays.inputs[1].push(f64::from(days));
    }
    stays
}

/// Stays of whom almost nobody is both c and M.
fn lopsided(count: usize) -> Stays {
    let mut stays = made_up(count);
    for row in 0..count {
        if stays.factors[0][row] == 3 && row % 97 != 0 {
            stays.factors[1][row] = 1;
        }
    }
    stays
}

fn levels() -> BTreeMap<String, Levels> {
    let of = |index: usize| Levels {
        names: LEVELS[index].iter().filter(|n| !n.is_empty()).map(|n| (*n).to_owned()).collect(),
        reference: LEVELS[index][0].to_owned(),
        text: true,
    };
    BTreeMap::from([("severity".to_owned(), of(0)), ("sex".to_owned(), of(1))])
}

fn problem(formula: &str, family: Family, link: Link) -> Problem {
    let formula = Formula::parse(formula).unwrap();
    let design = Design::new(&formula, &levels()).unwrap();
    let step = step(&formula, &design, &levels(), None, Law { family, link, unit: 1.0 });
    Problem { step, names: design.names, ridge: 0.0, firth: false, told_all: true }
}

/// Which of the stays' columns the formulas of these tests read, in the order of the step's.
struct Columns {
    factors: Vec<usize>,
    inputs: Vec<usize>,
}

/// The sums of a step over `parts` hospitals; sums behind which fewer than `minimum` persons stand
/// are withheld.
fn sums(step: &Step, stays: &Stays, columns: &Columns, parts: usize, minimum: u64) -> Sums {
    let plan = Arc::new(Plan::new(step.clone()).unwrap());
    let mut totals: BTreeMap<usize, (u64, Vec<u64>, i128)> = BTreeMap::new();
    let count = stays.inputs[0].len();
    for part in 0..parts {
        let rows: Vec<usize> = (0..count).filter(|row| row * 7 % parts == part).collect();
        let mut kernel = Kernel::new(Arc::clone(&plan), 50);
        for rows in rows.chunks(97) {
            let factors: Vec<Vec<u32>> = columns
                .factors
                .iter()
                .map(|f| rows.iter().map(|row| stays.factors[*f][*row]).collect())
                .collect();
            let inputs: Vec<Vec<f64>> = columns
                .inputs
                .iter()
                .map(|i| rows.iter().map(|row| stays.inputs[*i][*row]).collect())
                .collect();
            let persons: Vec<u32> = rows.iter().map(|row| u32::try_from(*row).unwrap()).collect();
            kernel.add(&Batch { factors: &factors, inputs: &inputs, persons: &persons }).unwrap();
        }
        for sum in kernel.finish() {
            let entry =
                totals.entry(sum.place).or_insert_with(|| (0, vec![0; sum.sets.len() + 1], 0));
            entry.0 += sum.rows;
            entry.1[0] += sum.persons;
            entry.1[1..].iter_mut().zip(&sum.sets).for_each(|(all, one)| *all += one);
            entry.2 += sum.sum;
        }
    }
    let mut told = Sums::new(step, u32::try_from(minimum).unwrap());
    for (place, (rows, sets, sum)) in totals {
        let fits = |set: &u64| *set == 0 || *set >= minimum;
        if sets[0] >= minimum && sets[1..].iter().all(fits) {
            told.set(place, rows, sum).unwrap();
        }
    }
    told
}

fn columns(problem: &Problem, factors: &[usize], inputs: &[usize]) -> Columns {
    let mut factors = factors.to_vec();
    if problem.step.factors.len() > factors.len() {
        factors.push(2);
    }
    Columns { factors, inputs: inputs.to_vec() }
}

fn run(
    problem: &Problem,
    stays: &Stays,
    columns: &Columns,
    parts: usize,
    minimum: u64,
) -> Result<Estimate, FitError> {
    let mut fit = Fit::new(problem.clone());
    loop {
        let step = fit.step();
        assert_eq!(step.check(columns.inputs.len()), Ok(()));
        if let Some(estimate) = fit.take(&sums(&step, stays, columns, parts, minimum))? {
            return Ok(estimate);
        }
    }
}

fn bits(estimate: &Estimate) -> Vec<u64> {
    let values = estimate.coefficients.iter().flat_map(|c| [c.estimate, c.error]);
    values.chain(estimate.covariance.iter().copied()).map(f64::to_bits).collect()
}

#[test]
fn every_family_converges_and_partitions_change_no_bit() {
    let stays = made_up(3_000);
    for (formula, family, link, factors, inputs) in [
        (
            "total_cost ~ severity + sex + log(los_days)",
            Family::Gamma,
            Link::Log,
            &[0, 1][..],
            &[0, 1][..],
        ),
        (
            "log(total_cost) ~ severity*sex + los_days",
            Family::Gaussian,
            Link::Identity,
            &[0, 1],
            &[0, 1],
        ),
        ("total_cost ~ severity", Family::InverseGaussian, Link::Log, &[0], &[0]),
        ("los_days ~ severity + sex", Family::Poisson, Link::Log, &[0, 1], &[1]),
        ("los_days ~ severity + sex", Family::NegativeBinomial, Link::Log, &[0, 1], &[1]),
        ("died ~ severity + sex", Family::Binomial, Link::Logit, &[0, 1], &[]),
        ("died ~ severity + log(los_days)", Family::Binomial, Link::Probit, &[0], &[1]),
        ("died ~ severity", Family::Binomial, Link::ComplementaryLogLog, &[0], &[]),
    ] {
        let problem = problem(formula, family, link);
        let columns = columns(&problem, factors, inputs);
        let whole = run(&problem, &stays, &columns, 1, 1).unwrap();
        assert!(whole.steps <= 12, "{formula}: {} steps", whole.steps);
        assert_eq!(whole.stays, 3_000);
        for parts in [3, 10, 50] {
            let apart = run(&problem, &stays, &columns, parts, 1).unwrap();
            assert_eq!(bits(&apart), bits(&whole), "{formula} over {parts}");
            assert_eq!(apart, whole, "{formula} over {parts}");
        }
    }
}

/// A fit of which `change` is called before each step.
fn run_changed(
    problem: &Problem,
    stays: &Stays,
    columns: &Columns,
    mut change: impl FnMut(&mut Fit),
) -> Estimate {
    let mut fit = Fit::new(problem.clone());
    loop {
        change(&mut fit);
        if let Some(found) = fit.take(&sums(&fit.step(), stays, columns, 3, 1)).unwrap() {
            return found;
        }
    }
}

fn is_near(a: &Estimate, b: &Estimate) -> bool {
    let each = a.coefficients.iter().zip(&b.coefficients);
    let mut near = each.map(|(a, b)| {
        (a.estimate - b.estimate).abs() < 1e-9 * b.error && (a.error / b.error - 1.0).abs() < 1e-9
    });
    near.all(|near| near) && (a.deviance / b.deviance - 1.0).abs() < 1e-12
}

#[test]
fn the_last_step_is_expected_and_one_that_comes_too_early_goes_on() {
    let stays = made_up(20_000);
    let formula = "total_cost ~ severity + sex + log(los_days)";
    let problem = problem(formula, Family::Gamma, Link::Log);
    let columns = columns(&problem, &[0, 1], &[0, 1]);
    let usual = run(&problem, &stays, &columns, 3, 1).unwrap();
    let moves: Vec<f64> = usual.trace.iter().map(|trace| trace.moved).collect();
    let [.., earlier, last, left] = moves[..] else { panic!("{moves:?}") };
    assert!(last > QUADRATIC, "{last} is short, and no step was saved");
    assert!(left_over(earlier, last) <= LEFT_OVER && left <= LEFT_OVER, "{moves:?}");
    // As if the first steps had been misleading; and from where Newton's method goes too far.
    for far in [0.0, -3.0] {
        let mut finals = 0;
        let found = run_changed(&problem, &stays, &columns, |fit| {
            if fit.steps == 2 {
                fit.stage = Stage::Final;
                fit.at.coefficients[0] += far;
                fit.before = None;
            }
            finals += u32::from(fit.stage == Stage::Final);
        });
        assert!(finals > 1 && is_near(&found, &usual), "{far}: {:?}", found.trace);
    }
}

#[test]
fn least_squares_take_two_steps() {
    let stays = made_up(1_000);
    let formula = "log(total_cost) ~ severity + sex + log(los_days)";
    for ridge in [0.0, 10.0] {
        let problem = Problem { ridge, ..problem(formula, Family::Gaussian, Link::Identity) };
        let columns = columns(&problem, &[0, 1], &[0, 1]);
        let found = run(&problem, &stays, &columns, 3, 1).unwrap();
        assert_eq!((found.steps, found.trace.len()), (2, 1));
        let by_newton = run_changed(&problem, &stays, &columns, |fit| {
            if fit.steps == 1 {
                fit.stage = Stage::Newton;
            }
        });
        assert!(by_newton.steps > 2 && is_near(&found, &by_newton));
    }
    // With pairs withheld the first equations are not the whole ones.
    let stays = lopsided(1_000);
    let problem = problem(formula, Family::Gaussian, Link::Identity);
    let columns = columns(&problem, &[0, 1], &[0, 1]);
    let withheld = Problem { told_all: false, ..problem };
    let found = run(&withheld, &stays, &columns, 3, 11).unwrap();
    assert!(found.withheld_pairs > 0 && found.steps > 2, "{}", found.steps);
}

#[test]
fn withheld_pairs_change_the_errors_and_not_the_estimate() {
    let stays = lopsided(2_000);
    let told = problem("total_cost ~ severity + sex + log(los_days)", Family::Gamma, Link::Log);
    let columns = columns(&told, &[0, 1], &[0, 1]);
    let exact = run(&told, &stays, &columns, 3, 1).unwrap();
    let strict = Problem { told_all: false, ..told };
    let found = run(&strict, &stays, &columns, 3, 11).unwrap();
    assert!(found.withheld_pairs > 0 && exact.withheld_pairs == 0);
    for (a, b) in found.coefficients.iter().zip(&exact.coefficients) {
        assert!((a.estimate - b.estimate).abs() < 1e-8 * b.error, "{a:?} {b:?}");
        assert!((a.error / b.error - 1.0).abs() < 0.2, "{a:?} {b:?}");
        assert!(a.robust_error.is_none() && b.robust_error.is_some());
    }
    assert!(found.steps > exact.steps);
}

#[test]
fn separation_and_collinearity_are_named_and_have_a_way_out() {
    let mut stays = made_up(2_000);
    for row in 0..2_000 {
        if stays.factors[0][row] == 2 {
            stays.factors[2][row] = 1;
        }
    }
    let plain = problem("died ~ severity + sex", Family::Binomial, Link::Logit);
    let own = columns(&plain, &[0, 1], &[]);
    let error = run(&plain, &stays, &own, 3, 1).unwrap_err();
    let separated = vec![Separated { name: "severity=b".into(), all: false }];
    assert_eq!(error, FitError::Separation(separated));
    let ridge = run(&Problem { ridge: 1.0, ..plain.clone() }, &stays, &own, 3, 1).unwrap();
    let firth = run(&Problem { firth: true, ..plain }, &stays, &own, 3, 1).unwrap();
    for estimate in [&ridge, &firth] {
        assert!(
            estimate.coefficients.iter().all(|c| c.estimate.is_finite() && c.error.is_finite())
        );
        assert!(estimate.coefficients[1].estimate < -2.0, "{estimate:?}");
    }

    let stays = made_up(2_000);
    let mut twice =
        problem("total_cost ~ severity + log(los_days) + los_days", Family::Gamma, Link::Log);
    // The last column becomes log(los_days) + severity=b by way of its input.
    twice.step.columns[4].numbers[0].input = 2;
    let mut with_sum = stays.clone();
    let sum =
        |row: usize| stays.inputs[1][row].ln() + f64::from(u8::from(stays.factors[0][row] == 2));
    with_sum.inputs[0] = (0..2_000).map(sum).collect();
    let three = Columns { factors: vec![0], inputs: vec![0, 1, 0] };
    let mut cost_first = with_sum.clone();
    cost_first.inputs = [with_sum.inputs[0].clone(), stays.inputs[1].clone()];
    twice.step.response = privacy::step::Response::Number(privacy::step::Number {
        input: 1,
        transform: model::glm::Transform::Identity,
    });
    let error = run(&twice, &cost_first, &three, 3, 1).unwrap_err();
    let FitError::Collinear { name, of } = error else { panic!("{error:?}") };
    assert_eq!(
        (name.as_str(), of),
        ("los_days", vec!["severity=b".to_owned(), "log(los_days)".to_owned()])
    );
}

#[test]
fn rules_and_poisoned_sums_end_the_fit() {
    let stays = made_up(380);
    let problem =
        problem("total_cost ~ severity*sex*log(los_days) + los_days", Family::Gamma, Link::Log);
    let own = columns(&problem, &[0, 1], &[0, 1]);
    let error = run(&problem, &stays, &own, 3, 1).unwrap_err();
    assert_eq!(error, FitError::TooManyParameters { parameters: 13, stays: 380 });
    let fit = Fit::new(problem);
    let step = fit.step();
    let honest = sums(&step, &stays, &own, 3, 1);
    let layout = step.layout();
    let start = layout.start(Block::Expected).unwrap();
    let mut negative = honest.clone();
    negative.set(start, 380, -(1 << 40)).unwrap();
    let mut beyond = honest.clone();
    beyond.set(start + 1, 133, 1 << 80).unwrap();
    for poisoned in [negative, beyond] {
        let error = fit.clone().take(&poisoned).unwrap_err();
        assert!(matches!(error, FitError::Impossible(_)), "{error:?}");
    }
    let mut missing = Sums::new(&step, 11);
    missing.set(0, 500, 500 << 40).unwrap();
    assert_eq!(fit.clone().take(&missing).unwrap_err(), FitError::Withheld);
}

#[test]
fn rows_that_lack_something_are_left_out() {
    let mut stays = made_up(1_000);
    stays.inputs[0][3] = 0.0;
    stays.inputs[0][4] = f64::NAN;
    stays.inputs[1][5] = 0.0;
    stays.factors[0][6] = 0;
    stays.factors[1][7] = NOWHERE;
    let problem = problem("total_cost ~ severity + sex + log(los_days)", Family::Gamma, Link::Log);
    let own = columns(&problem, &[0, 1], &[0, 1]);
    assert_eq!(run(&problem, &stays, &own, 3, 1).unwrap().stays, 995);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_order_and_partition_give_the_same_bits(parts in 1usize..60, turn in 0usize..1_000) {
        let mut stays = made_up(1_000);
        let problem = problem("total_cost ~ severity + log(los_days)", Family::Gamma, Link::Log);
        let own = columns(&problem, &[0], &[0, 1]);
        let whole = run(&problem, &stays, &own, 1, 1).unwrap();
        stays.factors.iter_mut().for_each(|column| column.rotate_left(turn));
        stays.inputs.iter_mut().for_each(|column| column.rotate_left(turn));
        let turned = run(&problem, &stays, &own, parts, 1).unwrap();
        prop_assert_eq!(bits(&turned), bits(&whole));
    }
}
