use super::*;

fn cell(hospital: &str, group: &str, stays: u64, cost: f64, los: f64) -> Observed {
    Observed {
        hospital: hospital.to_owned(),
        tier: "tertiary".to_owned(),
        group: group.to_owned(),
        stays,
        mean_cost: Some(cost),
        mean_los: Some(los),
    }
}

fn standard() -> Standard {
    Standard {
        mean_cost: Some(9_000.0),
        sd_cost: Some(3_000.0),
        mean_los: Some(6.0),
        sd_los: Some(3.0),
        median_los: Some(5.0),
    }
}

fn raised(observed: &[Observed], rules: &AlertRules) -> Vec<Alert> {
    alerts(observed, |_, _| Some(standard()), rules)
}

fn untested() -> AlertRules {
    AlertRules { false_alarm: 1.0, ..AlertRules::default() }
}

fn kinds(alerts: &[Alert]) -> Vec<Kind> {
    alerts.iter().map(|alert| alert.kind).collect()
}

/// The appendicitis of [001]: 12,000 against 9,000.
#[test]
fn an_alert_tells_what_is_at_stake_and_how_sure_it_is() {
    let found = raised(&[cell("h01", "GD25", 100, 12_000.0, 6.6)], &AlertRules::default());
    assert_eq!(kinds(&found), [Kind::Cost], "6.6 days are 0.6 / 0.3 = 2 errors off: 1 in 44");
    assert!((found[0].deviation - 1.0 / 3.0).abs() < 1e-15);
    assert!((found[0].at_stake - 300_000.0).abs() < 1e-9);
    assert!((found[0].z - 10.0).abs() < 1e-12);

    let found = raised(&[cell("h01", "GD25", 400, 9_000.0, 6.6)], &AlertRules::default());
    assert_eq!(kinds(&found), [Kind::LengthOfStay], "four errors off");
    assert!((found[0].deviation - 0.32).abs() < 1e-12, "of the median");
    assert!((found[0].z - 4.0).abs() < 1e-12, "of the mean");
    assert!((found[0].at_stake - 0.6 * 400.0 * 1_500.0).abs() < 1e-6, "1,500 a day above the mean");
}

#[test]
fn thresholds_are_reached_at_their_very_number() {
    let at = |cost: f64, los: f64| kinds(&raised(&[cell("h", "GD25", 11, cost, los)], &untested()));
    assert_eq!(at(9_900.0, 1.0), [Kind::Cost]);
    assert_eq!(at(9_899.99, 1.0), [Kind::CostEarly]);
    assert_eq!(at(9_720.0, 1.0), [Kind::CostEarly]);
    assert_eq!(at(9_719.99, 1.0), []);
    assert_eq!(at(1.0, 6.0), [Kind::LengthOfStay]);
    assert_eq!(at(1.0, 5.999), []);
}

#[test]
fn what_cannot_be_compared_raises_nothing() {
    let dear = cell("h01", "GD25", 100, 20_000.0, 20.0);
    let rules = AlertRules::default();
    assert_eq!(raised(std::slice::from_ref(&dear), &rules).len(), 2);
    assert!(raised(&[], &rules).is_empty());
    assert!(raised(&[Observed { stays: 10, ..dear.clone() }], &untested()).is_empty(), "too few");
    let withheld = Observed { mean_cost: None, mean_los: None, ..dear.clone() };
    assert!(raised(&[withheld], &untested()).is_empty());
    let dear = [dear];
    assert!(alerts(&dear, |_, _| None, &untested()).is_empty(), "no standard");
    assert!(alerts(&dear, |_, _| Some(Standard::default()), &untested()).is_empty());
    let zero = Standard { mean_cost: Some(0.0), median_los: Some(0.0), ..standard() };
    assert!(alerts(&dear, |_, _| Some(zero), &untested()).is_empty());
    // Zero variance: no test, so nothing unless the test is off.
    for sd in [Some(0.0), None, Some(f64::NAN)] {
        let flat = Standard { sd_cost: sd, sd_los: sd, ..standard() };
        assert!(alerts(&dear, |_, _| Some(flat), &rules).is_empty());
        let found = alerts(&dear, |_, _| Some(flat), &untested());
        assert_eq!(kinds(&found), [Kind::LengthOfStay, Kind::Cost]);
        assert!(found.iter().all(|alert| alert.z == 0.0));
    }
}

