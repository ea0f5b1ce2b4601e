use model::RefusalCode;
use num_traits::ToPrimitive as _;

use super::*;
use crate::combine::Combined;
use crate::conceal::conceal;
use crate::domain::Domain;
use crate::fixture::{Fixture, bytes, groups_of, money, no_floor, request_of, stays, wire};
use crate::measure::Measure;
use crate::partial::Partial;
use crate::policy::Selectivity;
use crate::reveal::{RevealError, Total, reveal_noisy};
use crate::shape::MeasureShape;
use crate::sketch::Population;

const RHO: u64 = 5_000;
/// Of COUNT(*), of the number behind a sum, and the sum.
const COSTS: [Measure; 2] = [Measure::Rows, Measure::Sum(0)];
const ALL: [usize; 3] = [0, 1, 2];

fn request(codes: &[&str], measures: &[Measure]) -> ReleaseRequest {
    let domain = Domain::closed(codes.iter().map(ToString::to_string).collect()).unwrap();
    request_of(vec![domain], vec![money()], measures.to_vec()).with_noise(Some(RHO))
}

/// A round of three hospitals whose policies say `rule`.
fn round(request: ReleaseRequest, rule: Noise) -> Fixture {
    let mut fixture = Fixture::new(request, 3, no_floor(), 1);
    fixture.terms.noise = Some(RoundNoise::of(rule, RHO, &fixture.request));
    fixture.policy.noise = Some(rule);
    fixture
}

fn noise_of(fixture: &Fixture) -> &RoundNoise {
    fixture.terms.noise.as_ref().unwrap()
}

fn seed(tag: u8) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(bytes(tag, "noise"))
}

fn opened(fixture: &Fixture, tag: u8) -> Opened {
    let (shape, sid) = (&fixture.terms.shape, fixture.terms.sid());
    open(noise_of(fixture), shape, (&sid, &fixture.seeds(&ALL)), &seed(tag))
}

fn reveal(
    fixture: &Fixture,
    total: &Total,
    opened: &Opened,
    least: u64,
) -> Result<Combined, RevealError> {
    let (shape, key) = (&fixture.terms.shape, &fixture.round_key);
    reveal_noisy(total, opened, &fixture.request, shape, key, (noise_of(fixture), least))
}

fn read(fixture: &Fixture, total: &Total, opened: &Opened, least: u64) -> Combined {
    reveal(fixture, total, opened, least).unwrap()
}

/// Three hospitals with 1,000 stays of 10 units of currency in A each; B has one stay, of the first.
fn data() -> Vec<Vec<crate::fixture::Row>> {
    let one = |index: u32| stays("A", 1_000 * index..1_000 * (index + 1), 100_000);
    let mut all: Vec<_> = (0..3).map(one).collect();
    all[0].extend(stays("B", 5_000..5_001, 100_000));
    all
}

#[test]
fn a_round_tells_sums_with_noise_that_is_what_it_says() {
    let rule = Noise { money: 10, ..Noise::default() };
    let fixture = round(request(&["A", "B"], &COSTS), rule);
    let deviations = noise_of(&fixture).deviations.clone();
    // Three kinds of cells at a third of 0.005 each: 1 / sqrt(2 * 0.005 / 3) = 17.3; no draw is its own of COUNT(*).
    assert_eq!(deviations, [18, 0, 18, 1_732_051]);
    let total = fixture.total(&data(), &ALL);
    let exact = [3_000.0, 3_000.0, 300_000_000.0];
    let mut squares = [0.0f64; 3];
    for tag in 0..200 {
        let combined = read(&fixture, &total, &opened(&fixture, tag), 11);
        let group = &combined.groups[&vec![Some("A".to_owned())]];
        assert_eq!(Ok(group.rows), u64::try_from(group.cells[0]), "COUNT(*) is the rows");
        for ((square, cell), exact) in squares.iter_mut().zip(&group.cells).zip(exact) {
            *square += (cell.to_f64().unwrap() - exact).powi(2) / 200.0;
        }
    }
    // 200 draws tell a deviation to 5 %; three of these.
    for (found, said) in squares.map(f64::sqrt).iter().zip([18.0, 18.0, 1_732_051.0]) {
        assert!((found / said - 1.0).abs() < 0.15, "{found} instead of {said}");
    }
    assert_eq!(opened(&fixture, 7), opened(&fixture, 7));
    assert_ne!(opened(&fixture, 7).masks, opened(&fixture, 8).masks);
}

