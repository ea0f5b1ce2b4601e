use proptest::prelude::*;

use super::*;

fn volume(hospital: &str, tier: &str, group: &str, stays: u64) -> Volume {
    Volume {
        hospital: hospital.to_owned(),
        tier: tier.to_owned(),
        group: group.to_owned(),
        cases: i128::from(stays) * MICRO,
        stays,
    }
}

fn scores(scores: &[(&str, f64)]) -> BTreeMap<String, f64> {
    scores.iter().map(|(group, score)| ((*group).to_owned(), *score)).collect()
}

fn map<T: Clone>(entries: &[(&str, T)]) -> BTreeMap<String, T> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

fn region() -> (BTreeMap<String, f64>, Vec<Volume>) {
    let volumes = vec![
        volume("h01", "tertiary", "GD25", 100),
        volume("h01", "tertiary", "BR21", 50),
        volume("h02", "primary", "GD25", 40),
    ];
    (scores(&[("GD25", 0.8), ("BR21", 2.0)]), volumes)
}

const SCHEMES: [Scheme; 3] = [Scheme::DrgRate, Scheme::DrgPoints, Scheme::DipPoints];

/// Weights 80 + 100 + 32 = 212, and 2,120,000.00 to divide: a rate of 10,000.
#[test]
fn a_rate_a_point_value_and_a_dip_point_value() {
    let (scores, volumes) = region();
    let rules = Parameters::default();
    let rate = settle(Scheme::DrgRate, 212_000_000, &scores, &volumes, &rules).unwrap();
    assert_eq!((rate.value, rate.total_points), (10_000.0, 212.0));
    let gross: Vec<_> = rate.settlements.iter().map(|row| row.gross_cents).collect();
    assert_eq!(gross, [180_000_000, 32_000_000]);
    let groups = [("BR21".to_owned(), 100_000_000), ("GD25".to_owned(), 80_000_000)];
    assert_eq!(rate.settlements[0].by_group, groups);

    let points = settle(Scheme::DrgPoints, 212_000_000, &scores, &volumes, &rules).unwrap();
    assert_eq!((points.value, points.total_points), (100.0, 21_200.0));
    assert_eq!(points.settlements[0].by_group, groups);

    let mut rules = rules;
    rules.payment.reimbursement_ratio = 0.8;
    let dip = settle(Scheme::DipPoints, 212_000_000, &scores, &volumes, &rules).unwrap();
    assert_eq!((dip.value, dip.fund_cents), (12_500.0, 265_000_000));
    assert_eq!(dip.settlements[1].gross_cents, 40_000_000);
    let plain = settle(Scheme::DrgRate, 212_000_000, &scores, &volumes, &rules).unwrap();
    assert_eq!(plain, rate, "the ratio is of DIP alone");
}

#[test]
fn coefficients_prepayments_and_fractional_cases() {
    let (scores, mut volumes) = region();
    volumes.push(Volume { cases: MICRO / 2, ..volume("h02", "primary", "GD25", 1) });
    let mut rules = Parameters::default();
    rules.payment.tier = map(&[("tertiary", 1.1), ("primary", 0.8)]);
    rules.payment.hospital = map(&[("h02", 1.05)]);
    rules.payment.policy = map(&[("BR21", 1.2)]);
    rules.payment.prepaid = map(&[("h01", "1000.00".to_owned()), ("h09", "7.5".to_owned())]);
    let settled = settle(Scheme::DrgRate, 100_000_000, &scores, &volumes, &rules).unwrap();
    // 100·0.88 + 50·2.64 = 220; 40.5·0.672 = 27.216.
    let points: Vec<_> = settled.settlements.iter().map(|row| row.points).collect();
    assert_eq!(points, [220.0, 27.216, 0.0]);
    let gross: Vec<_> = settled.settlements.iter().map(|row| row.gross_cents).collect();
    // 10⁸ · 220 / 247.216 = 88,991,004.1..
    assert_eq!(gross, [88_991_004, 11_008_996, 0]);
    let balance: Vec<_> = settled.settlements.iter().map(|row| row.balance_cents).collect();
    assert_eq!(balance, [88_891_004, 11_008_996, -750], "without volume, it is paid back");
    assert!(settled.settlements[2].by_group.is_empty());
}

