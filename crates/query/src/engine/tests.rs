//! The engine over a small hospital: what it computes in both scopes, and what it refuses.

mod fixture;

use std::collections::{BTreeMap, BTreeSet};

use fixture::{STAYS, drg, engine_in_memory, own, parts_of, pooled, question, request};
use privacy::domain::{Outside, bucket};
use privacy::partial::PartialGroup;
use privacy::release;
use privacy::request::RequestParts;

use super::resident::widen;
use super::*;
use crate::domain::DomainSpec;

async fn groups(engine: &Engine, admitted: &Admitted) -> Vec<PartialGroup> {
    let prepared = engine.prepare(admitted).await.unwrap();
    let domains = admitted.request().domains().iter();
    let spec = prepared.spec(admitted, domains.map(Domain::places).collect(), None);
    engine.run(&prepared, &spec).await.unwrap().into_parts().unwrap().0
}

/// Key of a one-dimensional group, its rows and cells.
type Shown = BTreeMap<Option<String>, (u64, Vec<i128>)>;

async fn shown(engine: &Engine, admitted: Admitted) -> Shown {
    let partial = engine.compute(admitted).await.unwrap();
    let released = release(partial, &privacy::sketch::Known::default()).unwrap();
    let each = released.groups().iter();
    each.map(|g| (g.key()[0].clone(), (g.rows(), g.cells().to_vec()))).collect()
}