#[test]
fn rare_groups_are_left_out_by_their_noisy_rows_and_the_whole_never_is() {
    let fixture = round(request(&["A", "B"], &COSTS), Noise::default());
    let least = least_rows(noise_of(&fixture), 11);
    assert_eq!((least, least_rows(noise_of(&fixture), 100)), (3 * 18, 100));
    let total = fixture.total(&data(), &ALL);
    let rare = vec![Some("B".to_owned())];
    let shown = |least| {
        let is_shown = |tag: &u8| {
            let combined = read(&fixture, &total, &opened(&fixture, *tag), least);
            assert!(combined.groups.contains_key(&vec![Some("A".to_owned())]));
            combined.groups.contains_key(&rare)
        };
        (0..100).filter(is_shown).count()
    };
    // One stay among noise of 18: at its own number every other time, above three deviations once in 740.
    assert!(shown(least) <= 2, "{}", shown(least));
    assert!((30..=70).contains(&shown(2)), "{}", shown(2));

    let whole = round(
        request_of(Vec::new(), vec![money()], COSTS.to_vec()).with_noise(Some(RHO)),
        Noise::default(),
    );
    let total = whole.total(&vec![Vec::new(); 3], &ALL);
    for tag in 0..20 {
        let combined = read(&whole, &total, &opened(&whole, tag), least);
        assert_eq!(combined.groups.len(), 1);
        assert!(combined.groups.values().all(|group| group.cells[1] >= 0), "a number of rows");
    }
}

/// With a check of the exact sum the coordinator could take the noise off; with counts the witness would learn more
/// than it has to; a rule of the hospital's own would depend on rows.
#[test]
fn an_upload_has_sums_and_nothing_else() {
    let mut fixture = round(request(&["A", "B"], &COSTS), Noise::default());
    fixture.policy.selectivity = Selectivity { persons: 50 };
    fixture.policy.pooled.local_minimum = 20;
    let round = fixture.round(0);
    let groups = groups_of(&stays("A", 0..7, 100_000), &fixture.request);
    let partial = Partial::new(round.admitted().clone(), groups, Population::Untold, 7, true);
    let upload = conceal(partial, &round, &fixture.seed(0)).unwrap();
    let mut total = Total::new(&fixture.terms.shape);
    total.add(&wire(&upload)).unwrap();
    let (shape, sid) = (&fixture.terms.shape, fixture.terms.sid());
    let stream = fixture.seed(0).stream(&sid, &crate::fixture::hospital(0));
    let mut bare = upload.entries().to_vec();
    crate::mask::Expander::default().subtract_all(&[stream], 0, &mut bare);
    let first = shape.value_columns(0).0.start;
    let place = fixture.place(&[Some("A")]);
    let mut expected = vec![0u128; bare.len()];
    // Rows, then COUNT(*) that is no draw of its own, then the number behind the sum, and the sum.
    for (column, value) in [(0, 7), (2, 7), (3, 700_000)] {
        expected[(first + column) * shape.cells() + place] = value;
    }
    assert_eq!(bare, expected);
}

#[test]
fn a_hospital_takes_part_only_with_the_noise_that_its_policy_calls_for() {
    let rule = Noise { rows_per_person: 2, ..Noise::default() };
    let refused = |change: &dyn Fn(&mut Fixture)| {
        let mut fixture = round(request(&["A", "B"], &COSTS), rule);
        change(&mut fixture);
        let offer = fixture.offer().unwrap();
        fixture.admit(offer, 0).unwrap_err()
    };
    let noise = |fixture: &mut Fixture, change: &dyn Fn(&mut RoundNoise)| {
        change(fixture.terms.noise.as_mut().unwrap());
    };
    for (what, change) in [
        ("less noise", &(|n: &mut RoundNoise| n.deviations[3] -= 1) as &dyn Fn(&mut RoundNoise)),
        ("none", &|n| n.deviations[2] = 0),
        ("more of it", &|n| n.deviations[0] += 1),
        ("where none is", &|n| n.deviations[1] = 1),
        ("another cost", &|n| n.rho_micro -= 1),
        ("wider rows", &|n| n.rows_per_person += 1),
        ("wider money", &|n| n.money += 1),
        ("wider numbers", &|n| n.number += 1),
        ("narrower ones with the wrong noise", &|n| n.money -= 1),
    ] {
        let refusal = refused(&|fixture| noise(fixture, change));
        let found = (refusal.code, refusal.subject.as_str());
        assert_eq!(found, (RefusalCode::Offer, SUBJECT), "{what}: {refusal}");
    }
    let refusal = refused(&|fixture| fixture.terms.noise = None);
    assert_eq!(refusal.subject, SUBJECT, "a noisy question in an exact round");
    let refusal = refused(&|fixture| fixture.policy.noise = None);
    assert_eq!(refusal.code, RefusalCode::Budget, "no budget");

    // Narrower bounds are fine, with their own noise.
    let mut fixture = round(request(&["A", "B"], &COSTS), rule);
    let narrow = Noise { money: 10, rows_per_person: 1, ..rule };
    fixture.terms.noise = Some(RoundNoise::of(narrow, RHO, &fixture.request));
    assert_eq!(fixture.round(0).admitted().noisy().unwrap().rule(), narrow);
    // An exact question does not go into a noisy round.
    fixture.request = fixture.request.clone().with_noise(None);
    fixture.terms.request = fixture.request.hash();
    assert!(fixture.admit(fixture.offer().unwrap(), 0).is_err());
}