#[test]
fn what_cannot_be_divided_is_an_error() {
    let (scores, volumes) = region();
    let rules = Parameters::default();
    let run = |fund, scores: &_, volumes: &[_]| {
        settle(Scheme::DrgPoints, fund, scores, volumes, &rules).unwrap_err()
    };
    assert_eq!(run(5, &scores, &[]), CasemixError::ZeroTotal("points"));
    let zero = super::tests::scores(&[("GD25", 0.0), ("BR21", 0.0)]);
    assert_eq!(run(5, &zero, &volumes), CasemixError::ZeroTotal("points"));
    assert_eq!(run(-5, &scores, &volumes), CasemixError::Negative("the fund"));
    let unknown = [volume("h01", "primary", "ZZ11", 1)];
    assert_eq!(run(5, &scores, &unknown), CasemixError::NoScore("ZZ11".to_owned()));
    for bad in [-0.1, f64::NAN, f64::INFINITY, 1e300] {
        let bad = super::tests::scores(&[("GD25", bad), ("BR21", 1.0)]);
        run(5, &bad, &volumes);
    }
    let negative = [Volume { cases: -1, ..volumes[0].clone() }];
    assert_eq!(run(5, &scores, &negative), CasemixError::Negative("cases"));
    let endless = [Volume { cases: i128::MAX, ..volumes[0].clone() }];
    assert_eq!(run(5, &scores, &endless), CasemixError::TooLarge("points"));
}

#[test]
fn one_hospital_gets_everything_and_none_without_cases() {
    let (scores, volumes) = region();
    let rules = Parameters::default();
    for scheme in SCHEMES {
        let one = settle(scheme, 12_345, &scores, &volumes[..1], &rules).unwrap();
        assert_eq!(one.settlements[0].gross_cents, 12_345);
        let idle = [volumes[0].clone(), volume("h03", "primary", "GD25", 0)];
        let settled = settle(scheme, 12_345, &scores, &idle, &rules).unwrap();
        assert_eq!(settled.settlements[1].by_group, [("GD25".to_owned(), 0)]);
        let empty = settle(scheme, 0, &scores, &volumes, &rules).unwrap();
        assert!(empty.settlements.iter().all(|row| row.gross_cents == 0));
    }
}

#[test]
fn a_shadow_run_tells_who_would_get_more() {
    let (scores, volumes) = region();
    let rules = Parameters::default();
    let live = settle(Scheme::DrgRate, 212_000_000, &scores, &volumes[..2], &rules).unwrap();
    let dearer = super::tests::scores(&[("GD25", 1.6), ("BR21", 2.0)]);
    let shadow = settle(Scheme::DrgRate, 212_000_000, &dearer, &volumes, &rules).unwrap();
    let found = compare(&live, &shadow);
    let rows: Vec<_> =
        found.iter().map(|row| (row.hospital.as_str(), row.live_cents, row.shadow_cents)).collect();
    // Shadow: 160 + 100 + 64 = 324 weights.
    assert_eq!(rows, [("h01", 212_000_000, 170_123_457), ("h02", 0, 41_876_543)]);
    assert_eq!(found.iter().map(|row| row.difference_cents).sum::<i128>(), 0);
    for row in &found {
        let groups: i128 = row.by_group.iter().map(|group| group.difference_cents).sum();
        assert_eq!(groups, row.difference_cents);
    }
    assert!(compare(&live, &live).iter().all(|row| row.difference_cents == 0));
}

