use privacy::step::{Ask, At, Column, Number, Response};
use privacy::{Domain, Step};

use model::glm::{Family, Link, Transform};

use super::*;

fn step(ask: Ask) -> Step {
    let domain = Domain::closed(vec!["a".into(), "b".into()]).unwrap();
    let number = |input| Number { input, transform: Transform::Identity };
    Step {
        factors: vec![domain.clone(), domain],
        response: Response::Level(1, 2),
        unit: 1.0,
        weight: None,
        offset: None,
        columns: vec![
            Column::default(),
            Column { levels: vec![(0, 2)], numbers: Vec::new() },
            Column { levels: Vec::new(), numbers: vec![number(0)] },
        ],
        family: Family::Binomial,
        link: Link::Logit,
        ask,
        at: At {
            coefficients: vec![0.0; 3],
            shape: 1.0,
            null_mean: 0.5,
            inverse: Vec::new(),
            before: Vec::new(),
        },
    }
}

/// Five stays of four persons: level, event, number.
const ROWS: [(u32, u32, f64, u32); 5] =
    [(1, 1, 2.0, 7), (2, 2, 0.0, 7), (2, 1, 3.0, 8), (1, 2, 1.0, 9), (1, 1, 0.0, 5)];

fn sums(ask: Ask) -> Vec<Sum> {
    let plan = Arc::new(Plan::new(step(ask)).unwrap());
    let mut kernel = Kernel::new(plan, 10);
    for (level, event, number, person) in ROWS {
        let factors = [vec![level], vec![event]];
        let batch = Batch { factors: &factors, inputs: &[vec![number]], persons: &[person] };
        kernel.add(&batch).unwrap();
    }
    kernel.finish()
}

#[test]
fn sums_and_those_behind_them_are_those_of_a_hand_count() {
    let all = sums(Ask::Newton);
    let layout = step(Ask::Newton).layout();
    let at = |block: Block, offset: usize| {
        let place = layout.start(block).unwrap() + offset;
        all.iter().find(|sum| sum.place == place).unwrap()
    };
    let half = 1i128 << 39;
    // At coefficients of zero every mean is 1/2 and every weight 1/4.
    assert_eq!(at(Block::Score, 0).sum, 2 * half - 3 * half);
    assert_eq!(at(Block::Score, 1).sum, 0);
    assert_eq!(at(Block::Score, 2).sum, -2 * half + -3 * half + half);
    let level = at(Block::Expected, 3);
    assert_eq!(layout.pairs()[3], (1, 1));
    assert_eq!((level.rows, level.persons, level.sum), (2, 2, half));
    // Clamped; b only, number only, neither; other than zero; with and without the event.
    let both = at(Block::Expected, 4);
    assert_eq!(layout.pairs()[4], (1, 2));
    // Two stays have the level; a number that is zero adds nothing and takes nobody away.
    assert_eq!((both.rows, both.persons, both.sum), (2, 2, 3 * (1 << 38)));
    assert_eq!(both.sets, [0, 0, 3, 0, 1, 1, 1]);
    let whole = at(Block::Scalars, 0);
    assert_eq!((whole.rows, whole.persons), (5, 4));
    assert_eq!(whole.sets, [0, 0, 0, 0, 4, 2, 3]);
    assert_eq!(whole.sum, 5 << 40);
}

#[test]
fn nobody_is_behind_a_sum_that_no_stay_has() {
    let plan = Arc::new(Plan::new(step(Ask::Newton)).unwrap());
    let mut kernel = Kernel::new(plan, 10);
    let factors = [vec![1], vec![1]];
    kernel.add(&Batch { factors: &factors, inputs: &[vec![1.0]], persons: &[3] }).unwrap();
    let layout = step(Ask::Newton).layout();
    let of_level = layout.start(Block::Score).unwrap() + 1;
    assert!(kernel.finish().iter().all(|sum| sum.place != of_level));
}

#[test]
fn contributions_are_kept_in_bounds_and_counted() {
    assert_eq!(fixed(0.0), (0, false));
    assert_eq!(fixed(-1.5), (-3 << 39, false));
    assert_eq!(fixed(1e13), (1 << 80, true));
    assert_eq!(fixed(f64::NAN), (1 << 80, true));
    assert_eq!(fixed(f64::NEG_INFINITY), (-(1 << 80), true));
    assert_eq!(fixed(2f64.powi(30)), (1 << 70, false));
    let mut far = step(Ask::Newton);
    far.response = Response::Number(Number { input: 0, transform: Transform::Identity });
    (far.family, far.link) = (Family::Poisson, Link::Log);
    far.at.coefficients[0] = 40.0;
    let mut kernel = Kernel::new(Arc::new(Plan::new(far).unwrap()), 10);
    let factors = [vec![1, 1], vec![1, 1]];
    let batch = Batch { factors: &factors, inputs: &[vec![1.0, 2.0]], persons: &[3, 4] };
    kernel.add(&batch).unwrap();
    let sums = kernel.finish();
    let clamped = sums.iter().find(|sum| sum.place == Scalar::Clamped as usize).unwrap();
    assert_eq!((clamped.sum, clamped.sets[0]), (2 << 40, 2));
}

#[test]
fn a_row_without_a_mean_is_counted_whatever_is_asked() {
    for ask in [Ask::Newton, Ask::Final, Ask::Scores, Ask::Totals] {
        let mut step = step(ask);
        step.response = Response::Number(Number { input: 0, transform: Transform::Identity });
        (step.family, step.link) = (Family::Gamma, Link::Identity);
        step.at.coefficients[0] = -1.0;
        let mut kernel = Kernel::new(Arc::new(Plan::new(step).unwrap()), 10);
        let factors = [vec![1], vec![1]];
        kernel.add(&Batch { factors: &factors, inputs: &[vec![1.0]], persons: &[3] }).unwrap();
        let sums = kernel.finish();
        let clamped = sums.iter().find(|sum| sum.place == Scalar::Clamped as usize).unwrap();
        assert_eq!((clamped.sum, clamped.sets[0]), (1 << 40, 1), "{ask:?}");
    }
}