#[test]
fn more_comparisons_need_more_certainty() {
    // 3 errors off: 0.00135 one-sided, enough among 7 comparisons and not among 8.
    let suspect = cell("h01", "GD25", 25, 10_800.0, 6.0);
    let quiet =
        |at: usize| Observed { mean_los: None, ..cell(&format!("q{at}"), "GD25", 50, 9e3, 6.0) };
    let region = |quiets: usize| {
        let mut region: Vec<_> = (0..quiets).map(quiet).collect();
        region.push(Observed { mean_los: None, ..suspect.clone() });
        raised(&region, &AlertRules { skewed: false, ..AlertRules::default() })
    };
    assert_eq!(kinds(&region(6)), [Kind::Cost]);
    assert_eq!(kinds(&region(7)), []);
}

#[test]
fn alerts_are_ordered_by_money_then_name() {
    let rows = [
        cell("h02", "GD25", 50, 11_000.0, 1.0),
        cell("h01", "GD27", 50, 11_000.0, 1.0),
        cell("h01", "GD25", 50, 11_000.0, 1.0),
        cell("h03", "GD25", 20, 19_000.0, 1.0),
    ];
    let found = raised(&rows, &AlertRules { severity_mix: false, ..untested() });
    let names: Vec<_> =
        found.iter().map(|alert| (alert.hospital.as_str(), alert.group.as_str())).collect();
    assert_eq!(names, [("h03", "GD25"), ("h01", "GD25"), ("h01", "GD27"), ("h02", "GD25")]);
}

fn mixed(hospital: &str, severe: u64, other: u64) -> [Observed; 2] {
    let cell = |group, stays| Observed {
        mean_cost: None,
        mean_los: None,
        ..cell(hospital, group, stays, 0.0, 0.0)
    };
    [cell("BR21", severe), cell("BR25", other)]
}

#[test]
fn a_severity_mix_is_compared_within_the_adjacent_group() {
    // 60 of 100 against 120 of 400: z = 0.3 / sqrt(0.3 · 0.7 / 100) = 6.5465...
    let region = [mixed("h01", 60, 40), mixed("h02", 30, 170), mixed("h03", 30, 70)].concat();
    let rules = AlertRules::default();
    let found = alerts(&region, |_, _| None, &rules);
    assert_eq!(kinds(&found), [Kind::SeverityMix]);
    let alert = &found[0];
    assert_eq!((alert.hospital.as_str(), alert.group.as_str(), alert.stays), ("h01", "BR2", 100));
    assert!((alert.z - 6.546_536_707_079_771).abs() < 1e-12, "{}", alert.z);
    assert!((alert.own - 0.6).abs() < 1e-15 && (alert.standard - 0.3).abs() < 1e-15);
    assert!((alert.deviation - 0.3).abs() < 1e-15 && alert.at_stake == 0.0);

    for off in [
        AlertRules { severity_mix: false, ..rules.clone() },
        AlertRules { adrg_prefix: 0, ..rules.clone() },
        AlertRules { adrg_prefix: 4, ..rules.clone() },
        AlertRules { false_alarm: 1.0, ..rules.clone() },
        AlertRules { mcc_suffix: "9".to_owned(), ..rules.clone() },
        AlertRules { mcc_suffix: "BR21".to_owned(), ..rules.clone() },
    ] {
        assert!(alerts(&region, |_, _| None, &off).is_empty(), "{off:?}");
    }
    // A tier of its own has nobody to be compared with.
    let mut alone = region.clone();
    for cell in &mut alone[..2] {
        cell.tier = "primary".to_owned();
    }
    assert!(alerts(&alone, |_, _| None, &rules).is_empty());
    let whole = AlertRules { standard: StandardOf::Region, ..rules.clone() };
    assert_eq!(alerts(&alone, |_, _| None, &whole).len(), 1);
    // Without one of its cells a hospital is not compared.
    assert!(alerts(&region[1..], |_, _| None, &rules).is_empty());
}

