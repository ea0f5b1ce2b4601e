//! What dimensions of every kind can be, and how the unlisted ones are discovered.

use privacy::Policy;

use super::*;
use crate::question::{Planner, Question};

async fn planned(sql: &str) -> Result<Question, Refusal> {
    Planner::new(64 << 20).unwrap().plan(sql, &Policy::answering()).await
}

async fn spec_in(dimension: &str, from: &str) -> DomainSpec {
    let sql = format!("SELECT {dimension} AS d, count(*) FROM {from} GROUP BY 1");
    let question = planned(&sql).await.unwrap_or_else(|refusal| panic!("{sql}: {refusal}"));
    question.specs()[0][0].clone()
}

async fn listing(dimension: &str, from: &str) -> Listing {
    match spec_in(dimension, from).await {
        DomainSpec::Listed(listing) => listing,
        DomainSpec::Closed(labels) => panic!("{dimension} is closed: {labels:?}"),
    }
}

#[tokio::test]
async fn what_an_expression_itself_enumerates_is_closed() {
    for (dimension, labels) in [
        ("died", &["false", "true"][..]),
        ("sex = 'F'", &["false", "true"]),
        ("drg_code IS NULL", &["false", "true"]),
        ("sex = 'F' AND NOT died", &["false", "true"]),
        ("'all'", &["all"]),
        ("7", &["7"]),
        ("NULL", &[]),
        ("CASE WHEN los_days >= 7 THEN 'long' ELSE 'short' END", &["long", "short"]),
        ("CASE WHEN los_days >= 7 THEN '长' WHEN died THEN NULL END", &["长"]),
        ("CASE sex WHEN 'F' THEN 10 WHEN 'M' THEN -9 ELSE 10 END", &["-9", "10"]),
        ("CASE WHEN died THEN true END", &["true"]),
        ("CASE WHEN died THEN DATE '1970-02-01' ELSE DATE '1969-12-31' END", &["-1", "31"]),
        ("CASE WHEN died THEN TIMESTAMP '1970-01-01 00:01:00' END", &["60"]),
        ("CASE WHEN died THEN 1 ELSE 'x' END", &["1", "x"]),
        // The name of what is outside a list is an ordinary label here.
        ("CASE WHEN died THEN 'OTHER' ELSE 'A' END", &["A", "OTHER"]),
    ] {
        let spec = spec_in(dimension, "stay").await;
        let expected = DomainSpec::Closed(labels.iter().map(|l| (*l).to_owned()).collect());
        assert_eq!(spec, expected, "{dimension}");
        let domain = spec.domain(vec!["ignored".into()]).unwrap();
        assert_eq!(domain.size(), 1 + labels.len(), "{dimension}");
    }
}

#[tokio::test]
async fn everything_else_is_listed_under_a_canonical_key() {
    for (dimension, from, key, column, text) in [
        ("drg_code", "stay", "stay.drg_code", Some("drg_code"), true),
        ("hospital_tier", "stay", "stay.hospital_tier", Some("hospital_tier"), true),
        ("hospital_id", "stay", "stay.hospital_id", Some("hospital_id"), true),
        ("s.payer", "stay AS s", "stay.payer", Some("payer"), true),
        ("p", "(SELECT payer AS p FROM stay) AS t", "stay.payer", Some("payer"), true),
        ("left(adrg, 1)", ADRG, "left(stay.principal_diagnosis, 1)", None, true),
        ("left(principal_diagnosis, 3)", "stay", "left(stay.principal_diagnosis, 3)", None, true),
        (
            "substr(principal_diagnosis, 1, 3)",
            "stay",
            "left(stay.principal_diagnosis, 3)",
            None,
            true,
        ),
        (
            "date_trunc('MONTH', admitted_at)",
            "stay",
            "date_trunc('month', stay.admitted_at)",
            None,
            false,
        ),
        (
            "extract(year FROM discharged_at)",
            "stay",
            "date_part('year', stay.discharged_at)",
            None,
            false,
        ),
        (
            "b.code",
            "diagnosis AS a JOIN diagnosis AS b USING (stay_key)",
            "diagnosis.code",
            Some("code"),
            true,
        ),
    ] {
        let listing = listing(dimension, from).await;
        let known = listing.column.map(|(_, column)| column);
        assert_eq!((listing.key.as_str(), known, listing.text), (key, column, text));
    }
}

