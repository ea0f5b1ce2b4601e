use super::order::stem;
use super::*;

fn request(formula: &str, family: &str) -> v1::FitRequest {
    v1::FitRequest {
        formula: formula.to_owned(),
        family: family.to_owned(),
        ..v1::FitRequest::default()
    }
}

fn reason(request: v1::FitRequest) -> String {
    match Order::new(request, "m".to_owned()) {
        Err(AskError::Refused(refusal)) => format!("{} {}", refusal.subject, refusal.reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn orders_say_what_is_wrong_with_them() {
    let cost = "total_cost ~ sex";
    assert!(reason(request("total_cost ~", "gamma")).contains("character 13"));
    assert!(reason(request(cost, "gama")).contains("gaussian, gamma"));
    assert!(reason(request(cost, "binomial")).contains("is a number"));
    assert!(reason(request("died ~ sex", "gamma")).contains("is a flag"));
    let with = |change: &dyn Fn(&mut v1::FitRequest)| {
        let mut request = request(cost, "gamma");
        change(&mut request);
        reason(request)
    };
    assert!(with(&|r| r.link = "logit".to_owned()).contains("no link logit"));
    assert!(with(&|r| r.link = "loog".to_owned()).contains("identity, log"));
    assert!(with(&|r| r.ridge = -1.0).contains("from 0 on"));
    assert!(with(&|r| r.firth = true).contains("binomial"));
    assert!(with(&|r| r.weight = "los_dayz".to_owned()).contains("nearest: los_days"));
    assert!(with(&|r| r.weight = "sex".to_owned()).contains("--weights"));
}

#[test]
fn the_carrier_reads_each_column_once() {
    let mut wanted = request("died ~ sex + age_years + age_years^2 + C(severity):sex", "binomial");
    wanted.condition = "sex <> 'U' -- both".to_owned();
    wanted.weight = "age_years".to_owned();
    let order = Order::new(wanted, "m".to_owned()).unwrap();
    let expected = "SELECT sex, severity, died, sum(age_years) FROM stay WHERE (\nsex <> 'U' -- \
                    both\n) AND sex IS NOT NULL AND severity IS NOT NULL AND died IS NOT NULL AND \
                    age_years IS NOT NULL GROUP BY sex, severity, died";
    assert_eq!(order.carrier(), expected);
    let order = Order::new(request("los_days ~ 1", "poisson"), "m".to_owned()).unwrap();
    assert_eq!(order.carrier(), "SELECT sum(los_days) FROM stay WHERE los_days IS NOT NULL");
    let order = Order::new(request("died ~ 1", "binomial"), "m".to_owned()).unwrap();
    let expected = "SELECT died, count(*) FROM stay WHERE died IS NOT NULL GROUP BY died";
    assert_eq!(order.carrier(), expected);
}

#[test]
fn names_and_units() {
    assert_eq!(stem("log(total_cost) ~ sex"), "log-total-cost");
    assert_eq!(stem("~"), "other");
    assert!((unit(Some(14_000.0)) - 16_384.0).abs() < 1e-9);
    assert!((unit(Some(0.0)) - 1.0).abs() < 1e-9 && (unit(None) - 1.0).abs() < 1e-9);
}