/// Uniform numbers in 0..1 from a congruential generator (Knuth's MMIX).
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 11) as f64 / 2f64.powi(53)
}

/// 1,000 regions in which all hospitals are alike: 60 cells of 20 stays whose costs vary by half
/// of their mean, so that without the test most of them would have an alert.
#[test]
fn a_region_without_differences_is_quiet() {
    let mut state = 7;
    let even = Standard { mean_cost: Some(1.0), sd_cost: Some(0.5), ..Standard::default() };
    let spread = 12f64.sqrt() * 0.5;
    let (mut tested, mut plain) = (0, 0);
    for _ in 0..1_000 {
        let region: Vec<_> = (0..60)
            .map(|at| {
                let sum = (0..20).map(|_| 1.0 + spread * (uniform(&mut state) - 0.5)).sum::<f64>();
                Observed { mean_los: None, ..cell(&format!("h{at}"), "GD25", 20, sum / 20.0, 1.0) }
            })
            .collect();
        let any = |rules: &AlertRules| !alerts(&region, |_, _| Some(even), rules).is_empty();
        tested += u32::from(any(&AlertRules::default()));
        plain += u32::from(any(&untested()));
    }
    assert!(plain > 990, "{plain}");
    assert!(tested <= 20, "{tested} of 1,000 at a level of one in a hundred");
}

/// 1,000 regions of 60 alike cells with 11 stays each, whose exponential costs vary as much as
/// their mean.
#[test]
fn skewed_costs_need_the_skewed_test() {
    let mut state = 11;
    let even = Standard { mean_cost: Some(1.0), sd_cost: Some(1.0), ..Standard::default() };
    let skewed = AlertRules::default();
    let plain = AlertRules { skewed: false, ..AlertRules::default() };
    let (mut kept, mut broken) = (0, 0);
    for _ in 0..1_000 {
        let region: Vec<_> = (0..60)
            .map(|at| {
                let sum = (0..11).map(|_| -(1.0 - uniform(&mut state)).ln()).sum::<f64>();
                Observed { mean_los: None, ..cell(&format!("h{at}"), "GD25", 11, sum / 11.0, 1.0) }
            })
            .collect();
        let any = |rules: &AlertRules| !alerts(&region, |_, _| Some(even), rules).is_empty();
        kept += u32::from(any(&skewed));
        broken += u32::from(any(&plain));
    }
    assert!(kept <= 20, "{kept} of 1,000 at a level of one in a hundred");
    assert!(broken > 50, "{broken}: the plain test does not keep its level");
}

#[test]
fn without_skewness_the_tests_are_one() {
    for z in [-3.0, 0.0, 0.5, 4.0] {
        assert!((unskewed(z, 1e-6) - z).abs() < 1e-5, "{z}");
    }
    // Four standard errors above the mean of 11 exponential values: 0.000922 by the Erlang
    // distribution, as likely as 3.114 normal ones.
    let score = unskewed(4.0, 2.0 / 11_f64.sqrt());
    assert!((score - 3.114_197_689).abs() < 0.02, "{score}");
}

/// `0.5 * math.erfc(z / math.sqrt(2))` of Python 3.
#[test]
fn the_tail_is_the_normal_one() {
    for (z, tail) in [
        (0.0, 0.5),
        (1.0, 0.158_655_253_931_457_07),
        (1.959_963_984_540_054, 0.025_000_000_000_000_02),
        (3.0, 0.001_349_898_031_630_095_7),
        (6.0, 9.865_876_450_377_012e-10),
        (-1.0, 0.841_344_746_068_542_9),
    ] {
        assert!((upper_tail(z) - tail).abs() <= 1e-12 * tail, "{z}");
    }
}