const ADRG: &str = "(SELECT principal_diagnosis AS adrg FROM stay WHERE sex = 'F') AS t";

#[tokio::test]
async fn a_discovery_reads_one_table_whole() {
    let from = "stay JOIN diagnosis USING (stay_key) WHERE stay.sex = 'F'";
    let listing = listing("left(diagnosis.code, 3)", from).await;
    let expected = "SELECT left(diagnosis.code, 3) AS d0, diagnosis.person_key AS person_key, \
                    diagnosis.stay_key AS stay_key FROM diagnosis";
    assert_eq!(listing.discovery_sql, expected);
    let request = listing.discovery("ana", (12, 0), [7; 32]).unwrap();
    assert_eq!((request.scope(), request.cells()), (Scope::Pooled, 1 << 12));
    assert_eq!(request.domains(), [Domain::Buckets { bits: 12, level: 0, salt: [7; 32] }]);
    assert!(request.inputs().is_empty() && request.measures().is_empty());
    // The salt is the round's; rounds over the same codes are of one family.
    let again = listing.discovery("ana", (12, 0), [8; 32]).unwrap();
    assert_eq!(request.family(), again.family());
    assert!(listing.discovery("ana", (21, 0), [7; 32]).is_err());
    assert!(listing.discovery("", (12, 0), [7; 32]).is_err());
}

#[tokio::test]
async fn a_hierarchical_column_has_lists_of_its_own() {
    let DomainSpec::Listed(listing) = spec_in("dip_combination", "stay").await else {
        panic!("not listed")
    };
    assert_eq!(listing.levels, 4);
    let request = listing.discovery("ana", (12, 3), [7; 32]).unwrap();
    assert_eq!(request.domains(), [Domain::Buckets { bits: 12, level: 3, salt: [7; 32] }]);
    let whole = listing.discovery("ana", (12, 0), [7; 32]).unwrap();
    assert_ne!(request.hash(), whole.hash());
    let codes = || ["2024|surgery", "2024"].map(str::to_owned).to_vec();
    let confirmation = listing.confirmation("ana", codes()).unwrap();
    assert_eq!(confirmation.relation_sql(), listing.discovery_sql);
    assert!(confirmation.measures().is_empty() && confirmation.inputs().is_empty());
    let [confirming] = confirmation.domains() else { panic!("one dimension") };
    assert_eq!(confirming.places().of(Some("2023|surgery")), None, "what has no ancestor is out");
    let domain = DomainSpec::Listed(listing.clone()).domain(codes()).unwrap();
    let places = domain.places();
    assert_eq!(places.label("2024|surgery|K35").as_deref(), Some("2024|surgery"));
    assert_eq!(places.label("2023|surgery").as_deref(), Some(privacy::domain::OTHER));
}

#[tokio::test]
async fn lists_keep_to_what_places_can_be() {
    let texts = spec_in("payer", "stay").await;
    let codes = ["b", "a", "b", privacy::domain::OTHER];
    let mut codes: Vec<_> = codes.map(str::to_owned).to_vec();
    codes.push("x".repeat(MAX_CODE_BYTES + 1));
    let domain = texts.domain(codes).unwrap();
    assert_eq!(domain.size(), 4, "NULL, a, b and the others, the long one among them");
    let months = spec_in("date_trunc('month', admitted_at)", "stay").await;
    assert!(!months.domain(vec!["0".into()]).unwrap().is_named(2), "no time is called OTHER");
    let long = format!("CASE WHEN died THEN '{}' END", "诊".repeat(50));
    let refusal = spec_in(&long, "stay").await.domain(Vec::new()).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::TooLarge);
    let sql = "SELECT CASE WHEN died THEN DATE 'soon' END, count(*) FROM stay GROUP BY 1";
    assert_eq!(planned(sql).await.unwrap_err().code, RefusalCode::Grouping);
}
