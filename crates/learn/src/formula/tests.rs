use super::*;

fn factor(name: &str) -> Variable {
    Variable::Factor(name.to_owned())
}

fn number(name: &str, transform: Transform) -> Variable {
    Variable::Number(name.to_owned(), transform)
}

#[test]
fn the_formula_of_the_design_is_read() {
    let text = "total_cost ~ age_band + sex + severity + C(drg_code) + log(los_days) + \
                age_years:severity";
    let formula = Formula::parse(text).unwrap();
    assert_eq!(formula.outcome, Outcome::Number("total_cost".into(), Transform::Identity));
    assert_eq!(formula.factors(), ["age_band", "sex", "severity", "drg_code"]);
    assert_eq!(formula.numbers(), ["total_cost", "los_days", "age_years"]);
    assert_eq!(formula.terms.len(), 6);
    let crossed = vec![factor("severity"), number("age_years", Transform::Identity)];
    assert_eq!(formula.terms[5], crossed);
}

#[test]
fn stars_and_references_and_offsets() {
    let text = "died ~ sex*C(severity, \"2\") + age_years^2 + offset(log(los_days)) + sex";
    let formula = Formula::parse(text).unwrap();
    assert_eq!(formula.outcome, Outcome::Event("died".into()));
    assert_eq!(formula.references, [("severity".to_owned(), "2".to_owned())]);
    assert_eq!(formula.offset, Some(("los_days".to_owned(), Transform::Log)));
    let expected = vec![
        vec![factor("sex")],
        vec![factor("severity")],
        vec![number("age_years", Transform::Square)],
        vec![factor("severity"), factor("sex")],
    ];
    assert_eq!(formula.terms, expected);
    let alone = Formula::parse("los_days ~ 1").unwrap();
    assert!(alone.terms.is_empty());
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (text, place, part) in [
        ("total_cost", 11, "'~'"),
        ("total_cots ~ sex", 1, "nearest: total_cost"),
        ("total_cost ~ sexx", 14, "nearest: sex"),
        ("total_cost ~ sex - 1", 18, "intercept"),
        ("total_cost ~ sex +", 19, "expected a column"),
        ("total_cost ~ person_key", 14, "identifies"),
        ("total_cost ~ log(sex)", 14, "no number"),
        ("total_cost ~ exp(los_days)", 14, "no function"),
        ("total_cost ~ total_cost", 1, "itself"),
        ("total_cost ~ sex:sex", 18, "itself"),
        ("total_cost ~ C(sex, F)", 21, "quotation"),
        ("total_cost ~ C(sex, 'F", 21, "does not end"),
        ("total_cost ~ age_years^4", 24, "2 or 3"),
        ("sex ~ age_years", 1, "neither"),
        ("total_cost ~ sex sex", 18, "expected '+'"),
        ("total_cost ~ admitted_at", 14, "time"),
        ("阑尾 ~ sex", 1, "no column"),
        ("total_cost ~ sex; DROP", 17, "no meaning"),
    ] {
        let error = Formula::parse(text).unwrap_err();
        assert_eq!(error.place, place, "{text}: {error}");
        assert!(error.reason.contains(part), "{text}: {error}");
    }
}

#[test]
fn crossed_terms_are_counted_before_there_are_too_many() {
    let crossed = |name: &str, times: usize| format!("died ~ {}", vec![name; times].join("*"));
    let formula = Formula::parse(&crossed("sex", 500)).unwrap();
    assert_eq!(formula.terms, [vec![factor("sex")]], "a term once");
    let twice = Formula::parse("died ~ sex*severity*sex").unwrap();
    assert_eq!(twice.terms.len(), 3);
    let names = ["sex", "severity", "drg_code", "age_band", "payer", "los_days", "age_years"];
    let many = names.join("*");
    assert_eq!(Formula::parse(&format!("died ~ {many}")).unwrap().terms.len(), 127);
    for too_many in [
        format!("died ~ {many}*total_cost*C(los_days)*log(los_days)"),
        format!("died ~ {many} + {many}*log(total_cost)*total_cost^2"),
    ] {
        let error = Formula::parse(&too_many).unwrap_err();
        assert!(error.reason.contains("256 terms"), "{error}");
    }
}