#[test]
fn hospitals_agree_on_the_narrowest_bounds() {
    let one = Noise { money: 10, delta_e9: 5, ..Noise::default() };
    let other = Noise { number: 7, rows_per_person: 1, ..Noise::default() };
    let all = narrowest([one, other].into_iter()).unwrap();
    assert_eq!((all.money, all.number, all.rows_per_person, all.delta_e9), (10, 7, 1, 5));
    assert_eq!(narrowest(std::iter::empty()), None);
}

#[test]
fn terms_with_odd_noise_are_refused_by_everybody() {
    let fixture = round(request(&["A", "B"], &COSTS), Noise::default());
    let (noise, shape) = (noise_of(&fixture), &fixture.terms.shape);
    assert_eq!(noise.check(shape), Ok(()));
    let with = |change: &dyn Fn(&mut MeasureShape)| {
        let mut measures = shape.measures().to_vec();
        measures.iter_mut().for_each(change);
        Shape::new(shape.cells(), measures, Sketched::Nothing).unwrap()
    };
    assert!(noise.check(&with(&|m| m.supports = 1)).is_err(), "something to judge");
    assert!(noise.check(&with(&|m| m.money = 1)).is_err());
    assert!(noise.check(&with(&|m| m.whole = true)).is_err());
    assert!(noise.check(&with(&|m| m.width += 1)).is_err());
    let sketched = Shape::new(shape.cells(), shape.measures().to_vec(), Sketched::Cells).unwrap();
    assert!(noise.check(&sketched).is_err());
    let nothing = Shape::new(2, Vec::new(), Sketched::Nothing).unwrap();
    let of_nothing = RoundNoise { deviations: vec![18], ..noise.clone() };
    assert!(of_nothing.check(&nothing).is_err(), "a listing");
    let absurd = RoundNoise { deviations: vec![1 << 111; 4], ..noise.clone() };
    assert!(absurd.check(shape).is_err());
    let cells = MAX_DRAWS / 3 + 1;
    let wide = Shape::new(cells, shape.measures().to_vec(), Sketched::Nothing).unwrap();
    assert_eq!(noise.check(&wide).unwrap_err().code, RefusalCode::TooLarge);
    let narrow = Shape::new(cells - 1, shape.measures().to_vec(), Sketched::Nothing).unwrap();
    assert_eq!(noise.check(&narrow), Ok(()));
}

#[test]
fn a_reply_of_another_form_is_no_answer() {
    let fixture = round(request(&["A", "B"], &COSTS), Noise::default());
    let total = fixture.total(&data(), &ALL);
    let fine = opened(&fixture, 1);
    for change in [
        (|o: &mut Opened| o.masks.truncate(3)) as fn(&mut Opened),
        |o| o.places.truncate(1),
        |o| o.places.swap(0, 1),
        |o| o.verdicts[0] = 1,
        |o| o.runs.push(true),
    ] {
        let mut odd = fine.clone();
        change(&mut odd);
        assert_eq!(reveal(&fixture, &total, &odd, 11), Err(RevealError::Shape));
    }
    // Masks of other seeds, and of one hospital less, leave numbers that nobody can have.
    let (shape, sid) = (&fixture.terms.shape, fixture.terms.sid());
    for seeds in [fixture.seeds(&[0, 1]), fixture.seeds(&[0, 1, 1])] {
        let odd = open(noise_of(&fixture), shape, (&sid, &seeds), &seed(1));
        assert_eq!(reveal(&fixture, &total, &odd, 11), Err(RevealError::Check));
    }
}