#[test]
fn a_fund_is_split_among_payers_to_the_cent() {
    let mut rules = PaymentRules::default();
    assert!(split_fund(100, &rules).unwrap().is_empty());
    rules.pools = map(&[("employee", 2.0 / 3.0), ("resident", 1.0 / 3.0)]);
    let parts = split_fund(1_000_001, &rules).unwrap();
    assert_eq!(parts.values().sum::<i128>(), 1_000_001);
    assert_eq!(parts["employee"], 666_668);
}

prop_compose! {
    fn any_volume()(
        hospital in 0_u8..20,
        tier in prop::sample::select(vec!["tertiary", "secondary", "primary"]),
        group in 0_u8..30,
        stays in 0_u64..5_000,
        cases in 0_i128..5_000_000_000,
    ) -> Volume {
        Volume { cases, ..volume(&format!("h{hospital:02}"), tier, &format!("G{group:02}"), stays) }
    }
}

prop_compose! {
    fn any_region()(
        volumes in prop::collection::vec(any_volume(), 1..120),
        fund in 0_i128..10_i128.pow(13),
        scores in prop::collection::vec(0_u32..20_000_000, 30),
        tiers in prop::collection::vec(500_u32..1_500, 3),
        ratio in 500_u32..=1_000,
    ) -> (Vec<Volume>, i128, BTreeMap<String, f64>, Parameters) {
        let score = |(at, score): (usize, &u32)| (format!("G{at:02}"), f64::from(*score) / 1e6);
        let scores = scores.iter().enumerate().map(score).collect();
        let mut rules = Parameters::default();
        let names = ["tertiary", "secondary", "primary"].map(str::to_owned);
        rules.payment.tier =
            names.into_iter().zip(tiers.iter().map(|tier| f64::from(*tier) / 1e3)).collect();
        rules.payment.reimbursement_ratio = f64::from(ratio) / 1e3;
        (volumes, fund, scores, rules)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn every_cent_of_the_fund_is_paid((volumes, fund, scores, rules) in any_region()) {
        for scheme in SCHEMES {
            let Ok(settled) = settle(scheme, fund, &scores, &volumes, &rules) else {
                prop_assert!(volumes.iter().all(|row| row.cases == 0 || scores[&row.group] == 0.0));
                continue;
            };
            let gross: i128 = settled.settlements.iter().map(|row| row.gross_cents).sum();
            prop_assert_eq!(gross, settled.fund_cents);
            if scheme != Scheme::DipPoints {
                prop_assert_eq!(gross, fund);
            }
            for row in &settled.settlements {
                let groups: i128 = row.by_group.iter().map(|group| group.1).sum();
                prop_assert_eq!(groups, row.gross_cents);
                let plain = row.points * settled.value * 100.0;
                let paid = row.gross_cents as f64;
                prop_assert!((paid - plain).abs() <= 1.0 + 1e-9 * plain, "{} {}", paid, plain);
            }
            let whole = settled.total_points * settled.value * 100.0;
            prop_assert!((whole - gross as f64).abs() <= 1e-9 * whole.max(1.0));
        }
    }

    /// Only the proportions of cases and scores matter: multiplied by whole numbers they give the
    /// same money, to the cent.
    #[test]
    fn scales_do_not_matter(
        (volumes, fund, scores, mut rules) in any_region(),
        cases in 1_i128..50,
        score in 1_u32..50,
    ) {
        rules.payment.tier.clear();
        let more: Vec<_> =
            volumes.iter().map(|row| Volume { cases: row.cases * cases, ..row.clone() }).collect();
        let higher = scores.iter().map(|(k, v)| (k.clone(), v * f64::from(score))).collect();
        for scheme in SCHEMES {
            let Ok(plain) = settle(scheme, fund, &scores, &volumes, &rules) else { continue };
            let scaled = settle(scheme, fund, &higher, &more, &rules).unwrap();
            let money = |settled: &Settled| -> Vec<_> {
                settled.settlements.iter().map(|row| (row.gross_cents, row.by_group.clone())).collect()
            };
            prop_assert_eq!(money(&plain), money(&scaled));
        }
    }
}
