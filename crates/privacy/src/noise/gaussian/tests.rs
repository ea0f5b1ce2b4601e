use num_traits::ToPrimitive as _;

use super::*;

fn draws(tag: u8) -> Gaussian {
    Gaussian::new(&Zeroizing::new([tag; 32]))
}

/// Pearson's statistic of how often each number was drawn, against the law, for the numbers that are
/// expected at least 10 times; and how many these are.
fn misfit(sigma: u128, count: u32, draw: &mut dyn FnMut() -> i128) -> (f64, u32) {
    let variance = (sigma * sigma).to_f64().unwrap();
    let reach = i64::try_from(12 * sigma).unwrap();
    let weight = |x: i64| (-(x * x).to_f64().unwrap() / (2.0 * variance)).exp();
    let all: f64 = (-reach..=reach).map(weight).sum();
    let mut seen = std::collections::HashMap::<i128, u32>::new();
    (0..count).for_each(|_| *seen.entry(draw()).or_default() += 1);
    let (mut misfit, mut cells) = (0.0, 0);
    for x in -reach..=reach {
        let expected = weight(x) / all * f64::from(count);
        if expected >= 10.0 {
            let found = f64::from(seen.get(&x.into()).copied().unwrap_or_default());
            misfit += (found - expected).powi(2) / expected;
            cells += 1;
        }
    }
    (misfit, cells)
}

/// Three deviations above what is expected of Pearson's statistic: one law in 700 fails with other seeds.
fn most(cells: u32) -> f64 {
    f64::from(cells) + 3.0 * (2.0 * f64::from(cells)).sqrt()
}

#[test]
fn draws_follow_the_law() {
    for (sigma, tag) in [(1, 1), (3, 2), (10, 3), (40, 4)] {
        let mut draw = draws(tag);
        let (misfit, cells) = misfit(sigma, 60_000, &mut || draw.sample(sigma));
        assert!(misfit < most(cells), "sigma {sigma}: {misfit} in {cells} cells");
    }
}

/// So the test above can fail.
#[test]
fn a_rounded_laplace_law_does_not_pass_for_it() {
    let mut draw = draws(5);
    let scale = BigUint::from(2u32);
    let mut laplace = || {
        let (is_negative, size) = draw.laplace(&scale);
        let size = size.to_i128().unwrap();
        if is_negative { -size } else { size }
    };
    let (misfit, cells) = misfit(3, 60_000, &mut laplace);
    assert!(misfit > 10.0 * most(cells));
}

#[test]
fn a_wide_law_is_nearly_the_normal_one() {
    // Shares of the standard normal law below each quantile, of the tables.
    let sigma = 3_000_000_000_000u128;
    let mut draw = draws(6);
    let scaled: Vec<f64> = (0..20_000)
        .map(|_| draw.sample(sigma).to_f64().unwrap() / sigma.to_f64().unwrap())
        .collect();
    for (quantile, share) in
        [(-1.959_964, 0.025), (-0.674_490, 0.25), (0.0, 0.5), (1.281_552, 0.9), (2.326_348, 0.99)]
    {
        let below = scaled.iter().filter(|x| **x < quantile).count().to_f64().unwrap();
        let deviation = f64::sqrt(20_000.0 * share * (1.0 - share));
        assert!((below - 20_000.0 * share).abs() < 3.5 * deviation, "{quantile}: {below}");
    }
}

#[test]
fn a_seed_gives_one_answer_and_another_another() {
    let ten = |tag| (0..10).map(|_| draws(tag).sample(1_000)).collect::<Vec<_>>();
    let in_turn = |tag| {
        let mut draw = draws(tag);
        (0..100).map(|_| draw.sample(1_000_000)).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(ten(1), ten(1));
    assert_ne!(in_turn(1), in_turn(2));
    assert!(in_turn(1).len() > 95, "draws of one stream differ");
    assert_eq!(draws(1).sample(0), 0);
}

#[test]
fn deviations_are_rounded_up() {
    // One person's 1 at rho 0.005: 1 / sqrt(2 * 0.005) = 10.
    assert_eq!(deviation(1, 1, 5_000), 10);
    assert_eq!(deviation(1, 2, 5_000), 15, "14.14");
    assert_eq!(deviation(2, 1, 5_000), 20);
    assert_eq!(deviation(1_000_000_000, 1, 5_000), 10_000_000_000);
    assert_eq!(deviation(0, 1, 5_000), 0);
    // Exact roots stay, one above is rounded up.
    assert_eq!(deviation(1, 1, 500_000), 1);
    assert_eq!(deviation(1, 1, 499_999), 2);
}
