use super::*;
use crate::admit::{Leave, admit};
use crate::fixture::{bytes, groups_of, money, stays};
use crate::policy::{Allow, Policy};
use crate::request::RequestParts;
use crate::sketch::Population;

fn policy(noise: Noise) -> Policy {
    Policy { noise: Some(noise), ..Policy::answering() }
}

fn request(dimensions: &[&str], measures: &[Measure], rho: u64) -> ReleaseRequest {
    let request = ReleaseRequest::try_from(RequestParts {
        scope: Scope::PerHospital,
        asker: "ana".into(),
        relation_sql: "SELECT 1".into(),
        dimensions: dimensions.iter().map(|&name| name.into()).collect(),
        domains: Vec::new(),
        inputs: vec![money()],
        measures: measures.to_vec(),
        supports: vec![0; measures.len()],
    });
    request.unwrap().with_noise(Some(rho))
}

fn partial(request: ReleaseRequest, noise: Noise, groups: Vec<PartialGroup>) -> Partial {
    let admitted = admit(request, &policy(noise), Leave::None).unwrap();
    Partial::new(admitted, groups, Population::Untold, 0, true)
}

fn seed(tag: u8) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(bytes(tag, "noise"))
}

const COSTS: [Measure; 2] = [Measure::Rows, Measure::Sum(0)];

#[test]
fn a_question_says_what_it_costs_and_a_policy_what_it_may() {
    let refused = |policy: &Policy, request| {
        let refusal = admit(request, policy, Leave::None).unwrap_err();
        (refusal.code, refusal.reason)
    };
    let by_group = request(&["drg_code"], &COSTS, 5_000);
    let (code, _) = refused(&Policy::answering(), by_group.clone());
    assert_eq!(code, RefusalCode::Budget, "without the section nothing is answered with noise");
    let (code, reason) =
        refused(&policy(Noise::default()), by_group.clone().with_noise(Some(5_001)));
    assert_eq!(
        (code, reason.contains("at most 0.005 of")),
        (RefusalCode::Budget, true),
        "{reason}"
    );
    let (code, _) = refused(&policy(Noise::default()), by_group.clone().with_noise(Some(0)));
    assert_eq!(code, RefusalCode::Budget);
    for measure in [Measure::Squares(0), Measure::Products(0, 0), Measure::Histogram(0, 4)] {
        let asked = request(&["drg_code"], &[measure], 5_000);
        assert_eq!(refused(&policy(Noise::default()), asked).0, RefusalCode::Request);
    }
    // A budget is a leave.
    let mut asking = policy(Noise::default());
    asking.questions.allow = Allow::Ask;
    assert!(admit(by_group.clone(), &asking, Leave::None).is_ok());
    let exact = by_group.with_noise(None);
    assert_eq!(refused(&asking, exact.clone()).0, RefusalCode::Waiting);
    assert_ne!(exact.hash(), exact.clone().with_noise(Some(5_000)).hash());
}

#[test]
fn deviations_follow_from_bounds_and_budget() {
    let noise = Noise { rows_per_person: 2, ..Noise::default() };
    let asked = request(&["drg_code"], &[COSTS[0], COSTS[1], Measure::Contributors], 5_000);
    let admitted = admit(asked, &policy(noise), Leave::None).unwrap();
    let told = admitted.noisy().unwrap().statement(admitted.request(), 11);
    // Three kinds of cells at a third of 0.005 each: 2 / sqrt(2 * 0.005 / 3) = 34.64.
    assert_eq!((told.rows_deviation, told.rows_per_person), (35, 2));
    // Money in units of 10^-4, up to 100,000.
    assert_eq!(told.bounds, [1_000_000_000]);
    let sum = 34_641_016_152;
    assert_eq!(told.deviations, [0, 35, sum, 0]);
    // 2 + 35 sqrt(2 ln(2 / 10^-8)) = 2 + 216.5; a fiftieth of the half of 10^-6.
    assert_eq!(told.least_rows, 220);
    // 0.25 + 2 sqrt(0.25 ln(2 * 10^6)).
    assert!((told.epsilon_year - 4.059_0).abs() < 1e-3, "{}", told.epsilon_year);
    let bound_of_request = Noise { money: 100_000_000, ..noise }.bound(&money());
    assert_eq!(bound_of_request, money().bound.min(1_000_000_000_000));
}