async fn refusal(engine: &Engine, parts: RequestParts) -> Option<(RefusalCode, String)> {
    let request = ReleaseRequest::try_from(parts).unwrap();
    let admitted = match request.scope() {
        Scope::Pooled => pooled(&request),
        Scope::PerHospital => own(&request),
    };
    match engine.compute(admitted).await {
        Ok(_) => None,
        Err(ComputeError::Refused(refusal)) => Some((refusal.code, refusal.subject)),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn closed_labels_are_those_that_the_kernel_writes() {
    let engine = engine_in_memory();
    for dimension in [
        "died",
        "sex = 'F'",
        "drg_code IS NULL",
        "'all'",
        "7",
        "CASE WHEN los_days >= 7 THEN 'long' ELSE 'short' END",
        "CASE sex WHEN 'F' THEN 10 WHEN 'M' THEN -9 END",
        "CASE WHEN died THEN true ELSE false END",
        "CASE WHEN sex = 'F' THEN DATE '1970-02-01' ELSE DATE '1969-12-31' END",
        "CASE WHEN sex = 'F' THEN TIMESTAMP '2024-03-01 10:00:00' WHEN died THEN NULL ELSE \
         TIMESTAMP '1969-12-31 23:59:59' END",
        "CASE WHEN sex = 'F' THEN 1 WHEN sex = 'M' THEN 'x' ELSE '长' END",
        "CASE WHEN sex = 'F' THEN DATE '2024-03-01' ELSE TIMESTAMP '2024-03-01 10:00:00' END",
        "CASE WHEN sex = 'F' THEN DATE '2024-03-01' ELSE 'never' END",
        "CASE WHEN sex = 'F' THEN 1 ELSE true END",
    ] {
        let sql = format!("SELECT {dimension} AS d, count(*) FROM stay GROUP BY 1");
        let planner = crate::question::Planner::new(64 << 20).unwrap();
        let Ok(question) = planner.plan(&sql, &fixture::open_policy()).await else {
            // Results that have no common type are refused before a domain is needed.
            assert!(dimension.contains("never") || dimension.contains("ELSE true"), "{dimension}");
            continue;
        };
        let DomainSpec::Closed(labels) = question.specs()[0][0].clone() else {
            panic!("{dimension} is not closed");
        };
        let request = request(&sql, &[]).await;
        let seen = shown(&engine, own(&request)).await;
        let found: BTreeSet<_> = seen.keys().flatten().cloned().collect();
        assert_eq!(found, labels.into_iter().collect(), "{dimension}");
        assert_eq!(shown(&engine, pooled(&request)).await, seen, "{dimension}");
        let rows: u64 = seen.values().map(|(rows, _)| rows).sum();
        assert_eq!(rows, u64::from(STAYS), "{dimension}");
    }
}

#[tokio::test]
async fn a_listing_discovers_the_labels_that_its_dimension_has() {
    let engine = engine_in_memory();
    for dimension in [
        "drg_code",
        "hospital_tier",
        "substr(principal_diagnosis, 1, 3)",
        "date_trunc('month', admitted_at)",
        "extract(quarter FROM admitted_at)",
    ] {
        let sql = format!("SELECT {dimension} AS d, count(*) FROM stay GROUP BY 1");
        let question = question(&sql).await;
        let DomainSpec::Listed(listing) = &question.specs()[0][0] else {
            panic!("{dimension} is not listed");
        };
        let discovery = listing.discovery("ana", (10, 0), [4; 32]).unwrap();
        let codes = engine.codes(pooled(&discovery), 1).await.unwrap();
        let found: Vec<_> = codes.values().flatten().map(String::as_str).collect();
        let request = request(&sql, &found).await;
        let seen = shown(&engine, own(&request)).await;
        assert_eq!(seen.keys().flatten().count(), found.len(), "{dimension}");
        // Over the list that was found, nothing is outside and nothing has changed.
        assert_eq!(shown(&engine, pooled(&request)).await, seen, "{dimension}");
    }
}

#[tokio::test]
async fn what_is_read_as_another_text_is_noticed() {
    let engine = engine_in_memory();
    let state = engine.context.state();
    let request =
        request("SELECT drg_code, sum(total_cost) FROM stay WHERE sex = 'F' GROUP BY 1", &[]);
    let text = request.await.relation_sql().to_owned();
    let plan = plan_query(&state, &text).await.unwrap();
    assert!(is_read_as(&plan, &text).unwrap(), "{text}");
    for (here, there) in [("'F'", "'M'"), ("sex", "severity"), ("total_cost", "los_days")] {
        let other = text.replacen(here, there, 1);
        assert!(other != text && !is_read_as(&plan, &other).unwrap(), "{other}");
    }
}

#[tokio::test]
async fn nothing_is_told_of_cells_without_populations() {
    let engine = engine_in_memory();
    let request = request("SELECT drg_code, count(*) FROM stay GROUP BY drg_code", &[]).await;
    let told = |partial| {
        let released = release(partial, &privacy::sketch::Known::default()).unwrap();
        (released.groups().len(), released.told().len(), released.withheld_rows())
    };
    assert!(told(engine.compute(own(&request)).await.unwrap()).0 > 3);
    assert_eq!(told(engine.compute_unsketched(own(&request)).await.unwrap()), (0, 0, 0));
}

#[tokio::test]
async fn as_many_sets_as_declared_stand_behind_each_measure() {
    let engine = engine_in_memory();
    let measures = [
        "count(*)",
        "count(DISTINCT person_key)",
        "count(DISTINCT stay_key)",
        "sum(los_days)",
        "count(total_cost)",
        "stddev(total_cost)",
        "corr(total_cost, los_days)",
        "avg(total_cost) FILTER (WHERE sex = 'F')",
        "count(*) FILTER (WHERE died)",
        "sum(cast(died AS bigint))",
        "sum(coalesce(total_cost, 0))",
        "sum(coalesce(total_cost, 0) + coalesce(self_paid, 0))",
        "avg(ln(total_cost)) FILTER (WHERE los_days >= 7)",
        "sum(CASE WHEN sex = 'F' THEN 1 WHEN sex = 'M' THEN 2 ELSE 3 END)",
        "sum(CASE sex WHEN 'F' THEN self_paid ELSE total_cost END)",
        "corr(CASE WHEN sex = 'F' THEN 1 ELSE 0 END, CASE WHEN sex = 'F' THEN 2 ELSE 0 END)",
        "covar_pop(coalesce(total_cost, 0), cast(died AS double))",
    ];
    let all = measures.join(", ");
    for list in measures.into_iter().chain([all.as_str()]) {
        let sql = format!("SELECT {list} FROM stay");
        let request = request(&sql, &[]).await;
        let groups = groups(&engine, &own(&request)).await;
        let sets = groups[0].supports.iter().map(|support| support.sets().len());
        let declared: Vec<_> = request.supports().iter().map(|sets| *sets as usize).collect();
        assert_eq!(sets.collect::<Vec<_>>(), declared, "{list}");
        assert!(declared.len() == request.measures().len() && groups.len() == 1);
    }
}

/// The honest request passes; one that denies its money or miscounts its supports does not.
async fn holds_to_the_truth(engine: &Engine, honest: &RequestParts) {
    let sql = &honest.relation_sql;
    assert_eq!(refusal(engine, honest.clone()).await, None, "{sql}");
    let mut clear = honest.clone();
    clear.inputs.iter_mut().for_each(|input| input.money = false);
    let expected = Some((RefusalCode::Request, "money".to_owned()));
    assert_eq!(refusal(engine, clear).await, expected, "{sql}");
    let expected = Some((RefusalCode::Request, "supports".to_owned()));
    for change in [-4i64, -1, 1] {
        let mut miscounted = honest.clone();
        let sets = i64::from(miscounted.supports[0]) + change;
        miscounted.supports[0] = u32::try_from(sets).unwrap();
        assert_eq!(refusal(engine, miscounted).await, expected, "{sql}");
    }
    let expected = Some((RefusalCode::Request, "bound".to_owned()));
    for change in [|bound: u128| (bound / 2).max(1), |_| 1] {
        let mut clamped = honest.clone();
        clamped.inputs.iter_mut().for_each(|input| input.bound = change(input.bound));
        assert_eq!(refusal(engine, clamped).await, expected, "{sql}");
    }
    let mut stricter = honest.clone();
    stricter.inputs.iter_mut().for_each(|input| input.money = true);
    assert_eq!(refusal(engine, stricter).await, None, "more rules are no harm: {sql}");
}

#[tokio::test]
async fn what_a_request_says_about_itself_is_checked_each_time() {
    let engine = engine_in_memory();
    for sql in [
        "SELECT sum(ln(total_cost)), sum(CASE WHEN died THEN 1 ELSE 0 END) FROM stay",
        "SELECT avg(cast(total_cost AS double)), count(*) FROM stay",
        "SELECT sum(CASE WHEN sex = 'F' THEN coalesce(total_cost, 0) ELSE self_paid END) FROM stay",
    ] {
        let pooled = parts_of(&request(sql, &[]).await);
        let own = RequestParts { scope: Scope::PerHospital, ..pooled.clone() };
        // The second round meets the plan that the first has left behind.
        for honest in [&pooled, &own, &pooled, &own] {
            holds_to_the_truth(&engine, honest).await;
        }
    }
    let named = request("SELECT count(*) FROM stay WHERE hospital_id = 'h-1'", &[]).await;
    let masked = RequestParts { scope: Scope::Pooled, ..parts_of(&named) };
    let expected = Some((RefusalCode::Scope, "hospital_id".to_owned()));
    assert_eq!(refusal(&engine, masked).await, expected);
}

#[tokio::test]
async fn codes_outside_the_list_are_one_group_of_distinct_persons() {
    let engine = engine_in_memory();
    let sql = "SELECT drg_code, count(*), count(DISTINCT person_key) FROM stay GROUP BY 1";
    let request = request(sql, &["D0", "D1", "R3"]).await;
    let seen = shown(&engine, pooled(&request)).await;
    let outside = |code: &str| !["D0", "D1", "R3"].contains(&code);
    let stays: Vec<_> = (0..STAYS).filter(|s| drg(*s).is_some_and(|c| outside(&c))).collect();
    let persons: BTreeSet<_> = stays.iter().map(|stay| stay / 2).collect();
    assert!(persons.len() + 19 <= stays.len(), "19 persons have two rare codes");
    let (rows, cells) = &seen[&Some("OTHER".to_owned())];
    assert_eq!(*rows, stays.len() as u64);
    assert_eq!(cells[..2], [stays.len() as i128, persons.len() as i128]);
    let keys: Vec<_> = seen.keys().map(Option::as_deref).collect();
    assert_eq!(keys, [None, Some("D0"), Some("D1"), Some("OTHER"), Some("R3")]);
    // Every other group is what the hospital finds for itself.
    let own = shown(&engine, own(&request)).await;
    for key in [None, Some("D0"), Some("R3")] {
        let key = key.map(str::to_owned);
        assert_eq!(seen[&key], own[&key]);
    }
    // A person of two places is in both.
    assert_eq!(own[&Some("R2".to_owned())].1[1], 1);
    let several = "SELECT drg_code, sex, count(*) FROM stay GROUP BY 1, 2";
    let several = fixture::request(several, &["D0", "F"]).await;
    let places: Vec<_> = several.domains().iter().map(Domain::places).collect();
    let found = groups(&engine, &pooled(&several)).await;
    let rows: u64 = found.iter().map(|group| group.rows).sum();
    assert_eq!(rows, u64::from(STAYS));
    for group in &found {
        for (label, places) in group.key.iter().zip(&places) {
            assert!(places.of_label(label.as_deref()).is_some(), "{:?}", group.key);
        }
    }
    assert_eq!(found.len(), 3 * 3, "NULL, the listed one and the others, twice");
}

#[tokio::test]
async fn values_that_a_complete_list_lacks_are_in_no_group() {
    let engine = engine_in_memory();
    let mut parts = parts_of(&request("SELECT sex, count(*) FROM stay GROUP BY 1", &[]).await);
    parts.domains = vec![Domain::Codes { codes: vec!["F".into()], outside: Outside::None }];
    let seen = shown(&engine, pooled(&ReleaseRequest::try_from(parts).unwrap())).await;
    let keys: Vec<_> = seen.keys().map(Option::as_deref).collect();
    assert_eq!(keys, [None, Some("F")]);
}

#[tokio::test]
async fn a_discovery_counts_persons_in_buckets_and_names_what_is_numerous() {
    let engine = engine_in_memory();
    let sql = "SELECT drg_code, count(*) FROM stay GROUP BY 1";
    let question = question(sql).await;
    let DomainSpec::Listed(listing) = &question.specs()[0][0] else { panic!("not listed") };
    let bits = 2;
    let admitted = || pooled(&listing.discovery("ana", (bits, 0), [0; 32]).unwrap());
    let [Domain::Buckets { salt, .. }] = admitted().request().domains().to_vec()[..] else {
        panic!("a discovery has buckets")
    };
    let buckets = groups(&engine, &admitted()).await;
    let place = |code: &str| u32::try_from(bucket(&salt, Some(code), bits)).unwrap();
    let mut rows = BTreeMap::<u32, u64>::new();
    let mut codes = BTreeMap::<u32, BTreeSet<String>>::new();
    for code in (0..STAYS).filter_map(drg) {
        *rows.entry(place(&code)).or_default() += 1;
        codes.entry(place(&code)).or_default().insert(code);
    }
    let found: BTreeMap<u32, u64> = buckets
        .iter()
        .map(|group| (group.key[0].as_ref().unwrap().parse().unwrap(), group.rows))
        .collect();
    assert_eq!(found, rows, "stays without a code are in no bucket");
    let named = engine.codes(admitted(), 1).await.unwrap();
    let expected: BTreeMap<u32, Vec<String>> =
        codes.into_iter().map(|(bucket, codes)| (bucket, codes.into_iter().collect())).collect();
    assert_eq!(named, expected);
    let numerous = engine.codes(admitted(), 11).await.unwrap();
    let mut names: Vec<_> = numerous.into_values().flatten().collect();
    names.sort();
    assert_eq!(names, ["D0", "D1", "D2"]);
}

#[tokio::test]
async fn names_are_given_for_discoveries_only() {
    let engine = engine_in_memory();
    let refused = async |admitted: Admitted| match engine.codes(admitted, 1).await {
        Err(ComputeError::Refused(refusal)) => refusal.code,
        other => panic!("{other:?}"),
    };
    let counting = request("SELECT drg_code, count(*) FROM stay GROUP BY 1", &["D0"]).await;
    assert_eq!(refused(own(&counting)).await, RefusalCode::Request);
    assert_eq!(refused(pooled(&counting)).await, RefusalCode::Request);
    let buckets = vec![Domain::Buckets { bits: 4, level: 0, salt: [1; 32] }];
    let hashed = RequestParts { domains: buckets.clone(), ..parts_of(&counting) };
    let hashed = ReleaseRequest::try_from(hashed).unwrap();
    assert_eq!(refused(pooled(&hashed)).await, RefusalCode::Request, "it adds something up");
    let narrowed = "SELECT drg_code, count(*) FROM stay WHERE sex = 'F' GROUP BY 1";
    let narrowed = parts_of(&request(narrowed, &[]).await);
    let narrowed =
        RequestParts { domains: buckets, measures: Vec::new(), supports: Vec::new(), ..narrowed };
    let narrowed = ReleaseRequest::try_from(narrowed).unwrap();
    // Nor are they counted: which buckets pass would tell whether there are enough of whoever one likes.
    match engine.compute(pooled(&narrowed)).await {
        Err(ComputeError::Refused(refusal)) => assert_eq!(refusal.code, RefusalCode::Request),
        other => panic!("{other:?}"),
    }
    assert_eq!(refused(pooled(&narrowed)).await, RefusalCode::Request, "it selects rows");
}

#[test]
fn columns_that_a_snapshot_does_not_have_yet_are_empty() {
    let schema = arrow_schema(model::schema::table("stay").unwrap());
    // A column that every row must have cannot be made up.
    let keyless = fixture::one_stay_without("stay_key");
    assert!(widen(&keyless, &schema).is_err());
    let older = fixture::one_stay_without("dip_combination");
    let widened = widen(&older, &schema).unwrap();
    assert_eq!(widened.column_by_name("dip_combination").unwrap().null_count(), 1);
    assert_eq!(widened.schema(), schema);
}