#[test]
fn noise_is_what_it_says_it_is() {
    let noise = Noise { number: 100, money: 10, ..Noise::default() };
    let rows = stays("A", 0..3_000, 100_000);
    let asked = request(&["drg_code"], &COSTS, 5_000);
    let groups = groups_of(&rows, &asked);
    let told = |tag| release(partial(asked.clone(), noise, groups.clone()), &seed(tag));
    let statement = told(0).noise().cloned().unwrap();
    assert_eq!(told(1), told(1));
    let mut squares = [0.0f64; 3];
    let exact = [3_000.0, 3_000.0, 300_000_000.0];
    for tag in 0..200 {
        let told = told(tag);
        let cells = told.groups()[0].cells();
        assert_eq!(u64::try_from(cells[0]), Ok(told.groups()[0].rows()), "COUNT(*) is the rows");
        for ((square, cell), exact) in squares.iter_mut().zip(cells).zip(exact) {
            #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
            let off = *cell as f64 - exact;
            *square += off * off / 200.0;
        }
    }
    let [rows, stays, sum] = squares.map(f64::sqrt);
    // 200 draws tell a deviation to 5 %; three of these.
    let is_near = |found: f64, said: u128| (found / said as f64 - 1.0).abs() < 0.15;
    assert!(is_near(rows, statement.rows_deviation) && is_near(stays, statement.deviations[1]));
    assert!(is_near(sum, statement.deviations[2]), "{sum}");
}

#[test]
fn groups_are_told_by_noisy_rows_only() {
    let asked = request(&["drg_code"], &COSTS[..1], 5_000);
    let told = |persons: u32, tag| {
        let groups = groups_of(&stays("A", 0..persons, 100), &asked);
        release(partial(asked.clone(), Noise::default(), groups), &seed(tag))
    };
    let statement = told(1, 0).noise().cloned().unwrap();
    let least = u32::try_from(statement.least_rows).unwrap();
    let shown = |persons| (0..100).filter(|tag| !told(persons, *tag).groups().is_empty()).count();
    // One person alone does not make a group appear; at the threshold every other answer tells it.
    assert_eq!(shown(1), 0);
    assert!((30..=70).contains(&shown(least)), "{}", shown(least));
    assert_eq!(shown(2 * least), 100);
    // Not even how many groups are not told is.
    let untold = told(1, 0);
    assert_eq!((untold.withheld_groups(), untold.withheld_rows(), untold.told().len()), (0, 0, 0));
}

#[test]
fn the_whole_is_there_whoever_is_in_it() {
    let asked = request(&[], &COSTS, 5_000);
    for tag in 0..20 {
        let told = release(partial(asked.clone(), Noise::default(), Vec::new()), &seed(tag));
        let [group] = told.groups() else { panic!("one group") };
        assert!(group.cells()[1] >= 0, "a number of rows");
    }
}

#[test]
fn policies_are_checked() {
    assert_eq!(Noise::default().problems(), Vec::<String>::new());
    let zero = Noise { rows_per_person: 0, money: 0, number: 0, delta_e9: 0, ..Noise::default() };
    assert_eq!(zero.problems().len(), 4);
    let poor = Noise { rho_hospital_year_micro: 10, rho_user_year_micro: 0, ..Noise::default() };
    assert_eq!(poor.problems().len(), 2);
    assert_eq!(
        ["0.005", "0.25", "1", "0.000001"],
        [5_000, 250_000, MICRO, 1].map(share).as_slice()
    );
}
